//! Brings one file: gone on with where it stood, verified in passing, from the first server that has the right bytes.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::answer::{Found, Unanswered};
use super::client::Fetcher;
use super::part::Part;
use super::proof::Expected;
use super::stream::{Stream, Wanted};

/// Bytes of a write: what cards do fastest.
const BUFFER: usize = 1 << 20;
/// How often at least it is told what came.
const TOLD: Duration = Duration::from_secs(1);
/// Times that a file which changed under our hands is begun again.
const AGAIN: u32 = 3;
/// A beginning shorter than this is not worth a file of its own.
const WORTH: u64 = 64 << 10;

/// A file that is whole and verified, not yet durable, and without a name of its own.
#[derive(Debug)]
pub struct Brought {
    /// The file.
    pub part: Part,
    /// Where it came from.
    pub url: String,
}

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A server answers: so many bytes are here, of so many in all, if that is known.
    Begun {
        /// Bytes that are here already.
        there: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
    /// So many bytes came.
    Came(u64),
}

/// Why a file was not brought.
#[derive(Debug)]
pub enum Failure {
    /// The servers or the network. What came is kept where it helps the next time.
    Source(Unanswered),
    /// No server has the right bytes.
    Wrong {
        /// What they should be.
        expected: String,
        /// What the last server's are.
        found: String,
        /// Those bytes, if they are a ZIM's that says of itself to be damaged.
        bad: Option<Box<Part>>,
    },
    /// It does not fit: bytes that it needs, and bytes that there are.
    NoRoom {
        /// Bytes to come.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// The card.
    Here(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.get_ref().is_some_and(|inner| inner.is::<Unanswered>()) {
            true => Failure::Source(Unanswered::of(&error).cloned().unwrap_or_default()),
            false => Failure::Here(error),
        }
    }
}

/// Brings what is wanted; `place`: what its part is named after. `room`: bytes that may be written now; no more are. What happens is told.
pub fn bring(
    fetcher: &Fetcher,
    wanted: &Wanted,
    place: &Path,
    expected: &Expected,
    room: &dyn Fn() -> io::Result<u64>,
    tell: &mut dyn FnMut(Event),
) -> Result<Brought, Failure> {
    let is_known = matches!(expected, Expected::Digest(..));
    let mut job = Job { fetcher, wanted: Wanted { is_known, ..wanted.clone() }, room, givers: Vec::new() };
    // Servers to ask one at a time, once pieces of several have made something wrong.
    let (mut alone, mut changes) = (Vec::new(), 0);
    // What a server sent that is asked no more: it says more than that others did not answer.
    let mut wrong = None;
    loop {
        let mut part = Part::open(place, expected)?;
        let had = part.mark.at;
        let url = match job.fill(&mut part, tell) {
            Ok(url) => url,
            Err(Failure::Source(no)) if no.changed && changes < AGAIN => {
                changes += 1;
                part.start_over()?;
                // The next may have all of it.
                job.wanted.urls.rotate_left(1);
                continue;
            }
            Err(Failure::Source(no)) if !alone.is_empty() => {
                tracing::warn!("{no}");
                part.start_over()?;
                job.wanted.urls = alone.split_off(alone.len() - 1);
                continue;
            }
            Err(failure) => {
                give_up(part, &failure)?;
                return Err(match (failure, wrong) {
                    (Failure::Source(no), Some((url, expected, found))) => {
                        Failure::Wrong { expected, found: format!("{found} at {url} ({no})"), bad: None }
                    }
                    (failure, _) => failure.of_room(job.wanted.most),
                });
            }
        };
        let (expected_is, found) = match part.verdict() {
            Ok(()) => return Ok(Brought { part, url }),
            Err(mismatch) => mismatch,
        };
        // The wrong ones may be those of an earlier run.
        if had > 0 {
            part.start_over()?;
            continue;
        }
        tracing::warn!("{}: wrong bytes: {found}, expected {expected_is}", super::shown(&url));
        if job.givers.len() > 1 {
            alone = std::mem::take(&mut job.wanted.urls);
            alone.reverse();
        } else {
            job.wanted.urls.retain(|other| *other != url);
        }
        if job.wanted.urls.is_empty() {
            job.wanted.urls.extend(alone.pop());
        }
        if job.wanted.urls.is_empty() {
            let is_zim = matches!(expected, Expected::Itself(_));
            let bad = if is_zim { Some(Box::new(part)) } else { part.remove().map(|()| None)? };
            return Err(Failure::Wrong { expected: expected_is, found, bad });
        }
        wrong = Some((super::shown(&url), expected_is, found));
        part.start_over()?;
    }
}

/// Keeps what helps the next time, and nothing else.
fn give_up(mut part: Part, failure: &Failure) -> Result<(), Failure> {
    let useful = match failure {
        // What servers say of the length may be wrong; what they sent beyond it is.
        Failure::Source(no) => !matches!(no.length, Some(Found::MoreThan(_))),
        Failure::NoRoom { .. } => true,
        Failure::Wrong { .. } | Failure::Here(_) => false,
    };
    if useful && part.mark.at >= WORTH {
        return Ok(part.keep()?);
    }
    // It may be the card that failed.
    let _ = part.remove();
    Ok(())
}

impl Failure {
    /// Of what no settings gave a length it is the card that it is too long for: `have` bytes.
    fn of_room(self, have: u64) -> Failure {
        match self {
            Failure::Source(Unanswered { length: Some(Found::Exactly(need)), expected: None, .. }) => {
                Failure::NoRoom { need, have }
            }
            Failure::Source(Unanswered { length: Some(Found::MoreThan(_)), expected: None, .. }) => {
                Failure::Here(nix::errno::Errno::ENOSPC.into())
            }
            failure => failure,
        }
    }
}

/// One file that is being brought.
struct Job<'a> {
    fetcher: &'a Fetcher,
    wanted: Wanted,
    room: &'a dyn Fn() -> io::Result<u64>,
    /// The URLs that gave its bytes this time.
    givers: Vec<String>,
}

impl Job<'_> {
    /// Completes the part; where the last bytes came from.
    fn fill(&mut self, part: &mut Part, tell: &mut dyn FnMut(Event)) -> Result<String, Failure> {
        self.givers.clear();
        let all = self.wanted.size.or(part.mark.total);
        if all.is_some_and(|all| all == part.mark.at) && part.mark.at > 0 {
            let from = part.mark.from.as_ref().map(|(url, _)| url);
            let only = self.wanted.urls.first().filter(|_| self.wanted.urls.len() == 1);
            return Ok(from.or(only).cloned().unwrap_or_default());
        }
        // What is set aside for it is not free any more, and yet room for it.
        let room = (self.room)()?.saturating_add(part.ahead()?);
        self.wanted.most = part.mark.at.saturating_add(room);
        let mut stream = self.fetcher.resume(self.wanted.clone(), part.mark.clone()).map_err(Failure::Source)?;
        let all = self.wanted.size.or(stream.total());
        if let Some(need) = all.map(|all| all.saturating_sub(part.mark.at)).filter(|need| *need > room) {
            return Err(Failure::NoRoom { need, have: room });
        }
        tell(Event::Begun { there: part.mark.at, total: all });
        part.begin(stream.mark())?;
        part.reserve(all.unwrap_or(0))?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let (filled, end) = fill_buffer(&mut stream, &mut buffer);
            let bytes = buffer.get(..filled).unwrap_or_default();
            part.add(bytes)?;
            tell(Event::Came(bytes.len() as u64));
            part.mark.from.clone_from(&stream.mark().from);
            self.givers = stream.givers().map(str::to_owned).collect();
            match end {
                Some(Ok(())) => return Ok(stream.url().to_owned()),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
    }
}

/// Reads until the buffer is full, or a second is over; how much came, and how it ended if it did.
fn fill_buffer(stream: &mut Stream, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>) {
    let (mut filled, begun) = (0, Instant::now());
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => return (filled, Some(Ok(()))),
            Ok(read) => filled += read,
            Err(error) => return (filled, Some(Err(error))),
        }
        if begun.elapsed() >= TOLD {
            break;
        }
    }
    (filled, None)
}
