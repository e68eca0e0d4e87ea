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
/// Times that it is asked for more behind an end that may have been the line's.
const MORE: u32 = 12;
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
    let wanted = Wanted { is_known, ..wanted.clone() };
    let mut job = Job { fetcher, wanted, alone: Vec::new(), room, givers: Vec::new(), ended: None };
    let (mut changes, mut more) = (0, 0);
    // Bytes of an earlier run, and where it ended before, while it is asked for more.
    let mut asked = None;
    // What a server sent that is asked no more: it says more than that others did not answer.
    let mut wrong = None;
    loop {
        let mut part = Part::open(place, expected)?;
        let (had, ended) = asked.take().unwrap_or((part.mark.at, None));
        if ended.is_none() {
            job.givers.clear();
        }
        let url = match job.fill(&mut part, ended, tell) {
            Ok(url) => url,
            Err(Failure::Source(no)) if no.changed && changes < AGAIN => {
                changes += 1;
                part.start_over()?;
                // The next may have all of it.
                job.wanted.urls.rotate_left(1);
                continue;
            }
            Err(Failure::Source(no)) if no.sent && !job.givers.is_empty() && job.has_others() => {
                tracing::warn!("{no}");
                job.pass_by();
                wrong = wrong.or(Some(Wrong::Length(no)));
                part.start_over()?;
                continue;
            }
            Err(Failure::Source(no)) if !job.alone.is_empty() => {
                tracing::warn!("{no}");
                part.start_over()?;
                job.wanted.urls = job.alone.pop().into_iter().collect();
                continue;
            }
            Err(failure) => {
                give_up(part, &failure)?;
                return Err(match (failure, wrong) {
                    (Failure::Source(no), Some(wrong)) => wrong.beside(&no).of_room(job.wanted.most),
                    (failure, _) => failure.of_room(job.wanted.most),
                });
            }
        };
        let (expected_is, found) = match part.verdict() {
            Ok(()) => return Ok(Brought { part, url }),
            Err(mismatch) => mismatch,
        };
        // Nobody said that it ends there: there may be more of it.
        if job.ended.is_some() && job.ended != ended && more < MORE {
            (more, asked) = (more + 1, Some((had, job.ended)));
            continue;
        }
        // The wrong ones may be those of an earlier run.
        if had > 0 {
            part.start_over()?;
            continue;
        }
        tracing::warn!("{}: wrong bytes: {found}, expected {expected_is}", super::shown(&url));
        if !job.has_others() {
            let is_zim = matches!(expected, Expected::Itself(_));
            let bad = if is_zim { Some(Box::new(part)) } else { part.remove().map(|()| None)? };
            return Err(Failure::Wrong { expected: expected_is, found, bad });
        }
        job.pass_by();
        wrong = Some(Wrong::Bytes { url: super::shown(&url), expected: expected_is, found });
        part.start_over()?;
    }
}

/// What a server sent that is asked no more.
enum Wrong {
    Bytes { url: String, expected: String, found: String },
    Length(Unanswered),
}

impl Wrong {
    /// What to say where the others did not answer.
    fn beside(self, no: &Unanswered) -> Failure {
        match self {
            Wrong::Bytes { url, expected, found } => {
                Failure::Wrong { expected, found: format!("{found} at {url} ({no})"), bad: None }
            }
            Wrong::Length(first) => Failure::Source(Unanswered { why: format!("{first}; {no}"), ..first }),
        }
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
    /// Servers to ask one at a time, once pieces of several have made something wrong.
    alone: Vec<String>,
    room: &'a dyn Fn() -> io::Result<u64>,
    /// The URLs that gave its bytes this time.
    givers: Vec<String>,
    /// Where it ended, if nothing but that said that it is whole.
    ended: Option<u64>,
}

impl Job<'_> {
    /// Whether there are servers beside those that gave these bytes.
    fn has_others(&self) -> bool {
        !self.alone.is_empty() || self.wanted.urls.len() > 1
    }

    /// Does not ask those again that gave these bytes; of several, each is to give all of it.
    fn pass_by(&mut self) {
        if self.givers.len() > 1 {
            self.alone = std::mem::take(&mut self.wanted.urls);
            self.alone.reverse();
        } else {
            self.wanted.urls.retain(|url| !self.givers.contains(url));
        }
        if self.wanted.urls.is_empty() {
            self.wanted.urls.extend(self.alone.pop());
        }
    }

    /// Completes the part; where the last bytes came from. `ended`: where it did so before, and may have been whole.
    fn fill(&mut self, part: &mut Part, ended: Option<u64>, tell: &mut dyn FnMut(Event)) -> Result<String, Failure> {
        let all = self.wanted.size.or(part.mark.total);
        if all.is_some_and(|all| all == part.mark.at) && part.mark.at > 0 {
            let from = part.mark.from.as_ref().map(|(url, _)| url);
            let only = self.wanted.urls.first().filter(|_| self.wanted.urls.len() == 1);
            return Ok(from.or(only).cloned().unwrap_or_default());
        }
        // What is set aside for it is not free any more, and yet room for it.
        let room = (self.room)()?.saturating_add(part.ahead()?);
        self.wanted.most = part.mark.at.saturating_add(room);
        let mut stream = match self.fetcher.resume(self.wanted.clone(), part.mark.clone()) {
            // There is nothing behind that.
            Err(no) if no.changed && ended == Some(part.mark.at) => {
                return Ok(self.givers.last().cloned().unwrap_or_default());
            }
            resumed => resumed.map_err(Failure::Source)?,
        };
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
            let gave = stream.givers().filter(|url| !self.givers.iter().any(|other| other == url));
            let gave: Vec<String> = gave.map(str::to_owned).collect();
            self.givers.extend(gave);
            match end {
                Some(Ok(())) => {
                    self.ended = stream.unsaid_end();
                    if self.givers.is_empty() {
                        self.givers.push(stream.url().to_owned());
                    }
                    return Ok(stream.url().to_owned());
                }
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
