//! Where the bytes of an entry come from: the settings, the card, or the network.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use offspot_config::settings::{Algorithm, ChecksumValue, FileEntry, Source, Via};

use super::trouble::Trouble;
use crate::host::Host;
use crate::stream::fetch::{Fetcher, Unanswered, is_remote};
use crate::stream::limit::Limit;

/// Longest text whose first word is a digest.
const DIGEST_TEXT: u64 = 2 << 10;
/// Files that a laptop put on the boot partition; they stand in for what would be fetched.
const LAPTOP: &str = "/boot/firmware/offspot/files";

/// Bytes, ready to be read; its errors are marked as the source's.
pub struct Opened {
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many, where that is known.
    pub length: Option<u64>,
    /// The file itself, where they are one on the card.
    pub file: Option<File>,
}

/// Opens the source of an entry.
pub fn open(host: &Host, fetcher: &Fetcher, entry: &FileEntry) -> io::Result<Opened> {
    match &entry.source {
        Source::Content(_) => {
            let bytes = inline(entry)?;
            let length = Some(bytes.len() as u64);
            Ok(Opened { reader: Box::new(Cursor::new(bytes)), length, file: None })
        }
        Source::Url(url) => open_url(host, fetcher, url),
    }
}

/// The bytes of an entry that stand in the settings themselves; none for one with a URL.
pub fn inline(entry: &FileEntry) -> io::Result<Vec<u8>> {
    let Source::Content(content) = &entry.source else {
        return Ok(Vec::new());
    };
    if entry.via != Via::Base64 {
        return Ok(content.trim().as_bytes().to_vec());
    }
    let text: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config)
        .decode(text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("its base64 is damaged: {error}")))
}

fn open_url(host: &Host, fetcher: &Fetcher, url: &str) -> io::Result<Opened> {
    if let Some(path) = on_card(host, url) {
        return open_file(host, &path);
    }
    let answer = fetcher.get(url).map_err(|Unanswered { why, again }| Trouble::Source { why, again })?;
    let reader = Box::new(Marked { inner: answer.body, again: true });
    Ok(Opened { reader, length: answer.length, file: None })
}

/// The path on the card that a URL names, or that a laptop's file of the same name stands in for; none: it has to be fetched.
pub fn on_card(host: &Host, url: &str) -> Option<PathBuf> {
    if !is_remote(url) {
        let path = url.strip_prefix("file://").map_or_else(|| url.to_owned(), unescape);
        return Some(PathBuf::from(path));
    }
    let path = url.split(['?', '#']).next()?;
    let name = unescape(path.rsplit('/').next()?);
    let usable = !name.is_empty() && name != ".." && name != "." && !name.contains('/');
    let path = Path::new(LAPTOP).join(name);
    (usable && host.path(&path).is_file()).then_some(path)
}

/// Opens a regular file of the box, every link on the way taken as the box itself would.
pub fn open_file(host: &Host, path: &Path) -> io::Result<Opened> {
    let file = find(host, path).map_err(|error| missing(path, &error))?;
    let meta = file.metadata().map_err(|error| missing(path, &error))?;
    if !meta.is_file() {
        let why = format!("{} is not a file", path.display());
        return Err(Trouble::Source { why, again: false }.into());
    }
    let marked = Marked { inner: file.try_clone()?, again: false };
    Ok(Opened { reader: Box::new(marked), length: Some(meta.size()), file: Some(file) })
}

fn find(host: &Host, path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let root = File::open(host.root())?;
    Ok(openat2(&root, path, how).map(File::from)?)
}

fn missing(path: &Path, error: &io::Error) -> io::Error {
    let path = path.display();
    let why = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {path} on the card"),
        _ => format!("{path}: {error}"),
    };
    Trouble::Source { why, again: false }.into()
}

/// The digest that an entry's bytes must have; read from where it stands if need be.
pub fn expected(host: &Host, fetcher: &Fetcher, entry: &FileEntry) -> io::Result<Option<(Algorithm, String)>> {
    let Some(checksum) = &entry.checksum else {
        return Ok(None);
    };
    let digest = match &checksum.value {
        ChecksumValue::Digest(digest) => digest.to_ascii_lowercase(),
        ChecksumValue::Url(url) => read_digest(host, fetcher, url, checksum.algo)?,
    };
    Ok(Some((checksum.algo, digest)))
}

fn read_digest(host: &Host, fetcher: &Fetcher, url: &str, algorithm: Algorithm) -> io::Result<String> {
    let bad = |why: &str| Trouble::Source { why: format!("its checksum at {}: {why}", shown(url)), again: false };
    let opened = open_url(host, fetcher, url)?;
    let mut text = Vec::new();
    Limit::new(opened.reader, DIGEST_TEXT)
        .read_to_end(&mut text)
        .map_err(|error| if super::trouble::of(&error).is_some() { error } else { bad(&error.to_string()).into() })?;
    let text = std::str::from_utf8(&text).ok().filter(|text| text.is_ascii()).ok_or_else(|| bad("not a text"))?;
    let word = text.split_ascii_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if word.len() != hex_length(algorithm) || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad("its first word is not a digest of this kind").into());
    }
    Ok(word)
}

/// A URL without its secrets.
pub fn shown(url: &str) -> String {
    if is_remote(url) { crate::stream::fetch::shown(url) } else { url.to_owned() }
}

fn hex_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha1 => 40,
        Algorithm::Sha224 => 56,
        Algorithm::Sha256 => 64,
        Algorithm::Sha384 => 96,
        Algorithm::Sha512 => 128,
        Algorithm::Md5 => 32,
        Algorithm::Adler32 => 8,
    }
}

/// `%20` and its like resolved; what is no such escape stays.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let (byte, left) = match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (byte, behind.get(2..).unwrap_or_default()),
            None => (*first, behind),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// A reader whose errors are known, further up, to be the source's.
struct Marked<R> {
    inner: R,
    again: bool,
}

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => {
                Trouble::Source { why: "the server ended the answer too early".into(), again: self.again }.into()
            }
            _ => Trouble::Source { why: error.to_string(), again: self.again }.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        let host = Host::new("/nonexistent");
        assert_eq!(on_card(&host, "/data/a b"), Some("/data/a b".into()));
        assert_eq!(on_card(&host, "file:///data/a%20b"), Some("/data/a b".into()));
        assert_eq!(on_card(&host, "file:///data/100%"), Some("/data/100%".into()));
        assert_eq!(on_card(&host, "HTTPS://host/x"), None);
        assert!(is_remote("http://host") && !is_remote("file:///x") && !is_remote("/http://"));
    }
}
