//! The keys that may stand in each mapping, as tables: what they take, and what they mean. Checking and the JSON Schema both read them.

pub mod ap;
pub mod containers;
pub mod ethernet;
pub mod files;
pub mod firmware;
pub mod image;
pub mod oci_images;
pub mod registries;
pub mod status;
pub mod top;

use crate::code;
use crate::finding::{Complaint, Findings};
use crate::near::nearest;
use crate::node::{Node, Value};
use crate::path;
use crate::rules::{Verdict, one_line, shown};

/// One key of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it means, one line.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// One line of text by this rule; any scalar's text is meant.
    Text(fn(&str) -> Verdict, Form),
    /// A boolean, by the words of YAML 1.1.
    Flag,
    /// A boolean, or the word `auto`.
    FlagOrAuto,
    /// A whole number by this rule, and all that it allows.
    Number(fn(i64) -> Verdict, &'static [i64]),
    /// A list of texts by this rule, or one text of them with spaces or commas between.
    List(fn(&str) -> Verdict),
    /// One line of text by this rule, or a list of such.
    TextOrList(fn(&str) -> Verdict),
    /// Anything: checked elsewhere.
    Any(Form),
}

/// How a text looks, for editors.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// No more can be said.
    Free,
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
    /// A regular expression for the whole of it.
    Pattern(&'static str),
    /// A JSON Schema of its own.
    Schema(fn() -> serde_json::Value),
}

/// Checks a mapping against its table and returns it with the values in their plainest form: texts as texts, flags as `true` and
/// `false`, lists as lists. Refused keys are left out, unknown ones kept with a warning.
pub fn check_keys(node: &Node, place: &str, keys: &'static [Key], findings: &mut Findings) -> Option<Node> {
    let Some(entries) = node.as_mapping() else {
        findings.error(place, Some(node.at), wrong_shape("a mapping", node));
        return None;
    };
    let mut kept = Vec::new();
    for (name, value) in entries {
        let here = path::below(place, name.key_text());
        let plainest = match keys.iter().find(|key| key.name == name.key_text()) {
            None => {
                unknown(name, &here, keys, findings);
                Ok(value.clone())
            }
            Some(_) if value.is_empty() => Ok(Node { at: value.at, ..Node::word("null") }),
            Some(key) => plainest(value, key.takes),
        };
        match plainest {
            Ok(value) => kept.push((name.clone(), value)),
            Err(complaint) => findings.error(&here, Some(value.at), complaint),
        }
    }
    Some(Node::at(Value::Mapping(kept), node.at))
}

/// Reports a key that nothing reads: kept with a warning in offspot.yaml, an error in image.yaml.
pub fn unknown(name: &Node, here: &str, keys: &[Key], findings: &mut Findings) {
    let complaint =
        if findings.is_full() { Complaint::new(code::UNKNOWN, "", "") } else { unknown_key(name.key_text(), keys) };
    if findings.refuses_unknown() {
        findings.error(here, Some(name.at), complaint)
    } else {
        findings.warning(here, Some(name.at), complaint)
    }
}

/// What is said of a key that nothing reads.
pub fn unknown_key(name: &str, keys: &[Key]) -> Complaint {
    let advice = match nearest(name, keys.iter().map(|key| key.name)) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("Known here: {}.", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")),
    };
    Complaint::new(code::UNKNOWN, "nothing reads this key", advice)
}

/// Adds an error for each of these keys that is missing or empty; whether none is.
pub fn require(node: &Node, place: &str, names: &[&str], findings: &mut Findings) -> bool {
    let missing = names.iter().filter(|name| node.get(name).is_none_or(Node::is_empty));
    let complaints: Vec<&&str> = missing.collect();
    for name in &complaints {
        let message = format!("{name} is missing");
        findings.error(
            place,
            Some(node.at),
            Complaint::new(code::MISSING, message, format!("Add a line with {name} and its value.")),
        );
    }
    complaints.is_empty()
}

/// What is said of a value of the wrong shape.
pub fn wrong_shape(wanted: &str, node: &Node) -> Complaint {
    let advice = match wanted {
        "a mapping" => "Write `key: value` lines below it, indented by two spaces.",
        "a list" => "Write one `- item` line below it for each item.",
        "true or false" => "Write true or false.",
        "a whole number" => "Write the number without quotes.",
        _ => "Write it on one line behind the colon, in straight quotes if in doubt.",
    };
    Complaint::new(code::TYPE, format!("this is {}, not {wanted}", node.shape()), advice)
}

fn plainest(node: &Node, takes: Takes) -> Verdict<Node> {
    let plain = |mut plain: Node| {
        plain.at = node.at;
        plain
    };
    match takes {
        Takes::Any(_) => Ok(node.clone()),
        Takes::Text(rule, _) => text_of(node, rule).map(|text| plain(Node::text(text))),
        Takes::Flag => flag(node).map(plain),
        Takes::FlagOrAuto if node.as_text() == Some("auto") => Ok(plain(Node::text("auto"))),
        Takes::FlagOrAuto => flag(node)
            .map(plain)
            .map_err(|_| Complaint::value("this is neither auto nor true nor false", "Write auto, true or false.")),
        Takes::Number(rule, _) => {
            let number = node.as_int().ok_or_else(|| wrong_shape("a whole number", node))?;
            rule(number).map(|()| plain(Node::word(number.to_string())))
        }
        Takes::List(rule) => list(node, rule),
        Takes::TextOrList(rule) if node.as_sequence().is_some() => list(node, rule),
        Takes::TextOrList(rule) => text_of(node, rule).map(|text| plain(Node::text(text))),
    }
}

/// The text of a scalar, if the rule takes it.
pub fn text_of(node: &Node, rule: fn(&str) -> Verdict) -> Verdict<&str> {
    let text = node.as_text().ok_or_else(|| wrong_shape("a text", node))?;
    one_line(text)?;
    rule(text).map(|()| text)
}

fn flag(node: &Node) -> Verdict<Node> {
    let flag = node.as_bool().ok_or_else(|| wrong_shape("true or false", node))?;
    Ok(Node::word(if flag { "true" } else { "false" }))
}

fn list(node: &Node, rule: fn(&str) -> Verdict) -> Verdict<Node> {
    let items: Vec<Node> = match &node.value {
        Value::Sequence(items) => items.clone(),
        Value::Scalar(scalar) => {
            one_line(&scalar.text)?;
            let words = scalar.text.split([' ', ',']).filter(|word| !word.is_empty());
            words.map(|word| Node { at: node.at, ..Node::text(word) }).collect()
        }
        Value::Mapping(_) => return Err(wrong_shape("a list", node)),
    };
    let checked = items.iter().map(|item| text_of(item, rule).map(|text| Node { at: item.at, ..Node::text(text) }));
    Ok(Node::at(Value::Sequence(checked.collect::<Verdict<_>>()?), node.at))
}

/// The position of the word in a table of words, or what is wrong with it.
pub fn one_of<T: Copy>(text: &str, words: impl Iterator<Item = (&'static str, T)> + Clone) -> Verdict<T> {
    words.clone().find(|(word, _)| *word == text).map(|(_, value)| value).ok_or_else(|| {
        let near = nearest(text, words.clone().map(|(word, _)| word));
        let near = near.map(|near| format!("Did you mean {near}? ")).unwrap_or_default();
        let known = words.map(|(word, _)| word).collect::<Vec<_>>().join(", ");
        let advice = format!("{near}Use one of: {known}.");
        Complaint::value(format!("{} is not one of the known words", shown(text)), advice)
    })
}

/// The items of a list of texts that has been checked.
pub fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.and_then(Node::as_sequence).unwrap_or_default();
    items.iter().filter_map(Node::as_text).map(String::from).collect()
}

/// The texts of a checked value that may be one or a list of them.
pub fn one_or_more(node: Option<&Node>) -> Vec<String> {
    match node.and_then(Node::as_text) {
        Some(text) => vec![text.to_owned()],
        None => texts(node),
    }
}

/// A rule for texts that need none beyond being one line.
pub fn any_line(_: &str) -> Verdict {
    Ok(())
}
