//! What earlier boots durably finished: an append-only journal on the data partition.
//!
//! One line a record: eight hex digits of CRC-32, a space, JSON. A record is appended and synced only after what it speaks of is durable.
//! A torn tail (power cut while appending) is ignored and cut off before the next record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::services::Volumes;

/// What identifies a file on the card without reading it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Absolute path as the box sees it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime: i64,
}

/// One thing done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Record {
    /// An image was loaded, verified and synced.
    Image {
        /// Image id as the engine says it, `sha256:…` (the config digest on the classic store).
        id: String,
        /// Its normalised names.
        names: Vec<String>,
        /// The tarball it came from.
        from: Stamp,
    },
    /// These images are about to be loaded again or removed: what earlier receipts say of them no longer holds.
    Forget {
        /// Image ids.
        ids: Vec<String>,
    },
    /// These images are about to be loaded: until they have a receipt, what the engine has of them may be torn.
    Begun {
        /// Image ids.
        ids: Vec<String>,
    },
    /// All images of a tarball were loaded and recorded; it need not be opened again while its stamp holds.
    Tarball {
        /// Which file.
        from: Stamp,
        /// The ids it holds.
        ids: Vec<String>,
    },
    /// A file or archive of `files` is in its place.
    File {
        /// Its `to`.
        to: String,
        /// Digest of the entry it was placed for; empty where an archive is about to be added to a folder: then it is done for none.
        entry: String,
        /// Bytes placed.
        bytes: u64,
        /// Modification time of a plain file as placed, nanoseconds since 1970; 0 for an archive.
        #[serde(default)]
        mtime: i64,
        /// For a plain file the digest that was verified (`algorithm:hex`; empty where none was asked for); for an archive the name of its
        /// member list below the state folder, or of several with spaces between them.
        placed: String,
    },
    /// A container is about to be removed with its image: the nameless volumes that the next one in its place is to have, as
    /// (target, name). None: it has them.
    Volumes {
        /// Name of the project.
        project: String,
        /// Its service.
        service: String,
        /// Which of the containers of that service, from 1.
        number: u32,
        /// The volumes.
        volumes: Vec<(String, String)>,
    },
    /// A boot came to its verdict.
    Boot {
        /// The kernel's boot id.
        boot: String,
        /// The verdict's word.
        verdict: String,
        /// Seconds since 1970 by the box's own clock.
        at: u64,
    },
}

/// The journal, opened.
#[derive(Debug, Clone)]
pub struct Receipts {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Length of the part that was read or written whole.
    good: u64,
    state: State,
}

/// What the records add up to.
#[derive(Debug, Clone, Default)]
struct State {
    /// Each with what it came from.
    images: BTreeMap<String, Stamp>,
    begun: BTreeSet<String>,
    tarballs: BTreeMap<Stamp, Vec<String>>,
    files: BTreeMap<String, FileReceipt>,
    volumes: BTreeMap<String, Volumes>,
    boots: u64,
    last_verdict: Option<String>,
}

/// The newest receipt of one `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReceipt {
    /// Digest of the entry.
    pub entry: String,
    /// Bytes placed.
    pub bytes: u64,
    /// Modification time as placed, nanoseconds since 1970.
    pub mtime: i64,
    /// See [`Record::File`].
    pub placed: String,
}

impl FileReceipt {
    /// The member lists of an archive that may speak of what lies there.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.placed.split(' ')
    }
}

impl Receipts {
    /// Opens or makes the journal in `folder`. The second value counts damaged records, which are passed over.
    pub fn open(folder: &Path) -> io::Result<(Receipts, usize)> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("receipts");
        let fresh = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        if fresh {
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let (state, good, damaged) = replay(&text);
        Ok((Receipts { inner: Arc::new(Mutex::new(Inner { file, good, state })) }, damaged))
    }

    /// The journal as it is, for looking only: nothing is made, and appending to it fails.
    pub fn peek(folder: &Path) -> io::Result<Receipts> {
        let (file, text) = match File::open(folder.join("receipts")) {
            Ok(mut file) => {
                let mut text = Vec::new();
                file.read_to_end(&mut text)?;
                (file, text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (File::open("/dev/null")?, Vec::new()),
            Err(error) => return Err(error),
        };
        let (state, good, _) = replay(&text);
        Ok(Receipts { inner: Arc::new(Mutex::new(Inner { file, good, state })) })
    }

    /// Appends and syncs one record. What it speaks of must be durable already.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records with one write and one sync. A cut in between keeps the first of them.
    pub fn append_all(&self, records: &[Record]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        let mut lines = Vec::new();
        for record in records {
            lines.extend(encode(record)?);
        }
        // A torn tail of an earlier boot, or of an append that failed, goes before the next record.
        if inner.file.seek(SeekFrom::End(0))? != inner.good {
            let good = inner.good;
            inner.file.set_len(good)?;
        }
        inner.file.write_all(&lines)?;
        inner.file.sync_data()?;
        inner.good += lines.len() as u64;
        records.iter().for_each(|record| inner.state.apply(record.clone()));
        Ok(())
    }

    /// Whether this image id was loaded and synced.
    pub fn has_image(&self, id: &str) -> bool {
        self.lock().state.images.contains_key(id)
    }

    /// Whether anything that came from there was loaded and synced, if only a part.
    pub fn has_any_from(&self, stamp: &Stamp) -> bool {
        self.lock().state.images.values().any(|from| from == stamp)
    }

    /// Whether a load of this image id was begun that has no receipt.
    pub fn was_begun(&self, id: &str) -> bool {
        self.lock().state.begun.contains(id)
    }

    /// The image ids of a tarball that was loaded whole and has not changed since.
    pub fn tarball(&self, stamp: &Stamp) -> Option<Vec<String>> {
        self.lock().state.tarballs.get(stamp).cloned()
    }

    /// What was last placed at `to`.
    pub fn file(&self, to: &str) -> Option<FileReceipt> {
        self.lock().state.files.get(to).cloned()
    }

    /// Whether the newest receipt of a file's `to` says just this.
    pub fn holds(&self, record: &Record) -> bool {
        let Record::File { to, entry, bytes, mtime, placed } = record else { return false };
        let said = FileReceipt { entry: entry.clone(), bytes: *bytes, mtime: *mtime, placed: placed.clone() };
        self.file(to) == Some(said)
    }

    /// Every `to` ever placed, with its newest receipt.
    pub fn files(&self) -> BTreeMap<String, FileReceipt> {
        self.lock().state.files.clone()
    }

    /// The nameless volumes of containers that were removed with their images, by project.
    pub fn volumes(&self) -> BTreeMap<String, Volumes> {
        self.lock().state.volumes.clone()
    }

    /// Boots recorded so far, and the verdict of the last.
    pub fn boots(&self) -> (u64, Option<String>) {
        let inner = self.lock();
        (inner.state.boots, inner.state.last_verdict.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Image { id, from, .. } => {
                self.begun.remove(&id);
                self.images.insert(id, from);
            }
            Record::Begun { ids } => self.begun.extend(ids),
            Record::Forget { ids } => {
                self.tarballs.retain(|_, held| !held.iter().any(|id| ids.contains(id)));
                ids.iter().for_each(|id| {
                    self.images.remove(id);
                });
            }
            Record::Tarball { from, ids } => {
                self.tarballs.insert(from, ids);
            }
            Record::File { to, entry, bytes, mtime, placed } => {
                let receipt = FileReceipt { entry, bytes, mtime, placed };
                self.files.insert(to, receipt);
            }
            Record::Volumes { project, service, number, volumes } => {
                let of_project = self.volumes.entry(project).or_default();
                match volumes.is_empty() {
                    true => of_project.remove(&(service, number)),
                    false => of_project.insert((service, number), volumes),
                };
            }
            Record::Boot { verdict, .. } => {
                self.boots += 1;
                self.last_verdict = Some(verdict);
            }
        }
    }
}

fn encode(record: &Record) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(record)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// The state, the length of the part that ends with a whole line, and the number of whole lines that are damaged.
fn replay(text: &[u8]) -> (State, u64, usize) {
    let mut state = State::default();
    let mut damaged = 0;
    let good = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for line in text[..good].split_inclusive(|byte| *byte == b'\n') {
        match decode(&line[..line.len() - 1]) {
            Some(record) => state.apply(record),
            None => {
                damaged += 1;
                // It may have been one that takes others back: what was recorded before it is no longer sure.
                state.images.clear();
                state.tarballs.clear();
            }
        }
    }
    (state, good as u64, damaged)
}

fn decode(line: &[u8]) -> Option<Record> {
    let (crc, json) = line.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc.strip_suffix(b" ")?).ok()?, 16).ok()?;
    if crc != crc32fast::hash(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(verdict: &str) -> Record {
        Record::Boot { boot: "b".into(), verdict: verdict.into(), at: 1 }
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("offspot-receipts-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn torn_at_every_byte_keeps_what_was_whole_and_goes_on() {
        let folder = folder("torn");
        let (receipts, _) = Receipts::open(&folder).unwrap();
        receipts.append(&boot("READY")).unwrap();
        let whole = std::fs::read(folder.join("receipts")).unwrap();
        receipts.append(&boot("DEGRADED")).unwrap();
        let both = std::fs::read(folder.join("receipts")).unwrap();
        for end in whole.len()..both.len() {
            std::fs::write(folder.join("receipts"), &both[..end]).unwrap();
            let (receipts, damaged) = Receipts::open(&folder).unwrap();
            assert_eq!((receipts.boots(), damaged), ((1, Some("READY".into())), 0), "cut at {end}");
            receipts.append(&boot("STOPPED")).unwrap();
            let (again, damaged) = Receipts::open(&folder).unwrap();
            assert_eq!((again.boots(), damaged), ((2, Some("STOPPED".into())), 0), "after a cut at {end}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn several_at_once_that_were_cut_keep_the_first_of_them() {
        let folder = folder("several");
        let (receipts, _) = Receipts::open(&folder).unwrap();
        receipts.append_all(&["READY", "DEGRADED", "STOPPED"].map(boot)).unwrap();
        let text = std::fs::read(folder.join("receipts")).unwrap();
        for end in 0..=text.len() {
            std::fs::write(folder.join("receipts"), &text[..end]).unwrap();
            let (receipts, damaged) = Receipts::open(&folder).unwrap();
            let whole = text[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!((receipts.boots().0, damaged), (whole, 0), "cut at {end}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_flipped_bit_costs_one_record() {
        let folder = folder("flip");
        let (receipts, _) = Receipts::open(&folder).unwrap();
        for verdict in ["READY", "DEGRADED", "READY"] {
            receipts.append(&boot(verdict)).unwrap();
        }
        let path = folder.join("receipts");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (receipts, damaged) = Receipts::open(&folder).unwrap();
        assert_eq!((receipts.boots().0, damaged), (2, 1));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
