//! What a server answers: a head, and a body with its faults.

use std::time::Duration;

use super::misdeed::{Bytes, Misdeed, Resource, RetryAfter};
use super::request::Request;
use crate::tool;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By its length.
    Length,
    /// By the end of the connection.
    Close,
    /// By a chunk of no bytes.
    Chunks,
    /// By what never comes, behind a chunk of no bytes.
    Trailers,
}

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub bytes: Bytes,
    /// Where in `bytes` the body begins.
    pub from: u64,
    /// Bytes of the body; none: it never ends.
    pub length: Option<u64>,
    pub end: End,
    /// Bytes after which the connection is closed.
    pub drop_after: Option<u64>,
    /// Bytes after which nothing comes any more.
    pub silent_after: Option<u64>,
    pub drip: Option<(u64, usize, Duration)>,
    /// A byte, counted in the whole file, that is flipped.
    pub wrong: Option<u64>,
    /// No answer at all.
    pub never: bool,
}

impl Answer {
    /// A status and a page, of which all is well.
    pub fn page(status: u16, kind: &str, text: &str) -> Answer {
        let mut answer = Answer::of(status, text.into());
        answer.fields.push(("Content-Type", kind.to_owned()));
        answer.sized()
    }

    fn of(status: u16, bytes: Bytes) -> Answer {
        let length = Some(bytes.length());
        Answer {
            status,
            fields: Vec::new(),
            bytes,
            from: 0,
            length,
            end: End::Length,
            drop_after: None,
            silent_after: None,
            drip: None,
            wrong: None,
            never: false,
        }
    }

    fn sized(mut self) -> Answer {
        let length = self.length.unwrap_or_default();
        self.fields.push(("Content-Length", length.to_string()));
        self
    }

    /// The answer to the `number`-th request (from 1) for this resource.
    pub fn to(request: &Request, resource: &Resource, number: usize) -> Answer {
        let mut resource = resource.clone();
        for misdeed in &resource.misdeeds {
            match misdeed {
                Misdeed::Unavailable { times, again } if number <= *times => return unavailable(*again),
                Misdeed::Status(status) => return Answer::of(*status, "".into()).sized(),
                Misdeed::RedirectsTo(url) => {
                    let mut answer = Answer::of(302, "".into()).sized();
                    answer.fields.push(("Location", url.clone()));
                    return answer;
                }
                Misdeed::Changes { after, to } if number > *after => {
                    (resource.bytes, resource.etag) = (to.clone(), Some(format!("\"changed-{after}\"")));
                }
                _ => {}
            }
        }
        match whole_or_part(request, &resource) {
            refusal if refusal.status == 416 => refusal,
            answer => with_faults(answer, &resource.misdeeds, number),
        }
    }

    /// The head as it is sent.
    pub fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// Whether it comes in chunks.
    pub fn is_chunked(&self) -> bool {
        matches!(self.end, End::Chunks | End::Trailers)
    }

    /// Whether another request may follow on the same connection.
    pub fn keeps_connection(&self) -> bool {
        let claimed = self.fields.iter().find(|(name, _)| *name == "Content-Length").map(|(_, value)| value.clone());
        let honest = self.end == End::Chunks || claimed == self.length.map(|length| length.to_string());
        honest && self.end != End::Close && self.length.is_some()
    }
}

fn unavailable(again: RetryAfter) -> Answer {
    let mut answer = Answer::of(503, "".into()).sized();
    match again {
        RetryAfter::Unsaid => {}
        RetryAfter::Seconds(seconds) => answer.fields.push(("Retry-After", seconds.to_string())),
        RetryAfter::Date(seconds) => answer.fields.push(("Retry-After", date_in(seconds))),
    }
    answer
}

/// The date so many seconds from now, as HTTP writes it.
fn date_in(seconds: u64) -> String {
    let when = format!("+{seconds} seconds");
    let said = tool::run("date", &["-u", "-d", &when, "+%a, %d %b %Y %H:%M:%S GMT"]);
    said.map(|line| line.trim().to_owned()).unwrap_or_default()
}

fn whole_or_part(request: &Request, resource: &Resource) -> Answer {
    let mut answer = Answer::of(200, resource.bytes.clone());
    answer.fields.extend(resource.coding.map(|coding| ("Content-Encoding", coding.to_owned())));
    answer.fields.push(("Content-Type", resource.kind.to_owned()));
    answer.fields.extend(resource.etag.clone().map(|tag| ("ETag", tag)));
    answer.fields.extend(resource.modified.clone().map(|date| ("Last-Modified", date)));
    answer.fields.extend(resource.date.clone().map(|date| ("Date", date)));
    if resource.misdeeds.iter().any(|misdeed| matches!(misdeed, Misdeed::NoRanges)) {
        return answer;
    }
    answer.fields.push(("Accept-Ranges", "bytes".into()));
    let total = answer.bytes.length();
    let Some((first, last)) = request.range().filter(|_| still_the_same(request, resource)) else { return answer };
    if first >= total {
        let mut none = Answer::of(416, "".into()).sized();
        none.fields.push(("Content-Range", format!("bytes */{total}")));
        return none;
    }
    let (mut from, mut said) = (first, total);
    for misdeed in &resource.misdeeds {
        match misdeed {
            Misdeed::WrongRange(shift) => from = (first + shift).min(total - 1),
            Misdeed::WrongTotal(more) => said = total + more,
            _ => {}
        }
    }
    let last = last.map_or(total - 1, |last| last.min(total - 1));
    answer.fields.push(("Content-Range", format!("bytes {from}-{last}/{said}")));
    Answer { status: 206, from, length: Some((last + 1).saturating_sub(from)), ..answer }
}

/// Whether the condition of `If-Range` holds: a strong tag, or the date to the letter (RFC 9110, 13.1.5).
fn still_the_same(request: &Request, resource: &Resource) -> bool {
    let Some(condition) = request.header("if-range") else { return true };
    let strong = resource.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
    [strong, resource.modified.as_deref()].contains(&Some(condition))
}

fn with_faults(mut answer: Answer, misdeeds: &[Misdeed], number: usize) -> Answer {
    let mut claimed = None;
    for misdeed in misdeeds {
        match misdeed {
            Misdeed::DropsEvery(bytes) => answer.drop_after = Some(*bytes),
            Misdeed::DropsFirst { times, after } if number <= *times => answer.drop_after = Some(*after),
            Misdeed::ClaimsLength(length) => claimed = Some(*length),
            Misdeed::Endless => answer.length = None,
            Misdeed::NoLength => answer.end = End::Close,
            Misdeed::Chunked => answer.end = End::Chunks,
            Misdeed::EndlessTrailers => answer.end = End::Trailers,
            Misdeed::CutsChunk(at) => (answer.end, answer.drop_after) = (End::Chunks, Some(*at)),
            Misdeed::Drips { after, bytes, every } => answer.drip = Some((*after, *bytes, *every)),
            Misdeed::SilentAfter(bytes) => answer.silent_after = Some(*bytes),
            Misdeed::NeverAnswers => answer.never = true,
            Misdeed::WrongByte(at) => answer.wrong = Some(*at),
            _ => {}
        }
    }
    if answer.end == End::Length && claimed.is_none() && answer.length.is_none() {
        answer.end = End::Close;
    }
    match answer.end {
        End::Length => answer.fields.extend(claimed.or(answer.length).map(|said| ("Content-Length", said.to_string()))),
        End::Close => answer.fields.push(("Connection", "close".into())),
        End::Chunks | End::Trailers => answer.fields.push(("Transfer-Encoding", "chunked".into())),
    }
    answer
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        503 => "Service Unavailable",
        _ => "Said So",
    }
}
