//! Fetches over HTTP: with limits on every wait, no proxy, no packing in transit, and never from https down to http.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Response;

/// Longest wait for a name to be resolved, a connection, or the head of an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// Longest silence within a body.
const STALL: Duration = Duration::from_secs(30);
/// Bytes that must come within [`WINDOW`]: a server that drips is as good as silent.
const LEAST: u64 = 16 << 10;
/// The time within which they must come.
const WINDOW: Duration = Duration::from_secs(120);
/// Redirects followed.
const REDIRECTS: u32 = 5;

/// Fetches, and remembers which hosts did not answer.
#[derive(Debug)]
pub struct Fetcher {
    agent: Agent,
    silent: Mutex<BTreeSet<String>>,
}

/// An answer whose body is yet to be read.
pub struct Answer {
    /// Bytes the body will have, where the server says so.
    pub length: Option<u64>,
    /// Where in the file its first byte stands: 0, or where [`Fetcher::rest`] asked it to begin.
    pub from: u64,
    /// A strong `ETag`, else `Last-Modified`: by it a later [`Fetcher::rest`] knows the file again.
    pub validator: Option<String>,
    /// The body; ending too early is an error.
    pub body: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// In words, with the URL but no secret of it.
    pub why: String,
    /// Whether another try may do better.
    pub again: bool,
}

impl Default for Fetcher {
    fn default() -> Self {
        Fetcher::new()
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
            .timeout_resolve(Some(ANSWER))
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .timeout_per_write(Some(STALL))
            .build();
        Fetcher { agent: Agent::new_with_config(config), silent: Mutex::default() }
    }

    /// Asks for `url`, `http://…` or `https://…`.
    pub fn get(&self, url: &str) -> Result<Answer, Unanswered> {
        self.rest(url, 0, None)
    }

    /// Asks for what of `url` stands behind the first `have` bytes; with a `validator` only if the file is still the same (RFC 9110, 13.1.5
    /// and 14.2). A server that does not know ranges, or has another file now, answers with all of it: see [`Answer::from`].
    pub fn rest(&self, url: &str, have: u64, validator: Option<&str>) -> Result<Answer, Unanswered> {
        let shown = shown(url);
        let host = host(url).to_owned();
        if self.silent().contains(&host) {
            return Err(Unanswered { why: format!("{shown}: {host} did not answer before"), again: false });
        }
        let secure = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("range", format!("bytes={have}-"));
        }
        if let Some(validator) = validator.filter(|_| have > 0) {
            request = request.header("if-range", validator);
        }
        let answer = request.config().https_only(secure).build().call();
        let answer = answer.map_err(|error| {
            let (why, again) = words(&error);
            Unanswered { why: format!("{shown}: {why}"), again }
        })?;
        judge(answer, have).map_err(|(why, again)| Unanswered { why: format!("{shown}: {why}"), again })
    }

    /// Asks this host no more: every try of one item failed, and the next would wait as long.
    pub fn give_up(&self, url: &str) {
        self.silent().insert(host(url).to_owned());
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn judge(answer: Response<ureq::Body>, have: u64) -> Result<Answer, (String, bool)> {
    let status = answer.status();
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let part = have > 0 && status == 206;
    if status != 200 && !part {
        let again = status.is_server_error() || status == 408 || status == 429;
        return Err((format!("the server says {status}"), again));
    }
    let begins = |range: &str| range.starts_with(&format!("bytes {have}-"));
    if part && !header("content-range").is_some_and(begins) {
        return Err(("the server sends another part of it than was asked for".into(), false));
    }
    let coding = header("content-encoding");
    if let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err((format!("the server sends it packed ({coding}) though asked not to"), false));
    }
    let strong = header("etag").filter(|tag| tag.starts_with('"'));
    let validator = strong.or_else(|| header("last-modified")).map(str::to_owned);
    let body = answer.into_body();
    let from = if part { have } else { 0 };
    Ok(Answer { length: body.content_length(), from, validator, body: Box::new(Paced::new(body.into_reader())) })
}

/// A body that fails once it comes too slowly.
struct Paced<R> {
    inner: R,
    since: Instant,
    bytes: u64,
}

impl<R: Read> Paced<R> {
    fn new(inner: R) -> Self {
        Paced { inner, since: Instant::now(), bytes: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        if self.bytes >= LEAST {
            (self.since, self.bytes) = (Instant::now(), 0);
        } else if read > 0 && self.since.elapsed() > WINDOW {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it comes too slowly"));
        }
        Ok(read)
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

/// Whether a URL names a server.
pub fn is_remote(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// A URL without what may be secret: user, password, query and fragment.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    format!("{scheme}://{}", without_user(rest.split(['?', '#']).next().unwrap_or_default()))
}

/// What follows the user info. A password may hold a `/` that its writer forgot to escape, so a `@` in a path counts as well: rather a piece of
/// the path is not shown than a piece of a password is.
fn without_user(rest: &str) -> &str {
    let first = rest.split(char::is_whitespace).next().unwrap_or_default();
    first.rfind('@').and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = without_user(rest.split(['?', '#']).next().unwrap_or_default());
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, safe) in [
            ("https://me:pass@host:8443/a/b.zim?token=1#x", "https://host:8443/a/b.zim"),
            ("http://host?key=1", "http://host"),
            ("http://me:hun/ter8@127.0.0.1:9/x", "http://127.0.0.1:9/x"),
            ("http://me:p@ss/w@host/a b@c", "http://host/a b@c"),
            ("/data/x?y", "/data/x?y"),
        ] {
            assert_eq!(shown(url), safe);
        }
        assert_eq!(host("http://me@host:80/a?b@c"), "host:80");
        assert_eq!(host("http://me:hun/ter8@127.0.0.1:9/x"), "127.0.0.1:9");
    }
}
