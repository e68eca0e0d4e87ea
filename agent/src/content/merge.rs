//! Adds the members of a staged archive to a folder that exists, one rename a member, never over what is not ours.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown, geteuid, linkat};

use super::ours::Mine;
use super::standing::{is_folder, member};
use crate::stream::beneath::{Beneath, split};
use crate::stream::tree::Member;

/// Members named in a note; of more only the number is told.
const NAMED: usize = 5;

/// What a merge may replace.
pub struct Rights<'a> {
    /// Members that earlier runs placed, as they were then.
    pub mine: &'a Mine,
    /// The user told us to replace what is in the way.
    pub force: bool,
    /// Whether another entry, or the box itself, owns a member's place.
    pub owned: &'a dyn Fn(&str) -> bool,
}

/// What the user has made of a place, and was not lost.
#[derive(Debug, Default)]
pub struct Kept {
    /// The second name of the version that was replaced, if it was changed on the box.
    aside: Option<String>,
    /// Members not placed because something else lies there; the first of them.
    names: Vec<String>,
    count: usize,
}

impl Kept {
    /// Of a file that was replaced: the second name of the version that the user had made of it, if any.
    pub fn beside(aside: Option<String>) -> Kept {
        Kept { aside, ..Kept::default() }
    }

    /// A sentence for the report; none where there was nothing to keep.
    pub fn note(&self, to: &str) -> Option<String> {
        if let Some(aside) = &self.aside {
            return Some(format!("{to} was changed on the box since it was placed; that version is kept as {aside}"));
        }
        let more = if self.count > self.names.len() { ", …" } else { "" };
        (self.count > 0).then(|| {
            format!(
                "{to}: {} left as found, not placed by this box or changed since: {}{more}",
                self.count,
                self.names.join(", ")
            )
        })
    }

    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < NAMED {
            self.names.push(name.to_owned());
        }
    }
}

/// Moves every member from `staged` to `target`.
pub fn merge(
    staged: &Beneath,
    target: &Beneath,
    members: impl Iterator<Item = Member>,
    rights: &Rights<'_>,
) -> io::Result<Kept> {
    let mut kept = Kept::default();
    for member in members {
        let path = Path::new(&member.path);
        // An earlier line of the list may have moved it, or an interrupted run may have listed it.
        let Some(stat) = staged.stat(path)? else { continue };
        if (rights.owned)(&member.path) {
            continue;
        }
        let moved =
            if is_folder(&stat) { folder(target, path, &stat) } else { file(staged, target, &member.path, rights) };
        match moved {
            Ok(true) => {}
            Ok(false) => kept.add(&member.path),
            Err(error) if in_the_way(&error) => kept.add(&member.path),
            Err(error) => return Err(error),
        }
    }
    Ok(kept)
}

fn folder(target: &Beneath, path: &Path, stat: &FileStat) -> io::Result<bool> {
    if target.stat(path)?.is_some() {
        return target.folder(path).map(|_| true);
    }
    let made = target.make(path)?;
    fchmod(&made, Mode::from_bits_truncate(stat.st_mode))?;
    if geteuid().is_root() {
        fchown(made.as_fd(), Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    }
    Ok(true)
}

fn file(staged: &Beneath, target: &Beneath, path: &str, rights: &Rights<'_>) -> io::Result<bool> {
    let (parent, name) = split(Path::new(path))?;
    let (from, to) = (staged.folder(parent)?, target.make(parent)?);
    // A link, unlike a rename, never replaces: whoever made the name first keeps it.
    match linkat(&from, name, &to, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let there = target.stat(Path::new(path))?;
    // A member that the archive has twice is there already.
    let own = staged.stat(Path::new(path))?;
    let inode = |stat: &FileStat| (stat.st_dev, stat.st_ino);
    if there.as_ref().map(inode) == own.as_ref().map(inode) {
        return Ok(true);
    }
    let may = |stat: &FileStat| !is_folder(stat) && (rights.force || rights.mine.contains(&member(path, stat)));
    if !there.as_ref().is_some_and(may) {
        return Ok(false);
    }
    renameat(&from, name, &to, name)?;
    Ok(true)
}

/// Something on the way to a member is a link or no folder: the user's doing, not to be undone.
fn in_the_way(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV | Errno::EISDIR))
}
