//! What changed from one lock to another, for people (text) and for programs (JSON).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Lock, Locked};
use crate::version::Version;

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It was not there before.
    Added,
    /// It is there no more.
    Removed,
    /// To a newer version.
    Upgraded,
    /// To an older version.
    Downgraded,
    /// The same version, but another deb.
    Rebuilt,
}

/// One package that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub package: String,
    /// What happened to it.
    pub what: What,
    /// The old version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The suite of the new deb; of the old one where it was removed.
    pub suite: String,
    /// Whether it is an upgrade that comes from a security archive.
    pub security: bool,
}

/// Every change, in order of name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The changes.
    pub changes: Vec<Change>,
}

/// Compares two locks; `security` names the suites whose upgrades are security updates ([`crate::skel::Archive::security`]).
pub fn diff(old: &Lock, new: &Lock, security: &BTreeSet<String>) -> Diff {
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let changes =
        names.into_iter().filter_map(|name| change(old.get(name).copied(), new.get(name).copied(), security)).collect();
    Diff { changes }
}

fn by_name(lock: &Lock) -> BTreeMap<&str, &Locked> {
    lock.packages.iter().map(|locked| (locked.package.as_str(), locked)).collect()
}

fn change(old: Option<&Locked>, new: Option<&Locked>, security: &BTreeSet<String>) -> Option<Change> {
    let what = match (old, new) {
        (None, None) => return None,
        (None, Some(_)) => What::Added,
        (Some(_), None) => What::Removed,
        (Some(old), Some(new)) => match compare(&old.version, &new.version) {
            Ordering::Less => What::Upgraded,
            Ordering::Greater => What::Downgraded,
            Ordering::Equal if old.sha256 != new.sha256 => What::Rebuilt,
            Ordering::Equal => return None,
        },
    };
    let stands = new.or(old)?;
    Some(Change {
        package: stands.package.clone(),
        what,
        from: old.map(|old| old.version.clone()),
        to: new.map(|new| new.version.clone()),
        suite: stands.suite.clone(),
        security: what == What::Upgraded && security.contains(&stands.suite),
    })
}

/// Debian's order of versions; text that is no version goes by its bytes.
fn compare(one: &str, other: &str) -> Ordering {
    match (Version::from_str(one), Version::from_str(other)) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

impl Diff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// For programs: `{"changes": [{"package", "what", "from", "to", "suite", "security"}]}`.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { package, what, from, to, suite, security } in &self.changes {
            let word = match what {
                What::Added => "added",
                What::Removed => "removed",
                What::Upgraded if *security => "SECURITY",
                What::Upgraded => "upgraded",
                What::Downgraded => "downgraded",
                What::Rebuilt => "rebuilt",
            };
            let versions: Vec<&str> = [from, to].into_iter().flatten().map(String::as_str).collect();
            writeln!(f, "{word:<10} {package} {} ({suite})", versions.join(" -> "))?;
        }
        let count = |what| self.changes.iter().filter(|change| change.what == what).count();
        let security = self.changes.iter().filter(|change| change.security).count();
        write!(
            f,
            "{} added, {} removed, {} upgraded ({security} security), {} downgraded, {} rebuilt",
            count(What::Added),
            count(What::Removed),
            count(What::Upgraded),
            count(What::Downgraded),
            count(What::Rebuilt),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str, &str)]) -> Lock {
        let locked = |(package, version, suite): &(&str, &str, &str)| Locked {
            package: (*package).into(),
            version: (*version).into(),
            architecture: "arm64".into(),
            filename: format!("pool/{package}.deb"),
            size: 1,
            sha256: format!("{package} {version} {suite}"),
            suite: (*suite).into(),
            order: 1,
            fields: BTreeMap::new(),
        };
        Lock { packages: packages.iter().map(locked).collect(), dates: BTreeMap::new() }
    }

    #[test]
    fn every_kind_of_change() {
        let old = lock(&[
            ("a", "1.0", "t"),
            ("b", "1", "t"),
            ("c", "1:0", "t"),
            ("d", "1", "t"),
            ("e", "1", "t"),
            ("f", "1", "t"),
        ]);
        let new = lock(&[
            ("b", "1+deb13u1", "t-security"),
            ("c", "2", "t"),
            ("d", "1.1", "t"),
            ("e", "1", "u"),
            ("f", "1", "t"),
            ("g", "3", "t"),
        ]);
        let diff = diff(&old, &new, &BTreeSet::from(["t-security".to_owned()]));
        assert_eq!(
            diff.to_string(),
            "removed    a 1.0 (t)\n\
             SECURITY   b 1 -> 1+deb13u1 (t-security)\n\
             downgraded c 1:0 -> 2 (t)\n\
             upgraded   d 1 -> 1.1 (t)\n\
             rebuilt    e 1 -> 1 (u)\n\
             added      g 3 (t)\n\
             1 added, 1 removed, 2 upgraded (1 security), 1 downgraded, 1 rebuilt"
        );
        let json: serde_json::Value = serde_json::from_str(&diff.json()).unwrap();
        let second = serde_json::json!({"package": "b", "what": "upgraded", "from": "1", "to": "1+deb13u1", "suite": "t-security", "security": true});
        assert_eq!(json["changes"][1], second);
        assert!(json["changes"][5].get("from").is_none());
        assert!(super::diff(&old, &old, &BTreeSet::new()).is_empty());
    }
}
