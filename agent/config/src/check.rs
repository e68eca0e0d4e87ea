//! A whole file against the rules: every problem at once, and what of it can be used.

use crate::code;
use crate::finding::{Complaint, Finding, Findings, Refused, Severity};
use crate::keys::{ap, image, top};
use crate::node::{Node, Position, Value};
use crate::path;
use crate::settings::{Recipe, Settings, Tree};
use crate::yaml::{self, Reading};

/// An offspot.yaml that has been checked.
#[derive(Debug)]
pub struct Checked {
    /// What the file alone would put in force.
    pub settings: Settings,
    /// Everything wrong or odd, in the order of the file.
    pub findings: Vec<Finding>,
    /// What of the file can be used, values in their plainest form, unknown keys included.
    pub given: Tree,
}

impl Checked {
    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        has_errors(&self.findings)
    }
}

/// Whether any of these is an error.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Checks an offspot.yaml for itself. What depends on the settings of the box it is for is a warning, or left to `in_force`.
pub fn check(bytes: &[u8]) -> Checked {
    let File { text, mut kept, findings, refused, blank_ssid, .. } = read_file(bytes);
    let mut findings = Findings::resume(&text, findings, refused);
    if let Some(at) = blank_ssid {
        findings.error("ap.ssid", Some(at), no_ssid());
        kept = without(kept, "ap");
    }
    let point = kept.get("ap").cloned();
    if let Some(point) = &point {
        let conflicts = ap::conflicts(point, None);
        if conflicts.is_empty() {
            warn_without_ssid(point, &mut findings);
        } else {
            report_conflicts(point, point, conflicts, &mut findings);
            kept = without(kept, "ap");
        }
    }
    Checked { settings: top::resolve(&kept), findings: findings.finish().0, given: Tree(kept) }
}

fn warn_without_ssid(point: &Node, findings: &mut Findings) {
    if point.get("ssid").is_none_or(Node::is_empty) {
        let complaint = Complaint::new(
            code::MISSING,
            "it has no ssid",
            "Fine on a box that has an access point already; add `ssid` for any other.",
        );
        findings.warning("ap", Some(point.at), complaint);
    }
}

/// What is said of an `ssid` without value.
pub(crate) fn no_ssid() -> Complaint {
    Complaint::new(
        code::MISSING,
        "ssid has no value",
        "Write the name of the network behind it; in straight quotes if it starts with #.",
    )
}

/// Where `ap` names the key `ssid` without a value.
fn blank_ssid(root: &Node) -> Option<Position> {
    let (name, ssid) = root.get("ap")?.entry("ssid")?;
    ssid.is_empty().then_some(name.at)
}

/// Reports what cannot hold together; points to where the file names the key, else to `ap` as a whole.
pub(crate) fn report_conflicts(
    point: &Node,
    given: &Node,
    conflicts: Vec<(&'static str, Complaint)>,
    findings: &mut Findings,
) {
    for (key, complaint) in conflicts {
        let at = given.get(key).map_or(point.at, |value| value.at);
        findings.error(&format!("ap.{key}"), Some(at), complaint);
    }
}

/// The mapping without one key.
pub(crate) fn without(node: Node, key: &str) -> Node {
    match node.value {
        Value::Mapping(entries) => Node {
            value: Value::Mapping(entries.into_iter().filter(|(name, _)| name.key_text() != key).collect()),
            ..node
        },
        value => Node { value, ..node },
    }
}

/// An offspot.yaml as far as it can be judged without knowing what was in force before.
pub(crate) struct File {
    /// The text, for excerpts.
    pub text: String,
    /// What of it can be used.
    pub kept: Node,
    /// Services that are refused, while others are not.
    pub refused_services: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What the errors refuse.
    pub refused: Refused,
    /// Where `ssid` stands without a value.
    pub blank_ssid: Option<Position>,
}

pub(crate) fn read_file(bytes: &[u8]) -> File {
    let Reading { root, findings, refused, text } = yaml::read(bytes);
    let mut root = root.unwrap_or_else(|| Node::from(Value::Mapping(Vec::new())));
    let mut findings = Findings::resume(&text, findings, refused);
    ignore_tags(&mut root, "", "containers", &mut findings);
    let kept = top::check(&root, "", &mut findings);
    let (findings, refused) = findings.finish();
    let (refused_services, blank_ssid) = (lost_services(&root, &kept), blank_ssid(&root));
    File { kept, refused_services, findings, refused, text, blank_ssid }
}

/// Mentions and removes the tags of compose outside of `compose`, the part of the file that is a compose file.
fn ignore_tags(node: &mut Node, place: &str, compose: &str, findings: &mut Findings) {
    if let Some(tag) = std::mem::take(&mut node.tag).word() {
        findings.warning(place, Some(node.at), yaml::ignored_tag(tag));
    }
    match &mut node.value {
        _ if place == compose => {}
        Value::Scalar(_) => {}
        Value::Sequence(items) => items
            .iter_mut()
            .enumerate()
            .for_each(|(index, item)| ignore_tags(item, &path::item(place, index), compose, findings)),
        Value::Mapping(entries) => entries
            .iter_mut()
            .for_each(|(key, value)| ignore_tags(value, &path::below(place, key.key_text()), compose, findings)),
    }
}

/// The services of the file that are not among those kept.
fn lost_services(given: &Node, kept: &Node) -> Vec<String> {
    let services = |node: &Node| -> Vec<String> {
        let entries = node.get("containers").and_then(|containers| containers.get("services")?.as_mapping());
        entries.unwrap_or_default().iter().map(|(name, _)| name.key_text().to_string()).collect()
    };
    let kept: std::collections::HashSet<String> = services(kept).into_iter().collect();
    if kept.is_empty() { Vec::new() } else { services(given).into_iter().filter(|name| !kept.contains(name)).collect() }
}

/// An image.yaml that has been checked.
#[derive(Debug)]
pub struct CheckedImage {
    /// What of it can be used.
    pub recipe: Recipe,
    /// Everything wrong or odd, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Checks an image.yaml; its `offspot` by the same rules as an offspot.yaml. Unknown keys are errors there, warnings below `offspot`.
pub fn check_image(bytes: &[u8]) -> CheckedImage {
    let Reading { root, findings, refused, text } = yaml::read(bytes);
    let mut root = root.unwrap_or_else(|| Node::from(Value::Mapping(Vec::new())));
    let mut findings = Findings::resume(&text, findings, refused);
    ignore_tags(&mut root, "", "offspot.containers", &mut findings);
    let kept = image::check(&root, &mut findings);
    if let Some(at) = root.get("offspot").and_then(blank_ssid) {
        findings.error("offspot.ap.ssid", Some(at), no_ssid());
    }
    CheckedImage { recipe: image::resolve(&kept), findings: findings.finish().0 }
}
