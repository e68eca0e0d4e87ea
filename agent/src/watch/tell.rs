//! What the watch says: the status as the last `run` left it, with what has come and gone since. Written only when that changes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::host::Host;
use crate::lock::Lock;
use crate::problem::{EngineProblem, Facts, Problem, ServiceProblem};
use crate::report::files::Files;
use crate::report::{Kind, State, Status, Verdict, led, live, told};
use crate::settings;

/// Least time between two writes.
const PAUSE: Duration = Duration::from_secs(10);

/// What a run says of a service that needs more time.
const OVER_BY_ITSELF: [&str; 3] = ["E-SERVICE-UNHEALTHY", "E-SERVICE-LOOPING", "E-SERVICE-WAITS"];
/// What else is over once the watch brought the service up, from the settings in force.
const OVER_BY_US: [&str; 2] = ["E-SERVICE-START", "E-SERVICE-ENDED"];

/// What is to be said now.
#[derive(Debug, Default)]
pub struct Word {
    /// Services that fail for good.
    pub troubles: Vec<ServiceProblem>,
    /// Services that are well for a while, or were stopped by hand.
    pub settled: BTreeSet<String>,
    /// Services that the watch brought up.
    pub brought: BTreeSet<String>,
    /// The engine stays away; `None`: it answers.
    pub engine: Option<EngineProblem>,
}

/// Who says it.
#[derive(Debug, Default)]
pub struct Teller {
    last: Option<Instant>,
    led: Option<JoinHandle<()>>,
}

impl Teller {
    /// Says it where it is news: on the boot partition, in the live status and by the LED. When it cannot now: when to try again.
    pub fn tell(&mut self, host: &Host, word: &Word) -> Option<Instant> {
        let now = Instant::now();
        let (status, _, _) = news(host, word)?;
        if let Some(last) = self.last.filter(|last| now.duration_since(*last) < PAUSE) {
            return Some(last + PAUSE);
        }
        // A run that is at work writes the same files, and knows better.
        let Ok(_lock) = Lock::take_to_watch(&host.run()) else { return Some(now + PAUSE) };
        let (status, context, seq) = news(host, word).unwrap_or((status, crate::report::Context::of_this_boot(), 0));
        self.last = Some(now);
        tracing::info!("verdict {:?}, {} problems", status.verdict, status.problems.len());
        if let Err(error) = Files::open(host).and_then(|mut files| files.write(&status, &context)) {
            tracing::warn!("writing the status on the boot partition: {error}");
        }
        if let Err(error) = live::write(&host.run(), &status, &context, seq + 1) {
            tracing::warn!("writing the live status: {error}");
        }
        self.light(host, status);
        None
    }

    fn light(&mut self, host: &Host, status: Status) {
        if let Some(earlier) = self.led.take() {
            earlier.abort();
        }
        let options = settings::kept(host).status;
        if options.use_led {
            let (_, status) = watch::channel(status);
            let hold = led::hold(host, None);
            self.led = Some(tokio::spawn(led::follow(host.clone(), options.led, status, hold)));
        }
    }
}

/// The status with the word in it, where that makes a difference to a verdict that was given.
fn news(host: &Host, word: &Word) -> Option<(Status, crate::report::Context, u64)> {
    let (mut status, context, seq) = told::read(&host.run())?;
    if !matches!(status.verdict, Verdict::Ready | Verdict::Degraded) {
        return None;
    }
    let before = keys(&status);
    change(&mut status, word);
    (keys(&status) != before).then_some((status, context, seq))
}

/// Problems by code and service: a sentence that counts seconds is no news.
fn keys(status: &Status) -> BTreeSet<(String, Option<String>)> {
    let facts = status.problems.iter().map(Problem::facts);
    facts.map(|facts| (facts.code.to_owned(), facts.item)).collect()
}

fn change(status: &mut Status, word: &Word) {
    let engine = word.engine.clone().map(Problem::from);
    let now: Vec<Facts> =
        word.troubles.iter().cloned().map(Problem::from).chain(engine).map(|new| new.facts()).collect();
    let same = |one: &Facts, other: &Facts| one.code == other.code && one.item == other.item;
    let mut gone = BTreeSet::new();
    status.problems.retain(|problem| {
        let facts = problem.facts();
        let among = |set: &BTreeSet<String>| facts.item.as_ref().is_some_and(|item| set.contains(item));
        let over = facts.later && !now.iter().any(|new| same(new, &facts));
        // Of what the run said, only that may be over: the rest is wrong with what it was to bring up, whatever runs in its place.
        let may = OVER_BY_ITSELF.contains(&facts.code) || OVER_BY_US.contains(&facts.code) && among(&word.brought);
        if over {
            gone.extend(facts.item.clone());
        }
        !(over || among(&word.settled) && may)
    });
    for new in now {
        if !status.problems.iter().any(|problem| same(&problem.facts(), &new)) {
            status.problems.push(Problem::Told(Facts { later: true, ..new }));
        }
    }
    gone.retain(|item| !status.problems.iter().any(|problem| problem.facts().item.as_ref() == Some(item)));
    for item in status.items.iter_mut().filter(|item| item.kind == Kind::Service) {
        match word.troubles.iter().find(|trouble| trouble.item() == item.name) {
            Some(trouble) => (item.state, item.detail) = (State::Failed, trouble.facts().sentence),
            None if (word.settled.contains(&item.name) || gone.contains(&item.name)) && item.state == State::Failed => {
                (item.state, item.detail) = (State::Done, "well again, or stopped by hand".to_owned());
            }
            None => {}
        }
    }
    status.verdict = if status.problems.is_empty() { Verdict::Ready } else { Verdict::Degraded };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::CardProblem;
    use crate::report::{Context, Reporter};

    fn trouble(name: &str) -> ServiceProblem {
        ServiceProblem::NotStarted { item: name.into(), why: "port taken".into() }
    }

    fn files(host: &Host) -> Vec<Vec<u8>> {
        let names =
            ["boot/firmware/OFFSPOT-STATUS.txt", "boot/firmware/offspot-status.json", "run/offspot/status.json"];
        names.iter().map(|name| std::fs::read(host.path(name)).unwrap_or_default()).collect()
    }

    fn told_by(verdict: Verdict, name: &str) -> (Host, Reporter) {
        let root = std::env::temp_dir().join(format!("offspot-tell-{name}-{}", std::process::id()));
        let host = Host::new(root);
        std::fs::create_dir_all(host.boot()).unwrap();
        std::fs::create_dir_all(host.run()).unwrap();
        let (report, status) = Reporter::new();
        report.item(Kind::Service, "web", State::Done, "running");
        report.verdict(verdict);
        live::write(&host.run(), &status.borrow(), &Context::of_this_boot(), 1).unwrap();
        (host, report)
    }

    fn verdict(host: &Host) -> Verdict {
        told::read(&host.run()).unwrap().0.verdict
    }

    #[test]
    fn news_is_told_once_and_taken_back_and_not_too_often() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (host, _) = told_by(Verdict::Ready, "once");
        let mut teller = Teller::default();
        let word = Word { troubles: vec![trouble("web")], ..Word::default() };
        assert_eq!(teller.tell(&host, &word), None);
        assert_eq!(verdict(&host), Verdict::Degraded);
        let after = files(&host);
        let text = String::from_utf8_lossy(&after[0]);
        assert!(text.starts_with("DEGRADED: 1 problem") && text.contains("port taken"), "{text}");
        assert_eq!(teller.tell(&host, &word), None);
        assert_eq!(files(&host), after, "no news");
        let well = Word { settled: ["web".to_owned()].into(), ..Word::default() };
        assert!(teller.tell(&host, &well).is_some(), "too soon");
        assert_eq!(files(&host), after);
        teller.last = None;
        let held = Lock::take(&host.run()).unwrap();
        assert!(teller.tell(&host, &well).is_some(), "a run is at work");
        drop(held);
        assert_eq!(teller.tell(&host, &well), None);
        assert_eq!(verdict(&host), Verdict::Ready);
        assert!(files(&host)[0].starts_with(b"READY"));
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn what_others_said_stays_and_no_verdict_of_a_boot_under_way_is_touched() {
        let (host, report) = told_by(Verdict::Working, "others");
        let word = Word { engine: Some(EngineProblem::Silent { why: "gone".into() }), ..Word::default() };
        assert!(news(&host, &word).is_none());
        report.problem(CardProblem::NoBoot { why: "gone".into() });
        report.problem(trouble("other"));
        std::fs::remove_dir_all(host.root()).unwrap();
        let (host, report) = told_by(Verdict::Degraded, "others");
        drop(report);
        let mut status = told::read(&host.run()).unwrap().0;
        let unhealthy = ServiceProblem::Unhealthy { item: "other".into(), seconds: 9 };
        let waits = ServiceProblem::waits("other", "db", "ended");
        status.problems = vec![unhealthy.into(), waits.into(), trouble("other").into()];
        change(&mut status, &word);
        assert_eq!(status.problems.len(), 4);
        change(&mut status, &word);
        assert_eq!(status.problems.len(), 4, "once");
        let settled = Word { settled: ["other".to_owned()].into(), ..Word::default() };
        change(&mut status, &settled);
        let codes: Vec<_> = status.problems.iter().map(|problem| problem.facts().code).collect();
        assert_eq!((codes, status.verdict), (vec!["E-SERVICE-START"], Verdict::Degraded), "it runs as it was before");
        change(&mut status, &Word { brought: settled.settled.clone(), ..settled });
        assert_eq!((status.problems.len(), status.verdict), (0, Verdict::Ready), "it was made anew");
        std::fs::remove_dir_all(host.root()).unwrap();
    }
}
