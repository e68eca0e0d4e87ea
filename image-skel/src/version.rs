//! Debian's version numbers (deb-version(7)), compared exactly as dpkg does.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::tool::{Doing, Failure, Outcome};

/// A version. Two that are written differently may be equal (`1.0` and `1.00`).
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    order: debversion::Version,
}

impl FromStr for Version {
    type Err = Failure;

    fn from_str(text: &str) -> Outcome<Version> {
        let mut order = debversion::Version::from_str(text).doing("version")?;
        // To dpkg no digits at the end are a zero; the library puts them before it.
        end_in_digit(&mut order.upstream_version);
        order.debian_revision.as_mut().map(end_in_digit);
        Ok(Version { text: text.to_owned(), order })
    }
}

fn end_in_digit(part: &mut String) {
    if !part.ends_with(|last: char| last.is_ascii_digit()) {
        part.push('0');
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    /// Every pair, in the order in which dpkg itself sees it.
    #[test]
    fn as_dpkg_does() {
        let all = [
            "1~",
            "1~0",
            "1",
            "1.0",
            "1-0",
            "1-1",
            "1.0.1+dfsg-1",
            "1.0.1+dfsg0-1",
            "1:0",
            "0:1",
            "1-~~",
            "1-~~0",
            "2~rc1",
            "2",
            "2+deb13u1",
            "2+b1",
            "2-1+b10",
            "2-1+b9",
            "2a",
            "2.a",
            "2A",
            "20260912",
            "99999999999999999999999",
            "2.0.00",
            "1.2-3-4",
        ];
        for one in all {
            for other in all {
                let word = match one.parse::<Version>().unwrap().cmp(&other.parse().unwrap()) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                assert!(tool::succeeds("dpkg", &["--compare-versions", one, word, other]), "{one} {word} {other}");
            }
        }
        assert_eq!("1.0~".parse::<Version>().unwrap().to_string(), "1.0~");
        assert!(
            "".parse::<Version>().is_err() && "1 2".parse::<Version>().is_err() && "1/2".parse::<Version>().is_err()
        );
    }
}
