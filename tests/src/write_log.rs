//! What a machine wrote to its card: the log that QEMU's `blklogwrites` keeps, and the files that the written blocks belong to.
//!
//! The log's format is that of the kernel's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::boot_card::{BootCard, Part};
use crate::tool::{self, Doing, Failure, Outcome, text};

const MAGIC: u64 = 0x006a_7366_7773_6872;
/// A range was discarded: the entry has no data behind it.
const DISCARD: u64 = 4;
const SECTOR: u64 = 512;
/// debugfs takes lines of 8 KiB at most.
const AT_ONCE: usize = 500;

/// A write to the card, or a discard: bytes from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// Every write of a log, in order.
pub fn read(path: &Path) -> Outcome<Vec<Write>> {
    let mut log = BufReader::new(File::open(path).doing(path.display())?);
    let first = header(&mut log, path)?;
    if first[0] != MAGIC {
        return Err(Failure::new(format!("{} is no log of writes", path.display())));
    }
    let mut writes = Vec::new();
    for entry in 1..=first[2] {
        log.seek_relative(SECTOR as i64 - 32).doing(path.display())?;
        let fields = header(&mut log, path).doing(format!("entry {entry}"))?;
        let [sector, sectors, flags, _] = fields;
        if sectors > 0 {
            writes.push(Write { start: sector * SECTOR, length: sectors * SECTOR });
        }
        let behind = if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        log.seek(SeekFrom::Current(behind as i64)).doing(path.display())?;
    }
    Ok(writes)
}

/// Four little-endian numbers of 64 bits: superblock and entries both begin with them.
fn header(log: &mut impl Read, path: &Path) -> Outcome<[u64; 4]> {
    let mut bytes = [0; 32];
    log.read_exact(&mut bytes).doing(path.display())?;
    let number = |at: usize| bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Ok([number(0), number(8), number(16), number(24)])
}

/// Those of `writes` that begin in a partition.
pub fn within(writes: &[Write], part: Part) -> Vec<Write> {
    writes.iter().filter(|write| (part.start..part.end()).contains(&write.start)).copied().collect()
}

/// How often each sector of `length` bytes from `start` was written, as the largest of these numbers.
pub fn most_often(writes: &[Write], start: u64, length: u64) -> usize {
    let sectors = (start..start + length).step_by(SECTOR as usize);
    let times = |at: u64| writes.iter().filter(|write| (write.start..write.start + write.length).contains(&at)).count();
    sectors.map(times).max().unwrap_or(0)
}

/// What belongs to no file now: the file system's own tables, and blocks that were freed meanwhile.
const TABLES: &str = "(tables)";
/// Its journal, and blocks that are kept for its growth.
const JOURNAL: &str = "(journal)";

/// Whether a name that [`files`] gives is no file's.
pub fn is_own(name: &str) -> bool {
    [TABLES, JOURNAL].contains(&name)
}

/// The files of partition 2 or 3 that hold written blocks now, and how many blocks.
pub fn files(card: &BootCard, number: usize, writes: &[Write]) -> Outcome<BTreeMap<String, usize>> {
    let part = card.part(number);
    let size: u64 = card.superblock(number, "Block size")?.parse().doing("block size")?;
    let blocks: BTreeSet<u64> = within(writes, part)
        .iter()
        .flat_map(|write| (write.start - part.start) / size..(write.start + write.length - part.start).div_ceil(size))
        .collect();
    let blocks: Vec<String> = blocks.iter().map(u64::to_string).collect();
    let owners = table(card, number, "icheck", &blocks)?;
    let inodes: BTreeSet<String> = owners.iter().map(|(_, inode)| inode.clone()).collect();
    // The first eleven inodes are the file system's own: journal, reserved descriptors.
    let numbers = inodes.into_iter().filter(|inode| inode.parse::<u64>().is_ok_and(|inode| inode >= 11));
    let paths: BTreeMap<String, String> =
        table(card, number, "ncheck", &numbers.collect::<Vec<_>>())?.into_iter().collect();
    let mut files = BTreeMap::new();
    for (_, inode) in &owners {
        let own = if inode.parse::<u64>().is_ok_and(|inode| inode < 11) { JOURNAL } else { TABLES };
        // debugfs writes what lies at the top with two slashes.
        let path = paths.get(inode).map_or(own.to_owned(), |path| path.replacen("//", "/", 1));
        *files.entry(path).or_insert(0) += 1;
    }
    Ok(files)
}

/// Two columns that a debugfs command prints for its arguments.
fn table(card: &BootCard, number: usize, command: &str, arguments: &[String]) -> Outcome<Vec<(String, String)>> {
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let lines: String = arguments.chunks(AT_ONCE).map(|chunk| format!("{command} {}\n", chunk.join(" "))).collect();
    let script = card.path().with_extension("debugfs");
    fs::write(&script, lines).doing(script.display())?;
    let said = tool::run("debugfs", &["-f", text(&script)?, &card.ext4(number)?]);
    fs::remove_file(&script).doing(script.display())?;
    let pair = |line: &str| {
        let (left, right) = line.split_once('\t')?;
        left.parse::<u64>().ok().map(|_| (left.to_owned(), right.trim().to_owned()))
    };
    Ok(said?.lines().filter_map(pair).collect())
}

/// A FAT32's first data byte on the card, bytes a cluster, and cluster of its root folder (fatgen103, sections 3 and 6).
fn fat_shape(card: &BootCard) -> Outcome<(u64, u64, u64)> {
    let boot = card.part(1);
    let head = card.bytes(boot.start, SECTOR as usize)?;
    let number =
        |at: usize, bytes: usize| head[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let data = boot.start + number(11, 2) * (number(14, 2) + number(16, 1) * number(36, 4));
    Ok((data, number(11, 2) * number(13, 1), number(44, 4)))
}

/// Where the first cluster of the boot partition's root folder lies.
pub fn fat_root(card: &BootCard) -> Outcome<Write> {
    let (data, cluster, root) = fat_shape(card)?;
    Ok(Write { start: data + (root - 2) * cluster, length: cluster })
}

/// Where a file of the boot partition lies.
pub fn fat_extents(card: &BootCard, name: &str) -> Outcome<Vec<Write>> {
    let (data, cluster, _) = fat_shape(card)?;
    let said = tool::run("mshowfat", &["-i", &card.fat()?, &format!("::/{name}")])?;
    let ranges = said.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    let extents = ranges.map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().doing(name)?, last.parse().doing(name)?);
        Ok(Write { start: data + (first - 2) * cluster, length: (last + 1 - first) * cluster })
    });
    let extents: Vec<Write> = extents.collect::<Outcome<_>>()?;
    if extents.is_empty() {
        return Err(Failure::new(format!("mshowfat names no clusters of {name}: {said}")));
    }
    Ok(extents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: [u64; 4], data: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.resize(512 + data, 0);
        bytes
    }

    #[test]
    fn a_log_of_writes_is_read_and_a_torn_one_refused() {
        let path = std::env::temp_dir().join(format!("offspot-write-log-{}", std::process::id()));
        let log = [
            entry([MAGIC, 1, 4, 512], 0),
            entry([2048, 8, 0, 0], 8 * 512),
            entry([0, 0, 1, 0], 0),
            entry([9000, 100, DISCARD, 0], 0),
            entry([2048, 1, 2, 0], 512),
        ]
        .concat();
        fs::write(&path, &log).unwrap();
        let writes = read(&path).unwrap();
        let lengths: Vec<_> = writes.iter().map(|write| (write.start / 512, write.length / 512)).collect();
        assert_eq!(lengths, [(2048, 8), (9000, 100), (2048, 1)]);
        assert_eq!(within(&writes, Part { start: 2048 * 512, length: 4096 }).len(), 2);
        assert_eq!(most_often(&writes, 2048 * 512, 4096), 2);
        assert_eq!(most_often(&writes, 2049 * 512, 2048), 1);
        fs::write(&path, &log[..1000]).unwrap();
        assert!(read(&path).is_err());
        fs::write(&path, &log[512..]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no log"));
        fs::remove_file(path).unwrap();
    }
}
