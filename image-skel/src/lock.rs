//! `Packages.lock`: a Debian Packages index of exactly what the image is made of (deb-control(5), deb822(5)).

use std::collections::BTreeMap;
use std::path::Path;

use crate::tool::{Doing, Failure, Outcome};

mod date;
pub mod diff;
mod read;
mod write;

pub use date::{from_rfc2822, from_timestamp, iso8601, timestamp};
pub(crate) use read::locked;

/// Last date of its suite at which a kept deb was in the index, where that is not the suite's date.
pub(crate) const SUITE_DATE: &str = "X-Suite-Date";

/// One stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// `Package`.
    pub package: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`: ours, or `all`.
    pub architecture: String,
    /// `Filename`: path below a mirror.
    pub filename: String,
    /// `Size` of the deb in bytes.
    pub size: u64,
    /// `SHA256` of the deb, 64 lower-case hex digits.
    pub sha256: String,
    /// `X-Suite`: the suite it was resolved from; `skel.toml` says which mirrors have it.
    pub suite: String,
    /// `X-Configure-Order`: a package comes after what it depends on.
    pub order: u32,
    /// Every other field as it stands in the index, by name (`Depends`, `Multi-Arch`, `Source`, `Section`…).
    pub fields: BTreeMap<String, String>,
}

/// The lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Stanzas in order of name.
    pub packages: Vec<Locked>,
    /// `Date` of each suite's release file, seconds since 1970. Kept in `X-Suite-Dates` of the first stanza.
    pub dates: BTreeMap<String, i64>,
}

impl Lock {
    /// SOURCE_DATE_EPOCH: the newest date of the metadata that it was made from.
    pub fn epoch(&self) -> i64 {
        self.dates.values().copied().max().unwrap_or(0)
    }

    /// The stanza of a package.
    pub fn get(&self, package: &str) -> Option<&Locked> {
        let at = self.packages.binary_search_by(|locked| locked.package.as_str().cmp(package)).ok()?;
        self.packages.get(at)
    }

    /// When the suite of a package was as the package's `Filename` needs it, seconds since 1970: for mirrors of a date. Its field
    /// `X-Suite-Date` has it where a deb was kept after the suite had dropped it.
    pub fn date_of(&self, locked: &Locked) -> Option<i64> {
        let own = locked.fields.get(SUITE_DATE).and_then(|date| from_timestamp(date));
        own.or_else(|| self.dates.get(&locked.suite).copied())
    }

    /// Reads a lock file; what is wrong with it is named with the stanza's number and line.
    pub fn read(path: &Path) -> Outcome<Lock> {
        let place = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{place}: {error}: `image-skel lock` makes it")))?;
        Lock::parse(&text).map_err(|error| {
            let way_out = "take it back from git, or remove it and run `image-skel lock`";
            Failure::new(format!("{place}: {error}; {way_out}"))
        })
    }

    /// Writes it beside its place, then puts it there: a failure leaves the old one as it was. A lock that says the same is not touched.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        let text = self.print();
        if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        let path = if path.parent().is_some_and(|folder| folder.as_os_str().is_empty()) {
            Path::new(".").join(path)
        } else {
            path.to_owned()
        };
        offspot_agent::stream::place::replace(&path, text.as_bytes()).doing(path.display())
    }
}
