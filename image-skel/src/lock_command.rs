//! `image-skel lock`: makes the lock, moves it on, checks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::time::SystemTime;

use offspot_agent::fetch::Fetcher;
use serde::Serialize;

use crate::index::{Offer, Pool};
use crate::lock::{Lock, Locked, SUITE_DATE, timestamp};
use crate::mirror::Mirrors;
use crate::relation::Package;
use crate::release::Wanted;
use crate::resolve::{Chosen, Wish, check as closure, resolve};
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::trust::Keyring;
use crate::version::Version;

/// The keys that Debian signs trixie, trixie-updates, trixie-backports and trixie-security with.
const DEBIAN: [&[u8]; 3] = [
    include_bytes!("../keyring/debian-trixie-automatic.asc"),
    include_bytes!("../keyring/debian-trixie-security-automatic.asc"),
    include_bytes!("../keyring/debian-trixie-stable.asc"),
];

/// What moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Everything, to what is newest.
    All,
    /// These, and what they force; with none named only what `skel.toml` demands.
    Packages(Vec<String>),
}

/// How.
#[derive(Debug, Clone)]
pub struct Options {
    /// Takes metadata that is older than what the lock was made from.
    pub allow_downgrade: bool,
    /// The clock, for what expires.
    pub now: SystemTime,
    /// Keys to believe in place of Debian's, armored or binary.
    pub keyring: Option<PathBuf>,
}

/// Resolves what `skel.toml` wants and writes the lock, unless it says so already. A failure leaves the old lock as it was.
pub fn lock(skel: &Skel, lock_path: &Path, wanted: &Update, options: &Options) -> Outcome<Lock> {
    let old = existing(lock_path)?;
    let (mut pool, dates) = offered(skel, old.as_ref(), options)?;
    let (held, moved) = match (wanted, &old) {
        (Update::All, _) | (_, None) => (BTreeMap::new(), [].as_slice()),
        (Update::Packages(names), Some(old)) => {
            if let Some(name) = names.iter().find(|name| old.get(name).is_none()) {
                return Err(Failure::new(format!("{name}: not in {}, so it cannot be updated", lock_path.display())));
            }
            pool.add_lock(old)?;
            let held = old.packages.iter().map(|locked| (locked.package.clone(), locked.version.clone()));
            (held.collect(), names.as_slice())
        }
    };
    let wish = Wish { architecture: &skel.architecture, packages: &skel.packages, from: &skel.from, held, moved };
    let found = resolve(&pool, &wish)?;
    for note in &found.notes {
        eprintln!("note: {note}");
    }
    let mut lock = Lock { packages: found.packages, dates };
    if let Some(old) = &old {
        keep_dates(&mut lock, old, &pool)?;
    }
    lock.write(lock_path)?;
    Ok(lock)
}

/// A deb that was kept although no index has it any more keeps the date at which one had.
fn keep_dates(lock: &mut Lock, old: &Lock, pool: &Pool) -> Outcome<()> {
    for locked in &mut lock.packages {
        let offered = is_offered(pool, locked)?;
        let kept = old.get(&locked.package).filter(|kept| kept.sha256 == locked.sha256);
        if let Some(date) = kept.filter(|_| !offered).and_then(|kept| old.date_of(kept)) {
            locked.fields.insert(SUITE_DATE.to_owned(), timestamp(date));
        }
    }
    Ok(())
}

fn is_offered(pool: &Pool, locked: &Locked) -> Outcome<bool> {
    let same = |offer: &Offer| !offer.gone && offer.package.locked.sha256 == locked.sha256;
    Ok(pool.offers(&locked.package)?.iter().any(same))
}

/// What is wrong between `skel.toml` and its lock; nothing is asked of the network.
pub fn check(skel: &Skel, lock_path: &Path) -> Outcome<Vec<String>> {
    let lock = Lock::read(lock_path)?;
    let mut wrong = Vec::new();
    let suites: BTreeSet<&String> = skel.archives.iter().flat_map(|archive| &archive.suites).collect();
    for Locked { package, architecture, suite, .. } in &lock.packages {
        if *architecture != skel.architecture && architecture != "all" {
            wrong.push(format!("{package} is for {architecture}, not {}", skel.architecture));
        }
        if !suites.contains(suite) {
            wrong.push(format!("{package} is from {suite}, which skel.toml does not name"));
        }
        if let Some(pinned) = skel.from.get(package).filter(|pinned| *pinned != suite) {
            wrong.push(format!("{package} must come from {pinned}, and is from {suite}"));
        }
    }
    let chosen = chosen(&lock)?;
    wrong.extend(closure::problems(&chosen, &skel.packages));
    let superfluous = closure::superfluous(&chosen, &skel.packages);
    wrong.extend(superfluous.iter().map(|name| format!("{name} is not needed by anything that is wanted")));
    Ok(wrong)
}

/// A locked package of which the archives have something else today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// Its name.
    pub package: String,
    /// The locked version.
    pub locked: String,
    /// A newer version, of the suites that it may come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
    /// Whether the newer one, or one between, is a security update.
    pub security: bool,
    /// No index names the locked deb any more: soon, or already, no mirror has it.
    pub gone: bool,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.locked)?;
        if let Some(newer) = &self.newer {
            write!(f, ": {} {newer}", if self.security { "SECURITY update" } else { "update" })?;
        }
        f.write_str(if self.gone { "; the locked deb is in no index any more" } else { "" })
    }
}

/// What the archives have today that the lock has not: updates, and locked debs that they name no more.
pub fn news(skel: &Skel, lock_path: &Path, options: &Options) -> Outcome<Vec<News>> {
    let lock = Lock::read(lock_path)?;
    let (pool, _) = offered(skel, Some(&lock), options)?;
    let security = security_suites(skel);
    let news = lock.packages.iter().map(|locked| news_of(skel, &pool, &security, locked));
    news.filter_map(Outcome::transpose).collect()
}

fn news_of(skel: &Skel, pool: &Pool, security: &BTreeSet<String>, locked: &Locked) -> Outcome<Option<News>> {
    let version = Version::from_str(&locked.version).doing(&locked.package)?;
    let may_come = |offer: &&Offer| match skel.from.get(&locked.package) {
        Some(suite) => *suite == offer.package.locked.suite,
        None => offer.automatic || offer.package.locked.suite == locked.suite,
    };
    let newer = pool.offers(&locked.package)?.iter().filter(|offer| offer.package.version > version).filter(may_come);
    let newer: Vec<&Locked> = newer.map(|offer| &offer.package.locked).collect();
    let gone = !is_offered(pool, locked)?;
    Ok((gone || !newer.is_empty()).then(|| News {
        package: locked.package.clone(),
        locked: locked.version.clone(),
        newer: newer.first().map(|newer| newer.version.clone()),
        security: newer.iter().any(|newer| security.contains(&newer.suite)),
        gone,
    }))
}

/// Suites whose upgrades are security updates.
pub fn security_suites(skel: &Skel) -> BTreeSet<String> {
    skel.archives.iter().filter(|archive| archive.security).flat_map(|archive| archive.suites.clone()).collect()
}

fn existing(path: &Path) -> Outcome<Option<Lock>> {
    if path.try_exists().doing(path.display())? { Lock::read(path).map(Some) } else { Ok(None) }
}

/// Everything that the archives offer today, and the date of each suite.
fn offered(skel: &Skel, old: Option<&Lock>, options: &Options) -> Outcome<(Pool, BTreeMap<String, i64>)> {
    let keyring = match &options.keyring {
        Some(path) => Keyring::parse(&std::fs::read(path).doing(path.display())?).doing(path.display())?,
        None => debian_keyring()?,
    };
    let mirrors = Mirrors { keyring: &keyring, now: options.now, fetcher: Fetcher::new() };
    let (mut pool, mut dates) = (Pool::default(), BTreeMap::new());
    for archive in &skel.archives {
        for suite in &archive.suites {
            let known = old.and_then(|old| old.dates.get(suite).copied());
            let wanted = Wanted {
                suite,
                architecture: &skel.architecture,
                components: &archive.components,
                max_age_days: archive.max_age_days,
                not_before: known.filter(|_| !options.allow_downgrade),
            };
            dates.insert(suite.clone(), mirrors.suite(archive, &wanted, &mut pool)?);
        }
    }
    Ok((pool, dates))
}

/// The keys that sign Debian trixie and what belongs to it.
pub fn debian_keyring() -> Outcome<Keyring> {
    let mut keyring = Keyring::default();
    for certificate in DEBIAN {
        keyring.add(certificate)?;
    }
    Ok(keyring)
}

fn chosen(lock: &Lock) -> Outcome<Chosen> {
    let packages = lock.packages.iter();
    packages.map(|locked| Ok((locked.package.clone(), Rc::new(Package::new(locked.clone())?)))).collect()
}
