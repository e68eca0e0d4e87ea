//! What the world learns of a boot: steps write into one [`Status`], followers (files, LED, journal, systemd) read it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fetch::Event;
use crate::problem::{Facts, Problem};
use progress::Progress;
use timeline::Timeline;

pub mod bar;
pub mod files;
pub mod followers;
pub mod journal;
pub mod json;
pub mod led;
pub mod live;
pub mod notify;
pub mod progress;
pub mod timeline;
pub mod told;
pub mod words;

/// How far the story is; for people to look at, never to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the steps of `boot.rs`, by name")]
pub enum Phase {
    Alive,
    Settings,
    Card,
    Plan,
    Host,
    Content,
    Engine,
    Images,
    Services,
    Done,
}

/// How a boot went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Still at it.
    Working,
    /// All that was asked for is there.
    Ready,
    /// Something is missing, and named; the rest is there.
    Degraded,
    /// No data partition.
    Stopped,
    /// A signal ended it before its end.
    Interrupted,
}

/// What an item of the report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of the status file")]
pub enum Kind {
    Image,
    File,
    Service,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not begun.
    Waiting,
    /// Being fetched, loaded, placed or started.
    Working,
    /// There.
    Done,
    /// Not there, see the problems.
    Failed,
}

/// One image, file or service and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// What the user calls it.
    pub name: String,
    /// How far it is.
    pub state: State,
    /// A few words more: `loaded 23 MB`, `healthy`, `kept as you changed it`.
    pub detail: String,
}

/// The item that is being worked on.
#[derive(Debug, Clone)]
pub struct Current {
    /// What it is.
    pub kind: Kind,
    /// What the user calls it.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// Bytes of it that were there already, which the plan does not count.
    there: u64,
}

impl Current {
    fn new(kind: Kind, name: &str) -> Current {
        Current { kind, name: name.to_owned(), progress: Progress::of(0), there: 0 }
    }

    /// Whether it is this one.
    pub fn is(&self, item: &Item) -> bool {
        item.kind == self.kind && item.name == self.name
    }
}

/// All there is to tell.
#[derive(Debug, Clone)]
pub struct Status {
    /// How far the story is.
    pub phase: Phase,
    /// How it went.
    pub verdict: Verdict,
    /// Bytes of the running step.
    pub progress: Progress,
    /// Bytes of the item that is being worked on.
    pub current: Option<Current>,
    /// Images, files and services, in the order of the plan.
    pub items: Vec<Item>,
    /// Every problem so far, oldest first.
    pub problems: Vec<Problem>,
    /// Things to know that are no problem: `repaired the filesystem`.
    pub notes: Vec<String>,
    /// Where the time goes.
    pub timeline: Timeline,
}

impl Status {
    /// The status of a boot that has just begun.
    pub fn begun() -> Status {
        Status {
            phase: Phase::Alive,
            verdict: Verdict::Working,
            progress: Progress::of(0),
            current: None,
            items: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            timeline: Timeline::begun(),
        }
    }

    /// Exit code of `run`, that of its gravest problem; `None` while it works.
    pub fn exit_code(&self) -> Option<u8> {
        match self.verdict {
            Verdict::Working => None,
            Verdict::Ready => Some(0),
            Verdict::Interrupted => Some(130),
            Verdict::Degraded | Verdict::Stopped => Some(self.foremost().map_or(1, |facts| facts.area.exit_code())),
        }
    }

    /// The problem that exit code and LED name, as facts.
    pub fn foremost(&self) -> Option<Facts> {
        crate::problem::foremost(&self.problems).map(Problem::facts)
    }
}

/// What a report says beside the status: which boot, which settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// The kernel's boot id.
    pub boot_id: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    boots: u64,
    file: Option<String>,
    sha256: Option<String>,
}

impl Context {
    /// The boot that runs now (Linux: Documentation/admin-guide/sysctl/kernel.rst, random).
    pub fn of_this_boot() -> Context {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Context { boot_id: boot_id.trim().to_owned(), known: Arc::default() }
    }

    #[cfg(test)]
    fn for_test() -> Context {
        Context { boot_id: "0".into(), known: Arc::default() }
    }

    /// Which settings file the boot acts on, and its SHA-256 in hex.
    pub fn set_settings(&self, file: &str, sha256: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.file, known.sha256) = (Some(file.to_owned()), Some(sha256.to_owned()));
    }

    /// How many boots the card has seen, this one included.
    pub fn set_boots(&self, boots: u64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).boots = boots;
    }

    fn boots(&self) -> u64 {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).boots
    }

    fn settings(&self) -> Value {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "file": known.file, "sha256": known.sha256 })
    }
}

/// The pen of the steps: it writes the status and reads nothing of it but whether there are problems.
#[derive(Debug, Clone)]
pub struct Reporter {
    status: Arc<watch::Sender<Status>>,
}

impl Reporter {
    /// A status that says [`Verdict::Working`], and the first of its readers.
    pub fn new() -> (Reporter, watch::Receiver<Status>) {
        let (sender, receiver) = watch::channel(Status::begun());
        (Reporter { status: Arc::new(sender) }, receiver)
    }

    /// A step begins: `total` bytes are ahead, 0 where unknown.
    pub fn phase(&self, phase: Phase, total: u64) {
        tracing::info!("step {phase:?}, {total} bytes");
        self.status.send_modify(|status| {
            (status.phase, status.progress, status.current) = (phase, Progress::of(total), None);
            tell_time(status);
        });
    }

    /// That many bytes more are done.
    pub fn advance(&self, bytes: u64) {
        self.status.send_modify(|status| {
            status.progress.add(bytes);
            if let Some(current) = &mut status.current {
                current.progress.add(bytes);
            }
        });
    }

    /// What happens while the item that is being worked on is fetched.
    pub fn fetching(&self, event: Event) {
        match event {
            Event::Begun { there, total } => self.expect(total, there),
            Event::Came(bytes) => self.advance(bytes),
        }
    }

    /// The item that is being worked on has so many bytes in all, if that is known, of which so many are there already.
    pub fn expect(&self, total: Option<u64>, there: u64) {
        self.status.send_modify(|status| {
            let Some(current) = &mut status.current else { return };
            let all = &mut status.progress;
            // What it had before is of no use where it is begun again.
            all.done = all.done.saturating_sub(current.progress.done) + there;
            all.total = all.total.saturating_sub(current.there) + there;
            (current.progress.done, current.progress.total) = (there, total.unwrap_or(0));
            current.there = there;
            // What the plan could not know.
            let left = total.unwrap_or(0).saturating_sub(there);
            if left > 0 {
                all.total = all.total.max(all.done + left);
            }
        });
    }

    /// What is being fetched, before it is known what items are in it.
    pub fn fetches(&self, kind: Kind, name: &str) {
        self.status.send_modify(|status| status.current = Some(Current::new(kind, name)));
    }

    /// How an item stands now; a new one is added at the end.
    pub fn item(&self, kind: Kind, name: &str, state: State, detail: impl Into<String>) {
        let item = Item { kind, name: name.to_owned(), state, detail: detail.into() };
        tracing::info!("{kind:?} {name}: {state:?} {}", item.detail);
        self.status.send_modify(|status| {
            let is_it = |current: &Current| current.kind == kind && current.name == item.name;
            match (state, &status.current) {
                (State::Working, Some(current)) if is_it(current) => {}
                (State::Working, _) => status.current = Some(Current::new(kind, name)),
                (_, Some(current)) if is_it(current) => status.current = None,
                _ => {}
            }
            match status.items.iter_mut().find(|old| old.kind == kind && old.name == item.name) {
                Some(old) => *old = item,
                None => status.items.push(item),
            }
        });
    }

    /// How the boot went: the last word.
    pub fn verdict(&self, verdict: Verdict) {
        tracing::info!("verdict {verdict:?}");
        self.status.send_modify(|status| {
            (status.phase, status.verdict) = (Phase::Done, verdict);
            tell_time(status);
        });
    }

    /// Whether anything went wrong so far: all that a step may read.
    pub fn has_problems(&self) -> bool {
        !self.status.borrow().problems.is_empty()
    }

    /// Something went wrong; the story goes on.
    pub fn problem(&self, problem: impl Into<Problem>) {
        let problem = problem.into();
        tracing::error!("{problem}");
        self.status.send_modify(|status| status.problems.push(problem));
    }

    /// Something to know that is no problem.
    pub fn note(&self, note: impl Into<String>) {
        let note = note.into();
        tracing::info!("{note}");
        self.status.send_modify(|status| status.notes.push(note));
    }
}

fn tell_time(status: &mut Status) {
    if let Some((ended, took)) = status.timeline.enter(status.phase) {
        tracing::info!("{ended:?} took {} ms", took.as_millis());
    }
}
