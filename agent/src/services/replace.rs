//! Making a container, in the place of others where there are some. Cut off anywhere, the next run finds by labels what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use futures_util::future::join_all;
use offspot_config::compose::Service;

use super::found::Found;
use super::slots::{Slot, Step};
use super::up::{Job, Names, Up};
use super::{create, labels, sources, volumes};
use crate::engine::Refusal;
use crate::ground::blocking;
use crate::problem::ServiceProblem;
use crate::report::{Kind, State};

/// How often a name is tried that nothing seems to hold, and the pause before.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Who holds a name.
enum Holder {
    /// Nobody any more.
    None,
    /// Another service of the project.
    Service(String),
    /// No container of the project.
    Foreign,
}

impl<'a> Up<'a> {
    /// Gives the containers that are to be replaced, or are too many, another name where one that is wanted now has theirs, of this service
    /// or another. Gives the ids of those that have another one now.
    pub(super) async fn step_aside(&self, jobs: &[Job<'_>]) -> BTreeSet<String> {
        let sound = || jobs.iter().filter(|job| job.failed.is_none());
        let name = |job: &Job<'_>, slot: &Slot| job.service.container_numbered(&self.project.name, slot.number);
        let names = |job| move |slot| name(job, slot);
        let wanted: BTreeSet<String> = sound().flat_map(|job| job.slots.iter().map(names(job))).collect();
        let mut aside = BTreeSet::new();
        for job in sound() {
            let old = job.slots.iter().flat_map(|slot| &slot.old).chain(&job.gone);
            for old in old.filter(|old| wanted.contains(&old.name)) {
                let short = old.id.get(..12).unwrap_or(&old.id);
                self.rename(job, old, &format!("{short}_{}", old.name)).await;
                aside.insert(old.id.clone());
            }
        }
        for job in sound() {
            for slot in &job.slots {
                // Another hand renamed the one that is kept, or it could not have its name when it was made.
                if let Step::Keep(keep) = &slot.step
                    && keep.name != name(job, slot)
                {
                    self.rename(job, keep, &name(job, slot)).await;
                }
            }
        }
        aside
    }

    async fn rename(&self, job: &Job<'_>, found: &Found, name: &str) {
        if let Err(refusal) = self.engine.rename(&found.id, name).await {
            tracing::warn!(service = job.service.name, why = refusal.why, "renaming");
        }
    }

    /// Where the new one could not be made the old one stays, and gets its name back unless another has it now.
    pub(super) async fn step_back(&self, jobs: &[Job<'_>], aside: &BTreeSet<String>) {
        for job in jobs {
            let lost = |slot: &&Slot| job.failed.is_some() || matches!(slot.step, Step::Failed(_) | Step::Make);
            let gone = job.gone.iter().filter(|_| job.failed.is_some());
            let old = job.slots.iter().filter(lost).flat_map(|slot| &slot.old).chain(gone);
            for old in old.filter(|old| aside.contains(&old.id)) {
                self.rename(job, old, &old.name).await;
            }
        }
    }

    /// Makes the containers that a service lacks.
    pub(super) async fn make(&self, job: &mut Job<'a>, names: &Names<'_>) {
        if job.failed.is_some() {
            return;
        }
        self.report.item(Kind::Service, &job.service.name, State::Working, "making");
        let lacking = job.slots.iter().filter(|slot| matches!(slot.step, Step::Make));
        let (of, names) = (&*job, names);
        let made = join_all(lacking.map(|slot| async move {
            let _turn = self.making.acquire().await;
            let made = self.create(of, slot.number, &slot.old, names).await;
            (slot.number, made.map_or_else(Step::Failed, Step::Made))
        }))
        .await;
        for (number, step) in made {
            if let Some(slot) = job.slots.iter_mut().find(|slot| slot.number == number) {
                slot.step = step;
            }
        }
    }

    /// Where the bind sources of a service lie, made where they are to be.
    pub(super) async fn sources(&self, service: &Service) -> Result<BTreeMap<String, PathBuf>, ServiceProblem> {
        let (host, mine) = (self.host.clone(), service.clone());
        let sources = blocking(move || sources::prepare(&host, &mine)).await;
        sources.map_err(|why| self.not_started(service, &why))
    }

    /// Makes one container, whole: in its networks, with what it is given; gives its id.
    pub(super) async fn create(
        &self,
        job: &Job<'a>,
        number: u32,
        old: &[Found],
        names: &Names<'_>,
    ) -> Result<String, ServiceProblem> {
        let service = job.service;
        let said = |refusal: Refusal| self.not_started(service, &refusal.why);
        let sources = self.sources(service).await?;
        let inherited = self.inherited(service, &job.image, number, old).await.map_err(said)?;
        let name = service.container_numbered(&self.project.name, number);
        let ids = job.ids.clone().unwrap_or_default();
        let around = create::Surroundings {
            seat: create::Seat { project: self.project, number, name: &name, names },
            hash: &self.hash(job, &ids),
            image: &job.image,
            sources: &sources,
            looked: &job.looked,
            ids: &ids,
            inherited: &inherited,
            replaces: old.first().map(|old| old.id.as_str()),
        };
        let id = self.create_named(service, &name, create::body(service, &around)).await?;
        let first = create::joined(service).first().and_then(|first| create::network(self.project, &first.network));
        let there: Vec<&str> = first.iter().map(|network| network.name.as_str()).collect();
        match self.furnish(job, &id, &around.seat, &there).await {
            Ok(()) => Ok(id),
            Err(refusal) => {
                // Half a container is of no use.
                let _ = self.engine.remove(&id).await;
                Err(said(refusal))
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
                Err(refusal) if refusal.status == 409 => match self.holder(service, name).await {
                    Holder::None if tries > 0 => tries -= 1,
                    Holder::Service(other) => {
                        let why = format!("its name {name} is that of a container of {other}, which stays");
                        return Err(self.not_started(service, &why));
                    }
                    Holder::None | Holder::Foreign => {
                        return Err(ServiceProblem::NameTaken { item, name: name.to_owned() });
                    }
                },
                Err(refusal) => return Err(self.not_started(service, &refusal.why)),
            }
        }
    }

    /// Who holds the name of this service's container, once what is this service's own is removed.
    async fn holder(&self, service: &Service, name: &str) -> Holder {
        match self.engine.container(name).await {
            Ok(Some(holder)) => {
                let mut labels = holder.config.and_then(|config| config.labels).unwrap_or_default();
                if labels.get(labels::PROJECT) != Some(&self.project.name) {
                    return Holder::Foreign;
                }
                match labels.remove(labels::SERVICE) {
                    Some(other) if other == service.name => match self.engine.remove(name).await {
                        Ok(()) => Holder::None,
                        Err(_) => Holder::Foreign,
                    },
                    Some(other) => Holder::Service(other),
                    None => Holder::Foreign,
                }
            }
            Ok(None) => {
                tokio::time::sleep(PAUSE).await;
                Holder::None
            }
            Err(_) => Holder::Foreign,
        }
    }

    /// Puts a container that never ran into the networks it is not in, and puts into it what it is given.
    async fn furnish(&self, job: &Job<'_>, id: &str, seat: &create::Seat<'_>, there: &[&str]) -> Result<(), Refusal> {
        for joined in create::joined(job.service) {
            if let Some(network) = create::network(self.project, &joined.network)
                && !there.contains(&network.name.as_str())
            {
                self.engine.connect(&network.name, id, create::endpoint(job.service, joined, seat)).await?;
            }
        }
        if job.looked.has_content() {
            let tar = job.looked.tar().map_err(|error| Refusal { status: 0, why: error.to_string() })?;
            self.engine.put(id, tar).await?;
        }
        Ok(())
    }

    /// A container that was made in an earlier run and never started: the maker may have been cut off at any point since.
    pub(super) async fn furnish_found(
        &self,
        job: &Job<'_>,
        found: &Found,
        seat: &create::Seat<'_>,
    ) -> Result<(), Refusal> {
        let there: Vec<&str> = found.networks.keys().map(String::as_str).collect();
        self.furnish(job, &found.id, seat, &there).await?;
        if job.looked.has_content() {
            self.sync().await;
        }
        Ok(())
    }

    /// What was put into containers is on the card before they start: the engine syncs no more than its own records, and once a container
    /// has run nobody looks at it again.
    pub(super) async fn sync(&self) {
        let data = self.host.data();
        let synced = blocking(move || Ok::<_, std::io::Error>(nix::unistd::syncfs(File::open(data)?)?)).await;
        if let Err(error) = synced {
            tracing::warn!(%error, "syncing what was put into containers");
        }
    }

    /// The nameless volumes of the containers it replaces, as (target, name): what the program has stored there goes on.
    async fn inherited(
        &self,
        service: &Service,
        image: &str,
        number: u32,
        old: &[Found],
    ) -> Result<Vec<(String, String)>, Refusal> {
        let mut inherited: Vec<(String, String)> = Vec::new();
        let vanished = self.volumes.get(&(service.name.clone(), number)).map(Vec::as_slice).unwrap_or_default();
        if old.is_empty() && vanished.is_empty() {
            return Ok(inherited);
        }
        let mut wanted: BTreeSet<String> = volumes::nameless(service).cloned().collect();
        wanted.extend(self.engine.image_volumes(image).await?);
        for old in old {
            let Some(container) = self.engine.container(&old.id).await? else {
                continue;
            };
            for (target, name) in volumes::without_name(container.mounts.unwrap_or_default()) {
                let known = inherited.iter().any(|(known, _)| *known == target);
                if wanted.contains(&target) && !known {
                    inherited.push((target, name));
                }
            }
        }
        for (target, name) in vanished {
            let known = inherited.iter().any(|(known, _)| known == target);
            if wanted.contains(target) && !known && self.engine.volume(name).await?.is_some() {
                inherited.push((target.clone(), name.clone()));
            }
        }
        Ok(inherited)
    }
}
