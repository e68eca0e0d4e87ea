//! Unpacks a zip.

use std::io::{self, Read, Seek, SeekFrom};

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{DateTime, System, ZipArchive};

use super::tree::{Meta, Tree, refused};

/// Longest text of a link.
const LINK: u64 = 4096;
/// Bytes that stand at least before a member's data and name.
const HEADER: u64 = 30;

/// Most members: the directory is held in memory, some hundred bytes each.
pub const MEMBERS: u64 = 100_000;
/// Most bytes of the directory: names and comments are held as well.
const DIRECTORY: u64 = 32 << 20;
/// Methods that can be unpacked: stored, Deflate, Deflate64 (Windows packs so from 2 GiB on), bzip2.
pub const METHODS: [u16; 4] = [0, 8, 9, 12];
/// A field of 32 bits whose value stands in a record of 64.
const ELSEWHERE: u64 = 0xffff_ffff;
/// Bytes at the end that hold its records: the longest comment, and what stands before that.
const TAIL: u64 = (1 << 16) + (4 << 10);

/// Opens a zip, unless its end says that its directory is too long to be held in memory.
pub fn open<R: Read + Seek>(mut source: R) -> io::Result<ZipArchive<R>> {
    let (count, length) = directory(&mut source)?;
    if count > MEMBERS {
        return Err(refused(format!("it has {count} members, more than {MEMBERS}")));
    }
    if length > DIRECTORY {
        return Err(refused(format!("its directory has {length} bytes, more than {DIRECTORY}")));
    }
    ZipArchive::new(source).map_err(broken)
}

/// The largest count of members that an end-of-directory record of 64 bits says, found as it lies or by its locator; 0 where there is none: the
/// one of 16 bits cannot say too many (PKWARE APPNOTE 4.3.14 to 4.3.16). And the bytes of the directory: what a record says of them, or what
/// stands from its place to the end.
fn directory(source: &mut (impl Read + Seek)) -> io::Result<(u64, u64)> {
    let length = source.seek(SeekFrom::End(0))?;
    let tail = piece(source, length.saturating_sub(TAIL), TAIL)?;
    let (mut count, mut bytes, mut places) = (0, 0, Vec::new());
    let mut look = |record: &[u8], ends: bool| {
        if record.starts_with(b"PK\x06\x06") {
            count = count.max(number(record, 32, 8));
            bytes = bytes.max(number(record, 40, 8));
            places.push(number(record, 48, 8));
        } else if record.starts_with(b"PK\x05\x06") && ends {
            let said = number(record, 12, 4);
            bytes = if said == ELSEWHERE { bytes } else { bytes.max(said) };
            places.push(number(record, 16, 4));
        }
    };
    for at in 0..tail.len() {
        let here = tail.get(at..).unwrap_or_default();
        // One that stands by chance in a name or a comment does not end where the file does.
        look(here, here.len() as u64 == 22 + number(here, 20, 2));
        if here.starts_with(b"PK\x06\x07") {
            look(&piece(source, number(here, 8, 8), 56)?, false);
        }
    }
    for at in places {
        if piece(source, at, 4)? == b"PK\x01\x02" {
            bytes = bytes.max(length.saturating_sub(at).saturating_sub(TAIL));
        }
    }
    source.rewind()?;
    Ok((count, bytes))
}

/// The number of `length` bytes that stands there; 0 where nothing does.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes.get(at..at + length).unwrap_or_default();
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn piece(source: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Behind what a file can hold there is nothing.
    if i64::try_from(at).is_ok() {
        source.seek(SeekFrom::Start(at))?;
        source.take(length).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Unpacks all members of `source` into `tree`, in the order of its directory.
pub fn unzip(source: impl Read + Seek, tree: &mut Tree<'_>) -> io::Result<()> {
    let mut archive = open(source)?;
    apart(&archive)?;
    readable(&archive)?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(broken)?;
        member(&mut file, tree)?;
    }
    Ok(())
}

/// Refuses members that share bytes: a small archive of them unpacks to any size. What only their headers' extra fields could share, less than
/// 64 KiB each, is not looked for.
fn apart<R: Read + Seek>(archive: &ZipArchive<R>) -> io::Result<()> {
    let begins = archive.central_directory_start();
    let place = |index| {
        let entry = archive.by_index_data(index).map_err(broken)?;
        let length = HEADER + entry.name_raw().len() as u64;
        Ok((entry.header_start(), entry.header_start().saturating_add(length).saturating_add(entry.compressed_size())))
    };
    let mut places = (0..archive.len()).map(place).collect::<io::Result<Vec<(u64, u64)>>>()?;
    places.sort_unstable();
    let next = places.iter().skip(1).map(|(begin, _)| *begin).chain([begins]);
    match places.iter().zip(next).find(|((_, end), next)| end > next) {
        Some(((at, _), _)) => Err(refused(format!("the member at byte {at} shares its bytes with another"))),
        None => Ok(()),
    }
}

/// Refuses an archive with a member that cannot be unpacked, before the first is.
fn readable<R: Read + Seek>(archive: &ZipArchive<R>) -> io::Result<()> {
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(broken)?;
        let name = || String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.encrypted() {
            return Err(encrypted(&name()));
        }
        // Its constants are only of methods that the crate itself was built with.
        #[allow(deprecated)]
        let method = entry.compression().to_u16();
        if !METHODS.contains(&method) {
            return Err(unreadable(&name(), method));
        }
    }
    Ok(())
}

/// What is said of a member that is packed in a way that nothing here unpacks (PKWARE APPNOTE 4.4.5).
pub fn unreadable(name: &str, method: u16) -> io::Error {
    let method = match method {
        1 => "Shrink".into(),
        2..=5 => "Reduce".into(),
        6 | 10 => "Implode".into(),
        14 => "LZMA".into(),
        20 | 93 => "Zstandard".into(),
        95 => "XZ".into(),
        97 => "WavPack".into(),
        98 => "PPMd".into(),
        other => format!("method {other}"),
    };
    refused(format!("{name} is packed with {method}: make the archive again with ordinary Deflate"))
}

/// What is said of a member that only a password opens.
pub fn encrypted(name: &str) -> io::Error {
    refused(format!("{name} is encrypted: make the archive without a password"))
}

fn member<R: Read>(file: &mut ZipFile<'_, R>, tree: &mut Tree<'_>) -> io::Result<()> {
    let name = name(file)?;
    let mode = file.unix_mode();
    let mtime = file.last_modified().map_or(0, seconds);
    let meta = |else_mode| Meta { mode: mode.unwrap_or(else_mode), owner: None, mtime };
    if name.ends_with('/') {
        return tree.folder(&name, meta(0o755));
    }
    if file.is_symlink() {
        let mut target = String::new();
        file.take(LINK).read_to_string(&mut target)?;
        return tree.symlink(&name, meta(0o777), &target);
    }
    const KIND: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    if mode.is_some_and(|mode| mode & KIND != 0 && mode & KIND != REGULAR) {
        return Err(refused(format!("{name} is a device")));
    }
    tree.file(&name, meta(0o644), file.size(), file)?;
    // The reader checks the CRC only once it is asked for what lies behind the last byte.
    match file.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(refused(format!("{name} is longer than its header says"))),
    }
}

/// The name of a member. Programs of old Windows (Compress-Archive of PowerShell 5.1 too) part it by backslashes, which no standard allows; one
/// slash shows that it is not theirs.
fn name<R: Read>(file: &ZipFile<'_, R>) -> io::Result<String> {
    let name = file.name().map_err(broken)?;
    // In the letters of another system that byte may be half of one.
    let is_theirs = file.system() == System::Dos && std::str::from_utf8(file.name_raw()).is_ok();
    if !is_theirs || !name.contains('\\') || name.contains('/') {
        return Ok(name.into_owned());
    }
    match name.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => Err(refused(format!("{name} would lie outside of it"))),
        _ => Ok(name.replace('\\', "/")),
    }
}

fn broken(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => refused(other.to_string()),
    }
}

/// Seconds since 1970 of a date and time as they stand in a header; 0 where they are none.
pub fn seconds_of(date: u16, time: u16) -> i64 {
    DateTime::try_from_msdos(date, time).map_or(0, seconds)
}

/// Seconds since 1970, taking the zip's zoneless time for UTC.
fn seconds(time: DateTime) -> i64 {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), i64::from(time.day()));
    // Years begin in March, so that the leap day is the last of them.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let of_day = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    days * 86_400 + of_day
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of `count` empty members, and an end that counts them in 64 bits; `more` is added to each name.
    fn directory(count: u32, more: &str) -> Vec<u8> {
        let mut zip = Vec::new();
        for number in 0..count {
            zip.extend(b"PK\x01\x02\x14\0\x14\0");
            zip.extend([0; 20]);
            zip.extend((8 + more.len() as u16).to_le_bytes());
            zip.extend([0; 16]);
            zip.extend(format!("{number:08}{more}").bytes());
        }
        let length = zip.len() as u64;
        zip.extend(b"PK\x06\x06");
        zip.extend(44_u64.to_le_bytes());
        zip.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for word in [u64::from(count), u64::from(count), length, 0] {
            zip.extend(word.to_le_bytes());
        }
        zip.extend(b"PK\x06\x07\0\0\0\0");
        zip.extend(length.to_le_bytes());
        zip.extend([1, 0, 0, 0]);
        zip.extend(b"PK\x05\x06\0\0\0\0");
        zip.extend([0xff; 12]);
        zip.extend([0, 0]);
        zip
    }

    #[test]
    fn too_many_members_are_refused_by_their_count() {
        let error = open(io::Cursor::new(directory(100_001, ""))).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "it has 100001 members, more than 100000");
        assert_eq!(open(io::Cursor::new(directory(100_000, ""))).unwrap().len(), 100_000);
        // Names that are as long as names can be, and an end that keeps silent about that.
        let mut long = directory(600, &"n".repeat(60_000));
        assert!(open(io::Cursor::new(&long)).map(drop).unwrap_err().to_string().ends_with("more than 33554432"));
        let end = long.len() - 98;
        long[end + 40..end + 48].fill(0);
        assert!(open(io::Cursor::new(&long)).map(drop).unwrap_err().to_string().ends_with("more than 33554432"));
    }

    #[test]
    fn dates() {
        let at = |year, month, day| seconds(DateTime::from_date_and_time(year, month, day, 1, 2, 4).unwrap());
        assert_eq!(at(1980, 1, 1), 315_532_800 + 3724);
        assert_eq!(at(2024, 2, 29), 1_709_164_800 + 3724);
        assert_eq!(at(2024, 3, 1), 1_709_251_200 + 3724);
    }
}
