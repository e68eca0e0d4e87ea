//! What libFuzzer said of a run.

use std::fmt::{self, Display};

/// One run of a target.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally {
    target: String,
    executions: u64,
    /// Edges of the program that some input reached.
    coverage: u64,
    inputs: u64,
    memory: u64,
    /// What was found, and where the input lies that shows it.
    pub finding: Option<String>,
}

impl Tally {
    /// What stands above the lines.
    pub const HEADING: &'static str = "target      executions  coverage  inputs  peak MB  finding";

    /// Reads the log of a run; `clean` is what its exit code said.
    pub fn read(target: &str, log: &str, clean: bool) -> Tally {
        let last = |word: &str| {
            let behind = log.rsplit_once(word).map_or("", |(_, behind)| behind);
            behind.split_whitespace().next().and_then(|number| number.split('/').next()?.parse().ok()).unwrap_or(0)
        };
        let said = |line: &&str| {
            line.contains("panicked at") || line.contains("ERROR: ") || line.contains("Test unit written")
        };
        let finding: Vec<&str> = log.lines().filter(said).collect();
        Tally {
            target: target.to_owned(),
            executions: last("stat::number_of_executed_units:"),
            coverage: last(" cov: "),
            inputs: last(" corp: "),
            memory: last("stat::peak_rss_mb:"),
            finding: (!clean).then(|| if finding.is_empty() { "it ended badly".into() } else { finding.join("; ") }),
        }
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { target, executions, coverage, inputs, memory, finding } = self;
        let finding = finding.as_deref().unwrap_or("none");
        write!(f, "{target:<10} {executions:>11} {coverage:>9} {inputs:>7} {memory:>8}  {finding}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_libfuzzer_is_read() {
        let log = "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #99\tREDUCE cov: 1290 ft: 4011 corp: 300/21Kb lim: 4 exec/s: 0 rss: 40Mb\n\
                   stat::number_of_executed_units: 4242\nstat::peak_rss_mb:              61\n";
        let tally = Tally::read("tar", log, true);
        assert_eq!((tally.executions, tally.coverage, tally.inputs, tally.memory), (4242, 1290, 300, 61));
        assert_eq!(tally.finding, None);
        let log = "thread 'x' panicked at src/a.rs:1:2:\nartifact_prefix='f/'; Test unit written to f/crash-1\n";
        let found = Tally::read("tar", log, false).finding.unwrap();
        assert!(found.contains("panicked at src/a.rs") && found.contains("f/crash-1"), "{found}");
    }
}
