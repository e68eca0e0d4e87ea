//! A tree written back as YAML, so that YAML 1.1 and YAML 1.2 readers see the same values as we do.
//!
//! Numbers, booleans and nulls of YAML 1.2 stay as they were written (`1.10`); a text that either reader could take for something
//! else is quoted. Below `containers` numbers of YAML 1.1 stay as they were written too: compose reads them so. Recursion is as deep as the
//! tree, which reading bounds.

use crate::compose;
use crate::node::{Node, Scalar, Tag, Value};
use crate::scalar::{Kind, kind, surprises_yaml_11};

/// Longest text written as a key in front of `: `; readers may refuse more than 1024 bytes.
const LONGEST_SIMPLE_KEY: usize = 120;

/// Whose words the scalars are.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    /// Those of the settings: `0755` is the text that was written.
    Settings,
    /// Those of compose: `0755` is a number without quotes, and a text in them.
    Compose,
}

/// The tree of the settings as a YAML document in block style.
pub fn to_yaml(node: &Node) -> String {
    document(node, Words::Settings)
}

/// The value of `containers` as a YAML document in block style: a compose file.
pub fn to_compose_yaml(node: &Node) -> String {
    document(node, Words::Compose)
}

fn document(node: &Node, words: Words) -> String {
    let mut out = String::new();
    if fits_one_line(node) {
        value(node, 0, words, &mut out)
    } else {
        block(node, 0, words, &mut out)
    }
    out.trim_start_matches([' ', '\n']).to_string()
}

/// The lines of a sequence or mapping that is not empty; the first one starts where the output stands.
fn block(node: &Node, indent: usize, words: Words, out: &mut String) {
    match &node.value {
        Value::Scalar(_) => value(node, indent, words, out),
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                start_line(index, indent, out);
                out.push('-');
                nested(item, indent, words, out);
            }
        }
        Value::Mapping(entries) => {
            for (index, (key, item)) in entries.iter().enumerate() {
                start_line(index, indent, out);
                match simple_key(key) {
                    Some(key) => out.push_str(&key),
                    None => {
                        out.push('?');
                        nested(key, indent, words, out);
                        start_line(1, indent, out);
                    }
                }
                out.push(':');
                let of_compose = indent == 0 && key.key_text() == compose::KEY;
                value(item, indent + 2, if of_compose { Words::Compose } else { words }, out);
            }
        }
    }
}

/// What stands behind `-` or `?`: a collection without a tag begins on the same line.
fn nested(node: &Node, indent: usize, words: Words, out: &mut String) {
    if fits_one_line(node) || node.tag != Tag::None {
        value(node, indent + 2, words, out);
    } else {
        out.push(' ');
        block(node, indent + 2, words, out);
    }
}

/// Scalars, and collections of nothing.
fn fits_one_line(node: &Node) -> bool {
    matches!(node.value, Value::Scalar(_)) || node.is_empty()
}

fn start_line(index: usize, indent: usize, out: &mut String) {
    if index > 0 {
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// A value and the end of its line, or the lines below a key; in front of it the tag, which makes a scalar a text.
fn value(node: &Node, indent: usize, words: Words, out: &mut String) {
    if let Some(tag) = node.tag.word() {
        out.extend([" ", tag]);
    }
    match &node.value {
        Value::Scalar(scalar) => {
            let scalar = &Scalar { text: scalar.text.clone(), plain: scalar.plain && node.tag == Tag::None };
            out.push(' ');
            if words == Words::Compose && compose::means_another_text(scalar) {
                out.push_str(&scalar.text)
            } else if is_literal(scalar) {
                literal(&scalar.text, indent, out)
            } else {
                out.push_str(&inline(scalar))
            }
            out.push('\n');
        }
        Value::Sequence(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Mapping(entries) if entries.is_empty() => out.push_str(" {}\n"),
        _ => {
            out.push('\n');
            start_line(1, indent, out);
            block(node, indent, words, out);
        }
    }
}

fn simple_key(key: &Node) -> Option<String> {
    let written = inline(key.as_scalar()?);
    (written.len() <= LONGEST_SIMPLE_KEY).then_some(written)
}

/// A scalar on one line: as it is, in single quotes, or in double quotes with escapes.
fn inline(scalar: &Scalar) -> String {
    let text = scalar.text.as_str();
    match scalar.kind() {
        Kind::Null => "null".into(),
        Kind::Bool | Kind::Int | Kind::Float => text.into(),
        Kind::Text if text.contains(needs_escape) || text.contains('\n') => double_quoted(text),
        Kind::Text if is_plain(text) => text.into(),
        Kind::Text => format!("'{}'", text.replace('\'', "''")),
    }
}

/// Texts that no reader can take for anything else, and that break no syntax.
fn is_plain(text: &str) -> bool {
    let safe_first = |letter: char| letter.is_alphanumeric() || matches!(letter, '/' | '_' | '.' | '+' | '(' | '$');
    let safe = |letter: char| letter.is_alphanumeric() || " /_.+-:()$=@;~^<>".contains(letter);
    let breaks = text.contains(": ") || text.ends_with([':', ' ']) || text.starts_with("...");
    text.starts_with(safe_first)
        && text.chars().all(safe)
        && !breaks
        && kind(text) == Kind::Text
        && !surprises_yaml_11(text)
}

/// Characters that YAML 1.1 takes for line ends, does not allow, or that cannot be seen; and U+FFFD, of which a record that holds many would not
/// be taken for a text.
fn needs_escape(letter: char) -> bool {
    let control = letter.is_control() && letter != '\n';
    control || matches!(letter, '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffd}'..='\u{ffff}')
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if needs_escape(letter) && (letter as u32) < 0x100 => {
                quoted.push_str(&format!("\\x{:02X}", letter as u32))
            }
            _ if needs_escape(letter) => quoted.push_str(&format!("\\u{:04X}", letter as u32)),
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// Texts of several lines that a `|` block holds exactly.
fn is_literal(scalar: &Scalar) -> bool {
    let text = scalar.text.strip_suffix('\n').unwrap_or(&scalar.text);
    let odd = |letter: char| needs_escape(letter) && letter != '\t';
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    let lines_fit = !text.split('\n').any(blank) && !text.starts_with(['\n', ' ', '\t']) && !text.ends_with('\n');
    scalar.kind() == Kind::Text && text.contains('\n') && lines_fit && !scalar.text.contains(odd)
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let body = text.strip_suffix('\n');
    out.push_str(if body.is_some() { "|" } else { "|-" });
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            start_line(1, indent.max(2), out);
            out.push_str(line);
        }
    }
}
