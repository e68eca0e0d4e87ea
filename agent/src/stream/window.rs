//! How much memory a packed stream asks of its decoder, told by its first bytes.

use std::io::{self, Read};

use super::decode::Packing;

/// Bytes that tell it, unless a stream begins with something of no use.
pub const HEAD: usize = 12 + 1024;
/// Largest window that is taken: what `xz -9` asks for.
pub const MOST: u64 = 64 << 20;
/// What decoders need beside their window.
const OWN: u64 = 1 << 20;
/// What the blocks of bzip2 need at most.
const BZIP2: u64 = 4 << 20;

/// Bytes of memory to decode a stream that begins with `head`; none where that does not tell.
pub fn memory(packing: Packing, head: &[u8]) -> Option<u64> {
    match packing {
        Packing::Plain => Some(0),
        Packing::Gz => Some(OWN),
        Packing::Bz2 => Some(BZIP2),
        Packing::Xz | Packing::Zst => Some(window(packing, head)?.saturating_add(OWN)),
    }
}

/// Bytes of memory to decode what is packed so and not seen yet.
pub fn most(packing: Packing) -> u64 {
    memory(packing, &[]).unwrap_or(MOST + OWN)
}

/// Refuses a stream whose first bytes ask for too large a window.
pub fn check(packing: Packing, head: &[u8]) -> io::Result<()> {
    match window(packing, head) {
        Some(window) if window > MOST => Err(too_large(packing)),
        _ => Ok(()),
    }
}

fn window(packing: Packing, head: &[u8]) -> Option<u64> {
    match packing {
        Packing::Xz => of_xz(head),
        Packing::Zst => of_zstd(head),
        _ => None,
    }
}

/// The dictionary of its first block; 0 where it has none (section 3.1 of the format).
fn of_xz(head: &[u8]) -> Option<u64> {
    const LZMA2: u64 = 0x21;
    let mut block = head.get(12..)?;
    let [length, flags] = first(&mut block)?;
    if length == 0 {
        return Some(0);
    }
    for _ in 0..(flags >> 6).count_ones() {
        number(&mut block)?;
    }
    for _ in 0..=flags & 3 {
        let (filter, length) = (number(&mut block)?, number(&mut block)?);
        let (properties, rest) = block.split_at_checked(usize::try_from(length).ok()?)?;
        if filter == LZMA2 {
            let bits = u32::from(*properties.first()? & 0x3f);
            return Some(u64::from(2 | bits & 1) << (bits / 2 + 11));
        }
        block = rest;
    }
    None
}

/// The window of its first frame (RFC 8878, 3.1.1.1).
fn of_zstd(head: &[u8]) -> Option<u64> {
    let mut rest = head;
    loop {
        match first::<4>(&mut rest)? {
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                let length = u32::from_le_bytes(first(&mut rest)?);
                rest = rest.get(usize::try_from(length).ok()?..)?;
            }
            [0x28, 0xb5, 0x2f, 0xfd] => break,
            _ => return None,
        }
    }
    let [flags] = first(&mut rest)?;
    if flags & 0x20 == 0 {
        let [window] = first(&mut rest)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // No window of its own: all that it holds is one.
    let dictionary = [0, 1, 2, 4].get(usize::from(flags & 3))?;
    rest = rest.get(*dictionary..)?;
    let mut size = [0; 8];
    let length = 1 << (flags >> 6);
    size.get_mut(..length)?.copy_from_slice(rest.get(..length)?);
    Some(u64::from_le_bytes(size) + if length == 2 { 256 } else { 0 })
}

fn first<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// A number of the xz format: seven bits a byte, the least first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let [byte] = first(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A reader of a decoder that may come upon a larger window further on.
#[derive(Debug)]
pub struct Narrow<R> {
    /// The decoder.
    pub inner: R,
    /// What it decodes.
    pub packing: Packing,
}

impl<R: Read> Read for Narrow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match self.packing {
            Packing::Xz if error.kind() == io::ErrorKind::OutOfMemory => too_large(self.packing),
            Packing::Zst if error.to_string().contains("too much memory") => too_large(self.packing),
            _ => error,
        })
    }
}

fn too_large(packing: Packing) -> io::Error {
    let way = if packing == Packing::Xz { "xz -9, or less" } else { "zstd -19, or less, and without --long" };
    let why = format!("it takes more than {} MiB of memory to unpack: pack it again with {way}", MOST >> 20);
    io::Error::new(io::ErrorKind::OutOfMemory, why)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn xz(dictionary: u32) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = dictionary;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(b"a library for a school").unwrap();
        writer.finish().unwrap()
    }

    fn zstd(log: u32) -> Vec<u8> {
        let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
        writer.window_log(log).unwrap();
        writer.write_all(b"a library for a school").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn told_by_the_first_bytes() {
        for log in [12, 20, 26, 27] {
            assert_eq!(window(Packing::Xz, &xz(1 << log)), Some(1 << log), "xz {log}");
            assert_eq!(window(Packing::Zst, &zstd(log)), Some(1 << log), "zstd {log}");
        }
        // One that knows its length needs no more than that.
        let known = zstd::bulk::compress(&[7; 5000], 3).unwrap();
        assert_eq!(window(Packing::Zst, &known), Some(5000));
        let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &zstd(21)].concat();
        assert_eq!(window(Packing::Zst, &skipped), Some(1 << 21));
        for cut in [0, 4, 5, 12] {
            assert_eq!(window(Packing::Zst, &zstd(20)[..cut.min(5)]), None);
            assert_eq!(window(Packing::Xz, &xz(1 << 20)[..cut]), None);
        }
        assert_eq!(memory(Packing::Zst, &zstd(23)), Some(9 << 20));
        assert_eq!((most(Packing::Plain), most(Packing::Xz)), (0, 65 << 20));
    }

    #[test]
    fn a_larger_window_further_on_is_refused_as_well() {
        for (packing, small, large) in [(Packing::Xz, xz(1 << 20), xz(96 << 20)), (Packing::Zst, zstd(20), zstd(27))] {
            check(packing, &small).unwrap();
            let said = check(packing, &large).unwrap_err().to_string();
            assert!(said.starts_with("it takes more than 64 MiB of memory to unpack: pack it again with "), "{said}");
            let both = [small, large].concat();
            let mut reader = crate::stream::decode::decode(both.as_slice()).unwrap().1;
            let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
            assert_eq!(error.to_string(), said);
        }
    }
}
