//! Where the debs of a suite may be had.

use crate::lock::{Lock, Locked};
use crate::skel::Skel;
use crate::tool::{Failure, Outcome};

/// The URLs of one deb, in the order of its archive's mirrors.
pub fn urls(skel: &Skel, lock: &Lock, locked: &Locked) -> Outcome<Vec<String>> {
    let archive = skel.archives.iter().find(|archive| archive.suites.contains(&locked.suite));
    let archive = archive.ok_or_else(|| {
        Failure::new(format!(
            "{} is of the suite {}, which no archive of skel.toml has: add it there, or run `image-skel lock`",
            locked.package, locked.suite
        ))
    })?;
    let date = lock.dates.get(&locked.suite).copied();
    let url = |mirror: &String| {
        let mirror = match date {
            Some(date) => mirror.replace("{timestamp}", &timestamp(date)),
            None => mirror.clone(),
        };
        format!("{}/{}", mirror.trim_end_matches('/'), locked.filename)
    };
    // Without a date there is no such moment to ask for.
    let known = archive.mirrors.iter().filter(|mirror| date.is_some() || !mirror.contains("{timestamp}"));
    Ok(known.map(url).collect())
}

/// A moment as the snapshot service writes it: `20261112T075541Z`.
pub fn timestamp(epoch: i64) -> String {
    iso8601(epoch).replace(['-', ':'], "")
}

/// A moment as ISO 8601 has it: `2026-11-12T07:55:41Z`.
pub fn iso8601(epoch: i64) -> String {
    let (year, month, day) = date(epoch.div_euclid(86400));
    let second = epoch.rem_euclid(86400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The Gregorian date of a day since 1970-01-01. Counted in years that begin in March, so that the leap day comes last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(1_794_470_141), "20261112T075541Z");
        assert_eq!(iso8601(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(iso8601(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(iso8601(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(iso8601(-1), "1969-12-31T23:59:59Z");
    }
}
