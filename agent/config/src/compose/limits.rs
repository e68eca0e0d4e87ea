//! The keys of a service that set its rights, its separation from the host and its limits.

use std::collections::BTreeMap;

use super::model::{Isolation, Limits};
use super::place::Place;
use super::words;

/// Takes a key about rights and separation; false: it is not one.
pub(super) fn isolation(isolation: &mut Isolation, key: &str, value: &Place<'_>) -> bool {
    match key {
        "privileged" => isolation.privileged = value.flag().unwrap_or_default(),
        "read_only" => isolation.read_only = value.flag().unwrap_or_default(),
        "cap_add" => isolation.cap_add = value.list(),
        "cap_drop" => isolation.cap_drop = value.list(),
        "security_opt" => isolation.security_opt = value.list(),
        "pid" => isolation.pid = shared(value, &["host"]),
        "ipc" => isolation.ipc = shared(value, &["host", "private", "shareable", "none"]),
        "hostname" => isolation.hostname = value.text(),
        "domainname" => isolation.domainname = value.text(),
        "dns" => isolation.dns = value.texts(),
        "dns_search" => isolation.dns_search = value.texts(),
        "dns_opt" => isolation.dns_opt = value.list(),
        "extra_hosts" => isolation.extra_hosts = extra_hosts(value),
        "devices" => isolation.devices = value.items().iter().filter_map(device).collect(),
        "sysctls" => isolation.sysctls = value.filled(),
        "tmpfs" => isolation.tmpfs = tmpfs(value),
        _ => return false,
    }
    true
}

fn shared(place: &Place<'_>, honoured: &[&str]) -> Option<String> {
    let text = place.text()?;
    if honoured.contains(&text.as_str()) {
        return Some(text);
    }
    place.refuse_known(format!("{text} is not honoured, only {}", honoured.join(", ")));
    None
}

fn extra_hosts(place: &Place<'_>) -> Vec<String> {
    if place.is_sequence() {
        let colon = |text: String| match text.split_once('=') {
            Some((host, address)) => format!("{host}:{address}"),
            None => text,
        };
        return place.list().into_iter().map(colon).collect();
    }
    let mut hosts = Vec::new();
    for (host, value) in place.entries() {
        hosts.extend(value.texts().into_iter().map(|address| format!("{host}:{address}")));
    }
    hosts
}

fn device(place: &Place<'_>) -> Option<(String, String, String)> {
    let parse = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        let own =
            |host: &str, inside: &str, rights: &str| Some((host.to_owned(), inside.to_owned(), rights.to_owned()));
        match parts.as_slice() {
            [host] => own(host, host, "rwm"),
            [host, inside] if inside.starts_with('/') => own(host, inside, "rwm"),
            [host, rights] => own(host, host, rights),
            [host, inside, rights] => own(host, inside, rights),
            _ => None,
        }
        .filter(|(host, _, _)| host.starts_with('/'))
    };
    if place.is_mapping() {
        place.refuse_known("the long form of a device is not honoured");
        return None;
    }
    place.parsed(parse, "must be PATH[:PATH[:RIGHTS]]")
}

fn tmpfs(place: &Place<'_>) -> BTreeMap<String, String> {
    let split = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    place.texts().into_iter().map(split).collect()
}

/// Takes a key about limits; false: it is not one.
pub(super) fn limits(limits: &mut Limits, key: &str, value: &Place<'_>) -> bool {
    let size = || value.parsed(words::bytes, "must be a size such as 64m");
    match key {
        "mem_limit" => limits.mem_limit = size(),
        "mem_reservation" => limits.mem_reservation = size(),
        "memswap_limit" => {
            let unlimited = |text: &str| if text == "-1" { Some(-1) } else { words::bytes(text) };
            limits.memswap_limit = value.parsed(unlimited, "must be a size such as 64m, or -1");
        }
        "shm_size" => limits.shm_size = size(),
        "cpus" => limits.cpus = value.parsed(billionths, "must be a number of processors"),
        "cpu_shares" => limits.cpu_shares = value.number(),
        "cpuset" => limits.cpuset = value.text(),
        "pids_limit" => limits.pids_limit = value.number(),
        "oom_score_adj" => limits.oom_score_adj = value.number(),
        "ulimits" => limits.ulimits = value.entries().iter().filter_map(ulimit).collect(),
        _ => return false,
    }
    true
}

fn billionths(text: &str) -> Option<i64> {
    let number: f64 = text.trim().parse().ok()?;
    (0.0..1e6).contains(&number).then(|| (number * 1e9).round() as i64)
}

fn ulimit((name, place): &(String, Place<'_>)) -> Option<(String, i64, i64)> {
    if !place.is_mapping() {
        let both = place.number()?;
        return Some((name.clone(), both, both));
    }
    let entries = place.entries();
    let of = |key: &str| entries.iter().find(|(name, _)| name == key);
    match (of("soft"), of("hard")) {
        (Some((_, soft)), Some((_, hard))) => Some((name.clone(), soft.number()?, hard.number()?)),
        _ => {
            place.refuse("must be a number, or soft and hard");
            None
        }
    }
}
