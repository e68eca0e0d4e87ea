//! How packages depend on each other and stand against each other (Debian Policy, chapter 7; deb-version(7)).

use std::fmt;
use std::str::FromStr;

use crate::lock::Locked;
use crate::tool::{Doing, Failure, Outcome};
use crate::version::Version;

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Earlier,
    EarlierEqual,
    Equal,
    LaterEqual,
    Later,
}

/// A package that is asked for, or stood against: `libc6:any (>= 2.38)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Name of a package, or of what packages provide.
    pub name: String,
    qualifier: Option<String>,
    bound: Option<(Bound, Version)>,
}

/// Alternatives of which one must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// From `Pre-Depends`.
    pub pre: bool,
    /// In order of preference.
    pub alternatives: Vec<Relation>,
}

/// A deb, with what it says of others read.
#[derive(Debug)]
pub struct Package {
    /// Its stanza.
    pub locked: Locked,
    /// Its version, to compare.
    pub version: Version,
    /// `Pre-Depends` and `Depends`.
    pub groups: Vec<Group>,
    /// `Conflicts` and `Breaks`.
    pub against: Vec<Relation>,
    provides: Vec<Relation>,
}

impl Package {
    /// Reads the relations of a stanza.
    pub fn new(locked: Locked) -> Outcome<Package> {
        let version = Version::from_str(&locked.version).doing(&locked.package)?;
        let read = |field: &str| -> Outcome<Vec<Vec<Relation>>> {
            let value = locked.fields.get(field).map(String::as_str).unwrap_or_default();
            groups(value).doing(format!("{} {}: {field}", locked.package, locked.version))
        };
        let group = |pre| move |alternatives| Group { pre, alternatives };
        let pre = read("Pre-Depends")?.into_iter().map(group(true));
        let groups = pre.chain(read("Depends")?.into_iter().map(group(false))).collect();
        let against = [read("Conflicts")?, read("Breaks")?].into_iter().flatten().flatten().collect();
        let provides = read("Provides")?.into_iter().flatten().collect();
        Ok(Package { version, groups, against, provides, locked })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.locked.package
    }

    /// Rank of its `Priority`, the most important first.
    pub fn rank(&self) -> usize {
        let priority = self.locked.fields.get("Priority").map(String::as_str);
        let ranks = ["required", "important", "standard", "optional", "extra"];
        ranks.iter().position(|rank| Some(*rank) == priority).unwrap_or(ranks.len())
    }

    /// The first of its relations against others that `other` falls under; its own name and what it provides itself do not count.
    pub fn stands_against(&self, other: &Package) -> Option<&Relation> {
        if self.name() == other.name() {
            return None;
        }
        self.against.iter().find(|relation| relation.is_met_by(other))
    }
}

impl Relation {
    /// Whether this package is what is asked for: by its name, or by what it provides.
    pub fn is_met_by(&self, package: &Package) -> bool {
        if !self.qualifies(package) {
            return false;
        }
        (package.name() == self.name && self.holds(&package.version)) || self.is_provided_by(package)
    }

    fn is_provided_by(&self, package: &Package) -> bool {
        package.provides.iter().filter(|provided| provided.name == self.name).any(|provided| {
            match (&self.bound, &provided.bound) {
                (None, _) => true,
                (Some(_), Some((_, version))) => self.holds(version),
                (Some(_), None) => false,
            }
        })
    }

    /// Whether a version is within the bound.
    pub fn holds(&self, version: &Version) -> bool {
        let Some((bound, limit)) = &self.bound else { return true };
        let order = version.cmp(limit);
        match bound {
            Bound::Earlier => order.is_lt(),
            Bound::EarlierEqual => order.is_le(),
            Bound::Equal => order.is_eq(),
            Bound::LaterEqual => order.is_ge(),
            Bound::Later => order.is_gt(),
        }
    }

    /// `:any` asks for a package that says it serves every architecture; another qualifier is the name of one.
    fn qualifies(&self, package: &Package) -> bool {
        match self.qualifier.as_deref() {
            None => true,
            Some("any") => package.locked.fields.get("Multi-Arch").is_some_and(|value| value == "allowed"),
            Some(architecture) => architecture == package.locked.architecture,
        }
    }

    /// A package of this name, of this version or a later one.
    pub fn at_least(name: &str, version: &Version) -> Relation {
        let bound = Some((Bound::LaterEqual, version.clone()));
        Relation { name: name.to_owned(), qualifier: None, bound }
    }
}

/// Reads a field of relations: groups set apart by commas, alternatives by bars.
fn groups(text: &str) -> Outcome<Vec<Vec<Relation>>> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(|relation| relation.trim().parse()).collect()).collect()
}

impl FromStr for Relation {
    type Err = Failure;

    fn from_str(text: &str) -> Outcome<Relation> {
        let wrong = || Failure::new(format!("`{text}` is no relation between packages"));
        let (name, bound) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(wrong)?)),
        };
        let (name, qualifier) = match name.split_once(':') {
            None => (name, None),
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
        };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(letter) || qualifier.as_ref().is_some_and(String::is_empty) {
            return Err(wrong());
        }
        let bound = bound.map(|bound| read_bound(bound).ok_or_else(wrong)).transpose()?;
        Ok(Relation { name: name.to_owned(), qualifier, bound })
    }
}

fn read_bound(text: &str) -> Option<(Bound, Version)> {
    let text = text.trim();
    let signs = text.len() - text.trim_start_matches(['<', '=', '>']).len();
    let (sign, version) = text.split_at(signs);
    let bound = match sign {
        "<<" => Bound::Earlier,
        // The single signs are of old, and mean "or equal".
        "<=" | "<" => Bound::EarlierEqual,
        "=" => Bound::Equal,
        ">=" | ">" => Bound::LaterEqual,
        ">>" => Bound::Later,
        _ => return None,
    };
    Some((bound, Version::from_str(version.trim()).ok()?))
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        let Some((bound, version)) = &self.bound else { return Ok(()) };
        let sign = match bound {
            Bound::Earlier => "<<",
            Bound::EarlierEqual => "<=",
            Bound::Equal => "=",
            Bound::LaterEqual => ">=",
            Bound::Later => ">>",
        };
        write!(f, " ({sign} {version})")
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.alternatives.iter().map(Relation::to_string).collect();
        f.write_str(&all.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn package(name: &str, version: &str, fields: &[(&str, &str)]) -> Package {
        let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Package::new(Locked {
            package: name.into(),
            version: version.into(),
            architecture: "arm64".into(),
            filename: String::new(),
            size: 1,
            sha256: String::new(),
            suite: "t".into(),
            order: 0,
            fields,
        })
        .unwrap()
    }

    fn met(relation: &str, package: &Package) -> bool {
        relation.parse::<Relation>().unwrap().is_met_by(package)
    }

    #[test]
    fn names_versions_and_provides() {
        let mawk =
            package("mawk", "1.3.4.20250131-1", &[("Provides", "awk, awk-abi (= 2)"), ("Multi-Arch", "allowed")]);
        for relation in ["mawk", "mawk (>= 1.3)", "mawk:any (<< 2)", "awk", "awk-abi", "awk-abi (>= 1)", "mawk:arm64"] {
            assert!(met(relation, &mawk), "{relation}");
        }
        for relation in ["gawk", "mawk (>> 2~)", "awk (>= 1)", "awk-abi (= 3)", "mawk:amd64"] {
            assert!(!met(relation, &mawk), "{relation}");
        }
        assert!(!met("gawk:any", &package("gawk", "1", &[("Multi-Arch", "foreign")])));
    }

    #[test]
    fn a_package_does_not_stand_against_itself() {
        let exim = package("exim", "1", &[("Provides", "mta"), ("Conflicts", "mta"), ("Breaks", "mutt (<< 2)")]);
        let postfix = package("postfix", "1", &[("Provides", "mta")]);
        assert!(exim.stands_against(&exim).is_none());
        assert_eq!(exim.stands_against(&postfix).unwrap().to_string(), "mta");
        assert!(exim.stands_against(&package("mutt", "2", &[])).is_none());
        assert_eq!(exim.stands_against(&package("mutt", "2~rc1", &[])).unwrap().to_string(), "mutt (<< 2)");
    }

    #[test]
    fn fields_are_read_strictly() {
        let read = package("a", "1", &[("Pre-Depends", "b:any(>=1)"), ("Depends", "c | d (= 1:2-3), e,")]);
        let shown: Vec<_> = read.groups.iter().map(|group| (group.pre, group.to_string())).collect();
        assert_eq!(shown, [(true, "b:any (>= 1)".into()), (false, "c | d (= 1:2-3)".into()), (false, "e".into())]);
        for wrong in ["a (1)", "a (>= )", "a (>= 1", "(>= 1)", "a [arm64]", "a b", "a:", "a (== 1)"] {
            assert!(wrong.parse::<Relation>().is_err(), "{wrong}");
        }
    }
}
