//! `containers`: brought up with compose's meaning, and watched until every service is well or the limit is over.
//!
//! Unchanged services are left alone, changed ones made anew, vanished ones removed. One service that fails costs itself, and those
//! that cannot do without it.

use std::collections::BTreeMap;
use std::time::Duration;

use offspot_config::compose::Project;
use tokio::sync::Semaphore;

use crate::content::Placed;
use crate::engine::Engine;
use crate::ground::blocking;
use crate::host::Host;
use crate::images::Loaded;
use crate::problem::ServiceProblem;
use crate::receipts::{Receipts, Record};
use crate::report::{Kind, Reporter, State};

mod create;
mod digest;
mod environment;
pub(crate) mod found;
mod health;
pub mod labels;
mod look;
mod networks;
mod progress;
pub(crate) mod references;
mod replace;
mod run;
mod security;
mod slots;
mod sources;
mod up;
mod volumes;

pub use sources::make_contract;
pub(crate) use volumes::{kept as kept_volumes, without_name};

/// Most containers that are made at a time.
const AT_ONCE: usize = 16;

/// How a service stands at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// Runs, and its health check passes.
    Healthy,
    /// Runs, and has no health check.
    Running,
    /// Has done its work and ended with exit code 0.
    Ended,
    /// See the problems.
    Failed,
}

/// The services were brought up: the token of this step.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Each service of the project, refused ones too, and how it stands.
    pub services: Vec<(String, ServiceState)>,
}

/// Brings the project up from these images and waits at most `limit` for the health of its services. Problems are reported by the
/// name of their service. Content comes first, so that no service starts beside files that are still on their way.
pub async fn up(
    engine: &Engine,
    host: &Host,
    project: Project,
    (_, images): (&Placed, &Loaded),
    limit: Duration,
    report: &Reporter,
) -> Running {
    bring(engine, host, &project, (images, &images.volumes(&project.name)), (limit, false), report).await
}

/// The same once more in this boot: what differs is put right, and a service that has done its work and ended is left alone. Where
/// nothing differs the engine is only asked.
pub async fn up_again(engine: &Engine, host: &Host, project: &Project, limit: Duration, report: &Reporter) -> Running {
    bring(engine, host, project, (&Loaded::default(), &Volumes::new()), (limit, true), report).await
}

/// Nameless volumes, as (target, name), of the containers there were: by service and number.
pub type Volumes = BTreeMap<(String, u32), Vec<(String, String)>>;

/// The same for a project of which a part has fallen: dormant services are not touched, and a container that has vanished gets its
/// nameless volumes back where the engine still has them.
pub async fn bring_back(
    engine: &Engine,
    host: &Host,
    project: &Project,
    volumes: &Volumes,
    limit: Duration,
    report: &Reporter,
) -> Running {
    bring(engine, host, project, (&Loaded::held(engine).await, volumes), (limit, true), report).await
}

/// Takes back what the receipts say of nameless volumes whose containers are there again.
pub async fn forget_volumes(project: &str, running: &Running, receipts: &Receipts) -> std::io::Result<()> {
    let well =
        |service: &str| running.services.iter().any(|(name, state)| name == service && *state != ServiceState::Failed);
    let taken = receipts.volumes().remove(project).unwrap_or_default().into_keys().filter(|(service, _)| well(service));
    let records = taken.map(|(service, number)| Record::Volumes {
        project: project.to_owned(),
        service,
        number,
        volumes: Vec::new(),
    });
    let (receipts, records) = (receipts.clone(), records.collect::<Vec<_>>());
    blocking(move || receipts.append_all(&records)).await
}

async fn bring(
    engine: &Engine,
    host: &Host,
    project: &Project,
    (images, volumes): (&Loaded, &Volumes),
    (limit, again): (Duration, bool),
    report: &Reporter,
) -> Running {
    let mut running = Running::default();
    for refused in &project.refused {
        let why = format!("{} ({})", refused.finding.message, refused.finding.key);
        fail(report, &refused.name, ServiceProblem::Refused { item: refused.name.clone(), why });
        running.services.push((refused.name.clone(), ServiceState::Failed));
    }
    let deadline = tokio::time::Instant::now() + limit;
    let up = up::Up {
        engine,
        host,
        project,
        images,
        volumes,
        report,
        deadline,
        limit,
        again,
        making: Semaphore::new(AT_ONCE),
    };
    match up.all().await {
        Ok(services) => running.services.extend(services),
        Err(problem) => {
            report.problem(problem);
            for service in &project.services {
                report.item(Kind::Service, &service.name, State::Failed, "");
                running.services.push((service.name.clone(), ServiceState::Failed));
            }
        }
    }
    running
}

/// Says that a service failed.
fn fail(report: &Reporter, service: &str, problem: ServiceProblem) {
    report.item(Kind::Service, service, State::Failed, problem.facts().sentence);
    report.problem(problem);
}

/// Says which services a card without an engine cannot have.
pub fn give_up(project: Option<&Project>, report: &Reporter) {
    for service in project.iter().flat_map(|project| &project.services) {
        fail(report, &service.name, ServiceProblem::NoEngine { item: service.name.clone() });
    }
}
