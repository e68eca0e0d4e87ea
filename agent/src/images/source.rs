//! The bytes of a tarball as its tar has them: packed or plain, read forward only.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::members::damaged;
use crate::stream::decode::{self, Packing};
use crate::stream::limit::Limit;

/// Most bytes that a packed tarball may have unpacked: so many for each of its own (gzip reaches 1032), and so many more. Beyond it is made to
/// keep us busy.
const MOST: (u64, u64) = (1100, 256 << 20);

/// The unpacked bytes of a tarball, read forward; a plain one is skipped through by seeking.
pub struct Bytes {
    inner: Inner,
    at: u64,
}

enum Inner {
    Plain { file: BufReader<File>, length: u64 },
    Packed { reader: Box<dyn Read + Send>, spent: Spent },
}

/// Whether a packed file was read to its end.
#[derive(Clone, Default)]
struct Spent(Arc<AtomicBool>);

struct Watched(File, Spent);

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 {
            self.1.0.store(true, Ordering::Relaxed);
        }
        Ok(read)
    }
}

impl Spent {
    /// The xz decoder goes on in zeros where its input ends within a block, and so finds damage instead of an early end.
    fn judge(&self, error: io::Error) -> io::Error {
        let own = error.raw_os_error().is_none() && self.0.load(Ordering::Relaxed);
        if own { io::ErrorKind::UnexpectedEof.into() } else { error }
    }
}

impl Bytes {
    /// Opens a tarball and says how it is packed; a plain one is read in pieces of `ahead` bytes.
    pub fn open(path: &Path, ahead: usize) -> io::Result<(Packing, Bytes)> {
        let mut file = File::open(path)?;
        let mut head = Vec::new();
        file.by_ref().take(10).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        if Packing::sniff(&head) == Packing::Plain {
            let length = file.metadata()?.len();
            let file = BufReader::with_capacity(ahead, file);
            let inner = Inner::Plain { file, length };
            return Ok((Packing::Plain, Bytes { inner, at: 0 }));
        }
        let spent = Spent::default();
        let most = file.metadata()?.len().saturating_mul(MOST.0).saturating_add(MOST.1);
        let (packing, reader) = decode::decode(Watched(file, spent.clone()))?;
        let reader = Box::new(Limit::new(reader, most));
        let spent = if packing == Packing::Xz { spent } else { Spent::default() };
        let inner = Inner::Packed { reader, spent };
        Ok((packing, Bytes { inner, at: 0 }))
    }

    /// Where the next byte stands.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether it is unpacked on the way, so that what is skipped is read nevertheless.
    pub fn is_packed(&self) -> bool {
        matches!(self.inner, Inner::Packed { .. })
    }

    /// Skips forward to this position.
    pub fn skip_to(&mut self, to: u64) -> io::Result<()> {
        let gap = to.checked_sub(self.at).ok_or_else(|| damaged("members overlap".into()))?;
        match &mut self.inner {
            Inner::Plain { length, .. } if to > *length => return Err(io::ErrorKind::UnexpectedEof.into()),
            Inner::Plain { file, .. } => file.seek_relative(i64::try_from(gap).map_err(io::Error::other)?)?,
            Inner::Packed { reader, spent } => {
                let skipped = io::copy(&mut reader.by_ref().take(gap), &mut io::sink());
                if skipped.map_err(|error| spent.judge(error))? < gap {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        self.at = to;
        Ok(())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bytes").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inner {
            Inner::Plain { file, .. } => file.read(buffer)?,
            Inner::Packed { reader, spent } => reader.read(buffer).map_err(|error| spent.judge(error))?,
        };
        self.at += read as u64;
        Ok(read)
    }
}
