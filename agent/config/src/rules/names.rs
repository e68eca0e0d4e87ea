//! Names of hosts, domains, time zones and countries.

use super::{Verdict, shown};
use crate::finding::Complaint;

/// One name a line, in byte order, below one line of origin.
const TIMEZONES: &str = include_str!("../lists/timezones.txt");
const COUNTRIES: &str = include_str!("../lists/countries.txt");

/// Top-level domains that mean something else.
pub const RESERVED_TLDS: &[&str] = &["example", "invalid", "local", "localhost", "onion", "test"];

/// Every time zone of the tz database, sorted.
pub fn timezones() -> impl Iterator<Item = &'static str> + Clone {
    TIMEZONES.lines().skip(1)
}

/// Every two-letter country code, sorted.
pub fn countries() -> impl Iterator<Item = &'static str> + Clone {
    COUNTRIES.lines().skip(1)
}

/// A name of the tz database. `localtime` and `Factory`, which name no place, are refused.
pub fn timezone(text: &str) -> Verdict {
    if timezones().any(|name| name == text) {
        return Ok(());
    }
    let advice = match timezones()
        .find(|name| name.eq_ignore_ascii_case(text))
        .or_else(|| crate::near::nearest(text, timezones()))
    {
        Some(near) => format!("Did you mean {near}?"),
        None => "Use a name of the tz database, such as Africa/Bamako or UTC.".into(),
    };
    Err(Complaint::value(format!("{} is not a time zone", shown(text)), advice))
}

/// Letters, digits and hyphens in parts of 1 to 63 between dots; no part starts or ends with a hyphen.
pub fn hostname(text: &str) -> Verdict {
    let labels: Vec<&str> = text.split('.').take(65).collect();
    let fits = |label: &&str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() <= 255 && labels.len() <= 64 && labels.iter().all(fits) {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not a host name", shown(text)),
        "Use letters, digits and hyphens only, as in my-kiwix.",
    ))
}

/// A letter, then letters, digits and hyphens; not one of the reserved names.
pub fn tld(text: &str) -> Verdict {
    if RESERVED_TLDS.iter().any(|reserved| reserved.eq_ignore_ascii_case(text)) {
        return Err(Complaint::value(
            format!("{} is reserved and cannot be a top-level domain", shown(text)),
            "Use another word, such as hotspot.",
        ));
    }
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if letters && text.len() <= 63 && text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not a top-level domain", shown(text)),
        "Use one word of letters, such as hotspot.",
    ))
}

/// A two-letter code of ISO 3166, in capitals.
pub fn country(text: &str) -> Verdict {
    if countries().any(|code| code == text) {
        return Ok(());
    }
    let upper = text.to_ascii_uppercase();
    let advice = match upper.as_str() {
        "UK" => "Did you mean GB?".into(),
        _ if countries().any(|code| code == upper) => format!("Did you mean {upper}?"),
        _ => "Use the two capital letters of ISO 3166, such as ML, FR or US.".into(),
    };
    Err(Complaint::value(format!("{} is not a country code", shown(text)), advice))
}
