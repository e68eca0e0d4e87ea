//! The container engine.

use super::{Area, Facts};

/// The container engine.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum EngineProblem {
    Silent { why: String },
    Failed { doing: String, why: String },
}

impl EngineProblem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            EngineProblem::Silent { why } => Facts::new(
                "E-ENGINE-SILENT",
                Area::Engine,
                format!("the container engine does not answer: {why}"),
                "switch the box off and on; if it stays so, send OFFSPOT-STATUS.txt to whoever made the card",
            ),
            EngineProblem::Failed { doing, why } => Facts::new(
                "E-ENGINE-FAILED",
                Area::Engine,
                format!("the container engine failed while {doing}: {why}"),
                "switch the box off and on; if it stays so, send OFFSPOT-STATUS.txt to whoever made the card",
            ),
        }
    }
}
