//! The volumes of the project: made before the containers that use them, and never made anew.

use std::collections::BTreeMap;

use bollard::models::{ContainerSummary, MountPoint, VolumeCreateRequest};
use offspot_config::compose::{MountKind, Service, Volume};

use super::found::Found;
use super::up::{Job, Up};
use super::{Volumes, create, digest, labels};
use crate::engine::Refusal;

impl Up<'_> {
    /// Makes the volumes that are to be mounted. Where that fails, so do the services that would mount them.
    pub(super) async fn ensure_volumes(&self, jobs: &mut [Job<'_>]) {
        for volume in &self.project.volumes {
            let uses = |job: &Job<'_>| {
                job.failed.is_none()
                    && !job.slots.is_empty()
                    && job.service.mounts.iter().any(|mount| create::volume(self.project, mount) == Some(volume))
            };
            if !jobs.iter().any(uses) {
                continue;
            }
            if let Err(refusal) = self.ensure_volume(volume).await {
                for job in jobs.iter_mut().filter(|job| uses(job)) {
                    let why = format!("its volume {} could not be made: {}", volume.key, refusal.why);
                    job.failed = Some(self.not_started(job.service, &why));
                }
            }
        }
    }

    async fn ensure_volume(&self, volume: &Volume) -> Result<(), Refusal> {
        let hash = digest::of(volume);
        if let Some(there) = self.engine.volume(&volume.name).await? {
            let made_from = there.labels.get(labels::HASH);
            let ours = there.labels.get(labels::VERSION).is_some_and(|by| by.starts_with(labels::MAKER));
            if ours && !volume.external && made_from.is_some_and(|made_from| *made_from != hash) {
                self.report.note(format!(
                    "the settings of the volume {} have changed; it stays as it is, with what is in it",
                    volume.key
                ));
            }
            return Ok(());
        }
        if volume.external {
            let why = format!("the volume {} is external and does not exist", volume.name);
            return Err(Refusal { status: 404, why });
        }
        let mut labels = labels::own(&self.project.name, &volume.labels);
        labels.insert(labels::VOLUME.to_owned(), volume.key.clone());
        labels.insert(labels::HASH.to_owned(), hash);
        let body = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: volume.driver.clone(),
            driver_opts: (!volume.driver_opts.is_empty()).then(|| volume.driver_opts.clone().into_iter().collect()),
            labels: Some(labels),
            ..Default::default()
        };
        self.engine.create_volume(body).await
    }
}

/// The nameless volumes of these containers, newest first, by project, service and number.
pub(crate) fn kept(containers: &[ContainerSummary]) -> BTreeMap<String, Volumes> {
    let mut kept: BTreeMap<String, Volumes> = BTreeMap::new();
    for container in containers {
        let project = container.labels.as_ref().and_then(|labels| labels.get(labels::PROJECT)).cloned();
        let (Some(project), Some(found)) = (project, Found::read(container.clone())) else { continue };
        let volumes = without_name(container.mounts.clone().unwrap_or_default());
        if volumes.is_empty() {
            continue;
        }
        let known = kept.entry(project).or_default().entry((found.service, found.number)).or_default();
        for (target, name) in volumes {
            if !known.iter().any(|(known, _)| *known == target) {
                known.push((target, name));
            }
        }
    }
    kept
}

/// Volumes whose name the engine made up, 64 hex digits, as (target, name).
pub(crate) fn without_name(mounts: Vec<MountPoint>) -> Vec<(String, String)> {
    let nameless = |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let volumes = mounts.into_iter().filter(|mount| mount.typ.as_deref() == Some("volume"));
    volumes.filter_map(|mount| Some((mount.destination?, mount.name.filter(nameless)?))).collect()
}

/// Targets of the nameless volumes that a service asks for.
pub(super) fn nameless(service: &Service) -> impl Iterator<Item = &String> {
    let own = service.mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Volume { source: None, .. }));
    own.map(|mount| &mount.target)
}
