//! Whether the bytes that passed are those an entry asks for.

use std::io::{self, Read};

use offspot_config::settings::Algorithm;

use super::trouble::Trouble;
use crate::stream::digest::Digest;

/// The digest an entry's bytes must have.
pub type Expected = Option<(Algorithm, String)>;

/// A reader that counts what passes, and takes its digest where one is asked for.
pub struct Witness<R> {
    inner: R,
    digest: Option<Digest>,
    /// Bytes so far.
    pub length: u64,
}

impl<R: Read> Witness<R> {
    /// A witness of what will be read from `inner`.
    pub fn new(inner: R, algorithm: Option<Algorithm>) -> Self {
        Witness { inner, digest: algorithm.map(Digest::new), length: 0 }
    }

    /// The digest of what has passed, as lower-case hex.
    pub fn hex(self) -> Option<String> {
        self.digest.map(Digest::hex)
    }

    /// An error where what has passed is not what was asked for.
    pub fn verify(self, wanted: Option<u64>, expected: &Expected) -> io::Result<()> {
        if let Some(expected) = wanted.filter(|wanted| *wanted != self.length) {
            let found = if self.length > expected { format!("more than {expected}") } else { self.length.to_string() };
            return Err(Trouble::Size { expected, found }.into());
        }
        let found = self.hex();
        match (expected, found) {
            (Some((_, expected)), Some(found)) if *expected != found => {
                Err(Trouble::Checksum { expected: expected.clone(), found }.into())
            }
            _ => Ok(()),
        }
    }

    /// What came of unpacking; an archive that could not be unpacked is better told to be another than asked for.
    pub fn blame(mut self, unpacked: io::Result<u64>, wanted: Option<u64>, expected: &Expected) -> io::Result<u64> {
        let Err(error) = unpacked else {
            self.verify(wanted, expected)?;
            return unpacked;
        };
        let archive_is_bad = error.raw_os_error().is_none() && super::trouble::of(&error).is_none();
        let can_be_told = wanted.is_some() || expected.is_some();
        if archive_is_bad && can_be_told && io::copy(&mut self, &mut io::sink()).is_ok() {
            self.verify(wanted, expected)?;
        }
        Err(error)
    }
}

impl<R: Read> Read for Witness<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(digest) = &mut self.digest {
            digest.update(buffer.get(..read).unwrap_or_default());
        }
        self.length += read as u64;
        Ok(read)
    }
}
