//! GUID partition tables. Two copies, one at each end of the disk: at any cut one of them is whole, and says where to go on.

use std::io::{self, Read, Seek};

use super::table::{self, DATA, Decision, Extent, Mbr, PROTECTIVE, Shape, Step, Trouble, read_at};

/// No table in the field is larger; a damaged count must not take the memory.
const MOST: u64 = 1 << 20;

/// One copy that is whole: header and entries bear their checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    /// The sector of the header.
    header: Vec<u8>,
    /// All entries, filled up to whole sectors.
    entries: Vec<u8>,
}

/// What stands at a header's place.
enum Found {
    Whole(Copy),
    /// The header is whole, its entries are not.
    Header(Vec<u8>),
    Nothing,
}

/// Decides about a disk whose first sector is that of a GPT.
pub(super) fn decide(disk: &mut (impl Read + Seek), shape: Shape, first: &Mbr) -> Result<Decision, Trouble> {
    let primary = find(disk, shape, 1)?;
    let backup = backup(disk, shape, first, &primary)?;
    let mut repairs = Vec::new();
    let table = match (&primary, &backup) {
        (Found::Whole(primary), Some(backup)) if primary.same_table(backup) => primary,
        (Found::Whole(primary), _) => {
            repairs.push("the second copy of the partition table");
            primary
        }
        (_, Some(backup)) => {
            repairs.push("the first copy of the partition table");
            backup
        }
        (_, None) => return Err(Trouble::Damaged("both copies of it are damaged".into())),
    };
    let (now, others) = table.partitions()?;
    let limit = shape.sectors.saturating_sub(1 + table.entry_sectors(shape));
    let hindrance = table::hindrance(now, &others, limit);
    let mut then = now;
    if hindrance.is_none() {
        then = table::extended(now, shape.target().min(limit).max(now.end()));
    }
    let mut decision = Decision { now, then, steps: Vec::new(), repairs, hindrance };
    // Where a partition lies on the backup's place there is nothing that could be written safely.
    if matches!(decision.hindrance, Some(table::Hindrance::PastEnd(_))) {
        decision.repairs.clear();
        return Ok(decision);
    }
    let home = primary.entries_at(shape);
    if others.iter().chain([&now]).any(|extent| extent.start < home + table.entry_sectors(shape)) {
        return Err(Trouble::Damaged("a partition lies on it".into()));
    }
    if then != now || !decision.repairs.is_empty() {
        let whole = if let Found::Whole(copy) = &primary { Some(copy) } else { None };
        decision.steps = steps(table, whole, then, home, shape);
    }
    decision.steps.extend(protective(first, shape, table, &decision.steps));
    Ok(decision)
}

/// The backup of this table: where the primary says, where the first sector says the disk ended, at the end of the disk.
fn backup(disk: &mut (impl Read + Seek), shape: Shape, first: &Mbr, primary: &Found) -> io::Result<Option<Copy>> {
    let last = shape.sectors.saturating_sub(1);
    let header = match primary {
        Found::Whole(copy) => return Ok(find(disk, shape, word(&copy.header, 32))?.whole()),
        Found::Header(header) => Some(header),
        Found::Nothing => None,
    };
    let protected = first.entries().iter().find(|entry| entry.kind == PROTECTIVE).map(|entry| entry.extent.end());
    // A cut while the primary was written leaves the new backup at the end, and the old one still at its place: the newer goes first.
    let places = match header {
        Some(header) => [Some(last), Some(word(header, 32))],
        None => [protected.map(|end| end.saturating_sub(1)), Some(last)],
    };
    for place in places.into_iter().flatten() {
        if let Some(copy) = find(disk, shape, place)?.whole()
            && header.is_none_or(|header| header.get(56..72) == copy.header.get(56..72))
        {
            return Ok(Some(copy));
        }
    }
    Ok(None)
}

/// Reads what stands at a sector.
fn find(disk: &mut (impl Read + Seek), shape: Shape, at: u64) -> io::Result<Found> {
    if at == 0 || at >= shape.sectors {
        return Ok(Found::Nothing);
    }
    let header = read_at(disk, at * shape.sector, shape.sector as usize)?;
    if !header_is_whole(&header, at) {
        return Ok(Found::Nothing);
    }
    let (place, length) = (word(&header, 72), entry_bytes(&header));
    let sectors = length.div_ceil(shape.sector);
    if length == 0 || length > MOST || place < 2 || place.saturating_add(sectors) > shape.sectors {
        return Ok(Found::Header(header));
    }
    let entries = read_at(disk, place * shape.sector, (sectors * shape.sector) as usize)?;
    match crc32fast::hash(&entries[..length as usize]) == half(&header, 88) {
        true => Ok(Found::Whole(Copy { header, entries })),
        false => Ok(Found::Header(header)),
    }
}

fn header_is_whole(header: &[u8], at: u64) -> bool {
    let size = half(header, 12) as usize;
    if !header.starts_with(b"EFI PART") || size < 92 || size > header.len() || word(header, 24) != at {
        return false;
    }
    let entry = half(header, 84);
    entry >= 128 && entry.is_multiple_of(128) && header_sum(header) == half(header, 16)
}

/// The header's checksum, taken as if its own field were zero.
fn header_sum(header: &[u8]) -> u32 {
    let mut bytes = header[..half(header, 12) as usize].to_vec();
    bytes[16..20].fill(0);
    crc32fast::hash(&bytes)
}

fn entry_bytes(header: &[u8]) -> u64 {
    u64::from(half(header, 80)) * u64::from(half(header, 84))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    word(bytes, at) as u32
}

/// Eight bytes, little end first; zeros behind the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

impl Found {
    /// Sector of the primary's entries; 2 where its header does not say.
    fn entries_at(&self, shape: Shape) -> u64 {
        let header = match self {
            Found::Whole(copy) => &copy.header,
            Found::Header(header) => header,
            Found::Nothing => return 2,
        };
        Some(word(header, 72)).filter(|at| (2..shape.sectors / 2).contains(at)).unwrap_or(2)
    }

    fn whole(self) -> Option<Copy> {
        match self {
            Found::Whole(copy) => Some(copy),
            _ => None,
        }
    }
}

impl Copy {
    /// Same disk, same entries, same room for them.
    fn same_table(&self, other: &Copy) -> bool {
        let parts = |copy: &Copy| {
            [(40, 16), (56, 16), (80, 12)].map(|(at, size)| copy.header.get(at..at + size).map(<[u8]>::to_vec))
        };
        parts(self) == parts(other) && word(&other.header, 32) == 1
    }

    fn entry_sectors(&self, shape: Shape) -> u64 {
        self.entries.len() as u64 / shape.sector
    }

    /// Partition 3, and all others.
    fn partitions(&self) -> Result<(Extent, Vec<Extent>), Trouble> {
        let size = half(&self.header, 84) as usize;
        let all: Vec<Option<Extent>> =
            self.entries[..entry_bytes(&self.header) as usize].chunks(size).map(extent).collect();
        let data = all.get(DATA as usize - 1).copied().flatten().ok_or(Trouble::NoData)?;
        let others = all.into_iter().enumerate().filter(|(at, _)| *at != DATA as usize - 1);
        Ok((data, others.filter_map(|(_, extent)| extent).collect()))
    }

    /// The same table with partition 3 ending elsewhere, as it stands at `at` with its other copy at `other`.
    fn moved(&self, data: Extent, at: u64, other: u64, entries_at: u64, shape: Shape) -> Copy {
        let mut copy = self.clone();
        let entry = half(&self.header, 84) as usize * (DATA as usize - 1);
        copy.entries[entry + 40..entry + 48].copy_from_slice(&(data.end() - 1).to_le_bytes());
        let sum = crc32fast::hash(&copy.entries[..entry_bytes(&self.header) as usize]);
        let last_usable = at.max(other).saturating_sub(1 + self.entry_sectors(shape));
        for (field, value) in [(24, at), (32, other), (48, last_usable), (72, entries_at)] {
            copy.header[field..field + 8].copy_from_slice(&value.to_le_bytes());
        }
        copy.header[88..92].copy_from_slice(&sum.to_le_bytes());
        let sum = header_sum(&copy.header);
        copy.header[16..20].copy_from_slice(&sum.to_le_bytes());
        copy
    }

    /// The writes of this copy: only the sectors that differ from what is there.
    fn writes(&self, there: Option<&Copy>, shape: Shape) -> Vec<Step> {
        let (size, entries_at) = (shape.sector as usize, word(&self.header, 72));
        let old = there.map_or(&[][..], |copy| &copy.entries);
        let mut writes = Vec::new();
        match old.len() == self.entries.len() {
            false => writes.push((entries_at, self.entries.clone())),
            true => {
                let pairs = self.entries.chunks(size).zip(old.chunks(size)).zip(entries_at..);
                writes.extend(pairs.filter(|((new, old), _)| new != old).map(|((new, _), at)| (at, new.to_vec())));
            }
        }
        writes.push((word(&self.header, 24), self.header.clone()));
        let step = |(at, bytes)| Step::Write { at: at * shape.sector, bytes };
        writes.into_iter().map(step).chain([Step::Sync]).collect()
    }
}

fn extent(entry: &[u8]) -> Option<Extent> {
    let (start, last) = (word(entry, 32), word(entry, 40));
    let used = entry.iter().take(16).any(|byte| *byte != 0) && last >= start;
    used.then(|| Extent { start, sectors: (last - start).saturating_add(1) })
}

/// A damaged primary first from its backup; then the new backup at the end of the disk; only then the new primary.
fn steps(table: &Copy, primary: Option<&Copy>, then: Extent, home: u64, shape: Shape) -> Vec<Step> {
    let last = shape.sectors - 1;
    let mut steps = Vec::new();
    let mut there = primary.cloned();
    if primary.is_none() {
        let (now, old_last) = (table.partitions().map_or(then, |(now, _)| now), word(&table.header, 24));
        let restored = table.moved(now, 1, old_last, home, shape);
        steps.extend(restored.writes(None, shape));
        there = Some(restored);
    }
    let backup = table.moved(then, last, 1, last - table.entry_sectors(shape), shape);
    let first = table.moved(then, 1, last, home, shape);
    // A backup that stands as it should already is left alone.
    if primary.is_some() || *table != backup {
        steps.extend(backup.writes(None, shape));
    }
    if there.as_ref() != Some(&first) {
        steps.extend(first.writes(there.as_ref(), shape));
    }
    steps
}

/// The protecting entry of the first sector, last of all, once the table reaches to the end of the disk. One that shares the sector with
/// entries of its own kind of boot loader is theirs.
fn protective(first: &Mbr, shape: Shape, table: &Copy, steps: &[Step]) -> Vec<Step> {
    let entries = first.entries();
    let last = shape.sectors - 1;
    let whole = Extent { start: 1, sectors: last.min(u64::from(u32::MAX)) };
    let alone = entries.iter().filter(|entry| entry.kind != 0).count() == 1;
    let reaches = !steps.is_empty() || word(&table.header, 24).max(word(&table.header, 32)) == last;
    match entries.iter().position(|entry| entry.kind == PROTECTIVE) {
        Some(at) if alone && reaches && entries[at].extent.start == 1 => {
            let sectors = entries[at].extent.sectors;
            match sectors == whole.sectors || sectors == u64::from(u32::MAX) {
                true => Vec::new(),
                false => vec![first.with(at, whole), Step::Sync],
            }
        }
        _ => Vec::new(),
    }
}
