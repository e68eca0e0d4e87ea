//! SIGINT and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears signals from its making on.
#[derive(Debug)]
pub struct Interrupt {
    signals: Option<(Signal, Signal)>,
}

impl Interrupt {
    /// Where signals cannot be heard, none ever comes: they then end the program by themselves.
    pub fn new() -> Interrupt {
        let signals = signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok());
        Interrupt { signals }
    }

    /// Waits for the next one.
    pub async fn comes(&mut self) {
        let Some((interrupt, terminate)) = &mut self.signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

impl Default for Interrupt {
    fn default() -> Self {
        Interrupt::new()
    }
}
