//! `registries`: how to reach those that hold container images, by host.

use std::collections::BTreeMap;

use super::{Form, Key, Takes, check_keys, texts, wrong_shape};
use crate::code;
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Value};
use crate::path;
use crate::rules::{Verdict, content, one_line, shown};
use crate::settings::Registry;

/// The keys of a registry.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "mirrors", takes: Takes::List(mirror), about: "Addresses of registries that have the same images, asked first, as in http://10.0.0.2:5000." },
    Key { name: "username", takes: Takes::Text(username, Form::Free), about: "Name to log in with; needs a password too." },
    Key { name: "password", takes: Takes::Text(password, Form::Free), about: "Password or access token to log in with." },
    Key { name: "insecure", takes: Takes::Flag, about: "Ask it by http and not by https; false unless given." },
];

/// The schema of the mapping, by host.
pub fn schema() -> serde_json::Value {
    serde_json::json!({"type": ["object", "null"], "additionalProperties": crate::schema::mapping(KEYS, &[])})
}

/// The registries that can be used; each stands or falls as a whole.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Option<Node> {
    let Some(entries) = node.as_mapping() else {
        findings.error(place, Some(node.at), wrong_shape("a mapping", node));
        return None;
    };
    let mut kept = Vec::new();
    for (name, value) in entries {
        let here = path::below(place, name.key_text());
        if let Err(complaint) = host(name.key_text()) {
            findings.error(&here, Some(name.at), complaint);
        } else if !value.is_empty()
            && let Some(checked) = check_one(name, value, &here, findings)
        {
            kept.push((name.clone(), checked));
        }
    }
    (!kept.is_empty()).then_some(Node::at(Value::Mapping(kept), node.at))
}

fn check_one(name: &Node, value: &Node, here: &str, findings: &mut Findings) -> Option<Node> {
    let checked = check_keys(value, here, KEYS, findings)?;
    let says = |key: &str| value.get(key).is_some_and(|value| !value.is_empty());
    if says("username") != says("password") {
        let (has, lacks) = if says("username") { ("username", "password") } else { ("password", "username") };
        let message = format!("it has a {has} and no {lacks}");
        let advice = format!("Add a line with {lacks}, or remove {has}.");
        findings.error(here, Some(name.at), Complaint::new(code::MISSING, message, advice));
    }
    Some(checked).filter(|_| !findings.refused().touches(here))
}

/// What the checked mapping means.
pub fn resolve(node: &Node) -> BTreeMap<String, Registry> {
    let entries = node.as_mapping().unwrap_or_default().iter();
    entries.map(|(name, value)| (name.key_text().to_ascii_lowercase(), resolve_one(value))).collect()
}

fn resolve_one(node: &Node) -> Registry {
    let text = |key: &str| node.get(key).and_then(Node::as_text).map(String::from);
    Registry {
        mirrors: texts(node.get("mirrors")),
        username: text("username"),
        password: text("password"),
        insecure: node.get("insecure").and_then(Node::as_bool).unwrap_or(false),
    }
}

/// `ghcr.io`, `10.0.0.2:5000`, `[::1]:5000`: no scheme and no path.
fn host(text: &str) -> Verdict {
    one_line(text)?;
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-';
            let (name, port) = text.split_at(end);
            (name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(word), port)
        }
    };
    let port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if name && port && text.len() <= 255 {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not the host of a registry", shown(text)),
        "Write it as it stands in the names of images, as in ghcr.io or 10.0.0.2:5000, without https:// in front.",
    ))
}

fn mirror(text: &str) -> Verdict {
    let remote = text.starts_with("http://") || text.starts_with("https://");
    let plain = !text.contains(['?', '#', '@']);
    if remote && plain && content::source(text).is_ok() {
        return Ok(());
    }
    Err(Complaint::value(
        "this is not the address of a mirror",
        "Write http://… or https://…; name and password of a mirror go below its own host in `registries`.",
    ))
}

fn username(text: &str) -> Verdict {
    if text.contains(':') {
        return Err(Complaint::value("a username has no colon", "Put what follows the colon into `password`."));
    }
    Ok(())
}

/// Never said what it is.
fn password(_: &str) -> Verdict {
    Ok(())
}
