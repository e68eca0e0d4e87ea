//! Fields as dpkg writes them into its status file: its order, its spelling of relations.

use debversion::Version;

use crate::control::Stanza;
use crate::tool::{Failure, Outcome};

/// Order of dpkg's own fields; all others follow as they stand in the package.
const ORDER: [&str; 25] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
];
/// Fields that hold relations.
const RELATIONS: [&str; 9] =
    ["Replaces", "Provides", "Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances"];

/// The stanza of an installed package; `conffiles` are the lines of that field.
pub fn installed(control: &Stanza<'_>, conffiles: &[String]) -> String {
    let mut text = String::new();
    for name in ORDER {
        let value = match name {
            "Status" => Some("install ok installed".to_owned()),
            "Conffiles" => Some(conffiles.iter().map(|line| format!("\n {line}")).collect()),
            _ => control.get(name).and_then(|value| normal(name, value)),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            field(&mut text, name, &value);
        }
    }
    let is_other = |name: &str| !ORDER.iter().any(|known| known.eq_ignore_ascii_case(name));
    for (name, value) in control.fields().filter(|(name, value)| is_other(name) && !value.is_empty()) {
        field(&mut text, name, value);
    }
    text
}

fn field(text: &mut String, name: &str, value: &str) {
    let gap = if value.starts_with('\n') { "" } else { " " };
    text.push_str(&format!("{name}:{gap}{value}\n"));
}

/// What dpkg makes of a value; none where it writes no such field.
fn normal(name: &str, value: &str) -> Option<String> {
    match name {
        "Essential" | "Protected" | "Multi-Arch" if value == "no" => None,
        "Priority" => Some(value.to_ascii_lowercase()),
        _ if RELATIONS.contains(&name) => Some(split(value, ',').map(either).collect::<Vec<_>>().join(", ")),
        _ => Some(value.to_owned()),
    }
}

fn either(text: &str) -> String {
    split(text, '|').map(|text| Relation::new(text).to_string()).collect::<Vec<_>>().join(" | ")
}

fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    text.split(at).map(str::trim).filter(|text| !text.is_empty())
}

/// One package with the versions meant: `dpkg (>= 1.19)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    package: String,
    versions: Option<(String, String)>,
}

/// The relations of a field that knows no alternatives.
pub fn relations(value: &str) -> Vec<Relation> {
    split(value, ',').map(Relation::new).collect()
}

impl Relation {
    fn new(text: &str) -> Relation {
        let (package, rest) = text.split_once('(').unwrap_or((text, ""));
        let rest = rest.trim().trim_end_matches(')').trim();
        let end = rest.find(|c| !matches!(c, '<' | '=' | '>')).unwrap_or(rest.len());
        let (relation, version) = rest.split_at(end);
        let versions = (!rest.is_empty()).then(|| (relation.to_owned(), version.trim().to_owned()));
        Relation { package: package.trim().to_owned(), versions }
    }

    /// Whether a package of that name and version is meant. The architecture behind a name does not matter: there is one.
    pub fn holds(&self, package: &str, version: &str) -> bool {
        let named = self.package.split(':').next() == Some(package);
        named
            && self.versions.as_ref().is_none_or(|(relation, limit)| compare(version, relation, limit).unwrap_or(false))
    }
}

fn compare(version: &str, relation: &str, limit: &str) -> Outcome<bool> {
    let parse = |text: &str| text.parse::<Version>().map_err(|_| Failure::new(format!("{text} is no version")));
    let order = parse(version)?.cmp(&parse(limit)?);
    Ok(match relation {
        "<<" => order.is_lt(),
        "<=" | "<" => order.is_le(),
        "=" => order.is_eq(),
        ">=" | ">" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    })
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.versions {
            Some((relation, version)) => write!(f, "{} ({relation} {version})", self.package),
            None => f.write_str(&self.package),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::stanza;

    #[test]
    fn dpkg_order_and_spelling() {
        let control = "Version: 1\nPackage: a\nTag: x\nDepends: b(>=1) ,c|d:any  (<< 2),\n e\nEssential: no\nMulti-Arch: same\nPriority: Optional\nDescription: short\n long\n";
        let text = installed(&stanza(control).unwrap(), &["/etc/a 00".into()]);
        assert_eq!(
            text,
            "Package: a\nStatus: install ok installed\nPriority: optional\nMulti-Arch: same\nVersion: 1\n\
             Depends: b (>= 1), c | d:any (<< 2), e\nConffiles:\n /etc/a 00\nDescription: short\n long\nTag: x\n"
        );
    }

    #[test]
    fn versions_of_relations() {
        let holds = |relation: &str, version| Relation::new(relation).holds("a", version);
        assert!(holds("a", "1") && holds("a:any (<< 2)", "2~rc1") && holds("a (>= 1:0)", "1:0"));
        assert!(!holds("b", "1") && !holds("a (<< 2)", "2") && !holds("a (= 1)", "1-1") && !holds("a (~ 1)", "1"));
    }
}
