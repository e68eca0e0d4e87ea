//! The agent's live status as one line of a terminal, and how long each phase lasted.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

const WIDTH: usize = 20;
/// Clears the line and goes back to its start.
const CLEAR: &str = "\r\x1b[2K";

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

/// `images    [########............]  40 %  34 of 85 MB  kiwix-serve.tar`
pub fn line(status: &Value) -> String {
    let phase = status["phase"].as_str().unwrap_or("waiting");
    let (done, total) = (status["done"].as_u64().unwrap_or(0), status["total"].as_u64().unwrap_or(0));
    let items = status["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let working = items.iter().find(|item| item["state"] == "working");
    let name = working.and_then(|item| item["name"].as_str()).unwrap_or_default();
    if total == 0 {
        return format!("{phase:<9} {name}").trim_end().to_owned();
    }
    let part = (done.min(total) as f64) / (total as f64);
    let full = (part * WIDTH as f64) as usize;
    let bar = "#".repeat(full) + &".".repeat(WIDTH - full);
    let megabytes = |bytes: u64| bytes / 1_000_000;
    format!("{phase:<9} [{bar}] {:3.0} %  {} of {} MB  {name}", part * 100.0, megabytes(done), megabytes(total))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_line_shows_phase_share_and_item() {
        let status = json!({"phase": "images", "done": 34_000_000, "total": 85_000_000,
            "items": [{"kind": "image", "name": "kiwix-serve.tar", "state": "working"}]});
        assert_eq!(line(&status), "images    [########............]  40 %  34 of 85 MB  kiwix-serve.tar");
        assert_eq!(line(&json!({"phase": "card", "done": 0, "total": 0})), "card");
        assert_eq!(line(&json!({})), "waiting");
    }

    #[test]
    fn more_done_than_expected_stays_within_the_bar() {
        let status = json!({"phase": "content", "done": 9, "total": 3, "items": []});
        assert!(line(&status).contains("100 %"));
    }
}
