//! Bringing back what is down or cut off: by the same way as a boot does, and nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use offspot_config::compose::{Project, Service};

use super::scene::Stand;
use crate::engine::Engine;
use crate::host::Host;
use crate::problem::{Problem, ServiceProblem};
use crate::report::Reporter;
use crate::services::{self, Volumes, references};

/// Longest wait for the health of what was brought back: dependents wait for it. What is not well by then is looked at again later.
const LIMIT: Duration = Duration::from_secs(60);

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
    services::bring_back(engine, host, &only(work), volumes, LIMIT, &report).await;
    let problems = status.borrow().problems.clone();
    problems
        .into_iter()
        .filter_map(|problem| match problem {
            Problem::Service(problem) => Some((problem.item().to_owned(), problem)),
            _ => None,
        })
        .collect()
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
