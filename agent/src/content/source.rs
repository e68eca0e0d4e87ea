//! Where the bytes of an entry come from: the settings, the card, a stick, or the network.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, FileEntry, Source, Via};

use super::trouble::Trouble;
use crate::card::shelf::{Shelf, unescaped};
use crate::card::stick::Sticks;
use crate::fetch::metalink::{self, is_metalink};
use crate::fetch::{Fetcher, Stream, Unanswered, Wanted, address, is_remote};
use crate::host::Host;
use crate::stream::limit::Limit;

/// Longest text whose first word is a digest.
const DIGEST_TEXT: u64 = 2 << 10;
/// Where the boot partition is mounted.
const BOOT: &str = "/boot/firmware";
/// Suffixes of pages to look at.
const PAGES: [&str; 4] = [".html", ".htm", ".xhtml", ".php"];

/// One place where the bytes of an entry may be had.
#[derive(Clone)]
pub enum Place {
    /// The settings themselves.
    Settings,
    /// A file that this box can read, and what to call the place it lies in.
    File(PathBuf, &'static str),
    /// The network: these addresses.
    Network(Vec<String>),
    /// What was fetched of an archive and verified, as a file of ours, and where it came from.
    Stored(PathBuf, String),
}

/// Without what is secret in addresses.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Settings => f.write_str("the settings"),
            Place::File(path, of) => write!(f, "{} on {of}", path.display()),
            Place::Network(urls) => f.write_str(&urls.iter().map(|url| shown(url)).collect::<Vec<_>>().join(", ")),
            Place::Stored(path, from) => write!(f, "{} {from}", path.display()),
        }
    }
}

/// Bytes, ready to be read; its errors are marked as the source's.
pub struct Opened {
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many, where that is known.
    pub length: Option<u64>,
    /// The file itself, where they are one on the card.
    pub file: Option<File>,
}

/// The places of an entry's bytes, in the order in which they are tried: what is here before what must be fetched.
pub fn places(host: &Host, entry: &FileEntry) -> Vec<Place> {
    let Source::Url(first) = &entry.source else { return vec![Place::Settings] };
    let urls: Vec<&str> = std::iter::once(first).chain(&entry.mirrors).map(String::as_str).collect();
    let remote: Vec<&str> = urls.iter().copied().filter(|url| is_remote(url)).collect();
    let own = urls.iter().copied().filter(|url| !is_remote(url)).filter_map(path_of);
    let mut places: Vec<Place> = own.map(|path| Place::File(path, "the card")).collect();
    if !remote.is_empty() {
        // In place of a description lies what it describes.
        let names: Vec<&str> = remote.iter().map(|url| described(entry, url)).collect();
        let stick = Sticks::here(host).files(&entry.to, &names);
        places.extend(stick.into_iter().map(|path| Place::File(path, "the stick")));
        places.extend(on_boot(host, &entry.to, &names).into_iter().map(|path| Place::File(path, "the boot partition")));
        places.push(network(entry));
    }
    places
}

/// The address of what a description describes, as far as its own tells; another address as it is.
fn described<'u>(entry: &FileEntry, url: &'u str) -> &'u str {
    if !is_metalink(url) || metalink::is_name(&entry.to) {
        return url;
    }
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    bare.get(..bare.len() - metalink::SUFFIX.len()).unwrap_or(url)
}

/// The network alone.
pub fn network(entry: &FileEntry) -> Place {
    let Source::Url(first) = &entry.source else { return Place::Settings };
    Place::Network(std::iter::once(first).chain(&entry.mirrors).filter(|url| is_remote(url)).cloned().collect())
}

/// What a laptop put on the boot partition in place of a download.
fn on_boot(host: &Host, to: &str, urls: &[&str]) -> Vec<PathBuf> {
    let shelf = Shelf::at(host, Path::new(BOOT));
    shelf.map(|shelf| shelf.files(to, urls.iter().copied())).unwrap_or_default()
}

/// Opens a place that is not the network.
pub fn open(host: &Host, entry: &FileEntry, place: &Place) -> io::Result<Opened> {
    match place {
        Place::File(path, _) => open_file(host, path),
        Place::Stored(path, _) => {
            let file = File::open(path)?;
            let length = Some(file.metadata()?.size());
            Ok(Opened { reader: Box::new(Marked { inner: file.try_clone()? }), length, file: Some(file) })
        }
        Place::Settings | Place::Network(_) => {
            let bytes = inline(entry)?;
            let length = Some(bytes.len() as u64);
            Ok(Opened { reader: Box::new(Cursor::new(bytes)), length, file: None })
        }
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

/// What is to be fetched, descriptions of it read; and its digest, where they have one.
pub fn wanted(
    fetcher: &Fetcher,
    entry: &FileEntry,
    addresses: &[String],
) -> io::Result<(Wanted, Option<(Algorithm, String)>)> {
    let mut wanted = Wanted { size: entry.size, is_page: is_page(entry), most: u64::MAX, ..Wanted::default() };
    // A description may itself be what is wanted.
    if metalink::is_name(&entry.to) {
        (wanted.urls, wanted.is_description) = (addresses.to_vec(), true);
        return Ok((wanted, None));
    }
    wanted.is_description = entry.to.to_ascii_lowercase().ends_with(".metalink");
    let digest = metalink::expand(fetcher, addresses, &mut wanted, entry.checksum.is_some());
    digest.map(|digest| (wanted, digest)).map_err(|no| Trouble::of_network(no).into())
}

fn is_page(entry: &FileEntry) -> bool {
    let urls = match &entry.source {
        Source::Url(url) => Some(url),
        Source::Content(_) => None,
    };
    let texts = urls.into_iter().chain(&entry.mirrors).map(|url| address::path(url));
    let mut lower = texts.chain([entry.to.as_str()]).map(str::to_ascii_lowercase);
    lower.any(|text| PAGES.iter().any(|suffix| text.ends_with(suffix)))
}

/// The URLs that gave the bytes which are read, in their order.
#[derive(Debug, Clone, Default)]
pub struct Givers {
    urls: Arc<Mutex<Vec<String>>>,
}

impl Givers {
    /// Those so far.
    pub fn urls(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Something else is read from now on.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn note(&self, url: &str) {
        let mut urls = self.lock();
        if !urls.iter().any(|other| other == url) {
            urls.push(url.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what is to be fetched, from its beginning.
pub fn open_stream(fetcher: &Fetcher, wanted: Wanted, givers: &Givers) -> io::Result<Opened> {
    let stream = fetcher.open(wanted).map_err(Trouble::of_network)?;
    let length = stream.total();
    let given = Given { stream, givers: givers.clone() };
    Ok(Opened { reader: Box::new(Marked { inner: given }), length, file: None })
}

/// A stream of which it is noted who gives it.
struct Given {
    stream: Stream,
    givers: Givers,
}

impl Read for Given {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        if read > 0 {
            self.givers.note(self.stream.url());
        }
        Ok(read)
    }
}

/// The file of this box that an entry's bytes will be taken from, as far as can be told before they are read; none: they must be fetched, or
/// stand in the settings.
pub fn on_card(host: &Host, entry: &FileEntry) -> Option<PathBuf> {
    places(host, entry).into_iter().find_map(|place| match place {
        Place::File(path, _) => Some(path),
        Place::Settings | Place::Network(_) | Place::Stored(..) => None,
    })
}

/// The path that an address which is no server's names.
fn path_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file://").map_or_else(|| url.to_owned(), unescaped);
    (!is_remote(url)).then(|| PathBuf::from(path))
}

/// Opens a regular file of the box, every link on the way taken as the box itself would.
pub fn open_file(host: &Host, path: &Path) -> io::Result<Opened> {
    let file = find(host, path).map_err(|error| missing(path, &error))?;
    let meta = file.metadata().map_err(|error| missing(path, &error))?;
    if !meta.is_file() {
        let why = format!("{} is not a file", path.display());
        return Err(Trouble::Source { why, again: false }.into());
    }
    let marked = Marked { inner: file.try_clone()? };
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
    match &entry.checksum {
        None => Ok(None),
        Some(Checksum { algo, value: ChecksumValue::Digest(digest) }) => Ok(Some((*algo, digest.to_ascii_lowercase()))),
        Some(Checksum { algo, value: ChecksumValue::Url(url) }) => {
            let digest = digest_at(host, fetcher, url, *algo);
            Ok(Some((*algo, digest?)))
        }
    }
}

/// The digest that stands at an address; the error is a sentence.
pub fn said_digest(host: &Host, fetcher: &Fetcher, url: &str, algorithm: Algorithm) -> Result<String, String> {
    digest_at(host, fetcher, url, algorithm).map_err(|error| match super::trouble::of(&error) {
        Some(Trouble::Source { why, .. }) => why.clone(),
        _ => error.to_string(),
    })
}

/// The digest that stands at an address. What stands on a stick is asked for it only where its server does not answer: it may be as wrong as
/// the file that lies beside it.
fn digest_at(host: &Host, fetcher: &Fetcher, url: &str, algorithm: Algorithm) -> io::Result<String> {
    let read = |opened: Opened| first_word(url, opened, algorithm);
    if let Some(path) = path_of(url).or_else(|| on_boot(host, "", &[url]).into_iter().next()) {
        return open_file(host, &path).and_then(read);
    }
    let wanted = Wanted { urls: vec![url.to_owned()], most: DIGEST_TEXT, is_text: true, ..Wanted::default() };
    open_stream(fetcher, wanted, &Givers::default()).and_then(read).or_else(|error| {
        let stick = Sticks::here(host).files("", &[url]);
        stick.iter().find_map(|path| open_file(host, path).and_then(read).ok()).ok_or(error)
    })
}

/// The first word of a short text: a digest.
fn first_word(url: &str, opened: Opened, algorithm: Algorithm) -> io::Result<String> {
    let bad = |why: &str| Trouble::Source { why: format!("its checksum at {}: {why}", shown(url)), again: false };
    let mut text = Vec::new();
    Limit::new(opened.reader, DIGEST_TEXT)
        .read_to_end(&mut text)
        .map_err(|error| if super::trouble::of(&error).is_some() { error } else { bad(&error.to_string()).into() })?;
    // Behind it stands a name, in whatever letters.
    let word = text.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).unwrap_or_default();
    let word = std::str::from_utf8(word).map_err(|_| bad("not a text"))?;
    let digest = offspot_config::rules::content::digest(algorithm, word);
    digest.map_err(|_| bad("its first word is not a digest of this kind").into())
}

/// A URL without its secrets.
pub fn shown(url: &str) -> String {
    if is_remote(url) { crate::fetch::shown(url) } else { url.to_owned() }
}

/// A reader whose errors are known, further up, to be the source's.
struct Marked<R> {
    inner: R,
}

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match Unanswered::of(&error) {
            Some(no) => Trouble::of_network(no.clone()).into(),
            None if error.kind() == io::ErrorKind::Interrupted => error,
            None => Trouble::Source { why: error.to_string(), again: false }.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(to: &str, url: &str, mirrors: &[&str]) -> FileEntry {
        let mirrors = mirrors.iter().map(|url| (*url).to_owned()).collect();
        let source = Source::Url(url.into());
        FileEntry { to: to.into(), source, mirrors, via: Via::Direct, size: None, checksum: None }
    }

    #[test]
    fn urls_and_paths() {
        assert_eq!(path_of("/data/a b"), Some("/data/a b".into()));
        assert_eq!(path_of("file:///data/a%20b"), Some("/data/a b".into()));
        assert_eq!(path_of("file:///data/100%"), Some("/data/100%".into()));
        assert_eq!(path_of("HTTPS://host/x"), None);
        assert!(is_remote("http://host") && !is_remote("file:///x") && !is_remote("/http://"));
    }

    #[test]
    fn what_is_here_comes_first_and_all_servers_are_one_place() {
        let host = Host::new("/nonexistent");
        let places = places(&host, &entry("/data/x", "http://a/x", &["/srv/x", "http://b/x"]));
        let [Place::File(path, "the card"), Place::Network(urls)] = places.as_slice() else { panic!("{places:?}") };
        assert_eq!((path.as_path(), urls.len()), (Path::new("/srv/x"), 2));
    }

    #[test]
    fn in_place_of_a_description_lies_what_it_describes() {
        let of = |to: &str, url: &'static str| described(&entry(to, url, &[]), url);
        assert_eq!(of("/data/a.zim", "https://h/zim/a.zim.meta4?x"), "https://h/zim/a.zim");
        assert_eq!(of("/data/a.zim", "https://h/zim/a.zim"), "https://h/zim/a.zim");
        assert_eq!(of("/data/a.meta4", "https://h/zim/a.zim.meta4"), "https://h/zim/a.zim.meta4");
    }

    #[test]
    fn only_what_is_named_as_a_page_may_be_one() {
        for (to, url, page) in [
            ("/data/a.zim", "http://h/a.zim", false),
            ("/data/a.HTML", "http://h/x", true),
            ("/data/a", "http://h/x.html?y", true),
            ("/data/a", "http://h/?x.html", false),
        ] {
            assert_eq!(is_page(&entry(to, url, &[])), page, "{to} {url}");
        }
    }
}
