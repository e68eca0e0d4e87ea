//! A body that goes on where it stood when the link dropped: at the same server, or at another that has the same file.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::address::shown;
use super::answer::{Answer, Found, Unanswered};
use super::client::{Fetcher, Request};
use super::pace::LEAST;

/// Gives the `Authorization` for a URL, or none; `challenge`: what a server answered that was not content with the last (`WWW-Authenticate`).
pub type Keys = Arc<dyn Fn(&str, Option<&str>) -> Result<Option<String>, Unanswered> + Send + Sync>;

/// One file, and what is known of it.
#[derive(Clone, Default)]
pub struct Wanted {
    /// Where it may be had, the best first; at least one.
    pub urls: Vec<String>,
    /// Its length in bytes, if that is known: a cap from the first byte.
    pub size: Option<u64>,
    /// The cap where it is not.
    pub most: u64,
    /// Whether its digest will be checked: then pieces of it may come from several servers.
    pub is_known: bool,
    /// Whether its addresses say its digest, so that what is there never becomes another file.
    pub is_fixed: bool,
    /// Whether it may be a page to look at; else such a page is a network's that asks for a login first.
    pub is_page: bool,
    /// Whether it may be the description of a file ([Metalink](super::metalink)); else one has come in the place of what it describes.
    pub is_description: bool,
    /// Whether it is a short text that its reader checks: any page, and an end without a length, will do.
    pub is_text: bool,
    /// `Accept`.
    pub accept: Option<String>,
    /// Who opens the doors.
    pub keys: Option<Keys>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| shown(url)).collect();
        f.debug_struct("Wanted").field("urls", &urls).field("size", &self.size).finish_non_exhaustive()
    }
}

/// How far a file is, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes that are here.
    pub at: u64,
    /// The URL that they came from, and by which its server knows the file again.
    pub from: Option<(String, String)>,
    /// Bytes of the whole, if a server said so.
    pub total: Option<u64>,
}

/// The bytes of a file from a mark on. Its errors carry an [`Unanswered`].
pub struct Stream {
    fetcher: Fetcher,
    wanted: Wanted,
    mark: Mark,
    /// Which of the URLs is asked.
    url: usize,
    /// Those that will not do, and why.
    refused: Vec<Option<Unanswered>>,
    body: Option<Box<dyn Read + Send>>,
    /// Of the answer that is read.
    headers: ureq::http::HeaderMap,
    /// Whether a line that breaks could not be told from its end.
    is_open_ended: bool,
    /// Those of the URLs that gave bytes.
    givers: BTreeSet<usize>,
    /// Those of the URLs where nobody answered.
    silent: BTreeSet<usize>,
    /// Where an answer ended that said nothing of its length.
    ended: Option<u64>,
    /// How long servers have asked us to stay away.
    asked: Duration,
    /// Bytes that this connection brought.
    gained: u64,
    /// Since when it has been tried without progress, and how often.
    failures: u32,
    since: Instant,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("wanted", &self.wanted).field("mark", &self.mark).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// The file from its beginning. Answers once a server has begun to answer.
    pub fn open(&self, wanted: Wanted) -> Result<Stream, Unanswered> {
        self.resume(wanted, Mark::default())
    }

    /// The file from there on, where it is still the same.
    pub fn resume(&self, wanted: Wanted, mark: Mark) -> Result<Stream, Unanswered> {
        let refused = wanted.urls.iter().map(|_| None).collect();
        let known = |url: &String| mark.from.as_ref().is_some_and(|(from, _)| from == url);
        // Its own server can say whether it is still the same.
        let first = || wanted.urls.iter().position(|url| !self.is_last(url));
        let url = wanted.urls.iter().position(known).or_else(first).unwrap_or(0);
        let fetcher = self.clone();
        let headers = ureq::http::HeaderMap::new();
        let mut stream = Stream {
            fetcher,
            wanted,
            mark,
            url,
            refused,
            body: None,
            headers,
            is_open_ended: false,
            givers: BTreeSet::new(),
            silent: BTreeSet::new(),
            ended: None,
            asked: Duration::ZERO,
            gained: 0,
            failures: 0,
            since: Instant::now(),
        };
        stream.connect()?;
        Ok(stream)
    }
}

impl Stream {
    /// Bytes of the whole file, if the server said so.
    pub fn total(&self) -> Option<u64> {
        self.mark.total
    }

    /// How far it is.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Where the bytes come from now.
    pub fn url(&self) -> &str {
        self.wanted.urls.get(self.url).map_or("", String::as_str)
    }

    /// Those of the URLs that gave any of the bytes.
    pub fn givers(&self) -> impl Iterator<Item = &str> {
        self.givers.iter().filter_map(|at| self.wanted.urls.get(*at)).map(String::as_str)
    }

    /// A header of the answer that is read now.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Asks, and asks again, until an answer will do.
    fn connect(&mut self) -> Result<(), Unanswered> {
        let mut challenge = None;
        if self.mark.at > 0 && self.mark.from.is_none() && !self.wanted.is_known {
            // Nothing would tell whether the rest is of the same file.
            let why = format!("{}: it broke off, and its server has no way to go on with it", shown(self.url()));
            return Err(Unanswered { changed: true, ..Unanswered::passing(why) });
        }
        loop {
            let Some(url) = self.wanted.urls.get(self.url).cloned() else {
                return Err(Unanswered::for_good("it has no address"));
            };
            match self.ask(&url, challenge.take()).and_then(|answer| self.take(&url, answer)) {
                Ok(()) => {
                    let silent = std::mem::take(&mut self.silent);
                    silent.iter().filter_map(|at| self.wanted.urls.get(*at)).for_each(|url| self.fetcher.ask_last(url));
                    return Ok(());
                }
                // It has no more than came before, so that was all of it.
                Err(no) if no.changed && self.ended == Some(self.mark.at) => {
                    return Err(self.too_short().unwrap_or(no));
                }
                // Another server may have the one whose beginning is here.
                Err(no) if no.changed && !self.wanted.is_known => return Err(no),
                Err(no) if no.changed => self.fail(&url, Unanswered { again: false, ..no })?,
                Err(no) if no.challenge.is_some() && self.wanted.keys.is_some() => challenge = no.challenge,
                Err(no) => self.fail(&url, no)?,
            }
        }
    }

    fn ask(&self, url: &str, challenge: Option<String>) -> Result<Answer, Unanswered> {
        let keys = self.wanted.keys.as_ref();
        let authorization = keys.map_or(Ok(None), |keys| keys(url, challenge.as_deref()))?;
        let validator =
            self.mark.from.as_ref().filter(|(from, _)| from == url).map(|(_, validator)| validator.as_str());
        let accept = self.wanted.accept.as_deref();
        let request = Request { url, from: self.mark.at, validator, accept, authorization: authorization.as_deref() };
        let answer = self.fetcher.ask(request);
        match (answer, challenge) {
            // What was shown for it was not good enough either.
            (Err(no), Some(_)) => Err(Unanswered { challenge: None, ..no }),
            (answer, _) => answer,
        }
    }

    /// Begins to read an answer, if it is one to this question.
    fn take(&mut self, url: &str, answer: Answer) -> Result<(), Unanswered> {
        let no = |no: Unanswered| Err(no.at(&shown(url)));
        let size = self.wanted.size;
        let may_be_described = self.wanted.is_description || self.wanted.is_text || self.wanted.is_known;
        if answer.is_description && !may_be_described {
            return no(Unanswered::for_good("a Metalink came in its place: give the address that ends in .meta4"));
        }
        let may_be_page = self.wanted.is_page || self.wanted.is_text;
        if answer.is_page && !may_be_page && (size.is_none() || size != answer.total) {
            return no(Unanswered::for_good("a web page came in its place: does this network ask for a login first?"));
        }
        if let Some((found, size)) = answer.total.zip(size).filter(|(found, size)| found != size) {
            let why = format!("it has {found} bytes, expected {size}");
            return no(Unanswered {
                length: Some(Found::Exactly(found)),
                expected: size.into(),
                ..Unanswered::for_good(why)
            });
        }
        if let Some(found) = answer.total.filter(|found| size.is_none() && *found > self.wanted.most) {
            let why = format!("it has {found} bytes, and there is room for {}", self.wanted.most);
            return no(Unanswered { length: Some(Found::Exactly(found)), ..Unanswered::for_good(why) });
        }
        let mut body = answer.body;
        if self.mark.at > 0 {
            if !self.is_same(url, answer.from, answer.total, answer.validator.as_deref()) {
                let changed = true;
                let why = "it is another file now than the one whose beginning is here";
                return no(Unanswered { changed, ..Unanswered::passing(why) });
            }
            if answer.from == 0 {
                skip(&mut body, self.mark.at)
                    .map_err(|error| Unanswered::passing(error.to_string()).at(&shown(url)))?;
            }
        }
        self.mark.total = answer.total.or(self.mark.total);
        // Where a server sends on to changing mirrors, each of them calls the same file otherwise.
        let is_own = !(self.wanted.is_fixed || answer.redirected && self.wanted.is_known);
        self.mark.from = answer.validator.filter(|_| is_own).map(|validator| (url.to_owned(), validator));
        self.is_open_ended = !answer.ends;
        (self.body, self.headers, self.gained) = (Some(body), answer.headers, 0);
        Ok(())
    }

    /// Whether an answer goes on with the file whose beginning is here: the server says so, or the digest will.
    fn is_same(&self, url: &str, from: u64, total: Option<u64>, validator: Option<&str>) -> bool {
        let ours = self.mark.from.as_ref().filter(|(of, _)| of == url).map(|(_, validator)| validator.as_str());
        let as_long = total.is_none() || self.mark.total.is_none() || total == self.mark.total;
        let strong = |validator: &str| validator.starts_with('"');
        match (from, ours) {
            // With If-Range a part is only sent of the same file.
            (1.., Some(ours)) => as_long && validator.is_none_or(|now| now == ours),
            (1.., None) => as_long && self.wanted.is_known,
            // The whole: by a server without ranges, or because it is another file.
            (0, Some(ours)) => as_long && Some(ours) == validator && strong(ours),
            (0, None) => as_long && self.wanted.is_known,
        }
    }

    /// Goes to the next server, or waits for this one; an error where none will do.
    fn fail(&mut self, url: &str, no: Unanswered) -> Result<(), Unanswered> {
        let after = match (no.again, no.after) {
            (true, None) => None,
            (true, Some(after)) => self.fetcher.pace.asked(after),
            (false, _) => None,
        };
        self.asked += after.unwrap_or_default();
        let after = after.filter(|_| self.fetcher.pace.asked_in_all(self.asked));
        let gone = !no.again || (no.after.is_some() && after.is_none());
        if self.failures == 0 {
            self.since = Instant::now();
        }
        if no.silent && !self.fetcher.is_alive(url) {
            self.silent.insert(self.url);
        }
        // What will not have it is out of the turns, and no failure of the others.
        self.failures += u32::from(!gone);
        if let Some(refused) = self.refused.get_mut(self.url).filter(|_| gone) {
            *refused = Some(Unanswered { again: false, ..no.clone() });
        }
        let tries = self.fetcher.pace.tries(self.fetcher.is_alive(url), self.since.elapsed());
        let open = self.refused.iter().filter(|refused| refused.is_none()).count() as u32;
        if open == 0 || self.failures >= tries.saturating_mul(open) {
            let waits = no.after.is_some();
            // One that answers with an error of this file may have the next.
            let is_away = no.again && (no.silent || waits || no.busy);
            let in_vain =
                |other: &str| is_away && (!self.fetcher.is_alive(other) || other == url && (no.silent || waits));
            let open = self.wanted.urls.iter().zip(&self.refused).filter(|(_, refused)| refused.is_none());
            let last = std::iter::once(url).filter(|_| waits);
            let given_up = open.map(|(other, _)| other.as_str()).chain(last).filter(|other| in_vain(other));
            given_up.for_each(|other| self.fetcher.give_up(other));
            return Err(self.said(no));
        }
        let count = self.refused.len();
        let next = (1..=count).map(|step| (self.url + step) % count);
        let open_one = |at: &usize| self.refused.get(*at).is_some_and(Option::is_none);
        self.url = next.into_iter().find(open_one).unwrap_or(self.url);
        // Another server is asked at once; all of them again only after a while.
        if self.failures >= open && !gone {
            sleep(after.unwrap_or_else(|| self.fetcher.pace.pause(self.failures / open.max(1))));
        }
        Ok(())
    }

    /// What all servers said; the last one's answer decides whether another try makes sense.
    fn said(&self, last: Unanswered) -> Unanswered {
        let mut why: Vec<&str> = self.refused.iter().flatten().map(|refused| refused.why.as_str()).collect();
        if !why.contains(&last.why.as_str()) {
            why.push(&last.why);
        }
        let all = || self.refused.iter().flatten().chain([&last]);
        // One that says it has more than there is room for may lie, and says nothing of the others.
        let is_long = all().all(|no| no.length.is_some());
        let long = all().find(|no| no.length.is_some() && (is_long || no.expected.is_some()));
        let (length, expected) = long.map_or((None, None), |long| (long.length, long.expected));
        // It has to be begun again where nobody is left who may go on with it.
        let is_open = self.refused.iter().any(Option::is_none);
        let changed = !is_open && all().any(|no| no.changed);
        Unanswered { why: why.join("; "), length, expected, changed, ..last }
    }

    /// The connection is gone before the end.
    fn drop_out(&mut self, why: &str) -> Result<(), Unanswered> {
        self.body = None;
        let url = self.url().to_owned();
        // Its host has just answered: that one file does not come says nothing of the others there.
        let no = Unanswered::passing(why).at(&shown(&url));
        if self.gained >= LEAST {
            self.failures = 0;
        }
        match self.gained {
            // It brought something: it is asked again at once.
            LEAST.. => Ok(()),
            _ => self.fail(&url, no),
        }
    }

    fn cap(&self) -> u64 {
        self.wanted.size.unwrap_or(self.wanted.most)
    }

    fn count(&mut self, read: usize) -> Result<usize, Unanswered> {
        self.mark.at += read as u64;
        self.gained += read as u64;
        self.givers.insert(self.url);
        if self.mark.at > self.cap() {
            let why = format!("{}: it is longer than {} bytes", shown(self.url()), self.cap());
            let (length, expected) = (Some(Found::MoreThan(self.cap())), self.wanted.size);
            return Err(Unanswered { length, expected, sent: true, ..Unanswered::for_good(why) });
        }
        Ok(read)
    }

    /// What is to be said where the answer ended before the size that is wanted.
    fn too_short(&self) -> Option<Unanswered> {
        let (size, found) = (self.wanted.size?, self.mark.at);
        let why = format!("{}: it has {found} bytes, expected {size}", shown(self.url()));
        let (length, expected) = (Some(Found::Exactly(found)), Some(size));
        (found < size).then(|| Unanswered { length, expected, sent: true, ..Unanswered::for_good(why) })
    }

    /// Where the last bytes ended, if nothing but their end said that they are all.
    pub fn unsaid_end(&self) -> Option<u64> {
        let is_unsaid = self.is_open_ended && self.wanted.size.or(self.mark.total).is_none();
        is_unsaid.then_some(self.mark.at)
    }

    /// Whether something else than the server's word tells that it is whole.
    fn is_proved(&self) -> bool {
        self.wanted.is_known || self.wanted.is_text || self.wanted.size.or(self.mark.total).is_some()
    }

    /// Whether what is here is all there is, as far as anybody said.
    fn is_whole(&self) -> bool {
        self.wanted.size.or(self.mark.total).is_none_or(|all| self.mark.at >= all)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(body) = &mut self.body else {
                self.connect()?;
                continue;
            };
            match body.read(buffer) {
                Ok(0) if self.is_open_ended && !self.is_proved() => {
                    let why = "its server does not say how long it is, so that it may have broken off: give its size or checksum";
                    return Err(Unanswered::for_good(format!("{}: {why}", shown(self.url()))).into());
                }
                Ok(0) if self.is_whole() => return Ok(0),
                Ok(0) => match self.too_short().filter(|_| self.mark.total.is_none()) {
                    // It said where its end is, or ended there twice, and that is not what is wanted.
                    Some(short) if !self.is_open_ended || self.ended == Some(self.mark.at) => return Err(short.into()),
                    _ => {
                        self.ended = self.is_open_ended.then_some(self.mark.at);
                        self.drop_out("the server ended the answer too early")?;
                    }
                },
                Ok(read) => return Ok(self.count(read)?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Only the end of it was lost.
                Err(_) if self.wanted.is_known && self.wanted.size.or(self.mark.total) == Some(self.mark.at) => {
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.drop_out("the server ended the answer too early")?;
                }
                Err(error) => self.drop_out(&told(&error))?,
            }
        }
    }
}

/// The library's own words for a timeout name its internals.
fn told(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(ureq::Error::Timeout(_)) => "the server fell silent".into(),
        _ => error.to_string(),
    }
}

fn skip(body: &mut dyn Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut body.take(bytes), &mut io::sink())? {
        skipped if skipped == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
