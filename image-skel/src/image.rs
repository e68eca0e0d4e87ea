//! From two trees to one file that is flashed: MBR, `bootfs`, `rootfs`, `data`. Made by the file systems' own tools, as any user,
//! without a mount; the same bytes whenever, wherever and by whomever it is made.

use std::path::Path;

use crate::skel::Partitions;
use crate::tool::Outcome;
use crate::tree::Tree;

pub mod ext4;
pub mod fat;
pub mod mbr;
pub mod work;

use work::Work;

const MIB: u64 = 1 << 20;
/// Partitions start on multiples of this: at least as large as the erase blocks of cards.
const ALIGN: u64 = 8 * MIB;

/// Where something lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub length: u64,
}

impl Extent {
    /// First byte behind it.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Where the three partitions lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// p1, FAT32 `bootfs`.
    pub boot: Extent,
    /// p2, ext4 `rootfs`.
    pub root: Extent,
    /// p3, ext4 `data`; nothing lies behind it.
    pub data: Extent,
}

impl Layout {
    /// One behind the other, each start aligned; the first 8 MiB hold the table alone.
    pub fn of(partitions: &Partitions) -> Layout {
        let behind = |end: u64, mib: u32| Extent { start: end.next_multiple_of(ALIGN), length: u64::from(mib) * MIB };
        let boot = behind(ALIGN, partitions.boot_mib);
        let root = behind(boot.end(), partitions.root_mib);
        let data = behind(root.end(), partitions.data_mib);
        Layout { boot, root, data }
    }

    /// Length of the whole image in bytes.
    pub fn length(&self) -> u64 {
        self.data.end()
    }
}

/// Writes the image to `out`, sparse. It appears there whole or not at all; what was there is replaced. No time in it lies behind `epoch`,
/// in seconds since 1970.
///
/// # Errors
/// Something does not fit, cannot be said in the file system's terms, or fails its own checker (`fsck.fat`, `e2fsck`).
pub fn write(out: &Path, partitions: &Partitions, boot: &Tree, root: &Tree, epoch: i64) -> Outcome<Layout> {
    let layout = Layout::of(partitions);
    let work = Work::begin(out, layout.length(), epoch)?;
    mbr::write(&work, partitions.disk_id, &layout)?;
    fat::write(&work, &fat::Volume { label: "bootfs", id: partitions.boot_id, at: layout.boot }, boot)?;
    ext4::write(&work, &ext4::Volume::root(&partitions.root_uuid, layout.root), root)?;
    ext4::write(&work, &ext4::Volume::data(&partitions.data_uuid, layout.data), &Tree::default())?;
    work.finish()?;
    Ok(layout)
}
