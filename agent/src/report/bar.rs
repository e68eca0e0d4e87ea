//! The status as one line of a terminal, for whoever runs the agent by hand.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::progress::speed;
use super::{Context, Status, Verdict, json};

/// Signs of the bar itself.
const WIDTH: usize = 20;
/// Characters of a line: what any terminal has.
const LINE: usize = 100;
/// Time between two lines.
const PAUSE: Duration = Duration::from_millis(250);
/// Clears the line and goes back to its start.
pub const CLEAR: &str = "\r\x1b[2K";

/// Whether there is a terminal to show it on.
pub fn is_wanted() -> bool {
    io::stderr().is_terminal()
}

/// Shows the line until the verdict.
pub async fn follow(mut status: watch::Receiver<Status>, context: Context) {
    loop {
        let now = status.borrow_and_update().clone();
        if now.verdict != Verdict::Working {
            let _ = write!(io::stderr(), "{CLEAR}");
            return;
        }
        let _ = write!(io::stderr(), "{CLEAR}{}", line(&json::object(&now, &context, 0)));
        tokio::time::sleep(PAUSE).await;
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// A log that shares the terminal with the line: what it says takes the line away first.
#[derive(Debug, Clone, Copy)]
pub struct AboveBar;

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = io::stderr().lock();
        if is_wanted() {
            out.write_all(CLEAR.as_bytes())?;
        }
        out.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `images    [########............]  40 %  34 of 85 MB, 2.1 MB/s, 25 s left  kiwix-serve.tar`
pub fn line(status: &Value) -> String {
    let phase = status["phase"].as_str().unwrap_or("waiting");
    let (done, total) = (status["done"].as_u64().unwrap_or(0), status["total"].as_u64().unwrap_or(0));
    let items = status["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let working = items.iter().find(|item| item["state"] == "working");
    let name = working.and_then(|item| item["name"].as_str()).unwrap_or_default();
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let speed = match speed(status["rate"].as_u64(), status["remaining"].as_u64()) {
        speed if speed.is_empty() => speed,
        speed => format!(", {speed}"),
    };
    let line = match (total, done) {
        (0, 0) => format!("{phase:<9} {name}"),
        (0, done) => format!("{phase:<9} {} MB{speed}  {name}", megabytes(done)),
        _ => {
            let part = (done.min(total) as f64) / (total as f64);
            let full = (part * WIDTH as f64) as usize;
            let bar = "#".repeat(full) + &".".repeat(WIDTH - full);
            let (done, total) = (megabytes(done), megabytes(total));
            format!("{phase:<9} [{bar}] {:3.0} %  {done} of {total} MB{speed}  {name}", part * 100.0)
        }
    };
    line.trim_end().chars().take(LINE).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_line_shows_phase_share_speed_and_item() {
        let mut status = json!({"phase": "images", "done": 34_000_000, "total": 85_000_000,
            "items": [{"kind": "image", "name": "kiwix-serve.tar", "state": "working"}]});
        assert_eq!(line(&status), "images    [########............]  40 %  34 of 85 MB  kiwix-serve.tar");
        (status["rate"], status["remaining"]) = (json!(2_100_000), json!(25));
        assert!(line(&status).contains("34 of 85 MB, 2.1 MB/s, 25 s left  kiwix"));
        assert_eq!(line(&json!({"phase": "card", "done": 0, "total": 0})), "card");
        assert_eq!(line(&json!({"phase": "content", "done": 7_000_000, "total": 0})), "content   7 MB");
        assert_eq!(line(&json!({})), "waiting");
    }

    #[test]
    fn more_done_than_expected_stays_within_the_bar() {
        let status = json!({"phase": "content", "done": 9, "total": 3, "items": []});
        assert!(line(&status).contains("100 %"));
    }
}
