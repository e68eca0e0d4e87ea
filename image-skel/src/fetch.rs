//! One deb from the first mirror that has it: resumed, its length a cap from the first byte, its SHA256 taken in passing.

pub mod mirrors;
pub mod progress;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use offspot_agent::stream::digest::Digest;
use offspot_agent::stream::fetch::{Answer, Fetcher, is_remote, shown};
use offspot_config::settings::Algorithm;

use self::progress::Progress;
use crate::tool::{Doing, Failure, Outcome};

/// Tries of one deb at one mirror; the pause before a further one doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes read at once.
const AHEAD: usize = 64 << 10;

/// A file that is known by its SHA256.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where it may be had, in order: `http:`, `https:`, `file:`.
    pub urls: &'a [String],
    /// Its length in bytes.
    pub size: u64,
    /// 64 lower-case hex digits.
    pub sha256: &'a str,
}

/// Why a file was not brought.
#[derive(Debug)]
pub enum Missing {
    /// What each mirror said.
    Gone(Vec<String>),
    /// It is not the mirrors: the disk is full, the store not writable.
    Here(Failure),
}

/// How one try ended short of success.
enum Trouble {
    /// Another try may do better.
    Again(String),
    /// This mirror will not do.
    Mirror(String),
    Here(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Here(failure)
    }
}

/// Fetches files, and remembers which mirrors ever answered.
#[derive(Debug)]
pub struct Downloads<'a> {
    fetcher: Fetcher,
    progress: &'a Progress,
    alive: Mutex<BTreeSet<String>>,
}

impl<'a> Downloads<'a> {
    /// None running yet.
    pub fn new(progress: &'a Progress) -> Downloads<'a> {
        Downloads { fetcher: Fetcher::new(), progress, alive: Mutex::default() }
    }

    /// Makes `place` be the file. What came before a failure is kept beside it (`.part`) for the next time.
    pub fn bring(&self, wanted: &Wanted<'_>, place: &Path) -> Result<(), Missing> {
        let mut said = Vec::new();
        for url in wanted.urls {
            match self.mirror(url, wanted, place) {
                Ok(()) => {
                    said.iter().for_each(|why: &String| self.progress.say(&format!("another mirror helped: {why}")));
                    return Ok(());
                }
                Err(Trouble::Again(why) | Trouble::Mirror(why)) => said.push(why),
                Err(Trouble::Here(failure)) => return Err(Missing::Here(failure)),
            }
        }
        Err(Missing::Gone(said))
    }

    fn mirror(&self, url: &str, wanted: &Wanted<'_>, place: &Path) -> Result<(), Trouble> {
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            let mut part = Part::open(place, wanted)?;
            let tried = self.attempt(url, wanted, &mut part).and_then(|()| Ok(part.settle(place)?));
            match tried {
                Err(Trouble::Again(_)) if left > 0 => sleep(pause),
                Err(Trouble::Again(why)) => {
                    // A mirror that never gave a byte would make every other deb wait as long.
                    if is_remote(url) && !self.is_alive(url) {
                        self.fetcher.give_up(url);
                    }
                    return Err(Trouble::Again(why));
                }
                done => return done,
            }
            pause *= 2;
        }
        Ok(())
    }

    fn attempt(&self, url: &str, wanted: &Wanted<'_>, part: &mut Part) -> Result<(), Trouble> {
        let resumed = part.bytes > 0;
        if part.bytes < wanted.size {
            let mut answer = self.ask(url, part)?;
            part.begin(&answer, url)?;
            let length = answer.length.map(|length| answer.from.saturating_add(length));
            if let Some(length) = length.filter(|length| *length != wanted.size) {
                return Err(Trouble::Mirror(format!(
                    "{}: it has {length} bytes, expected {}",
                    shown(url),
                    wanted.size
                )));
            }
            self.copy(&mut answer.body, wanted, part).map_err(|trouble| named(trouble, url))?;
        }
        let found = std::mem::replace(&mut part.digest, Digest::new(Algorithm::Sha256)).hex();
        if found == wanted.sha256 {
            return Ok(());
        }
        part.drop_all()?;
        let why = format!("{}: wrong bytes: SHA256 {found}, expected {}", shown(url), wanted.sha256);
        // The wrong ones may be those of an earlier run.
        Err(if resumed { Trouble::Again(why) } else { Trouble::Mirror(why) })
    }

    fn ask(&self, url: &str, part: &Part) -> Result<Answer, Trouble> {
        if let Some(path) = url.strip_prefix("file://") {
            return of_file(Path::new(path)).map_err(|error| Trouble::Mirror(format!("{url}: {error}")));
        }
        if !is_remote(url) {
            return Err(Trouble::Mirror(format!("{}: neither http, https nor file", shown(url))));
        }
        let answer = self.fetcher.rest(url, part.bytes, part.validator(url).as_deref());
        // A range that this mirror does not want is no reason to believe it has not got the whole.
        let answer = answer
            .or_else(|refused| if part.bytes > 0 && !refused.again { self.fetcher.get(url) } else { Err(refused) });
        let answer = answer.map_err(|no| if no.again { Trouble::Again(no.why) } else { Trouble::Mirror(no.why) })?;
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(authority(url).to_owned());
        Ok(answer)
    }

    fn is_alive(&self, url: &str) -> bool {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).contains(authority(url))
    }

    fn copy(&self, body: &mut dyn Read, wanted: &Wanted<'_>, part: &mut Part) -> Result<(), Trouble> {
        let mut buffer = [0; AHEAD];
        loop {
            let read = body.read(&mut buffer).map_err(|error| Trouble::Again(error.to_string()))?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if part.bytes + read as u64 > wanted.size {
                part.drop_all()?;
                return Err(Trouble::Mirror(format!("it is longer than the {} bytes expected", wanted.size)));
            }
            if read == 0 {
                break;
            }
            part.add(bytes)?;
            self.progress.advance(read as u64);
        }
        if part.bytes < wanted.size {
            return Err(Trouble::Again(format!("it ended after {} of {} bytes", part.bytes, wanted.size)));
        }
        Ok(())
    }
}

fn named(trouble: Trouble, url: &str) -> Trouble {
    match trouble {
        Trouble::Again(why) => Trouble::Again(format!("{}: {why}", shown(url))),
        Trouble::Mirror(why) => Trouble::Mirror(format!("{}: {why}", shown(url))),
        here => here,
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn of_file(path: &Path) -> io::Result<Answer> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(Answer { length: Some(metadata.len()), from: 0, validator: None, body: Box::new(File::open(path)?) })
}

/// The beginning of a file, beside its place, and from where it came.
struct Part {
    file: File,
    path: PathBuf,
    note: PathBuf,
    bytes: u64,
    digest: Digest,
}

impl Part {
    fn open(place: &Path, wanted: &Wanted<'_>) -> Outcome<Part> {
        let beside = |suffix: &str| {
            let mut name = place.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, note) = (beside(".part"), beside(".part.from"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.doing(path.display())?;
        let mut part = Part { file, path, note, bytes: 0, digest: Digest::new(Algorithm::Sha256) };
        if part.file.metadata().doing(part.path.display())?.len() > wanted.size {
            part.drop_all()?;
        }
        let mut buffer = [0; AHEAD];
        loop {
            let read = part.file.read(&mut buffer).doing(part.path.display())?;
            if read == 0 {
                return Ok(part);
            }
            part.digest.update(buffer.get(..read).unwrap_or_default());
            part.bytes += read as u64;
        }
    }

    /// Makes ready for what the answer brings: the rest, or all of it.
    fn begin(&mut self, answer: &Answer, url: &str) -> Outcome<()> {
        if answer.from != self.bytes {
            self.drop_all()?;
        }
        let note = format!("{url}\n{}\n", answer.validator.as_deref().unwrap_or_default());
        fs::write(&self.note, note).doing(self.note.display())
    }

    /// What this URL's server said of the file when the beginning came from there.
    fn validator(&self, url: &str) -> Option<String> {
        let note = fs::read_to_string(&self.note).ok()?;
        let (from, validator) = note.split_once('\n')?;
        Some(validator.trim_end().to_owned()).filter(|validator| from == url && !validator.is_empty())
    }

    fn add(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.file.write_all(bytes).doing(self.path.display())?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn drop_all(&mut self) -> Outcome<()> {
        self.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.file)).doing(self.path.display())?;
        self.digest = Digest::new(Algorithm::Sha256);
        self.bytes = 0;
        Ok(())
    }

    fn settle(&self, place: &Path) -> Outcome<()> {
        self.file.sync_all().doing(self.path.display())?;
        fs::rename(&self.path, place).doing(place.display())?;
        let _ = fs::remove_file(&self.note);
        let folder = place.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).doing(folder.display())
    }
}
