//! Writes the members of an archive below a folder of ours: no link is followed, nothing outside is named, and the room has an end.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};

use super::beneath::{Beneath, split};
use super::meter::Tally;
use super::names::{APPLE_DOUBLE, inside, is_litter, may_be_apple_double};
use super::twins::Twins;
use crate::report::Reporter;

mod links;

/// Bytes a write carries.
const BUFFER: usize = 1 << 20;
/// Bytes from which on a file's blocks are asked for before the first is written.
const ALLOCATE: u64 = 1 << 20;
/// Bytes that a file or folder takes at least, and in multiples of which.
const BLOCK: u64 = 4096;
/// Bytes that a name takes beside its letters: in its folder, and in the list of members.
const NAME: u64 = 64;

/// What may still be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files, folders and links.
    pub inodes: u64,
}

impl Room {
    /// Takes what is about to be written; `ENOSPC` where it is not there.
    pub fn take(&mut self, bytes: u64, inodes: u64) -> io::Result<()> {
        let full = || io::Error::from(Errno::ENOSPC);
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(full)?;
        self.inodes = self.inodes.checked_sub(inodes).ok_or_else(full)?;
        Ok(())
    }
}

/// What an archive says of a member beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Permissions; the bits above 0777 (setuid, setgid, sticky) are dropped.
    pub mode: u32,
    /// User and group, where the archive knows them.
    pub owner: Option<(u32, u32)>,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// A member as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// Its path below the archive's target.
    pub path: String,
    /// Bytes; of a link, those of its text.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Whether it is a folder; then size and time say nothing.
    pub folder: bool,
}

/// A folder being filled from an archive.
pub struct Tree<'a> {
    root: Beneath,
    /// The folder of the last member: members of one folder mostly follow one another.
    open: Option<(PathBuf, OwnedFd)>,
    room: Room,
    passed: Tally,
    note: &'a mut dyn FnMut(Member) -> io::Result<()>,
    buffer: Vec<u8>,
    bytes: u64,
    litter: u64,
    twins: Option<Twins>,
    chown: bool,
}

impl<'a> Tree<'a> {
    /// Fills `folder`, which is ours alone, and calls `note` for each member written.
    pub fn new(
        folder: &Path,
        room: Room,
        told: &Reporter,
        note: &'a mut dyn FnMut(Member) -> io::Result<()>,
    ) -> io::Result<Tree<'a>> {
        let root = Beneath::strict(folder)?;
        Ok(Tree {
            twins: Twins::of(root.root())?,
            root,
            open: None,
            room,
            passed: Tally::new(told),
            note,
            buffer: vec![0; BUFFER],
            bytes: 0,
            litter: 0,
            chown: geteuid().is_root(),
        })
    }

    /// Bytes of all files so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Files that were left out: macOS and Windows leave them in folders for themselves.
    pub fn litter(&self) -> u64 {
        self.litter
    }

    /// A folder; one that is there already gets this mode and owner.
    pub fn folder(&mut self, name: &str, meta: Meta) -> io::Result<()> {
        let path = inside(name)?;
        self.count(name)?;
        let Some(path) = path.filter(|path| !is_litter(path)) else { return Ok(()) };
        self.tell_apart(&path)?;
        self.made(path.parent().unwrap_or(Path::new("")))?;
        self.room.take(BLOCK, 0)?;
        let mut fresh = false;
        let mut made = || {
            fresh = true;
            Ok(())
        };
        let folder = self.root.make_if(&path, &mut made).map_err(|error| no_folder(&path, error))?;
        let mode = folder_mode(meta.mode);
        if !fresh || mode != 0o755 {
            fchmod(&folder, Mode::from_bits_truncate(mode))?;
        }
        self.own(&folder, meta, fresh)?;
        self.tell(path, 0, meta, true)
    }

    /// A file of `size` bytes read from `source`; an earlier one of that name goes.
    pub fn file(&mut self, name: &str, meta: Meta, size: u64, source: &mut dyn Read) -> io::Result<()> {
        if i64::try_from(size).is_err() {
            return Err(refused(format!("{name} has a size that no file can have")));
        }
        match self.pour(name, meta, Some(size), &mut source.take(size))? {
            read if read < size => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends within {name}"))),
            _ => Ok(()),
        }
    }

    /// A file of all that comes from `source`; how much that was.
    pub fn file_to_end(&mut self, name: &str, meta: Meta, source: &mut dyn Read) -> io::Result<u64> {
        self.pour(name, meta, None, source)
    }

    /// A member begins. It counts whatever becomes of it: else nothing would end an archive of those that leave nothing behind.
    fn count(&mut self, name: &str) -> io::Result<()> {
        self.room.take(NAME + name.len() as u64, 1)
    }

    fn pour(&mut self, name: &str, meta: Meta, size: Option<u64>, source: &mut dyn Read) -> io::Result<u64> {
        let path = inside(name)?.ok_or_else(|| refused("a file without a name"))?;
        self.count(name)?;
        if is_litter(&path) {
            return self.leave_out(source);
        }
        let mut first = Vec::new();
        if may_be_apple_double(&path) {
            source.take(APPLE_DOUBLE.len() as u64).read_to_end(&mut first)?;
            if first == APPLE_DOUBLE {
                return Ok(self.leave_out(source)? + first.len() as u64);
            }
        }
        self.tell_apart(&path)?;
        let mut file = self.create(&path, meta)?;
        if size.is_some_and(|size| size > self.room.bytes) {
            return Err(Errno::ENOSPC.into());
        }
        reserve(&file, size.unwrap_or(0))?;
        let written = self.fill(&mut file, &mut first.as_slice().chain(source))?;
        self.finish(&file, meta)?;
        self.tell(path, written, meta, false)?;
        Ok(written)
    }

    /// Reads over a file. It counts as if it were written: else nothing would end one that is endless.
    fn leave_out(&mut self, source: &mut dyn Read) -> io::Result<u64> {
        self.litter += 1;
        let mut passed = 0;
        loop {
            match source.read(&mut self.buffer) {
                Ok(0) => return Ok(passed),
                Ok(read) => {
                    self.room.take(read as u64, 0)?;
                    passed += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn create(&mut self, path: &Path, meta: Meta) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(file_mode(meta.mode));
        let (parent, name) = self.parent(path)?;
        let file = again_without(path, parent, name, || openat(parent, name, flags, mode))?;
        Ok(File::from(file))
    }

    fn fill(&mut self, file: &mut File, source: &mut dyn Read) -> io::Result<u64> {
        let mut written = 0;
        loop {
            let read = match source.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.room.take(read as u64, 0)?;
            file.write_all(self.buffer.get(..read).unwrap_or_default())?;
            written += read as u64;
            self.passed.add(read as u64);
        }
        self.bytes += written;
        self.room.take(written.next_multiple_of(BLOCK) - written, 0)?;
        Ok(written)
    }

    fn finish(&self, file: &File, meta: Meta) -> io::Result<()> {
        // What the usual mask (022) lets through needs no further call.
        if meta.mode & 0o022 != 0 {
            file.set_permissions(Permissions::from_mode(file_mode(meta.mode)))?;
        }
        self.own(file, meta, true)?;
        let time = TimeSpec::new(meta.mtime, 0);
        Ok(futimens(file, &time, &time)?)
    }

    /// Gives its owner to what is root's where it is `fresh`.
    fn own(&self, file: impl AsFd, meta: Meta, fresh: bool) -> io::Result<()> {
        match meta.owner.filter(|owner| self.chown && !(fresh && *owner == (0, 0))) {
            Some((uid, gid)) => Ok(fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?),
            None => Ok(()),
        }
    }

    /// A folder for a member. What the archive itself does not name takes its room as well: one long name makes two thousand folders.
    fn made(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let room = &mut self.room;
        self.root.make_if(path, &mut || room.take(BLOCK, 1)).map_err(|error| no_folder(path, error))
    }

    fn tell_apart(&mut self, path: &Path) -> io::Result<()> {
        self.twins.as_mut().map_or(Ok(()), |twins| twins.check(path))
    }

    fn parent<'p>(&mut self, path: &'p Path) -> io::Result<(&OwnedFd, &'p OsStr)> {
        let (parent, name) = split(path)?;
        let open = match self.open.take() {
            Some(open) if open.0 == parent => open,
            _ => (parent.to_owned(), self.made(parent)?),
        };
        Ok((&self.open.insert(open).1, name))
    }

    fn tell(&mut self, path: PathBuf, size: u64, meta: Meta, folder: bool) -> io::Result<()> {
        let path = path.into_os_string().into_string().map_err(|_| refused("a name that is not UTF-8"))?;
        (self.note)(Member { path, size, mtime: meta.mtime, folder })
    }
}

impl std::fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").field("root", &self.root).field("room", &self.room).finish_non_exhaustive()
    }
}

fn no_folder(path: &Path, error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP | Errno::ENOTDIR) => refused(format!("{} is no folder", path.display())),
        _ => error,
    }
}

/// Asks for the blocks of a large file, so that a card too full says so before the first is written.
pub fn reserve(file: &File, size: u64) -> io::Result<()> {
    if size < ALLOCATE {
        return Ok(());
    }
    let length = i64::try_from(size).map_err(|_| io::Error::from(Errno::EFBIG))?;
    match nix::fcntl::fallocate(file, nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
        Err(Errno::EOPNOTSUPP) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a name; where an earlier member has it, that goes first, as the later of two wins.
fn again_without<T>(path: &Path, parent: &OwnedFd, name: &OsStr, make: impl Fn() -> nix::Result<T>) -> io::Result<T> {
    let made = match make() {
        Err(Errno::EEXIST) => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).and_then(|()| make()),
        made => made,
    };
    made.map_err(|error| match error {
        Errno::EISDIR => refused(format!("{} is a folder and something else too", path.display())),
        Errno::EMLINK => refused(format!("{} is one name too many for one file", path.display())),
        error => error.into(),
    })
}

/// Without its first bits nobody but root could fill or remove a folder.
fn folder_mode(mode: u32) -> u32 {
    mode & 0o777 | 0o700
}

/// A file that not even its owner may read would be of no use.
fn file_mode(mode: u32) -> u32 {
    mode & 0o777 | 0o400
}

/// An archive that asks for what it may not have.
pub fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests;
