//! What is wrong, or odd, in a file: code, place, sentence and way out.

use crate::node::Position;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Taken, but worth a look.
    Warning,
    /// The key (or service, or entry) that holds it is refused.
    Error,
}

/// One thing found in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Stable code, `E-CFG-…`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The key it is about, dotted: `ap.ssid`, `containers.services.kiwix.ports[0]`; empty for the whole file.
    pub key: String,
    /// Where it stands; none for the whole file.
    pub at: Option<Position>,
    /// What is wrong, one sentence; never holds a passphrase.
    pub message: String,
    /// What to do about it, one sentence.
    pub advice: String,
    /// The offending line and a caret below it, where there is one; secrets masked.
    pub excerpt: Option<String>,
}
