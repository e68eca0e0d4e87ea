//! What became of each container from one `up` to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::Snapshot;

/// What became of each container, by its name.
pub fn between(before: Option<&Snapshot>, after: &Snapshot) -> BTreeMap<String, &'static str> {
    let none = BTreeMap::new();
    let before = before.map_or(&none, |before| &before.lives);
    let names: BTreeSet<&String> = before.keys().chain(after.lives.keys()).collect();
    let fate = |name: &String| match (before.get(name), after.lives.get(name)) {
        (Some(_), None) => "removed",
        (None, _) => "made",
        (Some(before), Some(after)) if before == after => "left alone",
        (Some(before), Some(after)) if before.0 == after.0 => "started again",
        _ => "made anew",
    };
    names.into_iter().map(|name| (name.clone(), fate(name))).collect()
}
