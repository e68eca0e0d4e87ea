//! The keys of offspot.yaml itself.

use super::{
    Form, Key, Takes, ap, check_keys, containers, ethernet, files, firmware, oci_images, registries, status, text_of,
    unknown, wrong_shape,
};
use crate::code;
use crate::finding::{Complaint, Findings};
use crate::near::nearest;
use crate::node::{Node, Value};
use crate::rules::{Verdict, names};
use crate::settings::Settings;
use crate::{path, schema};

/// The keys of offspot.yaml, in the order they are put into effect.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "firmware", takes: Takes::Any(Form::Schema(|| schema::mapping(firmware::KEYS, &[]))), about: "Wi-Fi firmware, by chipset." },
    Key { name: "timezone", takes: Takes::Text(names::timezone, Form::Words(|| names::timezones().collect())), about: "Name of the tz database, as in Africa/Bamako." },
    Key { name: "hostname", takes: Takes::Text(names::hostname, Form::Pattern(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")), about: "Name of the box." },
    Key { name: "ethernet", takes: Takes::Any(Form::Schema(|| schema::mapping(ethernet::KEYS, &["type"]))), about: "Wired network." },
    Key { name: "containers", takes: Takes::Any(Form::Schema(schema::containers)), about: "The services: a compose file." },
    Key { name: "ap", takes: Takes::Any(Form::Schema(|| schema::mapping(ap::KEYS, &[]))), about: "Wi-Fi access point; what it does not name stays as it is." },
    Key { name: "oci_images", takes: Takes::Any(Form::Schema(|| schema::list(oci_images::KEYS, &["ident"], true))), about: "Container images the card is to hold." },
    Key { name: "registries", takes: Takes::Any(Form::Schema(registries::schema)), about: "How to reach the registries of container images, by host." },
    Key { name: "files", takes: Takes::Any(Form::Schema(|| schema::list(files::KEYS, &["to"], false))), about: "Content to place below /data." },
    Key { name: "status", takes: Takes::Any(Form::Schema(|| schema::mapping(status::KEYS, &[]))), about: "How the box reports." },
    Key { name: "capabilities", takes: Takes::Any(Form::Schema(|| serde_json::json!({"type": ["object", "null"]}))), about: "Read by the admin interface only; kept." },
];

/// The mapping with only what can be used, values in their plainest form; keys that say nothing are left out, unknown ones kept.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Node {
    let Some(entries) = node.as_mapping() else {
        findings.error(place, Some(node.at), wrong_shape("a mapping", node));
        return Node::from(Value::Mapping(Vec::new()));
    };
    let mut kept = Vec::new();
    for (name, value) in entries {
        let here = path::below(place, name.key_text());
        if !KEYS.iter().any(|key| key.name == name.key_text()) {
            let emptied = node.get("ap").is_some_and(Node::is_empty);
            if report_unknown(name, &here, emptied, findings) {
                kept.push((name.clone(), value.clone()));
            }
        } else if let Some(value) = Some(value)
            .filter(|value| !says_nothing(value))
            .and_then(|value| check_one(name.key_text(), value, &here, findings))
        {
            kept.push((name.clone(), value));
        }
    }
    Node::at(Value::Mapping(kept), node.at)
}

/// Reports a key that has no place here, and says where it may belong; whether it is kept. `emptied`: `ap` stands without keys.
fn report_unknown(name: &Node, here: &str, emptied: bool, findings: &mut Findings) -> bool {
    let of_ap = ap::KEYS.iter().any(|key| key.name == name.key_text());
    let meant_otherwise = nearest(name.key_text(), KEYS.iter().map(|key| key.name)).is_some();
    if name.key_text() == "services" {
        let advice = "Put it, indented by two spaces, below a line `containers:`.";
        let complaint = Complaint::new(code::UNKNOWN, "services stands outside of containers", advice);
        findings.warning(here, Some(name.at), complaint);
    } else if of_ap && (emptied || !meant_otherwise) {
        let message = format!("{} belongs below ap", name.key_text());
        let advice = "Put it below the line `ap:`, indented by two spaces.";
        let complaint = Complaint::new(code::UNKNOWN, message, advice);
        if emptied {
            findings.error(here, Some(name.at), complaint);
            return false;
        }
        findings.warning(here, Some(name.at), complaint);
    } else {
        unknown(name, here, KEYS, findings);
    }
    true
}

/// Null, empty, `false` and `0` are as good as absent.
fn says_nothing(node: &Node) -> bool {
    node.is_empty()
        || node.as_scalar().is_some_and(|scalar| scalar.plain)
            && (node.as_bool() == Some(false) || node.as_int() == Some(0))
}

fn check_one(name: &str, value: &Node, here: &str, findings: &mut Findings) -> Option<Node> {
    match name {
        "timezone" => text(value, here, names::timezone, findings),
        "hostname" => text(value, here, names::hostname, findings),
        "ethernet" => ethernet::check(value, here, findings),
        "containers" => containers::check(value, here, findings),
        "ap" => access_point(value, here, findings),
        "capabilities" => Some(plain_flags(value)).filter(|_| !findings.refused().touches(here)),
        "oci_images" => oci_images::check(value, here, findings),
        "registries" => registries::check(value, here, findings),
        "files" => files::check(value, here, findings),
        "firmware" => {
            let kept_otherwise = !findings.refuses_unknown();
            findings.refuse_unknown();
            let checked = each_for_itself(value, here, firmware::KEYS, findings);
            if kept_otherwise {
                findings.keep_unknown();
            }
            checked
        }
        "status" => each_for_itself(value, here, status::KEYS, findings),
        _ => Some(value.clone()).filter(|_| !findings.refused().touches(here)),
    }
}

/// Stands or falls as a whole. A key that is null goes back to its default, but for `ssid`, which has none and stays.
fn access_point(node: &Node, here: &str, findings: &mut Findings) -> Option<Node> {
    let checked = check_keys(node, here, ap::KEYS, findings)?;
    let Value::Mapping(entries) = checked.value else {
        return None;
    };
    let stands = |(name, value): &(Node, Node)| name.key_text() != "ssid" || !value.is_null();
    let kept: Vec<(Node, Node)> = entries.into_iter().filter(stands).collect();
    let complete = !kept.is_empty() && !findings.refused().touches(here);
    complete.then_some(Node::at(Value::Mapping(kept), checked.at))
}

/// `yes` and `off` as `true` and `false`: who reads this mapping reads YAML 1.1.
fn plain_flags(node: &Node) -> Node {
    let flag = |node: &Node| {
        node.as_scalar().filter(|scalar| scalar.plain).and_then(|scalar| crate::scalar::boolean(&scalar.text))
    };
    let plain = |value: &Node| match flag(value) {
        Some(flag) => Node { at: value.at, ..Node::word(flag.to_string()) },
        None => value.clone(),
    };
    match node.as_mapping() {
        None => node.clone(),
        Some(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.clone(), plain(value)));
            Node::at(Value::Mapping(entries.collect()), node.at)
        }
    }
}

fn text(node: &Node, here: &str, rule: fn(&str) -> Verdict, findings: &mut Findings) -> Option<Node> {
    let verdict = text_of(node, rule).map(|text| Node { at: node.at, ..Node::text(text) });
    verdict
        .map_err(|complaint| findings.error(here, Some(node.at), complaint))
        .ok()
        .filter(|_| !findings.refused().touches(here))
}

/// A mapping whose keys are independent: a refused one leaves the others.
fn each_for_itself(node: &Node, here: &str, keys: &'static [Key], findings: &mut Findings) -> Option<Node> {
    let checked = check_keys(node, here, keys, findings)?;
    let Value::Mapping(entries) = checked.value else {
        return None;
    };
    let stands = |(name, value): &(Node, Node)| {
        !value.is_null() && !findings.refused().touches(&path::below(here, name.key_text()))
    };
    let kept: Vec<(Node, Node)> = entries.into_iter().filter(stands).collect();
    (!kept.is_empty()).then_some(Node::at(Value::Mapping(kept), checked.at))
}

/// What a checked mapping means.
pub fn resolve(node: &Node) -> Settings {
    let text = |key: &str| node.get(key).and_then(Node::as_text).map(String::from);
    let firmware = |chipset: &Key| {
        Some((chipset.name.to_string(), node.get("firmware")?.get(chipset.name)?.as_text()?.to_string()))
    };
    Settings {
        firmware: firmware::KEYS.iter().filter_map(firmware).collect(),
        timezone: text("timezone"),
        hostname: text("hostname"),
        ethernet: node.get("ethernet").and_then(ethernet::resolve),
        containers: node.get("containers").map(containers::resolve),
        ap: node.get("ap").and_then(ap::resolve),
        oci_images: node.get("oci_images").map(oci_images::resolve).unwrap_or_default(),
        registries: node.get("registries").map(registries::resolve).unwrap_or_default(),
        files: node.get("files").map(files::resolve).unwrap_or_default(),
        status: node.get("status").map(status::resolve).unwrap_or_default(),
    }
}
