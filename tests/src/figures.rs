//! The figures of the benchmark: what one run of a program cost, as three measuring programs see it.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::agent_run::high_water;
use crate::other_release::Programs;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// What a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// Largest resident size in bytes.
    pub peak: u64,
}

/// Words that put strace before a program; its count goes to `out`.
pub fn strace(out: &Path) -> Outcome<Vec<String>> {
    Ok(["strace", "-f", "-c", "-o", text(out)?].map(String::from).to_vec())
}

/// Words that put callgrind before a program; what it says goes to `out`, its profile to a file beside it that ends with `.profile`.
pub fn callgrind(out: &Path) -> Outcome<Vec<String>> {
    let programs = Programs::valgrind()?;
    let library = format!("VALGRIND_LIB={}", text(&programs.root().join("usr/libexec/valgrind"))?);
    let (valgrind, log) = (programs.program("valgrind.bin"), format!("--log-file={}", text(out)?));
    let profile = format!("--callgrind-out-file={}.profile", text(out)?);
    let words = ["env", &library, text(&valgrind)?, "--tool=callgrind", &profile, &log];
    Ok(words.map(String::from).to_vec())
}

/// All calls of a summary that `strace -c` wrote.
pub fn syscalls(out: &Path) -> Outcome<u64> {
    let table = fs::read_to_string(out).doing(out.display())?;
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.ok_or_else(|| Failure::new(format!("{} has no total", out.display())))
}

/// Instructions that callgrind counted.
pub fn instructions(out: &Path) -> Outcome<u64> {
    let log = fs::read_to_string(out).doing(out.display())?;
    let line = log.lines().rev().find_map(|line| line.split_once("Collected : "));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.ok_or_else(|| Failure::new(format!("callgrind counted nothing: {}", log.trim())))
}

/// Runs a program to its end and watches its size; it must end with 0.
pub fn cost(words: &[String]) -> Outcome<Cost> {
    let (name, arguments) = words.split_first().ok_or_else(|| Failure::new("no program"))?;
    let begun = Instant::now();
    let mut command = tool::program(name);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().doing(name)?;
    let mut peak = 0;
    loop {
        peak = peak.max(high_water(child.id()));
        if let Some(status) = child.try_wait().doing(name)? {
            let cost = Cost { wall: begun.elapsed(), peak };
            return if status.success() {
                Ok(cost)
            } else {
                Err(Failure::new(format!("{}: {status}", words.join(" "))))
            };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_programs_are_read() {
        let folder = std::env::temp_dir().join(format!("offspot-figures-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("out");
        fs::write(&file, "------\n100.00    0.000000           0       264         9 total\n").unwrap();
        assert_eq!(syscalls(&file).unwrap(), 264);
        fs::write(&file, "==7== Events    : Ir\n==7== Collected : 405123\n==7==\n").unwrap();
        assert_eq!(instructions(&file).unwrap(), 405_123);
        fs::remove_dir_all(&folder).unwrap();
    }
}
