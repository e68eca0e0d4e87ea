//! The keys of a service that set its rights, its separation from the host and its limits.

use std::collections::BTreeMap;

use super::model::{Blkio, Isolation, Limits};
use super::place::Place;
use super::{devices, keys, words};
use crate::code;

/// Takes a key about rights and separation; false: it is not one.
pub(super) fn isolation(isolation: &mut Isolation, key: &str, value: &Place<'_>) -> bool {
    match key {
        "privileged" => isolation.privileged = value.flag().unwrap_or_default(),
        "read_only" => isolation.read_only = value.flag().unwrap_or_default(),
        "cap_add" => isolation.cap_add = value.names(),
        "cap_drop" => isolation.cap_drop = value.names(),
        "security_opt" => isolation.security_opt = value.distinct(),
        "pid" => isolation.pid = shared(value, &["host"]),
        "ipc" => isolation.ipc = shared(value, &["host", "private", "shareable", "none"]),
        "uts" => isolation.uts = one_of(value, &["host"]),
        "cgroup" => isolation.cgroup = one_of(value, &["host", "private"]),
        "userns_mode" => isolation.userns_mode = one_of(value, &["host"]),
        "cgroup_parent" => isolation.cgroup_parent = value.filled_text(),
        "runtime" => isolation.runtime = value.filled_text(),
        "mac_address" => isolation.mac_address = mac_address(value),
        "hostname" => isolation.hostname = value.filled_text(),
        "domainname" => isolation.domainname = value.filled_text(),
        // Of these alone compose drops the empty ones.
        "dns" => isolation.dns = value.once().into_iter().filter(|address| !address.is_empty()).collect(),
        "dns_search" => isolation.dns_search = value.once(),
        "dns_opt" => isolation.dns_opt = value.names(),
        "extra_hosts" => isolation.extra_hosts = extra_hosts(value),
        "devices" => isolation.devices = devices::read(value),
        "device_cgroup_rules" => isolation.device_cgroup_rules = devices::rules(value),
        "storage_opt" => isolation.storage_opt = value.filled(),
        "sysctls" => isolation.sysctls = value.filled(),
        "tmpfs" => isolation.tmpfs = tmpfs(value),
        _ => return false,
    }
    true
}

/// Another's, or one of these.
fn shared(place: &Place<'_>, honoured: &[&str]) -> Option<String> {
    let text = place.filled_text()?;
    let other = text.strip_prefix("service:").or(text.strip_prefix("container:"));
    if other.is_some_and(|name| !name.is_empty()) {
        return Some(text);
    }
    one_of(place, honoured)
}

fn one_of(place: &Place<'_>, words: &[&str]) -> Option<String> {
    let text = place.filled_text()?;
    if words.contains(&text.as_str()) {
        return Some(text);
    }
    place.refuse(format!("must be {}", words.join(", ")));
    None
}

/// Six bytes, as `02:42:ac:11:00:02`.
pub(super) fn mac_address(place: &Place<'_>) -> Option<String> {
    let byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let known = |text: &str| {
        let parts: Vec<&str> = text.split([':', '-']).collect();
        (parts.len() == 6 && parts.into_iter().all(byte)).then(|| text.to_owned())
    };
    place.parsed_filled(known, "must be a hardware address")
}

/// As `host:address`.
fn extra_hosts(place: &Place<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    let mut add = |place: &Place<'_>, host: &str, address: &str| {
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        if host.is_empty() || bare.is_empty() {
            return place.refuse("must be HOST=ADDRESS");
        }
        hosts.push(format!("{host}:{bare}"));
    };
    if place.is_sequence() {
        place.distinct();
        for item in place.items() {
            let Some(text) = item.text() else { continue };
            let (host, address) = text.split_once('=').or(text.split_once(':')).unwrap_or((&text, ""));
            add(&item, host, address);
        }
        return hosts;
    }
    for (host, value) in place.entries() {
        for address in value.texts() {
            add(&value, &host, &address);
        }
    }
    hosts
}

fn tmpfs(place: &Place<'_>) -> BTreeMap<String, String> {
    let split = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    place.once().into_iter().map(split).collect()
}

/// Takes a key about limits; false: it is not one.
pub(super) fn limits(limits: &mut Limits, key: &str, value: &Place<'_>) -> bool {
    match key {
        "mem_limit" => limits.mem_limit = size(value),
        "mem_reservation" => limits.mem_reservation = size(value),
        "memswap_limit" => limits.memswap_limit = size(value),
        // Compose takes it for a size too.
        "mem_swappiness" => limits.mem_swappiness = size(value),
        "shm_size" => limits.shm_size = size(value),
        "cpus" => limits.cpus = processors(value),
        "cpu_count" => limits.cpu_count = value.number(),
        "cpu_percent" => limits.cpu_percent = value.number(),
        "cpu_shares" => limits.cpu_shares = value.number(),
        "cpuset" => limits.cpuset = value.filled_text(),
        "cpu_period" => limits.cpu_period = microseconds(value),
        "cpu_quota" => limits.cpu_quota = microseconds(value),
        "cpu_rt_period" => limits.cpu_rt_period = microseconds(value),
        "cpu_rt_runtime" => limits.cpu_rt_runtime = microseconds(value),
        "pids_limit" => limits.pids_limit = value.number(),
        "oom_score_adj" => limits.oom_score_adj = value.number(),
        "oom_kill_disable" => limits.oom_kill_disable = value.flag().unwrap_or_default(),
        "blkio_config" => limits.blkio = Some(blkio(value)),
        "ulimits" => limits.ulimits = value.entries().iter().filter_map(ulimit).collect(),
        _ => return false,
    }
    true
}

/// A size in bytes; none: it is zero, which is no limit. A number without quotes may be negative: what that means the engine says.
pub(super) fn size(place: &Place<'_>) -> Option<i64> {
    bytes(place).filter(|bytes| *bytes != 0)
}

fn bytes(place: &Place<'_>) -> Option<i64> {
    let message = "must be a size such as 64m";
    let Some(scalar) = place.node.as_scalar().filter(|scalar| scalar.plain && words::whole_number(scalar).is_some())
    else {
        return place.parsed(words::bytes, message);
    };
    if scalar.text.contains(['.', 'e', 'E']) && words::whole_meaning(scalar) == scalar.text {
        let message = "a number with a point or an exponent is no size, and ignored as compose ignores it";
        place.warn(code::COMPOSE_IGNORED, message, "write a whole number, or a size such as 64m");
        return None;
    }
    place.number()
}

/// Billionths of a processor, rounded as compose does.
pub(super) fn processors(place: &Place<'_>) -> Option<i64> {
    let billionths = |text: &str| {
        let number: f32 = text.parse().ok()?;
        (0.0..1e6).contains(&number).then_some((number * 1e9) as i64)
    };
    place.or_refused(billionths(&place.meaning()?), "must be a number of processors")
}

/// Compose's schema speaks of times too, but its reader takes numbers only.
fn microseconds(place: &Place<'_>) -> Option<i64> {
    place.whole_number("must be a number of microseconds")
}

fn blkio(place: &Place<'_>) -> Blkio {
    let mut blkio = Blkio::default();
    for (name, value) in place.entries() {
        let limits = |key| value.items().iter().filter_map(|item| device_limit(item, key)).collect();
        match name.as_str() {
            _ if value.is_null() => {}
            "weight" => blkio.weight = value.number(),
            "weight_device" => blkio.weight_device = limits("weight"),
            "device_read_bps" => blkio.device_read_bps = limits("rate"),
            "device_read_iops" => blkio.device_read_iops = limits("rate"),
            "device_write_bps" => blkio.device_write_bps = limits("rate"),
            "device_write_iops" => blkio.device_write_iops = limits("rate"),
            _ => keys::unknown(&name, &value),
        }
    }
    blkio
}

fn device_limit(place: &Place<'_>, key: &str) -> Option<(String, u64)> {
    let (mut path, mut limit) = (None, None);
    for (name, value) in place.entries() {
        match name.as_str() {
            "path" => path = value.text(),
            _ if name == key => limit = bytes(&value).and_then(|bytes| u64::try_from(bytes).ok()),
            _ => keys::unknown(&name, &value),
        }
    }
    let both = path.zip(limit);
    if both.is_none() {
        place.refuse(format!("path and {key} must be there"));
    }
    both
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
