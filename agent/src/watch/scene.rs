//! What is there of the services, and what that means.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::ContainerSummaryStateEnum as State;
use offspot_config::compose::{Network, Project, Restart, Service, Wiring};
use tokio::time::Instant;

use super::memory::{Remembered, Rest};
use crate::engine::{Engine, Refusal};
use crate::problem::ServiceProblem;
use crate::services::found::Found;
use crate::services::{self, labels};

/// A container that was made and not started belongs to another hand that is at work, for so long.
const MAKING: Duration = Duration::from_secs(60);
/// A health check that fails for so long is told.
const UNWELL: Duration = Duration::from_secs(120);

/// A container of the project.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As the engine lists it.
    pub found: Found,
    /// Its nameless volumes: target and name.
    pub volumes: Vec<(String, String)>,
    /// The engine tried to start it and could not.
    pub refused: bool,
}

/// How a service stands.
#[derive(Debug, Clone)]
pub enum Stand {
    /// As it should be.
    Well,
    /// It runs, or the engine starts it again and again: nothing that we could do better.
    Sick(ServiceProblem),
    /// Starting, being made or changed; or in doubt, and then until when.
    Busy(Option<Instant>),
    /// Does not run, and is to be left so.
    Rests(Rest),
    /// Gone, cut off, or ended though nobody stopped it: the sentence says which.
    Down(&'static str),
}

/// Everything there is of a project, by service: one request, and one for each container that is down.
pub async fn take(engine: &Engine, project: &Project) -> Result<BTreeMap<String, Vec<Seen>>, Refusal> {
    let mut scene: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for summary in engine.labelled(&format!("{}={}", labels::PROJECT, project.name)).await? {
        let volumes = services::without_name(summary.mounts.clone().unwrap_or_default());
        let Some(found) = Found::read(summary) else { continue };
        let refused = found.state == State::EXITED && {
            let container = engine.container(&found.id).await?;
            let error = container.and_then(|container| container.state?.error);
            error.is_some_and(|error| !error.is_empty())
        };
        scene.entry(found.service.clone()).or_default().push(Seen { found, volumes, refused });
    }
    Ok(scene)
}

/// How a service stands by its containers and what is remembered of it. `clock`: seconds since 1970.
pub fn judge(
    service: &Service,
    project: &Project,
    containers: &[Seen],
    remembered: &Remembered,
    (now, clock): (Instant, i64),
) -> Stand {
    let running: Vec<&Seen> = containers.iter().filter(|seen| seen.found.is_running()).collect();
    if !running.is_empty() && running.len() >= remembered.ran.1.min(service.replicas.0 as usize) {
        return judge_running(service, project, &running, remembered, now);
    }
    let any = |state: State| containers.iter().find(|seen| seen.found.state == state);
    if any(State::RESTARTING).is_some() {
        return looping(service, remembered, now).map_or(Stand::Busy(None), Stand::Sick);
    }
    if any(State::PAUSED).is_some() || service.replicas.0 == 0 {
        return Stand::Rests(Rest::ByHand(now));
    }
    if any(State::REMOVING).is_some() {
        return Stand::Busy(Some(now + UNWELL));
    }
    if let Some(made) = any(State::CREATED) {
        let age = Duration::from_secs(clock.saturating_sub(made.found.created).unsigned_abs());
        if age < MAKING {
            return Stand::Busy(Some(now + MAKING - age));
        }
    }
    if let Some(rest) = remembered.rest {
        return Stand::Rests(rest);
    }
    match any(State::EXITED) {
        Some(exited) => judge_exited(service, exited, remembered, now),
        None if !running.is_empty() => Stand::Down("one of its containers is gone"),
        None if any(State::CREATED).is_some() => Stand::Down("it was never started"),
        None => Stand::Down("its container is gone"),
    }
}

fn judge_running(
    service: &Service,
    project: &Project,
    running: &[&Seen],
    remembered: &Remembered,
    now: Instant,
) -> Stand {
    if running.iter().any(|seen| is_cut_off(service, project, &seen.found)) {
        return Stand::Down("it is not in its networks");
    }
    if let Some(problem) = looping(service, remembered, now) {
        return Stand::Sick(problem);
    }
    let unhealthy = running.iter().any(|seen| seen.found.status.contains("(unhealthy)"));
    let starting = running.iter().any(|seen| seen.found.status.contains("(health: starting)"));
    match (unhealthy, remembered.sick_since) {
        (true, Some(since)) if now.duration_since(since) >= UNWELL => {
            let item = service.name.clone();
            Stand::Sick(ServiceProblem::Unhealthy { item, seconds: now.duration_since(since).as_secs() })
        }
        (true, since) => Stand::Busy(Some(since.unwrap_or(now) + UNWELL)),
        (false, _) if starting => Stand::Busy(None),
        (false, _) => Stand::Well,
    }
}

/// Whether it lacks one of its networks, which may be gone.
fn is_cut_off(service: &Service, project: &Project, found: &Found) -> bool {
    let Wiring::Joined(joined) = &service.wiring else { return false };
    let lacks = |network: &Network| !network.external && !found.networks.contains_key(&network.name);
    let of = |key: &str| project.networks.iter().find(|network| network.key == key);
    joined.iter().any(|joined| of(&joined.network).is_some_and(lacks))
}

fn looping(service: &Service, remembered: &Remembered, now: Instant) -> Option<ServiceProblem> {
    let restarts = remembered.looping(now)?;
    Some(ServiceProblem::Looping { item: service.name.clone(), exit_code: remembered.exit_code, restarts })
}

/// The engine starts what its policy says, unless it was stopped by hand or could not be started.
fn judge_exited(service: &Service, exited: &Seen, remembered: &Remembered, now: Instant) -> Stand {
    let exit_code = exit_code(&exited.found.status);
    match service.restart {
        _ if exited.refused => Stand::Down("the engine could not start it"),
        Restart::Always | Restart::UnlessStopped => Stand::Rests(Rest::ByHand(now)),
        // A program may well end with 0 when it is told to go.
        Restart::No | Restart::OnFailure(_) if remembered.lost => Stand::Down("it ended with the engine"),
        Restart::No | Restart::OnFailure(_) => Stand::Rests(Rest::Ended(exit_code)),
    }
}

/// From the words of the engine: `Exited (3) 2 minutes ago`.
fn exit_code(status: &str) -> i64 {
    let code = status.strip_prefix("Exited (").and_then(|rest| rest.split(')').next());
    code.and_then(|code| code.parse().ok()).unwrap_or(-1)
}
