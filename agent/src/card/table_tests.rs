//! Tables decided on disks of bytes, and cut at every sector.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use super::table::{Decision, Extent, Hindrance, Shape, Step, Trouble, decide};

/// A disk of which only the written sectors take memory.
#[derive(Debug, Clone)]
struct Disk {
    sectors: BTreeMap<u64, Vec<u8>>,
    shape: Shape,
    at: u64,
}

impl Read for Disk {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (number, inside) = (self.at / self.shape.sector, (self.at % self.shape.sector) as usize);
        if number >= self.shape.sectors {
            return Ok(0);
        }
        let length = out.len().min(self.shape.sector as usize - inside);
        match self.sectors.get(&number) {
            Some(sector) => out[..length].copy_from_slice(&sector[inside..inside + length]),
            None => out[..length].fill(0),
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            self.at = at;
        }
        Ok(self.at)
    }
}

impl Disk {
    fn new(mebibytes: u64, sector: u64) -> Disk {
        let shape = Shape { sectors: (mebibytes << 20) / sector, sector };
        Disk { sectors: BTreeMap::new(), shape, at: 0 }
    }

    fn decide(&self) -> Result<Decision, Trouble> {
        decide(&mut self.clone(), self.shape)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        assert_eq!((at % self.shape.sector, bytes.len() as u64 % self.shape.sector), (0, 0), "whole sectors only");
        for (number, sector) in (at / self.shape.sector..).zip(bytes.chunks(self.shape.sector as usize)) {
            assert!(number < self.shape.sectors, "behind the end of the disk");
            self.sectors.insert(number, sector.to_vec());
        }
    }

    fn apply(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::Write { at, bytes } = step {
                self.write(*at, bytes);
            }
        }
    }

    /// The writes by sector, in the batches that syncs divide.
    fn batches(&self, steps: &[Step]) -> Vec<Vec<(u64, Vec<u8>)>> {
        let mut batches = vec![Vec::new()];
        for step in steps {
            match step {
                Step::Sync => batches.push(Vec::new()),
                Step::Write { at, bytes } => {
                    let sectors = bytes.chunks(self.shape.sector as usize).map(<[u8]>::to_vec);
                    let numbered = (0..).map(|number| at + number * self.shape.sector).zip(sectors);
                    batches.last_mut().unwrap().extend(numbered);
                }
            }
        }
        batches
    }

    /// The disk after every cut: between syncs the card may have kept any beginning, any end or any one of the sectors.
    fn cuts(&self, steps: &[Step]) -> Vec<Disk> {
        let (mut cuts, mut before) = (Vec::new(), self.clone());
        for batch in self.batches(steps) {
            let many = batch.len();
            let some = (0..=many).flat_map(|at| [0..at, at..many, at..(at + 1).min(many)]);
            for kept in some {
                let mut cut = before.clone();
                batch[kept].iter().for_each(|(at, sector)| cut.write(*at, sector));
                cuts.push(cut);
            }
            batch.iter().for_each(|(at, sector)| before.write(*at, sector));
        }
        cuts
    }

    fn grown(&self) -> Disk {
        let mut disk = self.clone();
        let decision = disk.decide().unwrap();
        disk.apply(&decision.steps);
        let again = disk.decide().unwrap();
        assert!(again.steps.is_empty() && again.repairs.is_empty(), "nothing is left to do: {again:?}");
        assert_eq!((again.now, again.then), (decision.then, decision.then));
        disk
    }
}

/// p1, p2 and p3, in MiB.
const PARTS: [(u64, u64); 3] = [(4, 8), (12, 8), (20, 8)];

fn mbr(disk: &mut Disk, entries: &[(u8, u64, u64)]) {
    let mut sector = vec![0; disk.shape.sector as usize];
    sector[..4].copy_from_slice(b"boot");
    sector[440..444].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    sector[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (at, (kind, start, sectors)) in entries.iter().enumerate() {
        let entry = &mut sector[446 + 16 * at..462 + 16 * at];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&(*start as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&(*sectors as u32).to_le_bytes());
    }
    disk.write(0, &sector);
}

fn mbr_card(mebibytes: u64, sector: u64) -> Disk {
    let mut disk = Disk::new(mebibytes, sector);
    let scale = (1 << 20) / sector;
    let entries = PARTS.map(|(start, size)| (0x83, start * scale, size * scale));
    mbr(&mut disk, &entries);
    disk
}

/// A card of 32 MiB with a GPT, on a disk of that many.
fn gpt_card(mebibytes: u64, sector: u64) -> Disk {
    let mut disk = Disk::new(mebibytes, sector);
    let (scale, last) = ((1 << 20) / sector, (32 << 20) / sector - 1);
    mbr(&mut disk, &[(0xee, 1, last)]);
    let mut entries = vec![0; 16384];
    for (at, (start, size)) in PARTS.iter().enumerate() {
        let entry = &mut entries[128 * at..128 * (at + 1)];
        entry[..32].fill(at as u8 + 1);
        entry[32..40].copy_from_slice(&(start * scale).to_le_bytes());
        entry[40..48].copy_from_slice(&((start + size) * scale - 1).to_le_bytes());
    }
    let room = 16384 / sector;
    for (at, other, entries_at) in [(1, last, 2), (last, 1, last - room)] {
        disk.write(entries_at * sector, &entries);
        disk.write(at * sector, &header(at, other, entries_at, last, room, &entries, sector));
    }
    disk
}

fn header(at: u64, other: u64, entries_at: u64, last: u64, room: u64, entries: &[u8], sector: u64) -> Vec<u8> {
    let mut header = vec![0; sector as usize];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
    for (field, value) in
        [(24, at), (32, other), (40, 2 + room), (48, last - room - 1), (56, 77), (64, 77), (72, entries_at)]
    {
        header[field..field + 8].copy_from_slice(&value.to_le_bytes());
    }
    for (field, value) in [(80, 128), (84, 128), (88, crc32fast::hash(entries))] {
        header[field..field + 4].copy_from_slice(&value.to_le_bytes());
    }
    let sum = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    header
}

#[test]
fn the_end_is_one_percent_or_64_mebibytes_away() {
    let end = |mebibytes: u64| Disk::new(mebibytes, 512).shape.target() / 2048;
    assert_eq!((end(4096), end(1000), end(100), end(65536)), (4055, 990, 99, 65472));
    assert_eq!(Disk::new(0, 512).shape.target(), 0);
}

#[test]
fn an_mbr_grows_by_one_sector_in_which_seven_bytes_differ() {
    for sector in [512, 4096] {
        let disk = mbr_card(100, sector);
        let decision = disk.decide().unwrap();
        let scale = (1 << 20) / sector;
        assert_eq!(decision.then, Extent { start: 20 * scale, sectors: 79 * scale });
        let [Step::Write { at: 0, bytes }, Step::Sync] = &decision.steps[..] else { panic!("one write, one sync") };
        let old = &disk.sectors[&0];
        let differ: Vec<usize> = (0..old.len()).filter(|at| old[*at] != bytes[*at]).collect();
        assert!(differ.iter().all(|at| (483..486).contains(at) || (490..494).contains(at)), "{differ:?}");
        disk.grown();
    }
}

#[test]
fn a_grown_partition_is_never_made_smaller() {
    assert_eq!(mbr_card(28, 512).decide().unwrap().steps, []);
    // The disk has 29 MiB, the target lies at 28, where the partition ends.
    assert_eq!(mbr_card(29, 512).decide().unwrap().steps, []);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let mut disk = mbr_card(100, 512);
    mbr(&mut disk, &[(0x83, 8192, 100), (0x83, 9000, 100), (0x83, 20000, 100), (0x05, 40000, 100)]);
    let decision = disk.decide().unwrap();
    assert_eq!((decision.hindrance, decision.steps.len()), (Some(Hindrance::NotLast), 0));
    // Before it an extended partition with its logical ones does no harm.
    mbr(&mut disk, &[(0x83, 8192, 100), (0x0f, 9000, 100), (0x83, 20000, 100)]);
    assert_eq!(disk.decide().unwrap().hindrance, None);
    mbr(&mut disk, &[(0x83, 8192, 100), (0x83, 9000, 100), (0x83, 20000, u64::from(u32::MAX))]);
    let decision = disk.decide().unwrap();
    assert!(matches!(decision.hindrance, Some(Hindrance::PastEnd(_))) && decision.steps.is_empty());
    for third in [(0, 20000, 100), (0x83, 20000, 0), (0x0f, 20000, 100)] {
        mbr(&mut disk, &[(0x83, 8192, 100), (0x83, 9000, 100), third]);
        assert!(matches!(disk.decide(), Err(Trouble::NoData)));
    }
}

#[test]
fn no_table_is_said_so() {
    assert!(matches!(Disk::new(100, 512).decide(), Err(Trouble::Damaged(_))));
    let mut fat = mbr_card(100, 512);
    fat.sectors.get_mut(&0).unwrap()[446] = 0x42;
    assert!(matches!(fat.decide(), Err(Trouble::Damaged(_))));
    assert!(matches!(Disk::new(0, 512).decide(), Err(Trouble::Read(_))));
}

#[test]
fn a_gpt_grows_with_both_copies() {
    for sector in [512, 4096] {
        let disk = gpt_card(100, sector);
        let scale = (1 << 20) / sector;
        let decision = disk.decide().unwrap();
        assert_eq!(decision.then, Extent { start: 20 * scale, sectors: 79 * scale });
        assert!(decision.repairs.is_empty());
        let grown = disk.grown();
        assert_eq!(grown.sectors[&0][440..444], 0xdead_beef_u32.to_le_bytes());
    }
}

#[test]
fn a_damaged_copy_is_repaired_from_the_other() {
    for mebibytes in [32, 100] {
        let good = gpt_card(mebibytes, 512);
        let last = (32 << 11) - 1;
        // Primary header, primary entries, backup header, backup entries.
        for (sector, which) in [(1, "first"), (2, "first"), (last, "second"), (last - 32, "second")] {
            let mut bad = good.clone();
            bad.sectors.get_mut(&sector).unwrap()[60] ^= 1;
            let decision = bad.decide().unwrap();
            assert_eq!(decision.repairs, [format!("the {which} copy of the partition table")], "{mebibytes} {sector}");
            let (bad, good) = (bad.grown(), good.grown());
            let table = |disk: &Disk| {
                let end = disk.shape.sectors - 33;
                disk.sectors.clone().into_iter().filter(|(at, _)| *at < 34 || *at >= end).collect::<Vec<_>>()
            };
            assert_eq!(table(&bad), table(&good), "{mebibytes} {sector}");
        }
        let mut both = good;
        for sector in [1, last] {
            both.sectors.get_mut(&sector).unwrap()[60] ^= 1;
        }
        assert!(matches!(both.decide(), Err(Trouble::Damaged(_))));
    }
}

#[test]
fn a_backup_of_an_earlier_life_of_the_card_is_not_believed() {
    let mut disk = gpt_card(100, 512);
    let mut stale = gpt_card(32, 512);
    let last = (100 << 11) - 1;
    let entries: Vec<u8> = (2..34).flat_map(|at| stale.sectors.remove(&at).unwrap()).collect();
    disk.write((last - 32) * 512, &entries);
    let mut header = header(last, 1, last - 32, last, 32, &entries, 512);
    header[56] = 1;
    header[16..20].fill(0);
    let sum = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk.write(last * 512, &header);
    disk.sectors.get_mut(&2).unwrap()[60] ^= 1;
    let decision = disk.decide().unwrap();
    assert_eq!(decision.now.start, 20 << 11);
    let grown = disk.grown();
    assert_eq!(grown.sectors[&last][56], 77);
}

#[test]
fn a_gpt_of_a_larger_card_is_left_alone() {
    let mut disk = gpt_card(32, 512);
    disk.shape.sectors = (28 << 11) + 5;
    disk.sectors.retain(|at, _| *at < (28 << 11) + 5);
    let decision = disk.decide().unwrap();
    assert_eq!(decision.hindrance, Some(Hindrance::PastEnd(28 << 11)));
    assert!(decision.steps.is_empty() && decision.repairs.is_empty());
}

/// Cut anywhere, and cut again while that is put right: the next decision finds one whole copy and ends where no cut would have.
#[test]
fn every_cut_is_survived() {
    let mut damaged = gpt_card(100, 512);
    damaged.sectors.get_mut(&1).unwrap()[60] ^= 1;
    let mut in_place = gpt_card(32, 512);
    in_place.shape.sectors = 32 << 11;
    for disk in [mbr_card(100, 512), mbr_card(100, 4096), gpt_card(100, 512), gpt_card(100, 4096), in_place, damaged] {
        let (decision, want) = (disk.decide().unwrap(), disk.grown().sectors);
        let cuts = disk.cuts(&decision.steps);
        assert!(cuts.len() > 3);
        for cut in cuts {
            let again = cut.decide().unwrap();
            assert!([decision.now, decision.then].contains(&again.now));
            assert_eq!(cut.grown().sectors, want);
            for twice in cut.cuts(&again.steps).into_iter().step_by(23) {
                assert_eq!(twice.grown().sectors, want);
            }
        }
    }
}

/// No bytes, however made, are a reason to stop, or to write outside the disk.
#[test]
fn hostile_tables_do_no_harm() {
    let mut seed = 1_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 33
    };
    for round in 0..4_000 {
        let mut disk = if round % 2 == 0 { mbr_card(64, 512) } else { gpt_card(64, 512) };
        let last = (32 << 11) - 1;
        for _ in 0..=random() % 3 {
            let sector = [0, 1, 2, last, last - 32][random() as usize % 5];
            let byte = random() as usize % if sector == 0 { 512 } else { 128 };
            if let Some(bytes) = disk.sectors.get_mut(&sector) {
                bytes[byte] = random() as u8;
                // Headers with sums that hold reach the code behind them.
                if sector == 1 || sector == last {
                    bytes[16..20].fill(0);
                    let size = (bytes[12] as usize).max(1);
                    let sum = crc32fast::hash(&bytes[..size]);
                    bytes[16..20].copy_from_slice(&sum.to_le_bytes());
                }
            }
        }
        if let Ok(decision) = disk.decide() {
            assert!(decision.then.sectors >= decision.now.sectors);
            disk.apply(&decision.steps);
        }
    }
}
