//! A case from its first `up` to its `down`, on both sides at once.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::Side;
use super::case::{Case, Step};
use super::compare::{Difference, Judge};
use super::fates;
use super::pair::Pair;
use super::snapshot::Snapshot;

/// What came of a case.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub case: String,
    /// What is not the same.
    pub differences: Vec<Difference>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What one side did with one file.
struct Done {
    wrong: Vec<String>,
    after: Snapshot,
    wrong_again: Vec<String>,
    again: Snapshot,
}

/// Runs a case: each step is brought up, looked at, and brought up once more.
pub fn run(pair: &Pair, case: &Case, judge: &Judge) -> Report {
    let begun = Instant::now();
    let mut differences = Vec::new();
    let mut before: Option<(Snapshot, Snapshot)> = None;
    for (i, step) in case.steps.iter().enumerate() {
        let (theirs, ours) = both(|side| one(pair, side, case, step));
        let at = if case.steps.len() > 1 { format!("{} {}", case.name, i + 1) } else { case.name.clone() };
        let said = |wrong: &[String]| if step.fails() { json!(!wrong.is_empty()) } else { json!(wrong) };
        differences.extend(judge.other(&at, "up", "the whole", said(&theirs.wrong), said(&ours.wrong)));
        let again = (said(&theirs.wrong_again), said(&ours.wrong_again));
        differences.extend(judge.other(&at, "second up", "the whole", again.0, again.1));
        if !step.fails() && !theirs.wrong.is_empty() {
            differences.extend(judge.other(&at, "up", "docker-compose", json!(theirs.wrong), json!("all well")));
        }
        differences.extend(judge.compare(&at, &theirs.after, &ours.after));
        differences.extend(judge.compare(&at, &theirs.again, &ours.again));
        let (was_theirs, was_ours) = match &before {
            Some((theirs, ours)) => (Some(theirs), Some(ours)),
            None => (None, None),
        };
        differences.extend(compare_fates(judge, &at, "fate", (was_theirs, &theirs.after), (was_ours, &ours.after)));
        let (first, second) = ((Some(&theirs.after), &theirs.again), (Some(&ours.after), &ours.again));
        differences.extend(compare_fates(judge, &at, "fate of a second up", first, second));
        before = Some((theirs.again, ours.again));
    }
    differences.extend(down(pair, case, judge));
    Report { case: case.name.clone(), differences, seconds: begun.elapsed().as_secs_f64() }
}

/// The same on both sides at the same time.
pub fn both<T: Send>(work: impl Fn(Side) -> T + Sync) -> (T, T) {
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| work(Side::Theirs));
        let ours = work(Side::Ours);
        (theirs.join().unwrap(), ours)
    })
}

fn one(pair: &Pair, side: Side, case: &Case, step: &Step) -> Done {
    let root = pair.root(side, &case.name);
    fs::create_dir_all(&root).unwrap();
    step.box_files.iter().for_each(|folder| copy(folder, &root));
    let wrong = pair.up(side, &case.name, &step.text);
    let after = pair.snapshot(side, &case.name);
    let wrong_again = pair.up(side, &case.name, &step.text);
    Done { wrong, after, wrong_again, again: pair.snapshot(side, &case.name) }
}

fn compare_fates(
    judge: &Judge,
    at: &str,
    what: &str,
    (before, after): (Option<&Snapshot>, &Snapshot),
    (our_before, our_after): (Option<&Snapshot>, &Snapshot),
) -> Vec<Difference> {
    let (theirs, ours) = (fates::between(before, after), fates::between(our_before, our_after));
    let names: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let differences = names.into_iter().filter_map(|name| {
        judge.other(at, &format!("{what}/{name}"), name, json!(theirs.get(name)), json!(ours.get(name)))
    });
    differences.collect()
}

/// By hand, without the file, docker-compose takes down what we made; nothing of it is left.
fn down(pair: &Pair, case: &Case, judge: &Judge) -> Vec<Difference> {
    let (theirs, ours) = both(|side| {
        let empty = pair.root(side, "nothing");
        fs::create_dir_all(&empty).unwrap();
        let arguments = ["-p", &case.project, "down", "-t", "0", "-v", "--remove-orphans"];
        let complaint = pair.compose(side, &empty, &arguments).err();
        let mut left: Vec<String> = complaint.into_iter().chain(pair.clear(side)).collect();
        left.sort();
        let _ = fs::remove_dir_all(pair.root(side, &case.name));
        left
    });
    judge.other(&case.name, "down", "what is left", json!(theirs), json!(ours)).into_iter().collect()
}

/// Copies a folder's content over another.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
