//! Where the time of a boot goes: each step in milliseconds, by the monotonic clock.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Phase;

/// The steps so far, each with when it began.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// From the kernel's start to the agent's; `None` where the clock is not to be had.
    started: Option<Duration>,
    begun: Instant,
    /// When the last step ended; `None` while it goes on.
    ended: Option<Duration>,
    steps: Vec<(Phase, Duration)>,
}

impl Timeline {
    /// The agent has just started.
    pub fn begun() -> Timeline {
        let started = clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from);
        Timeline { started, begun: Instant::now(), ended: None, steps: vec![(Phase::Alive, Duration::ZERO)] }
    }

    /// As [`to_json`](Self::to_json) told it, and so it stays.
    pub fn told(told: &Value) -> Timeline {
        let time = |value: &Value| value.as_u64().map(Duration::from_millis);
        let told_steps = || told["steps"].as_array().into_iter().flatten();
        let step = |step: &Value| Some((Phase::deserialize(&step["phase"]).ok()?, time(&step["start_ms"])?));
        let end = |step: &Value| Some(time(&step["start_ms"])? + time(&step["ms"])?);
        Timeline {
            started: time(&told["started_ms"]),
            begun: Instant::now(),
            ended: told_steps().last().and_then(end),
            steps: told_steps().filter_map(step).collect(),
        }
    }

    /// A step begins; the one that ended and how long it took. A step that begins again goes on.
    pub fn enter(&mut self, phase: Phase) -> Option<(Phase, Duration)> {
        let now = self.begun.elapsed();
        let ended = self.steps.last().copied().filter(|(last, _)| *last != phase);
        if ended.is_some() {
            self.steps.push((phase, now));
        }
        ended.map(|(last, at)| (last, now - at))
    }

    /// `started_ms` since the kernel's start, and of each step `phase`, `start_ms` since the agent's start, and `ms`; the last goes on still.
    pub fn to_json(&self) -> Value {
        let now = self.ended.unwrap_or_else(|| self.begun.elapsed());
        let ends = self.steps.iter().skip(1).map(|(_, at)| *at).chain([now]);
        let step = |((phase, at), end): (&(Phase, Duration), Duration)| {
            let took = milliseconds(end.saturating_sub(*at));
            json!({ "phase": phase, "start_ms": milliseconds(*at), "ms": took })
        };
        let steps: Vec<Value> = self.steps.iter().zip(ends).map(step).collect();
        json!({ "started_ms": self.started.map(milliseconds), "steps": steps })
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_ends_where_the_next_begins() {
        let mut timeline = Timeline::begun();
        std::thread::sleep(Duration::from_millis(20));
        let (ended, took) = timeline.enter(Phase::Images).unwrap();
        assert!(ended == Phase::Alive && took >= Duration::from_millis(20));
        assert_eq!(timeline.enter(Phase::Images), None, "it goes on");
        timeline.enter(Phase::Done);
        let told = timeline.to_json();
        let steps = told["steps"].as_array().unwrap();
        assert_eq!(
            steps.iter().map(|step| step["phase"].as_str().unwrap()).collect::<Vec<_>>(),
            ["alive", "images", "done"]
        );
        assert_eq!(steps[1]["start_ms"], steps[0]["ms"]);
        assert!(told["started_ms"].as_u64().unwrap() > 0);
        assert_eq!(Timeline::told(&told).to_json(), told, "it stands still");
    }
}
