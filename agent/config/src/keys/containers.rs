//! `containers`: a compose file. Here the outer rules; what stands inside a service is `compose`'s to judge.

use std::collections::HashSet;

use super::{require, text_of, wrong_shape};
use crate::code;
use crate::compose;
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Value};
use crate::path;
use crate::rules::{Verdict, ports};
use crate::settings::Containers;

/// The port a browser asks.
const WEB: u16 = 80;

/// The compose file without the services that are refused; none if nothing of it can be used.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Option<Node> {
    if node.as_mapping().is_none() {
        findings.error(place, Some(node.at), wrong_shape("a mapping", node));
        return None;
    }
    let settled = node.settled();
    let services_place = path::below(place, "services");
    if !require(&settled, place, &["services"], findings) || findings.refused().touches_beside(place, &services_place) {
        return None;
    }
    let (services_key, services_node) = settled.entry("services")?;
    let Some(services) = services_node.as_mapping() else {
        findings.error(&services_place, Some(services_node.at), wrong_shape("a mapping", services_node));
        return None;
    };
    let bad = services.iter().filter(|(name, service)| !check_service(name, service, &services_place, findings));
    let mut refused: HashSet<String> = bad.map(|(name, _)| name.key_text().to_owned()).collect();
    let given = without_services(node, &refused);
    let (project, whole) = compose::check(&given, place, findings);
    if !project.publishes(WEB) {
        warn_without_web(services_key, services, &services_place, findings);
    }
    refused.extend(project.refused.into_iter().map(|refused| refused.name));
    (!whole && refused.len() < services.len()).then(|| without_services(node, &refused))
}

fn without_services(node: &Node, refused: &HashSet<String>) -> Node {
    let mut left = node.clone();
    if let Some(Value::Mapping(services)) = left.get_mut("services").map(|services| &mut services.value) {
        services.retain(|(name, _)| !refused.contains(name.key_text()));
    }
    left
}

fn check_service(name: &Node, service: &Node, place: &str, findings: &mut Findings) -> bool {
    let here = path::below(place, name.key_text());
    if service.as_mapping().is_none() {
        findings.error(&here, Some(name.at), wrong_shape("a mapping", service));
        return false;
    }
    let says = |key: &str| service.get(key).is_some_and(|value| !value.is_empty());
    if says("profiles") {
        // It is not meant to run: what it says must only be compose.
        return !findings.refused().touches(&here);
    }
    // It may have the image of another; and one that is to be built may be extended by others.
    let elsewhere = says("extends") || says("build");
    if (elsewhere || require(service, &here, &["image"], findings))
        && let Some(image) = service.get("image")
    {
        let not_blank = |text: &str| {
            if text.trim().is_empty() { Err(wrong_shape("the name of an image", image)) } else { Ok(()) }
        };
        report(text_of(image, |_| Ok(())).and_then(not_blank), &path::below(&here, "image"), image, findings);
    }
    if let Some((key, ports)) = service.entry("ports").filter(|(_, ports)| !ports.is_empty()) {
        let place = path::below(&here, "ports");
        if ports.as_sequence().is_none() {
            findings.error(&place, Some(ports.at), wrong_shape("a list", ports));
        } else if service.get("network_mode").and_then(Node::as_text) == Some("host") {
            let advice = "Remove `ports`: with `network_mode: host` the service has all ports of the box.";
            findings.error(
                &place,
                Some(key.at),
                Complaint::new(code::CONFLICT, "a service on the host's network cannot publish ports", advice),
            );
        }
    }
    // The keys of compose inside this service are checked here, by the `compose` module.
    !findings.refused().touches(&here)
}

fn report(verdict: Verdict, place: &str, node: &Node, findings: &mut Findings) {
    if let Err(complaint) = verdict {
        findings.error(place, Some(node.at), complaint);
    }
}

fn warn_without_web(key: &Node, services: &[(Node, Node)], place: &str, findings: &mut Findings) {
    let published = |service: &Node| {
        service
            .get("ports")
            .and_then(Node::as_sequence)
            .is_some_and(|entries| entries.iter().any(|entry| ports::publishes(entry, WEB)))
    };
    if !services.iter().any(|(_, service)| published(service)) {
        let advice = "Give the service that people are to see a line `- \"80:80\"` below `ports:`.";
        findings.warning(
            place,
            Some(key.at),
            Complaint::new(code::PORT_80, "no service publishes port 80, so a browser finds nothing", advice),
        );
    }
}

/// What a checked mapping means.
pub fn resolve(node: &Node) -> Containers {
    Containers { given: node.clone() }
}
