//! `volumes` of a service, short and long, and `tmpfs`.

use super::model::{Mount, MountKind};
use super::place::Place;
use super::words;
use crate::code;

/// Folder that compose resolves relative paths against: that of `/etc/docker/compose.yml`.
const FOLDER: &str = "/etc/docker";

/// All entries of `volumes`; what cannot be used is noted.
pub(super) fn read(place: &Place<'_>) -> Vec<Mount> {
    let read = |item: &Place<'_>| if item.is_mapping() { long(item) } else { short(item) };
    place.items().iter().filter_map(read).collect()
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
        _ => place.refuse(format!("the mode {mode} is not known")),
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
    let normal = normal(target);
    if !target.starts_with('/') || normal == "/" {
        place.refuse("the target must be an absolute path inside the container, and not its root");
        return None;
    }
    Some(normal)
}

/// Without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn bind(place: &Place<'_>, source: &str, create: bool) -> Option<MountKind> {
    if source.is_empty() || source.starts_with('~') {
        place.refuse("the source must be an absolute path");
        return None;
    }
    let source = if source.starts_with('/') {
        normal(source)
    } else {
        let resolved = normal(&format!("{FOLDER}/{source}"));
        let message = format!("{source} is {resolved} on the box, on its small system partition");
        place.warn(code::COMPOSE_RELATIVE, message, "give an absolute path, best below /data");
        resolved
    };
    Some(MountKind::Bind { source, create, propagation: None })
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
    size: Option<i64>,
    mode: Option<u32>,
}

fn long(place: &Place<'_>) -> Option<Mount> {
    let mut given = Long { create: true, ..Long::default() };
    for (name, value) in place.entries() {
        match name.as_str() {
            "type" => given.kind = value.text()?,
            "source" | "src" => given.source = value.text(),
            "target" | "dst" | "destination" => given.target = value.text(),
            "read_only" | "readonly" => given.read_only = value.flag()?,
            "consistency" => {}
            "bind" => bind_options(&value, &mut given),
            "volume" => volume_options(&value, &mut given),
            "tmpfs" => tmpfs_options(&value, &mut given),
            _ => value.refuse_known(format!("{name} of a volume is not honoured")),
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
        ("volume", source) => Some(MountKind::Volume { source, nocopy: given.nocopy, subpath: None }),
        ("tmpfs", None) => Some(MountKind::Tmpfs { size: given.size, mode: given.mode }),
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
            "create_host_path" => given.create = value.flag().unwrap_or(true),
            "selinux" => {}
            "propagation" => {
                let known = |text: &str| is_propagation(text).then(|| text.to_owned());
                given.propagation = value.parsed(known, "is no propagation");
            }
            _ => value.refuse_known(format!("{name} of a bind is not honoured")),
        }
    }
}

fn volume_options(place: &Place<'_>, given: &mut Long) {
    for (name, value) in place.entries() {
        match name.as_str() {
            "nocopy" => given.nocopy = value.flag().unwrap_or(false),
            _ => value.refuse_known(format!("{name} of a volume is not honoured")),
        }
    }
}

fn tmpfs_options(place: &Place<'_>, given: &mut Long) {
    for (name, value) in place.entries() {
        match name.as_str() {
            "size" => given.size = value.parsed(words::bytes, "must be a size"),
            "mode" => given.mode = value.parsed(mode_bits, "must be permission bits"),
            _ => value.refuse_known(format!("{name} of a tmpfs is not honoured")),
        }
    }
}

/// `0755` and `0o755` are octal as YAML has them; other numbers are decimal.
fn mode_bits(text: &str) -> Option<u32> {
    match text.strip_prefix("0o").or(text.strip_prefix('0')) {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}
