//! Whether a ZIM is whole, told in passing by the checksum that stands at its own end.
//!
//! Its head says where that stands: 16 bytes, the MD5 of all before them, and nothing behind. Files without one (older than 2011) and parts of a
//! split ZIM tell nothing.

use offspot_config::settings::Algorithm;
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Bytes that the head of a ZIM with a checksum has.
const HEAD: usize = 80;
/// What every ZIM begins with.
const MAGIC: [u8; 4] = [0x5a, 0x49, 0x4d, 0x04];
/// Bytes of the checksum.
const SUM: u64 = 16;

/// Takes in the bytes of a file, in their order, and says at the end whether it is a whole ZIM. What is no ZIM costs nothing.
#[derive(Debug)]
pub struct ZimCheck(Kind);

#[derive(Debug)]
enum Kind {
    /// Too little has come to tell.
    Head(Vec<u8>),
    /// No ZIM, or one that cannot be told to be whole.
    Other,
    Zim(Zim),
}

#[derive(Debug)]
struct Zim {
    /// Where the checksum stands.
    end: u64,
    /// Bytes so far.
    length: u64,
    digest: Digest,
    /// What has come of the checksum.
    trailer: Vec<u8>,
}

/// What was asked for, and what came instead: digests, or lengths.
pub type Mismatch = (String, String);

/// A [`ZimCheck`] as it is written down.
#[derive(Serialize, Deserialize)]
enum Saved {
    Head(Vec<u8>),
    Other,
    Zim { end: u64, length: u64, digest: Vec<u8>, trailer: Vec<u8> },
}

impl ZimCheck {
    /// Nothing has come yet of the file of this name; the first part of a split ZIM (`.zimaa`) looks like a whole one but for its name.
    pub fn new(name: &str) -> ZimCheck {
        let part = name.to_ascii_lowercase().ends_with(".zimaa");
        ZimCheck(if part { Kind::Other } else { Kind::Head(Vec::new()) })
    }

    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if let Kind::Head(head) = &mut self.0 {
            let (first, rest) = bytes.split_at(bytes.len().min(HEAD - head.len()));
            head.extend(first);
            bytes = rest;
            if let Some(kind) = told(head) {
                self.0 = kind;
            }
        }
        if let Kind::Zim(zim) = &mut self.0 {
            zim.update(bytes);
        }
    }

    /// What has been found once all bytes have come; none of what is no ZIM, or has no checksum.
    pub fn verdict(self) -> Option<Result<(), Mismatch>> {
        match self.0 {
            Kind::Other => None,
            Kind::Head(head) => {
                let zim = head.starts_with(&MAGIC);
                zim.then(|| Err((format!("at least {HEAD} bytes"), format!("{} bytes", head.len()))))
            }
            Kind::Zim(zim) => Some(zim.verdict()),
        }
    }

    /// What [`ZimCheck::restore`] goes on from.
    pub fn save(&self) -> Vec<u8> {
        let saved = match &self.0 {
            Kind::Head(head) => Saved::Head(head.clone()),
            Kind::Other => Saved::Other,
            Kind::Zim(zim) => {
                Saved::Zim { end: zim.end, length: zim.length, digest: zim.digest.save(), trailer: zim.trailer.clone() }
            }
        };
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// A check as it was when it was saved; none where `state` is not what one saved.
    pub fn restore(state: &[u8]) -> Option<ZimCheck> {
        let kind = match serde_json::from_slice(state).ok()? {
            Saved::Head(head) if head.len() < HEAD => Kind::Head(head),
            Saved::Head(_) => return None,
            Saved::Other => Kind::Other,
            Saved::Zim { end, length, digest, trailer } => {
                Kind::Zim(Zim { end, length, digest: Digest::restore(Algorithm::Md5, &digest)?, trailer })
            }
        };
        Some(ZimCheck(kind))
    }
}

impl Zim {
    fn update(&mut self, bytes: &[u8]) {
        let here = usize::try_from(self.end.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let (content, behind) = bytes.split_at(bytes.len().min(here));
        self.digest.update(content);
        let missing = (SUM as usize).saturating_sub(self.trailer.len());
        self.trailer.extend(behind.iter().take(missing));
        self.length += bytes.len() as u64;
    }

    fn verdict(self) -> Result<(), Mismatch> {
        let whole = self.end.saturating_add(SUM);
        if self.length != whole {
            return Err((format!("{whole} bytes"), format!("{} bytes", self.length)));
        }
        let expected = super::digest::hex(&self.trailer);
        let found = self.digest.hex();
        if found == expected { Ok(()) } else { Err((expected, found)) }
    }
}

/// What the first bytes tell; none where they are too few.
fn told(head: &[u8]) -> Option<Kind> {
    if !head.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic) {
        return Some(Kind::Other);
    }
    if head.len() < HEAD {
        return None;
    }
    let word = |at: usize| {
        let word = head.get(at..at + 8).and_then(|word| word.try_into().ok());
        word.map_or(0, u64::from_le_bytes)
    };
    // The list of MIME types stands right behind the head: before this, there was no room for a checksum's place.
    let (types, end) = (word(56), word(72));
    if types < HEAD as u64 {
        return Some(Kind::Other);
    }
    let mut zim = Zim { end, length: 0, digest: Digest::new(Algorithm::Md5), trailer: Vec::new() };
    zim.update(head);
    Some(Kind::Zim(zim))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ZIM as far as its checksum is concerned.
    fn zim(length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length).map(|number| (number * 7) as u8).collect();
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[56..64].copy_from_slice(&80_u64.to_le_bytes());
        bytes[72..80].copy_from_slice(&(length as u64).to_le_bytes());
        let sum = <md5::Md5 as sha2::Digest>::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    fn verdict(bytes: &[u8], piece: usize) -> Option<Result<(), Mismatch>> {
        let mut check = ZimCheck::new("/data/library.zim");
        bytes.chunks(piece).for_each(|piece| check.update(piece));
        check.verdict()
    }

    #[test]
    fn whole_cut_longer_and_damaged() {
        for length in [80, 81, 500] {
            let whole = zim(length);
            for piece in [1, 7, 16, 79, 80, 81, 1000] {
                assert_eq!(verdict(&whole, piece), Some(Ok(())), "{length} in pieces of {piece}");
                for end in 4..whole.len() {
                    let expected =
                        if end < HEAD { "at least 80 bytes".into() } else { format!("{} bytes", whole.len()) };
                    let found = format!("{end} bytes");
                    assert_eq!(verdict(&whole[..end], piece), Some(Err((expected, found))), "cut at {end}");
                }
                let longer = [whole.as_slice(), b"x"].concat();
                assert!(matches!(verdict(&longer, piece), Some(Err(_))));
            }
            for at in (4..56).chain(80..whole.len()) {
                let mut damaged = whole.clone();
                damaged[at] ^= 1;
                let Some(Err((expected, found))) = verdict(&damaged, 33) else { panic!("damage at {at}") };
                assert!(expected.len() == 32 && found.len() == 32 && expected != found);
            }
        }
    }

    #[test]
    fn others_tell_nothing() {
        let mut old = zim(100);
        old[56..64].copy_from_slice(&72_u64.to_le_bytes());
        let text = b"<html>Please log in to the network</html>".repeat(5);
        for bytes in [old.as_slice(), &text, b"", b"ZI", b"ZIM\x05 and so on"] {
            for piece in [1, 3, 1000] {
                assert_eq!(verdict(bytes, piece), None);
            }
        }
    }

    #[test]
    fn saved_anywhere_it_goes_on() {
        let whole = zim(300);
        let mut damaged = whole.clone();
        damaged[200] ^= 4;
        for (bytes, good) in [(&whole, true), (&damaged, false)] {
            for at in 0..=bytes.len() {
                let mut check = ZimCheck::new("/data/library.zim");
                check.update(&bytes[..at]);
                let mut check = ZimCheck::restore(&check.save()).unwrap();
                check.update(&bytes[at..]);
                assert_eq!(check.verdict().unwrap().is_ok(), good, "saved at {at}");
            }
        }
        assert!(ZimCheck::restore(b"").is_none());
        let mut part = ZimCheck::new("/data/library.zimaa");
        part.update(&whole[..150]);
        assert_eq!(part.verdict(), None);
    }

    #[test]
    fn a_place_that_cannot_be_is_no_panic() {
        let mut lie = zim(100);
        for place in [0, 79, u64::MAX, u64::MAX - 15] {
            lie[72..80].copy_from_slice(&place.to_le_bytes());
            assert!(matches!(verdict(&lie, 50), Some(Err(_))), "{place}");
        }
    }
}
