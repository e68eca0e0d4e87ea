//! One service from its dependencies to its health.

use futures_util::future::join_all;
use offspot_config::compose::{Condition, Dependency, Restart, Service};

use super::found::Found;
use super::health::{Settled, Watch};
use super::progress::{Begun, Board};
use super::slots::{Slot, Step};
use super::up::{Job, Names, Up};
use super::{ServiceState, create, references};
use crate::engine::Refusal;
use crate::problem::ServiceProblem;
use crate::report::{Kind, State};

/// What all services share on their way.
pub(super) struct Course<'a> {
    pub board: Board<'a>,
    pub watch: Watch<'a>,
    pub names: Names<'a>,
}

/// How a container stands once it was seen to.
enum Standing {
    /// Nothing is to be waited for.
    Settled(ServiceState),
    /// Its id; how it does has yet to be seen.
    Open(String),
}

impl<'a> Up<'a> {
    /// Starts a service when those it depends on are there, and waits until it is well.
    pub(super) async fn run(&self, job: &Job<'a>, course: &Course<'_>) -> Result<ServiceState, ServiceProblem> {
        let service = job.service;
        if let Some(problem) = &job.failed {
            return Err(problem.clone());
        }
        let renewed = self.is_renewed(job, course).await;
        let rests = |slot: &Slot| !renewed && slot.runs() || self.is_done(job, slot);
        let idle = !job.slots.iter().all(rests);
        if idle {
            self.wait_for_all(service, course).await?;
            self.report.item(Kind::Service, &service.name, State::Working, "starting");
        }
        let standing = join_all(job.slots.iter().map(|slot| self.bring(job, slot, renewed, course))).await;
        let standing: Vec<Standing> = standing.into_iter().collect::<Result<_, _>>()?;
        let made = job.slots.iter().any(Slot::is_made);
        course.board.begun(
            &service.name,
            if made {
                Begun::Made
            } else if idle {
                Begun::Started
            } else {
                Begun::Ran
            },
        );
        let settled = join_all(standing.into_iter().map(|standing| self.settle(service, standing, course))).await;
        let states: Vec<ServiceState> = settled.into_iter().collect::<Result<_, _>>()?;
        let state = together(&states);
        let detail = match state {
            _ if states.is_empty() => "no container is wanted",
            _ if !idle => "unchanged",
            ServiceState::Healthy => "healthy",
            ServiceState::Ended => "ended",
            ServiceState::Running | ServiceState::Failed => "running",
        };
        self.report.item(Kind::Service, &service.name, State::Done, detail);
        Ok(state)
    }

    /// Whether what runs has to be started again: a dependency was made anew for which that is asked, or it shares what belongs to a
    /// container that was started.
    async fn is_renewed(&self, job: &Job<'_>, course: &Course<'_>) -> bool {
        if !job.slots.iter().any(Slot::runs) {
            return false;
        }
        let mut renewed = false;
        for on in job.service.depends_on.iter().filter(|on| on.restart) {
            renewed |= course.board.how_begun(&on.service).await == Some(Begun::Made);
        }
        for name in references::shared(job.service) {
            renewed |= course.board.how_begun(name).await >= Some(Begun::Started);
        }
        renewed
    }

    /// Has done its work earlier in this boot, and is not to do it again.
    fn is_done(&self, job: &Job<'_>, slot: &Slot) -> bool {
        let done = matches!(&slot.step, Step::Keep(found) if found.is_done());
        self.again && done && self.may_end(job.service)
    }

    async fn wait_for_all(&self, service: &Service, course: &Course<'_>) -> Result<(), ServiceProblem> {
        for on in &service.depends_on {
            match course.board.reached(&service.name, on).await {
                Err(problem) if on.required => return Err(problem),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sees to it that one container runs.
    async fn bring(
        &self,
        job: &Job<'a>,
        slot: &Slot,
        renewed: bool,
        course: &Course<'_>,
    ) -> Result<Standing, ServiceProblem> {
        let said = |refusal: Refusal| self.not_started(job.service, &refusal.why);
        let id = match &slot.step {
            Step::Failed(problem) => return Err(problem.clone()),
            Step::Make => return Err(self.not_started(job.service, "it was not made")),
            Step::Keep(_) if self.is_done(job, slot) => return Ok(Standing::Settled(ServiceState::Ended)),
            Step::Keep(found) if found.is_running() && renewed => {
                self.engine.restart(&found.id).await.map_err(said)?;
                found.id.clone()
            }
            Step::Keep(found) if found.is_settled() => return Ok(Standing::Settled(found_state(found))),
            Step::Keep(found) if found.is_running() => found.id.clone(),
            Step::Keep(found) => self.start_again(job, slot, found, course).await?,
            Step::Made(id) => {
                self.engine.start(id).await.map_err(said)?;
                id.clone()
            }
        };
        Ok(Standing::Open(id))
    }

    /// Starts a container of an earlier run; where that fails (its network is gone, its store damaged) makes it anew, once. One that never
    /// came up is not made anew for that: the next would not come up either.
    async fn start_again(
        &self,
        job: &Job<'a>,
        slot: &Slot,
        found: &Found,
        course: &Course<'_>,
    ) -> Result<String, ServiceProblem> {
        let said = |refusal: Refusal| self.not_started(job.service, &refusal.why);
        self.sources(job.service).await?;
        let name = job.service.container_numbered(&self.project.name, slot.number);
        let mut failed_before = false;
        if found.is_new() {
            failed_before = self.has_failed(found).await;
            let names = &course.names;
            let seat = create::Seat { project: self.project, number: slot.number, name: &name, names };
            self.furnish_found(job, found, &seat).await.map_err(said)?;
        }
        let Err(refusal) = self.engine.start(&found.id).await else {
            return Ok(found.id.clone());
        };
        if failed_before {
            return Err(said(refusal));
        }
        tracing::warn!(service = job.service.name, why = refusal.why, "starting; it is made anew");
        let aside = format!("{}_{name}", found.id.get(..12).unwrap_or_default());
        self.engine.rename(&found.id, &aside).await.map_err(said)?;
        let id = self.create(job, slot.number, std::slice::from_ref(found), &course.names).await?;
        if job.looked.has_content() {
            self.sync().await;
        }
        self.engine.remove(&found.id).await.map_err(said)?;
        self.engine.start(&id).await.map_err(said)?;
        Ok(id)
    }

    /// Whether the engine tried to start a container that never ran.
    async fn has_failed(&self, found: &Found) -> bool {
        let container = self.engine.container(&found.id).await.ok().flatten();
        let state = container.and_then(|container| container.state).unwrap_or_default();
        state.error.is_some_and(|error| !error.is_empty()) || state.exit_code.is_some_and(|code| code != 0)
    }

    async fn settle(
        &self,
        service: &Service,
        standing: Standing,
        course: &Course<'_>,
    ) -> Result<ServiceState, ServiceProblem> {
        let id = match standing {
            Standing::Settled(state) => return Ok(state),
            Standing::Open(id) => id,
        };
        let settled = match course.watch.settle(&id, self.ends(service), self.deadline).await {
            None => course.watch.last_look(&id).await.map_err(|refusal| self.not_started(service, &refusal.why))?,
            settled => settled,
        };
        let item = service.name.clone();
        match settled {
            Some(Settled::Healthy) => Ok(ServiceState::Healthy),
            Some(Settled::Running) => Ok(ServiceState::Running),
            Some(Settled::Ended(0)) if self.may_end(service) => Ok(ServiceState::Ended),
            Some(Settled::Ended(exit_code)) => Err(ServiceProblem::Ended { item, exit_code }),
            Some(Settled::Looping { exit_code, restarts }) => {
                Err(ServiceProblem::Looping { item, exit_code, restarts: restarts.unsigned_abs() })
            }
            Some(Settled::Gone) => Err(self.not_started(service, "its container was removed by another program")),
            None => Err(ServiceProblem::Unhealthy { item, seconds: self.limit.as_secs() }),
        }
    }

    /// Whether some other service waits for this one to end.
    fn ends(&self, service: &Service) -> bool {
        let waits = |on: &Dependency| on.service == service.name && on.condition == Condition::Completed;
        let mut others = self.project.services.iter();
        others.any(|other| other.depends_on.iter().any(waits))
    }

    /// A one-shot: others wait for its end, or the engine does not start it again when it ends well.
    fn may_end(&self, service: &Service) -> bool {
        matches!(service.restart, Restart::No | Restart::OnFailure(_)) || self.ends(service)
    }
}

/// How a service stands whose containers stand like this.
fn together(states: &[ServiceState]) -> ServiceState {
    let all = |state: ServiceState| states.iter().all(|other| *other == state);
    [ServiceState::Ended, ServiceState::Healthy].into_iter().find(|state| all(*state)).unwrap_or(ServiceState::Running)
}

fn found_state(found: &Found) -> ServiceState {
    match found.health() {
        Some(_) => ServiceState::Healthy,
        None => ServiceState::Running,
    }
}
