//! When something that does not hold is tried again. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Pause after the first try, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// What holds this long is well: the next try, should there be one, is a first one.
pub const WELL: Duration = Duration::from_secs(300);

/// The tries of one thing: nine before the pace is the longest, then twelve to sixteen an hour; at most 25 in any hour.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    tries: u32,
    next: Option<Instant>,
    well_since: Option<Instant>,
}

impl Pace {
    /// How often it was tried since it was last well for a while.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// When it may be tried; none: now.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// It was tried just now, whether that helped or not. `chance` from 0 to 1 spreads the next try over a quarter of the pause.
    pub fn tried(&mut self, now: Instant, chance: f64) {
        let pause = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        self.next = Some(now + pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0));
        self.well_since = None;
    }

    /// How it is now; true once it has been well for a while, and all is forgotten.
    pub fn seen(&mut self, well: bool, now: Instant) -> bool {
        if !well {
            self.well_since = None;
            return false;
        }
        let since = *self.well_since.get_or_insert(now);
        let over = now.duration_since(since) >= WELL;
        if over {
            *self = Pace { well_since: Some(since), ..Pace::default() };
        }
        over
    }
}

/// A number from 0 to 1, another at every call.
pub fn chance() -> f64 {
    use std::hash::BuildHasher;
    // The standard library seeds its maps at random.
    let random = std::collections::hash_map::RandomState::new().hash_one(0);
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_holds_is_tried_often_at_first_and_twelve_times_an_hour_in_the_end() {
        for chance in [0.0, 0.5, 1.0] {
            let (begun, mut pace, mut now) = (Instant::now(), Pace::default(), Instant::now());
            let mut tries = Vec::new();
            while tries.len() < 60 {
                now = pace.next(now).unwrap_or(now);
                tries.push(now - begun);
                pace.tried(now, chance);
            }
            assert!(tries[1] >= Duration::from_millis(750) && tries[4] < Duration::from_secs(16), "{tries:?}");
            for from in &tries {
                let hour = from.saturating_add(Duration::from_secs(3600));
                let within = tries.iter().filter(|at| (*from..hour).contains(at)).count();
                assert!(within < 26, "{within} in an hour, chance {chance}");
            }
            assert!(tries[40] - tries[39] <= LONGEST && tries[40] - tries[39] >= LONGEST.mul_f64(0.74));
        }
    }

    #[test]
    fn what_was_well_for_a_while_begins_again_and_what_was_not_does_not() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.tried(now, 0.0);
        pace.tried(now, 0.0);
        assert!(!pace.seen(true, now));
        assert!(!pace.seen(false, now + WELL / 2), "it broke again");
        assert!(!pace.seen(true, now + WELL));
        assert_eq!(pace.tries(), 2);
        assert!(pace.seen(true, now + WELL * 2));
        assert_eq!((pace.tries(), pace.next(now)), (0, None));
    }
}
