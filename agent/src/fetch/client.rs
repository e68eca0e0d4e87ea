//! Asks one server once: with limits on every wait, no packing in transit, and never from https down to http.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, ResponseExt};

use super::address::{host, is_secure, shown};
use super::answer::{Answer, Unanswered, judge};
use super::clock::Clock;
use super::pace::Pace;
use super::{proxy, tls};

/// Redirects followed.
const REDIRECTS: u32 = 5;
/// Bytes of a connection's buffer: as much as a busy link brings between two looks.
const BUFFER: usize = 64 << 10;

/// Fetches, and remembers which hosts did not answer. A clone remembers the same.
#[derive(Debug, Clone)]
pub struct Fetcher {
    agent: Agent,
    clock: Arc<Clock>,
    hosts: Arc<Mutex<Hosts>>,
    /// How long it waits.
    pub(super) pace: Pace,
}

#[derive(Debug, Default)]
struct Hosts {
    silent: BTreeSet<String>,
    alive: BTreeSet<String>,
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `http://…` or `https://…`.
    pub url: &'a str,
    /// Bytes of the file that are here already.
    pub from: u64,
    /// By which the server is to know the file whose beginning is here.
    pub validator: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Authorization`; it is not passed on to where the server redirects to.
    pub authorization: Option<&'a str>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Fetcher::new()
    }
}

impl Fetcher {
    /// One that has not connected to anything yet.
    pub fn new() -> Fetcher {
        let (pace, clock) = (Pace::of_environment(), Arc::new(Clock::default()));
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .max_redirects_will_error(true)
            .accept_encoding("identity")
            .user_agent("offspot-agent")
            .input_buffer_size(BUFFER)
            .timeout_resolve(Some(pace.answer()))
            .timeout_connect(Some(pace.answer()))
            .timeout_recv_response(Some(pace.stall()))
            .timeout_per_read(Some(pace.stall()))
            .timeout_per_write(Some(pace.stall()))
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(tls::Tls::new(clock.clone()));
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Fetcher { agent, clock, hosts: Arc::default(), pace }
    }

    /// The time is at least that at which any of these was written.
    pub fn not_before<'p>(self, written: impl IntoIterator<Item = &'p Path>) -> Fetcher {
        self.clock.not_before(written);
        self
    }

    /// A sentence for the report where the clock of this box was not believed; once.
    pub fn clock_note(&self) -> Option<String> {
        self.clock.note()
    }

    /// Asks for `url`, `http://…` or `https://…`.
    pub fn get(&self, url: &str) -> Result<Answer, Unanswered> {
        self.ask(Request { url, ..Request::default() })
    }

    /// Asks for what of a file stands behind the first bytes of it; with a validator only if the file is still the same (RFC 9110, 13.1.5
    /// and 14.2). A server that does not know ranges, or has another file now, answers with all of it: see [`Answer::from`].
    pub fn ask(&self, request: Request<'_>) -> Result<Answer, Unanswered> {
        let shown = shown(request.url);
        let host = host(request.url).to_owned();
        if self.hosts().silent.contains(&host) {
            return Err(Unanswered::for_good(format!("{shown}: {host} did not answer before")));
        }
        let answer = self.call(request).or_else(|error| match tls::not_before(&error) {
            // The clock of a board is less to be believed than a certificate that is good but for its age.
            Some(begin) if self.clock.claim(begin) => {
                let answer = self.call(request);
                self.clock.settle(answer.is_ok());
                answer
            }
            _ => Err(error),
        });
        let answer = answer.map_err(|error| words(&error).at(&shown))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        if let Some(date) = date.filter(|_| is_secure(request.url)) {
            self.clock.heard(date);
        }
        // What another host asks for, to which this one sent on, is not answered with what was meant for this one.
        let own = answer.get_uri().authority().is_some_and(|authority| authority.as_str() == host);
        let judged = judge(answer, request.from, self.pace).map_err(|unanswered| unanswered.at(&shown));
        let judged = judged.map_err(|no| Unanswered { challenge: no.challenge.filter(|_| own), ..no });
        if judged.is_ok() {
            self.hosts().alive.insert(host);
        }
        judged
    }

    fn call(&self, request: Request<'_>) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut call = self.agent.get(request.url);
        if request.from > 0 {
            call = call.header("range", format!("bytes={}-", request.from));
        }
        if let Some(validator) = request.validator.filter(|_| request.from > 0) {
            call = call.header("if-range", validator);
        }
        if let Some(accept) = request.accept {
            call = call.header("accept", accept);
        }
        if let Some(authorization) = request.authorization {
            call = call.header("authorization", authorization);
        }
        let config = call.config().https_only(is_secure(request.url));
        config.proxy(proxy::of_environment(request.url)).build().call()
    }

    /// Asks this host no more: every try of one item was in vain, and the next would wait as long.
    pub(super) fn give_up(&self, url: &str) {
        self.hosts().silent.insert(host(url).to_owned());
    }

    /// Whether this host has ever given what was asked for.
    pub fn is_alive(&self, url: &str) -> bool {
        self.hosts().alive.contains(host(url))
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error in our words: the library's own may hold the whole URL.
fn words(error: &ureq::Error) -> Unanswered {
    use ureq::Error;
    let silent = |why: String| Unanswered { silent: true, ..Unanswered::passing(why) };
    if let Some(why) = tls::failure(error) {
        let portal = "a network that asks for a login first does this too";
        return Unanswered::for_good(format!("the connection is not safe: {why} ({portal})"));
    }
    match error {
        Error::HostNotFound => silent("the host is not known (is the box connected to the internet?)".into()),
        Error::Timeout(_) => silent("no answer in time".into()),
        Error::ConnectionFailed => silent("no connection".into()),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            silent("the server ended the connection".into())
        }
        Error::Io(error) => silent(error.to_string()),
        Error::ConnectProxyFailed(why) => silent(format!("the proxy does not connect: {why}")),
        Error::TooManyRedirects => Unanswered::for_good(format!("more than {REDIRECTS} redirects")),
        Error::RequireHttpsOnly(_) => Unanswered::for_good("it redirects from https to http"),
        Error::BadUri(_) | Error::Http(_) => Unanswered::for_good("this is not a URL"),
        Error::Tls(why) => Unanswered::for_good(format!("the connection is not safe: {why}")),
        _ => Unanswered::for_good("the server's answer makes no sense"),
    }
}
