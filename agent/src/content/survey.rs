//! How each entry stands, for the plan: looks, and writes nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use nix::sys::stat::{FileStat, lstat};
use offspot_config::settings::{FileEntry, Source, Via};

use super::standing::{Ground, Standing, is_folder, mtime, normal};
use super::{Found, State, is_archive, key, part_name, quarantine, source, trouble};
use crate::fetch;
use crate::host::Host;
use crate::receipts::{FileReceipt, Receipts};
use crate::stream::decode::Packing;
use crate::stream::{untar, unzip, window};

/// Bytes of a filesystem block.
const BLOCK: u64 = 4096;
/// Bytes that are read at once where only headers are wanted; the kernel fetches as many anyway.
const AHEAD: usize = 16 << 10;

/// How each entry stands. `replace`: each `to` that is to be placed again. An entry done before costs one `lstat`; nothing is fetched.
pub fn survey(host: &Host, files: &[FileEntry], receipts: &Receipts, replace: &[String]) -> Vec<Found> {
    let replace: Vec<String> = replace.iter().map(|path| normal(path)).collect();
    let mut ground = None;
    let look =
        |entry: &FileEntry| Found { entry: entry.clone(), state: state(host, entry, receipts, &replace, &mut ground) };
    files.iter().map(look).collect()
}

fn state<'a>(
    host: &'a Host,
    entry: &FileEntry,
    receipts: &'a Receipts,
    replace: &'a [String],
    ground: &mut Option<io::Result<Ground<'a>>>,
) -> State {
    let key = key(entry);
    let receipt = receipts.file(&entry.to).filter(|receipt| receipt.entry == key && !replace.contains(&entry.to));
    if let Some(receipt) = receipt {
        return State::Done { changed_since: changed(host, entry, &receipt) };
    }
    let ground = ground.get_or_insert_with(|| Ground::new(host, &host.data(), receipts, replace));
    let standing = match ground {
        Ok(ground) => ground.standing(entry, &key),
        // No data partition yet: what it will hold is for the card to say.
        Err(_) => Ok(Standing::Free),
    };
    match standing {
        Ok(Standing::Named(_) | Standing::Taken) => State::ToPlace { bytes: 0, peak: 0, inodes: 0, memory: 0 },
        Ok(Standing::Merge { .. }) => {
            let earlier = receipts.file(&entry.to);
            let lists: Vec<&str> = earlier.iter().flat_map(FileReceipt::lists).chain([key.as_str()]).collect();
            cost(host, entry, ground.as_ref().map_or(0, |ground| ground.ours.memory(&lists)))
        }
        Ok(Standing::Free | Standing::Replace) => cost(host, entry, 0),
        Err(error) => State::Refused(trouble::problem(&entry.to, &error)),
    }
}

/// What has become of a file: words that `since it was placed` follows.
fn changed(host: &Host, entry: &FileEntry, receipt: &FileReceipt) -> Option<String> {
    let Ok(stat) = lstat(&host.path(&entry.to)) else {
        return Some("removed".into());
    };
    let same = |stat: &FileStat| (stat.st_size.unsigned_abs(), mtime(stat)) == (receipt.bytes, receipt.mtime);
    let as_placed = if is_archive(entry.via) { is_folder(&stat) || is_link(&stat) } else { same(&stat) };
    (!as_placed).then(|| "changed".into())
}

fn is_link(stat: &FileStat) -> bool {
    stat.st_mode & 0o170_000 == 0o120_000
}

/// What placing it takes; `held`: memory beside that of its decoder.
fn cost(host: &Host, entry: &FileEntry, held: u64) -> State {
    let file = source::on_card(host, entry).and_then(|path| source::open_file(host, &path).ok()?.file);
    let length = match (&entry.source, &file) {
        (Source::Content(_), _) => source::inline(entry).map_or(0, |bytes| bytes.len() as u64),
        (_, Some(file)) => file.metadata().map_or(0, |meta| meta.len()),
        (_, None) => entry.size.unwrap_or(0),
    };
    let fetched = file.is_none();
    // What an earlier run has fetched of it is on the card already.
    let there = if fetched { begun(host, entry).saturating_add(quarantine::length_on(host, &entry.to)) } else { 0 };
    let stored = is_archive(entry.via) && fetched && there > 0;
    let length = if is_archive(entry.via) { length } else { length.saturating_sub(there) };
    let memory = if is_archive(entry.via) { decoder(file.as_ref(), entry.via).saturating_add(held) } else { 0 };
    let (bytes, inodes) = match (file, is_archive(entry.via)) {
        (Some(file), true) => inventory(file, entry.via, length),
        _ => (length, 1),
    };
    let part = if stored || entry.via == Via::Zip && fetched { length.saturating_sub(there) } else { 0 };
    let blocks = bytes.saturating_add(part).div_ceil(BLOCK);
    let peak = blocks.saturating_add(inodes.saturating_sub(1)).saturating_mul(BLOCK);
    State::ToPlace { bytes, peak, inodes, memory }
}

/// Memory that its decoder takes: as its first bytes say, or where it is yet to be fetched, as much as its kind may ever take.
fn decoder(file: Option<&File>, via: Via) -> u64 {
    let told = file.and_then(|file| {
        let head = head(file).ok()?;
        window::memory(Packing::sniff(&head), &head)
    });
    let kind = match via {
        Via::Gztar => Packing::Gz,
        Via::Bztar => Packing::Bz2,
        Via::Xztar => Packing::Xz,
        Via::Zstdtar => Packing::Zst,
        Via::Direct | Via::Base64 | Via::Tar | Via::Zip => Packing::Plain,
    };
    told.unwrap_or_else(|| window::most(kind))
}

fn begun(host: &Host, entry: &FileEntry) -> u64 {
    fetch::part::begun(&host.state().join("fetch").join(part_name(entry, &key(entry))))
}

/// Bytes and members of an archive on the card. One that is packed as a whole tells little without being unpacked: then its own length is the
/// least, and the room left is the limit while it is unpacked.
fn inventory(file: File, via: Via, length: u64) -> (u64, u64) {
    let known = match (via, packing(&file)) {
        (Via::Zip, _) => of_zip(file),
        (_, Ok(Packing::Plain)) => of_tar(file),
        (_, Ok(Packing::Gz)) => of_gzip(file).map(|bytes| (bytes.max(length), 1)),
        _ => Ok((length, 1)),
    };
    known.unwrap_or((length, 1))
}

fn packing(file: &File) -> io::Result<Packing> {
    Ok(Packing::sniff(&head(file)?))
}

fn head(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(window::HEAD as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

fn of_zip(file: File) -> io::Result<(u64, u64)> {
    let archive = unzip::open(BufReader::with_capacity(AHEAD, file))?;
    let mut bytes = 0_u64;
    for index in 0..archive.len() {
        bytes = bytes.saturating_add(archive.by_index_data(index)?.size());
    }
    Ok((bytes, archive.len() as u64 + 1))
}

fn of_tar(file: File) -> io::Result<(u64, u64)> {
    let mut archive = tar::Archive::new(Leaps { file: BufReader::with_capacity(AHEAD, file), at: 0 });
    let (mut bytes, mut members) = (0_u64, 1_u64);
    // Raw: else the length of an extended header would decide how much memory is taken.
    for entry in archive.entries_with_seek()?.raw(true) {
        let header = entry?;
        let header = header.header();
        let kind = header.entry_type();
        if kind.is_file() {
            bytes = bytes.saturating_add(header.entry_size()?);
        }
        members += u64::from(!untar::extends(kind));
    }
    Ok((bytes, members))
}

/// A file that is left out in part: what its buffer has of it costs no call.
struct Leaps {
    file: BufReader<File>,
    at: u64,
}

impl Read for Leaps {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Leaps {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Current(by) => {
                self.file.seek_relative(by)?;
                self.at.saturating_add_signed(by)
            }
            to => self.file.seek(to)?,
        };
        Ok(self.at)
    }
}

/// What the last member says of its length, of which it holds 32 bits.
fn of_gzip(mut file: File) -> io::Result<u64> {
    let mut length = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut length)?;
    Ok(u64::from(u32::from_le_bytes(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_headers_are_no_members() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        tar.append_pax_extensions([("SCHILY.xattr.user.note", b"x".as_slice())]).unwrap();
        tar.append_data(&mut header, "short", b"x".as_slice()).unwrap();
        tar.append_data(&mut header, "n".repeat(200), b"x".as_slice()).unwrap();
        let path = std::env::temp_dir().join(format!("offspot-inventory-{}", std::process::id()));
        std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
        // Two files, and the folder that they go to.
        assert_eq!(of_tar(File::open(&path).unwrap()).unwrap(), (2, 3));
        std::fs::remove_file(path).unwrap();
    }
}
