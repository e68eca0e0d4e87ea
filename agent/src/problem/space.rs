//! Bytes, inodes and memory that are not there.

use super::{Area, Facts};

/// Bytes, inodes and memory that are not there.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum SpaceProblem {
    Bytes { item: String, need: u64, have: u64 },
    Inodes { item: String, need: u64, have: u64 },
    Memory { item: String, need: u64, have: u64 },
    Full { item: String },
}

impl SpaceProblem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            SpaceProblem::Bytes { item, need, have } => Facts::new(
                "E-SPACE-BYTES",
                Area::Space,
                format!("{item} needs {need} bytes and the data partition has {have} left"),
                "use a larger card, or remove something from it",
            ),
            SpaceProblem::Inodes { item, need, have } => Facts::new(
                "E-SPACE-INODES",
                Area::Space,
                format!("{item} needs {need} files and the data partition can hold {have} more"),
                "use a larger card, or remove something from it",
            ),
            SpaceProblem::Memory { item, need, have } => Facts::new(
                "E-SPACE-MEMORY",
                Area::Space,
                format!("{item} needs {need} bytes of memory and this board has {have}"),
                "use a board with more memory, or leave it out",
            ),
            SpaceProblem::Full { item } => Facts::new(
                "E-SPACE-FULL",
                Area::Space,
                format!("the data partition ran full while placing {item}"),
                "use a larger card, or remove something from it",
            ),
        }
    }
}
