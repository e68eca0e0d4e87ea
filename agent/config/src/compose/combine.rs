//! A service on top of the one that it extends: two mappings as one, by the rules of the compose specification. Pure.

use std::collections::{HashMap, HashSet};

use super::words;
use crate::Position;
use crate::node::{Node, Value};

/// Two values that cannot be one.
#[derive(Debug)]
pub(super) struct Conflict {
    /// Where the upper one stands.
    pub at: Position,
    pub message: String,
}

/// How the two values of a key become one.
#[derive(Clone, Copy)]
enum Rule {
    /// The upper one stands, even if it says nothing.
    Replace,
    /// `a: b` or `a=b`: name by name.
    Names,
    /// One text or a list of them: the lower ones first.
    Texts,
    /// Hosts and addresses: the lower ones first, each once.
    Hosts,
    /// A list of keys, or a mapping of them.
    Keys,
    /// Options belong to their driver.
    Driver,
    /// A mapping whose values are numbers, or mappings.
    Limits,
    /// By what the values are: mappings key by key, lists one after the other, all else replaced.
    Shape,
}

/// The rule of a key, which stands below the keys of `path`.
fn rule(path: &[&str], key: &str) -> Rule {
    match (path, key) {
        ([], "command" | "entrypoint") | (["healthcheck"], "test") => Rule::Replace,
        ([], "environment" | "labels" | "annotations" | "sysctls") | (["deploy"], "labels") => Rule::Names,
        ([], "dns" | "dns_search" | "tmpfs" | "env_file" | "label_file") => Rule::Texts,
        ([], "extra_hosts") => Rule::Hosts,
        ([], "depends_on" | "networks") => Rule::Keys,
        ([], "logging") => Rule::Driver,
        ([], "ulimits") => Rule::Limits,
        _ => Rule::Shape,
    }
}

/// The service `upper` as it stands on `lower`.
pub(super) fn service(lower: &Node, upper: &Node) -> Result<Node, Conflict> {
    mappings(lower, upper, &[])
}

fn mappings(lower: &Node, upper: &Node, path: &[&str]) -> Result<Node, Conflict> {
    let mut entries = lower.as_mapping().unwrap_or_default().to_vec();
    let places = places(lower);
    for (key, value) in upper.as_mapping().unwrap_or_default() {
        let name = key.key_text();
        match places.get(name).map(|place| &mut entries[*place]) {
            None => entries.push((key.clone(), value.clone())),
            Some(entry) => *entry = (key.clone(), one(&entry.1, value, path, name)?),
        }
    }
    Ok(Node::at(Value::Mapping(entries), upper.at))
}

/// Where each key stands.
fn places(node: &Node) -> HashMap<&str, usize> {
    let entries = node.as_mapping().unwrap_or_default();
    entries.iter().enumerate().map(|(place, (key, _))| (key.key_text(), place)).collect()
}

fn one(lower: &Node, upper: &Node, path: &[&str], key: &str) -> Result<Node, Conflict> {
    let rule = rule(path, key);
    // A variable without value stands over one with.
    let of_names = path.last().is_some_and(|above| matches!(self::rule(&path[..path.len() - 1], above), Rule::Names));
    if matches!(rule, Rule::Replace) || of_names || key.starts_with("x-") {
        return Ok(upper.clone());
    }
    // A key without value is an absent key, on either side.
    if upper.is_null() || lower.is_null() {
        return Ok(if upper.is_null() { lower.clone() } else { upper.clone() });
    }
    let inner: Vec<&str> = path.iter().copied().chain([key]).collect();
    match rule {
        Rule::Names => Ok(unnamed(mappings(&named(lower), &named(upper), &inner)?)),
        Rule::Texts => Ok(joined(&listed(lower), &listed(upper))),
        Rule::Hosts => {
            let (lower, upper) = (hosts(lower), hosts(upper));
            let known: HashSet<&str> = lower.as_sequence().unwrap_or_default().iter().map(Node::key_text).collect();
            let fresh = upper.as_sequence().unwrap_or_default().iter();
            let fresh = fresh.filter(|item| !known.contains(item.key_text())).cloned();
            let fresh = Node::at(Value::Sequence(fresh.collect()), upper.at);
            Ok(joined(&lower, &fresh))
        }
        Rule::Keys => mappings(&keyed(lower, key), &keyed(upper, key), &inner),
        Rule::Driver if driver(lower).zip(driver(upper)).is_some_and(|(lower, upper)| lower != upper) => {
            Ok(upper.clone())
        }
        Rule::Limits => limits(lower, upper, &inner),
        _ => by_shape(lower, upper, &inner),
    }
}

fn by_shape(lower: &Node, upper: &Node, path: &[&str]) -> Result<Node, Conflict> {
    match (&lower.value, &upper.value) {
        (Value::Mapping(_), Value::Mapping(_)) => mappings(lower, upper, path),
        (Value::Sequence(_), Value::Sequence(_)) => Ok(joined(lower, upper)),
        (Value::Scalar(_), _) => Ok(upper.clone()),
        _ => {
            let message = format!("it is {}, and {} where it extends", upper.shape(), lower.shape());
            Err(Conflict { at: upper.at, message })
        }
    }
}

fn limits(lower: &Node, upper: &Node, path: &[&str]) -> Result<Node, Conflict> {
    let mut entries = lower.as_mapping().unwrap_or_default().to_vec();
    let places = places(lower);
    for (key, value) in upper.as_mapping().unwrap_or_default() {
        match places.get(key.key_text()).map(|place| &mut entries[*place]) {
            None => entries.push((key.clone(), value.clone())),
            Some((_, known)) if known.as_mapping().is_some() && value.as_mapping().is_some() => {
                *known = mappings(known, value, path)?;
            }
            Some((_, known)) => *known = value.clone(),
        }
    }
    Ok(Node::at(Value::Mapping(entries), upper.at))
}

/// None where it is not said: then the options of both belong together.
fn driver(node: &Node) -> Option<&str> {
    node.get("driver").and_then(Node::as_text)
}

fn joined(lower: &Node, upper: &Node) -> Node {
    let items = |node: &Node| node.as_sequence().unwrap_or_default().to_vec();
    Node::at(Value::Sequence([items(lower), items(upper)].concat()), upper.at)
}

fn listed(node: &Node) -> Node {
    match node.value {
        Value::Sequence(_) => node.clone(),
        _ => Node::at(Value::Sequence(vec![node.clone()]), node.at),
    }
}

fn text_at(text: &str, at: Position) -> Node {
    Node { at, ..Node::text(text) }
}

/// `[a=b, c]` as `{a: b, c: }`.
fn named(node: &Node) -> Node {
    let Value::Sequence(items) = &node.value else {
        return node.clone();
    };
    let entry = |item: &Node| {
        let text = item.key_text();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, text_at(value, item.at)),
            None => (text, Node { at: item.at, ..Node::word("") }),
        };
        (text_at(name, item.at), value)
    };
    let mut entries: Vec<(Node, Node)> = Vec::with_capacity(items.len());
    let mut places = HashMap::new();
    for (key, value) in items.iter().map(entry) {
        match places.get(key.key_text()) {
            Some(place) => {
                let known: &mut (Node, Node) = &mut entries[*place];
                known.1 = value;
            }
            None => {
                places.insert(key.key_text().to_owned(), entries.len());
                entries.push((key, value));
            }
        }
    }
    Node::at(Value::Mapping(entries), node.at)
}

/// `{a: b, c: }` as `[a=b, c]`, which is what two of them become: no tag of a third finds a key in it.
fn unnamed(node: Node) -> Node {
    let item = |(key, value): &(Node, Node)| {
        let name = key.key_text();
        let scalar = value.as_scalar()?;
        Some(if value.is_null() {
            text_at(name, value.at)
        } else {
            text_at(&format!("{name}={}", words::meaning(scalar)), value.at)
        })
    };
    match node.as_mapping().unwrap_or_default().iter().map(item).collect() {
        Some(items) => Node::at(Value::Sequence(items), node.at),
        // One is no text: whoever reads it says so.
        None => node,
    }
}

/// `{a: b}` and `[a:b]` as `[a=b]`.
fn hosts(node: &Node) -> Node {
    let entry = |host: &str, address: &str, at: Position| text_at(&format!("{host}={address}"), at);
    let items = match &node.value {
        Value::Mapping(entries) => entries
            .iter()
            .flat_map(|(host, addresses)| {
                let addresses = listed(addresses);
                let one = |address: &Node| entry(host.key_text(), address.key_text(), address.at);
                addresses.as_sequence().unwrap_or_default().iter().map(one).collect::<Vec<_>>()
            })
            .collect(),
        Value::Sequence(items) => items
            .iter()
            .map(|item| match item.key_text().split_once('=').or(item.key_text().split_once(':')) {
                Some((host, address)) => entry(host, address, item.at),
                None => item.clone(),
            })
            .collect(),
        Value::Scalar(_) => return node.clone(),
    };
    Node::at(Value::Sequence(items), node.at)
}

/// `[a]` as `{a: }`, or with what the list means in `depends_on`.
fn keyed(node: &Node, key: &str) -> Node {
    let Value::Sequence(items) = &node.value else {
        return node.clone();
    };
    let plain = |at: Position| match key {
        "depends_on" => {
            let said = [("condition", "service_started"), ("required", "true")];
            Node { at, ..Node::mapping(said.map(|(key, word)| (key, Node { at, ..Node::word(word) }))) }
        }
        _ => Node { at, ..Node::word("") },
    };
    let entries = items.iter().map(|item| (item.clone(), plain(item.at)));
    Node::at(Value::Mapping(entries.collect()), node.at)
}
