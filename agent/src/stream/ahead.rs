//! Reads a stream with a look at what comes next, and knows where it stands.

use std::io::{self, BufRead, Read};

/// Bytes held at most.
const HELD: usize = 128 << 10;

/// A buffered reader that can be asked what comes next without taking it.
pub struct Ahead<'a> {
    inner: &'a mut dyn Read,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    position: u64,
}

impl<'a> Ahead<'a> {
    /// Nothing has been read yet.
    pub fn new(inner: &'a mut dyn Read) -> Ahead<'a> {
        Ahead { inner, buffer: vec![0; HELD], from: 0, to: 0, position: 0 }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes: `length` of them, or fewer where the stream ends.
    pub fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let length = length.min(HELD);
        if self.from + length > HELD {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        while self.to - self.from < length && self.more()? {}
        let held = self.buffer.get(self.from..self.to).unwrap_or_default();
        Ok(held.get(..length).unwrap_or(held))
    }

    /// Exactly the next `length` bytes.
    pub fn take_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether something more was read; there has to be room for it.
    fn more(&mut self) -> io::Result<bool> {
        loop {
            match self.inner.read(self.buffer.get_mut(self.to..).unwrap_or_default()) {
                Ok(read) => {
                    self.to += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl BufRead for Ahead<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            self.more()?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.to - self.from);
        self.from += amount;
        self.position += amount as u64;
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl std::fmt::Debug for Ahead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_ahead_over_the_end_of_its_buffer() {
        let bytes: Vec<u8> = (0..HELD * 2 + 5).map(|number| (number / 3) as u8).collect();
        let mut source = bytes.as_slice();
        let mut ahead = Ahead::new(&mut source);
        let (mut at, mut step) = (0, 1);
        while at < bytes.len() {
            let end = (at + 40).min(bytes.len());
            assert_eq!(ahead.peek(40).unwrap(), &bytes[at..end]);
            let length = step.min(bytes.len() - at);
            assert_eq!(ahead.take_exactly(length).unwrap(), &bytes[at..at + length]);
            at += length;
            assert_eq!(ahead.position(), at as u64);
            step = step * 3 % 70_001 + 1;
        }
        assert!(ahead.peek(4).unwrap().is_empty() && ahead.fill_buf().unwrap().is_empty());
    }
}
