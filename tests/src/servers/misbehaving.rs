//! A small HTTP/1.1 server that does wrong what it is told to do wrong, path by path, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::answer::{Answer, End};
pub use super::misdeed::{Bytes, Misdeed, Resource, RetryAfter};
pub use super::request::Request;
use crate::tool::{Doing, Outcome};

/// Bytes that are made and sent at once.
const PIECE: usize = 64 << 10;
/// How often a silent connection looks whether the server has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What a network that wants a login shows instead of every page.
const LOGIN: &str =
    "<!DOCTYPE html><html><head><title>Welcome to the hotel</title></head><body>Please log in.</body></html>";

/// How the server is to all paths alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// Each path as it was told.
    #[default]
    AsTold,
    /// Connections are taken, and nothing is read or said on them.
    Mute,
    /// Every path is a captive portal's page: 200 and HTML.
    Portal,
    /// Every path leads (302) to a captive portal's page.
    Login,
}

/// A request, and what became of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was asked.
    pub request: Request,
    /// When.
    pub at: Instant,
    /// The status it got; 0: none.
    pub status: u16,
    /// Bytes of the body that were sent, as far as the client's kernel took them.
    pub sent: u64,
}

/// The server. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    resources: Mutex<BTreeMap<String, Resource>>,
    seen: Mutex<Vec<Seen>>,
    mood: Mutex<Mood>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    ended: AtomicBool,
}

impl Server {
    /// One on a free port of loopback.
    pub fn start() -> Outcome<Server> {
        Server::on(TcpListener::bind(("127.0.0.1", 0)).doing("a server")?)
    }

    /// One on this socket, wherever that was bound.
    pub fn on(listener: TcpListener) -> Outcome<Server> {
        let address = listener.local_addr().doing("a server")?;
        let state = Arc::new(State::default());
        let of = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of.ended.load(Ordering::Relaxed) {
                    return;
                }
                let of = of.clone();
                std::thread::spawn(move || of.connection(stream, address));
            }
        });
        Ok(Server { address, state })
    }

    /// Its address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path (`/x`).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on this is what the path gives.
    pub fn serve(&self, path: &str, resource: Resource) {
        lock(&self.state.resources).insert(path.to_owned(), resource);
    }

    /// From now on it is like that to all.
    pub fn mood(&self, mood: Mood) {
        *lock(&self.state.mood) = mood;
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Requests for this path so far, in their order; whatever the mood was.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        lock(&self.state.seen).iter().filter(|seen| seen.request.path() == path).cloned().collect()
    }

    /// Bytes of bodies sent for this path so far.
    pub fn sent(&self, path: &str) -> u64 {
        self.seen(path).iter().map(|seen| seen.sent).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        for stream in lock(&self.state.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // It waits for one more connection; where it is in another namespace it waits in vain and ends with this process.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

impl State {
    fn connection(&self, stream: TcpStream, address: SocketAddr) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (Ok(reading), Ok(kept)) = (stream.try_clone(), stream.try_clone()) else { return };
        lock(&self.open).push(kept);
        // An error here is the client's end of it, as it may be.
        let _ = self.requests(&mut BufReader::new(reading), &stream, address);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn requests(&self, reader: &mut BufReader<TcpStream>, stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
        if *lock(&self.mood) == Mood::Mute {
            return self.silence();
        }
        while let Some(request) = Request::read(reader)? {
            let (place, answer) = self.judge(request, address);
            if answer.never {
                return self.silence();
            }
            let keep = answer.keeps_connection();
            self.send(stream, &answer, place)?;
            if !keep {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The answer, and where its request is remembered.
    fn judge(&self, request: Request, address: SocketAddr) -> (usize, Answer) {
        let mut seen = lock(&self.seen);
        let number = 1 + seen.iter().filter(|other| other.request.path() == request.path()).count();
        let answer = match (*lock(&self.mood), lock(&self.resources).get(request.path())) {
            (Mood::Portal, _) => Answer::page(200, "text/html; charset=utf-8", LOGIN),
            (Mood::Login, _) if request.path() == "/login" => Answer::page(200, "text/html", LOGIN),
            (Mood::Login, _) => {
                let mut answer = Answer::page(302, "text/html", "");
                answer.fields.push(("Location", format!("http://{address}/login?from={}", request.path())));
                answer
            }
            (_, Some(resource)) => Answer::to(&request, resource, number),
            (_, None) => Answer::page(404, "text/plain", "there is nothing here\n"),
        };
        let status = if answer.never { 0 } else { answer.status };
        seen.push(Seen { request, at: Instant::now(), status, sent: 0 });
        (seen.len() - 1, answer)
    }

    fn send(&self, mut stream: &TcpStream, answer: &Answer, place: usize) -> io::Result<()> {
        stream.write_all(answer.head().as_bytes())?;
        if lock(&self.seen).get(place).is_some_and(|seen| seen.request.method == "HEAD") {
            return Ok(());
        }
        let mut buffer = vec![0; PIECE];
        let mut sent = 0;
        while let Some(piece) = self.piece(answer, sent)? {
            let piece = &mut buffer[..piece];
            let at = answer.from + sent;
            answer.bytes.fill(at, piece);
            if let Some(byte) =
                answer.wrong.and_then(|wrong| piece.get_mut(usize::try_from(wrong.checked_sub(at)?).ok()?))
            {
                *byte ^= 1;
            }
            if answer.is_chunked() {
                // The chunk claims more than comes where it is the one that is cut.
                let cut = answer.drop_after.is_some_and(|drop| sent + piece.len() as u64 >= drop);
                let claimed = if cut { piece.len() + 1 } else { piece.len() };
                stream.write_all(format!("{claimed:x}\r\n").as_bytes())?;
            }
            let written = stream.write(piece)?;
            stream.write_all(&piece[written..])?;
            sent += piece.len() as u64;
            if let Some(seen) = lock(&self.seen).get_mut(place) {
                seen.sent = sent;
            }
            if answer.drop_after.is_some_and(|drop| sent >= drop) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if answer.is_chunked() {
                stream.write_all(b"\r\n")?;
            }
        }
        match answer.end {
            End::Chunks => stream.write_all(b"0\r\n\r\n"),
            End::Trailers => {
                stream.write_all(b"0\r\n")?;
                let lines = b"X-More: and more\r\n".repeat(1000);
                while !self.ended.load(Ordering::Relaxed) {
                    stream.write_all(&lines)?;
                }
                Ok(())
            }
            End::Length | End::Close => Ok(()),
        }
    }

    /// How many bytes come next, once it is time for them; `None` where there are no more.
    fn piece(&self, answer: &Answer, sent: u64) -> io::Result<Option<usize>> {
        if answer.silent_after.is_some_and(|silent| sent >= silent) {
            self.silence()?;
        }
        let left = [answer.length, answer.drop_after, answer.silent_after].into_iter().flatten();
        let mut piece = left.map(|most| most.saturating_sub(sent)).fold(PIECE as u64, u64::min);
        match answer.drip {
            Some((after, bytes, every)) if sent >= after => {
                if sent > after {
                    self.pause(every)?;
                }
                piece = piece.min(bytes as u64);
            }
            Some((after, ..)) => piece = piece.min(after - sent),
            None => {}
        }
        Ok((piece > 0).then_some(piece as usize))
    }

    /// Waits until the server ends.
    fn silence(&self) -> io::Result<()> {
        self.pause(Duration::MAX)
    }

    fn pause(&self, mut time: Duration) -> io::Result<()> {
        while !time.is_zero() {
            if self.ended.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let step = time.min(LOOK);
            std::thread::sleep(step);
            time -= step;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
