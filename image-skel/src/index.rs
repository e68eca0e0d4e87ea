//! The packages that the archives offer, from their indices. A stanza is read when it is asked for: there are some seventy thousand.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use crate::control;
use crate::lock::{Lock, locked};
use crate::relation::Package;
use crate::tool::{Doing, Failure, Outcome};

/// A suite as far as choosing is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Not `NotAutomatic`.
    pub automatic: bool,
    /// Of a security archive.
    pub security: bool,
}

/// A deb that is offered.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What it is.
    pub package: Rc<Package>,
    /// Whether it may be taken unasked.
    pub automatic: bool,
    /// Whether only the old lock still has it: the archives do not name it any more.
    pub gone: bool,
    security: bool,
}

#[derive(Debug, Default)]
struct Named {
    places: Vec<(usize, Range<usize>)>,
    offers: OnceCell<Vec<Offer>>,
}

#[derive(Debug)]
struct Text {
    suite: Suite,
    gone: bool,
    text: String,
}

/// Everything that is offered.
#[derive(Debug, Default)]
pub struct Pool {
    texts: Vec<Text>,
    named: BTreeMap<String, Named>,
    provided: BTreeMap<String, BTreeSet<String>>,
    essential: BTreeSet<String>,
}

impl Pool {
    /// Adds an index. Where two have the same version, the security archive's comes first, else that of the index added first.
    pub fn add(&mut self, suite: Suite, text: String) -> Outcome<()> {
        self.add_text(Text { suite, gone: false, text })
    }

    /// Adds what a lock holds, so that it can be kept though the archives may not have it any more.
    pub fn add_lock(&mut self, lock: &Lock) -> Outcome<()> {
        let suites: BTreeSet<&String> = lock.packages.iter().map(|locked| &locked.suite).collect();
        for name in suites {
            let mut part = lock.clone();
            part.packages.retain(|locked| &locked.suite == name);
            let suite = Suite { name: name.clone(), automatic: false, security: false };
            self.add_text(Text { suite, gone: true, text: part.print() })?;
        }
        Ok(())
    }

    fn add_text(&mut self, text: Text) -> Outcome<()> {
        let index = self.texts.len();
        for (number, (line, stanza)) in control::split(&text.text).enumerate() {
            let start = stanza.as_ptr() as usize - text.text.as_ptr() as usize;
            let place = (index, start..start + stanza.len());
            let place_name = || format!("index of {}: stanza {} (line {line})", text.suite.name, number + 1);
            let stanza = control::stanza(stanza).map_err(|error| Failure::new(format!("{}: {error}", place_name())))?;
            let name = stanza.get("Package").ok_or_else(|| Failure::new(format!("{}: no Package", place_name())))?;
            self.named.entry(name.to_owned()).or_default().places.push(place);
            for provided in stanza.get("Provides").unwrap_or_default().split(',') {
                let virtual_name = provided.trim().split([' ', ':', '(']).next().unwrap_or_default();
                if !virtual_name.is_empty() {
                    self.provided.entry(virtual_name.to_owned()).or_default().insert(name.to_owned());
                }
            }
            if text.suite.automatic && stanza.get("Essential") == Some("yes") {
                self.essential.insert(name.to_owned());
            }
        }
        self.texts.push(text);
        Ok(())
    }

    /// Debs of this name, the newest first.
    pub fn offers(&self, name: &str) -> Outcome<&[Offer]> {
        let Some(named) = self.named.get(name) else { return Ok(&[]) };
        if let Some(offers) = named.offers.get() {
            return Ok(offers);
        }
        let mut offers = named.places.iter().map(|place| self.offer(place)).collect::<Outcome<Vec<Offer>>>()?;
        // A stable sort: what was added first stays first among equals.
        offers.sort_by(|one, other| {
            let newer = other.package.version.cmp(&one.package.version);
            newer.then(one.gone.cmp(&other.gone)).then(other.security.cmp(&one.security))
        });
        Ok(named.offers.get_or_init(|| offers))
    }

    fn offer(&self, (index, range): &(usize, Range<usize>)) -> Outcome<Offer> {
        let text = &self.texts[*index];
        let suite = &text.suite;
        let stanza = control::stanza(&text.text[range.clone()])?;
        let package = locked(&stanza, &suite.name).and_then(Package::new).doing(format!("index of {}", suite.name))?;
        Ok(Offer { package: Rc::new(package), automatic: suite.automatic, gone: text.gone, security: suite.security })
    }

    /// Names of packages that provide `name`.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = &String> {
        self.provided.get(name).into_iter().flatten()
    }

    /// Names of packages that the system is never without (`Essential: yes`).
    pub fn essential(&self) -> &BTreeSet<String> {
        &self.essential
    }

    /// Names of the suites, in order of adding.
    pub fn suites(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for text in self.texts.iter().filter(|text| !text.gone) {
            if !names.contains(&text.suite.name.as_str()) {
                names.push(&text.suite.name);
            }
        }
        names
    }
}
