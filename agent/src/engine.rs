//! The few verbs of the Docker API that the story uses, over the engine's Unix socket.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::card::tool;
use crate::host::Host;
use crate::problem::EngineProblem;

mod containers;
mod events;
mod images;

pub use containers::Refusal;
pub use images::{HeldImage, Store};

/// Longest wait for an ordinary answer.
const ANSWER: u64 = 60;
/// Longest wait for a socket to appear.
const NO_SOCKET: Duration = Duration::from_secs(5);
/// Longest wait for a socket that is there to be listened on: systemd gives up on an engine that keeps failing, and closes it.
const NOT_HELD: Duration = Duration::from_secs(30);
/// Longest wait for the journal.
const JOURNAL: Duration = Duration::from_secs(20);
/// Longest wait for a load: the engine says nothing until it has unpacked the whole tar, and a slow card takes its time.
const LOAD: u64 = 6 * 3600;

/// Most calls about containers that are under way at a time, and of those that wait for a program to end.
const AT_ONCE: usize = 16;
const LONG_AT_ONCE: usize = 64;

/// A container engine that has answered.
#[derive(Debug, Clone)]
pub struct Engine {
    /// For every verb but loading.
    pub(crate) docker: Docker,
    /// For loading alone, with a very long limit.
    pub(crate) loader: Docker,
    /// For verbs about one container, of which a project may have very many, and for those of them that wait for a program to end: each
    /// call has a connection of its own.
    turns: Arc<Semaphore>,
    long_turns: Arc<Semaphore>,
    /// Whether it is offered layers through pipes.
    pub pipes: bool,
    /// Architecture in Go's words: `amd64`, `arm64`.
    pub arch: String,
    /// Version of the engine, `20.10.24`.
    pub version: String,
}

impl Engine {
    /// Connects to `socket` (a path) and waits at most `limit` for the first answer; the connection itself may start the engine.
    pub async fn ready(socket: &str, limit: Duration) -> Result<Engine, EngineProblem> {
        let begun = Instant::now();
        loop {
            let error = match tokio::time::timeout_at(begun + limit, Engine::reach(socket)).await {
                Ok(Ok(engine)) => return Ok(engine),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer on {socket} within {} s", limit.as_secs()),
            };
            // systemd holds the socket before and while the engine starts: where nobody does, nothing is to come.
            let (patience, why) = match UnixStream::connect(socket).await.map_err(|error| error.kind()) {
                Err(ErrorKind::NotFound) => (NO_SOCKET, format!("there is no {socket}")),
                Err(ErrorKind::ConnectionRefused) => (NOT_HELD, format!("nothing listens on {socket}")),
                _ => (limit, error),
            };
            if begun.elapsed() >= patience.min(limit) {
                return Err(EngineProblem::Silent { why });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reach(socket: &str) -> Result<Engine, bollard::errors::Error> {
        let connect = |seconds| Docker::connect_with_unix(socket, seconds, bollard::API_DEFAULT_VERSION);
        let (docker, loader) = (connect(ANSWER)?, connect(LOAD)?);
        let about = docker.version().await?;
        Ok(Engine {
            docker,
            loader,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            long_turns: Arc::new(Semaphore::new(LONG_AT_ONCE)),
            pipes: true,
            arch: about.arch.unwrap_or_default(),
            version: about.version.unwrap_or_default(),
        })
    }
}

/// The last line of the engine's own log in this boot's journal, of a live host. Blocking.
pub fn last_words(host: &Host) -> Option<String> {
    if !host.is_live() {
        return None;
    }
    let arguments = ["--boot", "--output=cat", "--lines=1", "--no-pager", "_SYSTEMD_UNIT=docker.service"];
    let ended = tool::run("journalctl", &arguments.map(str::as_ref), JOURNAL).ok()?;
    (ended.code == 0 && !ended.said.trim().is_empty()).then(|| ended.gist())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(socket: &std::path::Path, limit: Duration) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(Engine::ready(&socket.to_string_lossy(), limit)) {
            Err(problem) => problem.facts().sentence,
            Ok(engine) => panic!("{engine:?} answered"),
        }
    }

    #[test]
    fn each_silence_is_named_for_what_it_is() {
        let socket = std::env::temp_dir().join(format!("offspot-silence-{}.sock", std::process::id()));
        let limit = Duration::from_millis(300);
        assert!(silence(&socket, limit).contains("there is no "));
        // Somebody holds it and never answers, as systemd does while the engine starts.
        let held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(silence(&socket, limit).contains("no answer on "));
        drop(held);
        assert!(silence(&socket, limit).contains("nothing listens on "));
        std::fs::remove_file(socket).unwrap();
    }
}
