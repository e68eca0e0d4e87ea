//! The store: every deb of a lock, fetched once and taken apart once, under its SHA256.
//!
//! ```text
//! deb/<sha256>/dash_0.5.12-12_arm64.deb   as fetched
//!              unpacked/index.json, 0, 1… see deb::index
//! ```
//! A folder `deb/<sha256>` may be deleted at any time between two runs. Several runs may use one store at once.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use offspot_agent::stream::digest::DigestReader;
use offspot_config::settings::Algorithm;

use crate::deb::index::Unpacked;
use crate::fetch::progress::Progress;
use crate::fetch::{Downloads, Missing, Wanted, mirrors};
use crate::lock::{Lock, Locked};
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};

/// How to bring.
#[derive(Debug, Clone)]
pub struct Options {
    /// The network is not asked: what is not in the store is missing.
    pub offline: bool,
    /// Debs fetched, or taken apart, at once.
    pub jobs: NonZero<usize>,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { offline: false, jobs: NonZero::<usize>::MIN.saturating_add(3), progress: true }
    }
}

/// The store.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// The debs of a lock, each taken apart, in order of the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debs {
    debs: Vec<Unpacked>,
}

impl Debs {
    /// Each package with its deb.
    pub fn of<'a>(&'a self, lock: &'a Lock) -> impl Iterator<Item = (&'a Locked, &'a Unpacked)> {
        lock.packages.iter().zip(&self.debs)
    }
}

impl Store {
    /// The store in `folder`, which is made where it is missing.
    pub fn open(folder: &Path) -> Outcome<Store> {
        let folder = std::path::absolute(folder).doing(folder.display())?;
        let made = fs::create_dir_all(folder.join("deb"));
        made.doing(format_args!("{}: no place for the store of debs; name another with --store", folder.display()))?;
        Ok(Store { folder })
    }

    /// Every deb of the lock, fetched where it is not there yet. What is newest is never asked. Where packages are missing they are all named,
    /// and what came of the others is kept.
    pub fn bring(&self, skel: &Skel, lock: &Lock, options: &Options) -> Outcome<Debs> {
        let places = lock.packages.iter().map(|locked| self.place(locked)).collect::<Outcome<Vec<Place>>>()?;
        let absent = || lock.packages.iter().zip(&places).filter(|(locked, place)| !place.has(locked));
        let progress = Progress::new(options.progress, absent().count(), absent().map(|(locked, _)| locked.size).sum());
        let downloads = (!options.offline).then(|| Downloads::new(&progress));
        let job = |at: usize| {
            let (Some(locked), Some(place)) = (lock.packages.get(at), places.get(at)) else {
                return Err(Missing::Here(Failure::new("no such package")));
            };
            place.bring(locked, || match &downloads {
                Some(downloads) => {
                    fetch(downloads, (skel, lock, locked), place).inspect(|()| progress.done(&locked.package))
                }
                None => Err(Missing::Gone(Vec::new())),
            })
        };
        let brought = in_parallel(largest_first(lock), options.jobs.get(), job);
        progress.end();
        sort(lock, brought, options.offline)
    }

    /// Copies the debs of the lock into `folder`, where they lie as on a mirror: `file://FOLDER` in `skel.toml` finds them there for ever.
    pub fn export(&self, lock: &Lock, folder: &Path) -> Outcome<()> {
        for locked in &lock.packages {
            let place = self.place(locked)?;
            let from = [format!("file://{}", place.deb.display())];
            let to = folder.join(&locked.filename);
            fs::create_dir_all(to.parent().unwrap_or(folder)).doing(folder.display())?;
            let wanted = Wanted { urls: &from, size: locked.size, sha256: &locked.sha256 };
            let silent = Progress::new(false, 0, 0);
            if digest(&to).is_ok_and(|found| found == locked.sha256) {
                continue;
            }
            Downloads::new(&silent).bring(&wanted, &to).map_err(|missing| match missing {
                Missing::Gone(said) => Failure::new(format!(
                    "{}: delete {} if it is there, and run `image-skel fetch`",
                    said.join("; "),
                    place.deb.display()
                )),
                Missing::Here(failure) => failure,
            })?;
        }
        Ok(())
    }

    fn place(&self, locked: &Locked) -> Outcome<Place> {
        let sha256 = &locked.sha256;
        let is_hex = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = locked.filename.split('/');
        let is_below = !locked.filename.starts_with('/') && parts.all(|part| !matches!(part, "" | "." | ".."));
        let name = locked.filename.rsplit('/').next().filter(|name| name.ends_with(".deb"));
        let (Some(name), true, true) = (name, is_hex, is_below) else {
            return Err(Failure::new(format!(
                "{}: the lock gives it no proper SHA256 and Filename: run `image-skel lock --update {}`",
                locked.package, locked.package
            )));
        };
        let folder = self.folder.join("deb").join(sha256);
        Ok(Place { deb: folder.join(name), unpacked: folder.join("unpacked"), folder })
    }
}

fn digest(file: &Path) -> std::io::Result<String> {
    let mut reader = DigestReader::new(Algorithm::Sha256, File::open(file)?);
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok(reader.hex())
}

fn fetch(
    downloads: &Downloads<'_>,
    (skel, lock, locked): (&Skel, &Lock, &Locked),
    place: &Place,
) -> Result<(), Missing> {
    let urls = mirrors::urls(skel, lock, locked).map_err(Missing::Here)?;
    downloads.bring(&Wanted { urls: &urls, size: locked.size, sha256: &locked.sha256 }, &place.deb)
}

/// Where one deb lies.
struct Place {
    folder: PathBuf,
    deb: PathBuf,
    unpacked: PathBuf,
}

impl Place {
    fn has(&self, locked: &Locked) -> bool {
        self.deb.metadata().is_ok_and(|found| found.is_file() && found.len() == locked.size)
    }

    fn bring(&self, locked: &Locked, fetch: impl FnOnce() -> Result<(), Missing>) -> Result<Unpacked, Missing> {
        let there = || if self.has(locked) { Unpacked::open(&self.unpacked) } else { None };
        if let Some(unpacked) = there() {
            return Ok(unpacked);
        }
        fs::create_dir_all(&self.folder).doing(self.folder.display()).map_err(Missing::Here)?;
        // Held until the function is left: another run waits here, then finds it done.
        let folder = File::open(&self.folder).and_then(|folder| folder.lock().map(|()| folder));
        let _alone = folder.doing(self.folder.display()).map_err(Missing::Here)?;
        if let Some(unpacked) = there() {
            return Ok(unpacked);
        }
        // One that was damaged since it was fetched is fetched again.
        if !digest(&self.deb).is_ok_and(|found| found == locked.sha256) {
            fetch()?;
        }
        self.extract(locked).map_err(Missing::Here)
    }

    fn extract(&self, locked: &Locked) -> Outcome<Unpacked> {
        let staged = self.unpacked.with_extension("part");
        for folder in [&staged, &self.unpacked] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).doing(folder.display());
                }
                _ => {}
            }
        }
        let unpacked = Unpacked::extract(&self.deb, &locked.sha256, &staged)?;
        fs::rename(&staged, &self.unpacked).doing(self.unpacked.display())?;
        Ok(unpacked.moved(&self.unpacked))
    }
}

/// So that no large one is left for the end, when all other workers are idle.
fn largest_first(lock: &Lock) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lock.packages.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lock.packages.get(*at).map(|locked| locked.size)));
    order
}

type Brought = Result<Unpacked, Missing>;

/// Runs the jobs in that order; answers by number. A failure that is not of the mirrors keeps further jobs from being started.
fn in_parallel(order: Vec<usize>, workers: usize, job: impl Fn(usize) -> Brought + Sync) -> Vec<Option<Brought>> {
    let done = Mutex::new(order.iter().map(|_| None).collect::<Vec<_>>());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(at) =
                    order.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !stop.load(Ordering::Relaxed))
                {
                    let brought = job(*at);
                    stop.fetch_or(matches!(brought, Err(Missing::Here(_))), Ordering::Relaxed);
                    if let Some(place) = done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(*at) {
                        *place = Some(brought);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// All debs, or one failure that says all there is to say.
fn sort(lock: &Lock, brought: Vec<Option<Brought>>, offline: bool) -> Outcome<Debs> {
    let (mut debs, mut gone) = (Vec::new(), Vec::new());
    for (locked, brought) in lock.packages.iter().zip(brought) {
        match brought {
            Some(Ok(deb)) => debs.push(deb),
            Some(Err(Missing::Here(failure))) => return Err(failure),
            Some(Err(Missing::Gone(said))) => gone.push((locked, said)),
            // Not begun after another one failed, which is told instead.
            None => {}
        }
    }
    match (gone.is_empty(), offline) {
        (true, _) if debs.len() == lock.packages.len() => Ok(Debs { debs }),
        (_, true) => Err(absent(&gone)),
        (_, false) => Err(no_mirror(&gone)),
    }
}

fn absent(gone: &[(&Locked, Vec<String>)]) -> Failure {
    let names: Vec<&str> = gone.iter().map(|(locked, _)| locked.package.as_str()).collect();
    Failure::new(format!(
        "{} not in the store, and the network was not to be asked: run `image-skel fetch` where there is one: {}",
        packages(names.len()),
        names.join(" ")
    ))
}

fn no_mirror(gone: &[(&Locked, Vec<String>)]) -> Failure {
    let names: Vec<&str> = gone.iter().map(|(locked, _)| locked.package.as_str()).collect();
    let mut text = format!("{} to be had from no mirror:", packages(names.len()));
    for (locked, said) in gone {
        text.push_str(&format!("\n  {} {} ({})", locked.package, locked.version, locked.suite));
        let none = ["skel.toml names no mirror of this suite that could have it".to_owned()];
        let said = if said.is_empty() { none.as_slice() } else { said };
        said.iter().for_each(|why| text.push_str(&format!("\n    {why}")));
    }
    text.push_str(&format!(
        "\nAdd a mirror that still has it to skel.toml (the snapshot service, or `file://FOLDER` of a folder made by `image-skel fetch \
         --export FOLDER`), or lock what the mirrors have now: `image-skel lock --update {}`",
        names.join(" ")
    ));
    Failure::new(text)
}

fn packages(count: usize) -> String {
    if count == 1 { "1 package of the lock is".to_owned() } else { format!("{count} packages of the lock are") }
}
