//! Brings an entry's bytes into the staging folder and verifies them there.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::statvfs::fstatvfs;
use offspot_config::settings::{Algorithm, FileEntry, Source};

use super::batch::Batch;
use super::ours::{Intent, Mine};
use super::quarantine;
use super::source::{self, Givers, Opened, Place};
use super::standing::{Ground, Standing};
use super::trouble::{self, Trouble};
use super::witness::{Expected, Witness};
use super::{below_data, is_archive, part_name};
use crate::fetch::metalink::is_metalink;
use crate::fetch::proof::Proof;
use crate::fetch::{self, Event, Failure, Fetcher, Found, bring};
use crate::receipts::Record;
use crate::report::Reporter;
use crate::stream::tree::{Room, reserve};

/// Bytes a read or write of a plain file carries.
const BUFFER: usize = 1 << 20;
/// Bytes that may take long to come.
const LONG: u64 = 16 << 20;
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
    /// What it is called while it is fetched, if it was.
    pub part: Option<String>,
    /// Where its bytes came from, as in `from the card`; empty where they stand in the settings.
    pub from: String,
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
    /// Entries that wait for their names, but not for a long download.
    pub batch: &'a Batch<'a>,
    /// Who sent the archive that is unpacked.
    pub givers: Givers,
}

impl Stager<'_> {
    /// Stages one entry; on failure nothing of it is left.
    pub fn stage(&self, entry: &FileEntry, key: &str, standing: Standing) -> io::Result<Staged> {
        if let Standing::Named(intent) = &standing {
            let record = intent.record.clone();
            let (to, key, from) = (entry.to.clone(), key.into(), String::new());
            return Ok(Staged { to, key, standing, record, inode: None, mine: Mine::default(), part: None, from });
        }
        let expected = source::expected(self.ground.host, self.fetcher, entry)?;
        if let Standing::Taken = standing {
            return self.adopt(entry, key, standing, &expected);
        }
        let (mut failed, mut stored) = (None, false);
        let mut places: VecDeque<Place> = source::places(self.ground.host, entry).into();
        while let Some(place) = places.pop_front() {
            let place = match self.store(entry, key, place, &expected) {
                Err(error) if trouble::is_of_source(&error) => {
                    failed = Some(trouble::worse(failed, error));
                    continue;
                }
                place => place?,
            };
            self.givers.forget();
            let proved =
                expected.is_some() || matches!(&place, Place::Network(urls) if urls.iter().any(|url| is_metalink(url)));
            match self.stage_from(entry, key, standing.clone(), &place, &expected) {
                Err(error) if matches!(place, Place::Stored(..)) && trouble::may_be_of_stored(&error, proved) => {
                    tracing::warn!("{}: {place:?}: {error}; it is fetched again", entry.to);
                    self.ground.ours.forget(&part_name(entry, key))?;
                    // Once: what is stored again may be as bad.
                    if !std::mem::replace(&mut stored, true) {
                        places.push_back(source::network(entry));
                    }
                    failed = Some(trouble::worse(failed, error));
                }
                Err(error) if trouble::is_of_source(&error) => {
                    tracing::warn!("{}: {place:?}: {error}", entry.to);
                    if let (Place::Network(urls), true) = (&place, is_archive(entry.via)) {
                        let givers = self.givers.urls();
                        if trouble::broke_off(&error) && !givers.is_empty() {
                            self.ground.ours.store_first(&part_name(entry, key))?;
                        } else if trouble::may_differ(&error, proved) {
                            let others = others(urls, &givers);
                            if others.is_empty() && !stored && urls.iter().any(|url| is_metalink(url)) {
                                // Those of a description are asked one by one by who has to store the archive.
                                stored = true;
                                self.ground.ours.store_first(&part_name(entry, key))?;
                                places.push_back(place);
                            }
                            places.extend(others);
                        }
                    }
                    failed = Some(trouble::worse(failed, error));
                }
                done => return done,
            }
        }
        Err(failed.unwrap_or_else(|| Trouble::Source { why: "it has no address".into(), again: false }.into()))
    }

    /// An archive whose fetching was cut off before is stored first, if there is room for it: that can be gone on with, unpacking cannot.
    fn store(&self, entry: &FileEntry, key: &str, place: Place, expected: &Expected) -> io::Result<Place> {
        let (name, ours) = (part_name(entry, key), &self.ground.ours);
        let urls = match &place {
            Place::Network(urls) if is_archive(entry.via) && ours.is_stored_first(&name) => urls,
            _ => return Ok(place),
        };
        let stored = ours.stored(&name);
        if stored.exists() {
            return Ok(Place::Stored(stored, urls.first().map(|url| came_from(url)).unwrap_or_default()));
        }
        match self.download(entry, key, urls, expected, &stored) {
            Ok((_, from, _)) => Ok(Place::Stored(stored, from)),
            Err(error) if matches!(trouble::of(&error), Some(Trouble::NoRoom { .. })) => Ok(place),
            Err(error) => Err(error),
        }
    }

    /// Stages it from one of its places.
    fn stage_from(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        place: &Place,
        expected: &Expected,
    ) -> io::Result<Staged> {
        let path = self.ground.ours.staging.join(key);
        let staged = match (is_archive(entry.via), place) {
            (true, _) => self.unpack(entry, key, standing, &path, place, expected),
            (false, Place::Network(urls)) => self.fetch(entry, key, standing, &path, urls, expected),
            (false, _) => self.copy(entry, key, standing, &path, place, expected),
        };
        if staged.is_err() {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        let from = match place {
            Place::Settings => String::new(),
            Place::File(_, name) => format!("from {name}"),
            Place::Stored(_, from) => from.clone(),
            // A download knows which of its servers it was.
            Place::Network(urls) => {
                self.givers.urls().last().or(urls.first()).map(|url| came_from(url)).unwrap_or_default()
            }
        };
        staged.map(|staged| if staged.from.is_empty() { Staged { from, ..staged } } else { staged })
    }

    fn copy(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        path: &Path,
        place: &Place,
        expected: &Expected,
    ) -> io::Result<Staged> {
        let opened = source::open(self.ground.host, entry, place)?;
        let file = self.write(entry, opened, path, expected)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        self.staged(entry, key, standing, &file.metadata()?, expected)
    }

    /// Fetches a file, going on with what an earlier run has of it.
    fn fetch(
        &self,
        entry: &FileEntry,
        key: &str,
        standing: Standing,
        path: &Path,
        urls: &[String],
        expected: &Expected,
    ) -> io::Result<Staged> {
        let (file, from, expected) = self.download(entry, key, urls, expected, path)?;
        let staged = self.staged(entry, key, standing, &file.metadata()?, &expected)?;
        Ok(Staged { from, part: Some(part_name(entry, key)), ..staged })
    }

    /// Brings a file to `path`, verified; where it came from, and by which digest.
    fn download(
        &self,
        entry: &FileEntry,
        key: &str,
        urls: &[String],
        expected: &Expected,
        path: &Path,
    ) -> io::Result<(File, String, Expected)> {
        let (wanted, said) = source::wanted(self.fetcher, entry, urls)?;
        let expected = expected.clone().or(said);
        let place = self.ground.ours.fetch.join(part_name(entry, key));
        let proof = proof_of(entry, &expected);
        let aside = quarantine::length(self.ground, &entry.to);
        let room = || Ok(self.room()?.bytes.saturating_add(quarantine::length(self.ground, &entry.to)));
        let mut tell = |event| {
            // The one that comes may need the room of the one that was damaged.
            if let (Event::Begun { .. }, 1..) = (event, aside) {
                quarantine::make_way(self.ground, &entry.to);
            }
            if matches!(event, Event::Begun { there, total } if total.is_none_or(|total| total - there.min(total) > LONG))
            {
                self.batch.commit();
            }
            self.report.fetching(event);
        };
        let brought = bring(self.fetcher, &wanted, &place, &proof, &room, &mut tell);
        let brought = brought.map_err(|failure| match failure {
            Failure::Source(no) => Trouble::of_network(no).into(),
            Failure::NoRoom { need, have } => Trouble::NoRoom { need, have }.into(),
            Failure::Here(error) => error,
            Failure::Wrong { expected, found, bad: None } => Trouble::Checksum { expected, found }.into(),
            Failure::Wrong { expected, found, bad: Some(part) } => {
                match part.settle(path).and_then(|_| quarantine::set_aside(self.ground, &entry.to, path)) {
                    Ok(aside) => Trouble::Damaged { expected, found, aside }.into(),
                    Err(error) => error,
                }
            }
        })?;
        let file = match is_archive(entry.via) {
            // Under that name it is believed by later boots.
            true => brought.part.sync().and_then(|()| brought.part.settle(path)),
            // A cut before it has its name must not cost all of it.
            false => brought.part.lend(path),
        };
        Ok((file?, came_from(&brought.url), expected))
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
        let mtime = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        let record = Record::File {
            to: entry.to.clone(),
            entry: key.into(),
            bytes: meta.size(),
            mtime,
            placed: proof_of(entry, expected).name(),
        };
        let inode = Some(meta.ino());
        let (to, key, from) = (entry.to.clone(), key.into(), String::new());
        Ok(Staged { to, key, standing, record, inode, mine: Mine::default(), part: None, from })
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
        let mut capped = opened.reader.take(known.unwrap_or(room).saturating_add(1));
        let proof = proof_of(entry, expected);
        let mut proving = Proof::new(&proof);
        let length = self.pour(&mut capped, &mut file, &mut proving)?;
        if known.is_none() && length > room {
            return Err(nix::errno::Errno::ENOSPC.into());
        }
        if let Some(expected) = must.filter(|must| *must != length) {
            let found = if length > expected { Found::MoreThan(expected) } else { Found::Exactly(length) };
            return Err(Trouble::Size { expected, found: found.to_string() }.into());
        }
        match (proving.verdict(&proof), &proof) {
            (Ok(()), _) => Ok(file),
            (Err((expected, found)), fetch::Expected::Digest(..)) => Err(Trouble::Checksum { expected, found }.into()),
            (Err((expected, found)), fetch::Expected::Itself(_)) => {
                let aside = quarantine::set_aside(self.ground, &entry.to, path)?;
                Err(Trouble::Damaged { expected, found, aside }.into())
            }
        }
    }

    fn pour(&self, from: &mut dyn Read, to: &mut File, proof: &mut Proof) -> io::Result<u64> {
        let mut buffer = vec![0; BUFFER];
        let mut length = 0;
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
            let bytes = buffer.get(..filled).unwrap_or_default();
            to.write_all(bytes)?;
            proof.update(bytes);
            length += filled as u64;
            self.report.advance(filled as u64);
            if filled < BUFFER {
                return Ok(length);
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

/// Where else to ask for an archive that was another one than it should be, or none at all: unpacking takes what one server sends.
fn others(urls: &[String], givers: &[String]) -> Vec<Place> {
    let rest: Vec<String> = urls.iter().filter(|url| !givers.contains(url)).cloned().collect();
    match givers {
        [_] if rest.is_empty() || rest.len() == urls.len() => Vec::new(),
        [_] => vec![Place::Network(rest)],
        // Whose piece was the wrong one shows when each gives all of it.
        _ if urls.len() > 1 => urls.iter().map(|url| Place::Network(vec![url.clone()])).collect(),
        _ => Vec::new(),
    }
}

/// What a file is to be proved by.
fn proof_of(entry: &FileEntry, expected: &Expected) -> fetch::Expected {
    match expected {
        Some((algorithm, digest)) => fetch::Expected::Digest(*algorithm, digest.clone()),
        None => fetch::Expected::Itself(entry.to.clone()),
    }
}

fn came_from(url: &str) -> String {
    format!("from {}", fetch::address::host_name(url))
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
        let batch = Batch::new(&ground, &report);
        let givers = Givers::default();
        let stager = Stager { ground: &ground, fetcher: &fetcher, report: &report, batch: &batch, givers };
        let (to, source) = ("/data/x".into(), Source::Url("/src".into()));
        let entry = FileEntry { to, source, mirrors: Vec::new(), via: Via::Direct, size: None, checksum: None };
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
