//! From the blocking reader of a tarball to the engine's socket, a few pieces at a time.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::parcel::Parcel;
use crate::engine::Engine;
use crate::report::Reporter;
use crate::stream::meter::Tally;

/// Bytes of one piece, and pieces on their way at once: what a load takes in memory.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;

/// Why a parcel did not arrive.
#[derive(Debug)]
pub enum Lost {
    /// The tarball was wrong; the engine recorded nothing of it.
    Tarball(Fault),
    /// The engine did not take it.
    Engine(Error),
}

/// Streams the parcel into the engine; answers the first twelve digits of each layer that the engine unpacked.
pub async fn send(engine: &Engine, parcel: &Arc<Parcel>, report: &Reporter) -> Result<BTreeSet<String>, Lost> {
    let (pipe, pieces) = mpsc::channel(PIECES);
    let mut writer = PieceWriter { pipe, piece: Vec::with_capacity(PIECE), passed: Tally::new(report) };
    let parcel = parcel.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let sent = parcel.send(&mut writer);
        if sent.is_err() {
            // The body ends in an error and not in its end, so the engine drops what it has.
            let _ = writer.pipe.blocking_send(Err(io::ErrorKind::InvalidData.into()));
        }
        sent
    });
    let body = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
    let answer = engine.load_images(body).await;
    match (reading.await.map_err(io::Error::other).map_err(Fault::from).flatten(), answer) {
        (Err(Fault::Unheard), Err(error)) => Err(Lost::Engine(error)),
        (Err(fault), _) => Err(Lost::Tarball(fault)),
        (Ok(()), answer) => answer.map_err(Lost::Engine),
    }
}

struct PieceWriter {
    pipe: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    passed: Tally,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let length = piece.len() as u64;
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pipe.blocking_send(Ok(piece.into())).map_err(gone)?;
        self.passed.add(length);
        Ok(())
    }
}
