//! `ethernet`: the wired network.

use super::{Form, Key, Takes, check_keys, one_of, require, texts};
use crate::finding::Findings;
use crate::node::Node;
use crate::rules::network;
use crate::settings::Ethernet;

/// The keys of `ethernet`.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "type", takes: Takes::Text(|text| one_of(text, [("dhcp", ()), ("static", ())].into_iter()), Form::Words(|| vec!["dhcp", "static"])), about: "dhcp (ask the network) or static." },
    Key { name: "address", takes: Takes::Text(|text| network::usable_ipv4(text).map(drop), Form::Pattern(r"^\d{1,3}(\.\d{1,3}){3}$")), about: "static: the box's address; its network is the /24 around it." },
    Key { name: "routers", takes: Takes::List(|text| network::usable_ipv4(text).map(drop)), about: "static: addresses of the ways out, at least one." },
    Key { name: "dns", takes: Takes::List(|text| network::usable_ipv4(text).map(drop)), about: "static: addresses of name servers, at least one." },
];

/// Refused as a whole if any part of it is.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Option<Node> {
    let checked = check_keys(node, place, KEYS, findings)?;
    let complete = match checked.get("type").and_then(Node::as_text) {
        Some("static") => node_has(node, "type") && require_given(node, &checked, place, findings),
        Some(_) => true,
        None => node_has(node, "type") || require(node, place, &["type"], findings),
    };
    (complete && !findings.refused().touches(place)).then_some(checked)
}

fn node_has(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(|value| !value.is_empty())
}

/// `static` needs the three others; one that is given but wrong has been complained of.
fn require_given(node: &Node, checked: &Node, place: &str, findings: &mut Findings) -> bool {
    let refused = |key: &str| node_has(node, key) && checked.get(key).is_none();
    let missing: Vec<&str> = ["address", "routers", "dns"].into_iter().filter(|key| !refused(key)).collect();
    require(checked, place, &missing, findings)
}

/// What a checked mapping means.
pub fn resolve(node: &Node) -> Option<Ethernet> {
    match node.get("type")?.as_text()? {
        "dhcp" => Some(Ethernet::Dhcp),
        _ => Some(Ethernet::Static {
            address: node.get("address")?.as_text()?.into(),
            routers: texts(node.get("routers")),
            dns: texts(node.get("dns")),
        }),
    }
}
