//! Gives verified entries their names: one sync before, one after, then the receipts.
//!
//! Small entries share the three flushes. A cut before the first leaves nothing visible; one between the renames and the receipts is told by
//! the intents, which were synced with the bytes. A merge names its members one by one, so that a cut leaves those of two versions: before the
//! first of them its receipt says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, linkat, syncfs, unlinkat};

use super::below_data;
use super::merge::{Kept, Rights, merge};
use super::ours::{Intent, is_key};
use super::stage::Staged;
use super::standing::{Ground, Standing, is_folder, is_reserved, mtime};
use super::trouble::{self, Trouble};
use crate::fetch;
use crate::receipts::{FileReceipt, Record};
use crate::report::{Kind, Reporter, State};
use crate::stream::beneath::{Beneath, split};

/// How each staged entry fared, by its `to`.
type Outcome = (String, io::Result<(u64, Kept)>);

/// Entries that are staged and wait for their names together, and how those before them fared.
#[derive(Debug)]
pub struct Batch<'a> {
    ground: &'a Ground<'a>,
    report: &'a Reporter,
    staged: RefCell<Vec<Staged>>,
    failed: RefCell<Vec<String>>,
}

impl<'a> Batch<'a> {
    /// An empty one.
    pub fn new(ground: &'a Ground<'a>, report: &'a Reporter) -> Batch<'a> {
        Batch { ground, report, staged: RefCell::default(), failed: RefCell::default() }
    }

    /// One more.
    pub fn add(&self, staged: Staged) {
        self.staged.borrow_mut().push(staged);
    }

    /// Bytes of those that wait.
    pub fn bytes(&self) -> u64 {
        self.staged.borrow().iter().map(Staged::bytes).sum()
    }

    /// Names those that wait, and tells of each. The staging folder is empty afterwards: nothing else may lie in it.
    pub fn commit(&self) {
        let staged = self.staged.take();
        if staged.is_empty() {
            return;
        }
        let about = |one: &Staged| (one.from.clone(), one.part.clone().zip(one.inode));
        let mut about: BTreeMap<_, _> = staged.iter().map(|one| (one.to.clone(), about(one))).collect();
        for (to, outcome) in commit(self.ground, staged) {
            match outcome {
                Ok((bytes, kept)) => {
                    let (from, part) = about.remove(&to).unwrap_or_default();
                    kept.note(&to).into_iter().for_each(|note| self.report.note(note));
                    let from = if from.is_empty() { from } else { format!(", {from}") };
                    self.report.item(Kind::File, &to, State::Done, format!("placed {}{from}", size(bytes)));
                    if let Some((part, inode)) = part {
                        let forgotten = fetch::part::forget(&self.ground.ours.fetch.join(part), inode);
                        forgotten.unwrap_or_else(|error| tracing::warn!("what was fetched of {to}: {error}"));
                    }
                }
                Err(error) => self.fail(&to, &error),
            }
        }
        let cleared = self.ground.ours.clear().and_then(|()| self.ground.ours.make());
        if let Err(error) = cleared {
            tracing::warn!("cannot empty {}: {error}", self.ground.ours.staging.display());
        }
    }

    /// One is not in its place, and why.
    pub fn fail(&self, to: &str, error: &io::Error) {
        tell_failed(self.report, to, error);
        self.failed.borrow_mut().push(to.to_owned());
    }

    /// Whether this one is not in its place.
    pub fn has_failed(&self, to: &str) -> bool {
        self.failed.borrow().iter().any(|failed| failed == to)
    }

    /// All that are not in their places.
    pub fn failed(&self) -> Vec<String> {
        self.failed.borrow().clone()
    }
}

/// Tells why an entry is not in its place.
pub fn tell_failed(report: &Reporter, to: &str, error: &io::Error) {
    let problem = trouble::problem(to, error);
    report.item(Kind::File, to, State::Failed, problem.facts().sentence);
    report.problem(problem);
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{bytes} bytes"),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn commit(ground: &Ground<'_>, staged: Vec<Staged>) -> Vec<Outcome> {
    let intents: Vec<Intent> = staged.iter().filter_map(Staged::intent).collect();
    let begun: Vec<Record> = staged.iter().filter(|one| is_merge(one)).map(|one| begun(ground, one)).collect();
    let made = ground.ours.intend(&intents).and_then(|()| sync(ground));
    let made = made.and_then(|()| ground.receipts.append_all(&begun));
    if let Err(error) = made {
        return all_failed(&staged, &error);
    }
    let mut outcomes = Vec::new();
    let mut named = Vec::new();
    for one in staged {
        match name(ground, &one) {
            Ok(kept) => named.push((one, kept)),
            Err(error) => outcomes.push((one.to, Err(error))),
        }
    }
    outcomes.extend(record(ground, named));
    outcomes
}

fn is_merge(one: &Staged) -> bool {
    one.inode.is_some() && matches!(one.standing, Standing::Merge { .. })
}

/// That no version of an archive is whole in its place, and which lists name the members that may be: all that were begun before, and this one.
fn begun(ground: &Ground<'_>, one: &Staged) -> Record {
    let earlier = ground.receipts.file(&one.to);
    let lists = earlier.iter().flat_map(FileReceipt::lists).filter(|list| is_key(list) && *list != one.key);
    let placed = lists.chain([one.key.as_str()]).collect::<Vec<_>>().join(" ");
    Record::File { to: one.to.clone(), entry: String::new(), bytes: 0, mtime: 0, placed }
}

fn record(ground: &Ground<'_>, named: Vec<(Staged, Kept)>) -> Vec<Outcome> {
    let (staged, kept): (Vec<Staged>, Vec<Kept>) = named.into_iter().unzip();
    let earlier: Vec<_> = staged.iter().map(|one| ground.receipts.file(&one.to)).collect();
    let news = staged.iter().map(|one| &one.record).filter(|record| !ground.receipts.holds(record));
    let records: Vec<Record> = news.cloned().collect();
    let changed = staged.iter().any(|one| one.inode.is_some());
    let synced = if changed { sync(ground) } else { Ok(()) };
    if let Err(error) = synced.and_then(|()| ground.receipts.append_all(&records)) {
        return all_failed(&staged, &error);
    }
    for (one, earlier) in staged.iter().zip(earlier) {
        // Both names of a list are read, so this may fail or be lost.
        let lists: Vec<&str> = earlier.iter().flat_map(FileReceipt::lists).collect();
        let _ = ground.ours.settle(&one.key, &lists);
    }
    let fared = staged.into_iter().zip(kept).map(|(one, kept)| (one.bytes(), one.to, kept));
    fared.map(|(bytes, to, kept)| (to, Ok((bytes, kept)))).collect()
}

fn all_failed(staged: &[Staged], error: &io::Error) -> Vec<Outcome> {
    let again = || match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    };
    staged.iter().map(|one| (one.to.clone(), Err(again()))).collect()
}

fn sync(ground: &Ground<'_>) -> io::Result<()> {
    Ok(syncfs(ground.data.root())?)
}

fn name(ground: &Ground<'_>, one: &Staged) -> io::Result<Kept> {
    let path = below_data(&one.to);
    match (one.inode, &one.standing) {
        (None, _) => Ok(Kept::default()),
        (_, Standing::Merge { force }) => into_folder(ground, one, *force),
        _ => {
            let (parent, name) = split(path)?;
            let parent = ground.data.make(parent)?;
            let staging = Beneath::strict(&ground.ours.staging)?;
            let replaces = matches!(one.standing, Standing::Replace);
            let aside = if replaces { set_aside(ground, &one.to, &parent, name)? } else { None };
            match (is_tree(one), replaces) {
                (false, true) => renameat(staging.root(), one.key.as_str(), &parent, name)?,
                (false, false) => link(&staging, one, &parent, name)?,
                (true, _) => {
                    if replaces {
                        unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?;
                    }
                    // Over a folder that came to be meanwhile this fails, unless that is empty.
                    renameat(staging.root(), one.key.as_str(), &parent, name)?;
                }
            }
            Ok(Kept::beside(aside))
        }
    }
}

/// Gives a file that was changed since its receipt a second name beside it, before its own is taken; that name, if it was so.
fn set_aside(ground: &Ground<'_>, to: &str, parent: &OwnedFd, name: &OsStr) -> io::Result<Option<String>> {
    let (Some(receipt), Some(stat)) = (ground.receipts.file(to), ground.data.stat(below_data(to))?) else {
        return Ok(None);
    };
    if is_folder(&stat) || (stat.st_size.unsigned_abs(), mtime(&stat)) == (receipt.bytes, receipt.mtime) {
        return Ok(None);
    }
    let names = || std::iter::once(".kept".to_owned()).chain((2..=9).map(|number| format!(".kept-{number}")));
    let beside = |ending: &str| {
        let mut beside = name.to_owned();
        beside.push(ending);
        beside
    };
    // An interrupted run may have given it one.
    for ending in names() {
        match fstatat(parent, beside(&ending).as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(other) if (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino) => {
                return Ok(Some(format!("{to}{ending}")));
            }
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for ending in names() {
        match linkat(parent, name, parent, beside(&ending).as_os_str(), AtFlags::empty()) {
            Ok(()) => return Ok(Some(format!("{to}{ending}"))),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Nine versions lie there: rather this entry is not placed than a version is lost.
    Err(Trouble::NotOurs.into())
}

/// A link, unlike a rename, never replaces.
fn link(staging: &Beneath, one: &Staged, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match linkat(staging.root(), one.key.as_str(), parent, name, AtFlags::empty()) {
        Err(Errno::EEXIST) => Err(Trouble::NotOurs.into()),
        done => Ok(done?),
    }
}

fn into_folder(ground: &Ground<'_>, one: &Staged, force: bool) -> io::Result<Kept> {
    let path = below_data(&one.to);
    let target = ground.data.enter(path)?;
    let staged = Beneath::strict(&ground.ours.staging.join(&one.key))?;
    let real = ground.data.real(path)?;
    let owned = |member: &str| {
        is_reserved(&real.join(Path::new(member))) || ground.receipts.file(&format!("{}/{member}", one.to)).is_some()
    };
    let rights = Rights { mine: &one.mine, force, owned: &owned };
    merge(&staged, &target, ground.ours.staged_members(&one.key), &rights)
}

fn is_tree(one: &Staged) -> bool {
    matches!(&one.record, Record::File { placed, .. } if *placed == one.key)
}
