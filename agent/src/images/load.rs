//! Brings tarballs into the engine. An image is *present* when the engine has it and a receipt lists it; every other one is loaded, on the
//! layers of those that are present.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bollard::errors::Error;

use super::archive::Image;
use super::bring::{refused, title};
use super::claims::Claims;
use super::loaded::{self, Loaded};
use super::name::ImageName;
use super::survey::{Tarball, TarballState};
use super::thin;
use crate::engine::{Engine, HeldImage};
use crate::ground::blocking;
use crate::problem::{EngineProblem, Problem};
use crate::receipts::Receipts;
use crate::report::{Kind, Phase, Reporter, State};

/// Loads the tarballs in order. A bad one costs itself: it is reported by its path and the others go on. Each image is verified while its
/// bytes pass, then synced (`data` is the mounted data partition), then recorded; only then is its tarball removed, if it may be.
/// Entries of `oci_images` without a tarball are problems only where the engine has no such image.
pub async fn load(
    engine: &Engine,
    data: &Path,
    items: Vec<Tarball>,
    receipts: &Receipts,
    report: &Reporter,
    keep_tarballs: bool,
) -> Loaded {
    let mut loading = Loading {
        engine,
        data,
        receipts,
        report,
        keep_tarballs,
        held: Vec::new(),
        trusted: BTreeSet::new(),
        failed: BTreeMap::new(),
    };
    match loading.run(items).await {
        Ok(()) => loading.note_unverified(),
        Err(error) => report.problem(failed("loading images", &error)),
    }
    Loaded::of(&loading.held, loading.failed)
}

/// Everything the step works with.
pub(super) struct Loading<'a> {
    pub(super) engine: &'a Engine,
    pub(super) data: &'a Path,
    pub(super) receipts: &'a Receipts,
    pub(super) report: &'a Reporter,
    pub(super) keep_tarballs: bool,
    /// What the engine has.
    pub(super) held: Vec<HeldImage>,
    /// Chain ids of the layers that a receipted image stands on, or one that this run loaded and looked at.
    pub(super) trusted: BTreeSet<String>,
    failed: BTreeMap<ImageName, Problem>,
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
    async fn run(&mut self, mut items: Vec<Tarball>) -> Result<(), Error> {
        self.held = self.engine.images().await?;
        self.clear_parts().await?;
        for item in &mut items {
            self.reopen(item).await;
        }
        let claims = Claims::of(&items, &loaded::names(&self.held));
        let ahead = items.iter().any(|item| !self.missing(item, &claims).is_empty());
        if ahead {
            self.trust().await?;
        }
        self.announce(&items, &claims);
        if ahead {
            self.clear(&mut items, &claims).await?;
        }
        for item in &items {
            match self.item(item, &claims).await {
                Ok(()) => {}
                Err(Stop::Item(problem)) => self.fail(item, problem),
                Err(Stop::Engine(error)) => {
                    self.fail(item, failed(&format!("loading {}", item.path), &error).into());
                    // Gone for good, or only for this one? The next answer tells.
                    self.held = self.engine.images().await?;
                }
            }
        }
        Ok(())
    }

    /// A tarball that was loaded, but whose images the engine has lost, is read again; one from the network that the engine lacks is fetched.
    async fn reopen(&self, item: &mut Tarball) {
        let ahead = match &item.state {
            TarballState::Known(ids) => !ids.iter().all(|id| self.is_present(id)),
            TarballState::Bad(_) => item.remote && !self.is_named(item),
            TarballState::Archive(_) => false,
        };
        if ahead {
            let (mut opened, receipts, report) = (item.clone(), self.receipts.clone(), self.report.clone());
            *item = blocking(move || {
                if opened.remote {
                    return opened.bring_here(&receipts, &report);
                }
                opened.open(&receipts);
                opened
            })
            .await;
        }
    }

    /// Whether the engine has an image of one of its names.
    fn is_named(&self, item: &Tarball) -> bool {
        let known = loaded::names(&self.held);
        item.names().iter().any(|name| known.contains_key(name))
    }

    fn is_held(&self, id: &str) -> bool {
        self.held.iter().any(|image| image.id == id)
    }

    fn is_present(&self, id: &str) -> bool {
        self.is_held(id) && self.receipts.has_image(id)
    }

    /// The images of a tarball that are still to be loaded.
    fn missing<'i>(&self, item: &'i Tarball, claims: &Claims) -> Vec<&'i Image> {
        let TarballState::Archive(index) = &item.state else {
            return Vec::new();
        };
        let mine = |image: &&Image| !self.is_present(&image.id) && !claims.lost(&item.path, &image.id);
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
                let here = index.images.iter().filter(|image| self.is_present(&image.id));
                here.map(|image| title(item, image)).collect()
            }
            TarballState::Known(ids) => {
                let here = self.held.iter().filter(|image| ids.contains(&image.id));
                here.filter_map(|image| image.names.first().cloned()).collect()
            }
            TarballState::Bad(_) if item.is_absent() && self.is_named(item) => {
                item.names().first().map(ImageName::familiar).into_iter().collect()
            }
            TarballState::Bad(_) => Vec::new(),
        }
    }

    /// Removes the parts that a load left behind which was cut, before anything is taken for what stands.
    async fn clear_parts(&mut self) -> Result<(), Error> {
        let parts: Vec<_> = self.held.iter().filter(|image| image.is_part).map(|part| part.id.clone()).collect();
        for part in &parts {
            self.engine.clear_image(part).await?;
        }
        self.held.retain(|image| !parts.contains(&image.id));
        Ok(())
    }

    /// Learns on which layers the receipted images stand.
    async fn trust(&mut self) -> Result<(), Error> {
        for image in self.held.iter().filter(|image| self.receipts.has_image(&image.id)) {
            let layers = self.engine.image_layers(&image.id).await?.unwrap_or_default();
            self.trusted.extend(super::archive::chain(&layers));
        }
        Ok(())
    }

    /// Removes what the engine holds without a receipt and a tarball here can put back: all of it before the first load, for such images may
    /// share layers. The tarball is read through before, so that nothing is removed that cannot be put back.
    async fn clear(&mut self, items: &mut [Tarball], claims: &Claims) -> Result<(), Error> {
        for item in items {
            let missing = self.missing(item, claims);
            let doubtful: Vec<_> = missing.into_iter().filter(|image| self.is_held(&image.id)).collect();
            if doubtful.is_empty() {
                continue;
            }
            if let Err(problem) = self.prove(item, &doubtful).await {
                item.state = TarballState::Bad(problem);
                continue;
            }
            for image in doubtful {
                self.report.note(format!("{} was not recorded as whole and is loaded again", title(item, image)));
                if let Err(error) = self.engine.clear_image(&image.id).await {
                    item.state = TarballState::Bad(refused(item, error)?);
                    break;
                }
            }
        }
        self.held = self.engine.images().await?;
        Ok(())
    }

    async fn item(&mut self, item: &Tarball, claims: &Claims) -> Result<(), Stop> {
        let index = match &item.state {
            TarballState::Bad(problem) => return self.bad(item, problem),
            TarballState::Known(ids) => {
                self.tag_known(item, ids).await?;
                return self.finish(item, claims, Vec::new()).await;
            }
            TarballState::Archive(index) => index,
        };
        let missing = self.missing(item, claims);
        if !missing.is_empty() {
            self.load_all(item, &missing).await?;
        }
        self.tag(item, index, claims).await?;
        self.lasting(item, index, claims, &missing).await
    }

    /// One that is not here is missed only where the engine has no image of its names.
    fn bad(&self, item: &Tarball, problem: &Problem) -> Result<(), Stop> {
        if item.is_absent() && self.is_named(item) {
            return Ok(());
        }
        Err(problem.clone().into())
    }

    fn fail(&mut self, item: &Tarball, problem: Problem) {
        let present = loaded::names(&self.held);
        let names: Vec<_> = item.names().into_iter().filter(|name| !present.contains_key(name)).collect();
        let titles = names.iter().map(ImageName::familiar);
        let titles: Vec<_> = if names.is_empty() { vec![item.path.clone()] } else { titles.collect() };
        for title in titles {
            self.report.item(Kind::Image, &title, State::Failed, problem.facts().sentence);
        }
        self.failed.extend(names.into_iter().map(|name| (name, problem.clone())));
        self.report.problem(problem);
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
