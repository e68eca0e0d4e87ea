//! `cargo bench-card`: the promises of performance, measured against what others use for the same work, in turn, in one run.
//!
//! The card is a file behind a throttle and a loop device ([`throttle`], [`slow_card`]); the engine is Debian trixie's, its store on that
//! card ([`bed`]). [`images`] brings sets of images in ([`sets`], [`made`]); [`results`] prints the lines and keeps them.

pub mod bad_line;
pub mod bed;
pub mod content;
pub mod fetch;
pub mod fetch_work;
pub mod fetched;
pub mod images;
pub mod interrupt;
pub mod made;
pub mod options;
pub mod pull;
pub mod results;
pub mod second_boot;
pub mod services;
pub mod sets;
pub mod shipped;
pub mod slow_card;
pub mod throttle;

use std::fs;
use std::path::{Path, PathBuf};

use crate::agent_run::{target_folder, workspace};
use crate::demo::Demo;
use crate::packages;
use crate::tool::{Doing, Outcome};

use bed::Bed;
use made::Made;
use options::Options;
use results::Row;
use sets::{Packing, SETS};
use throttle::Throttled;

/// Measures what the options ask for, prints it, and keeps it.
pub fn run(options: &Options) -> Outcome<i32> {
    // It holds the lock of the target folder, and is what lines 11 and 14 are measured on.
    let demo = Demo::open()?;
    for packages in [packages::DEMO, packages::SUITE, packages::SERVERS, packages::BENCH] {
        packages::install_missing(packages)?;
    }
    interrupt::listen()?;
    let agent = match &options.agent {
        Some(agent) => agent.clone(),
        None => shipped::build(&workspace(), &target_folder()?)?,
    };
    shipped::activator(&workspace())?;
    if let Some(why) = Throttled::lacking() {
        println!("{why}: the card is as fast as this machine's disk, and line 6 says nothing about a card");
    }
    let bench = Bench { folder: target_folder()?.join("bench"), agent, options: options.clone() };
    fs::create_dir_all(&bench.folder).doing(bench.folder.display())?;
    bench.images()?;
    bench.services()?;
    bench.content()?;
    bench.fetch()?;
    bench.pull()?;
    if options.wants_part("second-boot") && options.wants(&[10, 11, 14]) {
        bench.keep("second boot", &second_boot::measure(&demo, &bench.agent, options)?)?;
    }
    Ok(0)
}

struct Bench {
    folder: PathBuf,
    agent: PathBuf,
    options: Options,
}

impl Bench {
    fn images(&self) -> Outcome<()> {
        if !self.options.wants_part("images") || !self.options.wants(&[1, 2, 6, 10, 15]) {
            return Ok(());
        }
        let bed = Bed::new(&self.folder.join("bed"), &self.agent)?;
        for set in SETS.iter().filter(|set| self.options.sets.is_empty() || self.options.sets.contains(&set.name)) {
            let made = Made::of(*set, &self.folder.join("sets"))?;
            for packing in self.packings() {
                let rows = images::measure(&bed, &made, packing, self.options.rounds, self.options.quick)?;
                self.keep(&format!("set {} ({}), {} tarballs", set.name, set.about, packing.name()), &rows)?;
            }
        }
        Ok(())
    }

    fn services(&self) -> Outcome<()> {
        if !self.options.wants_part("services") || !self.options.wants(&[9]) {
            return Ok(());
        }
        let bed = Bed::new(&self.folder.join("bed"), &self.agent)?;
        self.keep("services", &services::measure(&bed, self.options.rounds, self.options.quick)?)
    }

    fn content(&self) -> Outcome<()> {
        if !self.options.wants_part("content") || !self.options.wants(&[12, 13, 15]) {
            return Ok(());
        }
        let bed = Bed::new(&self.folder.join("bed"), &self.agent)?;
        self.keep("content", &content::measure(&bed)?)
    }

    fn fetch(&self) -> Outcome<()> {
        if !self.options.wants_part("fetch") || !self.options.wants(&[0, 3, 10, 12, 13]) {
            return Ok(());
        }
        let bed = Bed::new(&self.folder.join("bed"), &self.agent)?;
        self.keep("fetch", &fetch::measure(&bed, &self.agent, self.options.rounds, self.options.quick)?)
    }

    fn pull(&self) -> Outcome<()> {
        if !self.options.wants_part("pull") || !self.options.wants(&[0, 1, 2, 6, 10]) {
            return Ok(());
        }
        let bed = Bed::new(&self.folder.join("bed"), &self.agent)?;
        // One set is enough: how large an image is changes nothing in how it comes.
        let Some(set) = SETS.first() else { return Ok(()) };
        let made = Made::of(*set, &self.folder.join("sets"))?;
        let rows = pull::measure(&bed, &made, self.options.rounds, self.options.quick)?;
        self.keep(&format!("set {} from a registry, gz layers", set.name), &rows)
    }

    fn packings(&self) -> Vec<Packing> {
        match &self.options.packing {
            Some(packing) => vec![*packing],
            None if self.options.quick => vec![Packing::Plain],
            None => Packing::ALL.to_vec(),
        }
    }

    fn keep(&self, title: &str, rows: &[Row]) -> Outcome<()> {
        let rows: Vec<Row> = rows.iter().filter(|row| self.options.wants(&[row.number()])).cloned().collect();
        results::print(title, &rows);
        // A line alone, or one look, is not what the file keeps.
        if self.options.lines.is_empty() && !self.options.quick {
            results::keep(&file(), title, &rows)?;
        }
        Ok(())
    }
}

fn file() -> PathBuf {
    Path::new(&workspace()).join("tests/bench/RESULTS.md")
}
