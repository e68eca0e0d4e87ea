//! The few verbs of the Docker API that the story uses, over the engine's Unix socket.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;

use crate::problem::EngineProblem;

mod containers;
mod images;

pub use containers::Refusal;
pub use images::HeldImage;

/// Longest wait for an ordinary answer.
const ANSWER: u64 = 60;
/// Longest wait for a socket to appear.
const NO_SOCKET: Duration = Duration::from_secs(5);
/// Longest wait for a load: the engine says nothing until it has unpacked the whole tar, and a slow card takes its time.
const LOAD: u64 = 6 * 3600;

/// A container engine that has answered.
#[derive(Debug, Clone)]
pub struct Engine {
    /// For every verb but loading.
    pub(crate) docker: Docker,
    /// For loading alone, with a very long limit.
    pub(crate) loader: Docker,
    /// Architecture in Go's words: `amd64`, `arm64`.
    pub arch: String,
    /// Version of the engine, `20.10.24`.
    pub version: String,
}

impl Engine {
    /// Connects to `socket` (a path) and waits at most `limit` for the first answer; the connection itself may start the engine.
    pub async fn ready(socket: &str, limit: Duration) -> Result<Engine, EngineProblem> {
        let begun = tokio::time::Instant::now();
        loop {
            // systemd makes the socket before anything else: where there is none, there is no engine to wait for.
            let limit = if Path::new(socket).exists() { limit } else { limit.min(NO_SOCKET) };
            let why = match tokio::time::timeout_at(begun + limit, Engine::reach(socket)).await {
                Ok(Ok(engine)) => return Ok(engine),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer on {socket} within {} s", limit.as_secs()),
            };
            if begun.elapsed() >= limit {
                return Err(EngineProblem::Silent { why });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reach(socket: &str) -> Result<Engine, bollard::errors::Error> {
        let connect = |seconds| Docker::connect_with_unix(socket, seconds, bollard::API_DEFAULT_VERSION);
        let (docker, loader) = (connect(ANSWER)?, connect(LOAD)?);
        let about = docker.version().await?;
        Ok(Engine { docker, loader, arch: about.arch.unwrap_or_default(), version: about.version.unwrap_or_default() })
    }
}
