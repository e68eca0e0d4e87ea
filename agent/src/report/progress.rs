//! How far something is, how fast it goes, and how long it may take.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The time over which a rate is taken: long enough to be steady, short enough to show a link that broke.
const WINDOW: Duration = Duration::from_secs(8);
/// Before this much of it a rate would be a guess.
const SENSIBLE: Duration = Duration::from_millis(500);

/// Bytes of something.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0 where unknown.
    pub total: u64,
    /// When the rate's window and the one before it began, and how many bytes had moved by then.
    marks: [(Instant, u64); 2],
    /// Bytes that moved here and now; what was there before is done, but says nothing of speed.
    moved: u64,
}

impl Progress {
    /// Nothing done of so much.
    pub fn of(total: u64) -> Progress {
        let now = (Instant::now(), 0);
        Progress { done: 0, total, marks: [now, now], moved: 0 }
    }

    /// So much done before of so much.
    pub fn at(done: u64, total: u64) -> Progress {
        Progress { done, ..Progress::of(total) }
    }

    /// So many bytes more.
    pub fn add(&mut self, bytes: u64) {
        self.add_at(bytes, Instant::now());
    }

    fn add_at(&mut self, bytes: u64, now: Instant) {
        self.done += bytes;
        self.moved += bytes;
        let [_, newer] = self.marks;
        if now.duration_since(newer.0) >= WINDOW {
            self.marks = [newer, (now, self.moved)];
        }
    }

    /// Bytes a second lately; none where it is too early to say.
    pub fn rate(&self) -> Option<u64> {
        self.rate_at(Instant::now())
    }

    fn rate_at(&self, now: Instant) -> Option<u64> {
        let (since, before) = self.marks[0];
        let took = now.duration_since(since);
        let moved = self.moved - before;
        (took >= SENSIBLE && moved > 0).then(|| (moved as f64 / took.as_secs_f64()) as u64)
    }

    /// Seconds that the rest may take.
    pub fn remaining(&self) -> Option<u64> {
        let left = self.total.checked_sub(self.done).filter(|_| self.total > 0)?;
        self.rate().filter(|rate| *rate > 0).map(|rate| left.div_ceil(rate))
    }

    /// `done`, `total`, `rate` (bytes a second) and `remaining` (seconds).
    pub fn to_json(&self) -> Value {
        json!({ "done": self.done, "total": self.total, "rate": self.rate(), "remaining": self.remaining() })
    }
}

/// `1.2 MB/s, 12 min left`, as far as it is known.
pub fn speed(rate: Option<u64>, remaining: Option<u64>) -> String {
    let rate = rate.map(|rate| match rate {
        0..1_000_000 => format!("{} kB/s", rate / 1000),
        _ => format!("{}.{} MB/s", rate / 1_000_000, rate / 100_000 % 10),
    });
    let remaining = remaining.map(|seconds| match seconds {
        0..90 => format!("{seconds} s left"),
        90..7200 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{} h left", seconds.div_ceil(3600)),
    });
    rate.into_iter().chain(remaining).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut progress = Progress::of(1_000_000);
        let begun = progress.marks[0].0;
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert_eq!(progress.rate_at(begun), None);
        for second in 1..=20 {
            progress.add_at(10_000, at(second));
        }
        assert_eq!(progress.rate_at(at(20)), Some(10_000));
        // The link broke: it goes down, and up again once it is mended.
        let broken = progress.rate_at(at(40)).unwrap();
        assert!(broken < 5_000, "{broken}");
        assert_eq!((progress.done, progress.moved), (200_000, 200_000));
    }

    #[test]
    fn what_was_there_before_says_nothing_of_speed() {
        let mut progress = Progress::of(100);
        progress.done = 90;
        assert_eq!(progress.rate_at(progress.marks[0].0 + WINDOW), None);
        progress.add(1);
        assert_eq!(progress.done, 91);
    }

    #[test]
    fn in_words() {
        assert_eq!(speed(Some(1_234_567), Some(700)), "1.2 MB/s, 12 min left");
        assert_eq!(speed(Some(900), Some(5)), "0 kB/s, 5 s left");
        assert_eq!(speed(Some(64_000), Some(90_000)), "64 kB/s, 25 h left");
        assert_eq!(speed(None, None), "");
    }
}
