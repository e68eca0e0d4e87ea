//! Log: the journal under systemd, stderr elsewhere.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. `JOURNAL_STREAM` is set by systemd where stderr goes to the journal (systemd.exec(5)).
pub fn start() {
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let stderr = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_target(false).with_ansi(false)
    });
    // A second start within one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(LevelFilter::INFO).with(journal).with(stderr).try_init();
}
