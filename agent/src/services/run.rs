//! One service from its dependencies to its health.

use std::collections::BTreeMap;

use offspot_config::compose::{Condition, Dependency, Restart, Service};
use tokio::sync::watch;

use super::found::Found;
use super::health::{Progress, Settled, Watch};
use super::up::{Job, Step, Up};
use super::{ServiceState, sources};
use crate::engine::Refusal;
use crate::problem::ServiceProblem;
use crate::report::{Kind, State};

/// How far each service is.
type Others<'a> = BTreeMap<&'a str, watch::Sender<Progress>>;

impl Up<'_> {
    /// Starts a service when those it depends on are there, and waits until it is well.
    pub(super) async fn run(
        &self,
        job: &Job<'_>,
        others: &Others<'_>,
        watch: &Watch<'_>,
    ) -> Result<ServiceState, ServiceProblem> {
        let service = job.service;
        let id = match &job.step {
            Step::Failed(problem) => return Err(problem.clone()),
            Step::Make => return Err(self.not_started(service, "it was not made")),
            Step::Keep(found) if found.is_running() => {
                if found.is_settled() && service.depends_on.iter().all(|on| !on.restart) {
                    announce(service, others, Progress::Started(false));
                    return Ok(self.well(service, found_state(found), "unchanged"));
                }
                self.follow(service, found, others).await?
            }
            Step::Keep(found) => {
                self.wait_for_all(service, others).await?;
                self.start_again(job, found).await?
            }
            Step::Made(id) => {
                self.wait_for_all(service, others).await?;
                self.begin(service);
                let started = self.engine.start(id).await;
                started.map_err(|refusal| self.not_started(service, &refusal.why))?;
                id.clone()
            }
        };
        let fresh = matches!(job.step, Step::Made(_));
        announce(service, others, Progress::Started(fresh));
        let settled = match watch.settle(&id, self.ends(service), self.deadline).await {
            None => watch.last_look(&id).await,
            settled => settled,
        };
        self.judge(service, settled)
    }

    fn not_started(&self, service: &Service, why: &str) -> ServiceProblem {
        ServiceProblem::NotStarted { item: service.name.clone(), why: why.to_owned() }
    }

    fn begin(&self, service: &Service) {
        let item = &service.name;
        self.report.item(Kind::Service, item, State::Working, "starting");
    }

    /// One that runs already is started again where it asks for that and something it depends on was made anew.
    async fn follow(&self, service: &Service, found: &Found, others: &Others<'_>) -> Result<String, ServiceProblem> {
        let mut renewed = false;
        for on in service.depends_on.iter().filter(|on| on.restart) {
            if let Some(other) = others.get(on.service.as_str()) {
                let mut progress = other.subscribe();
                let begun = progress.wait_for(|progress| *progress != Progress::Waiting).await;
                renewed |= matches!(begun.as_deref(), Ok(Progress::Started(true)));
            }
        }
        if renewed {
            self.wait_for_all(service, others).await?;
            self.begin(service);
            let restarted = self.engine.restart(&found.id).await;
            restarted.map_err(|refusal| self.not_started(service, &refusal.why))?;
        }
        Ok(found.id.clone())
    }

    /// Starts a container of an earlier run; where that fails (its network is gone, its store damaged) makes it anew, once.
    async fn start_again(&self, job: &Job<'_>, found: &Found) -> Result<String, ServiceProblem> {
        self.begin(job.service);
        sources::prepare(self.host, job.service).map_err(|why| self.not_started(job.service, &why))?;
        let Err(refusal) = self.engine.start(&found.id).await else {
            return Ok(found.id.clone());
        };
        tracing::warn!(service = job.service.name, why = refusal.why, "starting; it is made anew");
        let said = |refusal: Refusal| self.not_started(job.service, &refusal.why);
        let aside = format!("{}_{}", found.id.get(..12).unwrap_or_default(), found.name);
        self.engine.rename(&found.id, &aside).await.map_err(said)?;
        let id = self.create(job.service, &job.image, std::slice::from_ref(found)).await?;
        self.engine.remove(&found.id).await.map_err(said)?;
        self.engine.start(&id).await.map_err(said)?;
        Ok(id)
    }

    async fn wait_for_all(&self, service: &Service, others: &Others<'_>) -> Result<(), ServiceProblem> {
        for on in &service.depends_on {
            if !self.reached(on, others).await && on.required {
                let (item, on) = (service.name.clone(), on.service.clone());
                return Err(ServiceProblem::Waits { item, on });
            }
        }
        Ok(())
    }

    /// Waits for another service; false: it will not get there.
    async fn reached(&self, on: &Dependency, others: &Others<'_>) -> bool {
        let Some(other) = others.get(on.service.as_str()) else {
            return false;
        };
        let enough = |progress: &Progress| match progress {
            Progress::Waiting => false,
            Progress::Started(_) => on.condition == Condition::Started,
            Progress::Over(_) => true,
        };
        let mut progress = other.subscribe();
        let Ok(progress) = progress.wait_for(enough).await else {
            return false;
        };
        match (&*progress, on.condition) {
            (Progress::Over(ServiceState::Failed), _) => false,
            (Progress::Over(state), Condition::Completed) => *state == ServiceState::Ended,
            // One without health check is as healthy as can be known once it runs.
            (Progress::Over(state), Condition::Healthy) => *state != ServiceState::Ended,
            _ => true,
        }
    }

    /// Whether some other service waits for this one to end.
    fn ends(&self, service: &Service) -> bool {
        let waits = |on: &Dependency| on.service == service.name && on.condition == Condition::Completed;
        let mut others = self.project.services.iter();
        others.any(|other| other.depends_on.iter().any(waits))
    }

    fn well(&self, service: &Service, state: ServiceState, detail: &str) -> ServiceState {
        self.report.item(Kind::Service, &service.name, State::Done, detail);
        state
    }

    fn judge(&self, service: &Service, settled: Option<Settled>) -> Result<ServiceState, ServiceProblem> {
        let item = service.name.clone();
        let looping = |exit_code, restarts: i64| ServiceProblem::Looping {
            item: service.name.clone(),
            exit_code,
            restarts: restarts.unsigned_abs(),
        };
        match settled {
            Some(Settled::Healthy) => Ok(self.well(service, ServiceState::Healthy, "healthy")),
            Some(Settled::Running) => Ok(self.well(service, ServiceState::Running, "running")),
            Some(Settled::Ended(0)) if may_end(service) || self.ends(service) => {
                Ok(self.well(service, ServiceState::Ended, "ended"))
            }
            Some(Settled::Ended(exit_code)) => Err(ServiceProblem::Ended { item, exit_code }),
            Some(Settled::Looping { exit_code, restarts }) => Err(looping(exit_code, restarts)),
            Some(Settled::Gone) => Err(self.not_started(service, "its container was removed by another program")),
            None => Err(ServiceProblem::Unhealthy { item, seconds: self.limit.as_secs() }),
        }
    }
}

fn announce(service: &Service, others: &Others<'_>, progress: Progress) {
    if let Some(sender) = others.get(service.name.as_str()) {
        sender.send_replace(progress);
    }
}

fn found_state(found: &Found) -> ServiceState {
    match found.health() {
        Some(_) => ServiceState::Healthy,
        None => ServiceState::Running,
    }
}

/// A one-shot: the engine does not start it again when it ends well.
fn may_end(service: &Service) -> bool {
    matches!(service.restart, Restart::No | Restart::OnFailure(_))
}
