//! The partition table: one sector, with the numbers that the card is found by.

use super::work::Work;
use super::{Extent, Layout};
use crate::tool::{Doing, Failure, Outcome};

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// FAT32, addressed by sector numbers.
pub const FAT32: u8 = 0x0c;
/// A file system of Linux.
pub const LINUX: u8 = 0x83;

/// Writes the table of a layout. `disk` makes the PARTUUIDs: `{disk:08x}-01` and so on.
pub fn write(work: &Work, disk: u32, layout: &Layout) -> Outcome<()> {
    let mut sector = [0; SECTOR as usize];
    sector[440..444].copy_from_slice(&disk.to_le_bytes());
    let entries = [(FAT32, layout.boot), (LINUX, layout.root), (LINUX, layout.data)];
    for (place, (kind, extent)) in sector[446..].chunks_exact_mut(16).zip(entries) {
        place.copy_from_slice(&entry(kind, extent)?);
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    work.put(0, &sector)
}

/// The partitions of a table, as type and place; unused entries are left out.
///
/// # Errors
/// There is no table.
pub fn read(sector: &[u8; SECTOR as usize]) -> Outcome<Vec<(u8, Extent)>> {
    if sector[510..] != [0x55, 0xaa] {
        return Err(Failure::new("the first sector holds no partition table: it is no image of `image-skel build`"));
    }
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)) * SECTOR;
    let entries = sector[446..510].chunks_exact(16).filter(|entry| entry[4] != 0);
    Ok(entries.map(|entry| (entry[4], Extent { start: word(&entry[8..12]), length: word(&entry[12..16]) })).collect())
}

fn entry(kind: u8, extent: Extent) -> Outcome<[u8; 16]> {
    let sectors =
        |bytes: u64| u32::try_from(bytes / SECTOR).doing("an MBR ends at 2 TiB: lower the sizes in skel.toml");
    let mut entry = [0; 16];
    entry[1..4].copy_from_slice(&cylinders(extent.start / SECTOR));
    entry[4] = kind;
    entry[5..8].copy_from_slice(&cylinders(extent.end() / SECTOR - 1));
    entry[8..12].copy_from_slice(&sectors(extent.start)?.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors(extent.length)?.to_le_bytes());
    Ok(entry)
}

/// Head, sector and cylinder as everyone writes them: 255 heads, 63 sectors; all bits set where that ends.
fn cylinders(sector: u64) -> [u8; 3] {
    let (cylinder, rest) = (sector / (255 * 63), sector % (255 * 63));
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    [(rest / 63) as u8, (rest % 63 + 1) as u8 | (cylinder >> 8 << 6) as u8, cylinder as u8]
}
