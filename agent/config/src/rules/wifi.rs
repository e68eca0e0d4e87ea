//! What the radio may be told.

use super::{Verdict, one_line, shown};
use crate::finding::Complaint;

/// Channels of the 2.4 GHz band.
pub const CHANNELS_24: &[i64] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
/// Channels of the 5 GHz band that need no radar detection.
pub const CHANNELS_5: &[i64] = &[36, 40, 44, 48];
/// Words of `profile`.
pub const PROFILES: &[&str] = &["perf", "coverage"];

/// The network's name: 1 to 32 bytes of UTF-8 (an accented letter is two), without what `hostapd.conf` and phones stumble over.
pub fn ssid(text: &str) -> Verdict {
    one_line(text)?;
    let wrong = |why: String, advice: &str| {
        Err(Complaint::value(format!("{} cannot be a network name: {why}", shown(text)), advice))
    };
    if text.is_empty() || text.len() > 32 {
        return wrong(
            format!("it has {} bytes", text.len()),
            "Use 1 to 32 bytes: 32 plain letters, fewer with accents.",
        );
    } else if let Some(letter) = text.chars().find(|letter| "+]/\"".contains(*letter)) {
        return wrong(format!("it holds {letter}"), "Leave out + ] / and \".");
    } else if text.starts_with(['!', '#', ';']) {
        return wrong("it starts with ! # or ;".into(), "Start with a letter or digit.");
    }
    Ok(())
}

/// 8 to 63 printable ASCII characters. Never repeats them.
pub fn passphrase(text: &str) -> Verdict {
    let advice =
        "Use 8 to 63 plain letters, digits, spaces and signs, without accents; leave it empty for an open network.";
    if !text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return Err(Complaint::value("the passphrase holds characters other than plain ASCII", advice));
    } else if !(8..=63).contains(&text.len()) {
        return Err(Complaint::value(format!("the passphrase has {} characters", text.len()), advice));
    }
    Ok(())
}

/// `perf` or `coverage`.
pub fn profile(text: &str) -> Verdict {
    if PROFILES.contains(&text) {
        return Ok(());
    }
    Err(Complaint::value(format!("{} is not a profile", shown(text)), "Use perf or coverage."))
}

/// A channel of the 2.4 GHz band.
pub fn channel_24(number: i64) -> Verdict {
    channel(number, CHANNELS_24, "2.4 GHz", "Use 1 to 11 (12 and 13 do not work everywhere).")
}

/// A channel of the 5 GHz band.
pub fn channel_5(number: i64) -> Verdict {
    channel(number, CHANNELS_5, "5 GHz", "Use 36, 40, 44 or 48.")
}

fn channel(number: i64, channels: &[i64], band: &str, advice: &str) -> Verdict {
    if channels.contains(&number) {
        return Ok(());
    }
    Err(Complaint::value(format!("{number} is not a channel of the {band} band"), advice))
}
