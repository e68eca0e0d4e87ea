//! The search for a set of packages that fits together.
//!
//! What leaves no choice is chosen first; then the alternatives are tried in order of preference. A version that turns out to be wrong is
//! not searched for here: the rule that it broke is handed up, and the search begins anew with it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Chosen, Rules};
use crate::index::Offer;
use crate::relation::{Group, Package, Relation};
use crate::tool::Failure;

/// Packages put into the set, in all branches together, before the search is given up.
const STEPS: u32 = 50_000;

/// Why a branch ended.
pub(super) enum Stuck {
    /// The package of this name must keep to this bound.
    Learned(Box<Relation>),
    /// It cannot be met. These packages are what it is between.
    Dead { between: Vec<String>, why: String },
    /// An index cannot be read.
    Failed(Failure),
}

impl From<Failure> for Stuck {
    fn from(failure: Failure) -> Stuck {
        Stuck::Failed(failure)
    }
}

/// The search of one round.
pub(super) struct Search<'a> {
    rules: &'a Rules<'a>,
    left: Cell<u32>,
}

#[derive(Clone, Default)]
struct State {
    chosen: Chosen,
    parents: BTreeMap<String, String>,
    open: Vec<(Rc<Package>, usize)>,
}

impl State {
    /// `a → b → c`, from a wanted package.
    fn chain(&self, name: &str) -> String {
        super::check::chain(name, |name| self.parents.get(name).map(String::as_str))
    }

    fn meets(&self, group: &Group) -> bool {
        super::check::meets(&self.chosen, group)
    }

    /// Who stands against whom if this package came in.
    fn clash(&self, package: &Package) -> Option<(String, String)> {
        self.chosen.values().find_map(|other| {
            let relation = package.stands_against(other).map(|relation| (package, relation));
            let (by, relation) =
                relation.or_else(|| other.stands_against(package).map(|relation| (&**other, relation)))?;
            let (name, version) = (&by.locked.package, &by.locked.version);
            Some((other.name().to_owned(), format!("{name} {version} conflicts with or breaks {relation}")))
        })
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(rules: &'a Rules<'a>) -> Search<'a> {
        Search { rules, left: Cell::new(STEPS) }
    }

    pub(super) fn run(&self) -> Result<Chosen, Stuck> {
        let mut state = State::default();
        for name in self.rules.wish.packages {
            let offer = self.rules.best(name, None)?;
            let offer =
                offer.ok_or_else(|| Stuck::Dead { between: vec![name.clone()], why: self.not_offered(name) })?;
            self.put(&mut state, &offer.package, None)?;
        }
        self.settle(state).map(|state| state.chosen)
    }

    fn put(&self, state: &mut State, package: &Rc<Package>, parent: Option<&str>) -> Result<(), Stuck> {
        let name = package.name();
        if state.chosen.contains_key(name) {
            return Ok(());
        }
        if let Some(parent) = parent {
            state.parents.insert(name.to_owned(), parent.to_owned());
        }
        if let Some((other, why)) = state.clash(package) {
            let why = format!("{}: {why} ({})", state.chain(name), state.chain(&other));
            return Err(Stuck::Dead { between: vec![name.to_owned(), other], why });
        }
        self.left.set(self.left.get().checked_sub(1).ok_or_else(|| Stuck::Dead {
            between: Vec::new(),
            why: format!("{}: no set that fits together was found in {STEPS} steps", state.chain(name)),
        })?);
        state.chosen.insert(name.to_owned(), package.clone());
        state.open.extend((0..package.groups.len()).map(|group| (package.clone(), group)));
        Ok(())
    }

    /// Chooses until nothing is open.
    fn settle(&self, mut state: State) -> Result<State, Stuck> {
        loop {
            let before = state.chosen.len();
            let mut later = Vec::new();
            for (package, index) in std::mem::take(&mut state.open) {
                let group = &package.groups[index];
                if state.meets(group) {
                    continue;
                }
                match self.choices(&state, group)?.as_slice() {
                    [] => return Err(self.dead(&state, &package, group)?),
                    [only] => self.put(&mut state, &only.package, Some(package.name()))?,
                    _ => later.push((package.clone(), index)),
                }
            }
            later.append(&mut state.open);
            state.open = later;
            if state.chosen.len() == before {
                break;
            }
        }
        match state.open.first().cloned() {
            None => Ok(state),
            Some((package, index)) => self.branch(&state, &package, &package.groups[index]),
        }
    }

    /// Tries the alternatives one after the other; what the first one failed by is told.
    fn branch(&self, state: &State, package: &Package, group: &Group) -> Result<State, Stuck> {
        let mut first = None;
        for choice in self.choices(state, group)? {
            let mut state = state.clone();
            let tried = self.put(&mut state, &choice.package, Some(package.name())).and_then(|()| self.settle(state));
            match tried {
                Err(stuck @ Stuck::Dead { .. }) => first = first.or(Some(stuck)),
                other => return other,
            }
        }
        Err(first.map_or_else(|| self.dead(state, package, group), Ok)?)
    }

    /// Debs that would meet a group, in order of preference, without those that something chosen stands against.
    fn choices(&self, state: &State, group: &Group) -> Result<Vec<Offer>, Stuck> {
        let mut choices: Vec<Offer> = Vec::new();
        for relation in &group.alternatives {
            choices.extend(self.rules.best(&relation.name, Some(relation))?);
            let mut providers = Vec::new();
            for name in self.rules.pool.providers(&relation.name).filter(|name| **name != relation.name) {
                providers.extend(self.rules.best(name, Some(relation))?);
            }
            providers.sort_by_key(|offer| offer.package.rank());
            choices.extend(providers);
        }
        let mut seen = Vec::new();
        choices.retain(|offer| {
            let name = offer.package.name().to_owned();
            let new = !state.chosen.contains_key(&name) && !seen.contains(&name);
            seen.push(name);
            new && state.clash(&offer.package).is_none()
        });
        let rules = self.rules;
        choices.sort_by_key(|offer| {
            let name = offer.package.name();
            (!rules.held.contains_key(name), !offer.automatic && !rules.wish.from.contains_key(name))
        });
        Ok(choices)
    }

    /// Why a group cannot be met: if only the version of a chosen package stands in the way, that is learned.
    fn dead(&self, state: &State, package: &Package, group: &Group) -> Result<Stuck, Failure> {
        let mut between = vec![package.name().to_owned()];
        let mut reasons = Vec::new();
        for relation in &group.alternatives {
            let there = state.chosen.get(&relation.name);
            let other = self.rules.best(&relation.name, Some(relation))?;
            if there.is_some() && other.is_some() {
                return Ok(Stuck::Learned(Box::new(relation.clone())));
            }
            between.extend(there.map(|there| there.name().to_owned()));
            reasons.push(match other.and_then(|offer| state.clash(&offer.package)) {
                Some((other, why)) => {
                    let why = format!("{why} ({})", state.chain(&other));
                    between.push(other);
                    why
                }
                None => self.not_offered(&relation.name),
            });
        }
        reasons.dedup();
        let why = format!("{} → {group}: {}", state.chain(package.name()), reasons.join("; "));
        Ok(Stuck::Dead { between, why })
    }

    fn not_offered(&self, name: &str) -> String {
        let pool = self.rules.pool;
        let offered: Vec<String> = pool
            .offers(name)
            .unwrap_or_default()
            .iter()
            .filter(|offer| !offer.gone)
            .map(|offer| format!("{} ({})", offer.package.locked.version, offer.package.locked.suite))
            .collect();
        let providers: Vec<&str> = pool.providers(name).map(String::as_str).collect();
        let suites = pool.suites().join(", ");
        match (offered.as_slice(), providers.as_slice(), self.rules.wish.from.get(name)) {
            ([], [], _) => format!("there is no {name} in {suites}"),
            ([], _, _) => format!("{name} is only provided, by {}: name one of these", providers.join(", ")),
            (_, _, Some(suite)) => format!("of {name} there is {}, but it must come from {suite}", offered.join(", ")),
            _ => format!("of {name} there is {}", offered.join(", ")),
        }
    }
}
