//! What is in force: the last good settings, changed by what a new file names and by nothing else.

use std::collections::{HashMap, HashSet};

use crate::check::{File, has_errors, no_ssid, read_file, report_conflicts, without};
use crate::code;
use crate::finding::{Complaint, Finding, Findings, Severity};
use crate::keys::{ap, top};
use crate::node::{Node, Position, Value};
use crate::settings::{Settings, Tree};

/// Keys whose mapping is changed entry by entry; all others are replaced as a whole.
const ENTRY_BY_ENTRY: &[&str] = &["ap", "firmware", "status"];

/// The settings in force after a file has been read.
#[derive(Debug)]
pub struct InForce {
    /// What they mean.
    pub settings: Settings,
    /// What to write to the record of the settings in force.
    pub tree: Tree,
    /// Everything wrong or odd in the file, in its order.
    pub findings: Vec<Finding>,
    /// Top-level keys whose value differs from the last good one.
    pub changed: Vec<String>,
}

impl InForce {
    /// Whether anything in the file is refused.
    pub fn has_errors(&self) -> bool {
        has_errors(&self.findings)
    }
}

/// The last good settings and a new file, either of which may be missing. A key that is absent, says nothing or is refused leaves
/// the last good one in force.
pub fn in_force(last_good: Option<&[u8]>, given: Option<&[u8]>) -> InForce {
    let (before, damaged) = last_good.map_or((empty(), Vec::new()), recall);
    let File { text, mut kept, refused_services, findings, refused, blank_ssid } = read_file(given.unwrap_or_default());
    let mut findings = Findings::resume(&text, findings, refused);
    // What is wrong with a service, a file that names them is told for itself: one that needs a refused one is no damage of the record.
    let told_anyway = |key: &String| key.starts_with("containers") && kept.get("containers").is_some();
    if !damaged.iter().all(told_anyway) {
        findings.warning("", None, damage());
    }
    if let Some(at) = blank_ssid {
        kept = judge_blank_ssid(&before, kept, at, &mut findings);
    }
    let kept = match judge_access_point(&before, &kept, &mut findings) {
        true => kept,
        false => without(kept, "ap"),
    };
    let tree = merge(&before, &kept, &refused_services);
    let changed = changed(&before, &tree);
    InForce { settings: top::resolve(&tree), tree: Tree(tree), findings: findings.finish().0, changed }
}

/// The usable part of the record of the settings in force, and the keys of what is not.
fn recall(bytes: &[u8]) -> (Node, Vec<String>) {
    let File { mut kept, findings, .. } = read_file(bytes);
    if kept
        .get("ap")
        .is_some_and(|point| ap::resolve(point).is_none() || !ap::conflicts(point, Some(ap::ADDRESS)).is_empty())
    {
        kept = without(kept, "ap");
    }
    let errors = findings.into_iter().filter(|finding| finding.severity == Severity::Error);
    (kept, errors.map(|finding| finding.key).collect())
}

fn damage() -> Complaint {
    let advice = "Nothing to do if this file names every setting; otherwise put the full settings on the card.";
    Complaint::new(code::LAST_GOOD, "part of the record of the settings in force cannot be read", advice)
}

/// An `ssid` without value leaves the name of the box; where there is none, nothing of `ap` can be used.
fn judge_blank_ssid(before: &Node, kept: Node, at: Position, findings: &mut Findings) -> Node {
    if before.get("ap").and_then(|point| point.get("ssid")).is_some() {
        let complaint = no_ssid();
        let message = format!("{}: the name stays as it was", complaint.message);
        findings.warning("ap.ssid", Some(at), Complaint { message, ..complaint });
        return kept;
    }
    findings.error("ap.ssid", Some(at), no_ssid());
    without(kept, "ap")
}

/// Whether the access point that would result can work: has a name, and no two values that exclude each other.
fn judge_access_point(before: &Node, kept: &Node, findings: &mut Findings) -> bool {
    let Some(given) = kept.get("ap") else {
        return true;
    };
    let merged = match before.get("ap") {
        Some(before) => overlay(before, given),
        None => given.clone(),
    };
    if ap::resolve(&merged).is_none() {
        findings.error(
            "ap",
            Some(given.at),
            Complaint::new(
                code::MISSING,
                "it has no ssid, and neither has the box so far",
                "Add `ssid` with the name of the network.",
            ),
        );
        return false;
    }
    let conflicts = ap::conflicts(&merged, Some(ap::ADDRESS));
    let sound = conflicts.is_empty();
    report_conflicts(given, given, conflicts, findings);
    sound
}

/// The last good tree with what the new one names. Services that the new file names but that are refused stay as they were.
pub fn merge(before: &Node, given: &Node, refused_services: &[String]) -> Node {
    overlay_by(before, given, |name, old, new| match name {
        _ if ENTRY_BY_ENTRY.contains(&name) => overlay(old, new),
        "containers" => with_refused_services(old, new, refused_services),
        _ => new.clone(),
    })
}

/// The entries of `over` in place of those of `under` with the same names.
fn overlay(under: &Node, over: &Node) -> Node {
    overlay_by(under, over, |_, _, new| new.clone())
}

fn overlay_by(under: &Node, over: &Node, join: impl Fn(&str, &Node, &Node) -> Node) -> Node {
    let mut entries: Vec<(Node, Node)> = under.as_mapping().unwrap_or_default().to_vec();
    let places = places(under);
    for (name, value) in over.as_mapping().unwrap_or_default() {
        match places.get(name.key_text()) {
            Some(&place) => entries[place].1 = join(name.key_text(), &entries[place].1, value),
            None => entries.push((name.clone(), value.clone())),
        }
    }
    Value::Mapping(entries).into()
}

/// Where each key stands in a mapping, which may be large.
fn places(node: &Node) -> HashMap<&str, usize> {
    let entries = node.as_mapping().unwrap_or_default().iter().enumerate();
    entries.map(|(place, (name, _))| (name.key_text(), place)).collect()
}

/// The new compose file, with the last good definition of each service that is refused in it.
fn with_refused_services(before: &Node, given: &Node, refused: &[String]) -> Node {
    let Some(old) = before.get("services") else {
        return given.clone();
    };
    let refused: HashSet<&str> = refused.iter().map(String::as_str).collect();
    let old = old.as_mapping().unwrap_or_default().iter();
    let kept: Vec<(Node, Node)> = old.filter(|(name, _)| refused.contains(name.key_text())).cloned().collect();
    let mut merged = given.clone();
    if let Value::Mapping(entries) = &mut merged.value
        && let Some((_, services)) = entries.iter_mut().find(|(name, _)| name.key_text() == "services")
        && let Value::Mapping(services) = &mut services.value
    {
        services.extend(kept);
    }
    merged
}

fn changed(before: &Node, after: &Node) -> Vec<String> {
    let (old, places) = (before.as_mapping().unwrap_or_default(), places(before));
    let same = |name: &str, value: &Node| places.get(name).is_some_and(|&place| old[place].1.same(value));
    let entries = after.as_mapping().unwrap_or_default().iter().map(|(name, value)| (name.key_text(), value));
    entries.filter(|(name, value)| !same(name, value)).map(|(name, _)| name.to_string()).collect()
}

fn empty() -> Node {
    Value::Mapping(Vec::new()).into()
}
