//! Which bytes of an image must reach the card. What the file systems' own tables have in use counts, not what happens to be zero: a
//! block that is left out keeps what the card held before, and an old journal or inode table under a new file system is taken for its own.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::mbr::{self, FAT32, LINUX, SECTOR};
use crate::image::{Extent, ext4, work};
use crate::tool::{Doing, Failure, Outcome, text};

/// Ahead of the partitions this much is written: the table, and where another card's GPT or boot loader would lie.
const HEAD: u64 = 1 << 20;

/// The byte ranges in use, in order, none touching the next; everything else may keep what the card held.
///
/// # Errors
/// The image cannot be read as one of ours.
pub fn ranges(image: &Path) -> Outcome<Vec<Range<u64>>> {
    let file = File::open(image).doing(image.display())?;
    let mut sector = [0; SECTOR as usize];
    file.read_exact_at(&mut sector, 0).doing(image.display())?;
    let mut ranges: Vec<_> = std::iter::once(0..HEAD).collect();
    for (kind, at) in mbr::read(&sector).doing(image.display())? {
        let used = match kind {
            FAT32 => fat(&file, at),
            LINUX => ext4(image, at),
            other => Err(Failure::new(format!("a partition of type {other:#04x} is none of ours"))),
        };
        ranges.extend(used.doing(image.display())?);
    }
    Ok(merged(ranges))
}

/// Sorted, with those that touch made one.
pub(super) fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Boot sector, tables, and clusters in use (Microsoft's FAT specification, "BPB" and "FAT Entry").
fn fat(file: &File, at: Extent) -> Outcome<Vec<Range<u64>>> {
    let mut boot = [0; SECTOR as usize];
    file.read_exact_at(&mut boot, at.start).doing("FAT")?;
    let number = |range: Range<usize>| boot[range].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (sector, reserved, tables) = (number(11..13), number(14..16), number(16..17));
    let (cluster, table) = (number(13..14) * sector, number(36..40) * sector);
    let content = at.start + reserved * sector + tables * table;
    if cluster == 0 || table == 0 || content >= at.end() {
        return Err(Failure::new("its boot partition is no FAT32"));
    }
    let clusters = (at.end() - content) / cluster;
    let mut entries = vec![0; table as usize];
    file.read_exact_at(&mut entries, at.start + reserved * sector).doing("FAT")?;
    let used = entries.chunks_exact(4).skip(2).zip(0..clusters).filter(|(entry, _)| {
        // The upper four bits are not the entry's.
        entry[..3] != [0; 3] || entry[3] & 0x0f != 0
    });
    let used = used.map(|(_, place)| content + place * cluster..content + (place + 1) * cluster);
    Ok(std::iter::once(at.start..content).chain(used).collect())
}

/// All blocks but the free ones: content, tables, journal, whether zero or not.
fn ext4(image: &Path, at: Extent) -> Outcome<Vec<Range<u64>>> {
    let image = std::path::absolute(image).doing(image.display())?;
    let image = text(&image)?;
    if image.contains('?') {
        return Err(Failure::new("e2fsprogs would read an offset from its name: take the `?` out of it"));
    }
    let device = format!("{image}?offset={}", at.start);
    let ask =
        |what: &str| -> Outcome<String> { Ok(work::run(work::bare("debugfs")?.args(["-R", what, &device]))?.out) };
    let about = ask("stats -h")?;
    let (size, count) = (ext4::field(&about, "Block size:")?, ext4::field(&about, "Block count:")?);
    // `debugfs` takes no block 0 for one; it holds the superblock.
    let bitmap = ask(&format!("testb 1 {}", count - 1))?;
    let free: Vec<u64> = bitmap.lines().filter_map(free_block).collect();
    let (said, listed) = (ext4::field(&about, "Free blocks:")?, free.len() as u64);
    if said != listed || bitmap.lines().count() as u64 != count - 1 {
        let what = "it was in use, or is damaged: build it again";
        return Err(Failure::new(format!("its superblock counts {said} free blocks, its bitmaps {listed}: {what}")));
    }
    let mut used = Vec::new();
    let mut from = at.start;
    for gap in merged(free.into_iter().map(|block| block..block + 1).collect()) {
        used.push(from..at.start + gap.start * size);
        from = at.start + gap.end * size;
    }
    used.push(from..at.end());
    Ok(used)
}

/// The number in `Block 7 not in use`.
fn free_block(line: &str) -> Option<u64> {
    line.strip_prefix("Block ")?.strip_suffix(" not in use")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(merged(vec![8..9, 0..2, 2..4, 3..5, 7..7]), [0..5, 8..9]);
        assert_eq!(free_block("Block 7 not in use"), Some(7));
        assert_eq!(free_block("Block 7 marked in use"), None);
    }
}
