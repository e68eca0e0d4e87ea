//! Unpacks a tar: ustar, GNU and PAX headers, read with a limit on their length; sparse members and devices are refused.
//!
//! Extended headers take nothing of the card, and packed zeros cost their maker nothing: they have a limit of their own, so that the room ends
//! an archive of them as any other. A member may have 16 KiB, four times the attributes that ext4 holds of a file: to decode that much for each
//! inode of a card takes no longer than to fill the card. What goes beyond has an end for the whole archive.

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
/// Bytes of extended headers that each member may have.
const OF_MEMBER: u64 = 16 << 10;
/// Bytes beyond that of all members together.
const BEYOND: u64 = 256 << 20;
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

/// Bytes of extended headers so far.
#[derive(Default)]
struct Budget {
    /// Of the member that follows.
    of_member: u64,
    /// Of all members, beyond what each may have.
    beyond: u64,
}

impl Budget {
    fn take(&mut self, size: u64) -> io::Result<()> {
        let had = self.of_member.max(OF_MEMBER);
        self.of_member = self.of_member.saturating_add(size);
        self.beyond = self.beyond.saturating_add(self.of_member.saturating_sub(had));
        if self.beyond > BEYOND {
            let why = "of extended headers above 16 KiB a member: make the archive again without extended attributes";
            return Err(refused(format!("more than {} MiB {why}", BEYOND >> 20)));
        }
        Ok(())
    }
}

/// Unpacks all of `source`, to its end, into `tree`.
pub fn untar(source: &mut dyn Read, tree: &mut Tree<'_>) -> io::Result<()> {
    let (mut extended, mut headers, mut budget) = (Extended::default(), 0, Budget::default());
    while let Some(header) = next(source)? {
        let size = header.entry_size()?;
        let kind = header.entry_type();
        let extends = extends(kind);
        headers = if extends { headers + 1 } else { 0 };
        if headers > HEADERS {
            return Err(refused(format!("more than {HEADERS} extended headers of one member")));
        }
        if extends {
            budget.take(size)?
        } else {
            budget.of_member = 0
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

/// Whether it is no member but an extended header of one.
pub fn extends(kind: EntryType) -> bool {
    matches!(kind, EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reporter;
    use crate::stream::tree::{Member, Room};

    /// A header and what follows it.
    fn block(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let mut bytes = [header.as_bytes().as_slice(), data].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// A piece over and over, and how much of it was read.
    struct Endless<'a> {
        piece: &'a [u8],
        read: usize,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = (&self.piece[self.read % self.piece.len()..]).read(buffer)?;
            self.read += read;
            Ok(read)
        }
    }

    /// What comes of unpacking this, and the members.
    fn unpacked(source: &mut dyn Read, name: &str) -> (io::Result<()>, Vec<Member>) {
        let folder = std::env::temp_dir().join(format!("offspot-untar-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let mut members = Vec::new();
        let mut note = |member| {
            members.push(member);
            Ok(())
        };
        let room = Room { bytes: 1 << 40, inodes: 1 << 20 };
        let done = untar(source, &mut Tree::new(&folder, room, &Reporter::new().0, &mut note).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
        (done, members)
    }

    #[test]
    fn extended_headers_have_an_end_that_no_honest_archive_reaches() {
        let zeros = vec![0; EXTENDED as usize];
        let piece = [block(b'g', "g", &zeros).repeat(HEADERS), block(b'5', "./", &[])].concat();
        let mut endless = Endless { piece: &piece, read: 0 };
        let said = unpacked(&mut endless, "endless").0.unwrap_err().to_string();
        assert!(said.starts_with("more than 256 MiB of extended headers"), "{said}");
        assert!(endless.read < 300 << 20, "{}", endless.read);

        // As many attributes as ext4 holds, for each of many; and large ones for some.
        let noted = |value: usize, count: usize| {
            let value = "v".repeat(value);
            let record = format!(" SCHILY.xattr.user.note={value}\n");
            let record = format!("{}{record}", record.len() + (record.len() + 5).to_string().len());
            [block(b'x', "x", record.as_bytes()), block(b'0', "file", b"")].concat().repeat(count)
        };
        let honest = [noted(12_000, 3000), noted(200_000, 200), vec![0; 1024]].concat();
        let (done, members) = unpacked(&mut honest.as_slice(), "honest");
        done.unwrap();
        assert_eq!(members.len(), 3200);
    }
}
