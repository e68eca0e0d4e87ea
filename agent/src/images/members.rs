//! The members of a tar, headers only: ustar, GNU long names, PAX. Bounded in memory whatever the tar says.

use std::io::{self, Read};

use super::source::Bytes;
use crate::stream::pax;

/// One block of a tar.
const BLOCK: u64 = 512;
/// Longest PAX header or long name that is read.
const EXTENDED: u64 = 64 << 10;
/// Most extended headers before one member.
const EXTENSIONS: usize = 8;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A hard link to another member's name, or to nothing.
    Hard(String),
    /// A symbolic link, relative to its folder.
    Symbolic(String),
    /// A folder, a device, anything else.
    Other,
}

/// A member by its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name as given.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where its data begin, in unpacked bytes.
    pub at: u64,
    /// Length of its data.
    pub size: u64,
}

/// Goes from header to header.
#[derive(Debug)]
pub struct Members<'a> {
    /// Where the data of the last member can be read.
    pub source: &'a mut Bytes,
    next: u64,
    end: u64,
    first: Option<[u8; 512]>,
    /// Whether the mark of a tar's end was seen, and not just no more bytes.
    pub ended: bool,
}

/// What extended headers say of the member behind them.
#[derive(Default)]
struct Extended {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl<'a> Members<'a> {
    /// The members of the whole source.
    pub fn of(source: &'a mut Bytes) -> Members<'a> {
        Members { source, next: 0, end: u64::MAX, first: None, ended: false }
    }

    /// The members of a tar that is itself a member, `start` to `end`, whose `first` block has been read already.
    pub fn within(source: &'a mut Bytes, start: u64, end: u64, first: [u8; 512]) -> Members<'a> {
        let next = start;
        Members { source, next, end, first: Some(first), ended: false }
    }

    /// The next member, none at the end. [`io::ErrorKind::UnexpectedEof`] where it ends within one, `InvalidData` where it is no tar.
    pub fn following(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        for _ in 0..=EXTENSIONS {
            let start = self.next;
            let Some(block) = self.block()? else { return Ok(None) };
            let header = Header(&block);
            let size = header.check(start)?;
            let at = start + BLOCK;
            match header.byte(156) {
                kind @ (b'x' | b'g' | b'L' | b'K') => {
                    self.advance(at, size)?;
                    self.extension(kind, size, &mut extended)?;
                }
                b'S' => return Err(damaged(format!("sparse member at byte {start}"))),
                kind => {
                    let member = header.member(kind, at, size, extended);
                    self.advance(at, member.size)?;
                    return Ok(Some(member));
                }
            }
        }
        Err(damaged(format!("too many extended headers before byte {}", self.next)))
    }

    fn block(&mut self) -> io::Result<Option<[u8; 512]>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let mut block = [0; 512];
        match self.first.take() {
            Some(first) => block = first,
            None => {
                self.source.skip_to(self.next)?;
                match read_up_to(self.source, &mut block)? {
                    0 => return Ok(None),
                    512 => {}
                    _ => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        }
        self.ended = block.iter().all(|byte| *byte == 0);
        Ok((!self.ended).then_some(block))
    }

    fn advance(&mut self, at: u64, size: u64) -> io::Result<()> {
        let next = size.checked_next_multiple_of(BLOCK).and_then(|size| at.checked_add(size));
        // Beyond this no seek goes, and no tarball.
        self.next = next.filter(|next| *next < 1 << 62).ok_or_else(|| damaged(format!("size at byte {at}")))?;
        Ok(())
    }

    fn extension(&mut self, kind: u8, size: u64, extended: &mut Extended) -> io::Result<()> {
        if size > EXTENDED {
            return Err(damaged(format!("extended header of {size} bytes")));
        }
        let mut data = vec![0; size as usize];
        self.source.read_exact(&mut data)?;
        match kind {
            b'L' => extended.name = Some(text(&data)),
            b'K' => extended.link = Some(text(&data)),
            b'x' => extended.pax(&data).ok_or_else(|| damaged("PAX header".into()))?,
            _ => {}
        }
        Ok(())
    }
}

impl Extended {
    fn pax(&mut self, data: &[u8]) -> Option<()> {
        for record in pax::records(data) {
            let (key, value) = record?;
            let value = || String::from_utf8_lossy(value).into_owned();
            match key {
                b"path" => self.name = Some(value()),
                b"linkpath" => self.link = Some(value()),
                b"size" => self.size = Some(value().parse().ok()?),
                _ => {}
            }
        }
        Some(())
    }
}

/// A header block.
struct Header<'a>(&'a [u8; 512]);

impl Header<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn field(&self, from: usize, length: usize) -> &[u8] {
        self.0.get(from..from + length).unwrap_or_default()
    }

    /// Verifies the checksum and gives the size.
    fn check(&self, start: u64) -> io::Result<u64> {
        let sum = |byte: fn(u8) -> i64| -> i64 {
            let outside = |(at, value): (usize, &u8)| if (148..156).contains(&at) { 32 } else { byte(*value) };
            self.0.iter().enumerate().map(outside).sum()
        };
        let said = number(self.field(148, 8)).and_then(|said| i64::try_from(said).ok());
        // Some old writers summed signed bytes.
        let right = said.is_some_and(|said| said == sum(i64::from) || said == sum(|byte| i64::from(byte as i8)));
        number(self.field(124, 12)).filter(|_| right).ok_or_else(|| damaged(format!("no tar header at byte {start}")))
    }

    fn member(&self, kind: u8, at: u64, size: u64, extended: Extended) -> Member {
        let link = extended.link.unwrap_or_else(|| text(self.field(157, 100)));
        let (kind, size) = match kind {
            b'0' | 0 | b'7' => (Kind::File, extended.size.unwrap_or(size)),
            b'1' => (Kind::Hard(link), 0),
            b'2' => (Kind::Symbolic(link), 0),
            b'3'..=b'6' => (Kind::Other, 0),
            _ => (Kind::Other, extended.size.unwrap_or(size)),
        };
        let name = extended.name.unwrap_or_else(|| self.name());
        Member { name, kind, at, size }
    }

    fn name(&self) -> String {
        let name = text(self.field(0, 100));
        // POSIX, not GNU, whose magic ends otherwise.
        let prefix = if self.field(257, 6) == b"ustar\0" { text(self.field(345, 155)) } else { String::new() };
        if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
    }
}

/// Octal digits, or binary where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| *first == 0x80) {
        let (high, low) = field.split_at_checked(field.len().checked_sub(8)?)?;
        let high_is_empty = high.get(1..)?.iter().all(|byte| *byte == 0);
        return high_is_empty.then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Fills the buffer as far as the source goes.
pub fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
