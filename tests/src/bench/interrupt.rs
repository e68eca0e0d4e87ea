//! Ctrl-C, and a plain kill, end the benchmark between two steps: everything that was started is then taken down as after a failure.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::tool::{Doing, Failure, Outcome};

static PRESSED: AtomicBool = AtomicBool::new(false);

/// From now on both signals only leave a mark.
pub fn listen() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("waiting for signals")?;
    let _inside = runtime.enter();
    let mut kill = signal(SignalKind::terminate()).doing("waiting for signals")?;
    let mut press = signal(SignalKind::interrupt()).doing("waiting for signals")?;
    drop(_inside);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = kill.recv() => {}, _ = press.recv() => {} }
        });
        PRESSED.store(true, Ordering::Relaxed);
        // Whoever signals again wants it to end at once: the next run takes away what this one leaves.
        runtime.block_on(async {
            tokio::select! { _ = kill.recv() => {}, _ = press.recv() => {} }
        });
        std::process::exit(130);
    });
    Ok(())
}

/// A failure once one of them came.
pub fn check() -> Outcome<()> {
    if PRESSED.load(Ordering::Relaxed) { Err(Failure::new("interrupted")) } else { Ok(()) }
}
