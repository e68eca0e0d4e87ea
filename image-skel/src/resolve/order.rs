//! The order of configuration: a package after what it depends on. In a circle `Pre-Depends` outweighs `Depends`.

use std::collections::{BTreeMap, BTreeSet};

use super::Chosen;
use crate::relation::{Group, Package};

/// Each package's place, from 1.
pub(super) fn configure(chosen: &Chosen) -> BTreeMap<&str, u32> {
    let every = Edges { chosen, within: None, pre_only: false };
    let mut order = Vec::new();
    for circle in every.circles() {
        if circle.len() == 1 {
            order.extend(circle);
        } else {
            let within: BTreeSet<&str> = circle.into_iter().collect();
            let inner = Edges { chosen, within: Some(&within), pre_only: true };
            order.extend(inner.circles().into_iter().flatten());
        }
    }
    order.into_iter().zip(1..).collect()
}

/// Who must come before whom.
struct Edges<'a, 'b> {
    chosen: &'a Chosen,
    within: Option<&'b BTreeSet<&'a str>>,
    pre_only: bool,
}

impl<'a> Edges<'a, '_> {
    fn nodes(&self) -> Vec<&'a str> {
        let all = self.chosen.keys().map(String::as_str);
        all.filter(|name| self.within.is_none_or(|within| within.contains(name))).collect()
    }

    fn before(&self, name: &str) -> BTreeSet<&'a str> {
        let groups = self.chosen.get(name).into_iter().flat_map(|package| &package.groups);
        let groups = groups.filter(|group| group.pre || !self.pre_only);
        let names = groups.flat_map(|group| self.met_by(group)).map(Package::name);
        names.filter(|other| *other != name && self.within.is_none_or(|within| within.contains(other))).collect()
    }

    fn met_by(&self, group: &'a Group) -> impl Iterator<Item = &'a Package> {
        let chosen = self.chosen.values().map(|package| &**package);
        chosen.filter(|package| group.alternatives.iter().any(|relation| relation.is_met_by(package)))
    }

    /// Strongly connected sets (Tarjan 1972), each after those that it depends on; sorted within.
    fn circles(&self) -> Vec<Vec<&'a str>> {
        let mut walk = Walk { edges: self, seen: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
        for name in self.nodes() {
            if !walk.seen.contains_key(name) {
                walk.visit(name);
            }
        }
        walk.found
    }
}

struct Walk<'a, 'b, 'c> {
    edges: &'c Edges<'a, 'b>,
    seen: BTreeMap<&'a str, usize>,
    stack: Vec<&'a str>,
    found: Vec<Vec<&'a str>>,
}

impl<'a> Walk<'a, '_, '_> {
    /// Gives the lowest number that can be reached from here.
    fn visit(&mut self, name: &'a str) -> usize {
        let number = self.seen.len();
        self.seen.insert(name, number);
        let depth = self.stack.len();
        self.stack.push(name);
        let mut lowest = number;
        for other in self.edges.before(name) {
            match self.seen.get(other).copied() {
                None => lowest = lowest.min(self.visit(other)),
                Some(number) if self.stack.contains(&other) => lowest = lowest.min(number),
                Some(_) => {}
            }
        }
        if lowest == number {
            let mut circle = self.stack.split_off(depth);
            circle.sort_unstable();
            self.found.push(circle);
        }
        lowest
    }
}
