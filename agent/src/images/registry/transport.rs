//! One blob or text over HTTP: asked for with keys, gone on with where it was cut, from the next address where one has nothing more to give.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response};
use ureq::{Agent, ResponseExt};

use super::Hosts;
use super::reference::host;
use crate::stream::fetch::{Unanswered, shown};

/// Longest wait for a name to be resolved, or a connection.
const CONNECT: Duration = Duration::from_secs(15);
/// Longest silence of a server.
const STALL: Duration = Duration::from_secs(30);
/// Redirects followed.
const REDIRECTS: u32 = 5;
/// Tries of one address without a byte in between, and the pauses after each.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Longest time for tries of an address that has not given a byte: one that is silent is not waited for again.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes after which a connection that drops is no longer one that gives nothing.
const PROGRESS: u64 = 64 << 10;

/// What to send as `Authorization` to this URL, given what the server asked for if it was asked before.
pub type Keys = Arc<dyn Fn(&str, Option<&str>) -> Result<Option<String>, Unanswered> + Send + Sync>;

/// What is asked for.
#[derive(Clone, Default)]
pub struct Wanted {
    /// Where it is, in the order of asking.
    pub urls: Vec<String>,
    /// Its length, where that is known.
    pub size: Option<u64>,
    /// More bytes than this are refused.
    pub most: u64,
    /// What to send as `Accept`.
    pub accept: Option<String>,
    /// What lets us in.
    pub keys: Option<Keys>,
}

/// Fetches, and remembers which hosts did not answer.
#[derive(Debug, Clone)]
pub struct Fetcher {
    agent: Agent,
    silent: Arc<Mutex<Hosts>>,
}

/// The bytes of one answer, or of several that follow each other.
pub struct Stream {
    fetcher: Fetcher,
    wanted: Wanted,
    /// Which of the addresses is asked now.
    at: usize,
    passed: u64,
    /// What had passed when the connection last dropped.
    dropped_at: u64,
    drops: usize,
    length: Option<u64>,
    headers: HeaderMap,
    body: Option<Box<dyn Read + Send>>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("passed", &self.passed).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// One that has not connected to anything yet.
    pub fn new() -> Fetcher {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .max_redirects_will_error(true)
            .accept_encoding("identity")
            .user_agent("offspot-agent")
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .timeout_per_write(Some(STALL))
            .build();
        Fetcher { agent: Agent::new_with_config(config), silent: Arc::default() }
    }

    /// The first of the addresses that answers.
    pub fn open(&self, wanted: Wanted) -> Result<Stream, Unanswered> {
        let mut stream = Stream {
            fetcher: self.clone(),
            wanted,
            at: 0,
            passed: 0,
            dropped_at: 0,
            drops: 0,
            length: None,
            headers: HeaderMap::new(),
            body: None,
        };
        stream.connect()?;
        Ok(stream)
    }

    /// One answer of one address, with the keys that it asks for.
    fn ask(&self, url: &str, have: u64, wanted: &Wanted) -> Result<Response<ureq::Body>, Unanswered> {
        let told = |why: &str, again| Unanswered { why: format!("{}: {why}", shown(url)), again };
        if self.silent().contains(host(url)) {
            return Err(told("it did not answer before", false));
        }
        let mut key = wanted.keys.as_ref().map_or(Ok(None), |keys| keys(url, None))?;
        for asked in [false, true] {
            let answer = self.call(url, have, wanted, key.as_deref()).map_err(|error| {
                let (why, again) = words(&error);
                told(&why, again)
            })?;
            if answer.status() != 401 {
                return Ok(answer);
            }
            // What another host asks for, to which we were sent on, is not answered with what was meant for this one.
            let own = answer.get_uri().authority().is_some_and(|authority| authority.as_str() == host(url));
            let challenges = answer.headers().get_all("www-authenticate").iter().filter_map(|text| text.to_str().ok());
            let challenge = challenges.collect::<Vec<_>>().join(", ");
            key = match &wanted.keys {
                Some(keys) if own && !asked => keys(url, Some(&challenge))?,
                _ => None,
            };
            if key.is_none() {
                break;
            }
        }
        let advice = "give name and password for it under registries in offspot.yaml";
        Err(told(&format!("it does not let the box in, or there is no such image ({advice})"), false))
    }

    fn call(
        &self,
        url: &str,
        have: u64,
        wanted: &Wanted,
        key: Option<&str>,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let secure = url.starts_with("https://");
        let mut request = self.agent.get(url);
        if let Some(accept) = &wanted.accept {
            request = request.header("accept", accept);
        }
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        request.config().https_only(secure).build().call()
    }

    fn silent(&self) -> MutexGuard<'_, Hosts> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// A header of the first answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads all of it.
    pub fn text(mut self) -> Result<Vec<u8>, Unanswered> {
        let mut text = Vec::new();
        let read = self.read_to_end(&mut text);
        read.map(|_| text).map_err(|error| Unanswered { why: error.to_string(), again: false })
    }

    /// Finds an address that goes on where it stands.
    fn connect(&mut self) -> Result<(), Unanswered> {
        let mut why = Unanswered { why: "it has no address".into(), again: false };
        while let Some(url) = self.wanted.urls.get(self.at).cloned() {
            let begun = Instant::now();
            for pause in PAUSES.map(Some).into_iter().chain([None]) {
                match self.begin(&url) {
                    Ok(()) => return Ok(()),
                    Err(error) => why = error,
                }
                let hopeless = !why.again || self.passed == 0 && begun.elapsed() > PATIENCE;
                let Some(pause) = pause.filter(|_| !hopeless) else { break };
                std::thread::sleep(pause);
            }
            // It would cost the next image as long.
            if why.again {
                self.fetcher.silent().insert(host(&url).to_owned());
            }
            self.at += 1;
        }
        Err(why)
    }

    fn begin(&mut self, url: &str) -> Result<(), Unanswered> {
        let told = |why: String, again| Unanswered { why: format!("{}: {why}", shown(url)), again };
        let answer = self.fetcher.ask(url, self.passed, &self.wanted)?;
        let status = answer.status();
        let part = self.passed > 0 && status == 206;
        if status != 200 && !part {
            let again = status.is_server_error() || status == 408 || status == 429;
            let why = if status == 404 { "there is no such image".into() } else { format!("the server says {status}") };
            return Err(told(why, again));
        }
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let begins = format!("bytes {}-", self.passed);
        if part && !header("content-range").is_some_and(|range| range.starts_with(&begins)) {
            return Err(told("it sends another part than was asked for".into(), false));
        }
        if header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(told("it sends packed what was not to be packed".into(), false));
        }
        let headers = answer.headers().clone();
        let body = answer.into_body();
        let from = if part { self.passed } else { 0 };
        let length = body.content_length().map(|length| length.saturating_add(from));
        let most = self.wanted.size.unwrap_or(self.wanted.most);
        let fits = |length: u64| length <= most && self.wanted.size.is_none_or(|size| length == size);
        if let Some(length) = length.filter(|length| !fits(*length)) {
            return Err(told(format!("it has {length} bytes there, expected {most}"), false));
        }
        let mut body: Box<dyn Read + Send> = Box::new(body.into_reader());
        // A server without ranges begins anew. What it sends is known by its digest, so it is the same.
        let skipped = io::copy(&mut body.by_ref().take(self.passed - from), &mut io::sink());
        skipped.map_err(|error| told(error.to_string(), true))?;
        if self.passed == 0 {
            (self.headers, self.length) = (headers, length.or(self.wanted.size));
        }
        self.body = Some(body);
        Ok(())
    }

    /// The connection is gone: goes on, unless it gives nothing again and again.
    fn go_on(&mut self, why: io::Error) -> io::Result<()> {
        self.body = None;
        self.drops = if self.passed >= self.dropped_at.saturating_add(PROGRESS) { 1 } else { self.drops + 1 };
        self.dropped_at = self.passed;
        if self.drops > PAUSES.len() {
            self.drops = 0;
            self.at += 1;
        }
        if self.at >= self.wanted.urls.len() {
            let url = self.wanted.urls.last().map(|url| shown(url)).unwrap_or_default();
            return Err(io::Error::other(format!("{url}: {why}")));
        }
        std::thread::sleep(self.drops.checked_sub(1).and_then(|at| PAUSES.get(at)).copied().unwrap_or_default());
        self.connect().map_err(|unanswered| io::Error::other(unanswered.why))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(body) = &mut self.body else { return Ok(0) };
            let most = self.wanted.size.unwrap_or(self.wanted.most);
            match body.read(buffer) {
                Ok(0) if buffer.is_empty() => return Ok(0),
                Ok(0) if self.length.is_none_or(|length| self.passed >= length) => {
                    self.body = None;
                    return Ok(0);
                }
                Ok(0) => self.go_on(io::ErrorKind::UnexpectedEof.into())?,
                Ok(read) => {
                    self.passed = self.passed.saturating_add(read as u64);
                    if self.passed > most {
                        let url = self.wanted.urls.get(self.at).map(|url| shown(url)).unwrap_or_default();
                        return Err(io::Error::other(format!("{url}: it has more than {most} bytes")));
                    }
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.go_on(error)?,
            }
        }
    }
}

/// An error in our words: the library's own may hold the whole URL.
fn words(error: &ureq::Error) -> (String, bool) {
    use ureq::Error;
    match error {
        Error::HostNotFound => ("the host is not known (is the box connected to the internet?)".into(), true),
        Error::Timeout(_) => ("no answer in time".into(), true),
        Error::ConnectionFailed => ("no connection".into(), true),
        Error::Io(error) => (error.to_string(), true),
        Error::TooManyRedirects => (format!("more than {REDIRECTS} redirects"), false),
        Error::RequireHttpsOnly(_) => ("it redirects from https to http".into(), false),
        Error::BadUri(_) | Error::Http(_) => ("this is not a URL".into(), false),
        Error::Rustls(error) => (format!("the connection is not safe: {error}"), false),
        Error::Tls(why) => (format!("the connection is not safe: {why}"), false),
        _ => ("the server's answer makes no sense".into(), false),
    }
}
