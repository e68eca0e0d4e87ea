//! Dates as archives write them, in seconds since 1970 (UTC). No locale and no time zone of ours has a part in it.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: i64 = 24 * 60 * 60;

/// `Sat, 12 Sep 2026 07:55:41 UTC`, as in a release file (RFC 2822, UTC only).
pub fn from_rfc2822(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [weekday, day, month, year, time, zone] = words.as_slice() else { return None };
    if !weekday.ends_with(',') || !matches!(*zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    let time: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = time.as_slice() else { return None };
    at(
        number(year, 4)?,
        i64::try_from(month).ok()?,
        number(day, 2)?,
        [number(hour, 2)?, number(minute, 2)?, number(second, 2)?],
    )
}

/// `20260912T075541Z`, as the snapshot service writes it.
pub fn from_timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if !text.is_ascii() || date.len() != 8 || time.len() != 6 {
        return None;
    }
    let two = |text: &str, from: usize| number(text.get(from..from + 2)?, 2);
    at(number(date.get(..4)?, 4)?, two(date, 4)?, two(date, 6)?, [two(time, 0)?, two(time, 2)?, two(time, 4)?])
}

/// The other way round: `20260912T075541Z`.
pub fn timestamp(seconds: i64) -> String {
    iso8601(seconds).replace(['-', ':'], "")
}

/// A moment as ISO 8601 has it: `2026-09-12T07:55:41Z`.
pub fn iso8601(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Civil date from a count of days, in years that begin in March so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

fn number(text: &str, most: usize) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn at(year: i64, month: i64, day: i64, [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_with_leap_days() {
        assert_eq!(iso8601(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(iso8601(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(iso8601(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(iso8601(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn dates_there_and_back() {
        assert_eq!(from_rfc2822("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        // `date -u -d … +%s`
        assert_eq!(from_rfc2822("Sat, 12 Sep 2026 07:55:41 UTC"), Some(1_789_199_741));
        assert_eq!(from_rfc2822("Sat, 12 Sep 2026  7:55:41 UTC"), Some(1_789_199_741));
        assert_eq!(timestamp(1_789_199_741), "20260912T075541Z");
        for seconds in (0..4_102_444_800).step_by(86_399 * 7) {
            assert_eq!(from_timestamp(&timestamp(seconds)), Some(seconds));
        }
        assert_eq!(from_timestamp("20280229T000000Z"), Some(1_835_395_200));
        for wrong in ["20270229T000000Z", "20261301T000000Z", "20260912T245541Z", "2026-09-12", "", "20260912T07554éZ"]
        {
            assert_eq!(from_timestamp(wrong), None, "{wrong}");
        }
        for wrong in ["Sat, 12 Sep 2026 07:55:41 CEST", "12 Sep 2026 07:55:41 UTC", "Sat, 12 Sep 2026 UTC"] {
            assert_eq!(from_rfc2822(wrong), None, "{wrong}");
        }
    }
}
