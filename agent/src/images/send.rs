//! From the blocking reader of a tarball to the engine's socket, a few pieces at a time.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::fault::Fault;
use super::parcel::Parcel;
use crate::engine::Engine;
use crate::ground::joined;
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

/// A parcel on its way: its layers go at once, its end when it may. Dropped before, it is taken back.
#[derive(Debug)]
pub struct Sending {
    end: oneshot::Sender<()>,
    reading: JoinHandle<Result<(), Fault>>,
    answer: JoinHandle<Result<BTreeSet<String>, Error>>,
}

impl Sending {
    /// Streams the layers into the engine.
    pub fn begin(engine: &Engine, parcel: &Arc<Parcel>, report: &Reporter) -> Sending {
        let (pipe, pieces) = mpsc::channel(PIECES);
        let (end, may_end) = oneshot::channel();
        let mut writer = PieceWriter {
            pipe,
            piece: Vec::with_capacity(PIECE),
            passed: (!parcel.is_pulled()).then(|| Tally::new(report)),
        };
        let (parcel, report) = (parcel.clone(), report.clone());
        let answered = Answered::default();
        let told = answered.0.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let layers = parcel.send_layers(&mut writer);
            let ending = layers.and_then(|()| may_end.blocking_recv().map_err(|_| Fault::Unheard));
            let sent = ending.and_then(|()| parcel.send_end(&mut writer));
            if sent.is_err() {
                // The body ends in an error and not in its end, so the engine drops what it has.
                let _ = writer.pipe.blocking_send(Err(io::ErrorKind::InvalidData.into()));
            }
            // The body has its end.
            drop(writer);
            sent.and_then(|()| parcel.feed(&told, &mut Tally::new(&report)))
        });
        let body = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
        let engine = engine.clone();
        let answer = tokio::spawn(async move {
            let _answered = answered;
            engine.load_images(body).await
        });
        Sending { end, reading, answer }
    }

    /// Lets the end go and does something `meanwhile`, while the engine unpacks; answers the first twelve digits of each layer that it
    /// unpacked.
    pub async fn finish(self, meanwhile: impl FnOnce()) -> Result<BTreeSet<String>, Lost> {
        let _ = self.end.send(());
        let read = self.reading.await.map_err(io::Error::other).map_err(Fault::from).flatten();
        if read.is_ok() {
            meanwhile();
        }
        if matches!(read, Err(Fault::Unseen)) {
            // It waits at a pipe for which nobody comes, until it is started anew.
            self.answer.abort();
            return Err(Lost::Tarball(Fault::Unseen));
        }
        match (read, joined(self.answer).await) {
            (Err(Fault::Unheard), answer) => answer.map_err(Lost::Engine),
            (Err(fault), _) => Err(Lost::Tarball(fault)),
            (Ok(()), answer) => answer.map_err(Lost::Engine),
        }
    }

    /// Takes it back, and waits until the engine has noticed.
    pub async fn take_back(self) {
        drop(self.end);
        let _ = self.reading.await;
        let _ = self.answer.await;
    }
}

/// Streams the parcel into the engine; answers the first twelve digits of each layer that the engine unpacked.
pub async fn send(engine: &Engine, parcel: &Arc<Parcel>, report: &Reporter) -> Result<BTreeSet<String>, Lost> {
    Sending::begin(engine, parcel, report).finish(|| ()).await
}

/// Says so when the engine has answered, or is not waited for any more.
#[derive(Default)]
struct Answered(Arc<AtomicBool>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct PieceWriter {
    pipe: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    /// Where to add up what has passed; what comes from the network is counted there.
    passed: Option<Tally>,
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
        if let Some(passed) = &mut self.passed {
            passed.add(length);
        }
        Ok(())
    }
}
