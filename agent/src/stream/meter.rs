//! Tells the report how many bytes have passed.

use std::io::{self, Read};

use crate::report::Reporter;

/// Bytes between two tellings.
const STRIDE: u64 = 1 << 20;

/// What has passed, told at most once a MiB and at its end: each telling wakes all that follow the report, which costs more than a small
/// file does.
#[derive(Debug)]
pub struct Tally {
    report: Reporter,
    untold: u64,
}

impl Tally {
    /// Nothing has passed yet.
    pub fn new(report: &Reporter) -> Self {
        Tally { report: report.clone(), untold: 0 }
    }

    /// That many bytes more.
    pub fn add(&mut self, bytes: u64) {
        self.untold += bytes;
        if self.untold >= STRIDE {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if self.untold > 0 {
            self.report.advance(std::mem::take(&mut self.untold));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}

/// A reader that advances the report by what passes.
#[derive(Debug)]
pub struct Meter<R> {
    inner: R,
    passed: Tally,
}

impl<R: Read> Meter<R> {
    /// Tells `report` of what is read from `inner`.
    pub fn new(inner: R, report: &Reporter) -> Self {
        Meter { inner, passed: Tally::new(report) }
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match read {
            0 => self.passed.tell(),
            read => self.passed.add(read as u64),
        }
        Ok(read)
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
        assert_eq!(watch.borrow_and_update().progress.done, STRIDE);
        io::copy(&mut meter, &mut io::sink()).unwrap();
        assert_eq!(watch.borrow().progress.done, STRIDE + 5);
    }

    #[test]
    fn tells_the_rest_when_dropped() {
        let (report, watch) = Reporter::new();
        Meter::new(b"abc".as_slice(), &report).read_exact(&mut [0; 2]).unwrap();
        assert_eq!(watch.borrow().progress.done, 2);
    }
}
