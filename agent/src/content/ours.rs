//! What we placed and how it looked then: member lists of archives, and the intents of a batch about to get its names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::receipts::Record;
use crate::stream::tree::Member;

/// Ending of a list whose archive has no receipt yet.
const NEXT: &str = "next";

/// Folders of ours on the data partition.
#[derive(Debug, Clone)]
pub struct Ours {
    /// Member lists, one an archive.
    lists: PathBuf,
    /// Where entries lie until they are verified.
    pub staging: PathBuf,
    /// Beginnings of what is being fetched.
    pub fetch: PathBuf,
    /// What was found to be damaged.
    pub quarantine: PathBuf,
}

/// What is about to be given its final name, written down and synced before it is. Should the boot end before the receipt, the inode at that
/// name tells whether it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    /// The receipt to write.
    pub record: Record,
    /// Inode of the staged file or folder.
    pub inode: u64,
}

impl Ours {
    /// Those below the data partition.
    pub fn new(data: &Path) -> Ours {
        let state = data.join(".offspot");
        let below = |name| state.join(name);
        Ours {
            lists: below("placed"),
            staging: below("staging"),
            fetch: below("fetch"),
            quarantine: below("quarantine"),
        }
    }

    /// Makes the folders.
    pub fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.lists)?;
        fs::create_dir_all(&self.fetch)?;
        fs::create_dir_all(&self.staging)
    }

    /// Every member that one of these lists, whole or begun, names.
    pub fn members(&self, lists: &[&str]) -> impl Iterator<Item = Member> + use<> {
        self.paths(lists).into_iter().flat_map(|path| lines(&path))
    }

    /// About how much memory a [`Mine`] of the members takes that these lists name.
    pub fn memory(&self, lists: &[&str]) -> u64 {
        // A line has about 60 bytes, and a number takes up to 40 while its set grows.
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        self.paths(lists).iter().map(length).sum::<u64>() / 60 * 40
    }

    /// The members of an archive whose list is begun, in their order.
    pub fn staged_members(&self, key: &str) -> impl Iterator<Item = Member> + use<> {
        lines(&self.next(key))
    }

    /// Begins a member list, behind what an interrupted run may have left of it.
    pub fn begin(&self, key: &str) -> io::Result<List> {
        let mut file = OpenOptions::new().append(true).create(true).open(self.next(key))?;
        let before = file.metadata()?.len();
        // The last line of an interrupted run may be torn.
        file.write_all(b"\n")?;
        Ok(List { path: self.next(key), before, writer: BufWriter::new(file) })
    }

    /// The archive has its receipt: its list replaces those of earlier entries.
    pub fn settle(&self, key: &str, earlier: &[&str]) -> io::Result<()> {
        fs::rename(self.next(key), self.lists.join(key))?;
        for list in earlier.iter().filter(|list| **list != key && is_key(list)) {
            gone(fs::remove_file(self.lists.join(list)))?;
            gone(fs::remove_file(self.next(list)))?;
        }
        Ok(())
    }

    /// Writes down what is about to be named.
    pub fn intend(&self, intents: &[Intent]) -> io::Result<()> {
        let mut writer = BufWriter::new(File::create(self.intents_path())?);
        for intent in intents {
            serde_json::to_writer(&mut writer, intent)?;
            writer.write_all(b"\n")?;
        }
        writer.flush()
    }

    /// What an interrupted run was about to name, by `to`.
    pub fn intents(&self) -> BTreeMap<String, Intent> {
        let by_to = |intent: Intent| match &intent.record {
            Record::File { to, .. } => Some((to.clone(), intent)),
            _ => None,
        };
        lines(&self.intents_path()).filter_map(by_to).collect()
    }

    /// Empties the staging folder, intents first: without what was staged an intent proves nothing.
    pub fn clear(&self) -> io::Result<()> {
        gone(fs::remove_file(self.intents_path()))?;
        gone(fs::remove_dir_all(&self.staging))
    }

    /// Notes that fetching this archive was cut off: from now on it is stored first, so that the next cut costs less.
    pub fn store_first(&self, name: &str) -> io::Result<()> {
        fs::create_dir_all(&self.fetch)?;
        OpenOptions::new().append(true).create(true).open(self.fetch.join(format!("{name}.part"))).map(drop)
    }

    /// Whether an archive is to be stored before it is unpacked.
    pub fn is_stored_first(&self, name: &str) -> bool {
        self.fetch.join(format!("{name}.part")).exists() || self.stored(name).exists()
    }

    /// Where an archive lies that was stored, whole and verified.
    pub fn stored(&self, name: &str) -> PathBuf {
        self.fetch.join(format!("{name}.whole"))
    }

    /// What an interrupted run was filling from archives, by the keys of their entries.
    pub fn interrupted(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.staging).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The entry is in its place: nothing is kept of what was fetched for it.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        gone(fs::remove_file(self.stored(name)))?;
        crate::fetch::part::remove(&self.fetch.join(name))
    }

    /// Removes the beginnings of what is not wanted any more, all of these names aside; and the folder once nothing is in it.
    pub fn clear_parts(&self, wanted: &HashSet<String>) -> io::Result<()> {
        if !self.fetch.exists() {
            return Ok(());
        }
        crate::fetch::part::sweep(&self.fetch, |name| wanted.contains(name))?;
        match fs::remove_dir(&self.fetch) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
            _ => Ok(()),
        }
    }

    fn paths(&self, lists: &[&str]) -> Vec<PathBuf> {
        let once: BTreeSet<&str> = lists.iter().copied().collect();
        once.into_iter().flat_map(|name| [self.lists.join(name), self.next(name)]).collect()
    }

    fn intents_path(&self) -> PathBuf {
        self.staging.join("intents")
    }

    fn next(&self, key: &str) -> PathBuf {
        self.lists.join(format!("{key}.{NEXT}"))
    }
}

/// Members that were placed, a number for each: an archive may have millions of them.
#[derive(Debug, Default)]
pub struct Mine {
    secret: RandomState,
    numbers: HashSet<u64>,
}

impl Mine {
    /// Whether this member is among them, as it was placed.
    pub fn contains(&self, member: &Member) -> bool {
        self.numbers.contains(&self.secret.hash_one(member))
    }
}

impl FromIterator<Member> for Mine {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Mine {
        let secret = RandomState::new();
        let numbers = members.into_iter().map(|member| secret.hash_one(member)).collect();
        Mine { secret, numbers }
    }
}

/// A member list being written.
#[derive(Debug)]
pub struct List {
    path: PathBuf,
    before: u64,
    writer: BufWriter<File>,
}

impl List {
    /// One member more.
    pub fn add(&mut self, member: &Member) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, member)?;
        self.writer.write_all(b"\n")
    }

    /// All members are in it.
    pub fn end(mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// The archive is not to be placed: what was added goes again.
    pub fn undo(self) -> io::Result<()> {
        let (file, _) = self.writer.into_parts();
        if self.before == 0 { fs::remove_file(self.path) } else { file.set_len(self.before) }
    }
}

/// Those that are whole: the cut that tears one may tear a letter, and more lines may follow.
fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> impl Iterator<Item = T> + use<T> {
    let lines = File::open(path).into_iter().flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok));
    lines.filter_map(|line| serde_json::from_slice(&line).ok())
}

/// Whether it is the name of a member list.
pub fn is_key(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
