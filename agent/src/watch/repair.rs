//! Bringing back what is down or cut off: by the same way as a boot does, and nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use offspot_config::compose::{Project, Service};

use super::scene::Stand;
use crate::content::Placed;
use crate::engine::Engine;
use crate::host::Host;
use crate::images;
use crate::problem::{Problem, ServiceProblem};
use crate::receipts::Receipts;
use crate::report::Reporter;
use crate::services::{self, create, networks};

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
pub async fn bring_back(engine: &Engine, host: &Host, work: &Work<'_>) -> BTreeMap<String, ServiceProblem> {
    let mut said = BTreeMap::new();
    let mut down = BTreeSet::new();
    for service in work.project.services.iter().filter(|service| work.due.contains(&service.name)) {
        let name = &service.name;
        match work.stands.get(name) {
            Some(Stand::Cut(container, keys)) => {
                tracing::warn!("{name} is cut off from its networks ({}); it is connected again", keys.join(", "));
                if let Err(why) = connect(engine, work.project, service, container, keys).await {
                    said.insert(name.clone(), ServiceProblem::NotStarted { item: name.clone(), why });
                }
            }
            Some(Stand::Down(why)) => {
                tracing::warn!("{name} is down: {why}; it is brought back");
                down.insert(name.clone());
            }
            _ => {}
        }
    }
    if !down.is_empty() {
        said.extend(bring_up(engine, host, only(work, down)).await);
    }
    said
}

/// Puts a running container back into its networks, which are made where they are gone.
async fn connect(
    engine: &Engine,
    project: &Project,
    service: &Service,
    container: &str,
    keys: &[String],
) -> Result<(), String> {
    let lacking = networks::ensure(engine, project, &[service]).await;
    if let Some(why) = lacking.of(project, service) {
        return Err(why);
    }
    for joined in create::joined(service).iter().filter(|joined| keys.contains(&joined.network)) {
        if let Some(network) = create::network(project, &joined.network) {
            let endpoint = create::endpoint(service, joined, project);
            engine.connect(&network.name, container, endpoint).await.map_err(|refusal| refusal.why)?;
        }
    }
    Ok(())
}

async fn bring_up(engine: &Engine, host: &Host, project: Project) -> BTreeMap<String, ServiceProblem> {
    let (report, status) = Reporter::new();
    let loaded = match Receipts::peek(&host.state()) {
        Ok(receipts) => images::load(engine, &host.data(), Vec::new(), &receipts, &report, true).await,
        Err(error) => {
            tracing::warn!("reading the receipts: {error}");
            images::Loaded::default()
        }
    };
    // Nothing was to be placed: content is as the boot left it.
    let placed = Placed { failed: Vec::new() };
    services::up(engine, host, project, (&placed, &loaded), LIMIT, &report).await;
    let problems = status.borrow().problems.clone();
    problems
        .into_iter()
        .filter_map(|problem| match problem {
            Problem::Service(problem) => Some((problem.item().to_owned(), problem)),
            _ => None,
        })
        .collect()
}

/// The project with all but these services, and those that run and follow them, asleep: neither touched nor waited for.
fn only(work: &Work<'_>, mut down: BTreeSet<String>) -> Project {
    let mut project = work.project.clone();
    for service in &project.services {
        let runs = matches!(work.stands.get(&service.name), Some(Stand::Well));
        if runs && service.depends_on.iter().any(|on| on.restart && down.contains(&on.service)) {
            down.insert(service.name.clone());
        }
    }
    let refused = project.refused.drain(..).map(|refused| refused.name);
    project.dormant.extend(refused.chain(work.present.iter().cloned()));
    project.dormant.extend(project.services.iter().map(|service| service.name.clone()));
    project.dormant.retain(|name| !down.contains(name));
    for on in project.services.iter_mut().flat_map(|service| &mut service.depends_on) {
        on.required &= down.contains(&on.service);
    }
    project
}
