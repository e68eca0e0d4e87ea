//! One layer on its way out of a tarball: read forward, verified, unpacked where the engine would not take it as it lies.

use std::io::{self, Read, Write};
use std::path::Path;

use offspot_config::settings::Algorithm;

use super::archive::Layer;
use super::fault::Fault;
use super::layout::Blob;
use super::source::Bytes;
use crate::stream::decode::{self, Packing};
use crate::stream::digest::DigestReader;

/// Bytes read from the card at a time.
pub(super) const AHEAD: usize = 64 << 10;

/// A layer on its way.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) layer: Layer,
    /// Length after unpacking, where the engine would not take it as it lies.
    pub(super) unpacked: Option<u64>,
}

impl Piece {
    pub(super) fn blob(&self) -> Blob {
        match self.unpacked {
            Some(size) => Blob { digest: self.layer.diff_id.clone(), size, packing: Packing::Plain },
            None => Blob::as_it_lies(&self.layer),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.unpacked.unwrap_or(self.layer.size)
    }

    /// What a decoder finds within a layer is a layer that is not what its digest says.
    fn damage(&self, error: io::Error) -> Fault {
        match error.kind() {
            // Packed with too large a window.
            io::ErrorKind::OutOfMemory => Fault::not_archive(format!("a layer of it cannot be unpacked here: {error}")),
            _ if error.raw_os_error().is_some() => error.into(),
            _ => self.wrong(),
        }
    }

    fn wrong(&self) -> Fault {
        Fault::Digest(format!("layer {}", self.layer.diff_id.get(..12).unwrap_or_default()))
    }

    fn measure(&self, source: &mut Bytes, most: u64) -> io::Result<u64> {
        let mut plain = decode::decode(source.take(self.layer.size))?.1.take(most.saturating_add(1));
        io::copy(&mut plain, &mut io::sink())
    }

    pub(super) fn pass(&self, source: &mut Bytes, out: &mut impl Write) -> Result<(), Fault> {
        source.skip_to(self.layer.at)?;
        let mut raw = DigestReader::new(Algorithm::Sha256, source.take(self.layer.size));
        if let Some(length) = self.unpacked {
            let reader = decode::decode(&mut raw).map_err(|error| self.damage(error))?.1;
            let mut plain = DigestReader::new(Algorithm::Sha256, reader);
            copy(&mut plain, out, length).map_err(|fault| match fault {
                Fault::Unheard | Fault::Unreadable(_) => fault,
                _ => self.wrong(),
            })?;
            self.expect(plain.hex(), Some(&self.layer.diff_id))?;
        } else {
            copy(&mut raw, out, self.layer.size)?;
        }
        // A decoder need not read what it has no use for.
        io::copy(&mut raw, &mut io::sink())?;
        let plain = self.layer.packing == Packing::Plain;
        let said = self.layer.blob.as_deref().or(plain.then_some(self.layer.diff_id.as_str()));
        self.expect(raw.hex(), said)
    }

    fn expect(&self, found: String, said: Option<&str>) -> Result<(), Fault> {
        match said {
            Some(said) if said != found => Err(self.wrong()),
            _ => Ok(()),
        }
    }

    /// Whether the engine takes its bytes as they lie, and their digest is known. Old engines know no zstd, and unpack xz by a program
    /// that the card may not have.
    pub(super) fn passes_as_it_is(&self, zstd: bool) -> bool {
        match self.layer.packing {
            Packing::Plain => true,
            Packing::Gz => self.layer.blob.is_some(),
            Packing::Zst => zstd && self.layer.blob.is_some(),
            Packing::Xz | Packing::Bz2 => false,
        }
    }
}

/// Finds out the unpacked lengths of those that must be unpacked, in one pass.
pub(super) fn measure(path: &Path, pieces: &mut [Piece], zstd: bool, most: u64) -> Result<(), Fault> {
    let mut packed = pieces.iter_mut().filter(|piece| !piece.passes_as_it_is(zstd)).peekable();
    if packed.peek().is_none() {
        return Ok(());
    }
    let (_, mut source) = Bytes::open(path, AHEAD)?;
    for piece in packed {
        source.skip_to(piece.layer.at)?;
        let length = piece.measure(&mut source, most).map_err(|error| piece.damage(error))?;
        if length > most {
            return Err(Fault::not_archive(format!("a layer unpacks to more than {most} bytes")));
        }
        piece.unpacked = Some(length);
    }
    Ok(())
}

/// Copies exactly `length` bytes.
fn copy(from: &mut impl Read, out: &mut impl Write, length: u64) -> Result<(), Fault> {
    let mut left = length;
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        left = left.checked_sub(read as u64).ok_or_else(changed)?;
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(unheard)?;
    }
    match left {
        0 => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

fn changed() -> Fault {
    Fault::not_archive("it changed while it was read")
}

pub(super) fn unheard(_: io::Error) -> Fault {
    Fault::Unheard
}
