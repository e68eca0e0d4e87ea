//! After the boot: what the last `run` brought up is kept up. A unit of its own, beside the story and never in its way.
//!
//! It follows the engine's events and looks again every few minutes. What is gone, down or cut off is brought back by the same way as a
//! boot does, ever more rarely where that does not help. In force is what the last `run` put in force, never a file that was changed since.
//! The lock is held for a repair alone, and where a `run` has it, it comes first.
//!
//! What was stopped by hand stays stopped, and what was removed after that stays away; so does a project of which all was removed at
//! once: until somebody starts it, or the next boot. A health check that fails is told, and nothing is restarted for it: as compose does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bollard::models::EventMessage;
use futures_util::StreamExt;
use offspot_config::compose::{self, Network, Project, Service};
use tokio::time::{Instant, sleep_until};

use crate::arguments::Arguments;
use crate::engine::{Engine, Refusal};
use crate::host::Host;
use crate::lock::{self, Busy, Lock};
use crate::problem::EngineProblem;
use crate::report::{Verdict, live, told};
use crate::services::labels;
use crate::settings;
use memory::{Memory, Rest};
use pace::Pace;
use scene::{Seen, Stand};
use tell::{Teller, Word};

mod memory;
mod pace;
mod repair;
mod scene;
mod tell;

/// Longest wait for the engine's first answer: on a Pi 3 a cold start takes most of a minute, and it looks at every container first.
const ENGINE_LIMIT: Duration = Duration::from_secs(300);
/// From an event to the look, so that what belongs together is seen together.
const SETTLE: Duration = Duration::from_secs(2);
/// Longest from the first event to the look where they do not cease.
const CHATTER: Duration = Duration::from_secs(10);
/// Between two looks where nothing happens: for what no event tells.
const SLOW: Duration = Duration::from_secs(300);
/// An engine that was not reached for so long is told.
const SILENT: Duration = Duration::from_secs(60);
/// Between two looks for services, where none are in force.
const NONE: Duration = Duration::from_secs(60);
/// The same for the verdict of this boot.
const UNTOLD: Duration = Duration::from_secs(30);
/// Until the lock is tried again.
const BUSY: Duration = Duration::from_secs(10);

/// Watches, and where nothing is in force waits for it. Never ends by itself.
pub async fn run(host: &Host, arguments: &Arguments) -> u8 {
    let socket = &arguments.socket;
    let mut watch = Watch {
        host,
        memory: Memory::default(),
        engine: Pace::default(),
        name: String::new(),
        known: 0,
        in_force: Vec::new(),
        teller: Teller::default(),
    };
    let (mut silent, mut idle) = (None, false);
    loop {
        let Some(project) = project(host) else {
            if !std::mem::replace(&mut idle, true) {
                tracing::info!("no services are in force: there is nothing to watch");
            }
            tokio::time::sleep(NONE).await;
            continue;
        };
        idle = false;
        watch.name = project.name;
        let begun = Instant::now();
        match Engine::once(socket, ENGINE_LIMIT).await {
            Ok(engine) => {
                tracing::info!("watching the services, engine {}", engine.version);
                silent = None;
                let refusal = watch.follow(&engine).await;
                tracing::warn!("the engine went away: {}", refusal.why);
                watch.memory.lost(Instant::now());
                watch.known = 0;
            }
            Err(problem) => {
                let silent = silent.get_or_insert(begun).elapsed();
                tracing::warn!("{}, for {} s", problem.facts().sentence, silent.as_secs());
                watch.tell((silent >= SILENT).then_some(problem));
            }
        }
        let now = Instant::now();
        watch.engine.tried(now, pace::chance());
        if let Some(next) = watch.engine.next(now) {
            sleep_until(next).await;
        }
    }
}

/// The services in force.
fn project(host: &Host) -> Option<Project> {
    let containers = settings::kept(host).containers?;
    let project = compose::read(&containers.given).0;
    (!project.services.is_empty()).then_some(project)
}

struct Watch<'a> {
    host: &'a Host,
    memory: Memory,
    engine: Pace,
    /// Name of the project at the last look.
    name: String,
    /// How many containers there were at the last look of this connection.
    known: usize,
    /// Its services at the last look.
    in_force: Vec<Service>,
    teller: Teller,
}

impl Watch<'_> {
    /// Follows the engine until it goes away.
    async fn follow(&mut self, engine: &Engine) -> Refusal {
        // What was stopped before the verdict was stopped by the run.
        let told = std::fs::metadata(live::path(&self.host.run())).and_then(|file| file.modified());
        let mut events = engine.events(seconds(told.unwrap_or_else(|_| SystemTime::now())) + 1);
        self.memory.connected(nanos(), Instant::now());
        // The engine starts what its policies say: it is given the time.
        let (mut first, mut next) = (None, Instant::now() + SETTLE);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = sleep_until(next) => {
                    match self.look(engine).await {
                        Ok(again) => (first, next) = (None, again),
                        Err(refusal) => return refusal,
                    }
                    self.engine.seen(true, Instant::now());
                    continue;
                }
            };
            match event {
                Some(Ok(event)) => {
                    if self.hears(&event) {
                        let now = Instant::now();
                        next = (now + SETTLE).min(*first.get_or_insert(now) + CHATTER);
                    }
                }
                Some(Err(refusal)) => return refusal,
                None => return Refusal { status: 0, why: "it closed the stream of its events".to_owned() },
            }
        }
    }

    fn hears(&mut self, event: &EventMessage) -> bool {
        let run = || lock::is_held(&self.host.run());
        self.memory.hear(event, &self.name, Instant::now(), run)
    }

    /// One look, and what follows from it; when to look again.
    async fn look(&mut self, engine: &Engine) -> Result<Instant, Refusal> {
        let Some(project) = project(self.host) else { return Ok(Instant::now() + SLOW) };
        let scene = scene::take(engine, &project).await?;
        self.memory.services.retain(|name, _| project.services.iter().any(|service| service.name == *name));
        if self.is_put_away(engine, &project, &scene).await? {
            tracing::warn!("all containers and networks were removed: they stay away until the next boot");
            for service in &project.services {
                self.memory.of(&service.name).rest = Some(Rest::ByHand(Instant::now()));
            }
        }
        self.name.clone_from(&project.name);
        self.known = scene.values().flatten().count();
        if self.in_force != project.services {
            self.memory.services.values_mut().for_each(|service| service.brought = false);
            self.in_force.clone_from(&project.services);
        }
        let stands = self.judge(&project, &scene);
        let now = Instant::now();
        let mut next = now + SLOW;
        let mut due = BTreeSet::new();
        for (name, stand) in &stands {
            let remembered = self.memory.of(name);
            match stand {
                Stand::Down(_) => match remembered.pace.next(now) {
                    Some(later) => next = next.min(later),
                    None => drop(due.insert(name.clone())),
                },
                Stand::Busy(Some(until)) => next = next.min(*until),
                _ => {}
            }
        }
        let lost = self.lost(&project, &scene, &mut due);
        for problem in repair::postpone(&project, &stands, &mut due) {
            self.memory.of(problem.item()).in_trouble(problem);
        }
        next = next.min(self.tell(None).unwrap_or(next));
        if due.is_empty() {
            return Ok(next.max(now + SETTLE / 2));
        }
        // Before the verdict it is the run's turn, even if it was killed: it starts again, or the next boot does.
        if told::read(&self.host.run()).is_none_or(|(status, ..)| status.verdict == Verdict::Working) {
            tracing::info!("this boot has no verdict yet: nothing is brought back");
            return Ok(now + UNTOLD);
        }
        let _lock = match Lock::take_to_watch(&self.host.run()) {
            Ok(lock) => lock,
            Err(Busy::Held(_)) => return Ok(now + BUSY),
            Err(Busy::Failed(error)) => {
                tracing::warn!("taking the lock: {error}");
                return Ok(now + SLOW);
            }
        };
        let present = scene.into_keys().collect();
        let lost = lost.into_iter().filter(|(name, _)| due.contains(name)).collect();
        self.repair(engine, &repair::Work { project: &project, present, stands: &stands, due, lost }).await;
        Ok(Instant::now() + SETTLE)
    }

    /// The containers of what ended with the engine, and well: they are started before the rest, so that those whose turn comes after
    /// others that are due are due no more.
    fn lost(
        &mut self,
        project: &Project,
        scene: &BTreeMap<String, Vec<Seen>>,
        due: &mut BTreeSet<String>,
    ) -> Vec<(String, String)> {
        let mut lost = Vec::new();
        let all = due.clone();
        for service in project.services.iter().filter(|service| all.contains(&service.name)) {
            let remembered = self.memory.of(&service.name);
            let done = scene.get(&service.name).into_iter().flatten().filter(|seen| seen.found.is_done());
            let ids: Vec<_> = done.map(|seen| (service.name.clone(), seen.found.id.clone())).collect();
            if !remembered.lost || ids.is_empty() {
                continue;
            }
            if service.depends_on.iter().any(|on| on.required && all.contains(&on.service)) {
                due.remove(&service.name);
            }
            lost.extend(ids);
        }
        lost
    }

    /// Says what there is to say; when to try again, where that was not to be now.
    fn tell(&mut self, engine: Option<EngineProblem>) -> Option<Instant> {
        let services = &self.memory.services;
        let settled = services.iter().filter(|(_, service)| service.settled).map(|(name, _)| name.clone()).collect();
        let brought = services.iter().filter(|(_, service)| service.brought).map(|(name, _)| name.clone()).collect();
        let troubles = services.values().filter_map(|service| service.trouble.clone()).collect();
        self.teller.tell(self.host, &Word { troubles, settled, brought, engine })
    }

    async fn repair(&mut self, engine: &Engine, work: &repair::Work<'_>) {
        let from = nanos();
        let mut said = repair::bring_back(engine, self.host, work, &self.memory.volumes()).await;
        self.memory.worked(from, nanos());
        for name in &work.due {
            let remembered = self.memory.of(name);
            remembered.pace.tried(Instant::now(), pace::chance());
            remembered.said = said.remove(name);
            remembered.brought = remembered.said.is_none();
            if let Some(problem) = &remembered.said {
                tracing::warn!("{}, try {}", problem.facts().sentence, remembered.pace.tries());
            }
        }
    }

    /// Judges each service and remembers what the next judgement needs.
    fn judge(&mut self, project: &Project, scene: &BTreeMap<String, Vec<Seen>>) -> BTreeMap<String, Stand> {
        let now = (Instant::now(), nanos() / 1_000_000_000);
        let mut stands = BTreeMap::new();
        for service in &project.services {
            let containers = scene.get(&service.name).map(Vec::as_slice).unwrap_or_default();
            let remembered = self.memory.of(&service.name);
            let stand = scene::judge(service, project, containers, remembered, now);
            remembered.saw(&service.name, &stand, containers, now.0);
            stands.insert(service.name.clone(), stand);
        }
        stands
    }

    /// Whether all that there was a look ago is gone: containers, and networks where the project has some.
    async fn is_put_away(
        &self,
        engine: &Engine,
        project: &Project,
        scene: &BTreeMap<String, Vec<Seen>>,
    ) -> Result<bool, Refusal> {
        let own = |network: &&Network| !network.external;
        if self.known < 1 || !scene.is_empty() || !project.networks.iter().any(|network| own(&network)) {
            return Ok(false);
        }
        let label = format!("{}={}", labels::PROJECT, project.name);
        Ok(engine.labelled_networks(&label).await?.is_empty())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Nanoseconds since 1970: the clock of the engine's events.
fn nanos() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
