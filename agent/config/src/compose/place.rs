//! A value, its dotted key and what was found in it: the reader's cursor.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use super::words;
use crate::node::{Node, Value};
use crate::{Finding, Severity, code, path};

/// Most findings of one service that are kept: a hostile file has millions. Errors are kept longest, for they refuse.
const MOST: usize = 100;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Finding>>);

impl Notes {
    pub fn take(&self) -> Vec<Finding> {
        self.0.take()
    }

    pub fn put(&self, findings: Vec<Finding>) {
        self.0.replace(findings);
    }

    pub fn retain(&self, keep: impl FnMut(&Finding) -> bool) {
        self.0.borrow_mut().retain(keep);
    }
}

/// A value of the file and the key it stands under.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub key: String,
    pub node: &'a Node,
    pub notes: &'a Notes,
}

impl<'a> Place<'a> {
    /// Another value for the same key.
    pub fn instead<'b>(&self, node: &'b Node) -> Place<'b>
    where
        'a: 'b,
    {
        Place { key: self.key.clone(), node, notes: self.notes }
    }

    pub fn under(&self, name: &str, node: &'a Node) -> Place<'a> {
        self.at(path::below(&self.key, name), node)
    }

    fn at(&self, key: String, node: &'a Node) -> Place<'a> {
        Place { key, node, notes: self.notes }
    }

    pub fn note(&self, code: &'static str, severity: Severity, message: impl Into<String>, advice: &str) {
        let mut notes = self.notes.0.borrow_mut();
        let full = match severity {
            Severity::Warning => MOST,
            Severity::Error => 2 * MOST,
        };
        if notes.len() >= full {
            return;
        }
        notes.push(Finding {
            code,
            severity,
            key: self.key.clone(),
            at: Some(self.node.at),
            message: message.into(),
            advice: advice.to_owned(),
            excerpt: None,
        });
    }

    /// The value cannot be used: whatever holds it is refused.
    pub fn refuse(&self, message: impl Into<String>) {
        let advice = "write it as the compose specification says";
        self.note(code::COMPOSE_VALUE, Severity::Error, message, advice);
    }

    /// The value is known to compose and not honoured here: whatever holds it is refused.
    pub fn refuse_known(&self, message: impl Into<String>) {
        let advice = "leave it out, or say the same with keys that are honoured";
        self.note(code::COMPOSE_KEY, Severity::Error, message, advice);
    }

    pub fn warn(&self, code: &'static str, message: impl Into<String>, advice: &str) {
        self.note(code, Severity::Warning, message, advice);
    }

    pub fn is_null(&self) -> bool {
        self.node.is_null()
    }

    pub fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    pub fn is_sequence(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    /// Text, number or boolean as it was written.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar(_) if self.is_null() => {
                self.refuse("a value is missing");
                None
            }
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            _ => {
                self.refuse("must be a text");
                None
            }
        }
    }

    /// Text, or what a number or boolean is to compose where it wants a text: `0x10` is `16`, `1.10` is `1.1`.
    pub fn meaning(&self) -> Option<String> {
        let text = self.text()?;
        Some(self.node.as_scalar().map_or(text, words::meaning))
    }

    pub fn flag(&self) -> Option<bool> {
        let text = self.text()?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => {
                self.refuse("must be true or false");
                None
            }
        }
    }

    /// A whole number in any notation of YAML: `0100` is 64, `'0100'` is 100.
    pub fn number<T: TryFrom<i128>>(&self) -> Option<T> {
        self.whole_number("must be a number")
    }

    /// As [`Place::number`], with a message of its own for what is none, or too large or too small.
    pub fn whole_number<T: TryFrom<i128>>(&self, message: &str) -> Option<T> {
        self.text()?;
        let number = self.node.as_scalar().and_then(words::whole_number);
        self.or_refused(number.and_then(|number| T::try_from(number).ok()), message)
    }

    /// What compose makes of a text or whole number through `parse`, which gives none for what it cannot read.
    pub fn parsed_whole<T>(&self, parse: impl FnOnce(&str) -> Option<T>, message: &str) -> Option<T> {
        let text = self.text()?;
        self.or_refused(parse(&self.node.as_scalar().map_or(text, words::whole_meaning)), message)
    }

    /// The text through `parse`, which gives none for what it cannot read.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Option<T>, message: &str) -> Option<T> {
        self.or_refused(parse(&self.text()?), message)
    }

    /// What was found; where nothing was, the message refuses.
    pub fn or_refused<T>(&self, found: Option<T>, message: &str) -> Option<T> {
        if found.is_none() {
            self.refuse(message);
        }
        found
    }

    /// As [`Place::parsed`], where an empty text says nothing: a variable that is not set may have stood there.
    pub fn parsed_filled<T>(&self, parse: impl FnOnce(&str) -> Option<T>, message: &str) -> Option<T> {
        self.filled_text().and_then(|_| self.parsed(parse, message))
    }

    /// `[]` or `{}`.
    pub fn is_list_of_nothing(&self) -> bool {
        (self.is_sequence() || self.is_mapping()) && self.node.is_empty()
    }

    pub fn items(&self) -> Vec<Place<'a>> {
        match &self.node.value {
            Value::Sequence(nodes) => {
                nodes.iter().enumerate().map(|(i, node)| self.at(path::item(&self.key, i), node)).collect()
            }
            _ if self.is_null() => Vec::new(),
            _ => {
                self.refuse("must be a list");
                Vec::new()
            }
        }
    }

    pub fn entries(&self) -> Vec<(String, Place<'a>)> {
        match &self.node.value {
            Value::Mapping(pairs) => {
                pairs.iter().map(|(key, node)| (key.key_text().to_owned(), self.under(key.key_text(), node))).collect()
            }
            _ if self.is_null() => Vec::new(),
            _ => {
                self.refuse("must be a mapping");
                Vec::new()
            }
        }
    }

    pub fn list(&self) -> Vec<String> {
        self.items().iter().filter_map(Place::text).collect()
    }

    /// One text or a list of them.
    pub fn texts(&self) -> Vec<String> {
        if self.is_sequence() { self.list() } else { self.text().into_iter().collect() }
    }

    /// A text, where an empty one says nothing.
    pub fn filled_text(&self) -> Option<String> {
        self.text().filter(|text| !text.is_empty())
    }

    /// Permission bits: octal with a zero in front, quoted or not, and decimal without.
    pub fn mode_bits(&self) -> Option<u32> {
        let quoted = self.node.as_scalar().is_some_and(|scalar| !scalar.plain);
        let bits = |text: &str| match text.strip_prefix("0o").or(text.strip_prefix('0')) {
            Some("") => Some(0),
            Some(octal) => u32::from_str_radix(octal, 8).ok(),
            None if quoted => u32::from_str_radix(text, 8).ok(),
            None => text.parse().ok(),
        };
        self.parsed(|text| bits(text).filter(|bits| *bits <= 0o7777), "must be permission bits such as 0440")
    }

    /// A list, each once.
    pub fn names(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut texts = self.list();
        texts.retain(|text| seen.insert(text.clone()));
        texts
    }

    /// As [`Place::texts`], each once.
    pub fn once(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut texts = self.texts();
        texts.retain(|text| seen.insert(text.clone()));
        texts
    }

    /// A list in which compose allows nothing twice.
    pub fn distinct(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let texts = self.list();
        if let Some(twice) = texts.iter().find(|text| !seen.insert(text.as_str())) {
            self.refuse(format!("{} is given twice", excerpt(twice)));
        }
        texts
    }

    /// `a: b` as a mapping or `a=b` as a list; a name may stand alone.
    pub fn pairs(&self) -> BTreeMap<String, Option<String>> {
        if self.is_sequence() {
            let split = |text: String| match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (text, None),
            };
            return self.list().into_iter().map(split).collect();
        }
        let value = |place: Place<'a>| if place.is_null() { None } else { place.meaning() };
        let entries = self.entries().into_iter();
        entries.map(|(name, place)| (name, value(place))).collect()
    }

    /// As [`Place::pairs`]; a name that stands alone has the empty value.
    pub fn filled(&self) -> BTreeMap<String, String> {
        let pairs = self.pairs().into_iter();
        pairs.map(|(name, value)| (name, value.unwrap_or_default())).collect()
    }
}

/// The beginning of a text of the file, for messages.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}
