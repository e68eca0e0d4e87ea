//! A file in the making that outlives a power cut: `NAME.part`, and `NAME.state` beside it.
//!
//! Every [`CHUNK`], and at least every minute, the bytes are made durable, and only then a line is added to the state: how far, from where, and
//! the proof so far. So nothing is read again, and a cut costs at most a chunk. A process that dies costs nothing: within one boot what stands behind the last
//! line is as it was written, and is taken in again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::proof::{Expected, Proof};
use super::stream::Mark;
use crate::report::Context;

/// Bytes between two lines of the state: seconds of a card's work.
pub const CHUNK: u64 = 64 << 20;
/// Time between two lines, where bytes come slowly: a cut costs no more than that.
const WHILE: Duration = Duration::from_secs(60);
/// Bytes of a read of what is here.
const BUFFER: usize = 256 << 10;

/// The beginning of a file.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    state: PathBuf,
    file: File,
    expected: Expected,
    proof: Proof,
    /// How far it is.
    pub mark: Mark,
    /// Bytes up to which all is durable.
    durable: u64,
    /// When the last line was written.
    kept: Instant,
    boot: String,
}

/// A line of the state.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// What was expected.
    #[serde(default)]
    of: String,
    mark: Mark,
    proof: String,
    boot: String,
}

/// The two files of a part.
fn files(place: &Path) -> (PathBuf, PathBuf) {
    let beside = |suffix: &str| {
        let mut name = place.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    (beside(".part"), beside(".state"))
}

/// Bytes of the card that the beginning of the file at `place` takes, what is set aside for the rest of it included.
pub fn begun(place: &Path) -> u64 {
    files(place).0.metadata().map_or(0, |meta| meta.len().max(meta.blocks() * 512))
}

/// Removes what lies here of it.
pub fn remove(place: &Path) -> io::Result<()> {
    let (path, state) = files(place);
    remove_both(&path, &state)
}

/// Removes it if it is this file.
pub fn forget(place: &Path, inode: u64) -> io::Result<()> {
    match files(place).0.metadata() {
        Ok(meta) if meta.ino() == inode => remove(place),
        _ => Ok(()),
    }
}

fn remove_both(path: &Path, state: &Path) -> io::Result<()> {
    gone(fs::remove_file(state)).and_then(|()| gone(fs::remove_file(path)))
}

/// Removes the parts in a folder that none of the wanted names stands for.
pub fn sweep(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = name.rsplit_once('.').is_some_and(|(stem, _)| is_wanted(stem));
        if !kept && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Part {
    /// The part that lies beside `place`, as far as it can be gone on with; else an empty one.
    pub fn open(place: &Path, expected: &Expected) -> io::Result<Part> {
        let (path, state) = files(place);
        // With another name it is in its place, and not a beginning of anything.
        if path.metadata().is_ok_and(|meta| meta.nlink() > 1) {
            remove_both(&path, &state)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path)?;
        let boot = Context::of_this_boot().boot_id;
        let proof = Proof::new(expected);
        let (expected, mark) = (expected.clone(), Mark::default());
        let mut part = Part { path, state, file, expected, proof, mark, durable: 0, kept: Instant::now(), boot };
        part.recall()?;
        Ok(part)
    }

    /// Goes back to the last line of the state that this file bears out.
    fn recall(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let text = fs::read(&self.state).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').rev().filter_map(|line| serde_json::from_slice(line).ok());
        // Two versions have nothing in common, though a description gave them one name.
        let of = self.expected.name();
        let usable = |line: Line| {
            if line.of != of {
                return None;
            }
            let proof = Proof::restore(&self.expected, &line.proof)?;
            (line.mark.at <= length).then_some((line, proof))
        };
        let Some((line, proof)) = lines.into_iter().find_map(usable) else {
            return self.start_over();
        };
        (self.mark, self.proof, self.durable) = (line.mark, proof, 0);
        if line.boot != self.boot {
            self.durable = self.mark.at;
            self.file.set_len(self.mark.at)?;
        }
        self.file.seek(SeekFrom::Start(self.mark.at))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                read => self.take_in(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.proof.update(bytes);
        self.mark.at += bytes.len() as u64;
    }

    /// Forgets all of it.
    pub fn start_over(&mut self) -> io::Result<()> {
        gone(fs::remove_file(&self.state))?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.mark, self.proof, self.durable) = (Mark::default(), Proof::new(&self.expected), 0);
        Ok(())
    }

    /// Notes where the bytes come from, before the first of them.
    pub fn begin(&mut self, mark: &Mark) -> io::Result<()> {
        match self.mark == *mark && self.state.exists() {
            true => Ok(()),
            false => {
                self.mark = mark.clone();
                // A line must not speak of more than is durable.
                if self.mark.at > self.durable { self.keep() } else { self.note(false) }
            }
        }
    }

    /// Bytes of the card that it takes already, beside those that are told.
    pub fn ahead(&self) -> io::Result<u64> {
        Ok((self.file.metadata()?.blocks() * 512).saturating_sub(self.mark.at))
    }

    /// Makes all of it durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Sets blocks aside. A card that has no room for `total` says so before the first is written.
    pub fn reserve(&self, total: u64) -> io::Result<()> {
        crate::stream::tree::reserve(&self.file, total)
    }

    /// Adds these bytes.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.take_in(bytes);
        if self.mark.at - self.durable >= CHUNK || self.kept.elapsed() >= WHILE {
            self.keep()?;
        }
        Ok(())
    }

    /// Makes durable what is here, and says so.
    pub fn keep(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        (self.durable, self.kept) = (self.mark.at, Instant::now());
        self.note(true)
    }

    fn note(&self, durable: bool) -> io::Result<()> {
        let of = self.expected.name();
        let line = Line { of, mark: self.mark.clone(), proof: self.proof.save(), boot: self.boot.clone() };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        // One that was torn must not spoil this one.
        text.insert(0, b'\n');
        let mut state = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.state)?;
        state.write_all(&text)?;
        if durable { state.sync_data() } else { Ok(()) }
    }

    /// Whether the bytes are what was expected; what was, and what is instead.
    pub fn verdict(&mut self) -> Result<(), (String, String)> {
        std::mem::replace(&mut self.proof, Proof::new(&self.expected)).verdict(&self.expected)
    }

    /// The file, whole, under this name too. The part stays until that is durable: see [`forget`]. Not synced.
    pub fn lend(self, name: &Path) -> io::Result<File> {
        gone(fs::remove_file(name))?;
        fs::hard_link(&self.path, name)?;
        Ok(self.file)
    }

    /// The file, whole, under this name; nothing else of the part is left. Not synced.
    pub fn settle(self, name: &Path) -> io::Result<File> {
        fs::rename(&self.path, name)?;
        gone(fs::remove_file(&self.state))?;
        Ok(self.file)
    }

    /// Removes it.
    pub fn remove(self) -> io::Result<()> {
        remove_both(&self.path, &self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::digest::Digest;
    use offspot_config::settings::Algorithm;

    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("offspot-part-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder.join("a.zim")
    }

    fn expected(bytes: &[u8]) -> Expected {
        Expected::Digest(Algorithm::Sha256, Digest::of(Algorithm::Sha256, bytes))
    }

    #[test]
    fn goes_on_behind_what_was_kept_and_within_a_boot_behind_what_was_written() {
        let place = place("goes-on");
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = expected(&bytes);
        let mark = Mark { at: 0, from: Some(("http://h/a".into(), "\"1\"".into())), total: Some(400_000) };
        let mut part = Part::open(&place, &expected).unwrap();
        part.begin(&mark).unwrap();
        part.add(&bytes[..100_001]).unwrap();
        part.keep().unwrap();
        part.add(&bytes[100_001..150_000]).unwrap();
        drop(part);
        // As after a power cut: another boot, and what was not kept is not to be believed.
        let state = fs::read_to_string(files(&place).1).unwrap();
        let boot = Context::of_this_boot().boot_id;
        fs::copy(files(&place).0, place.with_extension("copy")).unwrap();
        fs::write(files(&place).1, state.replace(&boot, "another")).unwrap();
        let part = Part::open(&place, &expected).unwrap();
        assert_eq!(part.mark, Mark { at: 100_001, ..mark.clone() });
        drop(part);
        fs::copy(place.with_extension("copy"), files(&place).0).unwrap();
        fs::write(files(&place).1, state + "{\"mark\":{\"at\":1").unwrap();
        let mut part = Part::open(&place, &expected).unwrap();
        assert_eq!(part.mark, Mark { at: 150_000, ..mark });
        part.add(&bytes[150_000..]).unwrap();
        assert_eq!(part.verdict(), Ok(()));
        part.settle(&place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), bytes);
        assert!(!files(&place).0.exists() && !files(&place).1.exists());
        fs::remove_dir_all(place.parent().unwrap()).unwrap();
    }

    #[test]
    fn another_expectation_or_a_shorter_file_starts_over() {
        let place = place("over");
        let mut part = Part::open(&place, &expected(b"abc")).unwrap();
        part.begin(&Mark { total: Some(3), ..Mark::default() }).unwrap();
        part.add(b"ab").unwrap();
        part.keep().unwrap();
        drop(part);
        let of = |expected: &Expected| Part::open(&place, expected).unwrap().mark.at;
        assert_eq!(of(&expected(b"abc")), 2);
        fs::write(files(&place).0, "a").unwrap();
        assert_eq!(of(&expected(b"abc")), 1, "what is there was read");
        fs::remove_file(files(&place).1).unwrap();
        assert_eq!(of(&expected(b"abc")), 0, "the state is gone");
        fs::write(files(&place).0, "ab").unwrap();
        let other = Expected::Digest(Algorithm::Md5, "0".repeat(32));
        assert_eq!(of(&other), 0, "nothing is known of it");
        let mut part = Part::open(&place, &expected(b"abc")).unwrap();
        part.begin(&Mark { total: Some(3), ..Mark::default() }).unwrap();
        part.add(b"ab").unwrap();
        part.keep().unwrap();
        assert_eq!(of(&expected(b"abd")), 0, "it is of another version");
    }

    #[test]
    fn what_has_its_name_is_no_beginning_any_more() {
        let place = place("lent");
        let mut part = Part::open(&place, &expected(b"abc")).unwrap();
        part.begin(&Mark { total: Some(3), ..Mark::default() }).unwrap();
        part.add(b"abc").unwrap();
        let inode = part.lend(&place).unwrap().metadata().unwrap().ino();
        // As after a power cut that took the name.
        fs::remove_file(&place).unwrap();
        let part = Part::open(&place, &expected(b"abc")).unwrap();
        assert_eq!(part.mark.at, 3);
        part.lend(&place).unwrap();
        assert_eq!(Part::open(&place, &expected(b"abc")).unwrap().mark.at, 0);
        assert_eq!(fs::read(&place).unwrap(), b"abc", "what has its name was changed");
        forget(&place, inode).unwrap();
        assert!(files(&place).0.exists(), "another file was forgotten");
        forget(&place, files(&place).0.metadata().unwrap().ino()).unwrap();
        assert!(!files(&place).0.exists());
        fs::remove_dir_all(place.parent().unwrap()).unwrap();
    }
}
