//! Which containers a service is to have, and what is to happen to those it has. Pure, but for what is noted on the way.

use std::collections::BTreeMap;

use super::found::Found;
use crate::problem::ServiceProblem;

/// The place of one container of a service.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its number, from 1.
    pub number: u32,
    /// What is to be done.
    pub step: Step,
    /// Others of this number, newest first: to be removed once the right one is there.
    pub old: Vec<Found>,
}

/// What is to be done for one container.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It is as it should be: start it if it does not run.
    Keep(Found),
    /// To be made.
    Make,
    /// Was made just now: its id.
    Made(String),
    /// Will not run.
    Failed(ServiceProblem),
}

impl Slot {
    /// Whether its program runs already.
    pub fn runs(&self) -> bool {
        matches!(&self.step, Step::Keep(found) if found.is_running())
    }

    /// Whether it was made just now.
    pub fn is_made(&self) -> bool {
        matches!(self.step, Step::Made(_))
    }

    /// The container; none where it is still to be made, or could not be.
    pub fn id(&self) -> Option<&str> {
        match &self.step {
            Step::Keep(found) => Some(&found.id),
            Step::Made(id) => Some(id),
            Step::Make | Step::Failed(_) => None,
        }
    }
}

/// Sorts the containers of one service by what is to happen to them: gives `wanted` places, and those that are too many. Those with the
/// highest numbers go, changed ones before others; numbers once given are not given again while one of their service is there.
pub(super) fn decide(found: Vec<Found>, wanted: u32, fits: impl Fn(&Found) -> bool) -> (Vec<Slot>, Vec<Found>) {
    let next = found.iter().map(|found| found.number).max().unwrap_or(0).saturating_add(1);
    let mut numbers: BTreeMap<u32, Vec<Found>> = BTreeMap::new();
    for one in found {
        numbers.entry(one.number).or_default().push(one);
    }
    let mut slots: Vec<Slot> = numbers.into_iter().map(|(number, all)| slot(number, all, &fits)).collect();
    // The sort is stable: lower numbers first among those that stay as they are, and among those that are made anew.
    slots.sort_by_key(|slot| matches!(slot.step, Step::Make));
    let wanted = wanted as usize;
    let gone = slots.split_off(wanted.min(slots.len()));
    slots.sort_by_key(|slot| slot.number);
    for number in (next..).take(wanted - slots.len()) {
        slots.push(Slot { number, step: Step::Make, old: Vec::new() });
    }
    (slots, gone.into_iter().flat_map(containers).collect())
}

fn slot(number: u32, mut all: Vec<Found>, fits: impl Fn(&Found) -> bool) -> Slot {
    all.sort_by_key(|found| (!found.is_running(), -found.created));
    let keep = all.iter().position(fits).map(|at| all.remove(at));
    all.sort_by_key(|found| -found.created);
    Slot { number, step: keep.map_or(Step::Make, Step::Keep), old: all }
}

fn containers(slot: Slot) -> Vec<Found> {
    let mut all = slot.old;
    if let Step::Keep(found) = slot.step {
        all.push(found);
    }
    all
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerSummaryStateEnum as State;

    use super::super::found::tests::found;
    use super::*;

    /// Each place as number and what is kept there, `-` for one to be made, with what is replaced; then those that are too many.
    fn decided(all: Vec<Found>, wanted: u32) -> (Vec<String>, Vec<String>) {
        let (slots, gone) = decide(all, wanted, |found| found.hash == "h" && found.is_whole());
        let ids = |all: &[Found]| all.iter().map(|found| found.id.clone()).collect::<Vec<_>>();
        let one = |slot: &Slot| format!("{} {} {}", slot.number, slot.id().unwrap_or("-"), ids(&slot.old).join(","));
        (slots.iter().map(|slot| one(slot).trim_end().to_owned()).collect(), ids(&gone))
    }

    #[test]
    fn the_running_one_that_fits_is_kept() {
        let all = vec![
            found("exited", 1, "h", State::EXITED, 3),
            found("running", 1, "h", State::RUNNING, 1),
            found("changed", 1, "other", State::RUNNING, 2),
        ];
        assert_eq!(decided(all, 1), (vec!["1 running exited,changed".to_owned()], vec![]));
        let paused = vec![found("paused", 1, "h", State::PAUSED, 1)];
        assert_eq!(decided(paused, 1).0, ["1 - paused"]);
    }

    #[test]
    fn more_and_fewer_as_compose_chooses() {
        let one =
            |number: u32, hash: &str| found(&format!("c{number}"), number, hash, State::RUNNING, i64::from(number));
        let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(decided(vec![], 2), (strings(&["1 -", "2 -"]), vec![]));
        let holes = || vec![one(1, "h"), one(3, "h"), one(4, "h")];
        assert_eq!(decided(holes(), 4).0, strings(&["1 c1", "3 c3", "4 c4", "5 -"]));
        assert_eq!(decided(holes(), 2), (strings(&["1 c1", "3 c3"]), strings(&["c4"])));
        assert_eq!(decided(holes(), 0), (vec![], strings(&["c1", "c3", "c4"])));
        let changed = vec![one(1, "other"), one(2, "h"), one(3, "h")];
        assert_eq!(decided(changed, 2), (strings(&["2 c2", "3 c3"]), strings(&["c1"])));
        let all_changed = vec![one(1, "other"), one(2, "other"), one(3, "other")];
        assert_eq!(decided(all_changed, 2), (strings(&["1 - c1", "2 - c2"]), strings(&["c3"])));
    }
}
