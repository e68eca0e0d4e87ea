//! One deb from the first mirror that has it: resumed, its length a cap from the first byte, its SHA256 taken in passing.

pub mod mirrors;
pub mod progress;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use offspot_agent::fetch::part::Part;
use offspot_agent::fetch::{Event, Expected, Failure as Lost, Fetcher, Wanted as Asked, bring, is_remote, shown};
use offspot_config::settings::Algorithm;

use self::progress::Progress;
use crate::tool::{Doing, Failure, Outcome};

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

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Missing {
        Missing::Here(failure)
    }
}

/// Fetches files, and remembers which mirrors never answered.
#[derive(Debug)]
pub struct Downloads<'a> {
    fetcher: Fetcher,
    progress: &'a Progress,
}

impl<'a> Downloads<'a> {
    /// None running yet.
    pub fn new(progress: &'a Progress) -> Downloads<'a> {
        Downloads { fetcher: Fetcher::new(), progress }
    }

    /// Makes `place` be the file. What came before a failure is kept beside it (`.part`) for the next time.
    pub fn bring(&self, wanted: &Wanted<'_>, place: &Path) -> Result<(), Missing> {
        let expected = Expected::Digest(Algorithm::Sha256, wanted.sha256.to_owned());
        let mut said = Vec::new();
        for url in wanted.urls {
            let brought = match url.strip_prefix("file://") {
                Some(path) => {
                    copy(Path::new(path), wanted, place, &expected).map(|part| part.map_err(|why| why.at(url)))
                }
                None => self.fetch(url, wanted, place, &expected),
            };
            match brought? {
                Ok(part) => {
                    said.iter().for_each(|why: &String| self.progress.say(&format!("another mirror helped: {why}")));
                    return Ok(settle(part, place)?);
                }
                Err(Refused(why)) => said.push(why),
            }
        }
        Err(Missing::Gone(said))
    }

    fn fetch(&self, url: &str, wanted: &Wanted<'_>, place: &Path, expected: &Expected) -> Result<Tried, Missing> {
        if !is_remote(url) {
            return Ok(Err(Refused(format!("{}: neither http, https nor file", shown(url)))));
        }
        let asked = Asked { urls: vec![url.to_owned()], size: Some(wanted.size), ..Asked::default() };
        let mut tell = |event| match event {
            Event::Begun { there: bytes, .. } | Event::Came(bytes) => self.progress.advance(bytes),
        };
        match bring(&self.fetcher, &asked, place, expected, &|| Ok(u64::MAX), &mut tell) {
            Ok(brought) => Ok(Ok(brought.part)),
            Err(Lost::Source(no)) => Ok(Err(Refused(no.why))),
            Err(Lost::Wrong { expected, found, .. }) => {
                Ok(Err(Refused(format!("wrong bytes: SHA256 {found}, expected {expected}")).at(url)))
            }
            Err(Lost::NoRoom { need, have }) => Err(full(place, need, have).into()),
            Err(Lost::Here(error)) => Err(Missing::Here(Failure::new(format!("{}: {error}", place.display())))),
        }
    }
}

/// One mirror's file, or why that will not do.
type Tried = Result<Part, Refused>;

/// What is said of one mirror.
struct Refused(String);

impl Refused {
    fn at(self, url: &str) -> Refused {
        Refused(format!("{}: {}", shown(url), self.0))
    }
}

fn full(place: &Path, need: u64, have: u64) -> Failure {
    Failure::new(format!("{}: {need} bytes are to come, and there is room for {have}", place.display()))
}

/// The same from a folder of this machine.
fn copy(from: &Path, wanted: &Wanted<'_>, place: &Path, expected: &Expected) -> Result<Tried, Missing> {
    let mut file = match of_file(from) {
        Ok(file) => file,
        Err(error) => return Ok(Err(Refused(error.to_string()))),
    };
    let mut part =
        Part::open(place, expected).and_then(|mut part| part.start_over().map(|()| part)).doing(place.display())?;
    let mut buffer = [0; AHEAD];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => part.add(buffer.get(..read).unwrap_or_default()).doing(place.display())?,
            Err(error) => return Ok(Err(Refused(error.to_string()))),
        }
        if part.mark.at > wanted.size {
            break;
        }
    }
    let found = part.mark.at;
    let why = match part.verdict() {
        _ if found > wanted.size => format!("it is longer than the {} bytes expected", wanted.size),
        _ if found < wanted.size => format!("it has {found} bytes, expected {}", wanted.size),
        Ok(()) => return Ok(Ok(part)),
        Err((expected, found)) => format!("wrong bytes: SHA256 {found}, expected {expected}"),
    };
    part.remove().doing(place.display())?;
    Ok(Err(Refused(why)))
}

fn of_file(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

fn settle(part: Part, place: &Path) -> Outcome<()> {
    let file = part.settle(place).doing(place.display())?;
    file.sync_all().doing(place.display())?;
    let folder = place.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).doing(folder.display())
}
