//! Bytes of any length that lie nowhere: each follows from a seed and its place, so that a server may begin anywhere and a test knows
//! their digest.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::tool::{Doing, Outcome};

const WORD: u64 = 8;
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// So many bytes of a seed; no packer makes them smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    seed: u64,
    length: u64,
}

impl Seeded {
    /// `length` bytes; another seed gives others.
    pub fn new(seed: u64, length: u64) -> Seeded {
        Seeded { seed, length }
    }

    /// How many they are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from `at` on, as many as the buffer takes and there are; gives how many.
    pub fn fill(&self, at: u64, buffer: &mut [u8]) -> usize {
        let length = self.length.saturating_sub(at).min(buffer.len() as u64) as usize;
        self.fill_whole(at, &mut buffer[..length]);
        length
    }

    /// The bytes from `at` on, whatever their length: for a body without an end.
    pub fn fill_whole(&self, at: u64, buffer: &mut [u8]) {
        let (mut word, mut skip, mut filled) = (at / WORD, (at % WORD) as usize, 0);
        while filled < buffer.len() {
            let bytes = mixed(self.seed.wrapping_add(word.wrapping_mul(STEP))).to_le_bytes();
            let take = (bytes.len() - skip).min(buffer.len() - filled);
            buffer[filled..filled + take].copy_from_slice(&bytes[skip..skip + take]);
            (word, skip, filled) = (word + 1, 0, filled + take);
        }
    }

    /// Reads them all.
    pub fn reader(&self) -> Reader {
        Reader { bytes: *self, at: 0 }
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length as usize];
        self.fill_whole(0, &mut bytes);
        bytes
    }

    /// Their SHA-256, in hexadecimal.
    pub fn sha256(&self) -> String {
        let (mut digest, mut buffer, mut at) = (Sha256::new(), vec![0; 1 << 20], 0);
        loop {
            match self.fill(at, &mut buffer) {
                0 => return digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
                length => digest.update(&buffer[..length]),
            }
            at += buffer.len() as u64;
        }
    }

    /// Writes them to a file.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        let mut file = BufWriter::new(File::create(path).doing(path.display())?);
        io::copy(&mut self.reader(), &mut file).and_then(|_| file.flush()).doing(path.display())
    }
}

/// Reads seeded bytes from the first to the last.
#[derive(Debug)]
pub struct Reader {
    bytes: Seeded,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.fill(self.at, buffer);
        self.at += length as u64;
        Ok(length)
    }
}

/// SplitMix64's last step.
fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_wherever_one_begins() {
        let bytes = Seeded::new(7, 10_001);
        let whole = bytes.to_vec();
        for at in [0, 1, 7, 8, 9, 4096, 9_999, 10_000, 10_001] {
            let mut rest = vec![0; 20_000];
            let length = bytes.fill(at, &mut rest);
            assert_eq!(rest[..length], whole[at as usize..], "from {at}");
        }
        let mut read = Vec::new();
        bytes.reader().read_to_end(&mut read).unwrap();
        assert!(read == whole && whole != Seeded::new(8, 10_001).to_vec());
        let sum: String = Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes.sha256(), sum);
    }
}
