//! Unpacks a tar: ustar, GNU and PAX headers, read with a limit on their length; sparse members and devices are refused.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::pax;
use super::tree::{Meta, Tree, refused};

/// Bytes of a header and of the unit that data is padded to.
const BLOCK: usize = 512;
/// Longest extended header taken: names and times need no more, and it is held in memory.
const EXTENDED: u64 = 1 << 20;
/// Most extended headers that one member may have.
const HEADERS: usize = 16;
/// Bytes that may stand behind the end: records are padded, and packed zeros cost their maker nothing.
const BEHIND: u64 = 16 << 20;

/// What extended headers say of the member that follows them.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    mtime: Option<i64>,
    owner: (Option<u32>, Option<u32>),
}

/// Unpacks all of `source`, to its end, into `tree`.
pub fn untar(source: &mut dyn Read, tree: &mut Tree<'_>) -> io::Result<()> {
    let (mut extended, mut headers) = (Extended::default(), 0);
    while let Some(header) = next(source)? {
        let size = header.entry_size()?;
        let kind = header.entry_type();
        let extends = kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink();
        headers = if extends { headers + 1 } else { 0 };
        if headers > HEADERS {
            return Err(refused(format!("more than {HEADERS} extended headers of one member")));
        }
        match kind {
            EntryType::XHeader => extended.pax(&held(source, size)?)?,
            EntryType::GNULongName => extended.path = Some(text(held(source, size)?)?),
            EntryType::GNULongLink => extended.link = Some(text(held(source, size)?)?),
            EntryType::XGlobalHeader => drop(held(source, size)?),
            kind => member(source, tree, &header, kind, std::mem::take(&mut extended))?,
        }
    }
    // What stands behind the end still has to pass the digest and the decoder's own checks.
    match io::copy(&mut source.take(BEHIND + 1), &mut io::sink())? {
        0..=BEHIND => Ok(()),
        _ => Err(refused(format!("more than {} MiB stand behind its end", BEHIND >> 20))),
    }
}

fn member(
    source: &mut dyn Read,
    tree: &mut Tree<'_>,
    header: &Header,
    kind: EntryType,
    extended: Extended,
) -> io::Result<()> {
    let meta = extended.meta(header)?;
    let size = extended.size.map_or_else(|| header.entry_size(), Ok)?;
    let link = match extended.link {
        Some(link) => link,
        None => text(header.link_name_bytes().unwrap_or_default().into_owned())?,
    };
    let name = match extended.path {
        Some(path) => path,
        None => text(header.path_bytes().into_owned())?,
    };
    match kind {
        EntryType::Directory => tree.folder(&name, meta),
        // The first tars knew no folders but by the slash.
        EntryType::Regular if name.ends_with('/') => tree.folder(&name, meta),
        EntryType::Regular | EntryType::Continuous => {
            tree.file(&name, meta, size, source)?;
            skip(source, padding(size))
        }
        EntryType::Symlink => tree.symlink(&name, meta, &link),
        EntryType::Link => tree.hardlink(&name, &link),
        EntryType::GNUSparse => Err(refused(format!("{name} is sparse: make the archive without --sparse"))),
        EntryType::Block | EntryType::Char | EntryType::Fifo => Err(refused(format!("{name} is a device"))),
        _ => Err(refused(format!("{name} is of an unknown kind"))),
    }
}

impl Extended {
    fn pax(&mut self, records: &[u8]) -> io::Result<()> {
        for record in pax::records(records) {
            let (key, value) = record.ok_or_else(|| refused("a damaged extended header"))?;
            let value = || std::str::from_utf8(value).map_err(|_| refused("an extended header that is not UTF-8"));
            let number = || value()?.parse().map_err(|_| refused("an extended header with a bad number"));
            match key {
                b"path" => self.path = Some(value()?.to_owned()),
                b"linkpath" => self.link = Some(value()?.to_owned()),
                b"size" => self.size = Some(number()?),
                b"mtime" => self.mtime = value()?.split('.').next().and_then(|seconds| seconds.parse().ok()),
                b"uid" => self.owner.0 = u32::try_from(number()?).ok(),
                b"gid" => self.owner.1 = u32::try_from(number()?).ok(),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(refused("it has a sparse member: make the archive without --sparse"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn meta(&self, header: &Header) -> io::Result<Meta> {
        let id = |given: Option<u32>, own: io::Result<u64>| given.or_else(|| u32::try_from(own.ok()?).ok());
        let seconds = || i64::try_from(header.mtime().unwrap_or_default()).unwrap_or_default();
        Ok(Meta {
            mode: header.mode()?,
            owner: id(self.owner.0, header.uid()).zip(id(self.owner.1, header.gid())),
            mtime: self.mtime.unwrap_or_else(seconds),
        })
    }
}

/// The next header; none at the block of zeros that ends a tar.
fn next(source: &mut dyn Read) -> io::Result<Option<Header>> {
    let mut header = Header::new_old();
    source.read_exact(header.as_mut_bytes())?;
    let bytes = header.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    // The checksum counts its own eight bytes as spaces.
    let field: u32 = bytes.iter().skip(148).take(8).map(|byte| u32::from(*byte)).sum();
    let sum = bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>() - field + 8 * 32;
    match header.cksum() {
        Ok(expected) if expected == sum => Ok(Some(header)),
        _ => Err(refused("it is not a tar, or a damaged one")),
    }
}

fn held(source: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    if size > EXTENDED {
        return Err(refused("an extended header longer than any name"));
    }
    let mut bytes = Vec::new();
    if source.take(size).read_to_end(&mut bytes)? as u64 != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    skip(source, padding(size))?;
    Ok(bytes)
}

fn text(mut bytes: Vec<u8>) -> io::Result<String> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| refused("a name that is not UTF-8"))
}

fn padding(size: u64) -> usize {
    (BLOCK as u64 - size % BLOCK as u64) as usize % BLOCK
}

fn skip(source: &mut dyn Read, length: usize) -> io::Result<()> {
    let mut block = [0; BLOCK];
    source.read_exact(block.get_mut(..length).unwrap_or_default())
}
