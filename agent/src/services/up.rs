//! The way of a project, in this order: what is there, what is to be made, what goes, what starts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use offspot_config::compose::{Project, Service};
use tokio::sync::watch;
use tokio::time::Instant;

use super::found::{Decision, Found, decide};
use super::health::{Progress, Watch};
use super::{ServiceState, create, fail, labels, networks};
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
    pub report: &'a Reporter,
    pub deadline: Instant,
    pub limit: Duration,
}

/// One service on its way.
pub(super) struct Job<'a> {
    pub service: &'a Service,
    /// Id of its image.
    pub image: String,
    pub decision: Decision,
    pub step: Step,
}

/// What is to be done for a service.
pub(super) enum Step {
    /// Its container is as it should be: start it if it does not run.
    Keep(Found),
    /// To be made.
    Make,
    /// Was made just now: its id.
    Made(String),
    /// Will not run.
    Failed(ServiceProblem),
}

fn failed(doing: &str) -> impl FnOnce(Refusal) -> EngineProblem + '_ {
    move |refusal| EngineProblem::Failed { doing: doing.to_owned(), why: refusal.why }
}

impl<'a> Up<'a> {
    /// The whole way. Fails only where the engine does not even tell what it has.
    pub async fn all(&self) -> Result<Vec<(String, ServiceState)>, EngineProblem> {
        let label = format!("{}={}", labels::PROJECT, self.project.name);
        let listed = self.engine.labelled(&label).await.map_err(failed("listing containers"))?;
        let mut by_service: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for found in listed.into_iter().filter_map(Found::read) {
            by_service.entry(found.service.clone()).or_default().push(found);
        }
        let mut jobs = Vec::new();
        let dormant = |name: &String| self.project.dormant.contains(name);
        for service in self.project.services.iter().filter(|service| !dormant(&service.name)) {
            let found = by_service.remove(&service.name).unwrap_or_default();
            jobs.push(self.job(service, found).await);
        }
        let refused = |name: &str| self.project.refused.iter().any(|refused| refused.name == name);
        by_service.retain(|name, _| !refused(name) && !dormant(name));
        self.remove_vanished(by_service.into_values().flatten().collect()).await;
        self.make_all(&mut jobs).await;
        Ok(self.run_all(jobs).await)
    }

    async fn job(&self, service: &'a Service, found: Vec<Found>) -> Job<'a> {
        let image = match self.images.id(&service.image) {
            Some(id) => Some(id.to_owned()),
            // Not brought by us, or since.
            None => self.engine.image_id(&service.image).await.unwrap_or_default(),
        };
        let hash = create::hash(service, self.project, self.host.root());
        let decision = decide(found, &hash, image.as_deref().unwrap_or_default());
        let step = match (&image, &decision.keep) {
            (None, _) => Step::Failed(self.no_image(service)),
            (Some(_), Some(keep)) => Step::Keep(keep.clone()),
            (Some(_), None) => Step::Make,
        };
        let state = match &step {
            Step::Keep(found) if found.is_settled() => (State::Done, "unchanged"),
            _ => (State::Waiting, ""),
        };
        self.report.item(Kind::Service, &service.name, state.0, state.1);
        Job { service, image: image.unwrap_or_default(), decision, step }
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
    async fn make_all(&self, jobs: &mut [Job<'a>]) {
        let idle = |job: &&Job<'_>| match &job.step {
            Step::Keep(found) => !found.is_running(),
            Step::Make => true,
            _ => false,
        };
        let services: Vec<&Service> = jobs.iter().filter(idle).map(|job| job.service).collect();
        if !services.is_empty() {
            let lacking = networks::ensure(self.engine, self.project, &services).await;
            for job in jobs.iter_mut().filter(|job| matches!(job.step, Step::Make)) {
                if let Some(why) = lacking.of(self.project, job.service) {
                    let item = job.service.name.clone();
                    job.step = Step::Failed(ServiceProblem::NotStarted { item, why });
                }
            }
        }
        for job in jobs.iter_mut() {
            self.step_aside(job).await;
        }
        join_all(jobs.iter_mut().map(|job| self.make(job))).await;
        join_all(jobs.iter_mut().map(|job| self.retire_old(job))).await;
    }

    async fn make(&self, job: &mut Job<'a>) {
        if matches!(job.step, Step::Make) {
            self.report.item(Kind::Service, &job.service.name, State::Working, "making");
            job.step = match self.create(job.service, &job.image, &job.decision.old).await {
                Ok(id) => Step::Made(id),
                Err(problem) => {
                    self.step_back(job).await;
                    Step::Failed(problem)
                }
            };
        }
    }

    /// Once the right container is there the others go. A service that failed keeps what it had.
    async fn retire_old(&self, job: &mut Job<'a>) {
        if matches!(job.step, Step::Failed(_)) {
            return;
        }
        for old in &job.decision.old {
            if let Err(refusal) = self.retire(old).await {
                let doing = format!("removing the former container of {}", job.service.name);
                self.report.problem(failed(&doing)(refusal));
            }
        }
    }

    /// Starts all in the order of their dependencies, those that wait for nobody at once, and watches them.
    async fn run_all(&self, jobs: Vec<Job<'a>>) -> Vec<(String, ServiceState)> {
        let progress: BTreeMap<&str, watch::Sender<Progress>> =
            jobs.iter().map(|job| (job.service.name.as_str(), watch::Sender::new(Progress::Waiting))).collect();
        let watch = Watch::new(self.engine, &self.project.name);
        let runs = jobs.iter().map(|job| async {
            let name = &job.service.name;
            let state = match self.run(job, &progress, &watch).await {
                Ok(state) => state,
                Err(problem) => {
                    fail(self.report, name, problem);
                    ServiceState::Failed
                }
            };
            if let Some(progress) = progress.get(name.as_str()) {
                progress.send_replace(Progress::Over(state));
            }
            (name.clone(), state)
        });
        tokio::select! {
            biased;
            states = join_all(runs) => states,
            () = watch.follow() => Vec::new(),
        }
    }
}
