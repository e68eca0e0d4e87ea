//! Asks one server once: with limits on every wait, no packing in transit, and never from https down to http.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use ureq::http::Response;
use ureq::typestate::WithoutBody;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Body, Proxy, RequestBuilder};
use url::Url;

use super::address::{self, host, is_remote, is_secure, shown};
use super::answer::{Answer, Unanswered, judge};
use super::clock::Clock;
use super::forward::{AbsoluteForm, Forward, forward};
use super::pace::Pace;
use super::patience::Patience;
use super::{link, proxy, tls};
use crate::host::Host;

/// Redirects followed.
const REDIRECTS: u32 = 5;
/// Bytes of a connection's buffer: as much as a busy link brings between two looks.
const BUFFER: usize = 64 << 10;
const NO_URL: &str = "this is not a URL";

/// Fetches, and remembers which hosts did not answer. A clone remembers the same.
#[derive(Debug, Clone)]
pub struct Fetcher {
    agent: Agent,
    /// For what a proxy is asked for without TLS.
    forwarding: Agent,
    clock: Arc<Clock>,
    hosts: Arc<Mutex<Hosts>>,
    /// Whether there may be no network yet.
    early: Arc<Once>,
    /// How long it waits.
    pub(super) pace: Pace,
}

#[derive(Debug, Default)]
struct Hosts {
    silent: BTreeSet<String>,
    alive: BTreeSet<String>,
    /// Those that did not answer where another did: they are asked last.
    last: BTreeSet<String>,
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

type Call<'a> = dyn Fn() -> Result<Response<Body>, ureq::Error> + 'a;

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
            // Followed here: the body of a redirect may have no end.
            .max_redirects(0)
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
                .chain(Patience)
                .chain(tls::Tls::new(clock.clone()));
        let agent = Agent::with_parts(config.clone(), connector, DefaultResolver::default());
        let plain = ().chain(TcpConnector::default()).chain(Patience);
        let connector = plain.chain(tls::Tls::new(clock.clone())).chain(AbsoluteForm);
        let forwarding = Agent::with_parts(config, connector, DefaultResolver::default());
        let early = Arc::new(Once::new());
        early.call_once(|| {});
        Fetcher { agent, forwarding, clock, hosts: Arc::default(), early, pace }
    }

    /// For a box that has just been switched on: before the first request it waits for a link.
    pub fn on(self, host: &Host) -> Fetcher {
        let early = if host.is_live() { Arc::new(Once::new()) } else { self.early };
        // This program is as old as the image.
        if let Ok(program) = std::env::current_exe() {
            self.clock.built(&program);
        }
        let written = [host.latest(), host.state().join("receipts")];
        Fetcher { early, ..self }.not_before(written.iter().map(PathBuf::as_path))
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
        self.early.call_once(link::wait);
        if self.hosts().silent.contains(&host) {
            return Err(Unanswered::for_good(format!("{shown}: {host} did not answer before")));
        }
        let (answer, last) = self.follow(request).map_err(|no| no.at(&shown))?;
        let own = is_same_host(request.url, &last);
        let mut judged = judge(answer, request.from, self.pace).map_err(|unanswered| unanswered.at(&shown));
        match &mut judged {
            Ok(answer) => answer.redirected = !own,
            // What another host asks for, to which this one sent on, is not answered with what was meant for this one.
            Err(no) => no.challenge = no.challenge.take().filter(|_| own),
        }
        if judged.is_ok() {
            let mut hosts = self.hosts();
            hosts.last.remove(&host);
            hosts.alive.insert(host);
        }
        judged
    }

    /// The answer of the server that the others send on to, and its URL.
    fn follow(&self, request: Request<'_>) -> Result<(Response<Body>, String), Unanswered> {
        // As it has to be sent: names in other scripts, blanks and letters beyond ASCII are escaped.
        let url = Url::parse(request.url).map_err(|_| Unanswered::for_good(NO_URL))?;
        let (mut request, mut url, mut user) = (request, String::from(url), None);
        for _ in 0..=REDIRECTS {
            let own = address::user(&url);
            let bare = own.as_ref().map_or(url.as_str(), |(bare, _)| bare.as_str());
            user = own.as_ref().map(|(_, user)| user.clone()).or(user);
            let authorization = request.authorization.or(user.as_deref());
            let answer = self.believe(Request { url: bare, authorization, ..request })?;
            let next = answer.headers().get("location").map(|to| String::from_utf8_lossy(to.as_bytes()));
            let Some(next) = next.filter(|_| matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308)) else {
                return Ok((answer, url));
            };
            let next = Url::parse(&url).and_then(|base| base.join(&next));
            let next = next.map_err(|_| Unanswered::for_good("it redirects to what is no URL"))?.to_string();
            if !is_remote(&next) {
                return Err(Unanswered::for_good("it redirects to what is neither http nor https"));
            }
            if is_secure(&url) && !is_secure(&next) {
                return Err(Unanswered::for_good("it redirects from https to http"));
            }
            if !is_same_host(&next, &url) {
                (request.authorization, user) = (None, None);
            }
            url = next;
        }
        Err(Unanswered::for_good(format!("more than {REDIRECTS} redirects")))
    }

    /// One answer; a certificate is not refused for what only our clock says of it.
    fn believe(&self, request: Request<'_>) -> Result<Response<Body>, Unanswered> {
        let proxy = proxy::of_environment(request.url).map_err(Unanswered::for_good)?;
        let forward = proxy.as_ref().filter(|_| !is_secure(request.url)).map(|proxy| forward(proxy, request.url));
        let forward = forward.map(|forward| forward.ok_or_else(|| Unanswered::for_good(NO_URL))).transpose()?;
        let call = || match &forward {
            Some(forward) => self.call_forward(request, forward),
            None => self.call(request, proxy.clone()),
        };
        let answer = self.within_time(&call);
        let answer = answer.map_err(|error| match forward {
            Some(_) => words(&error).at("the proxy"),
            None => words(&error),
        })?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        if let Some(date) = date.filter(|_| is_secure(request.url)) {
            self.clock.heard(date);
        }
        Ok(answer)
    }

    /// Calls, and again where a certificate is out of its time by a clock that may be wrong.
    fn within_time(&self, call: &Call<'_>) -> Result<Response<Body>, ureq::Error> {
        let error = match self.claiming(call) {
            Err(error) if tls::is_expired(&error) => error,
            other => return other,
        };
        // What this card wrote last may have been written while its clock was ahead.
        let Some(floor) = self.clock.doubt() else { return Err(error) };
        self.claiming(call).map_err(|other| {
            self.clock.restore(floor);
            if tls::failure(&other).is_some() { error } else { other }
        })
    }

    /// Calls, and again as if it were so late as a certificate says that is not yet valid.
    fn claiming(&self, call: &Call<'_>) -> Result<Response<Body>, ureq::Error> {
        call().or_else(|error| match tls::not_before(&error) {
            Some(begin) if self.clock.claim(begin) => {
                let answer = call();
                self.clock.settle(answer.is_ok());
                answer
            }
            _ => Err(error),
        })
    }

    fn call(&self, request: Request<'_>, proxy: Option<Proxy>) -> Result<Response<Body>, ureq::Error> {
        let call = with_headers(self.agent.get(request.url), request);
        call.config().https_only(is_secure(request.url)).proxy(proxy).build().call()
    }

    fn call_forward(&self, request: Request<'_>, forward: &Forward) -> Result<Response<Body>, ureq::Error> {
        let mut call = with_headers(self.forwarding.get(&forward.url), request).header("host", &forward.host);
        if let Some(authorization) = &forward.authorization {
            call = call.header("proxy-authorization", authorization);
        }
        call.call()
    }

    /// Asks this host no more: every try of one item was in vain, and the next would wait as long.
    pub(super) fn give_up(&self, url: &str) {
        self.hosts().silent.insert(host(url).to_owned());
    }

    /// Asks this host only where no other will do: each file would wait for it anew.
    pub(super) fn ask_last(&self, url: &str) {
        self.hosts().last.insert(host(url).to_owned());
    }

    /// Whether others are asked first.
    pub(super) fn is_last(&self, url: &str) -> bool {
        self.hosts().last.contains(host(url))
    }

    /// Whether this host has ever given what was asked for.
    pub fn is_alive(&self, url: &str) -> bool {
        self.hosts().alive.contains(host(url))
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_headers(mut call: RequestBuilder<WithoutBody>, request: Request<'_>) -> RequestBuilder<WithoutBody> {
    if request.from > 0 {
        call = call.header("range", format!("bytes={}-", request.from));
    }
    if let Some(validator) = request.validator.filter(|_| request.from > 0) {
        call = call.header("if-range", validator);
    }
    if let Some(accept) = request.accept {
        call = call.header("accept", accept);
    }
    match request.authorization {
        Some(authorization) => call.header("authorization", authorization),
        None => call,
    }
}

/// Whether two URLs are of the same scheme, host and port.
fn is_same_host(one: &str, other: &str) -> bool {
    let origin = |url: &str| Url::parse(url).map(|url| url.origin());
    origin(one).is_ok_and(|one| origin(other).is_ok_and(|other| one == other))
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
        Error::BadUri(_) | Error::Http(_) => Unanswered::for_good(NO_URL),
        Error::Tls(why) => Unanswered::for_good(format!("the connection is not safe: {why}")),
        _ => Unanswered::for_good("the server's answer makes no sense"),
    }
}
