//! Brings an entry's bytes into the staging folder and verifies them there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::statvfs::fstatvfs;
use offspot_config::settings::{Algorithm, FileEntry, Source};

use super::ours::{Intent, Mine};
use super::source::{self, Opened};
use super::standing::{Ground, Standing};
use super::trouble::Trouble;
use super::witness::{Expected, Witness};
use super::{below_data, is_archive};
use crate::receipts::Record;
use crate::report::Reporter;
use crate::stream::fetch::Fetcher;
use crate::stream::tree::{Room, reserve};

/// Bytes a read or write of a plain file carries.
const BUFFER: usize = 1 << 20;
/// Bytes of the data partition that content leaves free, or a 64th of it where that is less.
const RESERVE: u64 = 16 << 20;

/// An entry whose bytes are verified and wait for their name.
#[derive(Debug)]
pub struct Staged {
    /// Its `to`.
    pub to: String,
    /// Its key.
    pub key: String,
    /// What lay in its place before.
    pub standing: Standing,
    /// The receipt it will get.
    pub record: Record,
    /// Inode of what is staged; none where it is in its place already.
    pub inode: Option<u64>,
    /// For a merge: the members that earlier runs placed.
    pub mine: Mine,
}

impl Staged {
    /// What is to be written down before it gets its name in one step.
    pub fn intent(&self) -> Option<Intent> {
        let one_step = matches!(self.standing, Standing::Free | Standing::Replace);
        let inode = self.inode.filter(|_| one_step)?;
        Some(Intent { record: self.record.clone(), inode })
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        match self.record {
            Record::File { bytes, .. } => bytes,
            _ => 0,
        }
    }
}

/// What staging needs.
#[derive(Debug)]
pub struct Stager<'a> {
    /// Where things stand.
    pub ground: &'a Ground<'a>,
    /// Who fetches.
    pub fetcher: &'a Fetcher,
    /// Whom to tell of each MiB.
    pub report: &'a Reporter,
}

impl Stager<'_> {
    /// Stages one entry; on failure nothing of it is left.
    pub fn stage(&self, entry: &FileEntry, key: &str, standing: Standing) -> io::Result<Staged> {
        if let Standing::Named(intent) = &standing {
            let record = intent.record.clone();
            return Ok(Staged {
                to: entry.to.clone(),
                key: key.into(),
                standing,
                record,
                inode: None,
                mine: Mine::default(),
            });
        }
        let expected = source::expected(self.ground.host, self.fetcher, entry)?;
        if let Standing::Taken = standing {
            return self.adopt(entry, key, standing, &expected);
        }
        let path = self.ground.ours.staging.join(key);
        let staged = if is_archive(entry.via) {
            self.unpack(entry, key, standing, &path, &expected)
        } else {
            self.copy(entry, key, standing, &path, &expected)
        };
        if staged.is_err() {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        staged
    }

    fn copy(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        path: &Path,
        expected: &Expected,
    ) -> io::Result<Staged> {
        let opened = source::open(self.ground.host, self.fetcher, entry)?;
        let file = self.write(entry, opened, path, expected)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        self.staged(entry, key, standing, &file.metadata()?, expected)
    }

    /// The file that lies there, if it is what the entry asks for.
    fn adopt(&self, entry: &FileEntry, key: &str, standing: Standing, expected: &Expected) -> io::Result<Staged> {
        let mut file = self.ground.data.file(below_data(&entry.to))?;
        let same = match (&entry.source, expected) {
            (Source::Content(_), _) => {
                let bytes = source::inline(entry)?;
                let mut there = Vec::new();
                (&mut file).take(bytes.len() as u64 + 1).read_to_end(&mut there)?;
                there == bytes
            }
            (Source::Url(_), Some((algorithm, digest))) => {
                let mut witness = Witness::new(&mut file, Some(*algorithm));
                io::copy(&mut witness, &mut io::sink())?;
                witness.hex().as_ref() == Some(digest)
            }
            // Told by its inode to be its own source.
            (Source::Url(_), None) => true,
        };
        if !same {
            return Err(Trouble::NotOurs.into());
        }
        let mut staged = self.staged(entry, key, standing, &file.metadata()?, expected)?;
        staged.inode = None;
        Ok(staged)
    }

    fn staged(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        meta: &fs::Metadata,
        expected: &Expected,
    ) -> io::Result<Staged> {
        let sum = expected.as_ref().map(|(algorithm, digest)| format!("{algorithm:?}:{digest}").to_ascii_lowercase());
        let mtime = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        let record = Record::File {
            to: entry.to.clone(),
            entry: key.into(),
            bytes: meta.size(),
            mtime,
            placed: sum.unwrap_or_default(),
        };
        let inode = Some(meta.ino());
        Ok(Staged { to: entry.to.clone(), key: key.into(), standing, record, inode, mine: Mine::default() })
    }

    /// Writes the bytes of an entry, as they come, to a file of ours, and verifies them.
    pub(super) fn write(
        &self,
        entry: &FileEntry,
        opened: Opened,
        path: &Path,
        expected: &Expected,
    ) -> io::Result<File> {
        let room = self.room()?.bytes;
        let wanted = wanted(entry, &opened)?;
        let known = wanted.or(opened.length);
        if let Some(need) = known.filter(|need| *need > room) {
            return Err(Trouble::NoRoom { need, have: room }.into());
        }
        // A file on the card may change, or not tell its length, as those below /proc do not; of an answer its reader sees to that.
        let must = if opened.file.is_some() { known } else { wanted };
        let mut file = OpenOptions::new().write(true).read(true).create(true).truncate(true).mode(0o644).open(path)?;
        reserve(&file, known.unwrap_or(0))?;
        let capped = opened.reader.take(known.unwrap_or(room).saturating_add(1));
        let mut witness = Witness::new(capped, algorithm(expected));
        self.pour(&mut witness, &mut file)?;
        if known.is_none() && witness.length > room {
            return Err(nix::errno::Errno::ENOSPC.into());
        }
        witness.verify(must, expected)?;
        Ok(file)
    }

    fn pour(&self, from: &mut dyn Read, to: &mut File) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let mut filled = 0;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match from.read(rest) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            to.write_all(buffer.get(..filled).unwrap_or_default())?;
            self.report.advance(filled as u64);
            if filled < BUFFER {
                return Ok(());
            }
        }
    }

    /// What may be written to the data partition.
    pub(super) fn room(&self) -> io::Result<Room> {
        let stat = fstatvfs(self.ground.data.root())?;
        let block = stat.fragment_size();
        let reserve = RESERVE.min(stat.blocks() * block / 64);
        let bytes = (stat.blocks_available() * block).saturating_sub(reserve);
        let inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() };
        Ok(Room { bytes, inodes })
    }
}

/// The algorithm of a digest that is asked for.
pub(super) fn algorithm(expected: &Expected) -> Option<Algorithm> {
    expected.as_ref().map(|(algorithm, _)| *algorithm)
}

/// The size an entry says its bytes have; an error where it is already clear that they have another. What stands in the settings is not
/// measured: there `size` has no meaning.
pub(super) fn wanted(entry: &FileEntry, opened: &Opened) -> io::Result<Option<u64>> {
    let Source::Url(_) = entry.source else { return Ok(None) };
    match (entry.size, opened.length) {
        (Some(expected), Some(found)) if expected != found => {
            Err(Trouble::Size { expected, found: found.to_string() }.into())
        }
        (size, _) => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offspot_config::settings::Via;

    use crate::host::Host;
    use crate::receipts::Receipts;

    #[test]
    fn a_source_on_the_card_has_the_length_it_had_when_opened() {
        let base = std::env::temp_dir().join(format!("offspot-stage-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("data")).unwrap();
        let (host, receipts) = (Host::new(&base), Receipts::peek(&base).unwrap());
        let ground = Ground::new(&host, &base.join("data"), &receipts, &[]).unwrap();
        let (fetcher, (report, _watch)) = (Fetcher::new(), Reporter::new());
        let stager = Stager { ground: &ground, fetcher: &fetcher, report: &report };
        let (to, source) = ("/data/x".into(), Source::Url("/src".into()));
        let entry = FileEntry { to, source, via: Via::Direct, size: None, checksum: None };
        fs::write(base.join("src"), "12345").unwrap();
        let write = |length| {
            let file = File::open(base.join("src")).unwrap();
            let opened = Opened { reader: Box::new(file.try_clone().unwrap()), length: Some(length), file: Some(file) };
            stager.write(&entry, opened, &base.join("staged"), &None).map_err(|error| error.to_string())
        };
        assert!(write(5).is_ok());
        assert_eq!(write(6).unwrap_err(), "Size { expected: 6, found: \"5\" }");
        assert_eq!(write(0).unwrap_err(), "Size { expected: 0, found: \"more than 0\" }");
        fs::remove_dir_all(base).unwrap();
    }
}
