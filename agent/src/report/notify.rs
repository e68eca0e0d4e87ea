//! systemd: `STATUS=` at every step, `READY=1` at the verdict (sd_notify(3)). Silent off systemd.

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::{Status, Verdict, words};

/// Whether systemd listens.
pub fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Follows the status until its verdict is told.
pub async fn follow(mut status: watch::Receiver<Status>) {
    let mut said = String::new();
    loop {
        let (line, done) = {
            let status = status.borrow_and_update();
            (line(&status), status.verdict != Verdict::Working)
        };
        if line != said {
            let mut states = vec![NotifyState::Status(&line)];
            if done {
                states.push(NotifyState::Ready);
            }
            if let Err(error) = sd_notify::notify(&states) {
                tracing::warn!("telling systemd: {error}");
            }
            said = line;
        }
        if done || status.changed().await.is_err() {
            return;
        }
    }
}

fn line(status: &Status) -> String {
    match status.verdict {
        Verdict::Working => words::working(status),
        Verdict::Ready => "READY".into(),
        Verdict::Degraded => format!("DEGRADED, {} problems", status.problems.len()),
        Verdict::Interrupted => "interrupted".into(),
        Verdict::Stopped => "STOPPED, no data partition".into(),
    }
}
