//! Bringing back what is down or cut off: by the same way as a boot does, and nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use offspot_config::compose::{Condition, Dependency, Project, Service};

use super::memory::Rest;
use super::scene::Stand;
use crate::engine::Engine;
use crate::host::Host;
use crate::problem::{Problem, ServiceProblem};
use crate::report::Reporter;
use crate::services::{self, Volumes, references};

/// Longest wait for the health of what was brought back: dependents wait for it. What is not well by then is looked at again later.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest that a repair takes in all: it holds the lock, whatever the engine is at.
const WHOLE: Duration = Duration::from_secs(300);

/// What is to be done: how every service of the project stands, and those whose turn it is.
#[derive(Debug)]
pub struct Work<'a> {
    /// The settings in force.
    pub project: &'a Project,
    /// Every service that has containers, those of other hands too.
    pub present: BTreeSet<String>,
    /// Every service of the project.
    pub stands: &'a BTreeMap<String, Stand>,
    /// Those to bring back.
    pub due: BTreeSet<String>,
    /// Containers of those that ended with the engine: service and id.
    pub lost: Vec<(String, String)>,
}

/// Brings back what is due; what was said of those that are not well. Only for who holds the lock.
pub async fn bring_back(
    engine: &Engine,
    host: &Host,
    work: &Work<'_>,
    volumes: &Volumes,
) -> BTreeMap<String, ServiceProblem> {
    for (name, stand) in work.stands.iter().filter(|(name, _)| work.due.contains(*name)) {
        if let Stand::Down(why) = stand {
            tracing::warn!("{name} is down: {why}; it is brought back");
        }
    }
    let (report, status) = Reporter::new();
    let project = only(work);
    let whole = async {
        // One that ended with 0 looks as if it had done its work: that would be left.
        for (item, id) in &work.lost {
            if let Err(refusal) = engine.start(id).await {
                report.problem(ServiceProblem::NotStarted { item: item.clone(), why: refusal.why });
            }
        }
        services::bring_back(engine, host, &project, volumes, LIMIT, &report).await
    };
    let in_time = tokio::time::timeout(WHOLE, whole).await.is_ok();
    let problems = status.borrow().problems.clone();
    let mut said: BTreeMap<String, ServiceProblem> = problems
        .into_iter()
        .filter_map(|problem| match problem {
            Problem::Service(problem) => Some((problem.item().to_owned(), problem)),
            _ => None,
        })
        .collect();
    for name in work.due.iter().filter(|_| !in_time) {
        let why = format!("it was not there after {} s", WHOLE.as_secs());
        said.entry(name.clone()).or_insert(ServiceProblem::NotStarted { item: name.clone(), why });
    }
    said
}

/// Leaves of what is due only those whose turn it is: what they depend on is as they ask for, or is brought back with them. What will
/// not change by itself is given back, to be said.
pub fn postpone(
    project: &Project,
    stands: &BTreeMap<String, Stand>,
    due: &mut BTreeSet<String>,
) -> Vec<ServiceProblem> {
    let mut said = Vec::new();
    loop {
        let kept = project.services.iter().filter(|service| due.contains(&service.name));
        let waiting: Vec<(String, Option<ServiceProblem>)> =
            kept.filter_map(|service| Some((service.name.clone(), waits(service, stands, due)?))).collect();
        if waiting.is_empty() {
            return said;
        }
        for (name, problem) in waiting {
            due.remove(&name);
            said.extend(problem);
        }
    }
}

/// Whether it has to wait, and what is to be said of that.
fn waits(
    service: &Service,
    stands: &BTreeMap<String, Stand>,
    due: &BTreeSet<String>,
) -> Option<Option<ServiceProblem>> {
    let required = service.depends_on.iter().filter(|on| on.required && !due.contains(&on.service));
    required
        // Refused, or in no profile: the run has said so.
        .filter_map(|on| stands.get(&on.service).map_or(Some(None), |stand| lacks(&service.name, on, stand)))
        .max_by_key(Option::is_some)
}

/// What `item` lacks where what it depends on stands like this.
fn lacks(item: &str, on: &Dependency, stand: &Stand) -> Option<Option<ServiceProblem>> {
    let after = |problem: &ServiceProblem| Some(Some(ServiceProblem::waits_after(item, problem)));
    match (stand, on.condition) {
        // What was stopped by hand is not waited for, nor woken.
        (Stand::Rests(Rest::ByHand(_)), _) => None,
        (Stand::Well, Condition::Started | Condition::Healthy) => None,
        (Stand::Rests(_) | Stand::Sick(_) | Stand::Busy(None), Condition::Started) => None,
        (
            Stand::Rests(Rest::Ended(0)) | Stand::Sick(ServiceProblem::Looping { exit_code: 0, .. }),
            Condition::Completed,
        ) => None,
        (Stand::Sick(problem), _) => after(problem),
        (Stand::Rests(Rest::Ended(exit_code)), _) => {
            let ended = ServiceProblem::Ended { item: on.service.clone(), exit_code: *exit_code };
            after(&ended)
        }
        (Stand::Well | Stand::Busy(_) | Stand::Down(_), _) => Some(None),
    }
}

/// The project with all asleep, neither touched nor waited for, but what is due and what of the rest that runs has to do with it.
fn only(work: &Work<'_>) -> Project {
    let mut project = work.project.clone();
    let awake = awake(work);
    let refused = project.refused.drain(..).map(|refused| refused.name);
    project.dormant.extend(refused.chain(work.present.iter().cloned()));
    project.dormant.extend(project.services.iter().map(|service| service.name.clone()));
    project.dormant.retain(|name| !awake.contains(name));
    for on in project.services.iter_mut().flat_map(|service| &mut service.depends_on) {
        on.required &= awake.contains(&on.service);
    }
    project
}

/// What is due, what follows it (made upon its container, or asked to be started again after it), and what these need the names of.
fn awake(work: &Work<'_>) -> BTreeSet<String> {
    let runs = |name: &str| matches!(work.stands.get(name), Some(Stand::Well));
    let mut awake = work.due.clone();
    loop {
        let follows = |service: &&Service| {
            let restarted = service.depends_on.iter().any(|on| on.restart && awake.contains(&on.service));
            restarted || references::of(service).iter().any(|other| awake.contains(*other))
        };
        let more: Vec<String> = work
            .project
            .services
            .iter()
            .filter(|service| !awake.contains(&service.name) && runs(&service.name))
            .filter(follows)
            .map(|service| service.name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        awake.extend(more);
    }
    let needed: Vec<String> = work
        .project
        .services
        .iter()
        .filter(|service| awake.contains(&service.name))
        .flat_map(|service| {
            let linked = service.links.iter().map(|(name, _)| name.as_str());
            linked.chain(references::of(service)).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|name| runs(name))
        .collect();
    awake.extend(needed);
    awake
}
