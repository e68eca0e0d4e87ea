//! `devices` and `device_cgroup_rules` of a service.

use std::collections::HashMap;

use super::keys;
use super::place::Place;

/// Path on the host, path inside, rights.
type Device = (String, String, String);

/// All entries, the last one for a path inside.
pub(super) fn read(place: &Place<'_>) -> Vec<Device> {
    let mut devices: Vec<Device> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in place.items() {
        let read = if item.is_mapping() { long(&item) } else { item.parsed(short, "must be PATH[:PATH[:RIGHTS]]") };
        let Some(device) = read else { continue };
        match places.get(&device.1) {
            Some(place) => devices[*place] = device,
            None => {
                places.insert(device.1.clone(), devices.len());
                devices.push(device);
            }
        }
    }
    devices
}

fn short(text: &str) -> Option<Device> {
    let parts: Vec<&str> = text.split(':').collect();
    let own = |host: &str, inside: &str, rights: &str| Some((host.to_owned(), inside.to_owned(), rights.to_owned()));
    match parts.as_slice() {
        [host] => own(host, host, "rwm"),
        [host, rights] if are_rights(rights) => own(host, host, rights),
        [host, inside] => own(host, inside, "rwm"),
        [host, inside, rights] if are_rights(rights) => own(host, inside, rights),
        _ => None,
    }
    .filter(|(host, inside, _)| host.starts_with('/') && inside.starts_with('/'))
}

fn are_rights(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
}

fn long(place: &Place<'_>) -> Option<Device> {
    let (mut source, mut target, mut rights) = (None, None, "rwm".to_owned());
    let path = |value: &Place<'_>| {
        let absolute = |text: &str| text.starts_with('/').then(|| text.to_owned());
        value.parsed(absolute, "must be an absolute path")
    };
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "source" => source = Some(path(&value)?),
            "target" => target = Some(path(&value)?),
            "permissions" => {
                let known = |text: &str| are_rights(text).then(|| text.to_owned());
                rights = value.parsed(known, "must be letters of rwm")?;
            }
            _ => keys::unknown(&name, &value),
        }
    }
    let Some(source) = source else {
        place.refuse("source is missing");
        return None;
    };
    let target = target.unwrap_or_else(|| source.clone());
    Some((source, target, rights))
}

/// `TYPE MAJOR:MINOR RIGHTS`, each once.
pub(super) fn rules(place: &Place<'_>) -> Vec<String> {
    for item in place.items() {
        item.parsed(|text| is_rule(text).then_some(()), "must be a rule such as c 1:3 rwm");
    }
    place.distinct()
}

fn is_rule(text: &str) -> bool {
    let number = |text: &str| text == "*" || !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.split(' ').collect::<Vec<_>>().as_slice() {
        [kind, numbers, rights] => {
            let pair = numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor));
            matches!(*kind, "a" | "b" | "c") && pair && are_rights(rights)
        }
        _ => false,
    }
}
