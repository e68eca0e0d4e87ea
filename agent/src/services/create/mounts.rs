//! What is mounted into a container.

use bollard::models::{Mount, MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions};
use offspot_config::compose::{self, MountKind, Service};

use super::super::look::{Given, Origin};
use super::{Surroundings, volume};

/// Those of its settings, its configs and secrets that are files, and the nameless volumes it takes over.
pub(super) fn all(service: &Service, around: &Surroundings<'_>) -> Vec<Mount> {
    let inherited = |target: &str| around.inherited.iter().find(|(known, _)| known == target);
    let mounted = service.mounts.iter().filter(|given| bind(given, around).is_none());
    let mut all: Vec<Mount> = mounted.map(|given| mount(given, around)).collect();
    for mount in &mut all {
        let nameless = mount.typ == Some(MountType::VOLUME) && mount.source.is_none();
        if let (true, Some((_, name))) = (nameless, inherited(mount.target.as_deref().unwrap_or_default())) {
            mount.source = Some(name.clone());
        }
    }
    all.extend(around.looked.given.iter().filter_map(file));
    // Volumes that the image declares are not in the settings.
    for (target, name) in around.inherited {
        if service.mounts.iter().all(|mount| mount.target != *target)
            && all.iter().all(|mount| mount.target.as_ref() != Some(target))
            && !service.isolation.tmpfs.contains_key(target)
        {
            all.push(Mount {
                target: Some(target.clone()),
                source: Some(name.clone()),
                typ: Some(MountType::VOLUME),
                ..Default::default()
            });
        }
    }
    all
}

/// Volumes that are a bind by the options of their driver, as `NAME:TARGET:OPTIONS`: compose gives them so, and the engine then treats
/// the mount as a bind's.
pub(super) fn binds(service: &Service, around: &Surroundings<'_>) -> Vec<String> {
    service.mounts.iter().filter_map(|given| bind(given, around)).collect()
}

fn bind(given: &compose::Mount, around: &Surroundings<'_>) -> Option<String> {
    let MountKind::Volume { nocopy, subpath: None, .. } = given.kind else { return None };
    let volume = volume(around.seat.project, given)?;
    let local = volume.driver.as_deref().is_none_or(|driver| driver == "local");
    let is_bind = volume.driver_opts.get("o").is_some_and(|options| options.split(',').any(|word| word == "bind"));
    let access = if given.read_only { "ro" } else { "rw" };
    let copy = if nocopy { ",nocopy" } else { "" };
    (local && is_bind).then(|| format!("{}:{}:{access}{copy}", volume.name, given.target))
}

/// A config or secret that is a file of the box.
fn file(given: &Given<'_>) -> Option<Mount> {
    let Origin::Path(path) = &given.from else { return None };
    Some(Mount {
        target: Some(given.file.target.clone()),
        source: Some(path.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Default::default()
    })
}

fn mount(given: &compose::Mount, around: &Surroundings<'_>) -> Mount {
    let mut mount =
        Mount { target: Some(given.target.clone()), read_only: Some(given.read_only), ..Default::default() };
    match &given.kind {
        MountKind::Bind { source, propagation, .. } => {
            let path = around.sources.get(source).map(|path| path.display().to_string());
            mount.typ = Some(MountType::BIND);
            mount.source = Some(path.unwrap_or(source.clone()));
            mount.bind_options = propagation
                .as_ref()
                .map(|word| MountBindOptions { propagation: word.parse().ok(), ..Default::default() });
        }
        MountKind::Volume { nocopy, subpath, .. } => {
            mount.typ = Some(MountType::VOLUME);
            mount.source = volume(around.seat.project, given).map(|volume| volume.name.clone());
            mount.volume_options = (*nocopy || subpath.is_some()).then(|| MountVolumeOptions {
                no_copy: Some(*nocopy),
                subpath: subpath.clone(),
                ..Default::default()
            });
        }
        MountKind::Tmpfs { size, mode } => {
            mount.typ = Some(MountType::TMPFS);
            mount.tmpfs_options = (size.is_some() || mode.is_some()).then(|| MountTmpfsOptions {
                size_bytes: *size,
                mode: mode.map(i64::from),
                ..Default::default()
            });
        }
    }
    mount
}
