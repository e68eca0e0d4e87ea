//! `/run/offspot/status.json`: the live twin of the status, replaced by rename, at least every five seconds while working.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::{Context, Status, Verdict, json};

const AT_LEAST: Duration = Duration::from_secs(5);
/// Least time between two writes: fast enough for a progress bar, and nothing on a tmpfs.
const AT_MOST: Duration = Duration::from_millis(250);

/// Where it lies below the run folder.
pub fn path(run: &Path) -> PathBuf {
    run.join("status.json")
}

/// Writes the status once.
pub fn write(run: &Path, status: &Status, context: &Context, seq: u64) -> io::Result<()> {
    let staged = run.join("status.json.part");
    std::fs::write(&staged, json::sealed(&json::object(status, context, seq)) + "\n")?;
    std::fs::rename(staged, path(run))
}

/// Follows the status until its verdict is written.
pub async fn follow(run: PathBuf, mut status: watch::Receiver<Status>, context: Context) {
    let mut seq = 1;
    loop {
        seq += 1;
        let snapshot = status.borrow_and_update().clone();
        // A full tmpfs must not end the story: the files on the boot partition say the same.
        if let Err(error) = write(&run, &snapshot, &context, seq) {
            tracing::warn!("writing the live status: {error}");
        }
        if snapshot.verdict != Verdict::Working {
            return;
        }
        let until_verdict = status.wait_for(|status| status.verdict != Verdict::Working);
        let gone = matches!(tokio::time::timeout(AT_MOST, until_verdict).await, Ok(Err(_)));
        if gone || matches!(tokio::time::timeout(AT_LEAST, status.changed()).await, Ok(Err(_))) {
            return;
        }
    }
}
