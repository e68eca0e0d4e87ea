//! Brings tarballs into the engine. An image is *present* when the engine has it and a receipt lists it; every other one is loaded, on the
//! layers of those that are present.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bollard::errors::Error;
use offspot_config::settings::Registry;

use super::archive::Image;
use super::bring::{not_recorded, refused, title};
use super::claims::Claims;
use super::early::{Early, Next};
use super::fetch;
use super::layout::{self, Blob};
use super::loaded::{self, Loaded};
use super::name::ImageName;
use super::orphans;
use super::parcel::{Form, Parcel};
use super::pipes;
use super::registry::Network;
use super::send::{Lost, send};
use super::staging::Staging;
use super::survey::{Origin, Tarball, TarballState};
use super::thin;
use crate::engine::{Engine, HeldImage, Store};
use crate::ground::blocking;
use crate::host::Host;
use crate::problem::{CardProblem, EngineProblem, Problem};
use crate::receipts::{Receipts, Record};
use crate::report::{Kind, Phase, Reporter, State};
use crate::services::{self, Volumes};

/// Loads the tarballs in order. A bad one costs itself: it is reported by its path and the others go on. Each image is verified while its
/// bytes pass, then synced (`data` is the mounted data partition), then recorded; only then is its tarball removed, if it may be.
/// Entries of `oci_images` without a tarball are problems only where the engine has no such image.
pub async fn load(
    engine: &Engine,
    data: &Path,
    mut items: Vec<Tarball>,
    receipts: &Receipts,
    report: &Reporter,
    (keep_tarballs, registries): (bool, &BTreeMap<String, Registry>),
) -> Loaded {
    // What comes over the network waits for all that is here, and what is in registries is looked at together.
    items.sort_by_key(|item| (item.is_remote(), item.is_in_registry()));
    let staging = items.first().map_or(Staging::Card, |item| Staging::of(&item.host));
    let mut loading = Loading {
        engine,
        staging,
        data,
        receipts,
        report,
        keep_tarballs,
        registries,
        network: OnceLock::new(),
        store: Store::default(),
        ids: BTreeMap::new(),
        held: Vec::new(),
        trusted: BTreeSet::new(),
        blobs: BTreeSet::new(),
        foreign: BTreeSet::new(),
        ahead: Vec::new(),
        next: None,
        early: None,
        pipes: Pipes { offered: engine.pipes, taken: false },
        folders: Vec::new(),
        done: BTreeSet::new(),
        failed: BTreeMap::new(),
        volumes: receipts.volumes(),
    };
    let done = loading.run(&mut items).await;
    loading.take_back_early().await;
    let clock = loading.network.get().and_then(|network| network.fetcher().clock_note());
    clock.into_iter().for_each(|note| report.note(note));
    // Of a load that was cut, and that the engine came to only now.
    pipes::release(&loading.folders);
    if done.is_err() {
        loading.sweep();
    }
    if let Some(item) = items.first() {
        loading.move_to_card(item).await;
    }
    match done {
        Ok(()) => loading.note_unverified(),
        Err(error) => loading.give_up(&items, &error),
    }
    Loaded::of(&loading.held, loading.failed).with_volumes(loading.volumes)
}

/// Everything the step works with.
pub(super) struct Loading<'a> {
    pub(super) engine: &'a Engine,
    /// Where the engine unpacks what it is sent.
    pub(super) staging: Staging,
    pub(super) data: &'a Path,
    pub(super) receipts: &'a Receipts,
    pub(super) report: &'a Reporter,
    pub(super) keep_tarballs: bool,
    /// How registries are reached.
    registries: &'a BTreeMap<String, Registry>,
    /// The way to what is not here; none until it is gone.
    network: OnceLock<Network>,
    /// How the engine keeps images; not asked for where none is to be loaded.
    pub(super) store: Store,
    /// What it calls those of this run, by our ids, where that is not the same.
    pub(super) ids: BTreeMap<String, String>,
    /// What the engine has.
    pub(super) held: Vec<HeldImage>,
    /// Chain ids of the layers that a receipted image stands on, or one that this run loaded and looked at.
    pub(super) trusted: BTreeSet<String>,
    /// Digests of the layers that this run sent, as they were packed.
    pub(super) blobs: BTreeSet<String>,
    /// Those that images of another hand stand on, or a doubtful one.
    pub(super) foreign: BTreeSet<String>,
    /// The images that this run is to bring, each with the chain id of its topmost layer.
    ahead: Vec<(String, String)>,
    /// The load after the one that is under way.
    pub(super) next: Option<Next>,
    /// What was begun of it.
    pub(super) early: Option<Early>,
    /// How the engine is with pipes in place of layers.
    pub(super) pipes: Pipes,
    /// Where it may unpack.
    pub(super) folders: Vec<PathBuf>,
    /// Paths of the tarballs that had their turn.
    done: BTreeSet<String>,
    pub(super) failed: BTreeMap<ImageName, Problem>,
    /// Nameless volumes of the containers that were removed with their images, by project.
    volumes: BTreeMap<String, Volumes>,
}

/// Whether layers go to the engine through pipes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pipes {
    /// They are offered to it.
    pub(super) offered: bool,
    /// It has loaded an image from them.
    pub(super) taken: bool,
}

/// Why an item was given up: it costs itself, or the engine is gone and it costs all.
pub(super) enum Stop {
    Item(Problem),
    Engine(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Engine(error)
    }
}

impl<P: Into<Problem>> From<P> for Stop {
    fn from(problem: P) -> Self {
        Stop::Item(problem.into())
    }
}

impl Loading<'_> {
    async fn run(&mut self, items: &mut [Tarball]) -> Result<(), Error> {
        self.held = self.engine.images().await?;
        self.clear_torn_parts().await?;
        if let Some(Err(error)) = items.first().map(|item| fetch::sweep(&item.host, items)) {
            self.report.note(format!("what was begun of tarballs that nobody wants could not be removed: {error}"));
        }
        let (here, remote) = items.split_at_mut(items.partition_point(|item| !item.is_remote()));
        self.pass(here).await?;
        // A tarball is fetched when the one before it is loaded and gone: room for all of them at once is not needed.
        for turn in remote.chunk_by_mut(|one, next| one.is_in_registry() && next.is_in_registry()) {
            self.pass(turn).await?;
        }
        self.clear_done_parts(remote).await
    }

    /// Brings these items.
    async fn pass(&mut self, items: &mut [Tarball]) -> Result<(), Error> {
        for item in &mut *items {
            self.reopen(item).await;
        }
        if items.iter().any(|item| matches!(item.state, TarballState::Archive(_))) {
            self.store = self.engine.store().await?;
        }
        let ours = items.first().map(|item| item.host.engine_folder());
        self.folders =
            ours.into_iter().chain([self.store.folder.join("tmp")]).filter(|folder| folder.is_absolute()).collect();
        self.pipes.offered &= !self.store.is_containerd;
        let claims = Claims::of(items, &loaded::names(&self.held), |image| self.id(image));
        let top = |image: &Image| image.layers.last().map(|layer| layer.chain_id.clone()).unwrap_or_default();
        let ahead = items.iter().flat_map(|item| self.missing(item, &claims));
        self.ahead = ahead.map(|image| (self.id(image), top(image))).collect();
        if !self.ahead.is_empty() {
            self.trust().await?;
        }
        self.announce(items, &claims);
        if !self.ahead.is_empty() {
            self.sweep();
            self.clear_begun(items, &claims).await?;
            let ids = self.ahead.iter().map(|(id, _)| id.clone());
            let cut: BTreeSet<String> = ids.filter(|id| self.receipts.was_begun(id)).collect();
            self.begin_to_record(items).await;
            self.clear(items, &claims, &cut).await?;
            self.clear_orphans().await?;
        }
        let mut left = &*items;
        while let Some((item, after)) = left.split_first() {
            left = after;
            self.done.insert(item.path.clone());
            match self.item(item, after, &claims).await {
                Ok(()) => {}
                Err(Stop::Item(problem)) => {
                    if item.pull().is_some() && matches!(problem, Problem::Space(_)) {
                        self.held = self.engine.images().await?;
                        self.clear_parts_of(item, items).await?;
                    }
                    self.fail(item, problem);
                }
                Err(Stop::Engine(error)) => {
                    self.fail(item, failed(&format!("loading {}", item.path), &error).into());
                    self.take_back_early().await;
                    // Gone for good, or only for this one? The next answer tells.
                    self.held = self.engine.images().await?;
                    self.sweep();
                }
            }
        }
        Ok(())
    }

    /// The engine is gone: what had no turn yet is not to be had, for that reason.
    fn give_up(&mut self, items: &[Tarball], error: &Error) {
        let problem: Problem = failed("loading images", error).into();
        self.report.problem(problem.clone());
        for item in items {
            match &item.state {
                _ if self.done.contains(&item.path) => {}
                TarballState::Bad(own) if !item.is_absent() => self.fail(item, own.clone()),
                _ => self.mark(item, &problem),
            }
        }
    }

    /// Removes from the memory what an engine left there that was cut off.
    fn sweep(&self) {
        pipes::release(&self.folders);
        if let Err(error) = self.staging.sweep() {
            self.report.note(format!("what an earlier load left in memory could not be removed: {error}"));
        }
    }

    /// A tarball that was loaded, but whose images the engine has lost, is read again; one from the network that the engine lacks is fetched.
    async fn reopen(&mut self, item: &mut Tarball) {
        let ahead = match &item.state {
            TarballState::Known(ids) => !ids.iter().all(|id| self.is_present(id)),
            TarballState::Bad(_) => item.is_remote() && !self.is_settled(item),
            TarballState::Archive(_) => false,
        };
        if ahead {
            let (mut opened, receipts, report) = (item.clone(), self.receipts.clone(), self.report.clone());
            let network = item.is_remote().then(|| self.network(&item.host));
            *item = blocking(move || match (&opened.origin, network) {
                (Origin::Url, Some(network)) => opened.bring_here(network.fetcher(), &receipts, &report),
                (Origin::Registry | Origin::Pull(_), Some(network)) => opened.find(&network),
                _ => {
                    opened.open(&receipts);
                    opened
                }
            })
            .await;
        }
    }

    /// Whether the engine has an image of one of its names.
    fn is_named(&self, item: &Tarball) -> bool {
        let known = loaded::names(&self.held);
        item.names().iter().any(|name| known.contains_key(name))
    }

    pub(super) fn network(&self, host: &Host) -> Network {
        self.network.get_or_init(|| Network::new(host, self.registries, self.data, self.report)).clone()
    }

    /// Whether nothing is left to do for an item that is not here: the engine has it, whole as far as we know. A registry's must have each of
    /// its names: a tag may be there of another version than the digest beside it.
    pub(super) fn is_settled(&self, item: &Tarball) -> bool {
        if !item.is_in_registry() {
            return self.is_named(item);
        }
        let known = loaded::names(&self.held);
        let whole = |id: &String| self.receipts.has_image(id) || !self.receipts.was_begun(id);
        let names = item.names();
        !names.is_empty() && names.iter().all(|name| known.get(name).is_some_and(whole))
    }

    /// What the engine calls this image: the digest of its configuration, or with containerd of its manifest.
    pub(super) fn id(&self, image: &Image) -> String {
        match self.ids.get(&image.id) {
            Some(id) => id.clone(),
            None if self.store.is_containerd => layout::id(image, Blob::as_it_lies),
            None => image.id.clone(),
        }
    }

    /// What this engine takes.
    pub(super) fn form(&self) -> Form {
        if self.store.is_containerd { Form::Layout } else { Form::Archive }
    }

    fn is_held(&self, id: &str) -> bool {
        self.held.iter().any(|image| image.id == id)
    }

    pub(super) fn is_present(&self, id: &str) -> bool {
        self.is_held(id) && self.receipts.has_image(id)
    }

    /// The images of a tarball that are still to be loaded.
    pub(super) fn missing<'i>(&self, item: &'i Tarball, claims: &Claims) -> Vec<&'i Image> {
        let TarballState::Archive(index) = &item.state else {
            return Vec::new();
        };
        let mine = |image: &&Image| !self.is_present(&self.id(image)) && !claims.lost(&item.path, &self.id(image));
        index.images.iter().filter(mine).collect()
    }

    fn announce(&self, items: &[Tarball], claims: &Claims) {
        let mut standing = self.trusted.clone();
        let ahead = |item| {
            let images = self.missing(item, claims);
            let sent: u64 = thin::lacking(&images, &standing).iter().map(|layer| layer.size).sum();
            standing.extend(images.iter().flat_map(|image| &image.layers).map(|layer| layer.chain_id.clone()));
            sent
        };
        self.report.phase(Phase::Images, items.iter().map(ahead).sum());
        for item in items {
            for title in self.present(item) {
                self.report.item(Kind::Image, &title, State::Done, "there already");
            }
            for image in self.missing(item, claims) {
                self.report.item(Kind::Image, &title(item, image), State::Waiting, &item.path);
            }
        }
    }

    /// What to call the images of an item that need no load.
    fn present(&self, item: &Tarball) -> Vec<String> {
        match &item.state {
            TarballState::Archive(index) => {
                let here = index.images.iter().filter(|image| self.is_present(&self.id(image)));
                here.map(|image| title(item, image)).collect()
            }
            TarballState::Known(ids) => {
                let here = self.held.iter().filter(|image| ids.contains(&image.id));
                here.filter_map(|image| image.names.first().cloned()).collect()
            }
            TarballState::Bad(_) if item.is_absent() && self.is_settled(item) => {
                item.names().first().map(ImageName::familiar).into_iter().collect()
            }
            TarballState::Bad(_) => Vec::new(),
        }
    }

    /// Removes an image with the containers of ours that use it. Their nameless volumes are kept for those that are made in their place,
    /// by this run or, where it is cut, by a later one.
    pub(super) async fn clear_image(&mut self, id: &str) -> Result<(), Error> {
        let containers = self.engine.containers_on(id).await?;
        let kept = services::kept_volumes(&containers);
        let records = kept.iter().flat_map(|(project, volumes)| {
            volumes.iter().map(|((service, number), volumes)| Record::Volumes {
                project: project.clone(),
                service: service.clone(),
                number: *number,
                volumes: volumes.clone(),
            })
        });
        let (receipts, records) = (self.receipts.clone(), records.collect::<Vec<_>>());
        if let Err(error) = blocking(move || receipts.append_all(&records)).await {
            self.report.note(format!("which volumes the containers of an image have could not be recorded: {error}"));
        }
        for (project, volumes) in kept {
            self.volumes.entry(project).or_default().extend(volumes);
        }
        self.engine.clear_image(id, &containers).await
    }

    /// Learns on which layers the receipted images stand, and the others.
    pub(super) async fn trust(&mut self) -> Result<(), Error> {
        self.foreign.clear();
        for image in &self.held {
            let layers = self.engine.image_layers(&image.id).await?.unwrap_or_default();
            let known = match (self.receipts.has_image(&image.id), self.receipts.was_begun(&image.id)) {
                (true, _) => &mut self.trusted,
                (false, false) => &mut self.foreign,
                (false, true) => continue,
            };
            known.extend(super::archive::chain(&layers));
        }
        Ok(())
    }

    /// Writes down what is about to come into the engine: one record for all of it.
    async fn begin_to_record(&self, items: &mut [Tarball]) {
        let ids = self.ahead.iter().map(|(id, _)| id.clone()).collect();
        let receipts = self.receipts.clone();
        if let Err(error) = blocking(move || receipts.append(&Record::Begun { ids })).await {
            self.report.note(format!("which images are about to be loaded could not be recorded: {error}"));
            // A tarball is read again after a cut; of a registry's image nothing else would tell that it may be torn.
            let why = error.to_string();
            for item in items.iter_mut().filter(|item| item.pull().is_some()) {
                item.state = TarballState::Bad(CardProblem::Receipts { why: why.clone() }.into());
            }
        }
    }

    /// Removes images of loads that were cut and that no tarball here brings any more: others must not stand on their layers, which may be
    /// torn. One that a container of ours runs on stays, unless another image comes in its place.
    async fn clear_begun(&mut self, items: &[Tarball], claims: &Claims) -> Result<(), Error> {
        let ahead = |id: &String| self.ahead.iter().any(|(other, _)| other == id);
        let cut = |image: &&HeldImage| !self.receipts.has_image(&image.id) && self.receipts.was_begun(&image.id);
        let cut: Vec<_> = self.held.iter().filter(cut).filter(|image| !ahead(&image.id)).cloned().collect();
        if cut.is_empty() {
            return Ok(());
        }
        let coming = items.iter().filter(|item| !self.missing(item, claims).is_empty());
        let coming: BTreeSet<ImageName> = coming.flat_map(Tarball::names).collect();
        for image in cut {
            let replaced = loaded::names(std::slice::from_ref(&image)).keys().any(|name| coming.contains(name));
            if replaced || self.engine.containers_on(&image.id).await?.is_empty() {
                self.clear_image(&image.id).await?;
                let name = image.names.first().unwrap_or(&image.id);
                self.report.note(format!("{name} was not recorded as whole, no tarball brings it, and it was removed"));
            }
        }
        self.held = self.engine.images().await?;
        Ok(())
    }

    /// What has come into the engine since the run began, by a load whose sender is gone, goes, and the layers that no image stands on.
    pub(super) async fn clear_late(&mut self, standing: &BTreeSet<String>) -> Result<(), Error> {
        self.held = self.engine.images().await?;
        let ahead = self.ahead.iter().filter(|(_, top)| !standing.contains(top));
        let late = ahead.filter(|(id, _)| self.is_held(id) && !self.receipts.has_image(id));
        let late: Vec<_> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            self.clear_image(&id).await?;
        }
        self.held = self.engine.images().await?;
        self.clear_orphans().await
    }

    /// Removes the layers that no image stands on: an image is made of each stack of them, and goes with all of it.
    async fn clear_orphans(&mut self) -> Result<(), Error> {
        self.trust().await?;
        if self.store.is_containerd {
            return Ok(());
        }
        let store = self.store.clone();
        let standing: BTreeSet<_> = self.trusted.union(&self.foreign).cloned().collect();
        let orphans = match blocking(move || orphans::find(&store.folder, &standing)).await {
            Ok(orphans) => orphans,
            Err(error) => {
                tracing::debug!("looking for layers without an image: {error}");
                return Ok(());
            }
        };
        for stack in &orphans {
            let part = thin::part_of(stack, &self.engine.arch);
            let Ok(parcel) = Parcel::bare(part.clone()) else { continue };
            if let Err(Lost::Engine(error)) = send(self.engine, &Arc::new(parcel), self.report).await {
                tracing::debug!("naming layers without an image: {error}");
            }
            self.clear_image(&part.id).await?;
        }
        if !orphans.is_empty() {
            self.report.note("layers of a load that was cut were removed from the engine");
        }
        Ok(())
    }

    /// Removes what the engine holds without a receipt and a tarball here can put back: all of it before the first load, for such images may
    /// share layers. The tarball is read through before, so that nothing is removed that cannot be put back.
    /// `cut`: those that an earlier boot began to load.
    async fn clear(&mut self, items: &mut [Tarball], claims: &Claims, cut: &BTreeSet<String>) -> Result<(), Error> {
        for item in items {
            let missing = self.missing(item, claims);
            // A registry's that another hand has brought lacks no more than a name.
            let doubted = |id: &str| self.is_held(id) && (item.pull().is_none() || cut.contains(id));
            let doubtful: Vec<_> = missing.into_iter().filter(|image| doubted(&self.id(image))).collect();
            if doubtful.is_empty() {
                continue;
            }
            // What a registry has can be put back as long as it answers, which it just did: reading it all before would be to fetch it twice.
            if item.pull().is_none()
                && let Err(problem) = self.prove(item, &doubtful).await
            {
                item.state = TarballState::Bad(problem);
                continue;
            }
            for image in doubtful {
                self.report.note(format!("{} was not recorded as whole and is loaded again", title(item, image)));
                if let Err(error) = self.clear_image(&self.id(image)).await {
                    item.state = TarballState::Bad(refused(item, error)?);
                    break;
                }
            }
        }
        self.held = self.engine.images().await?;
        Ok(())
    }

    async fn item(&mut self, item: &Tarball, after: &[Tarball], claims: &Claims) -> Result<(), Stop> {
        let index = match &item.state {
            TarballState::Bad(problem) => return self.bad(item, problem).await,
            TarballState::Known(ids) => {
                self.tag_known(item, ids).await?;
                return self.finish(item, claims, Vec::new()).await;
            }
            TarballState::Archive(index) => index,
        };
        let missing = self.missing(item, claims);
        if !missing.is_empty() {
            self.next = self.foresee(&missing, after, claims).filter(|_| item.pull().is_none());
            self.load_all(item, &missing).await?;
        }
        self.tag(item, index, claims).await?;
        self.lasting(item, index, claims, &missing).await
    }

    /// One that is not here is missed only where the engine has no image of its names.
    async fn bad(&self, item: &Tarball, problem: &Problem) -> Result<(), Stop> {
        if !item.is_absent() || !self.is_settled(item) {
            return Err(problem.clone().into());
        }
        // The plan knows no engine: it is told that nothing of it is to be paid for any more.
        if item.said_size(self.receipts).is_some() {
            let known = loaded::names(&self.held);
            let ids = item.names().iter().filter_map(|name| known.get(name).cloned()).collect();
            let (receipts, record) = (self.receipts.clone(), Record::Tarball { from: item.stamp.clone(), ids });
            blocking(move || receipts.append(&record)).await.map_err(not_recorded)?;
        }
        Ok(())
    }

    fn fail(&mut self, item: &Tarball, problem: Problem) {
        self.mark(item, &problem);
        self.report.problem(problem);
    }

    fn mark(&mut self, item: &Tarball, problem: &Problem) {
        if item.is_in_registry() {
            // What a cut left of it is not to be used in its place.
            let (receipts, names) = (self.receipts, item.names());
            let torn = |image: &HeldImage| receipts.was_begun(&image.id) && !receipts.has_image(&image.id);
            let its =
                |image: &HeldImage| loaded::names(std::slice::from_ref(image)).keys().any(|name| names.contains(name));
            self.held.retain(|image| !(torn(image) && its(image)));
        }
        let present = loaded::names(&self.held);
        let names: Vec<_> = item.names().into_iter().filter(|name| !present.contains_key(name)).collect();
        let titles = names.iter().map(ImageName::familiar);
        let titles: Vec<_> = if names.is_empty() { vec![item.path.clone()] } else { titles.collect() };
        for title in titles {
            self.report.item(Kind::Image, &title, State::Failed, problem.facts().sentence);
        }
        self.failed.extend(names.into_iter().map(|name| (name, problem.clone())));
    }

    /// Images of another hand are used, and said so.
    fn note_unverified(&self) {
        let foreign = self.held.iter().filter(|image| !self.receipts.has_image(&image.id));
        let names: Vec<_> = foreign.flat_map(|image| image.names.iter().map(String::as_str)).collect();
        if !names.is_empty() {
            self.report.note(format!("in the engine, but not from a tarball of this card: {}", names.join(", ")));
        }
    }
}

fn failed(doing: &str, error: &Error) -> EngineProblem {
    EngineProblem::Failed { doing: doing.to_owned(), why: error.to_string() }
}
