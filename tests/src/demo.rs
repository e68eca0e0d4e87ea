//! `cargo demo`: a real library on a card in a file, set up by the agent, served to this machine's browser.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

use crate::agent_run::{self, AgentRun, Ran};
use crate::board::{self, Board, Powered};
use crate::lab_engine::LabEngine;
use crate::library;
use crate::packages;
use crate::tool::{Doing, Failure, Outcome};
use crate::{card, http};

const ANSWER: Duration = Duration::from_secs(20);

/// The demo: a board and its engine, below cargo's target folder.
#[derive(Debug)]
pub struct Demo {
    /// The board.
    pub board: Board,
    /// Its engine.
    pub engine: LabEngine,
    /// Where the demo is, and which other demos must wait for.
    _lock: Flock<File>,
}

/// A board that is on, with its engine's door open.
#[derive(Debug)]
pub struct Ready {
    /// The card's device, and how its boot partition is there.
    pub powered: Powered,
    /// Address of what containers publish.
    pub address: String,
}

impl Demo {
    /// The demo of this target folder; a second one at the same time is refused.
    pub fn open() -> Outcome<Demo> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new("loop devices, mounts and namespaces need root: run this as root"));
        }
        let target = fs::canonicalize(agent_run::target_folder()?).doing("target folder")?;
        let lock = File::open(&target).doing(target.display())?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Failure::new("another demo, suite or bench is at work in this target folder"))?;
        let folder = target.join("demo");
        let program = std::env::current_exe().doing("looking for this program")?.with_file_name("demo");
        let board = Board::new(&folder);
        let engine = LabEngine::new(&folder, &board.root(), &program);
        Ok(Demo { board, engine, _lock: lock })
    }

    /// Makes library and card where there is no card yet. Whether it made them.
    pub fn make_card(&self) -> Outcome<bool> {
        let (folder, card) = (self.board.folder(), self.board.card());
        if card.exists() {
            return Ok(false);
        }
        let work = folder.join("library");
        let _ = fs::remove_dir_all(&work);
        let library = library::build(&work)?;
        let part = card.with_extension("part");
        card::make(&part, card::DEMO, &library)?;
        fs::rename(&part, &card).doing(card.display())?;
        fs::remove_dir_all(&work).doing(work.display())?;
        Ok(true)
    }

    /// Card in, power on, the engine's socket open.
    pub fn power_on(&self) -> Outcome<Ready> {
        let powered = self.board.power_on()?;
        let address = self.engine.start()?;
        Ok(Ready { powered, address })
    }

    /// Engine ended at once, everything unmounted, card out: the plug pulled, but that nothing written is lost.
    pub fn pull_plug(&self) -> Outcome<()> {
        self.engine.cut()?;
        self.board.power_off()
    }

    /// The agent's whole story on the board.
    pub fn run_agent(&self, ready: &Ready, binary: &Path, wrapper: &[String]) -> Outcome<Ran> {
        let run = AgentRun {
            binary: binary.to_owned(),
            wrapper: wrapper.to_vec(),
            root: self.board.root(),
            device: ready.powered.device.clone(),
            socket: self.engine.socket(),
        };
        let ran = run.watch(&self.board.folder().join("agent.log"))?;
        self.board.copy_boot_back(&ready.powered)?;
        Ok(ran)
    }

    /// Writes `ran.json`: what the suite asks.
    fn keep_figures(&self, ready: &Ready, ran: &Ran) -> Outcome<()> {
        let figures = json!({
            "exit_code": ran.exit_code,
            "address": ready.address,
            "seconds": ran.wall.as_secs_f64(),
            "engine_start_seconds": self.engine.start_took(),
            "processor_seconds": ran.processor.as_secs_f64(),
            "peak_bytes": ran.peak,
        });
        let file = self.board.folder().join("ran.json");
        fs::write(&file, figures.to_string()).doing(file.display())
    }

    /// Takes everything away; gives what could not be, in words.
    pub fn down(&self) -> Outcome<Vec<String>> {
        self.pull_plug()?;
        let folder = self.board.folder();
        if folder.exists() {
            fs::remove_dir_all(folder).doing(folder.display())?;
        }
        Ok(self.leftovers())
    }

    /// What of the demo is on this machine, in words.
    pub fn leftovers(&self) -> Vec<String> {
        let folder = self.board.folder();
        let mounts = board::mounts_below(folder).into_iter().map(|mount| format!("mount {mount}"));
        let loops = card::attached_below(folder).into_iter().map(|device| format!("loop device {device}"));
        let files = folder.exists().then(|| format!("folder {}", folder.display()));
        self.engine.leftovers().into_iter().chain(mounts).chain(loops).chain(files).collect()
    }
}

/// `cargo demo`: gives the exit code.
pub fn up(agent: Option<PathBuf>) -> Outcome<i32> {
    let demo = Demo::open()?;
    packages::install_missing(packages::DEMO)?;
    let binary = match agent {
        Some(binary) => binary,
        None => {
            eprintln!("building the agent");
            agent_run::build(&agent_run::workspace())?
        }
    };
    eprintln!("making the library and its card");
    let first = demo.make_card()?;
    if !first {
        eprintln!("the card is there from an earlier run: the plug is pulled, and this is a second boot");
        demo.pull_plug()?;
    }
    let ready = demo.power_on()?;
    introduce(&demo, &ready);
    let ran = demo.run_agent(&ready, &binary, &[])?;
    demo.keep_figures(&ready, &ran)?;
    conclude(&demo, &ready, &ran)
}

/// `cargo demo --down`: gives the exit code.
pub fn down() -> Outcome<i32> {
    let leftovers = Demo::open()?.down()?;
    for leftover in &leftovers {
        eprintln!("still there: {leftover}");
    }
    if leftovers.is_empty() {
        eprintln!("nothing is left of the demo");
    }
    Ok(i32::from(!leftovers.is_empty()))
}

fn introduce(demo: &Demo, ready: &Ready) {
    let powered = &ready.powered;
    eprintln!("card {} on {}, root {}", demo.board.card().display(), powered.device, demo.board.root().display());
    if !powered.has_vfat {
        eprintln!(
            "this kernel has no vfat: the demo copied the boot partition to {} with mtools, and copies it back after the run",
            demo.board.boot().display()
        );
    }
}

/// Status file, times, addresses; 1 where the agent says all is well and the library does not answer.
fn conclude(demo: &Demo, ready: &Ready, ran: &Ran) -> Outcome<i32> {
    let text = demo.board.boot().join("OFFSPOT-STATUS.txt");
    match fs::read_to_string(&text) {
        Ok(status) => println!("\n{}\n", status.trim_end()),
        Err(error) => println!("\nno OFFSPOT-STATUS.txt: {error}\n"),
    }
    println!("{}", times(ran, demo.engine.start_took()));
    if ran.interrupted || ran.exit_code != 0 {
        println!(
            "the agent ended with {}; what it and the engine said is in {}",
            ran.exit_code,
            demo.board.folder().display()
        );
        return Ok(ran.exit_code);
    }
    let (home, library) = (format!("{}:80", ready.address), format!("{}:8080", ready.address));
    let seen = http::wait_for(&home, "/", ANSWER).and_then(|_| http::wait_for(&library, "/", ANSWER));
    if let Err(error) = seen {
        println!("the agent says READY, yet: {error}");
        return Ok(1);
    }
    println!("home page   http://{}/", ready.address);
    println!("library     http://{library}/");
    println!("cargo demo again is a second boot; cargo demo --down takes everything away");
    Ok(0)
}

/// The agent's own time is its processor time: the rest it waits for the engine, the card and the health of the services.
fn times(ran: &Ran, engine: Option<f64>) -> String {
    let phase = |(name, lasted): &(String, Duration)| format!("{name} {:.2}", lasted.as_secs_f64());
    let phases: Vec<String> = ran.phases.iter().map(phase).collect();
    let engine = engine.map_or(String::new(), |took| format!(", of which the engine took {took:.2} s to start"));
    format!(
        "agent: {:.3} s of its own, {:.2} s with all that it waited for{engine}; {:.1} MB at most\nphases in seconds: {}",
        ran.processor.as_secs_f64(),
        ran.wall.as_secs_f64(),
        ran.peak as f64 / 1e6,
        phases.join(", ")
    )
}
