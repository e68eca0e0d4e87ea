//! Reading a stanza, strictly: what it says is later a path on a mirror, a name of a file, and all that a deb is checked against.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{Lock, Locked, from_timestamp};
use crate::control::{self, Stanza};
use crate::tool::{Doing, Failure, Outcome};
use crate::version::Version;

/// Fields of an index that a lock keeps, in the order in which they are written.
pub(super) const KEPT: [&str; 12] = [
    "Multi-Arch",
    "Source",
    "Section",
    "Priority",
    "Essential",
    "Installed-Size",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
];
/// Fields that have a place of their own in [`Locked`] or [`Lock`].
const OWN: [&str; 9] = [
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "Size",
    "SHA256",
    "X-Suite",
    "X-Configure-Order",
    "X-Suite-Dates",
];

impl Lock {
    /// Reads a lock.
    pub fn parse(text: &str) -> Outcome<Lock> {
        let mut lock = Lock::default();
        for (index, (line, text)) in control::split(text).enumerate() {
            let place = format!("stanza {} (line {line})", index + 1);
            lock.take(text, index == 0).doing(place)?;
        }
        if lock.packages.is_empty() {
            return Err(Failure::new("no stanza in it"));
        }
        Ok(lock)
    }

    fn take(&mut self, text: &str, first: bool) -> Outcome<()> {
        let stanza = control::stanza(text)?;
        match stanza.get("X-Suite-Dates") {
            Some(dates) if first => self.dates = dates.split_whitespace().map(date).collect::<Outcome<_>>()?,
            Some(_) => return Err(Failure::new("X-Suite-Dates belongs into the first stanza")),
            None if first => return Err(Failure::new("X-Suite-Dates is missing")),
            None => {}
        }
        let suite = word(&stanza, "X-Suite")?;
        let mut read = locked(&stanza, suite)?;
        let order = word(&stanza, "X-Configure-Order")?;
        read.order = digits(order).doing(format!("X-Configure-Order: {order}"))?;
        for (name, value) in stanza.fields() {
            if !OWN.iter().chain(&KEPT).any(|known| known.eq_ignore_ascii_case(name)) {
                read.fields.insert(name.to_owned(), unfolded(value));
            }
        }
        if self.packages.last().is_some_and(|last| last.package >= read.package) {
            let twice = self.get(&read.package).is_some();
            let why = if twice { "stands there twice" } else { "is not in order of name" };
            return Err(Failure::new(format!("{} {why}", read.package)));
        }
        if !self.dates.contains_key(&read.suite) {
            return Err(Failure::new(format!("X-Suite: {} is not in X-Suite-Dates", read.suite)));
        }
        self.packages.push(read);
        Ok(())
    }
}

/// The fields that make a package of an index; of the others those that a lock keeps.
pub(crate) fn locked(stanza: &Stanza<'_>, suite: &str) -> Outcome<Locked> {
    let package = word(stanza, "Package")?;
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !package.bytes().all(name) || !package.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(Failure::new(format!("Package: {package} is no name of a package")));
    }
    let version = word(stanza, "Version").doing(package)?;
    Version::from_str(version).doing(package)?;
    let read = || -> Outcome<Locked> {
        Ok(Locked {
            package: package.to_owned(),
            version: version.to_owned(),
            architecture: architecture(stanza)?,
            filename: filename(stanza)?,
            size: size(stanza)?,
            sha256: sha256(stanza)?,
            suite: suite.to_owned(),
            order: 0,
            fields: kept(stanza),
        })
    };
    read().doing(package)
}

fn kept(stanza: &Stanza<'_>) -> BTreeMap<String, String> {
    let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), unfolded(stanza.get(name)?))));
    kept.filter(|(_, value)| !value.is_empty()).collect()
}

fn word<'a>(stanza: &Stanza<'a>, name: &str) -> Outcome<&'a str> {
    let value = stanza.get(name).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| Failure::new(format!("{name} is missing")))?;
    if value.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(Failure::new(format!("{name}: more than one word")));
    }
    Ok(value)
}

fn architecture(stanza: &Stanza<'_>) -> Outcome<String> {
    let value = word(stanza, "Architecture")?;
    let known = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if known { Ok(value.to_owned()) } else { Err(Failure::new(format!("Architecture: {value}"))) }
}

/// A path below a mirror that cannot lead out of it.
fn filename(stanza: &Stanza<'_>) -> Outcome<String> {
    let value = word(stanza, "Filename")?;
    let value = value.strip_prefix("./").unwrap_or(value);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+~-".contains(&byte);
    let safe = |part: &str| !part.is_empty() && !part.starts_with('.');
    if !value.bytes().all(letter) || !value.split('/').all(safe) || !value.ends_with(".deb") {
        return Err(Failure::new(format!("Filename: {value} is no path of a deb below a mirror")));
    }
    Ok(value.to_owned())
}

fn size(stanza: &Stanza<'_>) -> Outcome<u64> {
    let value = word(stanza, "Size")?;
    match digits::<u64>(value) {
        Ok(size) if (1..=crate::deb::MOST).contains(&size) => Ok(size),
        _ => Err(Failure::new(format!("Size: {value} is no number of bytes that a deb can have"))),
    }
}

fn sha256(stanza: &Stanza<'_>) -> Outcome<String> {
    let value = word(stanza, "SHA256")?;
    if value.len() != 64 || !value.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Err(Failure::new(format!("SHA256: {value} is no SHA-256 (64 lower-case hex digits)")));
    }
    Ok(value.to_owned())
}

fn digits<T: FromStr>(value: &str) -> Outcome<T> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain).ok_or_else(|| Failure::new(format!("{value} is no number")))
}

fn unfolded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn date(text: &str) -> Outcome<(String, i64)> {
    let parsed = text.split_once('=').and_then(|(suite, date)| Some((suite.to_owned(), from_timestamp(date)?)));
    parsed.ok_or_else(|| Failure::new(format!("X-Suite-Dates: {text} is not SUITE=YYYYMMDDTHHMMSSZ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Package: a1\nVersion: 1:2.0~rc1-1\nArchitecture: arm64\nDepends: b2 (>= 1),\n c3\nX-Later: kept\n\
        Filename: pool/main/a/a1_2.0~rc1-1_arm64.deb\nSize: 12\n\
        SHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\
        X-Suite: trixie\nX-Configure-Order: 7\nX-Suite-Dates: trixie=20260912T075541Z other=20260101T000000Z\n";

    fn second() -> String {
        let dates = GOOD.find("X-Suite-Dates").unwrap();
        GOOD[..dates].replace("a1", "b2")
    }

    #[test]
    fn a_lock_there_and_back() {
        let lock = Lock::parse(&format!("{GOOD}\n{}", second())).unwrap();
        assert_eq!((lock.packages.len(), lock.dates["trixie"], lock.epoch()), (2, 1_789_199_741, 1_789_199_741));
        let one = lock.get("a1").unwrap();
        assert_eq!((one.version.as_str(), one.size, one.order), ("1:2.0~rc1-1", 12, 7));
        assert_eq!((one.fields["Depends"].as_str(), one.fields["X-Later"].as_str()), ("b2 (>= 1), c3", "kept"));
        assert_eq!(Lock::parse(&lock.print()).unwrap(), lock);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_stanza() {
        let hash = "a".repeat(64);
        for (from, to, why) in [
            ("SHA256", "MD5sum", "SHA256 is missing"),
            (&hash[..], "aaaa", "no SHA-256"),
            (&hash[..], &"A".repeat(64)[..], "no SHA-256"),
            ("pool/main", "../../main", "no path"),
            ("pool/main", "pool/../main", "no path"),
            ("pool/main", "/pool/main", "no path"),
            ("pool/main", "http://evil/main", "no path"),
            ("pool/main", "pool//main", "no path"),
            ("pool/main", "pool/%2e%2e/main", "no path"),
            ("_arm64.deb", "_arm64.tar", "no path"),
            ("Size: 12", "Size: -12", "Size"),
            ("Size: 12", "Size: 0", "Size"),
            ("Size: 12", "Size: 1e9", "Size"),
            ("Size: 12\n", "", "Size is missing"),
            ("Package: b2", "Package: a1", "twice"),
            ("Package: b2", "Package: a0", "order"),
            ("Package: b2", "Package: ../b2", "no name"),
            ("Version: 1:2.0~rc1-1", "Version: 1/2", "Invalid version"),
            ("X-Suite: trixie", "X-Suite: sid", "X-Suite-Dates"),
            ("X-Configure-Order: 7", "X-Configure-Order: +7", "X-Configure-Order"),
            ("Architecture: arm64", "architecture: arm64\nArchitecture: all", "twice"),
        ] {
            let text = second().replace(from, to);
            assert_ne!(text, second(), "{from}");
            let error = Lock::parse(&format!("{GOOD}\n{text}")).unwrap_err().to_string();
            assert!(error.starts_with("stanza 2 (line 14): ") && error.contains(why), "{error}: not {why}");
        }
        assert!(Lock::parse(&second()).unwrap_err().to_string().contains("X-Suite-Dates is missing"));
        assert!(Lock::parse("\n\n").is_err());
    }
}
