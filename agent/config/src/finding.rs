//! What is wrong, or odd, in a file: code, place, sentence and way out.

use crate::node::Position;
use crate::{code, excerpt, path};

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

/// Something wrong with a value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do about it, one sentence.
    pub advice: String,
}

impl Complaint {
    /// A complaint with this code.
    pub fn new(code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Complaint {
        Complaint { code, message: message.into(), advice: advice.into() }
    }

    /// A value that its key does not allow.
    pub fn value(message: impl Into<String>, advice: impl Into<String>) -> Complaint {
        Complaint::new(code::VALUE, message, advice)
    }
}

/// Most findings worth listing; a hostile file has millions.
const LIMIT: usize = 100;

/// Beyond this many, whole top-level keys are refused: memory stays bounded.
const FINE_REFUSALS: usize = 1000;

/// Collects findings about one text, and which keys they refuse.
#[derive(Debug)]
pub struct Findings<'t> {
    text: &'t str,
    list: Vec<Finding>,
    refused: Refused,
    refuses_unknown: bool,
}

/// What findings leave behind beside their list: the keys, services and entries that are refused, by path.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    paths: std::collections::BTreeSet<String>,
    /// Findings beyond the limit of the list.
    unlisted: usize,
    /// How many of those are errors.
    unlisted_errors: usize,
}

impl Refused {
    /// Refuses what this path belongs to; false if it was refused already.
    pub fn insert(&mut self, path: &str) -> bool {
        let coarse = self.paths.len() >= FINE_REFUSALS;
        let end = if coarse { path.find(['.', '[']).unwrap_or(path.len()) } else { path.len() };
        self.paths.insert(path[..end].to_string())
    }

    /// Whether this path, something below it or something it lies in is refused.
    pub fn touches(&self, path: &str) -> bool {
        self.paths.iter().any(|refused| path::is_within(refused, path) || path::is_within(path, refused))
    }

    /// Whether `parent` is refused for something that is not below `children`, a path in it.
    pub fn touches_beside(&self, parent: &str, children: &str) -> bool {
        let within = |refused: &&String| path::is_within(refused, parent);
        self.paths.iter().filter(within).any(|refused| refused == children || !path::is_within(refused, children))
    }
}

impl<'t> Findings<'t> {
    /// Nothing found yet in this text.
    pub fn new(text: &'t str) -> Findings<'t> {
        Findings { text, list: Vec::new(), refused: Refused::default(), refuses_unknown: false }
    }

    /// Goes on from what reading has found.
    pub fn resume(text: &'t str, mut list: Vec<Finding>, refused: Refused) -> Findings<'t> {
        list.retain(|finding| finding.code != code::MORE);
        Findings { text, list, refused, refuses_unknown: false }
    }

    /// From here on, keys that nothing reads are errors.
    pub fn refuse_unknown(&mut self) {
        self.refuses_unknown = true;
    }

    /// From here on, keys that nothing reads are kept with a warning.
    pub fn keep_unknown(&mut self) {
        self.refuses_unknown = false;
    }

    /// Whether keys that nothing reads are errors.
    pub fn refuses_unknown(&self) -> bool {
        self.refuses_unknown
    }

    /// Whether further findings are counted, not listed: no need to find the best words.
    pub fn is_full(&self) -> bool {
        self.list.len() >= LIMIT && (!self.refuses_unknown || self.last_warning().is_none())
    }

    /// A separate list about the same text, for an attempt that may come to nothing.
    pub fn fork(&self) -> Findings<'t> {
        Findings::new(self.text)
    }

    /// Takes over what an attempt has found.
    pub fn adopt(&mut self, attempt: Findings<'t>) {
        self.refused.paths.extend(attempt.refused.paths);
        self.refused.unlisted += attempt.refused.unlisted;
        self.refused.unlisted_errors += attempt.refused.unlisted_errors;
        for finding in attempt.list {
            if self.make_room(finding.severity) {
                self.list.push(finding);
            }
        }
    }

    /// An error: refuses its key.
    pub fn error(&mut self, key: &str, at: Option<Position>, complaint: Complaint) {
        self.refused.insert(key);
        self.push(Severity::Error, key, at, complaint);
    }

    /// A warning: its key is taken.
    pub fn warning(&mut self, key: &str, at: Option<Position>, complaint: Complaint) {
        self.push(Severity::Warning, key, at, complaint);
    }

    /// What is refused so far.
    pub fn refused(&mut self) -> &mut Refused {
        &mut self.refused
    }

    /// The findings in the order of the file, and what they refuse.
    pub fn finish(mut self) -> (Vec<Finding>, Refused) {
        self.list.sort_by_key(|finding| finding.at);
        if self.refused.unlisted > 0 {
            let message = format!("{} more problems are not listed", self.refused.unlisted);
            let severity = if self.refused.unlisted_errors > 0 { Severity::Error } else { Severity::Warning };
            let advice = "Repair the ones above first.".to_string();
            self.list.push(Finding {
                code: code::MORE,
                severity,
                key: String::new(),
                at: None,
                message,
                advice,
                excerpt: None,
            });
        }
        (self.list, self.refused)
    }

    fn push(&mut self, severity: Severity, key: &str, at: Option<Position>, complaint: Complaint) {
        if !self.make_room(severity) {
            return;
        }
        let excerpt = at.and_then(|at| excerpt::excerpt(self.text, at, excerpt::hidden(key)));
        let Complaint { code, message, advice } = complaint;
        self.list.push(Finding { code, severity, key: key.to_string(), at, message, advice, excerpt });
    }

    /// Whether one more finding can be listed; it is counted if not. An error takes the place of the last warning.
    fn make_room(&mut self, severity: Severity) -> bool {
        if self.list.len() < LIMIT {
            return true;
        }
        self.refused.unlisted += 1;
        match (severity, self.last_warning()) {
            (Severity::Error, Some(warning)) => {
                self.list.remove(warning);
                true
            }
            (Severity::Error, None) => {
                self.refused.unlisted_errors += 1;
                false
            }
            (Severity::Warning, _) => false,
        }
    }

    fn last_warning(&self) -> Option<usize> {
        self.list.iter().rposition(|finding| finding.severity == Severity::Warning)
    }
}
