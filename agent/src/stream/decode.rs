//! Unpacks what is packed, told by its first bytes and never by its name.

use std::io::{self, BufReader, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::window::{self, Narrow};

/// Bytes read ahead of a decoder.
const AHEAD: usize = 64 << 10;
/// Longest magic there is, bzip2's.
const MAGIC: usize = 10;
/// Memory an xz stream may ask for, in KiB: its window of [`window::MOST`], and what its decoder needs itself.
const XZ_MEMORY: u32 = (64 << 10) + 1024;
/// Window a zstd frame may ask for, as a power of two: [`window::MOST`].
const ZST_WINDOW: u32 = 26;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as their suffixes")]
pub enum Packing {
    Plain,
    Gz,
    Xz,
    Bz2,
    Zst,
}

impl Packing {
    /// What the first ten bytes of a stream, or more (fewer where it is shorter), say.
    pub fn sniff(head: &[u8]) -> Packing {
        match head {
            [0x1f, 0x8b, 8, ..] => Packing::Gz,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zst,
            // A block begins with the digits of pi, a stream without blocks ends with those of its root.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Packing::Bz2,
            _ => Packing::Plain,
        }
    }
}

/// The packing of `source` and a reader of what it holds, over all its members, streams or frames.
///
/// Reading to the end reads `source` to its end. A stream that ends too early is [`io::ErrorKind::UnexpectedEof`]; damage, bytes behind
/// the end, and a demand for too much memory are other errors.
pub fn decode<'a>(mut source: impl Read + Send + 'a) -> io::Result<(Packing, Box<dyn Read + Send + 'a>)> {
    let mut head = Vec::with_capacity(MAGIC);
    source.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
    let packing = Packing::sniff(&head);
    if packing == Packing::Plain {
        return Ok((packing, Box::new(Cursor::new(head).chain(source))));
    }
    source.by_ref().take((window::HEAD - MAGIC) as u64).read_to_end(&mut head)?;
    window::check(packing, &head)?;
    let whole = Cursor::new(head).chain(source);
    let ahead = BufReader::with_capacity(AHEAD, whole);
    let reader: Box<dyn Read + Send + 'a> = match packing {
        Packing::Plain | Packing::Gz => Box::new(MultiGzDecoder::new(ahead)),
        Packing::Xz => Box::new(Narrow { inner: XzReader::new_mem_limit(ahead, true, XZ_MEMORY), packing }),
        Packing::Bz2 => Box::new(MultiBzDecoder::new(ahead)),
        Packing::Zst => {
            let mut decoder = zstd::Decoder::with_buffer(ahead)?;
            decoder.window_log_max(ZST_WINDOW)?;
            Box::new(Narrow { inner: decoder, packing })
        }
    };
    Ok((packing, reader))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"a library for a school, a library for a school, a library for a school";

    fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Plain => text.to_vec(),
            Packing::Gz => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Packing::Xz => {
                let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Packing::Bz2 => {
                let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Packing::Zst => {
                let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
                // As the command does; without it a frame cannot tell damage.
                writer.include_checksum(true).unwrap();
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
        }
    }

    fn unpacked(bytes: &[u8]) -> io::Result<(Packing, Vec<u8>)> {
        let (packing, mut reader) = decode(Dribble(bytes))?;
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        Ok((packing, text))
    }

    /// Gives seven bytes at a time, as a slow network may.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(7);
            self.0.read(&mut buffer[..length])
        }
    }

    const PACKED: [Packing; 4] = [Packing::Gz, Packing::Xz, Packing::Bz2, Packing::Zst];

    #[test]
    fn one_member_and_two() {
        for packing in PACKED.into_iter().chain([Packing::Plain]) {
            for text in [TEXT, b""] {
                let one = packed(packing, text);
                assert_eq!(unpacked(&one).unwrap(), (packing, text.to_vec()));
                let two = [one.clone(), one].concat();
                assert_eq!(unpacked(&two).unwrap(), (packing, [text, text].concat()));
            }
        }
    }

    #[test]
    fn cut_anywhere_is_an_early_end() {
        for packing in PACKED {
            let whole = packed(packing, TEXT);
            for end in MAGIC..whole.len() {
                let error = unpacked(&whole[..end]).expect_err("cut stream was taken");
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{packing:?} cut at {end}: {error}");
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        for packing in PACKED {
            for tail in [b"x".as_slice(), b"garbage behind the end"] {
                let bytes = [packed(packing, TEXT).as_slice(), tail].concat();
                assert!(unpacked(&bytes).is_err(), "{packing:?} with {} bytes more", tail.len());
            }
        }
    }

    #[test]
    fn damage_is_refused() {
        for packing in PACKED {
            let mut bytes = packed(packing, TEXT);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            assert!(unpacked(&bytes).is_err(), "{packing:?}");
        }
    }

    #[test]
    fn demands_for_memory_are_limited() {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = 256 << 20;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(TEXT).unwrap();
        assert_eq!(unpacked(&writer.finish().unwrap()).unwrap_err().kind(), io::ErrorKind::OutOfMemory);

        let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
        writer.window_log(30).unwrap();
        writer.write_all(TEXT).unwrap();
        assert_eq!(unpacked(&writer.finish().unwrap()).unwrap_err().kind(), io::ErrorKind::OutOfMemory);

        // What is asked for by the programs' own highest levels, but for `zstd --ultra -22`, passes.
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = 64 << 20;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(TEXT).unwrap();
        assert_eq!(unpacked(&writer.finish().unwrap()).unwrap().1, TEXT);
        let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
        writer.window_log(26).unwrap();
        writer.write_all(TEXT).unwrap();
        assert_eq!(unpacked(&writer.finish().unwrap()).unwrap().1, TEXT);
    }
}
