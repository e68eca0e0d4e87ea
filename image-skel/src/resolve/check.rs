//! Whether a set of packages holds together, looked at afresh: of the search nothing is believed here.

use std::collections::{BTreeMap, VecDeque};

use super::Chosen;
use crate::relation::Group;

/// Whether one of the alternatives is among the packages.
pub(super) fn meets(chosen: &Chosen, group: &Group) -> bool {
    group.alternatives.iter().any(|relation| {
        chosen.get(&relation.name).is_some_and(|package| relation.is_met_by(package))
            || chosen.values().any(|package| relation.is_met_by(package))
    })
}

/// Everything that is wrong: what is wanted and missing, what is needed and missing, and what stands against each other.
pub fn problems(chosen: &Chosen, wanted: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for name in wanted.iter().filter(|name| !chosen.contains_key(*name)) {
        problems.push(format!("{name} is wanted, and missing"));
    }
    let parents = needed(chosen, wanted);
    let way = |name: &str| chain(name, |name| parents.get(name).and_then(Option::as_deref));
    for (name, package) in chosen {
        for group in package.groups.iter().filter(|group| !meets(chosen, group)) {
            problems.push(format!("{} → {group}: missing", way(name)));
        }
        for other in chosen.values() {
            if let Some(relation) = package.stands_against(other) {
                problems.push(format!("{}: conflicts with or breaks {relation} ({})", way(name), way(other.name())));
            }
        }
    }
    problems
}

/// Names of packages that nothing wanted needs.
pub fn superfluous(chosen: &Chosen, wanted: &[String]) -> Vec<String> {
    let needed = needed(chosen, wanted);
    chosen.keys().filter(|name| !needed.contains_key(*name)).cloned().collect()
}

/// What is wanted or needed, each with one package that needs it, by the shortest way.
fn needed(chosen: &Chosen, wanted: &[String]) -> BTreeMap<String, Option<String>> {
    let mut parents: BTreeMap<String, Option<String>> =
        wanted.iter().filter(|name| chosen.contains_key(*name)).map(|name| (name.clone(), None)).collect();
    let mut queue: VecDeque<String> = parents.keys().cloned().collect();
    while let Some(name) = queue.pop_front() {
        let Some(package) = chosen.get(&name) else { continue };
        for relation in package.groups.iter().flat_map(|group| &group.alternatives) {
            for other in chosen.values().filter(|other| relation.is_met_by(other)) {
                if !parents.contains_key(other.name()) {
                    parents.insert(other.name().to_owned(), Some(name.clone()));
                    queue.push_back(other.name().to_owned());
                }
            }
        }
    }
    parents
}

/// `a → b → c`: how `c` came in.
pub(super) fn chain<'a>(name: &'a str, parent: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut names = vec![name];
    // A parent was there before its child, so this ends; the limit is for a set that nobody searched for.
    while let Some(above) = names.last().and_then(|name| parent(name)).filter(|_| names.len() < 50) {
        names.push(above);
    }
    names.reverse();
    names.join(" → ")
}
