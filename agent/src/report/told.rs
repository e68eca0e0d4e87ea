//! The live status read back: what a program of this boot told before, for one that comes after it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::progress::Progress;
use super::timeline::Timeline;
use super::{Context, Item, Phase, Status, Verdict, json, live};
use crate::problem::{Area, Facts, Problem};

/// The status below the run folder, its context and its number; `None` where there is none of this boot, or it is no status of ours.
pub fn read(run: &Path) -> Option<(Status, Context, u64)> {
    let text = crate::settings::bounded(&live::path(run)).ok()?;
    let told = json::unseal(std::str::from_utf8(&text).ok()?)?;
    let context = Context::of_this_boot();
    if told["boot_id"].as_str() != Some(&context.boot_id) {
        return None;
    }
    context.set_boots(told["boots"].as_u64().unwrap_or_default());
    if let (Some(file), Some(sha256)) = (told["settings"]["file"].as_str(), told["settings"]["sha256"].as_str()) {
        context.set_settings(file, sha256);
    }
    let list = |name: &str| told[name].as_array().into_iter().flatten();
    let status = Status {
        phase: Phase::deserialize(&told["phase"]).ok()?,
        verdict: Verdict::deserialize(&told["verdict"]).ok()?,
        progress: Progress::at(told["done"].as_u64()?, told["total"].as_u64()?),
        current: None,
        items: list("items").filter_map(|item| Item::deserialize(item).ok()).collect(),
        problems: list("problems").map(problem).collect::<Option<_>>()?,
        notes: list("notes").filter_map(Value::as_str).map(str::to_owned).collect(),
        timeline: Timeline::told(&told["timeline"]),
    };
    Some((status, context, told["seq"].as_u64()?))
}

fn problem(told: &Value) -> Option<Problem> {
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    Some(Problem::Told(Facts {
        code: code(told["code"].as_str()?),
        area: Area::deserialize(&told["area"]).ok()?,
        item: text("item"),
        later: told["later"].as_bool()?,
        sentence: text("sentence")?,
        advice: text("advice")?,
    }))
}

/// A code for as long as the program lives: there are few, and each is kept once.
fn code(told: &str) -> &'static str {
    static CODES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = codes.get(told) {
        return known;
    }
    let new = Box::leak(told.to_owned().into_boxed_str());
    codes.insert(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{CardProblem, ServiceProblem};
    use crate::report::{Kind, Reporter, State};

    #[test]
    fn what_was_told_is_read_back_word_for_word() {
        let run = std::env::temp_dir().join(format!("offspot-told-{}", std::process::id()));
        std::fs::create_dir_all(&run).unwrap();
        let (report, status) = Reporter::new();
        report.item(Kind::Service, "web", State::Failed, "ended");
        report.problem(ServiceProblem::Ended { item: "web".into(), exit_code: 3 });
        report.problem(CardProblem::NoBoot { why: "gone".into() });
        report.note("a note");
        report.verdict(Verdict::Degraded);
        let context = Context::of_this_boot();
        context.set_boots(7);
        context.set_settings("offspot.yaml", "ab");
        live::write(&run, &status.borrow(), &context, 9).unwrap();
        let written = std::fs::read_to_string(live::path(&run)).unwrap();
        let (told, context, seq) = read(&run).unwrap();
        live::write(&run, &told, &context, seq).unwrap();
        let again = std::fs::read_to_string(live::path(&run)).unwrap();
        let plain = |text: &str| {
            let mut value = json::unseal(text).unwrap();
            value["timeline"] = Value::Null;
            value
        };
        assert_eq!(plain(&written), plain(&again));
        assert_eq!(told.problems[0].facts().item.as_deref(), Some("web"));
        std::fs::remove_dir_all(run).unwrap();
    }
}
