//! Many checks of one thing: each is told, and one that fails does not hide the others.

use crate::suite::Count;

/// Checks so far.
#[derive(Debug, Default)]
pub struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    /// Something that must hold; `seen` is told where it does not.
    pub fn hold(&mut self, holds: bool, what: &str, seen: impl std::fmt::Display) {
        if holds {
            self.passed += 1;
            println!("  holds  {what}");
        } else {
            self.failed += 1;
            println!("  FAILS  {what}; seen: {seen}");
        }
    }

    /// That `seen` is just `wanted`.
    pub fn equal(&mut self, seen: &str, wanted: &str, what: &str) {
        self.hold(seen == wanted, what, format!("{seen:?} instead of {wanted:?}"));
    }

    /// The sums.
    pub fn count(&self) -> Count {
        Count { passed: self.passed, failed: self.failed }
    }
}
