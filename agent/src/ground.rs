//! The ground that content, images and receipts stand on: the data partition, made whole, with the journal of what was done on it.

use std::time::SystemTime;

use offspot_config::Settings;
use tokio::task::JoinHandle;

use crate::arguments::Arguments;
use crate::card::{self, Card, Grown};
use crate::content::{self, Placed, Placement};
use crate::host::Host;
use crate::plan::Step;
use crate::problem::{CardProblem, Problem};
use crate::receipts::{Receipts, Record};
use crate::report::{Context, Reporter, Verdict};
use crate::survey::{self, Survey};

/// A data partition that can be written, and what earlier boots did on it.
#[derive(Debug)]
pub struct Ground {
    /// The token of the card's step.
    pub grown: Grown,
    /// What earlier boots durably finished.
    pub receipts: Receipts,
}

impl Ground {
    /// Makes the card whole and opens the receipts; `None`, reported, where there is no data partition to write on.
    pub async fn make_whole(
        host: &Host,
        arguments: &Arguments,
        context: &Context,
        report: &Reporter,
    ) -> Option<Ground> {
        let (host, named, report_) = (host.clone(), arguments.card.clone(), report.clone());
        let made = blocking(move || -> Result<Ground, Problem> {
            let grown = card::make_whole(Card::find(&host, named.as_deref())?, &host, &report_)?;
            let opened = Receipts::open(&host.state());
            let (receipts, damaged) = opened.map_err(|error| CardProblem::Receipts { why: error.to_string() })?;
            if damaged > 0 {
                report_.note(format!(
                    "{damaged} damaged receipts were passed over, and images recorded before them are no longer believed"
                ));
            }
            Ok(Ground { grown, receipts })
        });
        match made.await {
            Ok(ground) => {
                context.set_boots(ground.receipts.boots().0 + 1);
                Some(ground)
            }
            Err(problem) => {
                report.problem(problem);
                None
            }
        }
    }

    /// What is there and what is to be done, told to the report.
    pub async fn survey(
        &self,
        host: &Host,
        settings: &Settings,
        replace: &[String],
        report: &Reporter,
    ) -> Option<Survey> {
        let (host, settings, receipts) = (host.clone(), settings.clone(), self.receipts.clone());
        let (replace, grown) = (replace.to_vec(), self.grown.clone());
        let taken =
            blocking(move || grown.space().map(|space| survey::take(&host, &settings, &receipts, space, &replace)));
        match taken.await {
            Ok(survey) => {
                survey.tell(report);
                Some(survey)
            }
            Err(error) => {
                let doing = "asking the data partition for its free space".into();
                report.problem(CardProblem::Failing { doing, why: error.to_string() });
                None
            }
        }
    }

    /// Places the admitted files.
    pub async fn place(
        &self,
        host: &Host,
        files: Vec<Step<Placement>>,
        replace: &[String],
        report: &Reporter,
    ) -> Placed {
        let (host, receipts, report) = (host.clone(), self.receipts.clone(), report.clone());
        let (replace, grown) = (replace.to_vec(), self.grown.clone());
        let items = files.into_iter().map(|step| step.work).collect();
        blocking(move || content::place(&host, grown.folder(), items, &receipts, &report, &replace)).await
    }

    /// The verdict, recorded: the one receipt that every boot adds.
    pub async fn conclude(&self, context: &Context, report: &Reporter) -> Verdict {
        let verdict = if report.has_problems() { Verdict::Degraded } else { Verdict::Ready };
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let record = Record::Boot { boot: context.boot_id.clone(), verdict: format!("{verdict:?}").to_uppercase(), at };
        let (receipts, grown) = (self.receipts.clone(), self.grown.clone());
        let recorded = blocking(move || {
            let recorded = receipts.append(&record);
            grown.settle();
            recorded
        });
        match recorded.await {
            Ok(()) => verdict,
            Err(error) => {
                report.problem(CardProblem::Receipts { why: error.to_string() });
                Verdict::Degraded
            }
        }
    }
}

/// Runs what blocks on a thread of its own, so that the followers go on.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// What a task of ours came to, none of which is ever aborted.
pub async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        // Only a panic ends it early, and a panic is not to be survived.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
