//! The partition table as bytes: where partition 3 ends, where it should end, and the writes that lead there. No device is touched here.

use std::io::{self, Read, Seek, SeekFrom};

use super::gpt;

/// The data partition's number.
pub(crate) const DATA: u32 = 3;
/// The end of the partition lies on a multiple of this many bytes.
const ALIGN: u64 = 1 << 20;
/// At most this many bytes stay free behind it: cards sold as alike differ a little, and a copy must fit on the next one.
const MARGIN: u64 = 64 << 20;
/// Linux reads 32 bits of sectors from an MBR.
const MBR_SECTORS: u64 = u32::MAX as u64;

/// Size of a disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Logical sectors.
    pub sectors: u64,
    /// Bytes of a logical sector.
    pub sector: u64,
}

impl Shape {
    /// First sector behind a partition 3 that has grown.
    pub fn target(&self) -> u64 {
        let bytes = self.sectors.saturating_mul(self.sector);
        let end = bytes - (bytes / 100).min(MARGIN);
        (end - end % ALIGN) / self.sector
    }
}

/// Where a partition lies, in logical sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub start: u64,
    pub sectors: u64,
}

impl Extent {
    /// First sector behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.sectors)
    }
}

/// One step of changing the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// These bytes at this byte of the disk; whole sectors.
    Write { at: u64, bytes: Vec<u8> },
    /// Everything so far is on the card before the next write.
    Sync,
}

/// Why partition 3 stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// Another partition lies behind it.
    NotLast,
    /// A partition ends at this sector, behind the end of the disk or of what the table may use.
    PastEnd(u64),
}

/// What to do with the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Partition 3 as the table has it.
    pub now: Extent,
    /// Partition 3 after the steps.
    pub then: Extent,
    /// The steps; none when the table is as it should be.
    pub steps: Vec<Step>,
    /// What was damaged, and is put right by the steps.
    pub repairs: Vec<&'static str>,
    /// Why it does not grow.
    pub hindrance: Option<Hindrance>,
}

/// Why nothing can be decided.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The disk could not be read.
    Read(io::Error),
    /// There is no partition 3, or it holds other partitions.
    NoData,
    /// There is no table that could be believed.
    Damaged(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Read(error)
    }
}

/// Reads the table of a disk and decides.
pub(crate) fn decide(disk: &mut (impl Read + Seek), shape: Shape) -> Result<Decision, Trouble> {
    let first = Mbr::parse(read_at(disk, 0, shape.sector as usize)?)?;
    if first.entries().iter().any(|entry| entry.kind == PROTECTIVE) {
        gpt::decide(disk, shape, &first)
    } else {
        first.decide(shape)
    }
}

/// Exactly `length` bytes from byte `at`.
pub(super) fn read_at(disk: &mut (impl Read + Seek), at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What keeps partition 3 from growing, given all other partitions and the first sector that none may use.
pub(super) fn hindrance(data: Extent, others: &[Extent], limit: u64) -> Option<Hindrance> {
    let all = others.iter().chain([&data]);
    match all.map(Extent::end).max().filter(|end| *end > limit) {
        Some(end) => Some(Hindrance::PastEnd(end)),
        None if others.iter().any(|other| other.end() > data.start) => Some(Hindrance::NotLast),
        None => None,
    }
}

/// Partition type of the one entry that stands for a GPT.
pub(super) const PROTECTIVE: u8 = 0xee;

/// The first sector of a disk, whole.
pub(super) struct Mbr {
    bytes: Vec<u8>,
}

/// One of its four entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub kind: u8,
    pub extent: Extent,
}

impl Mbr {
    fn parse(bytes: Vec<u8>) -> Result<Mbr, Trouble> {
        let damaged = |why: &str| Err(Trouble::Damaged(why.into()));
        if bytes.get(510..512) != Some(&[0x55, 0xaa]) {
            return damaged("its first sector does not end as a partition table does");
        }
        let marks = (0..4).filter_map(|at| bytes.get(446 + 16 * at));
        if marks.into_iter().any(|mark| mark & 0x7f != 0) {
            return damaged("its first sector holds something else than a partition table");
        }
        Ok(Mbr { bytes })
    }

    /// The four entries; an unused one has no sectors.
    pub(super) fn entries(&self) -> [Entry; 4] {
        [0, 1, 2, 3].map(|at| {
            let entry = &self.bytes[446 + 16 * at..462 + 16 * at];
            let word =
                |at: usize| u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]));
            let used = entry[4] != 0;
            Entry { kind: entry[4], extent: Extent { start: word(8), sectors: if used { word(12) } else { 0 } } }
        })
    }

    fn decide(&self, shape: Shape) -> Result<Decision, Trouble> {
        let entries = self.entries();
        let data = entries[DATA as usize - 1];
        // An extended partition is a box for others: the kernel's partition 3 would be two sectors of it.
        if data.extent.sectors == 0 || matches!(data.kind, 0x05 | 0x0f | 0x85) {
            return Err(Trouble::NoData);
        }
        let others = [entries[0], entries[1], entries[3]].map(|entry| entry.extent);
        let others: Vec<Extent> = others.into_iter().filter(|extent| extent.sectors > 0).collect();
        let hindrance = hindrance(data.extent, &others, shape.sectors);
        let end = shape.target().min(MBR_SECTORS).max(data.extent.end());
        let then = match hindrance {
            None => extended(data.extent, end),
            Some(_) => data.extent,
        };
        let steps = if then == data.extent { Vec::new() } else { vec![self.with(DATA as usize - 1, then), Step::Sync] };
        Ok(Decision { now: data.extent, then, steps, repairs: Vec::new(), hindrance })
    }

    /// The sector with another length for one entry, and nothing else changed but the old cylinder numbers of its end.
    pub(super) fn with(&self, entry: usize, extent: Extent) -> Step {
        let mut bytes = self.bytes.clone();
        let at = 446 + 16 * entry;
        let sectors = u32::try_from(extent.sectors).unwrap_or(u32::MAX);
        bytes[at + 5..at + 8].copy_from_slice(&cylinders(extent.end().saturating_sub(1)));
        bytes[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        Step::Write { at: 0, bytes }
    }
}

/// The same start, another end.
pub(super) fn extended(extent: Extent, end: u64) -> Extent {
    Extent { start: extent.start, sectors: end.saturating_sub(extent.start) }
}

/// Cylinder, head and sector of a sector number, as everyone writes them: 255 heads, 63 sectors, and all bits set where that ends.
fn cylinders(sector: u64) -> [u8; 3] {
    let (cylinder, rest) = (sector / (255 * 63), sector % (255 * 63));
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    let number = rest % 63 + 1;
    [(rest / 63) as u8, (number | (cylinder >> 8) << 6) as u8, cylinder as u8]
}
