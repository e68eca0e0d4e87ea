//! The block map: which blocks a flasher must write, with their checksums, as bmap-tools has it, format 2.0.

use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::{allocated, digest};
use crate::tool::{Doing, Outcome};

const BLOCK: u64 = 4096;

/// The map of an image.
pub(super) fn of(image: &Path) -> Outcome<String> {
    let mut file = File::open(image).doing(image.display())?;
    let length = file.metadata().doing(image.display())?.len();
    let blocks = |range: Range<u64>| range.start / BLOCK..range.end.div_ceil(BLOCK);
    let used = allocated::merged(allocated::ranges(image)?.into_iter().map(blocks).collect());
    let mut ranges = String::new();
    for range in &used {
        let sum = sum(&mut file, range, length).doing(image.display())?;
        let (first, last) = (range.start, range.end - 1);
        let place = if first == last { first.to_string() } else { format!("{first}-{last}") };
        // Writing to a String cannot fail.
        let _ = writeln!(ranges, "        <Range chksum=\"{sum}\"> {place} </Range>");
    }
    let mapped = used.iter().map(|range| range.end - range.start).sum();
    let zero = "0".repeat(64);
    // Its own checksum is taken with zeros in its place.
    let sum = digest(&mut document(length, mapped, &ranges, &zero).as_bytes()).doing(image.display())?;
    Ok(document(length, mapped, &ranges, &sum))
}

fn sum(file: &mut File, range: &Range<u64>, length: u64) -> std::io::Result<String> {
    let (start, end) = (range.start * BLOCK, (range.end * BLOCK).min(length));
    file.seek(SeekFrom::Start(start))?;
    digest(&mut file.take(end - start))
}

fn document(length: u64, mapped: u64, ranges: &str, sum: &str) -> String {
    let blocks = length.div_ceil(BLOCK);
    format!(
        "<?xml version=\"1.0\" ?>
<bmap version=\"2.0\">
    <ImageSize> {length} </ImageSize>
    <BlockSize> {BLOCK} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {sum} </BmapFileChecksum>
    <BlockMap>
{ranges}    </BlockMap>
</bmap>
"
    )
}
