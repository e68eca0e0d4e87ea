//! Fills a folder in the staging folder from an archive, as its bytes come.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use offspot_config::settings::{FileEntry, Via};

use super::ours::{List, Mine};
use super::source::{self, Opened, Place};
use super::stage::{Staged, Stager, algorithm, wanted};
use super::standing::Standing;
use super::witness::{Expected, Witness};
use crate::fetch::Wanted;
use crate::receipts::{FileReceipt, Record};
use crate::report::Reporter;
use crate::stream::decode::{Packing, decode};
use crate::stream::limit::Limit;
use crate::stream::meter::Meter;
use crate::stream::tree::{Member, Tree, refused};
use crate::stream::untar::untar;
use crate::stream::unzip::unzip;
use crate::stream::unzip_stream::{Stop, unzip_stream};

/// Bytes read ahead of an archive's headers.
const AHEAD: usize = 128 << 10;

/// How a zip is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsItComes,
    Stored,
}

impl Stager<'_> {
    /// Stages the members of an archive.
    pub(super) fn unpack(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        path: &Path,
        place: &Place,
        expected: &Expected,
    ) -> io::Result<Staged> {
        if let Place::Network(_) = place {
            self.batch.commit();
        }
        let earlier = self.ground.receipts.file(&entry.to);
        let lists: Vec<&str> = earlier.iter().flat_map(FileReceipt::lists).chain([key]).collect();
        let merges = matches!(standing, Standing::Merge { .. });
        let mine = if merges { self.ground.ours.members(&lists).collect() } else { Mine::default() };
        let bytes = match self.filled(entry, key, path, (place, Way::AsItComes), expected) {
            Err(Stop::NotStreamable(why)) => {
                tracing::info!("{}: {why}; it is unpacked as its directory says", entry.to);
                fs::remove_dir_all(path)?;
                self.filled(entry, key, path, (place, Way::Stored), expected)
            }
            other => other,
        };
        let bytes = bytes.map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::NotStreamable(why) => refused(why),
        })?;
        let record = Record::File { to: entry.to.clone(), entry: key.into(), bytes, mtime: 0, placed: key.into() };
        let inode = Some(fs::metadata(path)?.ino());
        let (to, key, from) = (entry.to.clone(), key.into(), String::new());
        Ok(Staged { to, key, standing, record, inode, mine, part: None, from })
    }

    /// Makes a folder of ours and fills it from the archive; the bytes of its files.
    fn filled(
        &self,
        entry: &FileEntry,
        key: &str,
        path: &Path,
        from: (&Place, Way),
        expected: &Expected,
    ) -> Result<u64, Stop> {
        fs::DirBuilder::new().create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        let mut list = self.ground.ours.begin(key)?;
        match self.fill(entry, path, from, expected, &mut list) {
            Ok(bytes) => {
                list.end()?;
                Ok(bytes)
            }
            Err(stop) => {
                list.undo()?;
                Err(stop)
            }
        }
    }

    fn fill(
        &self,
        entry: &FileEntry,
        path: &Path,
        (place, way): (&Place, Way),
        expected: &Expected,
        list: &mut List,
    ) -> Result<u64, Stop> {
        let (opened, said) = self.open(entry, place)?;
        let expected = &expected.clone().or(said);
        let mut note = |member: Member| list.add(&member);
        // What is fetched is told as it comes, not once more as it is written.
        let told = if let Place::Network(_) = place { Reporter::new().0 } else { self.report.clone() };
        if entry.via == Via::Zip && way == Way::Stored {
            let file = self.seekable(entry, opened, &part(path), expected)?;
            let mut tree = Tree::new(path, self.room()?, &told, &mut note)?;
            let unpacked = unzip(BufReader::with_capacity(AHEAD, file), &mut tree);
            let _ = fs::remove_file(part(path));
            unpacked?;
            return Ok(self.unpacked(entry, &tree));
        }
        let wanted = wanted(entry, &opened)?;
        let room = self.room()?;
        let capped: Box<dyn Read + Send> = match wanted {
            Some(wanted) => Box::new(opened.reader.take(wanted.saturating_add(1))),
            // Its files take about what it has itself, or more: an endless one ends there.
            None => Box::new(Limit::full(opened.reader, room.bytes.saturating_mul(2))),
        };
        let mut witness = Witness::new(capped, algorithm(expected));
        let mut tree = Tree::new(path, room, &told, &mut note)?;
        let unpacked = if entry.via == Via::Zip {
            match unzip_stream(&mut witness, &mut tree) {
                Err(Stop::Failed(error)) => Err(error),
                other => Ok(other?),
            }
        } else {
            decode(&mut witness).and_then(|(packing, reader)| {
                self.tell_apart(entry, packing);
                untar(&mut BufReader::with_capacity(AHEAD, reader), &mut tree)
            })
        };
        witness.blame(unpacked.map(|()| 0), wanted, expected)?;
        Ok(self.unpacked(entry, &tree))
    }

    /// Opens an archive, wherever it is; its digest, where the network has told that.
    fn open(&self, entry: &FileEntry, place: &Place) -> io::Result<(Opened, Expected)> {
        let Place::Network(urls) = place else {
            return Ok((source::open(self.ground.host, entry, place)?, None));
        };
        let (wanted, said) = source::wanted(self.fetcher, entry, urls)?;
        let is_known = entry.checksum.is_some() || said.is_some();
        let opened = source::open_stream(self.fetcher, Wanted { is_known, ..wanted }, &self.givers)?;
        self.report.expect(opened.length, 0);
        let reader = Box::new(Meter::new(opened.reader, self.report));
        Ok((Opened { reader, ..opened }, said))
    }

    /// Tells of an archive that is packed otherwise than its entry says: it is unpacked as its bytes say.
    fn tell_apart(&self, entry: &FileEntry, packing: Packing) {
        let (said, word) = match entry.via {
            Via::Gztar => (Packing::Gz, "gztar"),
            Via::Bztar => (Packing::Bz2, "bztar"),
            Via::Xztar => (Packing::Xz, "xztar"),
            Via::Zstdtar => (Packing::Zst, "zstdtar"),
            // Whoever writes `tar` may mean any of them.
            Via::Tar | Via::Zip | Via::Direct | Via::Base64 => return,
        };
        if said != packing {
            let real = format!("{packing:?}").to_lowercase();
            self.report.note(format!("{} says via: {word}, but is {real}; it is unpacked as what it is", entry.to));
        }
    }

    /// Tells what was left out of an archive; the bytes of its files.
    fn unpacked(&self, entry: &FileEntry, tree: &Tree<'_>) -> u64 {
        let files = |count| if count == 1 { "file" } else { "files" };
        if let count @ 1.. = tree.litter() {
            self.report.note(format!("{}: {count} {} of other systems' litter left out", entry.to, files(count)));
        }
        tree.bytes()
    }

    /// A zip whose directory has to be read first: the file on the card, or one of ours that it is fetched to.
    fn seekable(&self, entry: &FileEntry, opened: Opened, part: &Path, expected: &Expected) -> io::Result<File> {
        let Some(mut file) = opened.file else {
            let made = self.write(entry, opened, part, expected).and_then(|mut file| file.rewind().map(|()| file));
            return made.inspect_err(|_| drop(fs::remove_file(part)));
        };
        let wanted = wanted(entry, &Opened { reader: Box::new(io::empty()), length: opened.length, file: None })?;
        if expected.is_some() {
            let mut witness = Witness::new(opened.reader, algorithm(expected));
            io::copy(&mut witness, &mut io::sink())?;
            witness.verify(wanted, expected)?;
        }
        file.rewind()?;
        Ok(file)
    }
}

fn part(path: &Path) -> PathBuf {
    path.with_extension("part")
}
