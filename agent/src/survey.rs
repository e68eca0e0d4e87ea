//! A look at what is there, and the plan that follows from it. Reads only.

use std::collections::BTreeSet;

use offspot_config::Settings;

use crate::card::Space;
use crate::content::{self, Found, Placement};
use crate::host::Host;
use crate::images::{self, ImageName, Price, Standing, Tarball, TarballState};
use crate::plan::{Budget, Cost, Plan, Step};
use crate::problem::{ImageProblem, Problem};
use crate::receipts::Receipts;
use crate::report::{Kind, Reporter, State};

/// Memory to place a file: a few buffers, whatever its size.
const PLACE_MEMORY: u64 = 8 << 20;
/// Left free on the data partition: the services write there too.
const RESERVE: u64 = 16 << 20;
/// The receipts' own growth, and what services make at their first start.
const RESERVE_INODES: u64 = 256;

/// The plan of this card.
pub type CardPlan = Plan<Placement, Tarball>;

/// What there is and what is to be done about it.
#[derive(Debug)]
pub struct Survey {
    /// What fits.
    pub plan: CardPlan,
    /// Entries of `files` that are in place, with what has become of them since.
    pub placed: Vec<(String, Option<String>)>,
    /// Tarballs that need no space: loaded by an earlier boot (still to be removed where they may be), or of no use (to be named).
    pub tarballs: Vec<Tarball>,
    /// Entries of `files` that cannot be placed whatever the space.
    pub bad: Vec<(String, Problem)>,
}

/// Looks, blocking. `replace` names the `to` of files to place again.
pub fn take(host: &Host, settings: &Settings, receipts: &Receipts, space: Space, replace: &[String]) -> Survey {
    let budget = Budget {
        bytes: space.bytes.saturating_sub(RESERVE),
        inodes: space.inodes.saturating_sub(RESERVE_INODES),
        memory: memory(),
    };
    let (mut placed, mut bad, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for found in content::survey(host, &settings.files, receipts, replace) {
        let name = found.entry.to.clone();
        match &found.state {
            content::State::Done { changed_since } => placed.push((name, changed_since.clone())),
            content::State::Refused(problem) => bad.push((name, problem.clone())),
            content::State::ToPlace { bytes, peak, inodes, memory } => {
                let memory = PLACE_MEMORY + memory;
                let cost = Cost { bytes: *bytes, frees: 0, peak: *peak, inodes: *inodes, memory };
                files.push(Step { name, cost, work: Placement::from(Found::clone(&found)) });
            }
        }
    }
    let (mut tarballs, mut needed, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = service_images(settings);
    let mut found = images::survey(host, &settings.oci_images, receipts);
    if !has_ample_room(&found, &files, receipts, budget) {
        images::count(&mut found, receipts);
    }
    for tarball in found {
        match &tarball.state {
            TarballState::Known(_) | TarballState::Bad(_) if tarball.said_size(receipts).is_none() => {
                tarballs.push(tarball)
            }
            _ if tarball.names().is_disjoint(&wanted) => others.push(tarball),
            _ => needed.push(tarball),
        }
    }
    let need = images::need(needed.iter().chain(&others), receipts);
    let room = images::staging::foresee(host).filter(|room| need.layer <= *room);
    let price = |tarball, admitted: &[Step<Tarball>]| step(tarball, admitted, receipts, settings, room);
    Survey { plan: Plan::new(needed, files, others, budget, price), placed, tarballs, bad }
}

impl Survey {
    /// What the content and the image step take: admitted files; admitted tarballs first, then those that need no space.
    pub fn split(self) -> (Vec<Step<Placement>>, Vec<Tarball>) {
        let admitted = self.plan.images.into_iter().map(|step| step.work);
        (self.plan.files, admitted.chain(self.tarballs).collect())
    }

    /// Tells what is in place already and what will not be.
    pub fn tell(&self, report: &Reporter) {
        for (name, changed) in &self.placed {
            let detail =
                changed.as_ref().map_or("in place".into(), |changed| format!("{changed} since it was placed; left so"));
            report.item(Kind::File, name, State::Done, detail);
        }
        for step in &self.plan.files {
            report.item(Kind::File, &step.name, State::Waiting, "");
        }
        let refused_images = self.plan.refused_images.iter().map(|refused| (Kind::Image, refused));
        let refused_files = self.plan.refused_files.iter().chain(&self.bad).map(|refused| (Kind::File, refused));
        for (kind, (name, problem)) in refused_images.chain(refused_files) {
            report.item(kind, name, State::Failed, "");
            report.problem(problem.clone());
        }
    }

    /// Everything that will not be done, by name.
    pub fn problems(&self) -> impl Iterator<Item = (&String, &Problem)> {
        let tarballs = self.tarballs.iter().filter_map(|tarball| match &tarball.state {
            // Whether the engine has it already, only the engine can say.
            TarballState::Bad(Problem::Image(ImageProblem::Missing { .. } | ImageProblem::Fetch { .. })) => None,
            TarballState::Bad(problem) => Some((&tarball.path, problem)),
            _ => None,
        });
        self.plan.refused().chain(&self.bad).map(|(name, problem)| (name, problem)).chain(tarballs)
    }
}

/// Whether twice what the images are expected to take would fit beside the files. Then nothing depends on how many files there are in their
/// layers, and they are not counted: that takes as long as reading most of a plain tarball.
fn has_ample_room(found: &[Tarball], files: &[Step<Placement>], receipts: &Receipts, budget: Budget) -> bool {
    let mut standing = Standing::new();
    let prices: Vec<_> = found.iter().map(|tarball| tarball.price(&mut standing, receipts)).collect();
    let sum = |image: fn(&Price) -> u64, file: fn(&Cost) -> u64| {
        let images = prices.iter().map(|price| image(price).saturating_mul(2));
        images.chain(files.iter().map(|step| file(&step.cost))).fold(0, u64::saturating_add)
    };
    let (bytes, inodes) =
        (sum(|price| price.peak(false), |cost| cost.peak), sum(|price| price.inodes, |cost| cost.inodes));
    bytes <= budget.bytes && inodes <= budget.inodes
}

/// `room`: bytes in memory for what the engine unpacks on the way; none where it does so on the card.
fn step(
    tarball: Tarball,
    admitted: &[Step<Tarball>],
    receipts: &Receipts,
    settings: &Settings,
    room: Option<u64>,
) -> Step<Tarball> {
    let removed = tarball.removable && !settings.status.keep_tarballs;
    let mut standing = Standing::new();
    let before = admitted.iter().map(|before| before.work.price(&mut standing, receipts).need.load).last();
    let mut price = tarball.price(&mut standing, receipts);
    price.need = price.need.beside(before.unwrap_or(0));
    let cost = price.cost(if removed { tarball.stamp.size } else { 0 }, room);
    Step { name: tarball.path.clone(), cost, work: tarball }
}

/// The images that services name.
fn service_images(settings: &Settings) -> BTreeSet<ImageName> {
    let Some(containers) = &settings.containers else { return BTreeSet::new() };
    let (project, _) = offspot_config::compose::read(&containers.given);
    project.services.iter().filter_map(|service| ImageName::parse(&service.image)).collect()
}

/// Memory of the board in bytes.
fn memory() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |about| about.ram_total())
}
