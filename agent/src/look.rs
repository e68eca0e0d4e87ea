//! `plan`: the settings, the card and the plan as a run would find them. Changes nothing.

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use offspot_config::{InForce, Severity};
use serde_json::{Value, json};

use crate::card::{self, Card};
use crate::host::Host;
use crate::plan::size;
use crate::problem::{CardProblem, Problem, SettingsProblem};
use crate::receipts::Receipts;
use crate::report::Reporter;
use crate::survey::{self, Survey};

/// What a run would find.
#[derive(Debug)]
pub struct Look {
    /// What is wrong with the settings file as a whole.
    file: Vec<Problem>,
    in_force: InForce,
    card: Option<card::Look>,
    survey: Survey,
}

/// Looks. Blocks, and wants a thread of its own: it may mount the data partition for this thread alone.
pub fn take(host: &Host, named: Option<&Path>, replace: &[String]) -> Result<Look, Problem> {
    let (report, told) = Reporter::new();
    let in_force = crate::settings::peek(host, &report);
    let file = told.borrow().problems.clone();
    let card = Card::find(host, named)?;
    let look = card.as_ref().map(|card| card.look(host)).transpose()?;
    if let (Some(card), Some(look)) = (&card, &look)
        && !look.mounted
    {
        // Without it the plan takes the partition as empty, which is what a first boot finds.
        if let Err(error) = show(card, host) {
            tracing::debug!("mounting the data partition to look at it: {error}");
        }
    }
    let unreadable = |why: std::io::Error| {
        Problem::from(CardProblem::Failing { doing: "reading the data partition".into(), why: why.to_string() })
    };
    let receipts = Receipts::peek(&host.state()).map_err(unreadable)?;
    let space = match look.as_ref().and_then(|look| look.after) {
        Some(after) => after,
        // The folder may yet have to be made, in the root's filesystem.
        None => card::free_in(&host.data()).or_else(|_| card::free_in(host.root())).map_err(unreadable)?,
    };
    let survey = survey::take(host, &in_force.settings, &receipts, space, replace);
    Ok(Look { file, in_force, card: look, survey })
}

/// Mounts the data partition read-only, its journal not replayed, where this thread alone sees it (mount_namespaces(7)).
fn show(card: &Card, host: &Host) -> nix::Result<()> {
    let Some(partition) = card.data_node() else { return Err(nix::errno::Errno::ENOENT) };
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some(&partition), &host.data(), Some("ext4"), MsFlags::MS_RDONLY | MsFlags::MS_NOATIME, Some("noload"))
}

impl Look {
    /// The exit code of the foremost problem in sight.
    pub fn exit_code(&self) -> u8 {
        crate::problem::foremost(&self.problems()).map_or(0, |problem| problem.facts().area.exit_code())
    }

    fn problems(&self) -> Vec<Problem> {
        let errors = self.in_force.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let settings = errors.map(|finding| SettingsProblem::Found(Box::new(finding.clone())).into());
        self.file
            .iter()
            .cloned()
            .chain(settings)
            .chain(self.survey.problems().map(|(_, problem)| problem.clone()))
            .collect()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let problems: Vec<Value> = self
            .problems()
            .iter()
            .map(Problem::facts)
            .map(|facts| json!({ "code": facts.code, "sentence": facts.sentence, "advice": facts.advice }))
            .collect();
        let card = self.card.as_ref().map(
            |card| json!({ "disk": card.disk, "bytes": card.bytes, "target": card.target, "mounted": card.mounted }),
        );
        json!({
            "schema": 1,
            "changed": self.in_force.changed,
            "waiting": crate::settings::waiting(&self.in_force.settings),
            "card": card,
            "plan": self.survey.plan.to_json(),
            "in_place": self.survey.placed.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "problems": problems,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        if !self.in_force.changed.is_empty() {
            lines.push(format!("settings changed since the last boot: {}", self.in_force.changed.join(", ")));
        }
        let waiting = crate::settings::waiting(&self.in_force.settings);
        if !waiting.is_empty() {
            lines.push(format!("keep   checked, not yet put into effect by this version: {}", waiting.join(", ")));
        }
        match &self.card {
            Some(card) if card.target > card.bytes => {
                lines.push(format!(
                    "grow   data partition of {}: {} to {}",
                    card.disk,
                    size(card.bytes),
                    size(card.target)
                ));
            }
            Some(card) => {
                lines.push(format!("card   {}: data partition of {}, as large as it gets", card.disk, size(card.bytes)))
            }
            None => {}
        }
        lines.extend(self.survey.placed.iter().map(|(name, changed)| match changed {
            Some(changed) => format!("keep   {name}: {changed} since it was placed"),
            None => format!("keep   {name}: in place"),
        }));
        lines.push(self.survey.plan.to_text().trim_end().to_owned());
        lines.extend(self.problems().iter().map(|problem| format!("problem {problem}")));
        lines.join("\n") + "\n"
    }
}
