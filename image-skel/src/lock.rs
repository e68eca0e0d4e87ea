//! `Packages.lock`: a Debian Packages index of exactly what the image is made of (deb-control(5), deb822(5)).

use std::collections::BTreeMap;

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
}
