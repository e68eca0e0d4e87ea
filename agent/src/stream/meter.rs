//! Tells the report how many bytes have passed.

use std::io::{self, Read};

use crate::report::Reporter;

/// Bytes between two tellings.
const STRIDE: u64 = 1 << 20;

/// A reader that advances the report by what passes: at most once a MiB, and at its end.
#[derive(Debug)]
pub struct Meter<R> {
    inner: R,
    report: Reporter,
    untold: u64,
}

impl<R: Read> Meter<R> {
    /// Tells `report` of what is read from `inner`.
    pub fn new(inner: R, report: &Reporter) -> Self {
        Meter { inner, report: report.clone(), untold: 0 }
    }
}

impl<R> Meter<R> {
    fn tell(&mut self) {
        if self.untold > 0 {
            self.report.advance(std::mem::take(&mut self.untold));
        }
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.untold += read as u64;
        if self.untold >= STRIDE || read == 0 {
            self.tell();
        }
        Ok(read)
    }
}

impl<R> Drop for Meter<R> {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_once_a_mebibyte_and_at_the_end() {
        let (report, mut watch) = Reporter::new();
        let mut meter = Meter::new(io::repeat(7).take(STRIDE + 5), &report);
        let mut half = vec![0; STRIDE as usize / 2];
        meter.read_exact(&mut half).unwrap();
        assert!(!watch.has_changed().unwrap());
        meter.read_exact(&mut half).unwrap();
        assert_eq!(watch.borrow_and_update().done, STRIDE);
        io::copy(&mut meter, &mut io::sink()).unwrap();
        assert_eq!(watch.borrow().done, STRIDE + 5);
    }

    #[test]
    fn tells_the_rest_when_dropped() {
        let (report, watch) = Reporter::new();
        Meter::new(b"abc".as_slice(), &report).read_exact(&mut [0; 2]).unwrap();
        assert_eq!(watch.borrow().done, 2);
    }
}
