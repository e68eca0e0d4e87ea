//! `cargo suite`: every stage in order, each with a heading and its time, then a table. One that fails does not stop the others.

use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use crate::agent_run;
use crate::ahead;
use crate::booted;
use crate::packages;
use crate::root_check;
use crate::skel_image;
use crate::stages;
use crate::tool::{self, Doing, Failure, Outcome};

/// How many checks a stage passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Checks that held.
    pub passed: u32,
    /// Checks that did not.
    pub failed: u32,
}

impl Count {
    /// One check that held.
    pub const ONE: Count = Count { passed: 1, failed: 0 };
}

/// One stage: its heading, and what it does.
struct Stage {
    heading: &'static str,
    run: fn() -> Outcome<Count>,
}

const STAGES: &[Stage] = &[
    stage("formatting", stages::formatting),
    stage("clippy", stages::clippy),
    stage("tests", stages::tests),
    stage("settings for the browser (wasm32)", stages::wasm),
    stage("agent for the card (aarch64, static)", stages::card_binary),
    stage("agent for the card: check, under qemu", stages::check_under_qemu),
    stage("demo: first boot", stages::first_boot),
    stage("demo: home page and an article", stages::pages),
    stage("demo: second boot", stages::second_boot),
    stage("demo: nothing left behind", stages::nothing_left),
    stage("image: the lock suits skel.toml", skel_image::lock),
    stage("image: built", skel_image::image),
    stage("image: built again, elsewhere", skel_image::image_again),
    stage("image: its packages, as dpkg sees them", root_check::image_root),
    stage("image: first boot on emulated arm64", booted::first_boot),
    stage("image: second boot", booted::second_boot),
    stage("campaign: image: boot without a data partition", booted::without_data),
];
const MB: u64 = 1_000_000;
/// Bytes that a whole run takes in cargo's target folder, and in that for temporary files.
const IN_TARGET: u64 = 9_000 * MB;
const IN_TEMPORARY: u64 = 5_000 * MB;
/// Stages with this word run where they are named alone: they take long, and find little that the others do not.
const APART: &str = "campaign";

const fn stage(heading: &'static str, run: fn() -> Outcome<Count>) -> Stage {
    Stage { heading, run }
}

/// Runs all stages but those apart, or those whose heading contains `only`; gives the exit code.
pub fn run(only: &str) -> Outcome<i32> {
    if only.is_empty() {
        tell_of_room()?;
    }
    packages::install_missing(packages::DEMO)?;
    packages::install_missing(packages::SUITE)?;
    packages::install_missing(packages::SERVERS)?;
    rust_parts()?;
    let begun = Instant::now();
    let mut building = if only.is_empty() { Some(ahead::start()?) } else { None };
    let results: Vec<(&str, Count, Duration)> =
        STAGES.iter().filter(|stage| is_wanted(stage.heading, only)).map(perform).collect();
    if let Some(building) = &mut building {
        building.wait().doing("building ahead")?;
    }
    println!("\n== summary, {:.0} s in all", begun.elapsed().as_secs_f64());
    for (heading, count, took) in &results {
        let word = if count.failed == 0 { "ok" } else { "FAILED" };
        println!(
            "{word:<7}{:>5} passed {:>3} failed {:>6.1} s  {heading}",
            count.passed,
            count.failed,
            took.as_secs_f64()
        );
    }
    let passed: u32 = results.iter().map(|(_, count, _)| count.passed).sum();
    let failed: u32 = results.iter().map(|(_, count, _)| count.failed).sum();
    println!("{passed} passed, {failed} failed");
    Ok(i32::from(failed > 0))
}

/// Says beforehand what else a test would say after half an hour. What an earlier run left is used again, so that less may do.
fn tell_of_room() -> Outcome<()> {
    let target = agent_run::target_folder()?;
    for (folder, whole) in [(&target, IN_TARGET), (&std::env::temp_dir(), IN_TEMPORARY)] {
        let stat = statvfs(folder).doing(folder.display())?;
        let free = stat.blocks_available() * stat.fragment_size();
        if free < whole {
            println!("{} has {} MB free; a first run takes some {} MB there", folder.display(), free / MB, whole / MB);
        }
    }
    Ok(())
}

fn is_wanted(heading: &str, only: &str) -> bool {
    heading.contains(only) && (only.contains(APART) || !heading.contains(APART))
}

fn perform(stage: &Stage) -> (&'static str, Count, Duration) {
    println!("\n== {}", stage.heading);
    let begun = Instant::now();
    let count = (stage.run)().unwrap_or_else(|failure| {
        println!("{failure}");
        Count { passed: 0, failed: 1 }
    });
    println!("-- {:.1} s", begun.elapsed().as_secs_f64());
    (stage.heading, count, begun.elapsed())
}

/// Targets and components of the Rust toolchain that the stages need.
fn rust_parts() -> Outcome<()> {
    if !tool::exists("rustup") {
        println!("no rustup here: targets, rustfmt and clippy must come with the Rust that is installed");
        return Ok(());
    }
    let (targets, components) = (
        tool::run("rustup", &["target", "list", "--installed"])?,
        tool::run("rustup", &["component", "list", "--installed"])?,
    );
    for target in ["aarch64-unknown-linux-musl", "wasm32-unknown-unknown"] {
        if !targets.lines().any(|line| line == target) {
            println!("installing what is missing: rustup target add {target}");
            tool::run("rustup", &["target", "add", target])?;
        }
    }
    for component in ["rustfmt", "clippy"] {
        if !components.lines().any(|line| line.starts_with(component)) {
            println!("installing what is missing: rustup component add {component}");
            tool::run("rustup", &["component", "add", component])?;
        }
    }
    Ok(())
}

/// `condition`, or a failure that says `why`.
pub fn ensure(condition: bool, why: impl Into<String>) -> Outcome<()> {
    if condition { Ok(()) } else { Err(Failure::new(why)) }
}
