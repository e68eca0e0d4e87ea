//! The tars in a deb, in the formats that dpkg takes (deb(5)): v7, ustar, and GNU's long names. Everything else is refused, PAX headers too,
//! as is every path that leaves the archive.

use std::io::{self, Read};
use std::path::PathBuf;

use tar::{EntryType, Header};

use super::refused;

/// Bytes of a header, and the unit that content is padded to.
const BLOCK: u64 = 512;
/// Longest path, as in the kernel.
const LONGEST: u64 = 4096;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file of that many bytes.
    File(u64),
    /// A symbolic link with its target as written.
    Symlink(String),
    /// A further name of an earlier file of the same archive.
    Hard(PathBuf),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute path, `/` for the archive's root.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// 0o7777 at most.
    pub mode: u32,
    /// Owner by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// Gives every entry of the tar `source` to `take`, with its content, and reads `source` to its end.
pub fn read(
    source: &mut (dyn Read + Send),
    take: &mut dyn FnMut(Entry, &mut (dyn Read + Send)) -> io::Result<()>,
) -> io::Result<()> {
    let (mut name, mut link) = (None, None);
    while let Some(header) = next(source)? {
        let size = header.entry_size()?;
        match header.entry_type() {
            EntryType::GNULongName => name = Some(held(source, size)?),
            EntryType::GNULongLink => link = Some(held(source, size)?),
            _ => {
                let entry = entry(&header, size, name.take(), link.take())?;
                let mut body = source.take(if matches!(entry.kind, Kind::File(_)) { size } else { 0 });
                take(entry, &mut body)?;
                if body.limit() > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                padding(source, size)?;
            }
        }
    }
    // The decoder's own checks stand behind the end.
    io::copy(source, &mut io::sink())?;
    Ok(())
}

fn entry(header: &Header, size: u64, name: Option<Vec<u8>>, link: Option<Vec<u8>>) -> io::Result<Entry> {
    let name = text(name.unwrap_or_else(|| header.path_bytes().into_owned()))?;
    let link = || text(link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()));
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Folder,
        // The first tars knew no folders but by the slash.
        EntryType::Regular if name.ends_with('/') => Kind::Folder,
        EntryType::Regular | EntryType::Continuous => Kind::File(size),
        EntryType::Symlink => Kind::Symlink(target(&name, link()?)?),
        EntryType::Link => Kind::Hard(within(&link()?)?),
        EntryType::GNUSparse => return Err(refused(format!("{name} is sparse"))),
        EntryType::Block | EntryType::Char | EntryType::Fifo => return Err(refused(format!("{name} is a device"))),
        EntryType::XHeader | EntryType::XGlobalHeader => {
            return Err(refused(format!("{name} is a PAX header, which a deb must not have")));
        }
        _ => return Err(refused(format!("{name} is of an unknown kind"))),
    };
    if size > 0 && !matches!(kind, Kind::File(_)) {
        return Err(refused(format!("{name} has content, though it is no file")));
    }
    let number =
        |what: io::Result<u64>| u32::try_from(what?).map_err(|_| refused(format!("{name} has a strange owner")));
    Ok(Entry {
        path: within(&name)?,
        kind,
        mode: header.mode()? & 0o7777,
        uid: number(header.uid())?,
        gid: number(header.gid())?,
        mtime: i64::try_from(header.mtime()?).map_err(|_| refused(format!("{name} has a strange time")))?,
    })
}

fn target(name: &str, target: String) -> io::Result<String> {
    if target.is_empty() { Err(refused(format!("{name} is a link to nowhere"))) } else { Ok(target) }
}

/// The absolute path of a name like `./usr/bin/dpkg`; what could lead out of the archive is refused.
fn within(name: &str) -> io::Result<PathBuf> {
    let bad = || refused(format!("{name:?} is not a path within the package"));
    // A line of dpkg's lists could not hold it.
    if name.is_empty() || name.starts_with('/') || name.contains(['\n', '\0']) {
        return Err(bad());
    }
    let mut path = PathBuf::from("/");
    for part in name.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err(bad());
        }
        path.push(part);
    }
    Ok(path)
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
        _ => Err(refused("a tar in it is damaged")),
    }
}

fn held(source: &mut (dyn Read + Send), size: u64) -> io::Result<Vec<u8>> {
    if size > LONGEST {
        return Err(refused("a name in it is longer than any path"));
    }
    let mut bytes = Vec::new();
    if source.take(size).read_to_end(&mut bytes)? as u64 != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    padding(source, size)?;
    Ok(bytes)
}

fn text(mut bytes: Vec<u8>) -> io::Result<String> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| refused("a name in it is not UTF-8"))
}

fn padding(source: &mut dyn Read, size: u64) -> io::Result<()> {
    super::ar::skip(source, size.next_multiple_of(BLOCK) - size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_package() {
        for (name, path) in [("./", "/"), (".", "/"), ("./usr//bin/./a/", "/usr/bin/a"), ("usr/..a", "/usr/..a")] {
            assert_eq!(within(name).unwrap(), PathBuf::from(path), "{name}");
        }
        for name in ["", "/etc", "./../etc", "./a/..", "./a\nb", "./a\0b"] {
            assert!(within(name).is_err(), "{name:?}");
        }
    }
}
