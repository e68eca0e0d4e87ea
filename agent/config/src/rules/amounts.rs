//! Sizes and times as people write them.

use super::{Verdict, shown};
use crate::finding::Complaint;

/// Bytes: `100`, `8G` and `8GB` (decimal), `8GiB` (binary), `2.4GiB`.
pub fn size(text: &str) -> Verdict<u64> {
    let wrong = || {
        Complaint::value(
            format!("{} is not a size", shown(text)),
            "Write bytes as a number, or a number and a unit: 800MB, 8G, 2.4GiB.",
        )
    };
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let unit = unit(text[end..].trim()).ok_or_else(wrong)?;
    scaled(&text[..end], unit).ok_or_else(wrong)
}

fn unit(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('b').unwrap_or(&name);
    let (letter, base) =
        name.strip_suffix('i').filter(|letter| !letter.is_empty()).map_or((name, 1000u64), |letter| (letter, 1024));
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|unit| *unit == letter)?;
    Some(base.pow(power as u32))
}

/// `number` times `unit`, with a decimal point, exactly and rounded down.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let part = fraction.parse::<u128>().ok()? * u128::from(unit) / 10u128.pow(fraction.len() as u32);
    let all = whole.parse::<u128>().ok()?.checked_mul(u128::from(unit))?.checked_add(part)?;
    u64::try_from(all).ok()
}

/// Seconds: `180`, `180s`, `3m`, `1h`; at least one second, at most a day.
pub fn seconds(text: &str) -> Verdict<u64> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let seconds =
        number.parse::<u32>().ok().filter(|_| !number.starts_with('+')).map(|number| u64::from(number) * factor);
    seconds.filter(|seconds| (1..=86_400).contains(seconds)).ok_or_else(|| {
        Complaint::value(
            format!("{} is not a time limit", shown(text)),
            "Write seconds, or a number and s, m or h: 180, 3m; a day at most.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("100", 100),
            ("0", 0),
            ("8G", 8_000_000_000),
            ("8GB", 8_000_000_000),
            ("8GiB", 8 << 30),
            ("2.4GiB", 2_576_980_377),
            ("1.5 kB", 1500),
            ("1m", 1_000_000),
            ("7B", 7),
        ] {
            assert_eq!(size(text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1..2G", "1.", ".5G", "8X", "8Gi G", "1e9", "99999999P", "iB", "1i"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(
            ["180", "90s", "3m", "1h"].map(|text| seconds(text).ok()),
            [Some(180), Some(90), Some(180), Some(3600)]
        );
        for text in ["", "0", "m", "-3m", "+3", "25h", "3 m", "3x", "é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
