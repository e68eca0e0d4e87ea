//! Runs the fuzz targets and tells how far they came: executions, coverage, findings.

mod seeds;
mod tally;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::agent_run::{target_folder, workspace};
use crate::tool::{self, Doing, Failure, Outcome};
use tally::Tally;

/// What is fuzzed, and the longest input of each in bytes.
const TARGETS: &[(&str, u32)] = &[
    ("tar", 16 << 10),
    ("zip", 4 << 10),
    ("zip_stream", 4 << 10),
    ("tarball", 16 << 10),
    ("manifest", 4 << 10),
    ("settings", 4 << 10),
];
/// How long each runs where nothing is said.
const SECONDS: u32 = 600;
/// One input may take so long, in seconds: a machine at work with other things must not look like an endless loop.
const LONGEST: u32 = 60;
/// Memory that a target may have, in MB, what watches its addresses included.
const MEMORY: u32 = 1024;
/// Where libFuzzer's targets are built.
const BUILT: &str = "x86_64-unknown-linux-gnu/release";

/// Builds and runs what the arguments say; gives the exit code: 1 where a target found something.
pub fn run() -> Outcome<u8> {
    let (mut seconds, mut wanted) = (SECONDS, Vec::new());
    let mut arguments = tool::arguments();
    while let Some(word) = arguments.next().doing("reading the arguments")? {
        let lexopt::Arg::Value(word) = word else { return Err(Failure::new("cargo fuzz-all [SECONDS] [TARGET…]")) };
        let word = word.to_string_lossy().into_owned();
        match word.parse() {
            Ok(number) => seconds = number,
            Err(_) => wanted.push(word),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let targets: Vec<_> = TARGETS.iter().filter(|(name, _)| is_wanted(name)).collect();
    let folder = target_folder()?.join("fuzz");
    fs::create_dir_all(&folder).doing("making a folder for the targets")?;
    install()?;
    build(&folder)?;
    seeds::write(&folder.join("seeds"))?;
    let mut found = false;
    println!("{}", Tally::HEADING);
    for pair in targets.chunks(2) {
        let tallies: Vec<Outcome<Tally>> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                pair.iter().map(|(name, longest)| scope.spawn(|| fuzz(&folder, name, *longest, seconds))).collect();
            runs.into_iter().map(|run| run.join().unwrap_or_else(|_| Err(Failure::new("a run broke off")))).collect()
        });
        for tally in tallies {
            let tally = tally?;
            found |= tally.finding.is_some();
            println!("{tally}");
        }
    }
    Ok(u8::from(found))
}

/// What no stable compiler has.
fn install() -> Outcome<()> {
    if !tool::succeeds("cargo", &["+nightly", "--version"]) {
        println!("installing what is missing: rustup toolchain install nightly --profile minimal");
        tool::run("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"])?;
    }
    if !tool::succeeds("cargo", &["fuzz", "--version"]) {
        println!("installing what is missing: cargo install cargo-fuzz");
        tool::run("cargo", &["install", "cargo-fuzz"])?;
    }
    Ok(())
}

fn build(folder: &Path) -> Outcome<()> {
    println!("building the targets");
    let own = workspace().join("tests/fuzz");
    let arguments = ["+nightly", "fuzz", "build", "--fuzz-dir", tool::text(&own)?, "--target-dir", tool::text(folder)?];
    // Cargo tells what it runs which toolchain and which package it is for; the one within is for others.
    let mut command = tool::program("cargo");
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    let status = command.args(arguments).current_dir(own).status().doing("cargo fuzz build")?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("cargo fuzz build: {status}"))) }
}

/// Runs one target: what it found before is kept and gone on from.
fn fuzz(folder: &Path, name: &str, longest: u32, seconds: u32) -> Outcome<Tally> {
    let made = |kind: &str| -> Outcome<PathBuf> {
        let path = folder.join(kind).join(name);
        fs::create_dir_all(&path).doing("making a folder for a target")?;
        Ok(path)
    };
    let (corpus, findings, log) = (made("corpus")?, made("findings")?, folder.join(format!("{name}.log")));
    let mut command = tool::program(folder.join(BUILT).join(name));
    command
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={longest}"))
        .arg(format!("-timeout={LONGEST}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg("-print_final_stats=1")
        .args([corpus, folder.join("seeds").join(name)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).doing("a log")?);
    let status = command.status().doing(name)?;
    let said = fs::read_to_string(&log).doing("reading the log")?;
    Ok(Tally::read(name, &said, status.success()))
}
