//! The agent's live status as one line of a terminal, and how long each phase lasted.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use offspot_agent::report::bar::{CLEAR, line};
use serde_json::Value;

/// Follows one run of the agent.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    shown: String,
    phases: Vec<(String, Instant)>,
}

impl Progress {
    /// Nothing seen yet.
    pub fn new() -> Progress {
        Progress { terminal: std::io::stderr().is_terminal(), shown: String::new(), phases: Vec::new() }
    }

    /// Takes in what the status file says now; shows it where there is a terminal.
    pub fn look(&mut self, status: &Value) {
        let phase = status["phase"].as_str().unwrap_or_default();
        if !phase.is_empty() && self.phases.last().is_none_or(|(last, _)| last != phase) {
            self.phases.push((phase.to_owned(), Instant::now()));
        }
        let line = line(status);
        if self.terminal && line != self.shown {
            let _ = write!(std::io::stderr(), "{CLEAR}{line}");
            self.shown = line;
        }
    }

    /// Shows a line of the agent's own above the progress line.
    pub fn say(&mut self, said: &str) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "{CLEAR}{said}\n{}", self.shown);
        } else {
            eprintln!("{said}");
        }
    }

    /// Takes the progress line away; gives each phase and how long it lasted.
    pub fn finish(self) -> Vec<(String, Duration)> {
        if self.terminal {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
        let ends = self.phases.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let lasted = |((name, at), end): (&(String, Instant), Instant)| (name.clone(), end.duration_since(*at));
        self.phases.iter().zip(ends).map(lasted).collect()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}
