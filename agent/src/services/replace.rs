//! Making a container, in the place of others where there are some. Cut off anywhere, the next run finds by labels what there is.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use offspot_config::compose::{MountKind, Service};

use super::found::Found;
use super::up::{Job, Step, Up};
use super::{create, labels, sources};
use crate::engine::Refusal;
use crate::problem::ServiceProblem;

/// How often a name is tried that nothing seems to hold, and the pause before.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

impl Up<'_> {
    /// Gives the containers that are to be replaced another name, so that the new one can have theirs.
    pub(super) async fn step_aside(&self, job: &Job<'_>) {
        let name = job.service.container(&self.project.name);
        let makes = matches!(job.step, Step::Make);
        for old in job.decision.old.iter().filter(|old| old.name == name) {
            let short = old.id.get(..12).unwrap_or(&old.id);
            if let Err(refusal) = self.engine.rename(&old.id, &format!("{short}_{name}")).await {
                tracing::warn!(service = job.service.name, why = refusal.why, "renaming");
            }
        }
        // Another hand renamed the one that is kept.
        if let (false, Some(keep)) = (makes, job.decision.keep.as_ref().filter(|keep| keep.name != name))
            && let Err(refusal) = self.engine.rename(&keep.id, &name).await
        {
            tracing::warn!(service = job.service.name, why = refusal.why, "renaming");
        }
    }

    /// The new one could not be made: the old one gets its name back, and stays.
    pub(super) async fn step_back(&self, job: &Job<'_>) {
        let name = job.service.container(&self.project.name);
        let mut old = job.decision.old.iter();
        if let Some(old) = old.find(|old| old.name == name)
            && let Err(refusal) = self.engine.rename(&old.id, &name).await
        {
            tracing::warn!(service = job.service.name, why = refusal.why, "renaming back");
        }
    }

    /// Makes the container of a service and puts it into its networks; gives its id.
    pub(super) async fn create(&self, service: &Service, image: &str, old: &[Found]) -> Result<String, ServiceProblem> {
        let item = || service.name.clone();
        let not_started = |why: String| ServiceProblem::NotStarted { item: item(), why };
        let sources = sources::prepare(self.host, service).map_err(not_started)?;
        let inherited = self.inherited(service, image, old).await.map_err(|refusal| not_started(refusal.why))?;
        let around = create::Surroundings {
            project: self.project,
            root: self.host.root(),
            sources: &sources,
            image,
            inherited: &inherited,
        };
        let name = service.container(&self.project.name);
        let body = create::body(service, &around);
        let id = self.create_named(service, &name, body).await?;
        match self.join(service, &id).await {
            Ok(()) => Ok(id),
            Err(refusal) => {
                // Half a container is of no use; the next boot would remove it too.
                let _ = self.engine.remove(&id).await;
                Err(not_started(refusal.why))
            }
        }
    }

    /// The name may be held by a container that an interrupted run of ours asked for, and that the engine is still making.
    async fn create_named(
        &self,
        service: &Service,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, ServiceProblem> {
        let item = service.name.clone();
        let mut tries = TRIES;
        loop {
            let made = self.engine.create(name, service.platform.as_deref(), body.clone()).await;
            match made {
                Ok(id) => return Ok(id),
                Err(refusal) if refusal.status == 409 && tries > 0 && self.is_free(service, name).await => tries -= 1,
                Err(refusal) if refusal.status == 409 => {
                    let name = name.to_owned();
                    return Err(ServiceProblem::NameTaken { item, name });
                }
                Err(refusal) => return Err(ServiceProblem::NotStarted { item, why: refusal.why }),
            }
        }
    }

    /// Removes whatever of ours holds the name of this service's container; false: it is not ours.
    async fn is_free(&self, service: &Service, name: &str) -> bool {
        match self.engine.container(name).await {
            Ok(Some(holder)) => {
                let labels = holder.config.and_then(|config| config.labels).unwrap_or_default();
                let is = |label: &str, value: &str| labels.get(label).is_some_and(|found| found == value);
                let ours = is(labels::PROJECT, &self.project.name) && is(labels::SERVICE, &service.name);
                ours && self.engine.remove(name).await.is_ok()
            }
            Ok(None) => {
                tokio::time::sleep(PAUSE).await;
                true
            }
            Err(_) => false,
        }
    }

    /// The first network stands in the create body; older engines take no more there.
    async fn join(&self, service: &Service, id: &str) -> Result<(), Refusal> {
        for joined in create::joined(service).iter().skip(1) {
            if let Some(network) = create::network(self.project, &joined.network) {
                let endpoint = create::endpoint(service, joined, self.project);
                self.engine.connect(&network.name, id, endpoint).await?;
            }
        }
        Ok(())
    }

    /// The nameless volumes of the containers it replaces, as (target, name): what the program has stored there goes on.
    async fn inherited(&self, service: &Service, image: &str, old: &[Found]) -> Result<Vec<(String, String)>, Refusal> {
        let mut inherited: Vec<(String, String)> = Vec::new();
        if old.is_empty() {
            return Ok(inherited);
        }
        let wanted = self.nameless(service, image).await?;
        for old in old {
            let Some(container) = self.engine.container(&old.id).await? else {
                continue;
            };
            for (target, name) in nameless_volumes(container) {
                let known = inherited.iter().any(|(known, _)| *known == target);
                if wanted.contains(&target) && !known {
                    inherited.push((target, name));
                }
            }
        }
        Ok(inherited)
    }

    /// Targets of nameless volumes: those of the service, and those that its image declares.
    async fn nameless(&self, service: &Service, image: &str) -> Result<BTreeSet<String>, Refusal> {
        let own = service.mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Volume { source: None, .. }));
        let mut targets: BTreeSet<String> = own.map(|mount| mount.target.clone()).collect();
        targets.extend(self.engine.image_volumes(image).await?);
        Ok(targets)
    }
}

/// Volumes whose name the engine made up: 64 hex digits.
fn nameless_volumes(container: ContainerInspectResponse) -> Vec<(String, String)> {
    let nameless = |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let mounts = container.mounts.unwrap_or_default().into_iter();
    let volumes = mounts.filter(|mount| mount.typ.as_deref() == Some("volume"));
    volumes.filter_map(|mount| Some((mount.destination?, mount.name.filter(nameless)?))).collect()
}
