//! Why an entry fails, on its way up through readers and writers as an [`io::Error`], and what a report says of it.

use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::fetch::Unanswered;
use crate::problem::{ContentProblem, Problem, SpaceProblem};

/// A failure that is neither the archive's own nor the card's.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// Its bytes do not come; `again`: another try may do better.
    Source { why: String, again: bool },
    /// Its bytes are others than asked for.
    Checksum { expected: String, found: String },
    /// Its bytes are more or fewer than asked for.
    Size { expected: u64, found: String },
    /// It says itself that it is damaged, and lies here now.
    Damaged { expected: String, found: String, aside: String },
    /// Its place is not one for content.
    Outside(String),
    /// Its place is taken by something that is not ours.
    NotOurs,
    /// It is larger than what is free.
    NoRoom { need: u64, have: u64 },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> io::Error {
        io::Error::other(trouble)
    }
}

/// The trouble that an error carries, if any.
pub fn of(error: &io::Error) -> Option<&Trouble> {
    error.get_ref()?.downcast_ref()
}

impl Trouble {
    /// What the network says.
    pub fn of_network(no: Unanswered) -> Trouble {
        let size = no.length.filter(|_| no.expected.is_some());
        match (size, no.expected) {
            (Some(found), Some(expected)) => Trouble::Size { expected, found: found.to_string() },
            // The beginning is unpacked already: only all of it again makes sense.
            _ => Trouble::Source { why: no.why, again: no.changed },
        }
    }
}

/// Whether another place may have better bytes.
pub fn is_of_source(error: &io::Error) -> bool {
    match of(error) {
        Some(Trouble::Source { .. } | Trouble::Checksum { .. } | Trouble::Size { .. } | Trouble::Damaged { .. }) => {
            true
        }
        Some(Trouble::Outside(_) | Trouble::NotOurs | Trouble::NoRoom { .. }) => false,
        // Neither the system's nor ours: a decoder's.
        None => error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Interrupted,
    }
}

/// Whether its bytes did not come to their end.
pub fn broke_off(error: &io::Error) -> bool {
    matches!(of(error), Some(Trouble::Source { .. }))
}

/// Whether another server may have other bytes, and better ones; `proved`: a digest says whether they are the right ones.
pub fn may_differ(error: &io::Error, proved: bool) -> bool {
    matches!(of(error), Some(Trouble::Checksum { .. } | Trouble::Size { .. })) || !proved && is_of_source(error)
}

/// Whether it may be the fault of what was stored to be unpacked: another version may come, or it leaves too little room for itself.
pub fn may_be_of_stored(error: &io::Error, proved: bool) -> bool {
    let full = matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOSPC | Errno::EDQUOT));
    full || may_differ(error, proved) || matches!(of(error), Some(Trouble::NoRoom { .. }))
}

/// Which of two failures to report: wrong bytes say more than none.
pub fn worse(earlier: Option<io::Error>, error: io::Error) -> io::Error {
    match (earlier, of(&error)) {
        (Some(earlier), Some(Trouble::Source { .. })) if !matches!(of(&earlier), Some(Trouble::Source { .. })) => {
            earlier
        }
        _ => error,
    }
}

/// Whether another try may do better.
pub fn again(error: &io::Error) -> bool {
    matches!(of(error), Some(Trouble::Source { again: true, .. }))
}

/// What a report says of `error`, which befell `item`.
pub fn problem(item: &str, error: &io::Error) -> Problem {
    let item = item.to_owned();
    match of(error).cloned() {
        Some(Trouble::Source { why, .. }) => ContentProblem::Fetch { item, why }.into(),
        Some(Trouble::Checksum { expected, found }) => ContentProblem::Checksum { item, expected, found }.into(),
        Some(Trouble::Damaged { expected, found, aside }) => {
            ContentProblem::Damaged { item, expected, found, aside }.into()
        }
        Some(Trouble::Size { expected, found }) => ContentProblem::Size { item, expected, found }.into(),
        Some(Trouble::Outside(why)) => ContentProblem::Outside { item, why }.into(),
        Some(Trouble::NotOurs) => ContentProblem::NotOurs { item }.into(),
        Some(Trouble::NoRoom { need, have }) => SpaceProblem::Bytes { item, need, have }.into(),
        None => from_system(item, error),
    }
}

/// Sources mark their errors, so that one with a number comes from the card, and one without from a decoder.
fn from_system(item: String, error: &io::Error) -> Problem {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => SpaceProblem::Full { item }.into(),
        Some(Errno::EXDEV | Errno::ELOOP) => {
            let why = "a link on its way leads out of it, or another disk is mounted there".into();
            ContentProblem::Outside { item, why }.into()
        }
        Some(_) => ContentProblem::Write { item, why: error.to_string() }.into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            ContentProblem::Archive { item, why: "it ends too early".into() }.into()
        }
        None => ContentProblem::Archive { item, why: error.to_string() }.into(),
    }
}
