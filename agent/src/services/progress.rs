//! How far each service is, for those that depend on it.

use std::collections::BTreeMap;

use offspot_config::compose::{Condition, Dependency, Project};
use tokio::sync::watch;

use super::ServiceState;
use crate::problem::ServiceProblem;

/// How far a service is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// What was done for its containers; none: they are not started yet.
    pub begun: Option<Begun>,
    /// What it came to; none: that is not known yet.
    pub over: Option<Result<ServiceState, ServiceProblem>>,
}

/// What was done for the containers of a service in this run, in the order of how much it means to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Begun {
    /// They ran already.
    Ran,
    /// One was started again.
    Started,
    /// One was made.
    Made,
}

/// How far each service is that is to run.
#[derive(Debug)]
pub(super) struct Board<'a> {
    project: &'a Project,
    all: BTreeMap<&'a str, watch::Sender<Progress>>,
}

impl<'a> Board<'a> {
    pub fn new(project: &'a Project) -> Self {
        // Nobody would ever say how far a dormant one is.
        let dormant = |name: &&str| project.dormant.iter().any(|dormant| dormant == name);
        let names = project.services.iter().map(|service| service.name.as_str()).filter(|name| !dormant(name));
        Board { project, all: names.map(|name| (name, watch::Sender::default())).collect() }
    }

    /// Its containers are started.
    pub fn begun(&self, service: &str, how: Begun) {
        self.change(service, |progress| progress.begun = Some(how));
    }

    /// Nothing more will come.
    pub fn over(&self, service: &str, outcome: Result<ServiceState, ServiceProblem>) {
        self.change(service, |progress| progress.over = Some(outcome));
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Progress)) {
        if let Some(sender) = self.all.get(service) {
            sender.send_modify(change);
        }
    }

    /// Waits until a service has begun or will not; none: it does not run.
    pub async fn how_begun(&self, service: &str) -> Option<Begun> {
        let mut progress = self.all.get(service)?.subscribe();
        let seen = progress.wait_for(|progress| progress.begun.is_some() || progress.over.is_some()).await;
        seen.ok()?.begun
    }

    /// Waits for what a service depends on. Fails with the problem of `item`, where that will not be reached.
    pub async fn reached(&self, item: &str, on: &Dependency) -> Result<(), ServiceProblem> {
        let waits = |why: &str| Err(ServiceProblem::waits(item, &on.service, why));
        let Some(sender) = self.all.get(on.service.as_str()) else {
            let refused = self.project.refused.iter().find(|refused| refused.name == on.service);
            return match refused {
                Some(refused) => waits(&format!("was refused: {}", refused.finding.message)),
                None if self.project.dormant.contains(&on.service) => waits("is in no profile that is on"),
                None => waits("does not exist"),
            };
        };
        let enough = |progress: &Progress| match on.condition {
            Condition::Started => progress.begun.is_some() || progress.over.is_some(),
            Condition::Healthy | Condition::Completed => progress.over.is_some(),
        };
        let mut progress = sender.subscribe();
        let Ok(progress) = progress.wait_for(enough).await else {
            return waits("was left");
        };
        let none = |service: &offspot_config::compose::Service| service.name == on.service && service.replicas.0 == 0;
        match (&progress.over, on.condition) {
            // It has run, whatever became of it.
            _ if on.condition == Condition::Started && progress.begun.is_some() => Ok(()),
            (Some(Err(problem)), _) => Err(ServiceProblem::waits_after(item, problem)),
            _ if self.project.services.iter().any(none) => Ok(()),
            (Some(Ok(ServiceState::Ended)), Condition::Completed) => Ok(()),
            (Some(Ok(ServiceState::Healthy)), Condition::Healthy) => Ok(()),
            (Some(Ok(ServiceState::Running)), Condition::Healthy) => waits("has no health check"),
            (_, Condition::Healthy) => waits("has ended"),
            (_, Condition::Completed) => waits("has not ended"),
            (_, Condition::Started) => Ok(()),
        }
    }
}
