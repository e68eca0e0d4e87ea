//! `!reset` and `!override`: what an upper service takes from the one that it extends. Pure.

use std::collections::HashMap;

use crate::node::{Node, Tag, Value};

/// The file without what it takes back. Only services keep tags: they may extend others. A tag on one of them, or on all, takes nothing
/// from anything, as in compose.
pub(super) fn top(file: &Node) -> Node {
    let Value::Mapping(entries) = &file.value else {
        return file.clone();
    };
    let entries = entries.iter().filter(|(_, value)| value.tag != Tag::Reset).map(|(key, value)| {
        let services = key.key_text() == "services" && value.tag == Tag::None;
        (key.clone(), if services { services_of(value) } else { value.settled() })
    });
    Node::at(Value::Mapping(entries.collect()), file.at)
}

fn services_of(node: &Node) -> Node {
    let Value::Mapping(entries) = &node.value else {
        return node.settled();
    };
    let entries = entries.iter().filter(|(_, service)| service.tag != Tag::Reset).map(|(name, service)| {
        let inert = service.tag == Tag::Override;
        (name.clone(), if inert { service.settled() } else { service.clone() })
    });
    Node::at(Value::Mapping(entries.collect()), node.at)
}

/// What the tags of `upper` leave of `lower`. Only keys of mappings are looked at, in the form in which they are written; the key `*`
/// stands for all.
pub(super) fn left(lower: &Node, upper: &Node) -> Node {
    let (Value::Mapping(entries), Value::Mapping(tagged)) = (&lower.value, &upper.value) else {
        return lower.clone();
    };
    let tagged: HashMap<&str, &Node> = tagged.iter().map(|(key, value)| (key.key_text(), value)).collect();
    let below = |value: &Node, said: &Node| (said.tag == Tag::None).then(|| left(value, said));
    let stays = |key: &str, value: &Node| match (tagged.get(key), tagged.get("*")) {
        (None, None) => Some(value.clone()),
        (Some(said), None) | (None, Some(said)) => below(value, said),
        (Some(said), Some(of_all)) => below(&below(value, said)?, of_all),
    };
    let entries = entries.iter().filter_map(|(key, value)| Some((key.clone(), stays(key.key_text(), value)?)));
    Node::at(Value::Mapping(entries.collect()), lower.at)
}
