//! A deb taken apart once: an index of its entries, and each file's content beside it under a number.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use offspot_agent::stream::digest::DigestReader;
use offspot_config::settings::Algorithm;
use serde::{Deserialize, Serialize};

use super::members::{Entry, Kind};
use super::{Part, Take};
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Source;

/// Changes with the shape of the index: one of another shape is made anew.
const FORMAT: u32 = 1;
/// File of the index; written last.
const INDEX: &str = "index.json";
/// Bytes read at once.
const AHEAD: usize = 256 << 10;

/// One entry of a deb, its content by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Absolute path; of a control file its name behind a slash.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
    /// 0o7777 at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A folder.
    Folder,
    /// A regular file.
    File(Blob),
    /// A symbolic link with its target as written.
    Symlink(String),
    /// A further name of the file at this path, which is of the same deb and no such name itself.
    Hard(PathBuf),
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Name of the file that holds it.
    pub number: u32,
    /// Length in bytes.
    pub size: u64,
    /// MD5 in hex, because dpkg's database speaks of nothing else.
    pub md5: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    control: Vec<Member>,
    data: Vec<Member>,
}

/// A deb taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    folder: PathBuf,
    /// Control files.
    pub control: Vec<Member>,
    /// What it brings into the file system, in order of the archive.
    pub data: Vec<Member>,
}

impl Unpacked {
    /// Takes the deb apart into the new folder `folder`. Its SHA256 is checked once more in passing.
    pub fn extract(deb: &Path, sha256: &str, folder: &Path) -> Outcome<Unpacked> {
        fs::create_dir(folder).doing(folder.display())?;
        let file = File::open(deb).doing(deb.display())?;
        let mut source = DigestReader::new(Algorithm::Sha256, io::BufReader::with_capacity(AHEAD, file));
        let mut blobs = Blobs::new(folder);
        let read = super::read(&mut source, &mut blobs);
        io::copy(&mut source, &mut io::sink()).doing(deb.display())?;
        if source.hex() != sha256 {
            return Err(Failure::new(format!(
                "{}: damaged since it was fetched: delete it to have it fetched again",
                deb.display()
            )));
        }
        read.doing(deb.display())?;
        let index = Index { format: FORMAT, control: blobs.control, data: blobs.data };
        let place = folder.join(INDEX);
        fs::write(&place, serde_json::to_vec(&index).doing(place.display())?).doing(place.display())?;
        Ok(Unpacked { folder: folder.to_owned(), control: index.control, data: index.data })
    }

    /// One that was taken apart before; none if it is not there, or not whole.
    pub fn open(folder: &Path) -> Option<Unpacked> {
        let bytes = fs::read(folder.join(INDEX)).ok()?;
        let index: Index = serde_json::from_slice(&bytes).ok().filter(|index: &Index| index.format == FORMAT)?;
        let unpacked = Unpacked { folder: folder.to_owned(), control: index.control, data: index.data };
        unpacked.is_whole().then_some(unpacked)
    }

    /// Contents are not synced one by one, and a store lives long: each is read, and must be what it was.
    fn is_whole(&self) -> bool {
        self.control.iter().chain(&self.data).all(|member| match &member.what {
            What::File(blob) => self.is_intact(blob),
            _ => true,
        })
    }

    fn is_intact(&self, blob: &Blob) -> bool {
        let Ok(file) = File::open(self.place(blob)) else { return false };
        let mut content = DigestReader::new(Algorithm::Md5, file);
        io::copy(&mut content, &mut io::sink()).is_ok_and(|length| length == blob.size) && content.hex() == blob.md5
    }

    /// The same in the folder that this one was renamed to.
    pub fn moved(self, folder: &Path) -> Unpacked {
        Unpacked { folder: folder.to_owned(), ..self }
    }

    /// Where the bytes of a file lie.
    pub fn source(&self, blob: &Blob) -> Source {
        Source::Disk { path: self.place(blob), size: blob.size }
    }

    fn place(&self, blob: &Blob) -> PathBuf {
        self.folder.join(blob.number.to_string())
    }

    /// The control file of that name as text; none if the deb has none.
    pub fn control(&self, name: &str) -> Outcome<Option<String>> {
        let member = self.control.iter().find(|member| member.path == Path::new("/").join(name));
        let Some(Member { what: What::File(blob), .. }) = member else { return Ok(None) };
        let place = self.place(blob);
        fs::read_to_string(&place).map(Some).doing(place.display())
    }

    /// The content of the file at exactly this path, also under a further name of it.
    pub fn blob(&self, path: &Path) -> Option<&Blob> {
        match &self.data.iter().find(|member| member.path == path)?.what {
            What::File(blob) => Some(blob),
            What::Hard(first) => self.blob(first),
            _ => None,
        }
    }
}

/// Writes contents as they come, and keeps the entries.
struct Blobs<'a> {
    folder: &'a Path,
    control: Vec<Member>,
    data: Vec<Member>,
    count: u32,
    seen: BTreeSet<(bool, PathBuf)>,
    buffer: Vec<u8>,
}

impl Take for Blobs<'_> {
    fn take(&mut self, part: Part, entry: Entry, body: &mut (dyn Read + Send)) -> io::Result<()> {
        let what = match entry.kind {
            Kind::Folder => What::Folder,
            Kind::File(_) => What::File(self.write(body)?),
            Kind::Symlink(target) => What::Symlink(target),
            Kind::Hard(to) => What::Hard(self.first(part, to)?),
        };
        let Entry { path, mode, uid, gid, mtime, .. } = entry;
        if part == Part::Control && !is_control(&path, &what) {
            return Err(super::refused(format!("its control files hold {}", path.display())));
        }
        if !self.seen.insert((part == Part::Data, path.clone())) {
            return Err(super::refused(format!("{} stands in it twice", path.display())));
        }
        self.members(part).push(Member { path, what, mode, uid, gid, mtime });
        Ok(())
    }
}

/// Control files are flat, and files: anything else dpkg would drop with a warning.
fn is_control(path: &Path, what: &What) -> bool {
    match what {
        What::Folder => path == Path::new("/"),
        What::File(_) => path.components().count() == 2,
        _ => false,
    }
}

impl<'a> Blobs<'a> {
    fn new(folder: &'a Path) -> Self {
        let (control, data, seen) = Default::default();
        Blobs { folder, control, data, count: 0, seen, buffer: vec![0; AHEAD] }
    }

    fn members(&mut self, part: Part) -> &mut Vec<Member> {
        if part == Part::Control { &mut self.control } else { &mut self.data }
    }

    fn write(&mut self, body: &mut (dyn Read + Send)) -> io::Result<Blob> {
        let number = self.count;
        self.count += 1;
        let mut file = File::create_new(self.folder.join(number.to_string()))?;
        let mut body = DigestReader::new(Algorithm::Md5, body);
        loop {
            let read = body.read(&mut self.buffer)?;
            if read == 0 {
                return Ok(Blob { number, size: body.length(), md5: body.hex() });
            }
            file.write_all(self.buffer.get(..read).unwrap_or_default())?;
        }
    }

    /// A further name is kept as one of the first name, whichever of them the archive says.
    fn first(&mut self, part: Part, to: PathBuf) -> io::Result<PathBuf> {
        let found = self.members(part).iter().find(|member| member.path == to).map(|member| &member.what);
        match found {
            Some(What::File(_)) => Ok(to),
            Some(What::Hard(first)) => Ok(first.clone()),
            _ => Err(super::refused(format!("a hard link leads to {}, which is no earlier file of it", to.display()))),
        }
    }
}
