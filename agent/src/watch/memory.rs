//! What is remembered of the services between two looks: what was stopped by hand, what ended early, what was tried. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum as Kind};
use tokio::time::Instant;

use super::pace::Pace;
use super::scene::{Seen, Stand};
use crate::problem::ServiceProblem;
use crate::services::{Volumes, labels};

/// Ending this often in a row by itself is a loop, if it happens within this time.
const LOOP: (usize, Duration) = (5, Duration::from_secs(600));
/// What is down after so many tries fails for good: a quarter of a minute, at least.
const FOR_GOOD: u32 = 5;
/// What is stopped so shortly before the engine goes was stopped by the engine, not by hand.
const GOING: Duration = Duration::from_secs(60);
/// What the engine remembers it tells at once: what comes later than this is new, whatever its clock says.
const REPLAY: Duration = Duration::from_secs(60);
/// A clock that is so far behind the last event was set back, in nanoseconds.
const BACK: i64 = 10_000_000_000;

/// Why a service does not run and is left so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Stopped by hand at that time.
    ByHand(Instant),
    /// Its program ended with that exit code, and its policy leaves it so.
    Ended(i64),
}

/// What is remembered of one service.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// It is to be left as it is.
    pub rest: Option<Rest>,
    /// How often it was tried to bring it back.
    pub pace: Pace,
    /// When it last ended by itself.
    deaths: Vec<Instant>,
    /// With which code.
    pub exit_code: i64,
    /// Since when its health check fails.
    pub sick_since: Option<Instant>,
    /// How many of its containers ran at the last look, and the most that did.
    pub ran: (usize, usize),
    /// It ended by itself since the verdict.
    pub fell: bool,
    /// We brought it up, from the settings in force.
    pub brought: bool,
    /// It ran when the engine went away.
    pub lost: bool,
    /// The nameless volumes of its containers, by number: target and name.
    pub volumes: BTreeMap<u32, Vec<(String, String)>>,
    /// What the last try said.
    pub said: Option<ServiceProblem>,
    /// Well for a while, or stopped by hand: what was said of it no longer holds.
    pub settled: bool,
    /// What the status is to say of it.
    pub trouble: Option<ServiceProblem>,
}

impl Remembered {
    /// How often it ended by itself lately, where that is a loop.
    pub fn looping(&self, now: Instant) -> Option<u64> {
        let lately = self.deaths.iter().filter(|at| now.duration_since(**at) < LOOP.1).count();
        (lately >= LOOP.0).then_some(lately as u64)
    }

    /// What a look saw, for the next one.
    pub fn saw(&mut self, service: &str, stand: &Stand, containers: &[Seen], now: Instant) {
        let running = containers.iter().filter(|seen| seen.found.is_running());
        let count = running.clone().count();
        self.ran = (count, self.ran.1.max(count));
        if count > 0 {
            self.lost = false;
            self.rest = self.rest.filter(|rest| !matches!(rest, Rest::Ended(_)));
            let kept = running.filter(|seen| !seen.volumes.is_empty());
            self.volumes.extend(kept.map(|seen| (seen.found.number, seen.volumes.clone())));
        }
        let unhealthy = containers.iter().any(|seen| seen.found.status.contains("(unhealthy)"));
        self.sick_since = unhealthy.then(|| self.sick_since.unwrap_or(now));
        if let Stand::Rests(rest) = stand {
            self.rest.get_or_insert(*rest);
        }
        let well_for_long = self.pace.seen(matches!(stand, Stand::Well), now);
        self.settled = well_for_long || matches!(self.rest, Some(Rest::ByHand(_)));
        match stand {
            _ if self.settled => self.trouble = None,
            Stand::Sick(problem) => self.in_trouble(problem.clone()),
            // What never ran since the verdict is the run's to tell.
            Stand::Rests(Rest::Ended(exit_code)) if *exit_code != 0 && (self.fell || self.ran.1 > 0) => {
                self.in_trouble(ServiceProblem::Ended { item: service.to_owned(), exit_code: *exit_code });
            }
            Stand::Well if matches!(self.trouble, Some(ServiceProblem::Ended { .. })) => self.trouble = None,
            Stand::Down(_) if self.pace.tries() >= FOR_GOOD => {
                let why = format!("it was brought back {} times, and is down again", self.pace.tries());
                let vanishing = ServiceProblem::NotStarted { item: service.to_owned(), why };
                self.in_trouble(self.said.clone().unwrap_or(vanishing));
            }
            _ => {}
        }
    }

    /// The first word of its kind stays: seconds and counts that grow are no news.
    pub fn in_trouble(&mut self, problem: ServiceProblem) {
        let code = |problem: &ServiceProblem| problem.facts().code;
        if self.trouble.as_ref().map(code) != Some(code(&problem)) {
            tracing::error!("{}", crate::problem::Problem::from(problem.clone()));
            self.trouble = Some(problem);
        }
    }

    fn died(&mut self, now: Instant, exit_code: i64) {
        if self.deaths.len() >= LOOP.0 {
            self.deaths.remove(0);
        }
        self.deaths.push(now);
        self.exit_code = exit_code;
    }
}

/// What is remembered of a project.
#[derive(Debug, Default)]
pub struct Memory {
    /// By name.
    pub services: BTreeMap<String, Remembered>,
    /// Containers that were sent a signal by hand and have not ended yet.
    killed: BTreeSet<String>,
    /// When the engine was last connected to, and the last event, in nanoseconds since 1970 by its clock.
    connected: i64,
    heard: i64,
    /// Until when, at most, this connection may tell of what was before it; none: it tells of what is new.
    replay: Option<Instant>,
    /// From when to when we were at work ourselves, by the same clock.
    ours: (i64, i64),
}

impl Memory {
    /// What is remembered of a service.
    pub fn of(&mut self, service: &str) -> &mut Remembered {
        self.services.entry(service.to_owned()).or_default()
    }

    /// The engine answers; `nanos` since 1970: what it tells of earlier is its memory.
    pub fn connected(&mut self, nanos: i64, now: Instant) {
        self.connected = nanos;
        self.replay = Some(now + REPLAY);
        if nanos.saturating_add(BACK) < self.heard {
            self.heard = 0;
        }
    }

    /// The nameless volumes of all.
    pub fn volumes(&self) -> Volumes {
        let of = |(name, service): (&String, &Remembered)| {
            let name = name.clone();
            service.volumes.clone().into_iter().map(move |(number, volumes)| ((name.clone(), number), volumes))
        };
        self.services.iter().flat_map(of).collect()
    }

    /// We brought something back: what was stopped meanwhile was stopped by us.
    pub fn worked(&mut self, from: i64, to: i64) {
        self.ours = (from, to);
    }

    /// The engine went away. What it stopped while it went is brought back by it, or else by us.
    pub fn lost(&mut self, now: Instant) {
        self.killed.clear();
        for service in self.services.values_mut() {
            let just = matches!(service.rest, Some(Rest::ByHand(at)) if now.duration_since(at) < GOING);
            if just {
                service.rest = None;
            }
            service.lost |= just || service.ran.0 > 0;
        }
    }

    /// Takes in one event of project `project`; true: worth a look. `run`: whether a run of the agent is at work.
    pub fn hear(&mut self, event: &EventMessage, project: &str, now: Instant, run: impl Fn() -> bool) -> bool {
        let nanos = event.time_nano.unwrap_or_default();
        let past = nanos < self.connected && self.replay.is_some_and(|until| now < until);
        if !past {
            self.replay = None;
        }
        if past && nanos <= self.heard {
            return false;
        }
        self.heard = nanos;
        let (Some(actor), Some(action)) = (&event.actor, &event.action) else { return false };
        if event.typ == Some(Kind::NETWORK) {
            return !past;
        }
        let empty = Default::default();
        let attributes = actor.attributes.as_ref().unwrap_or(&empty);
        let is = |label: &str, value: &str| attributes.get(label).is_some_and(|is| is.eq_ignore_ascii_case(value));
        let Some(service) = attributes.get(labels::SERVICE) else { return false };
        if !is(labels::PROJECT, project) || is(labels::ONEOFF, "true") {
            return false;
        }
        let id = actor.id.clone().unwrap_or_default();
        match action.as_str() {
            "kill" => drop(self.killed.insert(id)),
            "stop" if (self.ours.0..=self.ours.1).contains(&nanos) || !past && run() => {}
            "stop" => self.of(service).rest = Some(Rest::ByHand(now)),
            "start" | "unpause" => {
                self.killed.remove(&id);
                self.of(service).rest = None;
            }
            "die" => {
                let exit_code = attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or_default();
                if !self.killed.remove(&id) {
                    self.of(service).fell = true;
                    if !past {
                        self.of(service).died(now, exit_code);
                    }
                }
            }
            "destroy" => drop(self.killed.remove(&id)),
            _ => {}
        }
        !past && action != "kill"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::EventActor;

    fn event(action: &str, nanos: i64) -> EventMessage {
        let attributes =
            [(labels::PROJECT, "offspot"), (labels::SERVICE, "web"), (labels::ONEOFF, "False"), ("exitCode", "3")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        EventMessage {
            typ: Some(Kind::CONTAINER),
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some("1".to_owned()), attributes: Some(attributes) }),
            time_nano: Some(nanos),
            ..Default::default()
        }
    }

    fn told(actions: &[&str]) -> Memory {
        let mut memory = Memory::default();
        for (at, action) in actions.iter().enumerate() {
            memory.hear(&event(action, at as i64 + 1), "offspot", Instant::now(), || false);
        }
        memory
    }

    #[test]
    fn what_is_stopped_by_hand_rests_until_it_is_started_and_its_end_is_no_death() {
        let now = Instant::now();
        let mut memory = told(&["kill", "die", "stop", "destroy"]);
        assert!(matches!(memory.of("web").rest, Some(Rest::ByHand(_))));
        assert_eq!(told(&["kill", "die", "stop", "start"]).of("web").rest, None);
        assert_eq!(told(&["kill", "die", "destroy"]).of("web").rest, None, "rm -f");
        let stopped = ["kill", "die", "stop", "start"].repeat(9);
        assert_eq!(told(&stopped).of("web").looping(now), None);
        let mut crashed = told(&["start", "die"].repeat(9));
        assert_eq!(crashed.of("web").looping(Instant::now()), Some(5));
        assert_eq!(crashed.of("web").exit_code, 3);
        assert_eq!(crashed.of("web").looping(Instant::now() + LOOP.1), None);
    }

    #[test]
    fn the_engines_memory_is_heard_once_and_counts_no_deaths() {
        let mut memory = told(&["start", "stop"]);
        memory.connected(10, Instant::now());
        for action in ["die", "die", "die", "die", "die", "die"] {
            assert!(!memory.hear(&event(action, 9), "offspot", Instant::now(), || false));
        }
        assert!(!memory.hear(&event("start", 1), "offspot", Instant::now(), || false), "known");
        assert!(memory.of("web").rest.is_some() && memory.of("web").looping(Instant::now()).is_none());
        assert!(!memory.hear(&event("die", 11), "other", Instant::now(), || false));
        assert!(memory.hear(&event("die", 11), "offspot", Instant::now(), || false));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_deaf() {
        let (hour, now) = (3_600_000_000_000, Instant::now());
        let mut memory = Memory::default();
        memory.connected(2 * hour, now);
        let hears = |memory: &mut Memory, nanos, now| memory.hear(&event("die", nanos), "offspot", now, || false);
        assert!(hears(&mut memory, 2 * hour + 1, now));
        assert!(hears(&mut memory, hour, now), "after one that was new");
        memory.connected(2 * hour, now);
        assert!(!hears(&mut memory, hour, now), "it may be of its memory");
        assert!(hears(&mut memory, hour, now + REPLAY), "but not for so long");
        memory.heard = 2 * hour;
        memory.connected(hour, now);
        assert!(!hears(&mut memory, hour - 1, now) && memory.heard == hour - 1, "what was heard is no measure");
        assert!(hears(&mut memory, hour, now));
    }

    #[test]
    fn what_ends_in_error_after_the_verdict_is_told_until_it_runs_again() {
        let now = Instant::now();
        let ended = Stand::Rests(Rest::Ended(3));
        let mut never = Remembered::default();
        never.saw("web", &ended, &[], now);
        assert!(never.trouble.is_none(), "the run has told what it saw");
        let mut memory = told(&["start", "die"]);
        let web = memory.of("web");
        web.saw("web", &Stand::Rests(Rest::Ended(0)), &[], now);
        assert!(web.trouble.is_none(), "its work is done");
        web.saw("web", &ended, &[], now);
        assert!(matches!(web.trouble, Some(ServiceProblem::Ended { exit_code: 3, .. })));
        web.saw("web", &Stand::Well, &[], now);
        assert!(web.trouble.is_none());
    }

    #[test]
    fn what_the_engine_stops_while_it_goes_was_not_stopped_by_hand() {
        let mut memory = told(&["start", "stop"]);
        memory.of("old").rest = Some(Rest::ByHand(Instant::now()));
        let later = Instant::now() + GOING;
        memory.of("web").rest = Some(Rest::ByHand(later));
        memory.lost(later);
        assert!(memory.of("web").rest.is_none() && memory.of("web").lost);
        assert!(memory.of("old").rest.is_some() && !memory.of("old").lost);
    }
}
