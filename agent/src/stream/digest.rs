//! Digests of the bytes that pass.

use std::fmt;
use std::io::{self, Read};

use adler2::Adler32;
use md5::Md5;
use offspot_config::settings::Algorithm;
use sha1::Sha1;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// A digest in the making, of any algorithm a `checksum` may name.
pub struct Digest {
    algorithm: Algorithm,
    sum: Box<dyn Sum>,
}

/// What the algorithms have in common.
trait Sum: Send {
    fn add(&mut self, bytes: &[u8]);
    fn save(&self) -> Vec<u8>;
    fn end(self: Box<Self>) -> Vec<u8>;
}

/// The cryptographic ones.
struct Crypto<D>(D);

impl<D: sha2::Digest + SerializableState + Send> Sum for Crypto<D> {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn save(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    fn end(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl Sum for Adler32 {
    fn add(&mut self, bytes: &[u8]) {
        self.write_slice(bytes);
    }

    fn save(&self) -> Vec<u8> {
        self.checksum().to_be_bytes().to_vec()
    }

    fn end(self: Box<Self>) -> Vec<u8> {
        self.checksum().to_be_bytes().to_vec()
    }
}

fn crypto<D: sha2::Digest + Send + 'static>() -> Box<dyn Sum>
where
    Crypto<D>: Sum,
{
    Box::new(Crypto(D::new()))
}

fn saved<D: SerializableState + 'static>(state: &[u8]) -> Option<Box<dyn Sum>>
where
    Crypto<D>: Sum,
{
    let state = SerializedState::<D>::try_from(state).ok()?;
    Some(Box::new(Crypto(D::deserialize(&state).ok()?)))
}

impl Digest {
    /// A digest of nothing yet.
    pub fn new(algorithm: Algorithm) -> Digest {
        let sum = match algorithm {
            Algorithm::Sha1 => crypto::<Sha1>(),
            Algorithm::Sha224 => crypto::<Sha224>(),
            Algorithm::Sha256 => crypto::<Sha256>(),
            Algorithm::Sha384 => crypto::<Sha384>(),
            Algorithm::Sha512 => crypto::<Sha512>(),
            Algorithm::Md5 => crypto::<Md5>(),
            Algorithm::Adler32 => Box::new(Adler32::new()),
        };
        Digest { algorithm, sum }
    }

    /// What [`Digest::restore`] goes on from, of any number of bytes taken in.
    pub fn save(&self) -> Vec<u8> {
        // Two algorithms may have states of one length.
        let mut state = vec![self.algorithm as u8];
        state.extend(self.sum.save());
        state
    }

    /// A digest in the making as it was when it was saved; none where `state` is not what one by `algorithm` saved.
    pub fn restore(algorithm: Algorithm, state: &[u8]) -> Option<Digest> {
        let state = state.strip_prefix(&[algorithm as u8])?;
        let sum = match algorithm {
            Algorithm::Sha1 => saved::<Sha1>(state),
            Algorithm::Sha224 => saved::<Sha224>(state),
            Algorithm::Sha256 => saved::<Sha256>(state),
            Algorithm::Sha384 => saved::<Sha384>(state),
            Algorithm::Sha512 => saved::<Sha512>(state),
            Algorithm::Md5 => saved::<Md5>(state),
            Algorithm::Adler32 => {
                let sum = u32::from_be_bytes(state.try_into().ok()?);
                Some(Box::new(Adler32::from_checksum(sum)) as Box<dyn Sum>)
            }
        }?;
        Some(Digest { algorithm, sum })
    }

    /// The digest of `bytes`, as lower-case hex.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digest = Digest::new(algorithm);
        digest.update(bytes);
        digest.hex()
    }

    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sum.add(bytes);
    }

    /// The digest of all bytes taken in, as lower-case hex.
    pub fn hex(self) -> String {
        hex(&self.sum.end())
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A reader that takes the digest, and the number, of the bytes that pass.
#[derive(Debug)]
pub struct DigestReader<R> {
    inner: R,
    digest: Digest,
    bytes: u64,
}

impl<R: Read> DigestReader<R> {
    /// A digest by `algorithm` of what will be read from `inner`.
    pub fn new(algorithm: Algorithm, inner: R) -> Self {
        DigestReader { inner, digest: Digest::new(algorithm), bytes: 0 }
    }

    /// Bytes read so far.
    pub fn length(&self) -> u64 {
        self.bytes
    }

    /// The digest of the bytes read so far, as lower-case hex. What was not read is not in it.
    pub fn hex(self) -> String {
        self.digest.hex()
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the three bytes `abc`, from the standards that define each.
    const ABC: [(Algorithm, &str); 7] = [
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Algorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Adler32, "024d0127"),
    ];

    #[test]
    fn known_digests() {
        for (algorithm, hex) in ABC {
            assert_eq!(Digest::of(algorithm, b"abc"), hex);
        }
    }

    #[test]
    fn saved_anywhere_it_goes_on() {
        let bytes: Vec<u8> = (0..700_u32).map(|number| (number * 31 + number / 7) as u8).collect();
        for (algorithm, _) in ABC {
            let whole = Digest::of(algorithm, &bytes);
            for at in 0..=bytes.len() {
                let mut digest = Digest::new(algorithm);
                digest.update(&bytes[..at / 3]);
                digest.update(&bytes[at / 3..at]);
                let mut digest = Digest::restore(algorithm, &digest.save()).unwrap();
                digest.update(&bytes[at..]);
                assert_eq!(digest.hex(), whole, "{algorithm:?} saved at {at}");
            }
        }
    }

    #[test]
    fn what_another_saved_is_not_restored() {
        for (algorithm, _) in ABC {
            let mut digest = Digest::new(algorithm);
            digest.update(&[7; 131]);
            let state = digest.save();
            for (other, _) in ABC.iter().filter(|(other, _)| *other != algorithm) {
                assert!(Digest::restore(*other, &state).is_none(), "{algorithm:?} as {other:?}");
            }
            assert!(Digest::restore(algorithm, &state[..state.len() - 1]).is_none());
            assert!(Digest::restore(algorithm, &[state.as_slice(), &[0]].concat()).is_none());
            assert!(Digest::restore(algorithm, b"").is_none());
        }
    }

    #[test]
    fn taken_in_passing() {
        let mut reader = DigestReader::new(Algorithm::Sha256, b"abc".as_slice());
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!((reader.length(), reader.hex().as_str()), (3, ABC[2].1));
    }
}
