//! The release file of a suite: what a mirror holds, and whether it may be believed today (Debian's repository format).

use std::collections::BTreeMap;

use crate::control;
use crate::lock::{from_rfc2822, timestamp};
use crate::tool::{Doing, Failure, Outcome};

const DAY: i64 = 24 * 60 * 60;

/// A file of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// What a release file says.
#[derive(Debug, Clone)]
pub struct Release {
    /// `Date`, seconds since 1970.
    pub date: i64,
    /// `NotAutomatic`: only taken from where it is asked for.
    pub not_automatic: bool,
    /// `Acquire-By-Hash`: files can be had by their digest, too.
    pub by_hash: bool,
    /// `Architecture: all` has an index of its own that must be read too.
    pub all_apart: bool,
    valid_until: Option<i64>,
    names: Vec<String>,
    architectures: Vec<String>,
    components: Vec<String>,
    files: BTreeMap<String, Listed>,
}

impl Release {
    /// Reads a release file. Its signature has been seen to.
    pub fn parse(text: &str) -> Outcome<Release> {
        let mut stanzas = control::split(text);
        let (_, first) = stanzas.next().ok_or_else(|| Failure::new("the release file is empty"))?;
        if stanzas.next().is_some() {
            return Err(Failure::new("the release file has more than one stanza"));
        }
        let stanza = control::stanza(first)?;
        let words = |name| -> Vec<String> {
            stanza.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let yes = |name| stanza.get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let date = |name: &str| {
            let read =
                |text: &str| from_rfc2822(text).ok_or_else(|| Failure::new(format!("{name}: {text} is no date")));
            stanza.get(name).map(read).transpose()
        };
        let architectures = words("Architectures");
        let within = words("No-Support-for-Architecture-all").contains(&"Packages".to_owned());
        Ok(Release {
            date: date("Date")?.ok_or_else(|| Failure::new("the release file has no Date"))?,
            valid_until: date("Valid-Until")?,
            not_automatic: yes("NotAutomatic"),
            by_hash: yes("Acquire-By-Hash"),
            all_apart: architectures.iter().any(|name| name == "all") && !within,
            names: [words("Suite"), words("Codename")].concat(),
            architectures,
            components: words("Components"),
            files: table(stanza.get("SHA256").ok_or_else(|| Failure::new("the release file has no SHA256 table"))?)?,
        })
    }

    /// Refuses a release file of another suite, one that is too old or from the future, and one without what is asked for.
    pub fn accept(&self, wanted: &Wanted<'_>, now: i64) -> Outcome<()> {
        let refuse = |why: String| Err(Failure::new(why));
        if !self.names.iter().any(|name| name == wanted.suite) {
            return refuse(format!("wrong-suite: this is {}, not {}", self.names.join(", "), wanted.suite));
        }
        if self.date > now + DAY {
            return refuse(format!("future-date: it is of {}; is the clock right?", timestamp(self.date)));
        }
        let oldest = wanted.max_age_days.map(|days| self.date + i64::from(days) * DAY);
        if let Some(end) = self.valid_until.or(oldest).filter(|end| *end <= now) {
            return refuse(format!("expired: it was good until {}", timestamp(end)));
        }
        if let Some(known) = wanted.not_before.filter(|known| *known > self.date) {
            let (this, known) = (timestamp(self.date), timestamp(known));
            return refuse(format!(
                "rollback: it is of {this}, but the lock was made from one of {known}; \
                 if the mirror is right, --allow-downgrade goes on"
            ));
        }
        if !self.architectures.iter().any(|name| name == wanted.architecture) {
            return refuse(format!("it has no packages for {}", wanted.architecture));
        }
        // The security archive names its components with the path that they have in its pool.
        let has = |component: &&String| {
            self.components.iter().any(|name| name == *component || name.ends_with(&format!("/{component}")))
        };
        match wanted.components.iter().find(|component| !has(component)) {
            None => Ok(()),
            Some(missing) => refuse(format!("it has no component {missing}, but {}", self.components.join(", "))),
        }
    }

    /// The file of this name below `dists/SUITE/`.
    pub fn file(&self, name: &str) -> Option<&Listed> {
        self.files.get(name)
    }
}

/// What is asked of a suite.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Suite or code name.
    pub suite: &'a str,
    /// `arm64`.
    pub architecture: &'a str,
    /// `main`.
    pub components: &'a [String],
    /// For a release file without `Valid-Until`.
    pub max_age_days: Option<u32>,
    /// Date of the release file that the lock was made from, seconds since 1970.
    pub not_before: Option<i64>,
}

fn table(text: &str) -> Outcome<BTreeMap<String, Listed>> {
    let mut files = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sha256, size, name] = words.as_slice() else {
            return Err(Failure::new(format!("the release file's table: {line}")));
        };
        let digest =
            sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        if !digest {
            return Err(Failure::new(format!("the release file's table: {line}")));
        }
        let listed = Listed { size: size.parse().doing("the release file's table")?, sha256: (*sha256).to_owned() };
        if files.insert((*name).to_owned(), listed.clone()).is_some_and(|other| other != listed) {
            return Err(Failure::new(format!("the release file's table has two of {name}")));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(more: &str) -> Release {
        let hash = "0".repeat(64);
        let text = format!(
            "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nArchitectures: all arm64\n\
             Components: updates/main non-free-firmware\n{more}SHA256:\n {hash} 12 main/binary-arm64/Packages.xz\n"
        );
        Release::parse(&text).unwrap()
    }

    #[test]
    fn what_is_believed_today() {
        let components = ["main".to_owned(), "non-free-firmware".to_owned()];
        let date = 1_789_199_741;
        let good = Wanted {
            suite: "trixie",
            architecture: "arm64",
            components: &components,
            max_age_days: Some(30),
            not_before: Some(date),
        };
        let plain = release("");
        assert_eq!(plain.file("main/binary-arm64/Packages.xz").unwrap().size, 12);
        assert!(plain.accept(&good, date).is_ok());
        assert!(plain.accept(&Wanted { suite: "stable", ..good }, date + 30 * DAY - 1).is_ok());
        let until = release("Valid-Until: Sun, 13 Sep 2026 07:55:41 UTC\n");
        assert!(until.accept(&good, date + DAY - 1).is_ok());
        let other = ["contrib".to_owned()];
        for (release, wanted, now, why) in [
            (&plain, good, date + 30 * DAY, "expired"),
            (&until, good, date + DAY, "expired"),
            (&plain, good, date - DAY - 1, "future-date"),
            (&plain, Wanted { suite: "trixie-security", ..good }, date, "wrong-suite"),
            (&plain, Wanted { not_before: Some(date + 1), ..good }, date, "rollback"),
            (&plain, Wanted { architecture: "armhf", ..good }, date, "armhf"),
            (&plain, Wanted { components: &other, ..good }, date, "contrib"),
        ] {
            let error = release.accept(&wanted, now).unwrap_err().to_string();
            assert!(error.contains(why), "{error}, not {why}");
        }
        assert!(plain.all_apart && !release("No-Support-for-Architecture-all: Packages\n").all_apart);
    }

    #[test]
    fn what_is_no_release_file() {
        for wrong in ["", "Suite: a\n", "Date: today\nSHA256:\n", "Date: Sat, 12 Sep 2026 07:55:41 UTC\n"] {
            assert!(Release::parse(wrong).is_err(), "{wrong}");
        }
        let twice = "Date: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n a 1 b\n";
        assert!(Release::parse(twice).is_err());
    }
}
