//! `networks` and `volumes` of the top level, `networks` and `network_mode` of a service.

use std::collections::BTreeMap;

use super::model::{Joined, Network, Subnet, Volume, Wiring};
use super::place::Place;
use super::{keys, limits};
use crate::code;

/// A network that nothing is said about.
pub(super) fn named(project: &str, key: &str) -> Network {
    Network { key: key.to_owned(), name: format!("{project}_{key}"), ..Network::default() }
}

/// One network of the top level.
pub(super) fn network(project: &str, key: &str, place: &Place<'_>) -> Network {
    let mut network = named(project, key);
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "external" => {
                if let Some(name) = external(key, &value) {
                    network.external = true;
                    // `name` says it wherever it stands.
                    if !place.entries().iter().any(|(key, value)| key == "name" && !value.is_null()) {
                        network.name = name;
                    }
                }
            }
            "name" => network.name = value.text().unwrap_or_default(),
            "driver" => network.driver = value.text(),
            "driver_opts" => network.driver_opts = value.filled(),
            "internal" => network.internal = value.flag().unwrap_or_default(),
            "attachable" => network.attachable = value.flag().unwrap_or_default(),
            "enable_ipv6" => network.enable_ipv6 = value.flag().unwrap_or_default(),
            "labels" => network.labels = value.filled(),
            "ipam" => ipam(&value, &mut network),
            "enable_ipv4" => network.enable_ipv4 = value.flag(),
            _ => unhonoured(&value, &name, "a network", &[]),
        }
    }
    network
}

/// `external: true` or `external: {name: …}`: the name in the engine.
fn external(key: &str, place: &Place<'_>) -> Option<String> {
    if !place.is_mapping() {
        return (place.flag()?).then(|| key.to_owned());
    }
    let entries = place.entries();
    let name = entries.iter().find(|(name, _)| name == "name");
    Some(name.and_then(|(_, value)| value.text()).unwrap_or(key.to_owned()))
}

fn unhonoured(value: &Place<'_>, name: &str, what: &str, known: &[&str]) {
    if known.contains(&name) {
        value.refuse_known(format!("{name} of {what} is not honoured"));
    } else {
        keys::unknown(name, value);
    }
}

fn ipam(place: &Place<'_>, network: &mut Network) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "driver" => network.ipam_driver = value.text(),
            "config" => network.subnets = value.items().iter().map(subnet).collect(),
            "options" => value.warn(
                code::COMPOSE_IGNORED,
                "options of ipam are ignored, as compose ignores them",
                "leave them out",
            ),
            _ => unhonoured(&value, &name, "ipam", &[]),
        }
    }
}

fn subnet(place: &Place<'_>) -> Subnet {
    let mut subnet = Subnet::default();
    for (name, value) in place.entries() {
        match name.as_str() {
            "subnet" => subnet.subnet = value.text(),
            "gateway" => subnet.gateway = value.text(),
            "ip_range" => subnet.ip_range = value.text(),
            "aux_addresses" => subnet.aux_addresses = value.filled(),
            _ => unhonoured(&value, &name, "ipam.config", &[]),
        }
    }
    subnet
}

/// One named volume of the top level.
pub(super) fn volume(project: &str, key: &str, place: &Place<'_>) -> Volume {
    let mut volume = Volume { key: key.to_owned(), name: format!("{project}_{key}"), ..Volume::default() };
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "external" => {
                if let Some(name) = external(key, &value) {
                    volume.external = true;
                    // `name` says it wherever it stands.
                    if !place.entries().iter().any(|(key, value)| key == "name" && !value.is_null()) {
                        volume.name = name;
                    }
                }
            }
            "name" => volume.name = value.text().unwrap_or_default(),
            "driver" => volume.driver = value.text(),
            "driver_opts" => volume.driver_opts = value.filled(),
            "labels" => volume.labels = value.filled(),
            _ => unhonoured(&value, &name, "a volume", &[]),
        }
    }
    if volume.external {
        warn_of_idle_options(place);
    }
    volume
}

/// What makes a volume says nothing of one that is there already; compose refuses the file.
fn warn_of_idle_options(place: &Place<'_>) {
    for (name, value) in place.entries() {
        if matches!(name.as_str(), "driver" | "driver_opts" | "labels") && !value.is_null() {
            let message = format!("{name} is ignored: the volume is external, and not made here");
            value.warn(code::COMPOSE_IGNORED, message, "leave it out, or leave external out");
        }
    }
}

/// `network_mode`.
pub(super) fn mode(place: &Place<'_>) -> Option<Wiring> {
    let mode = place.filled_text()?;
    match mode.split_once(':') {
        Some(("service", name)) if !name.is_empty() => Some(Wiring::Service(name.to_owned())),
        Some(("container", name)) if !name.is_empty() => Some(Wiring::Mode(mode)),
        None if !mode.contains(char::is_whitespace) => Some(Wiring::Mode(mode)),
        _ => {
            place.refuse("must be host, none, bridge, service:NAME, container:NAME or the name of a network");
            None
        }
    }
}

/// `networks` of a service: a list of keys or a mapping, by falling priority and then by name, as compose joins them.
pub(super) fn joined(place: &Place<'_>) -> Wiring {
    let mut by_rank: BTreeMap<(i64, String), Joined> = BTreeMap::new();
    if place.is_sequence() {
        for key in place.distinct() {
            by_rank.insert((0, key.clone()), join(&key));
        }
    } else {
        for (key, value) in place.entries() {
            let (priority, joined) = options(&key, &value);
            by_rank.insert((-priority, key), joined);
        }
    }
    Wiring::Joined(by_rank.into_values().collect())
}

/// A plain membership.
pub(super) fn join(key: &str) -> Joined {
    Joined { network: key.to_owned(), ..Joined::default() }
}

fn options(key: &str, place: &Place<'_>) -> (i64, Joined) {
    let (mut priority, mut joined) = (0i32, join(key));
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "aliases" => joined.aliases = value.names(),
            "ipv4_address" => {
                let known = |text: &str| text.parse::<std::net::Ipv4Addr>().ok();
                joined.ipv4_address = address(&value, known, "must be an IPv4 address");
            }
            "ipv6_address" => {
                let known = |text: &str| text.parse::<std::net::Ipv6Addr>().ok();
                joined.ipv6_address = address(&value, known, "must be an IPv6 address");
            }
            "link_local_ips" => joined.link_local_ips = value.names(),
            "mac_address" => joined.mac_address = limits::mac_address(&value),
            "driver_opts" => joined.driver_opts = value.filled(),
            "gw_priority" => joined.gw_priority = value.number(),
            "priority" => priority = value.number().unwrap_or_default(),
            _ => unhonoured(&value, &name, "a network", &["interface_name"]),
        }
    }
    (i64::from(priority), joined)
}

fn address<T: ToString>(place: &Place<'_>, known: impl FnOnce(&str) -> Option<T>, message: &str) -> Option<String> {
    place.parsed_filled(known, message).map(|address| address.to_string())
}
