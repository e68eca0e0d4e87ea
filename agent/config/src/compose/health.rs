//! `healthcheck` of a service.

use super::keys;
use super::model::Health;
use super::place::Place;
use super::words;

/// The whole mapping; an empty one leaves the image's check as it is.
pub(super) fn read(place: &Place<'_>) -> Option<Health> {
    let (mut health, mut disabled) = (Health::default(), false);
    let time = |value: &Place<'_>| value.parsed(words::nanoseconds, "must be a time such as 30s or 1m30s");
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "test" => health.test = test(&value),
            "interval" => health.interval = time(&value),
            "timeout" => health.timeout = time(&value),
            "start_period" => health.start_period = time(&value),
            "start_interval" => health.start_interval = time(&value),
            "retries" => health.retries = value.number::<u32>().map(i64::from),
            "disable" => disabled = value.flag() == Some(true),
            _ => keys::unknown(&name, &value),
        }
    }
    if disabled {
        health.test = Some(vec!["NONE".to_owned()]);
    }
    (health != Health::default()).then_some(health)
}

fn test(place: &Place<'_>) -> Option<Vec<String>> {
    if !place.is_sequence() {
        let line = place.text()?;
        return Some(vec!["CMD-SHELL".to_owned(), line]);
    }
    let words = place.list();
    match words.first().map(String::as_str) {
        None if place.is_sequence() => None,
        Some("NONE" | "CMD" | "CMD-SHELL") => Some(words),
        _ => {
            place.refuse("a list must begin with NONE, CMD or CMD-SHELL");
            None
        }
    }
}
