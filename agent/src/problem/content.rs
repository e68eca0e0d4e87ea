//! Files and archives of `files`.

use super::{Area, Facts};

/// Files and archives of `files`.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum ContentProblem {
    Checksum { item: String, expected: String, found: String },
    Damaged { item: String, expected: String, found: String, aside: String },
    Size { item: String, expected: u64, found: String },
    Fetch { item: String, why: String },
    Outside { item: String, why: String },
    NotOurs { item: String },
    Archive { item: String, why: String },
    Write { item: String, why: String },
}

impl ContentProblem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            ContentProblem::Checksum { item, expected, found } => Facts::new(
                "E-TRUST-CHECKSUM",
                Area::ContentTrust,
                format!("{item} has checksum {found}, expected {expected}"),
                "the file is damaged or another one: copy or fetch it again, or correct the checksum in offspot.yaml",
            ),
            ContentProblem::Damaged { item, expected, found, aside } => Facts::new(
                "E-TRUST-ZIM",
                Area::ContentTrust,
                format!(
                    "{item} is damaged: by its own checksum it should be {expected}, and is {found}; it was set aside as {aside}"
                ),
                "copy or fetch it again; if that does not help the one that is offered there is damaged",
            ),
            ContentProblem::Size { item, expected, found } => Facts::new(
                "E-CONTENT-SIZE",
                Area::Content,
                format!("{item} has {found} bytes, expected {expected}"),
                "the file is cut short or another one: copy or fetch it again, or correct the size in offspot.yaml",
            ),
            ContentProblem::Fetch { item, why } => Facts::new(
                "E-FETCH-CONTENT",
                Area::Content,
                format!("{item} could not be fetched: {why}"),
                "connect the box to the internet, or put the file on the card",
            ),
            ContentProblem::Outside { item, why } => Facts::new(
                "E-CONTENT-OUTSIDE",
                Area::Content,
                format!("{item} would not lie below /data: {why}"),
                "choose another path for it in offspot.yaml",
            ),
            ContentProblem::NotOurs { item } => Facts::new(
                "E-CONTENT-NOT-OURS",
                Area::Content,
                format!("{item} exists already and was not placed by this box, so it was left alone"),
                format!("move it away, or run offspot-agent run --replace {item}"),
            ),
            ContentProblem::Archive { item, why } => Facts::new(
                "E-CONTENT-ARCHIVE",
                Area::Content,
                format!("{item} could not be unpacked: {why}"),
                "make the archive again, or correct its via in offspot.yaml",
            ),
            ContentProblem::Write { item, why } => Facts::new(
                "E-CONTENT-WRITE",
                Area::Content,
                format!("{item} could not be written: {why}"),
                "look at the card: if other files fail too replace it",
            ),
        }
    }
}
