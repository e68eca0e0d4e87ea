//! Which tarballs are here, and how each stands: read-only, and without an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::UNIX_EPOCH;

use offspot_config::settings::OciImage;

use super::archive::{Counted, HEADERS, Image, Index};
use super::fault::Fault;
use super::fetch;
use super::name::ImageName;
use super::registry::Network;
use super::registry::pull::Pull;
use super::source::Bytes;
use crate::card::stick::{self, Sticks};
use crate::fetch::{Fetcher, is_remote};
use crate::host::Host;
use crate::problem::{ImageProblem, Problem};
use crate::receipts::{Receipts, Stamp};
use crate::report::Reporter;
use crate::stream::decode::Packing;

/// What the place is called that a stick is.
const STICK: &str = "the stick";
/// Suffixes that say tarball without saying `.tar`.
const SHORT: [&str; 5] = [".tgz", ".txz", ".tbz", ".tbz2", ".tzst"];

/// An image tarball, or an entry of `oci_images` whose tarball is not here.
#[derive(Debug, Clone)]
pub struct Tarball {
    /// As the user knows it: a path on the card, or the name in `oci_images`.
    pub path: String,
    /// Where it is for us.
    pub(super) file: PathBuf,
    /// What to call the place that it lies in.
    pub(super) place: &'static str,
    pub(super) host: Host,
    /// Where its bytes come from.
    pub(super) origin: Origin,
    /// What receipts know it by.
    pub stamp: Stamp,
    /// Whether it may be removed once loaded: it lies in `/data/images`.
    pub removable: bool,
    /// How it stands.
    pub state: TarballState,
    /// Entries of `oci_images` that mean it.
    pub wanted: Vec<OciImage>,
}

/// Where the bytes of an image come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// From a tarball on the card, if there is one.
    Card,
    /// From a tarball that is still to be fetched, to `file`.
    Url,
    /// From a registry, which was not asked yet.
    Registry,
    /// From a registry that has it.
    Pull(Arc<Pull>),
}

/// How a tarball stands.
#[derive(Debug, Clone)]
pub enum TarballState {
    /// Loaded by an earlier boot and not changed since: these image ids. It was not opened.
    Known(Vec<String>),
    /// Read: it holds these images.
    Archive(Index),
    /// Of no use, or not here.
    Bad(Problem),
}

impl Tarball {
    /// What the tarball, or `oci_images` for it, calls its images; nothing of one that was not opened and that no entry means.
    pub fn names(&self) -> BTreeSet<ImageName> {
        let wanted = self.wanted.iter().flat_map(|entry| entry_names(&entry.ident));
        let held = match &self.state {
            TarballState::Archive(index) => index.images.iter().flat_map(|image| image.names.clone()).collect(),
            _ => Vec::new(),
        };
        wanted.chain(held).collect()
    }

    /// Whether the file is still the one that was looked at.
    pub(super) fn is_unchanged(&self) -> bool {
        stamp(&self.file, &self.stamp.path) == self.stamp
    }

    /// Whether it is no tarball, but an entry of `oci_images` without one.
    pub(super) fn is_absent(&self) -> bool {
        self.is_remote() || self.file.as_os_str().is_empty()
    }

    /// Whether it comes over the network.
    pub(super) fn is_remote(&self) -> bool {
        !matches!(self.origin, Origin::Card)
    }

    /// Whether it is a registry's.
    pub(super) fn is_in_registry(&self) -> bool {
        matches!(self.origin, Origin::Registry | Origin::Pull(_))
    }

    /// The registry's image that it is.
    pub(super) fn pull(&self) -> Option<&Arc<Pull>> {
        match &self.origin {
            Origin::Pull(pull) => Some(pull),
            _ => None,
        }
    }

    /// What is wrong with it, in words for where it comes from.
    pub(super) fn problem(&self, fault: Fault) -> Problem {
        if self.is_in_registry() { fault.of_pulled(&self.path) } else { fault.of(&self.path) }
    }

    /// What this image of it is to be called.
    pub(super) fn names_of(&self, index: &Index, image: &Image) -> BTreeSet<ImageName> {
        let alone = index.images.len() == 1;
        let meant = self.wanted.iter().filter(|entry| alone || speaks_of(entry, image));
        let meant = meant.flat_map(|entry| entry_names(&entry.ident));
        meant.chain(image.names.iter().cloned()).collect()
    }

    /// The same in the engine's words.
    pub(super) fn engine_names(&self, index: &Index, image: &Image) -> Vec<String> {
        self.names_of(index, image).iter().map(ImageName::engine_name).collect()
    }

    /// Opens it, whatever receipts say of the tarball, and counts the layers of the images of which they say nothing.
    pub(super) fn open(&mut self, receipts: &Receipts) {
        let read = self.read();
        self.settle(read);
        self.count(receipts, &mut Counted::new());
    }

    /// Whether what unpacks it takes megabytes of memory.
    fn is_large(&self) -> bool {
        let opened = Bytes::open(&self.file, HEADERS);
        opened.is_ok_and(|(packing, _)| !matches!(packing, Packing::Plain | Packing::Gz))
    }

    /// One that lies on a stick. It is called the same whichever stick it is, so that receipts know it again.
    fn on_stick(path: &Path, host: &Host) -> Tarball {
        let mut tarball = Tarball::of(host.path(path), host);
        tarball.path = format!("{} on {STICK}", stick::own_path(path).display());
        tarball.stamp.path.clone_from(&tarball.path);
        tarball.place = STICK;
        tarball
    }

    /// Its headers.
    fn read(&self) -> Result<Index, Fault> {
        let (packing, mut source) = Bytes::open(&self.file, HEADERS)?;
        match self.stamp.size {
            0 => Err(Fault::Empty),
            ..512 if packing == Packing::Plain => Err(Fault::not_archive("it is shorter than any tar")),
            _ => Index::read(&mut source, arch()),
        }
    }

    fn settle(&mut self, read: Result<Index, Fault>) {
        self.state = match read {
            Ok(index) => TarballState::Archive(index),
            Err(fault) => TarballState::Bad(self.problem(fault)),
        };
    }

    fn count(&mut self, receipts: &Receipts, counted: &mut Counted) {
        let TarballState::Archive(index) = &mut self.state else { return };
        if let Err(error) = index.count(&self.file, counted, |id| !receipts.has_image(id)) {
            self.settle(Err(error.into()));
        }
    }

    /// One that was not looked into.
    fn of(file: PathBuf, host: &Host) -> Tarball {
        let path = match file.strip_prefix(host.root()) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => file.clone(),
        };
        let path = path.to_string_lossy().into_owned();
        Tarball {
            place: if file.starts_with(host.boot()) { "the boot partition" } else { "the card" },
            removable: file.parent() == Some(host.images().as_path()),
            stamp: stamp(&file, &path),
            file,
            path,
            host: host.clone(),
            origin: Origin::Card,
            state: TarballState::Known(Vec::new()),
            wanted: Vec::new(),
        }
    }

    /// An entry whose tarball is not here. One that is fetched will lie in `/data/images` under the image creator's name for it; without a
    /// `url` the image is its registry's.
    fn absent(entry: &OciImage, host: &Host) -> Tarball {
        let name = ImageName::parse(&entry.ident);
        let origin = match entry.url.as_deref() {
            _ if name.is_none() => Origin::Card,
            // A tarball's checksum says nothing of what a registry has.
            None if entry.checksum.is_some() => Origin::Card,
            None => Origin::Registry,
            Some(url) if is_remote(url) => Origin::Url,
            Some(_) => Origin::Card,
        };
        let removable = matches!(origin, Origin::Url);
        let stem = name.map(|name| name.file_stem()).filter(|_| removable);
        let file = stem.map(|stem| host.images().join(format!("{stem}.tar")));
        let problem = ImageProblem::Missing { name: entry.ident.clone() };
        Tarball {
            stamp: Stamp { path: entry.ident.clone(), size: 0, mtime: 0 },
            path: entry.ident.clone(),
            removable,
            origin,
            place: "the network",
            file: file.unwrap_or_default(),
            host: host.clone(),
            state: TarballState::Bad(problem.into()),
            wanted: vec![entry.clone()],
        }
    }

    /// Fetches what is to be fetched, and opens it.
    pub(super) fn bring_here(mut self, fetcher: &Fetcher, receipts: &Receipts, report: &Reporter) -> Tarball {
        if let Err(problem) = fetch::fetch(fetcher, &self, report) {
            self.state = TarballState::Bad(problem);
            return self;
        }
        let mut tarball = Tarball { wanted: self.wanted, place: self.place, ..Tarball::of(self.file, &self.host) };
        let alone = slice::from_mut(&mut tarball);
        look(alone, receipts);
        count(alone, receipts);
        let is_none = |problem: &ImageProblem| {
            use ImageProblem::{Empty, NotArchive, Truncated};
            matches!(problem, Empty { .. } | NotArchive { .. } | Truncated { .. })
        };
        if let TarballState::Bad(Problem::Image(problem)) = &tarball.state
            && is_none(problem)
        {
            // Left here it would be taken for the card's own, and never fetched again.
            let removed = std::fs::remove_file(&tarball.file);
            removed.unwrap_or_else(|error| tracing::warn!("{}: {error}", tarball.file.display()));
        }
        tarball
    }

    /// Asks its registry what it is made of. Nothing of its layers is fetched yet.
    pub(super) fn find(mut self, network: &Network) -> Tarball {
        let name = self.wanted.first().and_then(|entry| ImageName::parse(&entry.ident));
        let title = self.names().first().map(ImageName::familiar).unwrap_or_default();
        match name.map(|name| Pull::find(network, &name, &title, arch())) {
            Some(Ok((pull, index))) => (self.origin, self.state) = (Origin::Pull(pull), TarballState::Archive(index)),
            Some(Err(fault)) => self.state = TarballState::Bad(self.problem(fault)),
            None => {}
        }
        self
    }

    /// Whether this entry of `oci_images` means this tarball.
    fn is_meant(&self, entry: &OciImage, host: &Host) -> bool {
        match entry.url.as_deref() {
            Some(url) if !is_remote(url) => self.file == fetch::on_card(url, host),
            _ => self.is_named(entry) || self.holds(entry),
        }
    }

    /// By its file name, as the image creator would give it.
    fn is_named(&self, entry: &OciImage) -> bool {
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        let stem = ImageName::parse(&entry.ident).map(|name| name.file_stem());
        let rest = stem.as_deref().and_then(|stem| file.strip_prefix(stem));
        rest.is_some_and(|rest| rest.starts_with("_linux") || rest.starts_with('.'))
    }

    fn holds(&self, entry: &OciImage) -> bool {
        match &self.state {
            TarballState::Archive(index) => index.images.iter().any(|image| speaks_of(entry, image)),
            _ => false,
        }
    }
}

/// Every tarball in the two image folders and those that `oci_images` names, on a stick too, in this order, by name within a folder. One that is receipted and
/// unchanged costs one `stat`; of the others the headers are read, and what the layers of plain ones cost is an estimate. An entry of `oci_images` without a tarball here comes last, as a
/// [`TarballState::Bad`] that [`load`](super::load::load) passes over where the engine has the image.
pub fn survey(host: &Host, wanted: &[OciImage], receipts: &Receipts) -> Vec<Tarball> {
    let mut files = tarballs_in(&host.images());
    files.extend(tarballs_in(&host.boot_images()));
    for url in wanted.iter().filter_map(|entry| entry.url.as_deref()).filter(|url| !is_remote(url)) {
        let file = fetch::on_card(url, host);
        if !files.contains(&file) && file.is_file() {
            files.push(file);
        }
    }
    let mut tarballs: Vec<_> = files.into_iter().map(|file| Tarball::of(file, host)).collect();
    if !wanted.is_empty() {
        let on_sticks = Sticks::here(host).images().into_iter().filter(|file| is_tarball(&host.path(file)));
        tarballs.extend(on_sticks.map(|file| Tarball::on_stick(&file, host)));
    }
    look(&mut tarballs, receipts);
    for entry in wanted {
        claim(&mut tarballs, entry, host);
    }
    // A stick may be the library of a whole region: what nobody asked for stays there.
    tarballs.retain(|tarball| tarball.place != STICK || !tarball.wanted.is_empty());
    tarballs
}

/// Reads those that no receipt knows.
fn look(tarballs: &mut [Tarball], receipts: &Receipts) {
    let mut unread = Vec::new();
    for tarball in tarballs {
        match receipts.tarball(&tarball.stamp) {
            Some(ids) => tarball.state = TarballState::Known(ids),
            None => unread.push(tarball),
        }
    }
    let read = read_all(&unread);
    unread.into_iter().zip(read).for_each(|(tarball, read)| tarball.settle(read));
}

/// Counts the files in the layers of plain tarballs, which takes a look at each: then their costs are no estimates any more.
pub fn count(tarballs: &mut [Tarball], receipts: &Receipts) {
    let mut counted = Counted::new();
    tarballs.iter_mut().for_each(|tarball| tarball.count(receipts, &mut counted));
}

/// Reads several at a time, for the headers of one that is packed come only as fast as one processor unpacks it. Those whose decoder takes
/// megabytes are read one after another.
fn read_all(tarballs: &[&mut Tarball]) -> Vec<Result<Index, Fault>> {
    let (large, small): (Vec<_>, Vec<_>) = tarballs.iter().enumerate().partition(|(_, tarball)| tarball.is_large());
    let (next, read) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let read_one = |(at, tarball): &(usize, &&mut Tarball)| {
        let found = tarball.read();
        read.lock().unwrap_or_else(PoisonError::into_inner).insert(*at, found);
    };
    let read_small = || {
        while let Some(one) = small.get(next.fetch_add(1, Ordering::Relaxed)) {
            read_one(one);
        }
    };
    let others = available_parallelism().map_or(1, NonZero::get).min(tarballs.len()).saturating_sub(1);
    thread::scope(|scope| {
        // Where there is no other thread to be had this one reads them all.
        (0..others).for_each(|_| drop(thread::Builder::new().spawn_scoped(scope, read_small)));
        large.iter().for_each(read_one);
        read_small();
    });
    read.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Notes the entry at the tarballs that it means, or as one that is absent.
fn claim(tarballs: &mut Vec<Tarball>, entry: &OciImage, host: &Host) {
    let mut meant: Vec<_> = tarballs.iter_mut().filter(|tarball| tarball.is_meant(entry, host)).collect();
    // What is on the card need not be read from a stick.
    if meant.iter().any(|tarball| tarball.place != STICK) {
        meant.retain(|tarball| tarball.place != STICK);
    }
    if !meant.is_empty() {
        return meant.into_iter().for_each(|tarball| tarball.wanted.push(entry.clone()));
    }
    tarballs.push(Tarball::absent(entry, host));
}

/// Every name that an `ident` gives: with both tag and digest it gives two.
pub(super) fn entry_names(ident: &str) -> impl Iterator<Item = ImageName> {
    let tagged = ident.split_once('@').map(|(tagged, _)| tagged);
    let tagged = tagged.filter(|tagged| tagged.rsplit('/').next().is_some_and(|last| last.contains(':')));
    ImageName::parse(ident).into_iter().chain(tagged.and_then(ImageName::parse))
}

/// Whether an entry names this very image, by tag, by digest, or by the repository of one that has no tag.
fn speaks_of(entry: &OciImage, image: &Image) -> bool {
    entry_names(&entry.ident).any(|name| match name.digest() {
        Some(digest) => {
            image.digests.iter().any(|own| own == digest) || image.repositories.contains(&name.familiar_repository())
        }
        None => image.names.contains(&name),
    })
}

/// Its tarballs by name; what is hidden, unfinished (`.part`) or of another kind is none.
fn tarballs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|file| is_tarball(file)).collect();
    files.sort();
    files
}

fn is_tarball(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let named = name.contains(".tar") || SHORT.iter().any(|suffix| name.ends_with(suffix));
    named && !name.starts_with('.') && !name.ends_with(".part") && file.is_file()
}

fn stamp(file: &Path, path: &str) -> Stamp {
    let metadata = fs::metadata(file);
    let modified = metadata.as_ref().ok().and_then(|metadata| metadata.modified().ok());
    let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    Stamp {
        path: path.to_owned(),
        size: metadata.map_or(0, |metadata| metadata.len()),
        mtime: since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0),
    }
}

/// This board's architecture in Go's words.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}
