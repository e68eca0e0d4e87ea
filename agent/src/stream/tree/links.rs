//! Links of an archive, and what is only known of a member once it has been written.

use std::io::{self, Read};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};

use super::{BLOCK, Meta, Tree, again_without, file_mode, folder_mode, refused};
use crate::stream::beneath::split;
use crate::stream::names::{inside, is_litter, stays};

/// Bytes from which on the text of a link takes a block of its own (ext4).
const INLINE: u64 = 60;
/// Longest text of a link.
const LINK: u64 = 4095;

impl Tree<'_> {
    /// A symbolic link; it may only lead to a place below the archive's target.
    pub fn symlink(&mut self, name: &str, meta: Meta, target: &str) -> io::Result<()> {
        let path = inside(name)?.ok_or_else(|| refused("a link without a name"))?;
        stays(&path, target)?;
        self.count(name)?;
        if is_litter(&path) {
            return Ok(());
        }
        self.tell_apart(&path)?;
        let length = target.len() as u64;
        self.room.take(if length < INLINE { length } else { BLOCK }, 0)?;
        let time = TimeSpec::new(meta.mtime, 0);
        let (owner, chown) = (meta.owner, self.chown);
        let (parent, name) = self.parent(&path)?;
        again_without(&path, parent, name, || symlinkat(target, parent, name))?;
        if let Some((uid, gid)) = owner.filter(|owner| chown && *owner != (0, 0)) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fchownat(parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)?;
        self.tell(path, target.len() as u64, meta, false)
    }

    /// A second name for a file written before.
    pub fn hardlink(&mut self, name: &str, target: &str) -> io::Result<()> {
        let path = inside(name)?.ok_or_else(|| refused("a link without a name"))?;
        let from = inside(target)?.ok_or_else(|| refused(format!("{name} is a link to nothing")))?;
        self.count(name)?;
        if is_litter(&path) {
            return Ok(());
        }
        self.tell_apart(&path)?;
        let (from_parent, from_name) = split(&from)?;
        let lost = |error: Errno| match error {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => {
                refused(format!("{name} is a link to {target}, which is no file that stands before it"))
            }
            error => error.into(),
        };
        let from_parent = self.root.folder(from_parent).map_err(|error| match error.raw_os_error() {
            Some(number) => lost(Errno::from_raw(number)),
            None => error,
        })?;
        let stat = fstatat(&from_parent, from_name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(lost)?;
        match stat.st_mode & 0o170_000 {
            0o040_000 => return Err(refused(format!("{name} is a link to {target}, a folder"))),
            // What a symbolic link leads to depends on where it lies.
            0o120_000 => stays(&path, &readlinkat(&from_parent, from_name)?.to_string_lossy())?,
            _ => {}
        }
        if path == from {
            return Ok(());
        }
        let (parent, file) = self.parent(&path)?;
        again_without(&path, parent, file, || linkat(&from_parent, from_name, parent, file, AtFlags::empty()))?;
        let meta = Meta { mode: 0, owner: None, mtime: stat.st_mtime };
        self.tell(path, stat.st_size.unsigned_abs(), meta, false)
    }

    /// Gives a file or folder written before its mode, for archives that tell it only at their end.
    pub fn permit(&mut self, name: &str, mode: u32) -> io::Result<()> {
        let Some(path) = inside(name)?.filter(|path| !is_litter(path)) else { return Ok(()) };
        let (parent, last) = self.parent(&path)?;
        let stat = match fstatat(parent, last, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // Left out, told by its first bytes.
            Err(Errno::ENOENT) => return Ok(()),
            other => other?,
        };
        let mode = match stat.st_mode & 0o170_000 {
            0o040_000 => folder_mode(mode),
            0o100_000 => file_mode(mode),
            _ => return Ok(()),
        };
        if stat.st_mode & 0o7777 != mode {
            fchmodat(parent, last, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)?;
        }
        Ok(())
    }

    /// Makes a symbolic link of a file written before, whose text leads where the link is to lead.
    pub fn into_symlink(&mut self, name: &str, meta: Meta) -> io::Result<()> {
        let Some(path) = inside(name)?.filter(|path| !is_litter(path)) else { return Ok(()) };
        let mut target = String::new();
        let file = self.root.file(&path)?;
        if file.take(LINK + 1).read_to_string(&mut target).is_err() {
            return Err(refused(format!("{name} is a link to no path")));
        }
        self.symlink(name, meta, &target)
    }
}
