//! `offspot.yaml`, and what is kept of it.

use offspot_config::Finding;

use super::{Area, Facts};

/// `offspot.yaml`, and what is kept of it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
pub enum SettingsProblem {
    Missing,
    Unreadable { file: String, why: String },
    Found(Box<Finding>),
    LastGoodDamaged { why: String },
    NotKept { why: String },
}

impl SettingsProblem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        let of = |code, sentence, advice: &str| Facts::new(code, Area::Settings, sentence, advice);
        match self {
            SettingsProblem::Missing => of(
                "E-CFG-MISSING",
                "there is no offspot.yaml on the boot partition".into(),
                "put one there; until then the box keeps its last good settings",
            ),
            SettingsProblem::Unreadable { file, why } => of(
                "E-CFG-UNREADABLE",
                format!("{file} could not be read: {why}"),
                "copy it to the card again; until then the box keeps its last good settings",
            ),
            SettingsProblem::Found(finding) => of(finding.code, place(finding), &finding.advice),
            SettingsProblem::LastGoodDamaged { why } => of(
                "E-CFG-LAST-GOOD",
                format!("the settings kept from earlier boots are damaged: {why}"),
                "none needed while offspot.yaml says all: the file is written anew from it",
            ),
            SettingsProblem::NotKept { why } => of(
                "E-CFG-NOT-KEPT",
                format!("the settings could not be kept for the next boot: {why}"),
                "the root partition may be full or worn out: replace the card if it happens again",
            ),
        }
    }
}

fn place(finding: &Finding) -> String {
    let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
    match finding.at {
        Some(at) => format!("offspot.yaml line {}, column {}: {key}{}", at.line, at.column, finding.message),
        None => format!("offspot.yaml: {key}{}", finding.message),
    }
}
