//! Log: the journal under systemd, stderr elsewhere.

use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging.
pub fn start() {
    let journal = is_journal(std::io::stderr()).then(|| tracing_journald::layer().ok()).flatten();
    let stderr = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(|| super::bar::AboveBar)
            .without_time()
            .with_target(false)
            .with_ansi(false)
    });
    // A second start within one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(LevelFilter::INFO).with(journal).with(stderr).try_init();
}

/// `JOURNAL_STREAM` names device and inode of the journal's socket (systemd.exec(5)); a child with another stderr may inherit it.
fn is_journal(stream: impl AsFd) -> bool {
    let (Ok(named), Ok(stat)) = (std::env::var("JOURNAL_STREAM"), fstat(stream)) else { return false };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}
