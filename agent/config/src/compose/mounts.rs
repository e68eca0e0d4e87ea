//! `volumes` of a service, short and long, and `tmpfs`.

use std::collections::HashMap;

use super::model::{Mount, MountKind, VolumesFrom, VolumesSource};
use super::place::Place;
use super::{FOLDER, keys, limits, words};
use crate::code;

/// All entries of `volumes`, the last one for a target; what cannot be used is noted.
pub(super) fn read(place: &Place<'_>) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in place.items() {
        let Some(mount) = (if item.is_mapping() { long(&item) } else { short(&item) }) else { continue };
        match places.get(&mount.target) {
            Some(place) => mounts[*place] = mount,
            None => {
                places.insert(mount.target.clone(), mounts.len());
                mounts.push(mount);
            }
        }
    }
    mounts
}

/// `volumes_from`: `SERVICE` or `container:NAME`, and `ro` or `rw`.
pub(super) fn volumes_from(place: &Place<'_>) -> Vec<VolumesFrom> {
    let parse = |text: &str| {
        let (kind, rest) = match text.strip_prefix("container:") {
            Some(rest) => (VolumesSource::Container as fn(String) -> VolumesSource, rest),
            None => (VolumesSource::Service as fn(String) -> VolumesSource, text),
        };
        let (name, mode) = rest.split_once(':').unwrap_or((rest, "rw"));
        let known = !name.is_empty() && matches!(mode, "ro" | "rw");
        known.then(|| VolumesFrom { source: kind(name.to_owned()), read_only: mode == "ro" })
    };
    place.distinct();
    let one = |item: &Place<'_>| item.parsed(parse, "must be SERVICE[:ro] or container:NAME[:ro]");
    place.items().iter().filter_map(one).collect()
}

fn short(place: &Place<'_>) -> Option<Mount> {
    let text = place.text()?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, modes) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, modes] => (Some(*source), *target, *modes),
        _ => {
            place.refuse("must be SOURCE:TARGET or SOURCE:TARGET:MODE");
            return None;
        }
    };
    let mut mount = Mount {
        target: target_path(place, target)?,
        read_only: false,
        kind: match source {
            Some(source) if is_path(source) => bind(place, source, true)?,
            source => MountKind::Volume { source: source.map(str::to_owned), nocopy: false, subpath: None },
        },
    };
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        apply_mode(place, &mut mount, mode);
    }
    Some(mount)
}

fn apply_mode(place: &Place<'_>, mount: &mut Mount, mode: &str) {
    match (mode, &mut mount.kind) {
        ("ro", _) => mount.read_only = true,
        ("rw", _) => mount.read_only = false,
        // Labels of SELinux, which the box does not have, and hints to other systems' engines.
        ("z" | "Z" | "cached" | "delegated" | "consistent", _) => {}
        ("nocopy", MountKind::Volume { nocopy, .. }) => *nocopy = true,
        (word, MountKind::Bind { propagation, .. }) if is_propagation(word) => *propagation = Some(word.to_owned()),
        _ => {
            let message = format!("the mode {mode} means nothing here, and is ignored as compose ignores it");
            place.warn(code::COMPOSE_IGNORED, message, "leave it out");
        }
    }
}

fn is_propagation(word: &str) -> bool {
    let word = word.strip_prefix('r').unwrap_or(word);
    matches!(word, "private" | "shared" | "slave")
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~'])
}

fn target_path(place: &Place<'_>, target: &str) -> Option<String> {
    let normal = words::normal(target);
    if !target.starts_with('/') || normal == "/" {
        place.refuse("the target must be an absolute path inside the container, and not its root");
        return None;
    }
    Some(normal)
}

fn bind(place: &Place<'_>, source: &str, create: bool) -> Option<MountKind> {
    Some(MountKind::Bind { source: host_path(place, source)?, create, propagation: None })
}

/// A path of the box, absolute and normal.
pub(super) fn host_path(place: &Place<'_>, path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with('~') {
        place.refuse("it must be an absolute path");
        return None;
    }
    if path.starts_with('/') {
        return Some(words::normal(path));
    }
    let resolved = words::normal(&format!("{FOLDER}/{path}"));
    let message = format!("{path} is {resolved} on the box, on its small system partition");
    place.warn(code::COMPOSE_RELATIVE, message, "give an absolute path, best below /data");
    Some(resolved)
}

/// What the long form may say before it is put together.
#[derive(Default)]
struct Long {
    kind: String,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    create: bool,
    propagation: Option<String>,
    nocopy: bool,
    subpath: Option<String>,
    size: Option<i64>,
    mode: Option<u32>,
}

fn long(place: &Place<'_>) -> Option<Mount> {
    // Newer compose makes a missing folder unless told otherwise; older made it only where told.
    let mut given = Long { create: true, ..Long::default() };
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "type" => given.kind = value.text()?,
            "source" | "src" => given.source = value.text(),
            "target" | "dst" | "destination" => given.target = value.text(),
            "read_only" | "readonly" => given.read_only = value.flag()?,
            "consistency" => {}
            "bind" => bind_options(&value, &mut given),
            "volume" => volume_options(&value, &mut given),
            "tmpfs" => tmpfs_options(&value, &mut given),
            _ => keys::not_honoured(&name, &value, "a volume"),
        }
    }
    let Some(target) = &given.target else {
        place.refuse("target is missing");
        return None;
    };
    let target = target_path(place, target)?;
    Some(Mount { target, read_only: given.read_only, kind: long_kind(place, given)? })
}

fn long_kind(place: &Place<'_>, given: Long) -> Option<MountKind> {
    match (given.kind.as_str(), given.source) {
        ("bind", Some(source)) => {
            let mut kind = bind(place, &source, given.create)?;
            if let MountKind::Bind { propagation, .. } = &mut kind {
                *propagation = given.propagation;
            }
            Some(kind)
        }
        ("volume", source) => Some(MountKind::Volume {
            source: source.filter(|name| !name.is_empty()),
            nocopy: given.nocopy,
            subpath: given.subpath,
        }),
        ("tmpfs", _) => Some(MountKind::Tmpfs { size: given.size, mode: given.mode }),
        ("bind", None) => {
            place.refuse("source is missing");
            None
        }
        _ => {
            place.refuse("type must be bind, volume or tmpfs");
            None
        }
    }
}

fn bind_options(place: &Place<'_>, given: &mut Long) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "create_host_path" => given.create = value.flag().unwrap_or(true),
            "selinux" => {}
            "recursive" => recursive(&value),
            "propagation" => {
                let known = |text: &str| is_propagation(text).then(|| text.to_owned());
                given.propagation = value.parsed_filled(known, "is no propagation");
            }
            _ => keys::not_honoured(&name, &value, "a bind"),
        }
    }
}

/// What the card's compose takes and does nothing with.
fn recursive(place: &Place<'_>) {
    let known = |text: &str| matches!(text, "enabled" | "disabled" | "writable" | "readonly").then(|| text.to_owned());
    let given = place.parsed(known, "must be enabled, disabled, writable or readonly");
    if let Some(given) = given.filter(|given| given != "enabled") {
        let message = format!("recursive: {given} is ignored as compose ignores it");
        place.warn(code::COMPOSE_IGNORED, message, "leave it out");
    }
}

fn volume_options(place: &Place<'_>, given: &mut Long) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "nocopy" => given.nocopy = value.flag().unwrap_or(false),
            "subpath" => given.subpath = value.parsed_filled(subpath, "must be a path below the volume"),
            _ => keys::not_honoured(&name, &value, "a volume"),
        }
    }
}

fn tmpfs_options(place: &Place<'_>, given: &mut Long) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "size" => given.size = limits::size(&value),
            "mode" => given.mode = value.mode_bits(),
            _ => keys::not_honoured(&name, &value, "a tmpfs"),
        }
    }
}

/// A folder within a volume: relative, and not out of it.
fn subpath(text: &str) -> Option<String> {
    let inside = !text.starts_with('/') && text.split('/').all(|part| part != "..");
    inside.then(|| text.to_owned())
}
