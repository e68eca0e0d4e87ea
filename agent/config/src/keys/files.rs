//! `files`: content to place below `/data`.

use std::collections::{BTreeMap, HashMap};

use super::{Form, Key, Takes, check_keys, one_of, one_or_more, require, wrong_shape};
use crate::code;
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Position, Value};
use crate::path;
use crate::rules::{Verdict, amounts, content};
use crate::settings::{Checksum, ChecksumValue, FileEntry, Source, Via};

const SIZE: Form = Form::Schema(
    || serde_json::json!({"type": ["integer", "string"], "pattern": r"^-1$|^\d+(\.\d+)? ?([kKmMgGtTpP]i?)?[bB]?$"}),
);

/// Most entries of a list that are read.
const MOST: usize = 2000;

/// Size of what is fetched, as `files` and `oci_images` take it.
pub const SIZE_TAKES: Takes = Takes::Text(|text| size_or_unknown(text).map(drop), SIZE);
/// `checksum`, as `files`, `oci_images` and `base` take it.
pub const CHECKSUM_TAKES: Takes =
    Takes::Any(Form::Schema(|| crate::schema::mapping(CHECKSUM_KEYS, &["algo", "value"])));

/// The keys of an entry of `files`.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "to", takes: Takes::Text(|text| content::target(text).map(drop), Form::Pattern("^/")), about: "Where it goes: an absolute path below /data." },
    Key { name: "content", takes: Takes::Any(Form::Schema(|| serde_json::json!({"type": ["string", "number", "boolean"]}))), about: "The content itself; white space around it is stripped." },
    Key { name: "url", takes: Takes::TextOrList(content::source), about: "Where to fetch it: http(s)://, file:// or a path on the card; a list of them is tried in order. An address that ends in .meta4 is a Metalink." },
    Key { name: "via", takes: Takes::Text(|text| one_of(text, content::VIAS.iter().copied()).map(drop), Form::Words(|| content::VIAS.iter().map(|(word, _)| *word).collect())), about: "How it is packed; direct unless given." },
    Key { name: "size", takes: SIZE_TAKES, about: "Size of what is fetched, in bytes or as 2.4GiB." },
    Key { name: "checksum", takes: CHECKSUM_TAKES, about: "Digest of what is fetched." },
];

/// The keys of `checksum`.
#[rustfmt::skip]
pub const CHECKSUM_KEYS: &[Key] = &[
    Key { name: "algo", takes: Takes::Text(|text| algorithm(text).map(drop), Form::Words(|| content::ALGORITHMS.iter().map(|(word, ..)| *word).collect())), about: "Which digest." },
    Key { name: "value", takes: Takes::Text(super::any_line, Form::Free), about: "The digest in hex, or the address of a text that starts with it." },
    Key { name: "kind", takes: Takes::Text(|text| one_of(text, [("digest", ()), ("url", ())].into_iter()), Form::Words(|| vec!["digest", "url"])), about: "Whether value is a digest or its address; digest unless given." },
];

/// The entries that can be used; the second of two with one target is refused.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Option<Node> {
    let mut targets = HashMap::new();
    let mut nesting = Nesting::default();
    check_list(node, place, findings, |entry, here, findings| {
        let mut checked = check_keys(entry, here, KEYS, findings)?;
        let complete = require(entry, here, &["to"], findings);
        check_source(&checked, entry, here, findings);
        check_checksum(&mut checked, here, findings);
        let target = checked.get("to").and_then(Node::as_text).and_then(|to| content::target(to).ok());
        if let Some((target, first)) =
            target.and_then(|target| targets.insert(target.clone(), entry.at.line).map(|first| (target, first)))
        {
            let message = format!("{target} is the target of two entries, first on line {first}");
            findings.error(
                &path::below(here, "to"),
                Some(entry.at),
                Complaint::new(code::DUPLICATE, message, "Give one of them another target, or remove it."),
            );
        }
        nesting.check(&checked, here, entry.at, findings);
        complete.then_some(checked)
    })
}

/// Digests that can be forged.
const WEAK: [&str; 3] = ["md5", "sha-1", "adler32"];

/// The targets so far, with the line of each and whether it is a file. The separator of their parts sorts before all else: so what lies below
/// a target comes right behind it.
#[derive(Default)]
struct Nesting(BTreeMap<String, (usize, bool)>);

impl Nesting {
    /// Refuses the second of two entries of which one is a file and would have to hold the other; below an archive's target others may lie.
    fn check(&mut self, entry: &Node, here: &str, at: Position, findings: &mut Findings) {
        let text = |key: &str| entry.get(key).and_then(Node::as_text);
        let Some(target) = text("to").and_then(|to| content::target(to).ok()) else { return };
        let is_file = matches!(text("via"), None | Some("direct" | "base64"));
        let own = target.replace('/', "\0");
        let below = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('\0'));
        // A file that holds others is never let in, so that nothing stands between a file and what it would hold.
        let before = self.0.range(..own.clone()).rev().find(|(_, (_, is_file))| *is_file);
        let holder = before.filter(|(other, _)| below(&own, other));
        let held = self.0.range(own.clone()..).find(|(other, _)| **other != own);
        let held = held.filter(|(other, _)| is_file && below(other, &own));
        let message = match (holder, held) {
            (Some((file, (line, _))), _) => {
                Some(format!("{} is a file, by line {line}, and cannot hold {target}", file.replace('\0', "/")))
            }
            (None, Some((_, (line, _)))) => {
                Some(format!("{target} is to be a file, and the entry on line {line} lies below it"))
            }
            (None, None) => None,
        };
        match message {
            Some(message) => {
                let advice = "Give one of them another target, or remove it.";
                findings.error(&path::below(here, "to"), Some(at), Complaint::new(code::CONFLICT, message, advice));
            }
            None => {
                self.0.entry(own).or_insert((at.line, is_file));
            }
        }
    }
}

/// Checks every entry for itself; those that are refused are left out.
pub fn check_list(
    node: &Node,
    place: &str,
    findings: &mut Findings,
    mut entry: impl FnMut(&Node, &str, &mut Findings) -> Option<Node>,
) -> Option<Node> {
    let Some(items) = node.as_sequence() else {
        findings.error(place, Some(node.at), wrong_shape("a list", node));
        return None;
    };
    let checked = items.iter().take(MOST).enumerate().filter_map(|(index, item)| {
        let here = path::item(place, index);
        entry(item, &here, findings).filter(|_| !findings.refused().touches(&here))
    });
    let kept: Vec<Node> = checked.collect();
    if items.len() > MOST {
        // Reported last: the error stands at the list and would refuse every entry.
        let complaint = Complaint::value(
            format!("it has {} entries, and the limit is {MOST}", items.len()),
            format!("Leave out those behind the first {MOST}, or put several files into one archive."),
        );
        findings.error(place, Some(node.at), complaint);
    }
    (!kept.is_empty()).then_some(Node::at(Value::Sequence(kept), node.at))
}

fn check_source(checked: &Node, given: &Node, here: &str, findings: &mut Findings) {
    let given = |key: &str| given.get(key).filter(|value| !value.is_empty());
    let base64 = checked.get("via").and_then(Node::as_text) == Some("base64");
    match (given("content"), given("url")) {
        (None, None) => findings.error(
            here,
            Some(checked.at),
            Complaint::new(code::MISSING, "it has neither content nor url", "Add one of the two."),
        ),
        (Some(_), Some(url)) => {
            findings.error(
                &path::below(here, "url"),
                Some(url.at),
                Complaint::new(code::CONFLICT, "it has both content and url", "Keep one of the two."),
            );
        }
        (Some(content), None) => match content.as_text() {
            None => findings.error(&path::below(here, "content"), Some(content.at), wrong_shape("a text", content)),
            Some(text) => {
                if let Some(complaint) = content::base64(text).err().filter(|_| base64) {
                    findings.error(&path::below(here, "content"), Some(content.at), complaint);
                }
            }
        },
        (None, Some(_)) if base64 => {
            let at = checked.get("via").map(|via| via.at);
            findings.error(
                &path::below(here, "via"),
                at,
                Complaint::new(code::CONFLICT, "base64 is for content, not for url", "Remove `via: base64`."),
            );
        }
        _ => {}
    }
}

/// Checks `checksum` of an entry, if it has one.
pub fn check_checksum(entry: &mut Node, here: &str, findings: &mut Findings) {
    let Some(node) = entry.get("checksum").filter(|node| !node.is_empty()) else {
        return;
    };
    let place = path::below(here, "checksum");
    let Some(checked) = check_keys(node, &place, CHECKSUM_KEYS, findings) else {
        return;
    };
    if require(node, &place, &["algo", "value"], findings)
        && let Err(complaint) = checksum(&checked)
    {
        let at = checked.get("value").map_or(node.at, |value| value.at);
        findings.error(&path::below(&place, "value"), Some(at), complaint);
    }
    if let Some(algo) = entry.get_mut("checksum").and_then(|checksum| checksum.get_mut("algo"))
        && let Some(word) = algo.as_text().and_then(algorithm_word)
    {
        *algo = Node { at: algo.at, ..Node::text(word) };
        if WEAK.contains(&word) {
            let message = format!("{word} shows damage, but not whether somebody made another file of the same digest");
            let complaint = Complaint::new(code::WEAK, message, "Give a sha-256 where there is one.");
            findings.warning(&path::below(&place, "algo"), Some(algo.at), complaint);
        }
    }
}

/// The known word for an algorithm, in whatever case and with or without its dash it is given.
fn algorithm_word(text: &str) -> Option<&'static str> {
    let fold = |word: &str| word.to_ascii_lowercase().replace('-', "");
    content::ALGORITHMS.iter().map(|(word, ..)| *word).find(|word| fold(word) == fold(text))
}

fn algorithm(text: &str) -> Verdict<crate::settings::Algorithm> {
    let word = algorithm_word(text).unwrap_or(text);
    one_of(word, content::ALGORITHMS.iter().map(|(word, algo, _)| (*word, *algo)))
}

/// What a `checksum` mapping means; none where a part of it is missing or refused.
fn checksum(node: &Node) -> Verdict<Option<Checksum>> {
    let text = |key: &str| node.get(key).and_then(Node::as_text);
    let Some((algo, value)) = text("algo").and_then(|algo| algorithm(algo).ok()).zip(text("value")) else {
        return Ok(None);
    };
    let value = match text("kind") {
        Some("url") => content::source(value).map(|()| ChecksumValue::Url(value.into()))?,
        _ => ChecksumValue::Digest(content::digest(algo, value)?),
    };
    Ok(Some(Checksum { algo, value }))
}

/// The checksum of a checked entry.
pub fn resolve_checksum(entry: &Node) -> Option<Checksum> {
    entry.get("checksum").and_then(|node| checksum(node).ok().flatten())
}

/// Bytes; none for `-1`, which stands for unknown.
fn size_or_unknown(text: &str) -> Verdict<Option<u64>> {
    if text == "-1" { Ok(None) } else { amounts::size(text).map(Some) }
}

/// The size under this key of a checked entry.
pub fn resolve_size(entry: &Node, key: &str) -> Option<u64> {
    entry.get(key).and_then(Node::as_text).and_then(|text| size_or_unknown(text).ok().flatten())
}

/// What the checked entries mean.
pub fn resolve(node: &Node) -> Vec<FileEntry> {
    node.as_sequence().unwrap_or_default().iter().filter_map(resolve_entry).collect()
}

fn resolve_entry(entry: &Node) -> Option<FileEntry> {
    let text = |key: &str| entry.get(key).and_then(Node::as_text);
    let content = text("content").map(|content| Source::Content(content.trim().into()));
    let mut urls = one_or_more(entry.get("url")).into_iter();
    Some(FileEntry {
        to: content::target(text("to")?).ok()?,
        source: content.or_else(|| urls.next().map(Source::Url))?,
        mirrors: urls.collect(),
        via: text("via").and_then(|via| one_of(via, content::VIAS.iter().copied()).ok()).unwrap_or(Via::Direct),
        size: resolve_size(entry, "size"),
        checksum: resolve_checksum(entry),
    })
}
