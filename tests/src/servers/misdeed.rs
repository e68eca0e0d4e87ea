//! What a server may do wrong, and what it serves meanwhile.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::seeded::Seeded;

/// Bytes that are served.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// These.
    Given(Arc<Vec<u8>>),
    /// Those of a seed.
    Seeded(Seeded),
}

impl Bytes {
    /// How many they are.
    pub fn length(&self) -> u64 {
        match self {
            Bytes::Given(bytes) => bytes.len() as u64,
            Bytes::Seeded(seeded) => seeded.length(),
        }
    }

    /// Fills the buffer with what stands from `at` on; behind the last byte it begins again, for a body that never ends.
    pub(super) fn fill(&self, at: u64, buffer: &mut [u8]) {
        match self {
            Bytes::Seeded(seeded) => seeded.fill_whole(at, buffer),
            Bytes::Given(bytes) if bytes.is_empty() => buffer.fill(0),
            Bytes::Given(bytes) => {
                let (mut from, mut filled) = ((at % bytes.len() as u64) as usize, 0);
                while filled < buffer.len() {
                    let take = (bytes.len() - from).min(buffer.len() - filled);
                    buffer[filled..filled + take].copy_from_slice(&bytes[from..from + take]);
                    (from, filled) = (0, filled + take);
                }
            }
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Given(Arc::new(bytes))
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        text.as_bytes().to_vec().into()
    }
}

impl From<Seeded> for Bytes {
    fn from(seeded: Seeded) -> Bytes {
        Bytes::Seeded(seeded)
    }
}

/// How `Retry-After` is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not at all.
    Unsaid,
    /// In seconds.
    Seconds(u64),
    /// As a date, so many seconds from the answer on.
    Date(u64),
}

/// One thing that a server does wrong. Several may come together.
#[derive(Debug, Clone)]
pub enum Misdeed {
    /// Each connection ends after so many bytes of its body.
    DropsEvery(u64),
    /// Only the first answers end after so many bytes.
    DropsFirst {
        /// How many of them.
        times: usize,
        /// Bytes of each body.
        after: u64,
    },
    /// `Range` is ignored: 200 and everything.
    NoRanges,
    /// From the request behind the `after`-th on it is another file, under another `ETag`.
    Changes {
        /// Requests that still get the first one.
        after: usize,
        /// The other file.
        to: Bytes,
    },
    /// `Content-Length` says this, whatever comes.
    ClaimsLength(u64),
    /// The body never ends.
    Endless,
    /// No `Content-Length`: the end of the connection is the end of the body.
    NoLength,
    /// The body comes in chunks, without `Content-Length`.
    Chunked,
    /// It comes in chunks, and behind the last one there are trailers without end.
    EndlessTrailers,
    /// It comes in chunks, and the connection ends amid the one that holds this byte.
    CutsChunk(u64),
    /// From byte `after` on so few bytes come at a time.
    Drips {
        /// Bytes that come at once.
        after: u64,
        /// Bytes at a time.
        bytes: usize,
        /// From one time to the next.
        every: Duration,
    },
    /// Nothing comes after so many bytes of the body; 0: after the head.
    SilentAfter(u64),
    /// The request is never answered.
    NeverAnswers,
    /// 503 to the first requests.
    Unavailable {
        /// To how many.
        times: usize,
        /// When to come again.
        again: RetryAfter,
    },
    /// This status, and no body.
    Status(u16),
    /// 302 to there.
    RedirectsTo(String),
    /// The part that comes begins so many bytes behind what was asked for, and says so.
    WrongRange(u64),
    /// The part that comes is said to be one of a file so much longer.
    WrongTotal(u64),
    /// Length and `ETag` are right, this byte is not.
    WrongByte(u64),
}

/// What is served under a path: all is well with it until a [`Misdeed`] is added.
#[derive(Debug, Clone)]
pub struct Resource {
    pub(super) bytes: Bytes,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    pub(super) date: Option<String>,
    pub(super) kind: &'static str,
    pub(super) coding: Option<&'static str>,
    pub(super) misdeeds: Vec<Misdeed>,
}

impl Resource {
    /// These bytes, with ranges and a strong `ETag`.
    pub fn new(bytes: impl Into<Bytes>) -> Resource {
        Resource {
            bytes: bytes.into(),
            etag: Some("\"first\"".into()),
            modified: None,
            date: None,
            kind: "application/octet-stream",
            coding: None,
            misdeeds: Vec::new(),
        }
    }

    /// The same, with one thing done wrong (more).
    pub fn but(mut self, misdeed: Misdeed) -> Resource {
        self.misdeeds.push(misdeed);
        self
    }

    /// The same, packed with gzip although nobody asked for it.
    pub fn packed(self) -> Resource {
        let mut plain = vec![0; self.bytes.length() as usize];
        self.bytes.fill(0, &mut plain);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
        Resource { bytes: packed.into(), coding: Some("gzip"), ..self }
    }

    /// The same under another `ETag`, given as it is sent (`"x"`, `W/"x"`); `None`: under none.
    pub fn tagged(self, etag: Option<&str>) -> Resource {
        Resource { etag: etag.map(str::to_owned), ..self }
    }

    /// The same with this `Last-Modified`.
    pub fn modified(self, date: &str) -> Resource {
        Resource { modified: Some(date.into()), ..self }
    }

    /// The same with this `Date`: what the server takes the time to be.
    pub fn dated(self, date: &str) -> Resource {
        Resource { date: Some(date.into()), ..self }
    }

    /// The same with this `Content-Type`.
    pub fn kind(self, kind: &'static str) -> Resource {
        Resource { kind, ..self }
    }
}
