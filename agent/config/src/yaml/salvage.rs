//! A file that is not YAML as a whole, read one top-level key at a time, so that a broken one costs itself only.

use super::build::{Budget, Overflow};
use super::{Source, Trouble, parse, too_big};
use crate::code;
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Position, Value};
use crate::path;

/// More parts than any real file has: not worth the time.
const MAX_PARTS: usize = 1000;

/// A part that cannot be read.
pub struct Lost {
    /// Its lines, from 0.
    pub lines: std::ops::Range<usize>,
    /// The key it is about, as far as can be told.
    pub key: String,
}

/// Reads every part of the text for itself and puts together what can be read.
pub fn read_parts(source: &Source, findings: &mut Findings, lost: &mut Vec<Lost>) -> Option<Node> {
    let parts = parts(source.text);
    let mut budget = Budget::default();
    let mut entries: Vec<(Node, Node)> = Vec::new();
    for (first_line, text) in parts.into_iter().take(MAX_PARTS) {
        let part = Source { text, first_line, ..*source };
        match parse(&part, &mut budget, findings) {
            Ok(None) => {}
            Ok(Some(Node { value: Value::Mapping(more), .. })) => {
                more.into_iter().for_each(|entry| enter(entry, &mut entries, findings))
            }
            Ok(Some(other)) => findings.error("", Some(other.at), explain("")),
            Err(Trouble::Syntax(at, complaint)) => {
                let key = key_of(text);
                findings.error(&key, Some(at), complaint);
                lost.push(Lost { lines: first_line..first_line + text.lines().count(), key });
            }
            Err(Trouble::Overflow(Overflow(why))) => {
                findings.error("", None, too_big(why));
                return None;
            }
        }
    }
    let at = Position { line: 1, column: 1 };
    (!entries.is_empty()).then_some(Node::at(Value::Mapping(entries), at))
}

fn enter(entry: (Node, Node), entries: &mut Vec<(Node, Node)>, findings: &mut Findings) {
    let name = entry.0.key_text();
    match entries.iter().find(|(first, _)| first.key_text() == name) {
        None => entries.push(entry),
        Some((first, _)) => {
            let key = path::below("", name);
            let message = format!("this key is given twice, first on line {}", first.at.line);
            findings.error(&key, Some(entry.0.at), Complaint::new(code::DUPLICATE, message, "Keep one of the two."));
        }
    }
}

/// The text cut before each line that starts a key at its left edge, with the number of lines before each part.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if offset > start && starts_key(line) {
            parts.push((start_line, &text[start..offset]));
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts
}

fn starts_key(line: &str) -> bool {
    !line.starts_with([' ', '\t', '\n', '#', '-', ']', '}', '.', '%', ',']) && !line.is_empty()
}

/// The key that a broken part is about, if it looks like one.
fn key_of(text: &str) -> String {
    let line = text.lines().find(|line| starts_key(line)).unwrap_or_default();
    line.split_once(':').map_or(String::new(), |(key, _)| path::below("", key.trim().trim_matches(['"', '\''])))
}

/// What the parser says, in words for people.
pub fn explain(info: &str) -> Complaint {
    let has = |words: &[&str]| words.iter().any(|word| info.contains(word));
    let syntax = |message: &str, advice: &str| Complaint::new(code::SYNTAX, message, advice);
    if has(&["unknown anchor"]) {
        return Complaint::new(
            code::ALIAS,
            "this alias (`*`) names nothing that stands above it",
            "If it is a text, put it in straight quotes.",
        );
    } else if has(&["tab"]) {
        return Complaint::new(code::TAB, "a tab is used where YAML wants spaces", "Indent with spaces, two a level.");
    } else if has(&["recursion limit"]) {
        return Complaint::new(code::TOO_BIG, "this is nested too deep", "Remove the surplus brackets.");
    } else if has(&["mapping values are not allowed"]) {
        return syntax(
            "a second `: ` on this line, or a wrong indentation",
            "Put the value in straight quotes, or line the key up with those above it.",
        );
    } else if has(&["quoted scalar"]) {
        return syntax("a text in quotes does not end where it should", "Close the quotes on the same line.");
    } else if has(&["simple key", "':'"]) {
        return syntax("this line is not `key: value`", "Write the key, a colon and a space, then the value.");
    } else if has(&["unexpected character", "unprintable"]) {
        return syntax(
            "a value cannot start with, or hold, this character unquoted",
            "Put the value in straight quotes.",
        );
    } else if has(&["flow", "bracket"]) {
        return syntax("brackets or braces do not match", "Close every `[` and `{` that is opened.");
    }
    syntax(
        "this is not YAML",
        "Check the indentation (spaces, two a level) and the colons on this line and the one above.",
    )
}
