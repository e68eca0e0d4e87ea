//! Watching containers: one listing for all of them, and a closer look only at those in doubt.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::found::{Found, Health};
use super::labels;
use crate::engine::{Engine, Refusal};

/// A container without health check is well when it has run this long without ending.
const STEADY: Duration = Duration::from_secs(2);
/// The same once it has ended and been started again.
const STEADY_AGAIN: Duration = Duration::from_secs(5);
/// Started again this often, it will not come up by itself.
const LOOPING: i64 = 3;
/// First and longest pause between two listings.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The containers of a project as listed last; each listing has a number.
pub(super) struct Watch<'a> {
    engine: &'a Engine,
    label: String,
    seen: watch::Sender<(u64, Vec<Found>)>,
}

impl<'a> Watch<'a> {
    pub fn new(engine: &'a Engine, project: &str) -> Self {
        let label = format!("{}={project}", labels::PROJECT);
        Watch { engine, label, seen: watch::Sender::new((0, Vec::new())) }
    }

    /// Why the engine does not tell any more how the containers stand, if it does not.
    pub async fn lost(&self) -> Option<Refusal> {
        self.engine.labelled(&self.label).await.err()
    }

    /// Lists again and again, ever more rarely. Never ends.
    pub async fn follow(&self) {
        let mut pause = PAUSE.0;
        loop {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSE.1);
            match self.engine.labelled(&self.label).await {
                Ok(listed) => {
                    let found = listed.into_iter().filter_map(Found::read).collect();
                    self.seen.send_modify(|seen| *seen = (seen.0 + 1, found));
                }
                Err(refusal) => tracing::warn!(why = refusal.why, "listing containers"),
            }
        }
    }

    /// Waits until a container is well, has ended or is in a loop. None: `deadline` came first. `ends`: it is expected to end.
    pub async fn settle(&self, id: &str, ends: bool, deadline: Instant) -> Option<Settled> {
        let mut listings = self.seen.subscribe();
        let first = listings.borrow_and_update().0;
        let mut steady = Steady::new();
        loop {
            let changed = tokio::time::timeout_at(deadline, listings.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return None;
            }
            let found = {
                let (number, all) = &*listings.borrow_and_update();
                // A listing that was under way when the container was started may not know of it.
                if *number < first + 2 {
                    continue;
                }
                all.iter().find(|found| found.id == id).cloned()
            };
            let Some(found) = found else {
                return Some(Settled::Gone);
            };
            if let Some(settled) = self.look(&found, ends, &mut steady).await {
                return Some(settled);
            }
        }
    }

    async fn look(&self, found: &Found, ends: bool, steady: &mut Steady) -> Option<Settled> {
        match (found.is_running(), found.health()) {
            (true, Some(Health::Healthy)) => return Some(Settled::Healthy),
            (true, None) if !steady.is_over() || ends => return None,
            _ => {}
        }
        let container = self.engine.container(&found.id).await.ok()??;
        let state = container.state.unwrap_or_default();
        let (restarts, exit_code) = (container.restart_count.unwrap_or_default(), state.exit_code.unwrap_or_default());
        let running = state.running == Some(true) && state.restarting != Some(true);
        if ends && exit_code == 0 && (restarts > 0 || !running) {
            return Some(Settled::Ended(0));
        }
        if restarts >= LOOPING {
            return Some(Settled::Looping { exit_code, restarts });
        }
        if state.restarting == Some(true) || steady.restarted(restarts) {
            return None;
        }
        match running {
            false => Some(Settled::Ended(exit_code)),
            true if found.health().is_none() && !ends && steady.is_over() => Some(Settled::Running),
            true => None,
        }
    }

    /// What can be said of a container at the end of the wait; none: it runs, and its health check has not passed.
    pub async fn last_look(&self, id: &str) -> Result<Option<Settled>, Refusal> {
        Ok(self.engine.container(id).await?.and_then(Watch::at_last))
    }

    fn at_last(container: ContainerInspectResponse) -> Option<Settled> {
        let state = container.state.unwrap_or_default();
        let (restarts, exit_code) = (container.restart_count.unwrap_or_default(), state.exit_code.unwrap_or_default());
        let checked = state.health.and_then(|health| health.status);
        let unchecked = matches!(checked, None | Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY));
        match state.running {
            _ if restarts > 0 => Some(Settled::Looping { exit_code, restarts }),
            Some(true) => unchecked.then_some(Settled::Running),
            _ => Some(Settled::Ended(exit_code)),
        }
    }
}

/// What a container came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Healthy,
    Running,
    /// Exit code.
    Ended(i64),
    Looping {
        exit_code: i64,
        restarts: i64,
    },
    /// Removed by another hand.
    Gone,
}

/// How long a container has run without ending.
struct Steady {
    since: Instant,
    restarts: i64,
}

impl Steady {
    fn new() -> Self {
        Steady { since: Instant::now(), restarts: 0 }
    }

    /// Notes how often it was started again; true: once more than before.
    fn restarted(&mut self, restarts: i64) -> bool {
        let again = restarts != self.restarts;
        if again {
            (self.since, self.restarts) = (Instant::now(), restarts);
        }
        again
    }

    fn is_over(&self) -> bool {
        let long = if self.restarts > 0 { STEADY_AGAIN } else { STEADY };
        self.since.elapsed() >= long
    }
}
