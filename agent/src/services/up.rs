//! The way of a project, in this order: what is there, what is to be made, what goes, what starts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use offspot_config::compose::{Project, Service};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::found::Found;
use super::health::Watch;
use super::look::{self, Looked};
use super::networks::Networks;
use super::progress::Board;
use super::references::{self, Ids};
use super::run::Course;
use super::slots::{self, Slot, Step};
use super::{ServiceState, Volumes, digest, fail, labels};
use crate::engine::{Engine, Refusal};
use crate::host::Host;
use crate::images::Loaded;
use crate::problem::{EngineProblem, ServiceProblem};
use crate::report::{Kind, Reporter, State};

/// Everything that bringing up a project needs.
pub(super) struct Up<'a> {
    pub engine: &'a Engine,
    pub host: &'a Host,
    pub project: &'a Project,
    pub images: &'a Loaded,
    pub volumes: &'a Volumes,
    pub report: &'a Reporter,
    pub deadline: Instant,
    pub limit: Duration,
    /// Not for the first time in this boot: what has done its work is left alone.
    pub again: bool,
    /// One for each container that is being made at a time.
    pub making: Semaphore,
}

/// One service on its way.
pub(super) struct Job<'a> {
    pub service: &'a Service,
    /// Id of its image.
    pub image: String,
    pub looked: Looked<'a>,
    /// The containers it is made upon; none: some of them are still to be made.
    pub ids: Option<Ids>,
    /// One for each container it is to have.
    pub slots: Vec<Slot>,
    /// Containers that are too many.
    pub gone: Vec<Found>,
    /// Why nothing is done about it: what it has stays.
    pub failed: Option<ServiceProblem>,
}

/// The names of the containers of each service.
pub(super) type Names<'a> = BTreeMap<&'a str, Vec<String>>;

fn failed(doing: &str) -> impl FnOnce(Refusal) -> EngineProblem + '_ {
    move |refusal| EngineProblem::Failed { doing: doing.to_owned(), why: refusal.why }
}

impl<'a> Up<'a> {
    /// The whole way. Fails only where the engine does not even tell what it has.
    pub async fn all(&self) -> Result<Vec<(String, ServiceState)>, EngineProblem> {
        let label = format!("{}={}", labels::PROJECT, self.project.name);
        let (listed, networks) = join(self.engine.labelled(&label), Networks::of(self.engine)).await;
        let networks = networks.map_err(failed("listing networks"))?;
        let mut by_service: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for found in listed.map_err(failed("listing containers"))?.into_iter().filter_map(Found::read) {
            by_service.entry(found.service.clone()).or_default().push(found);
        }
        let mut jobs = Vec::new();
        let dormant = |service: &&Service| self.project.dormant.contains(&service.name);
        for service in references::order(&self.project.services).into_iter().filter(|service| !dormant(service)) {
            let found = by_service.remove(&service.name).unwrap_or_default();
            let job = self.job(service, found, &networks, &jobs).await;
            jobs.push(job);
        }
        let refused = |name: &String| self.project.refused.iter().any(|refused| refused.name == *name);
        by_service.retain(|name, _| !refused(name) && !self.project.dormant.contains(name));
        self.remove_vanished(by_service.into_values().flatten().collect()).await;
        self.make_all(&mut jobs, &networks).await;
        Ok(self.run_all(jobs).await)
    }

    async fn job(&self, service: &'a Service, found: Vec<Found>, networks: &Networks, others: &[Job<'a>]) -> Job<'a> {
        let image = match self.images.id(&service.image) {
            Some(id) => Ok(Some(id.to_owned())),
            // Not brought by us, or since.
            None => self.engine.image_id(&service.image).await,
        };
        let (image, unknown) = match image {
            Ok(image) => (image, None),
            Err(refusal) => (None, refusal.is_silence().then(|| self.not_started(service, &refusal.why))),
        };
        let mut job = Job {
            service,
            image: image.clone().unwrap_or_default(),
            looked: Looked::default(),
            ids: None,
            slots: Vec::new(),
            gone: Vec::new(),
            failed: None,
        };
        let looked = look::look(self.host, self.project, service).await;
        let looked = looked.map_err(|why| self.not_started(service, &why));
        match (image, looked, self.upon(service, others)) {
            (None, ..) => job.failed = Some(unknown.unwrap_or_else(|| self.no_image(service))),
            (_, Err(problem), _) | (_, _, Err(problem)) => job.failed = Some(problem),
            (_, Ok(looked), Ok(ids)) => (job.looked, job.ids) = (looked, ids),
        }
        if job.failed.is_none() {
            // What is made upon containers that are made anew is made anew too.
            let hash = job.ids.as_ref().map(|ids| self.hash(&job, ids));
            let fits = |found: &Found| {
                found.is_whole()
                    && Some(&found.hash) == hash.as_ref()
                    && found.image == job.image
                    && networks.hold(self.project, service, found)
            };
            (job.slots, job.gone) = slots::decide(found, service.replicas.0, fits);
        }
        let settled = |slot: &Slot| matches!(&slot.step, Step::Keep(found) if found.is_settled());
        let state = match job.failed.is_none() && job.slots.iter().all(settled) {
            true => (State::Done, "unchanged"),
            false => (State::Waiting, ""),
        };
        self.report.item(Kind::Service, &service.name, state.0, state.1);
        job
    }

    /// Digest of what the containers of a service are made from.
    pub(super) fn hash(&self, job: &Job<'a>, ids: &Ids) -> String {
        digest::of_service(job.service, self.project, self.host.root(), &job.looked, ids)
    }

    /// The containers that a service is made upon, the first one of each; none: one of them is still to be made.
    pub(super) fn upon(&self, service: &Service, others: &[Job<'_>]) -> Result<Option<Ids>, ServiceProblem> {
        let mut ids = Some(Ids::new());
        for name in references::of(service) {
            let other = others.iter().find(|job| job.service.name == name);
            let other = other.ok_or_else(|| ServiceProblem::waits(&service.name, name, "is not run"))?;
            let first = other.slots.first();
            match (&other.failed, first.map(|slot| &slot.step)) {
                (Some(problem), _) | (None, Some(Step::Failed(problem))) => {
                    return Err(ServiceProblem::waits_after(&service.name, problem));
                }
                (None, None) => return Err(ServiceProblem::waits(&service.name, name, "has no container")),
                (None, Some(Step::Make)) => ids = None,
                (None, Some(Step::Keep(_) | Step::Made(_))) => {
                    let id = first.and_then(Slot::id).unwrap_or_default();
                    ids.iter_mut().for_each(|ids| drop(ids.insert(name.to_owned(), id.to_owned())));
                }
            }
        }
        Ok(ids)
    }

    pub(super) fn not_started(&self, service: &Service, why: &str) -> ServiceProblem {
        ServiceProblem::NotStarted { item: service.name.clone(), why: why.to_owned() }
    }

    fn no_image(&self, service: &Service) -> ServiceProblem {
        let (item, image) = (service.name.clone(), service.image.clone());
        match self.images.failure(&image).is_some() {
            true => ServiceProblem::ImageFailed { item, image },
            false => ServiceProblem::NoImage { item, image },
        }
    }

    /// Containers of services that are no longer named go first: they may hold names and ports that others want now.
    async fn remove_vanished(&self, vanished: Vec<Found>) {
        let gone = vanished.iter().map(|found| async move {
            match self.retire(found).await {
                Ok(()) => self.report.note(format!("removed the container of {}", found.service)),
                Err(refusal) => {
                    let doing = format!("removing the container of {}", found.service);
                    self.report.problem(failed(&doing)(refusal));
                }
            }
        });
        join_all(gone).await;
    }

    /// Stops and removes a container; its volumes stay.
    async fn retire(&self, found: &Found) -> Result<(), Refusal> {
        if found.is_running() {
            self.engine.stop(&found.id, None).await?;
        }
        self.engine.remove(&found.id).await
    }

    /// Makes what is to be made beside what still runs, then removes what it replaces: ports are free before anything is started.
    async fn make_all(&self, jobs: &mut [Job<'a>], networks: &Networks) {
        let names = self.names(jobs);
        let stopped = self.ensure_networks(networks, jobs, &names).await;
        self.ensure_volumes(jobs).await;
        let aside = self.step_aside(jobs).await;
        loop {
            let upon: Vec<_> = jobs.iter().map(|job| self.upon(job.service, jobs)).collect();
            let waiting = |job: &Job<'_>| job.slots.iter().any(|slot| matches!(slot.step, Step::Make));
            let mut ready = Vec::new();
            for (job, upon) in jobs.iter_mut().zip(upon).filter(|(job, _)| job.failed.is_none() && waiting(job)) {
                match upon {
                    Ok(None) => continue,
                    Ok(ids) => job.ids = ids,
                    Err(problem) => job.failed = Some(problem),
                }
                ready.push(self.make(job, &names));
            }
            if ready.is_empty() {
                break;
            }
            join_all(ready).await;
        }
        let put = jobs.iter().any(|job| job.looked.has_content() && job.slots.iter().any(Slot::is_made));
        if put {
            self.sync().await;
        }
        self.step_back(jobs, &aside).await;
        join_all(jobs.iter().map(|job| self.retire_old(job))).await;
        self.start_stopped(jobs, &stopped).await;
    }

    fn names(&self, jobs: &[Job<'a>]) -> Names<'a> {
        let of = |job: &Job<'a>| {
            let name = |slot: &Slot| job.service.container_numbered(&self.project.name, slot.number);
            (job.service.name.as_str(), job.slots.iter().map(name).collect())
        };
        jobs.iter().map(of).collect()
    }

    /// Once the right container is there the others go. A service that failed keeps what it had.
    async fn retire_old(&self, job: &Job<'a>) {
        let kept = |slot: &&Slot| !matches!(slot.step, Step::Failed(_) | Step::Make);
        let old = job.slots.iter().filter(kept).flat_map(|slot| &slot.old).chain(&job.gone);
        for old in old.filter(|_| job.failed.is_none()) {
            if let Err(refusal) = self.retire(old).await {
                let doing = format!("removing the former container of {}", job.service.name);
                self.report.problem(failed(&doing)(refusal));
            }
        }
    }

    /// Starts all in the order of their dependencies, those that wait for nobody at once, and watches them.
    async fn run_all(&self, jobs: Vec<Job<'a>>) -> Vec<(String, ServiceState)> {
        let course = Course {
            board: Board::new(self.project),
            watch: Watch::new(self.engine, &self.project.name),
            names: self.names(&jobs),
        };
        let runs = jobs.iter().map(|job| async {
            let name = &job.service.name;
            let outcome = self.run(job, &course).await;
            course.board.over(name, outcome.clone());
            let state = outcome.unwrap_or_else(|problem| {
                fail(self.report, name, problem);
                ServiceState::Failed
            });
            (name.clone(), state)
        });
        let states = tokio::select! {
            biased;
            states = join_all(runs) => states,
            () = course.watch.follow() => Vec::new(),
        };
        // Where services failed, it may be the engine that did.
        if states.iter().any(|(_, state)| *state == ServiceState::Failed)
            && let Some(refusal) = course.watch.lost().await
        {
            self.report.problem(failed("bringing up services")(refusal));
        }
        states
    }
}
