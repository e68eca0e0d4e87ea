//! A `.deb` (deb(5)): an ar archive of `debian-binary`, `control.tar` and `data.tar`, read as dpkg does and refused where dpkg would trip.
//!
//! Owners and modes go into an [`index`], contents into plain files with numbers for names: no root is needed, and no name of a package
//! ever becomes a name on the build machine.

pub mod ar;
pub mod index;
pub mod members;

use std::io::{self, Read};

use offspot_agent::stream::decode::{self, Packing};
use offspot_agent::stream::limit::Limit;

use self::members::Entry;

/// Most that one tar may unpack to: four times the largest package of Debian.
pub const MOST: u64 = 8 << 30;
/// Longest `debian-binary`.
const VERSION: u64 = 64;

/// Which of the two tars an entry is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What dpkg keeps of it: `control`, `md5sums`, maintainer scripts.
    Control,
    /// What lands in the file system.
    Data,
}

/// Who takes the entries of a deb.
pub trait Take {
    /// One entry in the order of the archive; `body` is the content of a file and empty for all else.
    fn take(&mut self, part: Part, entry: Entry, body: &mut (dyn Read + Send)) -> io::Result<()>;
}

/// Reads a whole deb, to the last byte of `source`. What is not exactly a deb of format 2 is an [`io::ErrorKind::InvalidData`], one that is
/// cut short an [`io::ErrorKind::UnexpectedEof`].
pub fn read(source: &mut (dyn Read + Send), take: &mut dyn Take) -> io::Result<()> {
    ar::begin(source)?;
    version(source)?;
    tar(source, Part::Control, take)?;
    tar(source, Part::Data, take)?;
    // Whatever members a later version of the format adds behind these are to be ignored.
    while let Some(member) = ar::next(source)? {
        ar::skip(source, member.size + member.size % 2)?;
    }
    Ok(())
}

fn version(source: &mut (dyn Read + Send)) -> io::Result<()> {
    let member = ar::next(source)?.filter(|member| member.name == "debian-binary" && member.size <= VERSION);
    let member = member.ok_or_else(|| refused("it does not begin with debian-binary"))?;
    let mut text = Vec::new();
    source.take(member.size).read_to_end(&mut text)?;
    ar::skip(source, member.size % 2)?;
    match text.strip_prefix(b"2.") {
        Some([b'0'..=b'9', .., b'\n']) => Ok(()),
        _ => Err(refused("it is not of deb format 2")),
    }
}

fn tar(source: &mut (dyn Read + Send), part: Part, take: &mut dyn Take) -> io::Result<()> {
    let stem = if part == Part::Control { "control.tar" } else { "data.tar" };
    let absent = || refused(format!("{stem} is not where it has to be"));
    // deb(5): members that begin with an underscore may come in between.
    let member = loop {
        let member = ar::next(source)?.ok_or_else(absent)?;
        if !member.name.starts_with('_') {
            break member;
        }
        ar::skip(source, member.size + member.size % 2)?;
    };
    let suffix = member.name.strip_prefix(stem).ok_or_else(absent)?;
    let mut body = source.take(member.size);
    let (packing, reader) = decode::decode(&mut body)?;
    if !suits(packing, suffix) {
        return Err(refused(format!("{} is not packed as its name says", member.name)));
    }
    members::read(&mut Limit::new(reader, MOST), &mut |entry, body| take.take(part, entry, body))?;
    if body.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    ar::skip(source, member.size % 2)
}

fn suits(packing: Packing, suffix: &str) -> bool {
    matches!(
        (packing, suffix),
        (Packing::Plain, "")
            | (Packing::Gz, ".gz")
            | (Packing::Xz, ".xz")
            | (Packing::Zst, ".zst")
            | (Packing::Bz2, ".bz2")
    )
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
