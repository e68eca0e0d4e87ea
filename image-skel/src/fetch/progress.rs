//! How far the fetching is: a bar where someone looks, a line for each package elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Says on standard error what is done.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    done: AtomicUsize,
    all: usize,
}

impl Progress {
    /// Of `all` packages with `bytes` bytes to fetch. Says nothing where `wanted` is false or there is nothing to do.
    pub fn new(wanted: bool, all: usize, bytes: u64) -> Progress {
        let wanted = wanted && all > 0;
        let looked_at = std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
        let bar = style.ok().filter(|_| wanted && looked_at).map(|style| ProgressBar::new(bytes).with_style(style));
        Progress { lines: wanted && bar.is_none(), bar, done: AtomicUsize::new(0), all }
    }

    /// So many bytes more came.
    pub fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// This package is there.
    pub fn done(&self, package: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_message(package.to_owned());
        }
        if self.lines {
            eprintln!("fetched {done}/{} {package}", self.all);
        }
    }

    /// Something worth knowing that stops nothing. It is said even where progress is not wanted.
    pub fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{what}")),
            None => eprintln!("{what}"),
        }
    }

    /// All is there, or nothing more comes.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
