//! What time it is, on a board that does not know: never earlier than what is known to have been, and never a reason not to fetch.
//!
//! A Pi without a network starts at the time its system was built, or at 1970. A certificate that is "not yet valid" then says more of the clock
//! than of the server. So certificates are judged by the latest of: the system's clock, the last thing this card wrote, and what a server whose
//! certificate is good otherwise has said in its `Date` (RFC 9110, 6.6.1). The clock itself is not set here, and no time is ever taken back.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Further than this from the system's clock is worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(86_400);
/// Nobody has a certificate from further ahead than this: a board that believes it is 1970 has one from 2026.
const AHEAD: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The latest time known.
#[derive(Debug, Default)]
pub struct Clock {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// It is at least this late, since 1970: this program was built then.
    built: Duration,
    /// It is at least this late, as far as this card was right about the time before.
    floor: Duration,
    /// What a certificate under examination claims, until that has proved good.
    claimed: Duration,
    told: bool,
}

impl Clock {
    /// It is at least as late as when this was built, whatever else turns out to be wrong.
    pub fn built(&self, program: &Path) {
        self.known().built = written(program).unwrap_or_default();
    }

    /// It is at least as late as when any of these was written.
    pub fn not_before<'p>(&self, files: impl IntoIterator<Item = &'p Path>) {
        self.raise(files.into_iter().filter_map(written).max().unwrap_or_default());
    }

    fn raise(&self, to: Duration) {
        let mut known = self.known();
        known.floor = known.floor.max(to);
    }

    /// Since 1970: the system's clock, or what is known to be later.
    pub fn now(&self) -> Duration {
        let known = self.known();
        system().max(known.built).max(known.floor).max(known.claimed)
    }

    /// A certificate begins to be valid only then; whether it makes sense to try again as if it were so.
    pub fn claim(&self, not_before: Duration) -> bool {
        let now = self.now();
        let sensible = not_before > now && not_before - now < AHEAD;
        if sensible {
            self.known().claimed = not_before + Duration::from_secs(1);
        }
        sensible
    }

    /// What came of the claim: where the server proved good it is at least as late as that.
    pub fn settle(&self, good: bool) {
        let mut known = self.known();
        let claimed = std::mem::take(&mut known.claimed);
        if good {
            known.floor = known.floor.max(claimed);
        }
    }

    /// Sets aside what this card wrote and heard, which may have been while its clock was ahead; that, if it is now another time without it.
    pub fn doubt(&self) -> Option<Duration> {
        let mut known = self.known();
        let floor = known.floor;
        let later = floor > system().max(known.built);
        later.then(|| std::mem::take(&mut known.floor))
    }

    /// What was set aside was right.
    pub fn restore(&self, floor: Duration) {
        self.raise(floor);
    }

    /// A server whose certificate is good says what time it is.
    pub fn heard(&self, date: &str) {
        let said = httpdate::parse_http_date(date).ok().and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        if let Some(said) = said.filter(|said| said.saturating_sub(self.now()) < AHEAD) {
            self.raise(said);
        }
    }

    /// A sentence for the report where the system's clock was not believed; once.
    pub fn note(&self) -> Option<String> {
        let (system, now) = (system(), self.now());
        let mut known = self.known();
        if known.told || now.saturating_sub(system) < WORTH_TELLING {
            return None;
        }
        known.told = true;
        let shown = |time: Duration| httpdate::fmt_http_date(UNIX_EPOCH + time);
        Some(format!(
            "the clock of this box says {}, but it is {} or later: that was used to judge certificates",
            shown(system),
            shown(now)
        ))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.now()))
    }
}

fn written(path: &Path) -> Option<Duration> {
    path.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()
}

fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_proved_good_moves_it_and_only_forward() {
        let (clock, year) = (Clock::default(), Duration::from_secs(365 * 86_400));
        let begun = clock.now();
        assert!(clock.note().is_none());
        assert!(!clock.claim(begun - year) && !clock.claim(begun + AHEAD * 2));
        assert!(clock.claim(begun + year) && clock.now() > begun + year);
        clock.settle(false);
        assert!(clock.now() < begun + year);
        assert!(clock.claim(begun + year));
        clock.settle(true);
        assert!(clock.now() > begun + year);
        clock.heard(&httpdate::fmt_http_date(UNIX_EPOCH + begun));
        assert!(clock.now() > begun + year);
        clock.heard(&httpdate::fmt_http_date(UNIX_EPOCH + begun + 2 * year));
        assert!(clock.now() + Duration::from_secs(1) >= begun + 2 * year);
        assert!(clock.note().is_some_and(|note| note.contains("or later")) && clock.note().is_none());
    }

    #[test]
    fn what_this_card_wrote_may_be_doubted_and_what_it_was_built_with_may_not() {
        let (clock, program) = (Clock::default(), std::env::current_exe().unwrap());
        clock.built(&program);
        assert_eq!(clock.doubt(), None, "there is nothing to doubt");
        let later = clock.now() + Duration::from_secs(365 * 86_400);
        clock.raise(later);
        assert_eq!(clock.doubt(), Some(later));
        assert!(clock.now() < later && clock.now() >= written(&program).unwrap());
        clock.restore(later);
        assert_eq!(clock.now(), later);
    }
}
