//! From the packages that `skel.toml` names to everything they need, as apt would choose without recommendations, and without a chroot.
//!
//! Deterministic: the same indices, wishes and lock give the same result.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::index::{Offer, Pool};
use crate::lock::Locked;
use crate::relation::{Package, Relation};
use crate::tool::{Failure, Outcome};
use search::{Search, Stuck};

pub mod check;
mod order;
mod search;

/// Times that the search begins anew with what it has learned.
const ROUNDS: usize = 1000;

/// The packages of one image, by name.
pub type Chosen = BTreeMap<String, Rc<Package>>;

/// What is wished for.
#[derive(Debug)]
pub struct Wish<'a> {
    /// `arm64`.
    pub architecture: &'a str,
    /// Wanted by name.
    pub packages: &'a [String],
    /// Package → suite it must come from.
    pub from: &'a BTreeMap<String, String>,
    /// Package → version that it keeps unless something forces it to move.
    pub held: BTreeMap<String, String>,
    /// Packages that must be of the newest version.
    pub moved: &'a [String],
}

/// What was found.
#[derive(Debug)]
pub struct Resolution {
    /// In order of name, each with its place in the order of configuration.
    pub packages: Vec<Locked>,
    /// What should be known, but is no error.
    pub notes: Vec<String>,
}

/// What the search keeps to; it grows stricter, or lets go of held versions, from round to round.
#[derive(Debug)]
struct Rules<'a> {
    pool: &'a Pool,
    wish: &'a Wish<'a>,
    held: BTreeMap<String, String>,
    bounds: BTreeMap<String, Vec<Relation>>,
}

/// Chooses. An error names the way from a wanted package to what cannot be met.
pub fn resolve(pool: &Pool, wish: &Wish<'_>) -> Outcome<Resolution> {
    let mut rules = Rules { pool, wish, held: wish.held.clone(), bounds: BTreeMap::new() };
    rules.move_on()?;
    for _ in 0..ROUNDS {
        match Search::new(&rules).run() {
            Ok(chosen) => return finish(pool, wish, &chosen),
            Err(Stuck::Learned(relation)) => rules.bounds.entry(relation.name.clone()).or_default().push(*relation),
            Err(Stuck::Failed(failure)) => return Err(failure),
            Err(Stuck::Dead { between, why }) => {
                let loose =
                    between.iter().find(|name| rules.held.contains_key(*name)).ok_or_else(|| Failure::new(why))?;
                rules.held.remove(loose);
            }
        }
    }
    Err(Failure::new("no set of packages was found that fits together; name fewer packages at once in --update"))
}

impl Rules<'_> {
    /// The packages that are to move must reach what is newest today.
    fn move_on(&mut self) -> Outcome<()> {
        for name in self.wish.moved {
            self.held.remove(name);
            let newest = self.best(name, None)?.ok_or_else(|| Failure::new(format!("{name}: no archive has it")))?;
            self.bounds.entry(name.clone()).or_default().push(Relation::at_least(name, &newest.package.version));
        }
        Ok(())
    }

    /// The deb of this name to take: the held version, else the newest of the suites that are automatic, else of the others.
    fn best(&self, name: &str, relation: Option<&Relation>) -> Outcome<Option<Offer>> {
        let fits = |offer: &&Offer| {
            let package = &offer.package;
            let architecture = package.locked.architecture.as_str();
            (architecture == self.wish.architecture || architecture == "all")
                && relation.is_none_or(|relation| relation.is_met_by(package))
                && self.bounds.get(name).is_none_or(|bounds| bounds.iter().all(|bound| bound.holds(&package.version)))
                && self.wish.from.get(name).is_none_or(|suite| *suite == package.locked.suite)
        };
        let fitting: Vec<&Offer> = self.pool.offers(name)?.iter().filter(fits).collect();
        let held = self.held.get(name);
        let kept = fitting.iter().find(|offer| held.is_some_and(|version| *version == offer.package.locked.version));
        let unasked = || fitting.iter().find(|offer| !offer.gone && offer.automatic);
        let any = || fitting.iter().find(|offer| !offer.gone);
        Ok(kept.or_else(unasked).or_else(any).map(|offer| (*offer).clone()))
    }
}

fn finish(pool: &Pool, wish: &Wish<'_>, chosen: &Chosen) -> Outcome<Resolution> {
    let problems = check::problems(chosen, wish.packages);
    if !problems.is_empty() {
        return Err(Failure::new(problems.join("\n")));
    }
    let order = order::configure(chosen);
    let packages = chosen.values().map(|package| {
        let order = order.get(package.name()).copied().unwrap_or_default();
        Locked { order, ..package.locked.clone() }
    });
    Ok(Resolution { packages: packages.collect(), notes: notes(pool, wish, chosen) })
}

fn notes(pool: &Pool, wish: &Wish<'_>, chosen: &Chosen) -> Vec<String> {
    let missing: BTreeSet<&str> =
        pool.essential().iter().map(String::as_str).filter(|name| !chosen.contains_key(*name)).collect();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().collect();
        notes.push(format!("essential in Debian, and not in the image: {}", missing.join(", ")));
    }
    for name in wish.from.keys().filter(|name| !chosen.contains_key(*name)) {
        notes.push(format!("[from] names {name}, which is not in the image"));
    }
    notes
}
