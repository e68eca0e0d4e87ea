//! What this boot will do and what it costs. Pure: settings, receipts and a look at what is there come in, steps come out.
//!
//! Items are admitted in order (images that services need, files as listed, other images); one that cannot fit is refused here, by
//! name, before anything of it is touched. They are carried out in another order (files, then images), so an item is admitted only
//! if carrying out all that is admitted with it never runs out on the way. What images share is paid for by the first that is admitted.

use serde_json::{Value, json};

use crate::problem::{Problem, SpaceProblem};

/// Bytes a second that a slow card takes, for the forecast (Pi 3 and older: about 20 MB/s on the bus).
const BYTES_A_SECOND: u64 = 20_000_000;

/// What an item costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Cost {
    /// Bytes it adds to the data partition for good.
    pub bytes: u64,
    /// Bytes it gives back when done (a tarball that is removed).
    pub frees: u64,
    /// Bytes it needs at its worst moment, `bytes` included.
    pub peak: u64,
    /// Inodes it adds.
    pub inodes: u64,
    /// Memory at its worst moment, in bytes, the engine's included.
    pub memory: u64,
}

/// What the data partition and the board have to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Budget {
    /// Bytes free.
    pub bytes: u64,
    /// Inodes free.
    pub inodes: u64,
    /// Memory of the board in bytes.
    pub memory: u64,
}

/// One thing still to do.
#[derive(Debug, Clone)]
pub struct Step<T> {
    /// What the user calls it.
    pub name: String,
    /// Its cost.
    pub cost: Cost,
    /// What the room that does it needs to know.
    pub work: T,
}

/// All there is to do, admitted, and what was refused.
#[derive(Debug, Clone)]
pub struct Plan<F, I> {
    /// Files to place, as listed.
    pub files: Vec<Step<F>>,
    /// Images to load, needed ones first.
    pub images: Vec<Step<I>>,
    /// Files that cannot fit.
    pub refused_files: Vec<(String, Problem)>,
    /// Images that cannot fit.
    pub refused_images: Vec<(String, Problem)>,
    /// What there was to give.
    pub budget: Budget,
}

impl<F: Clone, I: Clone> Plan<F, I> {
    /// Admits what fits. `needed` images go before files, `others` after; `price` makes the step of an image, given those admitted before it.
    pub fn new(
        needed: Vec<I>,
        files: Vec<Step<F>>,
        others: Vec<I>,
        budget: Budget,
        price: impl Fn(I, &[Step<I>]) -> Step<I>,
    ) -> Plan<F, I> {
        let mut plan = Plan {
            files: Vec::new(),
            images: Vec::new(),
            refused_files: Vec::new(),
            refused_images: Vec::new(),
            budget,
        };
        for image in needed {
            plan.admit_image(price(image, &plan.images));
        }
        for step in files {
            plan.admit_file(step);
        }
        for image in others {
            plan.admit_image(price(image, &plan.images));
        }
        plan
    }

    fn admit_image(&mut self, step: Step<I>) {
        let costs = self.costs_with(None, Some(step.cost));
        match shortage(&step.name, step.cost, &costs, self.budget) {
            Some(problem) => self.refused_images.push((step.name, problem)),
            None => self.images.push(step),
        }
    }

    fn admit_file(&mut self, step: Step<F>) {
        let costs = self.costs_with(Some(step.cost), None);
        match shortage(&step.name, step.cost, &costs, self.budget) {
            Some(problem) => self.refused_files.push((step.name, problem)),
            None => self.files.push(step),
        }
    }

    /// What cannot fit, images first.
    pub fn refused(&self) -> impl Iterator<Item = &(String, Problem)> {
        self.refused_images.iter().chain(&self.refused_files)
    }

    /// Costs in the order in which things are carried out.
    fn costs_with(&self, file: Option<Cost>, image: Option<Cost>) -> Vec<Cost> {
        let files = self.files.iter().map(|step| step.cost).chain(file);
        files.chain(self.images.iter().map(|step| step.cost)).chain(image).collect()
    }

    /// Cost of the whole: bytes and inodes added up, peak and memory at the worst moment.
    pub fn total(&self) -> Cost {
        let costs = self.costs_with(None, None);
        let (peak, inodes) = worst(&costs);
        Cost {
            bytes: costs.iter().map(|cost| cost.bytes).sum(),
            frees: costs.iter().map(|cost| cost.frees).sum(),
            peak,
            inodes,
            memory: costs.iter().map(|cost| cost.memory).max().unwrap_or(0),
        }
    }

    /// Forecast in seconds on a slow card: what is written at the worst, and read once.
    pub fn seconds(&self) -> u64 {
        let moved: u64 = self.costs_with(None, None).iter().map(|cost| cost.peak + cost.frees).sum();
        moved.div_ceil(BYTES_A_SECOND)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let step = |name: &String, cost: &Cost| json!({ "name": name, "cost": cost });
        let refused: Vec<Value> = self
            .refused()
            .map(|(name, problem)| {
                let facts = problem.facts();
                json!({ "name": name, "code": facts.code, "sentence": facts.sentence, "advice": facts.advice })
            })
            .collect();
        json!({
            "files": self.files.iter().map(|s| step(&s.name, &s.cost)).collect::<Vec<_>>(),
            "images": self.images.iter().map(|s| step(&s.name, &s.cost)).collect::<Vec<_>>(),
            "refused": refused,
            "total": self.total(),
            "budget": self.budget,
            "seconds": self.seconds(),
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for (kind, name, cost) in self
            .files
            .iter()
            .map(|step| ("place", &step.name, step.cost))
            .chain(self.images.iter().map(|step| ("load", &step.name, step.cost)))
        {
            lines.push(format!(
                "{kind:6} {name}: {} (at worst {}), {} files",
                size(cost.bytes),
                size(cost.peak),
                cost.inodes
            ));
        }
        lines.extend(self.refused().map(|(_, problem)| format!("refuse {problem}")));
        if lines.is_empty() {
            return "nothing to place, nothing to load\n".into();
        }
        let total = self.total();
        lines.push(format!(
            "in all {} (at worst {}), {} files, {} of memory; free: {}, {} files; about {} min on a slow card",
            size(total.bytes),
            size(total.peak),
            total.inodes,
            size(total.memory),
            size(self.budget.bytes),
            self.budget.inodes,
            self.seconds().div_ceil(60),
        ));
        lines.join("\n") + "\n"
    }
}

/// Peak bytes and inodes of carrying out `costs` one after another.
fn worst(costs: &[Cost]) -> (u64, u64) {
    let (mut used, mut peak, mut inodes) = (0_i128, 0_i128, 0_u64);
    for cost in costs {
        peak = peak.max(used + i128::from(cost.peak.max(cost.bytes)));
        used += i128::from(cost.bytes) - i128::from(cost.frees);
        inodes = inodes.saturating_add(cost.inodes);
    }
    (u64::try_from(peak).unwrap_or(u64::MAX), inodes)
}

/// What is missing to carry out `costs`, said of `item`, the newest among them: what is left for it is the budget less the others.
fn shortage(item: &str, cost: Cost, costs: &[Cost], budget: Budget) -> Option<Problem> {
    let left = |need: u64, over: u64| need.saturating_sub(over);
    let (peak, inodes) = worst(costs);
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
    let item = item.to_owned();
    let problem = if peak > budget.bytes {
        SpaceProblem::Bytes { item, need: cost.peak, have: left(cost.peak, peak - budget.bytes) }
    } else if inodes > budget.inodes {
        SpaceProblem::Inodes { item, need: cost.inodes, have: left(cost.inodes, inodes - budget.inodes) }
    } else if memory > budget.memory {
        SpaceProblem::Memory { item, need: cost.memory, have: budget.memory }
    } else {
        return None;
    };
    Some(problem.into())
}

/// Bytes as people read them, decimal.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, bytes: u64, peak: u64, frees: u64) -> Step<()> {
        Step { name: name.into(), cost: Cost { bytes, frees, peak, inodes: 1, memory: 0 }, work: () }
    }

    /// A plan of images that share nothing.
    fn plan(needed: Vec<Step<()>>, files: Vec<Step<()>>, others: Vec<Step<()>>, budget: Budget) -> Plan<(), Step<()>> {
        let alone =
            |image: Step<()>, _: &[Step<Step<()>>]| Step { name: image.name.clone(), cost: image.cost, work: image };
        Plan::new(needed, files, others, budget, alone)
    }

    fn names<T>(steps: &[Step<T>]) -> Vec<&str> {
        steps.iter().map(|step| step.name.as_str()).collect()
    }

    fn budget(bytes: u64) -> Budget {
        Budget { bytes, inodes: 10, memory: 10 }
    }

    #[test]
    fn what_cannot_fit_is_refused_by_name_and_the_rest_goes_on() {
        let files = vec![step("big.zim", 60, 60, 0), step("small.zim", 20, 20, 0)];
        let plan = plan(vec![step("kiwix", 40, 50, 0)], files, vec![step("extra", 30, 30, 0)], budget(90));
        assert_eq!((names(&plan.images), names(&plan.files)), (vec!["kiwix", "extra"], vec!["small.zim"]));
        assert_eq!(plan.refused().count(), 1);
        assert_eq!(plan.refused_files[0].1.facts().code, "E-SPACE-BYTES");
        let Problem::Space(SpaceProblem::Bytes { item, need, have }) = &plan.refused_files[0].1 else { panic!() };
        assert_eq!((item.as_str(), *need, *have), ("big.zim", 60, 40));
    }

    #[test]
    fn a_tarball_that_is_removed_makes_room_for_the_next() {
        let images = vec![step("a", 11, 21, 10), step("b", 11, 21, 10)];
        let plan = plan(images, Vec::new(), Vec::new(), budget(22));
        assert_eq!((plan.images.len(), plan.total().peak), (2, 22));
    }

    #[test]
    fn an_image_admitted_first_still_fits_when_files_are_placed_before_it() {
        let plan = plan(vec![step("a", 10, 30, 0)], vec![step("f", 75, 75, 0)], Vec::new(), budget(100));
        assert_eq!((names(&plan.images), plan.files.len()), (vec!["a"], 0), "75 + 30 would run out while loading");
    }

    #[test]
    fn what_images_share_is_paid_once_and_by_the_next_where_the_first_is_refused() {
        // An image is its name; the base costs 50 and each one 10 of its own, `big` 60.
        let price = |image: &str, admitted: &[Step<&'static str>]| {
            let own = if image == "big" { 60 } else { 10 };
            let bytes = own + if admitted.is_empty() { 50 } else { 0 };
            let image = ["big", "a", "b"].into_iter().find(|known| *known == image).unwrap();
            Step { name: image.into(), cost: Cost { bytes, frees: 0, peak: bytes, inodes: 1, memory: 0 }, work: image }
        };
        let plan = Plan::<(), _>::new(vec!["big", "a", "b"], Vec::new(), Vec::new(), budget(70), price);
        assert_eq!((names(&plan.images), plan.total().bytes), (vec!["a", "b"], 70));
        let plan = Plan::<(), _>::new(vec!["a", "b"], Vec::new(), Vec::new(), budget(69), price);
        assert_eq!((names(&plan.images), plan.refused().count()), (vec!["a"], 1));
    }

    #[test]
    fn inodes_and_memory_are_counted_too() {
        let mut many = step("many", 1, 1, 0);
        many.cost.inodes = 11;
        let mut greedy = step("greedy", 1, 1, 0);
        greedy.cost.memory = 11;
        let plan = plan(vec![many, greedy], Vec::new(), Vec::new(), budget(100));
        let codes: Vec<&str> = plan.refused().map(|(_, problem)| problem.facts().code).collect();
        assert_eq!(codes, ["E-SPACE-INODES", "E-SPACE-MEMORY"]);
    }

    #[test]
    fn sizes_read_well() {
        let read: Vec<String> = [0, 999, 1000, 999_499, 999_500, 32_000_000_000].map(size).into();
        assert_eq!(read, ["0 B", "999 B", "1.0 kB", "999.5 kB", "1.0 MB", "32.0 GB"]);
    }
}
