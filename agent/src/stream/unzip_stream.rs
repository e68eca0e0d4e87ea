//! Unpacks a zip as it comes, member by member, and then holds it to its directory, which comes last.
//!
//! Only the directory tells modes and links, so these are made at the end. A member that the directory does not list, or lists otherwise than
//! it came, is refused: what another program makes of such a file is something else.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Read};
use std::num::NonZeroU64;
use std::path::PathBuf;

use bzip2::bufread::BzDecoder;
use flate2::bufread::DeflateDecoder;

use super::ahead::Ahead;
use super::names::inside;
use super::tree::{Meta, Tree, refused};
use super::unzip::{MEMBERS, METHODS, encrypted, seconds_of, unreadable};
use records::{End, Listed, Local, Wide};

mod records;

/// Mode of a file until the directory tells another.
const FILE_MODE: u32 = 0o644;
/// The same of a folder.
const FOLDER_MODE: u32 = 0o755;

/// Why a zip was not unpacked.
#[derive(Debug)]
pub enum Stop {
    /// It may be a good one, but its directory is needed first: it has to be a file.
    NotStreamable(&'static str),
    /// It is bad, or could not be read or written.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Sizes and checksum of a member's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Data {
    crc: u32,
    /// Bytes in the archive.
    packed: u64,
    /// Bytes unpacked.
    size: u64,
}

/// A member that has come.
struct Came {
    /// Where its header stands.
    at: u64,
    /// Name, packing, sizes and checksum, hashed with a secret; none once the directory has listed it.
    said: Option<NonZeroU64>,
    /// Date and time, as headers have them.
    stamp: (u16, u16),
}

struct Stream<'a> {
    source: Ahead<'a>,
    secret: RandomState,
    /// In the order of `at`.
    members: Vec<Came>,
    paths: HashSet<u64>,
}

/// Unpacks all of `source`, to its end, into `tree`. What was written is of no use unless it succeeds.
pub fn unzip_stream(source: &mut dyn Read, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let (secret, members, paths) = (RandomState::new(), Vec::new(), HashSet::new());
    let mut stream = Stream { source: Ahead::new(source), secret, members, paths };
    while stream.source.peek(4)? == records::LOCAL {
        stream.member(tree)?;
    }
    stream.directory(tree)
}

impl Stream<'_> {
    fn member(&mut self, tree: &mut Tree<'_>) -> Result<(), Stop> {
        let at = self.source.position();
        let header = Local::read(&mut self.source)?;
        let name = self.admit(&header)?;
        let told = Data { crc: header.crc, packed: header.packed, size: header.size };
        let stored = header.method == records::STORED;
        // Nothing else would tell where the data ends.
        let sized = stored || !header.has_descriptor();
        let begin = self.source.position();
        let mut data =
            Checked::new(header.method, (&mut self.source).take(if sized { told.packed } else { u64::MAX }))?;
        let found = unpack(&name, &header, &mut data, (sized && !header.has_descriptor()).then_some(told.size), tree)?;
        drop(data);
        let found = Data { packed: self.source.position() - begin, ..found };
        if header.has_descriptor() {
            self.descriptor(&name, found, stored)?;
        } else if found != told {
            return Err(refused(format!("{name} is damaged")).into());
        }
        let said = Some(self.said(&header.name, header.method, found));
        self.members.push(Came { at, said, stamp: (header.date, header.time) });
        Ok(())
    }

    fn said(&self, name: &[u8], method: u16, data: Data) -> NonZeroU64 {
        NonZeroU64::MIN | self.secret.hash_one((name, method, data))
    }

    /// The name of a member that can be unpacked as it comes.
    fn admit(&mut self, header: &Local) -> Result<String, Stop> {
        let shown = || String::from_utf8_lossy(&header.name);
        if header.is_encrypted() {
            return Err(encrypted(&shown()).into());
        }
        // Not even from a file, so that none has to be stored to find out.
        if !METHODS.contains(&header.method) {
            return Err(unreadable(&shown(), header.method).into());
        }
        let name = std::str::from_utf8(&header.name).ok().filter(|name| !name.contains('\\') && !header.renamed);
        let name = name.ok_or(Stop::NotStreamable("a name in the letters of another system"))?;
        if ![records::STORED, records::DEFLATED, records::BZIP2].contains(&header.method) || header.is_patch() {
            return Err(Stop::NotStreamable("a member packed in a rare way"));
        }
        if self.members.len() as u64 == MEMBERS {
            return Err(refused(format!("it has more than {MEMBERS} members")).into());
        }
        let path = inside(name)?.unwrap_or_else(PathBuf::new);
        if !self.paths.insert(self.secret.hash_one(&path)) {
            return Err(Stop::NotStreamable("two members of one name"));
        }
        Ok(name.to_owned())
    }

    /// The sizes that stand behind the data, with or without a signature, of 32 or 64 bits: told by what the data was.
    fn descriptor(&mut self, name: &str, found: Data, stored: bool) -> Result<(), Stop> {
        let next = self.source.peek(records::DESCRIPTOR + 2)?;
        let forms = [(true, Wide::Yes), (true, Wide::No), (false, Wide::Yes), (false, Wide::No)];
        let fits =
            forms.into_iter().filter_map(|(signed, wide)| records::descriptor(signed, wide, found)).find(|form| {
                // Every record that may follow begins so.
                next.strip_prefix(form.as_slice()).is_some_and(|rest| rest.starts_with(b"PK"))
            });
        let cut = next.len() < records::DESCRIPTOR + 2;
        match fits.map(|form| form.len()) {
            Some(length) => {
                self.source.consume(length);
                Ok(())
            }
            None if cut => Err(Stop::Failed(io::ErrorKind::UnexpectedEof.into())),
            None if stored => Err(Stop::NotStreamable("a member whose length stands behind it")),
            None => Err(refused(format!("{name} is damaged")).into()),
        }
    }

    fn directory(&mut self, tree: &mut Tree<'_>) -> Result<(), Stop> {
        let begin = self.source.position();
        let next = self.source.peek(4)?;
        let mut count = 0;
        if next.len() < 4 {
            return Err(Stop::Failed(io::ErrorKind::UnexpectedEof.into()));
        } else if ![records::LISTED, records::WIDE_END, records::END].iter().any(|known| next == known) {
            return Err(Stop::NotStreamable("something else between its members"));
        }
        while self.source.peek(4)? == records::LISTED {
            let listed = Listed::read(&mut self.source)?;
            self.compare(&listed)?;
            finish(&listed, tree)?;
            count += 1;
        }
        let length = self.source.position() - begin;
        let end = End::read(&mut self.source)?;
        if let Some(missing) = self.members.iter().find(|member| member.said.is_some()) {
            return Err(refused(format!("the member at byte {} is not in its directory", missing.at)).into());
        }
        if !end.fits(count, begin, length) {
            return Err(refused("its end says otherwise than its directory").into());
        }
        match self.source.peek(1)? {
            [] => Ok(()),
            _ => Err(refused("something stands behind its end").into()),
        }
    }

    fn compare(&mut self, listed: &Listed) -> Result<(), Stop> {
        if listed.renamed {
            return Err(Stop::NotStreamable("a name in the letters of another system"));
        }
        if listed.is_encrypted() {
            return Err(encrypted(&String::from_utf8_lossy(&listed.name)).into());
        }
        let data = Data { crc: listed.crc, packed: listed.packed, size: listed.size };
        let said = Some(self.said(&listed.name, listed.method, data));
        let found = self.members.binary_search_by_key(&listed.at, |member| member.at);
        match found.ok().and_then(|index| self.members.get_mut(index)) {
            Some(member) if member.said == said && member.stamp != (listed.date, listed.time) => {
                Err(Stop::NotStreamable("a member dated otherwise in its directory"))
            }
            Some(member) if member.said == said => {
                member.said = None;
                Ok(())
            }
            _ => {
                let name = String::from_utf8_lossy(&listed.name);
                Err(refused(format!("{name} stands otherwise in its directory than it came")).into())
            }
        }
    }
}

/// Writes a member; how much came of it. `size`: how much has to come, where that is known before.
fn unpack(
    name: &str,
    header: &Local,
    data: &mut Checked<'_>,
    size: Option<u64>,
    tree: &mut Tree<'_>,
) -> Result<Data, Stop> {
    let mtime = seconds_of(header.date, header.time);
    match (name.ends_with('/'), size) {
        (true, _) => tree.folder(name, Meta { mode: FOLDER_MODE, owner: None, mtime })?,
        (false, Some(size)) => tree.file(name, Meta { mode: FILE_MODE, owner: None, mtime }, size, data)?,
        (false, None) => drop(tree.file_to_end(name, Meta { mode: FILE_MODE, owner: None, mtime }, data)?),
    }
    // The decoder takes its last bytes only once it is asked for what lies behind them.
    match data.read(&mut [0])? {
        0 => Ok(Data { crc: data.crc.clone().finalize(), packed: 0, size: data.size }),
        _ if name.ends_with('/') => Err(refused(format!("{name} is a folder with bytes of its own")).into()),
        _ => Err(refused(format!("{name} is longer than its header says")).into()),
    }
}

/// Makes of a member what only the directory tells.
fn finish(listed: &Listed, tree: &mut Tree<'_>) -> Result<(), Stop> {
    const FOLDER: u32 = 0o040_000;
    const REGULAR: u32 = 0o100_000;
    const LINK: u32 = 0o120_000;
    let Some(mode) = listed.mode() else { return Ok(()) };
    let name = String::from_utf8_lossy(&listed.name);
    match mode & 0o170_000 {
        // As they were made.
        _ if name.ends_with('/') && mode & 0o777 == FOLDER_MODE => {}
        _ if name.ends_with('/') => tree.permit(&name, mode)?,
        0 | REGULAR if mode & 0o777 == FILE_MODE => {}
        LINK => {
            let mtime = seconds_of(listed.date, listed.time);
            tree.into_symlink(&name, Meta { mode, owner: None, mtime })?;
        }
        0 | REGULAR => tree.permit(&name, mode)?,
        FOLDER => return Err(refused(format!("{name} is a folder and a file")).into()),
        _ => return Err(refused(format!("{name} is a device")).into()),
    }
    Ok(())
}

/// The unpacked data of a member, summed in passing.
struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    crc: crc32fast::Hasher,
    size: u64,
}

impl<'a> Checked<'a> {
    fn new(method: u16, packed: impl BufRead + 'a) -> Result<Checked<'a>, Stop> {
        let inner: Box<dyn Read + 'a> = match method {
            records::DEFLATED => Box::new(DeflateDecoder::new(packed)),
            records::BZIP2 => Box::new(BzDecoder::new(packed)),
            _ => Box::new(packed),
        };
        Ok(Checked { inner, crc: crc32fast::Hasher::new(), size: 0 })
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.crc.update(buffer.get(..read).unwrap_or_default());
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
