//! How long is waited, and when it is tried again.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A factor on every wait, for those who try slow networks out: `0.05`.
const PACE: &str = "OFFSPOT_FETCH_PACE";
/// Longest wait for a name to be resolved, a connection, or the head of an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// Longest silence of a server that is connected to.
const STALL: Duration = Duration::from_secs(30);
/// The time within which [`LEAST`] must come.
const WINDOW: Duration = Duration::from_secs(120);
/// Bytes that must come within a window, and that a connection must bring to count as progress: a server that drips is as good as silent.
pub const LEAST: u64 = 16 << 10;
/// Wait before the second try; it doubles until [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Longest that a server may ask us to stay away (`Retry-After`); one that asks for more is given up.
const ASKED: Duration = Duration::from_secs(300);
/// An outage that is waited for at a host that has given something before.
const OUTAGE: Duration = Duration::from_secs(240);
/// Tries without progress: at a host that has given something before, the same within an outage, where each takes no time, and at a host that has
/// given nothing.
const TRIES: u32 = 6;
const TRIES_IN_OUTAGE: u32 = 12;
const TRIES_OF_SILENT: u32 = 3;

/// The waits of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    factor: f64,
}

impl Pace {
    /// As the environment says; real time unless it says otherwise.
    pub fn of_environment() -> Pace {
        let said = std::env::var(PACE).ok().and_then(|text| text.parse().ok());
        Pace { factor: said.filter(|factor| (0.001..=1.0).contains(factor)).unwrap_or(1.0) }
    }

    fn scaled(&self, wait: Duration) -> Duration {
        wait.mul_f64(self.factor)
    }

    /// Longest wait for a name, a connection, or the head of an answer. Short ones are not scaled below what a busy machine needs.
    pub fn answer(&self) -> Duration {
        self.scaled(ANSWER).max(Duration::from_millis(1500))
    }

    /// Longest silence within an answer.
    pub fn stall(&self) -> Duration {
        self.scaled(STALL).max(Duration::from_millis(1500))
    }

    /// The time within which [`LEAST`] must come.
    pub fn window(&self) -> Duration {
        self.scaled(WINDOW)
    }

    /// How often a host is asked that has brought nothing since a while, and before may have been `alive`.
    pub fn tries(&self, alive: bool, since: Duration) -> u32 {
        match alive {
            true if since < self.scaled(OUTAGE) => TRIES_IN_OUTAGE,
            true => TRIES,
            false => TRIES_OF_SILENT,
        }
    }

    /// How long to wait before the next try; `failures` in a row so far, at least 1. Differs by chance, so that a hundred boxes that lost one
    /// server do not come back to it at once.
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = FIRST.saturating_mul(1 << (failures.saturating_sub(1)).min(8)).min(LONGEST);
        self.scaled(doubled.mul_f64(0.5 + 0.5 * chance()))
    }

    /// Whether servers may ask us to stay away for so long in all.
    pub fn asked_in_all(&self, waits: Duration) -> bool {
        waits <= self.scaled(ASKED)
    }

    /// How long to stay away from a server that asks for it; none where that is too long.
    pub fn asked(&self, wait: Duration) -> Option<Duration> {
        (wait <= ASKED).then(|| self.scaled(wait))
    }
}

/// A number from 0 to 1 that nobody needs to be unable to guess.
fn chance() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.tv_nsec());
    let mixed = now.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id());
    (mixed >> 40) as f64 / (1_u64 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let pace = Pace { factor: 1.0 };
        for (failures, most) in [(1, 1), (2, 2), (3, 4), (6, 30), (40, 30)] {
            let pause = pace.pause(failures);
            assert!(
                pause <= Duration::from_secs(most) && pause * 2 >= Duration::from_secs(most),
                "{failures}: {pause:?}"
            );
        }
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|_| pace.pause(5)).collect();
        assert!(pauses.len() > 50, "{}", pauses.len());
        assert_eq!((pace.asked(ASKED), pace.asked(ASKED * 2)), (Some(ASKED), None));
    }
}
