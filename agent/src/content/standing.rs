//! What lies where an entry is to go, and whether it may go there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::FileStat;
use offspot_config::settings::{FileEntry, Source};

use super::ours::{Intent, Ours};
use super::trouble::Trouble;
use super::{below_data, is_archive, source};
use crate::host::Host;
use crate::receipts::{Receipts, Record};
use crate::stream::beneath::Beneath;
use crate::stream::tree::Member;

/// Folders at the top of the data partition that are not for content.
const RESERVED: [&str; 3] = [".offspot", "docker", "lost+found"];

/// What lies where an entry is to go.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Nothing.
    Free,
    /// A file that we placed, or that the user told us to replace.
    Replace,
    /// A folder to add an archive's members to; `force`: even over those that are not ours.
    Merge {
        /// The user told us to.
        force: bool,
    },
    /// A file that is not ours but may be what the entry asks for.
    Taken,
    /// What an interrupted run placed here, all but its receipt.
    Named(Intent),
}

/// What the standing of an entry depends on.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The box.
    pub host: &'a Host,
    /// The data partition.
    pub data: Beneath,
    /// Our own folders on it.
    pub ours: Ours,
    /// What was placed before.
    pub receipts: &'a Receipts,
    /// Each `to` that the user told us to place again.
    pub replace: &'a [String],
    /// What an interrupted run was about to name.
    pub intents: BTreeMap<String, Intent>,
}

impl<'a> Ground<'a> {
    /// Reads what an interrupted run left; writes nothing.
    pub fn new(host: &'a Host, data: &Path, receipts: &'a Receipts, replace: &'a [String]) -> io::Result<Ground<'a>> {
        let ours = Ours::new(data);
        let intents = ours.intents();
        Ok(Ground { host, data: Beneath::new(data)?, ours, receipts, replace, intents })
    }

    /// How the place of an entry stands.
    pub fn standing(&self, entry: &FileEntry, key: &str) -> io::Result<Standing> {
        let path = below_data(&entry.to);
        self.real(entry)?;
        let Some(stat) = self.data.stat(path)? else {
            return Ok(Standing::Free);
        };
        if let Some(intent) =
            self.intents.get(&entry.to).filter(|intent| for_entry(intent, key) && was_named(intent, &stat))
        {
            return Ok(Standing::Named(intent.clone()));
        }
        let told = self.replace.contains(&entry.to);
        match (is_archive(entry.via), is_folder(&stat)) {
            (true, true) => Ok(Standing::Merge { force: told }),
            (false, true) => Err(Trouble::NotOurs.into()),
            (_, false) if told || self.is_ours(entry, &stat) => Ok(Standing::Replace),
            (true, false) => Err(Trouble::NotOurs.into()),
            (false, false) if self.may_be_it(entry, &stat) => Ok(Standing::Taken),
            (false, false) => Err(Trouble::NotOurs.into()),
        }
    }

    /// Where an entry really goes, links followed; refused where that is no place for content.
    pub fn real(&self, entry: &FileEntry) -> io::Result<PathBuf> {
        let path = below_data(&entry.to);
        let real = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => self.data.real(parent)?.join(name),
            _ if is_archive(entry.via) => PathBuf::new(),
            _ => return Err(Trouble::Outside("/data itself is a folder".into()).into()),
        };
        // An archive goes into what its target leads to; a file takes the place of a link.
        let real = if is_archive(entry.via) { self.data.real(path).or_else(not_there(real))? } else { real };
        if is_reserved(&real) {
            let why = format!("/data/{} belongs to the box itself", real.display());
            return Err(Trouble::Outside(why).into());
        }
        Ok(real)
    }

    /// Whether the file that lies there is one that we placed: for an earlier form of this entry, or as a member of an archive.
    fn is_ours(&self, entry: &FileEntry, stat: &FileStat) -> bool {
        if self.receipts.file(&entry.to).is_some() {
            return true;
        }
        Path::new(&entry.to).ancestors().skip(1).any(|archive| {
            let receipt = archive.to_str().and_then(|archive| self.receipts.file(archive));
            let rest = Path::new(&entry.to).strip_prefix(archive).ok().and_then(Path::to_str);
            receipt.filter(|receipt| receipt.mtime == 0).zip(rest).is_some_and(|(receipt, rest)| {
                let placed = member(rest, stat);
                self.ours.members(&receipt.lists().collect::<Vec<_>>()).any(|member| member == placed)
            })
        })
    }

    /// Whether a file that is not ours can be told to be what the entry asks for.
    fn may_be_it(&self, entry: &FileEntry, stat: &FileStat) -> bool {
        const KIND: u32 = 0o170_000;
        const REGULAR: u32 = 0o100_000;
        let size = stat.st_size.unsigned_abs();
        let told = match &entry.source {
            Source::Content(_) => source::inline(entry).is_ok_and(|bytes| bytes.len() as u64 == size),
            Source::Url(_) if entry.size.is_some_and(|wanted| wanted != size) => false,
            Source::Url(_) => entry.checksum.is_some() || self.is_its_own_source(entry, stat),
        };
        told && stat.st_mode & KIND == REGULAR
    }

    /// Whether the file that lies there is the one that the entry takes its bytes from.
    pub fn is_its_own_source(&self, entry: &FileEntry, stat: &FileStat) -> bool {
        use std::os::unix::fs::MetadataExt;
        let file = source::on_card(self.host, entry).and_then(|path| source::open_file(self.host, &path).ok()?.file);
        let meta = file.and_then(|file| file.metadata().ok());
        meta.is_some_and(|meta| (meta.dev(), meta.ino()) == (stat.st_dev, stat.st_ino))
    }
}

/// A file as a member list would name it.
pub fn member(path: &str, stat: &FileStat) -> Member {
    Member { path: path.to_owned(), size: stat.st_size.unsigned_abs(), mtime: stat.st_mtime, folder: false }
}

/// Modification time in nanoseconds since 1970.
pub fn mtime(stat: &FileStat) -> i64 {
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec)
}

/// A path as the user may write it, in the form that each entry's `to` has; one that can be no `to` as it is.
pub fn normal(path: &str) -> String {
    offspot_config::rules::content::target(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether it is a folder.
pub fn is_folder(stat: &FileStat) -> bool {
    stat.st_mode & 0o170_000 == 0o040_000
}

/// Whether a path below the data partition is in a folder that is not for content.
pub fn is_reserved(path: &Path) -> bool {
    path.components().next().is_some_and(|first| RESERVED.iter().any(|name| first.as_os_str() == *name))
}

/// Whether what lies at an intent's name is what was staged for it.
pub fn was_named(intent: &Intent, stat: &FileStat) -> bool {
    let Record::File { bytes, mtime: then, .. } = &intent.record else {
        return false;
    };
    let same = is_folder(stat) || (stat.st_size.unsigned_abs(), mtime(stat)) == (*bytes, *then);
    intent.inode == stat.st_ino && same
}

fn not_there(otherwise: PathBuf) -> impl FnOnce(io::Error) -> io::Result<PathBuf> {
    |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(otherwise),
        _ => Err(error),
    }
}

fn for_entry(intent: &Intent, key: &str) -> bool {
    matches!(&intent.record, Record::File { entry, .. } if entry == key)
}
