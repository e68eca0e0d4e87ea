//! What a server answers, and whether it will do.

use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, Response};

use super::pace::{LEAST, Pace};
use super::patience::bounded;

/// An answer whose body is yet to be read.
pub struct Answer {
    /// Bytes the body will have, where the server says so.
    pub length: Option<u64>,
    /// Where in the file its first byte stands: 0, or where [`Request::from`](super::Request::from) asked it to begin.
    pub from: u64,
    /// Bytes of the whole file, where the server says so.
    pub total: Option<u64>,
    /// A strong `ETag`, else `Last-Modified`: by it a later request knows the file again.
    pub validator: Option<String>,
    /// Whether it says of itself that it is a page to look at.
    pub is_page: bool,
    /// Whether it says of itself that it only describes a file and names where that is.
    pub is_description: bool,
    /// Whether another host gave it than the one that was asked.
    pub redirected: bool,
    /// Whether its end would be seen to be one, where no length is known.
    pub ends: bool,
    /// All that the server said in front of the body.
    pub headers: HeaderMap,
    /// The body; ending too early, or coming too slowly, is an error.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("from", &self.from).field("total", &self.total).finish_non_exhaustive()
    }
}

impl Answer {
    /// One of these headers, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unanswered {
    /// In words, with the URL but no secret of it.
    pub why: String,
    /// Whether another try may do better.
    pub again: bool,
    /// How long the server asks to be left alone first.
    pub after: Option<Duration>,
    /// What it wants to be shown first (`WWW-Authenticate` of a 401).
    pub challenge: Option<String>,
    /// The file has so many bytes, or more than were asked for (none).
    pub length: Option<Found>,
    /// That length is of bytes that came, and not only of what was announced.
    pub sent: bool,
    /// It is another file now than the one whose beginning is here.
    pub changed: bool,
    /// Bytes that it should have, where it has others.
    pub expected: Option<u64>,
    /// Nobody answered at all.
    pub silent: bool,
    /// The server has no time, for this file as for any other.
    pub busy: bool,
}

/// Bytes of a file that is shorter or longer than it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// So many.
    Exactly(u64),
    /// More than this.
    MoreThan(u64),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Exactly(bytes) => write!(f, "{bytes}"),
            Found::MoreThan(bytes) => write!(f, "more than {bytes}"),
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unanswered {}

impl From<Unanswered> for io::Error {
    fn from(unanswered: Unanswered) -> io::Error {
        io::Error::other(unanswered)
    }
}

impl Unanswered {
    /// Nothing that another try would mend.
    pub fn for_good(why: impl Into<String>) -> Unanswered {
        Unanswered { why: why.into(), ..Unanswered::default() }
    }

    /// What an error of a [`Stream`](super::Stream) carries, if it is the server's or the network's.
    pub fn of(error: &io::Error) -> Option<&Unanswered> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn passing(why: impl Into<String>) -> Unanswered {
        Unanswered { why: why.into(), again: true, ..Unanswered::default() }
    }

    /// The same, with what it speaks of in front.
    pub(super) fn at(mut self, shown: &str) -> Unanswered {
        self.why = format!("{shown}: {}", self.why);
        self
    }
}

/// An answer to a request for what stands behind the first `have` bytes.
pub(super) fn judge(answer: Response<ureq::Body>, have: u64, pace: Pace) -> Result<Answer, Unanswered> {
    let status = answer.status();
    let (parts, body) = answer.into_parts();
    let headers = parts.headers;
    let said = |name| header(&headers, name);
    let part = have > 0 && status == 206;
    if status == 416 && have > 0 {
        // Behind its end: it is shorter than the beginning that is here.
        let changed = true;
        return Err(Unanswered { changed, ..Unanswered::passing("it is shorter than it was") });
    }
    if status != 200 && !part {
        let again = status.is_server_error() || status == 408 || status == 429;
        let after = said("retry-after").and_then(|after| wait(after, said("date"))).filter(|_| again);
        let challenges = headers.get_all("www-authenticate").iter().filter_map(|challenge| challenge.to_str().ok());
        let challenge = (status == 401).then(|| challenges.collect::<Vec<_>>().join(", "));
        let why = match status.as_u16() {
            401 => format!("the server says {status}: it wants a name and a password"),
            407 => format!("the proxy says {status}: it wants a name and a password"),
            404 | 410 => format!("the server says {status}: there is no such file"),
            _ => format!("the server says {status}"),
        };
        let busy = status == 503 || status == 429;
        return Err(Unanswered { why, again, after, challenge, busy, ..Unanswered::default() });
    }
    let range = said("content-range");
    let begins = |range: &str| range.starts_with(&format!("bytes {have}-"));
    if part && !range.is_some_and(begins) {
        return Err(Unanswered::for_good("the server sends another part of it than was asked for"));
    }
    if let Some(coding) = said("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Unanswered::for_good(format!("the server sends it packed ({coding}) though asked not to")));
    }
    let strong = said("etag").filter(|tag| tag.starts_with('"'));
    let validator = strong.or_else(|| said("last-modified")).map(str::to_owned);
    let from = if part { have } else { 0 };
    // The library takes an answer of no bytes for one without a body, and tells no length of that.
    let is_empty = || said("content-length")?.trim().parse().ok().filter(|length| *length == 0);
    let packs = said("transfer-encoding");
    let length = body.content_length().or_else(|| is_empty().filter(|_| packs.is_none()));
    let of_range = range.filter(|_| part).and_then(|range| range.rsplit('/').next()?.parse().ok());
    let total = of_range.or_else(|| length?.checked_add(from));
    let kind = said("content-type").unwrap_or_default().to_ascii_lowercase();
    let is_page = kind.starts_with("text/html") || kind.starts_with("application/xhtml");
    let is_description = kind.starts_with("application/metalink");
    let ends = length.is_some() || packs.is_some_and(|how| how.eq_ignore_ascii_case("chunked"));
    let body = Box::new(Paced::new(body.into_reader(), pace));
    Ok(Answer { length, from, total, validator, is_page, is_description, redirected: false, ends, headers, body })
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3), by the server's own clock where it says what that is.
fn wait(said: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = said.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(said).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
    Some(then.duration_since(now).unwrap_or_default())
}

/// A body that fails once it comes too slowly.
struct Paced<R> {
    inner: R,
    pace: Pace,
    /// Time spent waiting for the server, not by the reader between two reads, and the bytes that came in it.
    waited: Duration,
    bytes: u64,
}

impl<R: Read> Paced<R> {
    fn new(inner: R, pace: Pace) -> Self {
        Paced { inner, pace, waited: Duration::ZERO, bytes: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let asked = Instant::now();
        let read = bounded(self.pace.window(), || self.inner.read(buffer))?;
        self.waited += asked.elapsed();
        self.bytes += read as u64;
        if self.bytes >= LEAST {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        } else if read > 0 && self.waited > self.pace.window() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it comes too slowly"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait("7", None), Some(Duration::from_secs(7)));
        let soon = SystemTime::now() + Duration::from_secs(90);
        let until = wait(&httpdate::fmt_http_date(soon), None).unwrap();
        assert!((80..=90).contains(&until.as_secs()), "{until:?}");
        let then = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait(then, None), Some(Duration::ZERO));
        assert_eq!(wait(then, Some("Sun, 06 Nov 1994 08:49:30 GMT")), Some(Duration::from_secs(7)));
        assert_eq!(wait("soon", None), None);
    }
}
