//! Refuses what is longer than it may be.

use std::io::{self, Read};

use nix::errno::Errno;

/// A reader that fails as soon as `inner` gives more than it may; unlike [`Read::take`], which would end there in silence.
#[derive(Debug)]
pub struct Limit<R> {
    inner: R,
    most: u64,
    left: u64,
    room: bool,
}

impl<R: Read> Limit<R> {
    /// At most `most` bytes may come from `inner`.
    pub fn new(inner: R, most: u64) -> Self {
        Limit { inner, most, left: most, room: false }
    }

    /// The same where `most` is all the room there is: then the failure is a full card.
    pub fn full(inner: R, most: u64) -> Self {
        Limit { room: true, ..Limit::new(inner, most) }
    }

    fn passed(&self) -> io::Error {
        match self.room {
            true => Errno::ENOSPC.into(),
            false => io::Error::new(io::ErrorKind::InvalidData, format!("longer than {} bytes", self.most)),
        }
    }
}

impl<R: Read> Read for Limit<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| self.passed())?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_passes_and_one_more_does_not() {
        let mut text = String::new();
        Limit::new(b"abc".as_slice(), 3).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let error = Limit::new(b"abcd".as_slice(), 3).read_to_string(&mut text).unwrap_err();
        assert_eq!(error.to_string(), "longer than 3 bytes");
        let error = Limit::full(b"abcd".as_slice(), 3).read_to_string(&mut text).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32));
    }
}
