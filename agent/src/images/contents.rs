//! One pass over a tarball: which members it has, where, and the small JSON texts among them.

use std::collections::HashMap;
use std::io::{self, Read};

use super::fault::Fault;
use super::members::{Kind, Member, Members, read_up_to};
use super::source::Bytes;
use crate::stream::decode::Packing;

/// Longest JSON text that is kept, and most bytes of them together.
const TEXT: u64 = 1 << 20;
const TEXTS: u64 = 2 << 20;
/// Most members that are looked at, most that are remembered, and the longest name among these.
const SEEN: usize = 200_000;
const REMEMBERED: usize = 8192;
const NAME: usize = 400;
/// Most members of one layer that are counted.
const COUNTED: u64 = 500_000;
/// A link to a link to a link: no further.
const LINKS: usize = 8;
/// Where they cannot be counted: bytes a file of an image has on average (60 MB in 4223 files measured).
const BYTES_A_FILE: u64 = 14 << 10;
/// Where they cannot be measured: bytes that a packed byte unpacks to.
const UNPACKS_TO: u64 = 3;
/// What the filesystem gives a file in units of.
const PAGE: u64 = 4096;

/// What a tarball holds.
#[derive(Debug, Default)]
pub struct Contents {
    pieces: HashMap<String, Piece>,
    texts: u64,
    /// Whether layers that are plain tars are counted on the way.
    counts: bool,
    /// Whether the tar's own end was seen: if not, what is missing was cut off.
    pub ended: bool,
}

#[derive(Debug)]
enum Piece {
    Data(Data),
    Link(String),
}

/// A regular member.
#[derive(Debug, Clone)]
pub struct Data {
    /// Where its bytes begin, in the unpacked tarball.
    pub at: u64,
    /// Length in bytes.
    pub size: u64,
    /// How its bytes are packed in turn.
    pub packing: Packing,
    /// Its bytes, where they are a short JSON text.
    pub text: Option<Vec<u8>>,
    /// What it costs once unpacked.
    pub cost: Cost,
}

/// What a layer takes on the data partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes, rounded up to pages file by file.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
}

impl Contents {
    /// Reads all headers of the tarball; a plain one is skipped through, a packed one unpacked once.
    ///
    /// In a packed one layers that are plain tars are counted file by file on the way; all other costs are estimates as yet.
    pub fn scan(source: &mut Bytes) -> Result<Contents, Fault> {
        let mut contents = Contents { counts: source.is_packed(), ..Contents::default() };
        let mut members = Members::of(source);
        for seen in 0.. {
            let member = match members.following() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(error) if seen == 0 => return Err(at_the_start(error)),
                Err(error) => return Err(error.into()),
            };
            if seen >= SEEN {
                return Err(Fault::not_archive("it has too many members"));
            }
            contents.take(member, members.source)?;
        }
        contents.ended = members.ended;
        if contents.pieces.is_empty() {
            return Err(Fault::not_archive("it holds nothing"));
        }
        Ok(contents)
    }

    fn take(&mut self, member: Member, source: &mut Bytes) -> Result<(), Fault> {
        let name = normal(&member.name);
        if name.is_empty() || name.len() > NAME {
            return Ok(());
        }
        let piece = match &member.kind {
            Kind::File => Piece::Data(self.data(&member, source)?),
            // Such a name is never remembered, so nothing can be found under it.
            Kind::Hard(to) | Kind::Symbolic(to) if to.len() > NAME => return Ok(()),
            Kind::Hard(to) => Piece::Link(normal(to)),
            Kind::Symbolic(to) => Piece::Link(beside(&name, to)),
            Kind::Other => return Ok(()),
        };
        self.pieces.insert(name, piece);
        if self.pieces.len() > REMEMBERED {
            return Err(Fault::not_archive("it has too many members"));
        }
        Ok(())
    }

    fn data(&mut self, member: &Member, source: &mut Bytes) -> Result<Data, Fault> {
        let mut head = [0; 512];
        let wanted = head.len().min(usize::try_from(member.size).unwrap_or(usize::MAX));
        let head = head.get_mut(..wanted).unwrap_or_default();
        if read_up_to(source, head)? < wanted {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let packing = Packing::sniff(head.get(..10).unwrap_or(head));
        Ok(Data {
            at: member.at,
            size: member.size,
            packing,
            text: self.text(member.size, head, source)?,
            cost: match (packing, <[u8; 512]>::try_from(&*head)) {
                (Packing::Plain, Ok(first)) if self.counts => count(source, member.at, member.size, first),
                _ => estimate(member.size, packing),
            },
        })
    }

    fn text(&mut self, size: u64, head: &[u8], source: &mut Bytes) -> Result<Option<Vec<u8>>, Fault> {
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'{' | b'[')) || size > TEXT || self.texts + size > TEXTS {
            return Ok(None);
        }
        let mut text = head.to_vec();
        let rest = size.saturating_sub(head.len() as u64);
        source.by_ref().take(rest).read_to_end(&mut text)?;
        if (text.len() as u64) < size {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        self.texts += size;
        Ok(Some(text))
    }

    /// The member of this name, links followed within the tarball; nothing on the disk is ever looked at.
    pub fn get(&self, name: &str) -> Option<&Data> {
        let mut name = normal(name);
        for _ in 0..LINKS {
            match self.pieces.get(&name)? {
                Piece::Data(data) => return Some(data),
                Piece::Link(to) => name = to.clone(),
            }
        }
        None
    }

    /// The JSON text of this name.
    pub fn text_of(&self, name: &str) -> Result<&[u8], Fault> {
        let data = self.get(name).ok_or_else(|| self.missing(name))?;
        let unfit = || Fault::not_archive(format!("its {} is no JSON of at most {TEXT} bytes", short(name)));
        data.text.as_deref().ok_or_else(unfit)
    }

    /// That this member is missing: cut off where the tar has no end, else never there.
    pub fn missing(&self, name: &str) -> Fault {
        let why = format!("{} is not in it", short(name));
        if self.ended { Fault::NotArchive(why) } else { Fault::Truncated(why) }
    }
}

/// A name from the tarball, fit to be shown.
pub fn short(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

/// Errors of the very first header speak of the file as a whole.
fn at_the_start(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::InvalidData if error.to_string().starts_with("no tar header") => {
            Fault::not_archive("its first bytes are no tar header")
        }
        _ => error.into(),
    }
}

/// Without `./`, leading and doubled slashes; `..` is taken back, never above the start.
fn normal(name: &str) -> String {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a symbolic link in the folder of `name` means.
fn beside(name: &str, to: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, _)) if !to.starts_with('/') => normal(&format!("{folder}/{to}")),
        _ => normal(to),
    }
}

/// What a layer that is a plain tar, `size` bytes at `at`, costs: its files are counted, of which only headers are read.
pub fn count_at(source: &mut Bytes, at: u64, size: u64) -> io::Result<Cost> {
    let mut first = [0; 512];
    source.skip_to(at)?;
    match read_up_to(source, &mut first)? {
        512 => Ok(count(source, at, size, first)),
        _ => Ok(estimate(size, Packing::Plain)),
    }
}

fn count(source: &mut Bytes, at: u64, size: u64, first: [u8; 512]) -> Cost {
    let mut cost = Cost::default();
    let mut files = Members::within(source, at, at.saturating_add(size), first);
    loop {
        match files.following() {
            Ok(Some(file)) if cost.inodes < COUNTED => {
                let pages = file.size.div_ceil(PAGE).saturating_mul(PAGE);
                cost.bytes = cost.bytes.saturating_add(if file.kind == Kind::Other { PAGE } else { pages });
                cost.inodes += 1;
            }
            Ok(None) => return cost,
            // Not a tar after all, or one too large to count: what is wrong with it shows when its bytes pass.
            _ => return estimate(size, Packing::Plain),
        }
    }
}

fn estimate(size: u64, packing: Packing) -> Cost {
    let factor = if packing == Packing::Plain { 1 } else { UNPACKS_TO };
    let bytes = size.saturating_mul(factor);
    Cost { bytes: bytes.saturating_add(bytes / 6), inodes: bytes / BYTES_A_FILE + 1 }
}
