//! The records of a zip as they come (PKWARE APPNOTE 4.3).

use std::io::{self, Read};

use super::{Data, Stop};
use crate::stream::ahead::Ahead;
use crate::stream::tree::refused;

pub const LOCAL: [u8; 4] = *b"PK\x03\x04";
pub const LISTED: [u8; 4] = *b"PK\x01\x02";
pub const END: [u8; 4] = *b"PK\x05\x06";
pub const WIDE_END: [u8; 4] = *b"PK\x06\x06";
const WIDE_PLACE: [u8; 4] = *b"PK\x06\x07";
const SIZES: [u8; 4] = *b"PK\x07\x08";

pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;
pub const BZIP2: u16 = 12;

/// Bytes of the longest record behind data.
pub const DESCRIPTOR: usize = 24;
/// Longest end record of 64 bits: its fields, and more than anybody has ever put behind them.
const LONGEST_END: u64 = 4096;
/// A field of 32 bits whose value stands elsewhere, in 64.
const ELSEWHERE: u64 = 0xffff_ffff;

const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const BEHIND: u16 = 1 << 3;
const PATCH: u16 = 1 << 5;

/// What stands before a member's data.
#[derive(Debug)]
pub struct Local {
    flags: u16,
    pub method: u16,
    pub time: u16,
    pub date: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    pub name: Vec<u8>,
    /// An extra field gives it another name.
    pub renamed: bool,
}

impl Local {
    pub fn read(source: &mut Ahead<'_>) -> Result<Local, Stop> {
        let bytes = source.take_exactly(30)?;
        let mut fields = Fields(bytes.get(6..).unwrap_or_default());
        let (flags, method, time, date) = (fields.short(), fields.short(), fields.short(), fields.short());
        let (crc, mut packed, mut size) = (fields.word(), fields.word().into(), fields.word().into());
        let (name, extra) = (fields.short(), fields.short());
        let name = source.take_exactly(name.into())?;
        let extra = source.take_exactly(extra.into())?;
        let renamed = widen(&extra, &mut [&mut size, &mut packed])?;
        Ok(Local { flags, method, time, date, crc, packed, size, name, renamed })
    }

    pub fn is_encrypted(&self) -> bool {
        self.flags & ENCRYPTED != 0
    }

    /// Sizes and checksum stand behind the data.
    pub fn has_descriptor(&self) -> bool {
        self.flags & BEHIND != 0
    }

    pub fn is_patch(&self) -> bool {
        self.flags & PATCH != 0
    }
}

/// A member as the directory lists it.
#[derive(Debug)]
pub struct Listed {
    system: u8,
    flags: u16,
    pub method: u16,
    pub time: u16,
    pub date: u16,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    attributes: u32,
    pub at: u64,
    pub name: Vec<u8>,
    pub renamed: bool,
}

impl Listed {
    pub fn read(source: &mut Ahead<'_>) -> Result<Listed, Stop> {
        let bytes = source.take_exactly(46)?;
        let mut fields = Fields(bytes.get(4..).unwrap_or_default());
        let system = fields.short() >> 8;
        let (_needs, flags) = (fields.short(), fields.short());
        let (method, time, date) = (fields.short(), fields.short(), fields.short());
        let (crc, mut packed, mut size) = (fields.word(), fields.word().into(), fields.word().into());
        let lengths = [fields.short(), fields.short(), fields.short()].map(usize::from);
        let (_disk, _internal) = (fields.short(), fields.short());
        let (attributes, mut at) = (fields.word(), fields.word().into());
        let name = source.take_exactly(lengths[0])?;
        let extra = source.take_exactly(lengths[1])?;
        source.take_exactly(lengths[2])?;
        let renamed = widen(&extra, &mut [&mut size, &mut packed, &mut at])?;
        let system = u8::try_from(system).unwrap_or(0);
        Ok(Listed { system, flags, method, time, date, crc, packed, size, attributes, at, name, renamed })
    }

    pub fn is_encrypted(&self) -> bool {
        self.flags & ENCRYPTED != 0
    }

    /// Permissions and kind, as far as the maker's system has them; the same as for a zip that was stored.
    pub fn mode(&self) -> Option<u32> {
        const DOS: u8 = 0;
        const UNIX: u8 = 3;
        let high = self.attributes >> 16;
        match self.system {
            _ if self.attributes == 0 => None,
            UNIX => Some(high),
            system if system != DOS && high != 0 => Some(high),
            _ => {
                let mode = if self.attributes & 0x10 != 0 { 0o040_775 } else { 0o100_664 };
                Some(if self.attributes & 1 != 0 { mode & !0o222 } else { mode })
            }
        }
    }
}

/// What stands behind the directory.
#[derive(Debug)]
pub struct End {
    /// Members in this part of the archive, and in all parts.
    here: u64,
    count: u64,
    length: u64,
    at: u64,
}

impl End {
    /// Reads all that follows the directory.
    pub fn read(source: &mut Ahead<'_>) -> Result<End, Stop> {
        let wide = if source.peek(4)? == WIDE_END { Some(wide_end(source)?) } else { None };
        if source.peek(4)? != END {
            return Err(refused("its directory has no end").into());
        }
        let bytes = source.take_exactly(22)?;
        let mut fields = Fields(bytes.get(4..).unwrap_or_default());
        let disks = [fields.short(), fields.short()];
        let (here, count) = (fields.short().into(), fields.short().into());
        let (length, at) = (fields.word().into(), fields.word().into());
        let comment = fields.short();
        source.take_exactly(comment.into())?;
        if disks.iter().any(|disk| ![0, 0xffff].contains(disk)) {
            return Err(Stop::NotStreamable("an archive in several parts"));
        }
        let narrow = End { here, count, length, at };
        Ok(match wide {
            Some(wide) => End {
                here: if narrow.here == 0xffff { wide.here } else { narrow.here },
                count: if narrow.count == 0xffff { wide.count } else { narrow.count },
                length: if narrow.length == ELSEWHERE { wide.length } else { narrow.length },
                at: if narrow.at == ELSEWHERE { wide.at } else { narrow.at },
            },
            None => narrow,
        })
    }

    pub fn fits(&self, count: u64, at: u64, length: u64) -> bool {
        // Many a program says of 70 000 members that they are 4464.
        let counts = |told: u64| told == count || told == count & 0xffff;
        counts(self.here) && counts(self.count) && self.at == at && self.length == length
    }
}

fn wide_end(source: &mut Ahead<'_>) -> Result<End, Stop> {
    let head = source.take_exactly(12)?;
    let length = Fields(head.get(4..).unwrap_or_default()).long();
    if !(44..=LONGEST_END).contains(&length) {
        return Err(refused("its directory has an end of no known kind").into());
    }
    let bytes = source.take_exactly(usize::try_from(length).unwrap_or_default())?;
    let mut fields = Fields(bytes.get(12..).unwrap_or_default());
    let (here, count, length, at) = (fields.long(), fields.long(), fields.long(), fields.long());
    if source.peek(4)? == WIDE_PLACE {
        source.take_exactly(20)?;
    }
    Ok(End { here, count, length, at })
}

/// Whether sizes have 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wide {
    Yes,
    No,
}

/// What stands behind data that turned out so; none where the sizes do not fit.
pub fn descriptor(signed: bool, wide: Wide, data: Data) -> Option<Vec<u8>> {
    let mut bytes = if signed { SIZES.to_vec() } else { Vec::new() };
    bytes.extend(data.crc.to_le_bytes());
    for size in [data.packed, data.size] {
        match wide {
            Wide::Yes => bytes.extend(size.to_le_bytes()),
            Wide::No => bytes.extend(u32::try_from(size).ok()?.to_le_bytes()),
        }
    }
    Some(bytes)
}

/// Puts in what stands in the extra field of 64 bits, in its order; whether another extra field renames the member.
fn widen(extra: &[u8], values: &mut [&mut u64]) -> io::Result<bool> {
    const WIDE: u16 = 1;
    const UNICODE_PATH: u16 = 0x7075;
    let (mut rest, mut renamed) = (extra, false);
    while rest.len() >= 4 {
        let mut fields = Fields(rest);
        let (kind, length) = (fields.short(), usize::from(fields.short()));
        let Some(body) = fields.0.get(..length) else { break };
        renamed |= kind == UNICODE_PATH;
        if kind == WIDE {
            let mut body = Fields(body);
            for value in values.iter_mut().filter(|value| ***value == ELSEWHERE) {
                if body.0.len() < 8 {
                    return Err(refused("a size of 64 bits that is not there"));
                }
                **value = body.long();
            }
        }
        rest = fields.0.get(length..).unwrap_or_default();
    }
    Ok(renamed)
}

/// Numbers as they stand in a record, least byte first; zeros behind its end.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.next())
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }

    fn next<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        // Cannot fail: a slice that is too short gives fewer bytes.
        let _ = self.0.read(&mut bytes);
        bytes
    }
}
