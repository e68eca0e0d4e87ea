//! Partition 3 to the end of the card: what `table` decided, put on the card and told to the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use nix::libc;

use super::find::{Disk, Partition};
use super::ioctl;
use super::table::{self, DATA, Decision, Extent, Hindrance, Shape, Step, Trouble};
use crate::problem::CardProblem;
use crate::report::Reporter;

/// The table as it is, and what is to do about it. Reads only.
pub(crate) fn look(disk: &Disk) -> Result<(Shape, Decision), CardProblem> {
    let reading = |error| CardProblem::of_io(&disk.name, "reading its partition table", &error);
    let mut open = disk.open().map_err(reading)?;
    let shape = disk.shape(&open).map_err(reading)?;
    let decision = table::decide(&mut open, shape).map_err(|trouble| match trouble {
        Trouble::Read(error) if error.kind() == ErrorKind::UnexpectedEof => {
            damaged(disk, "the disk is too small for one")
        }
        Trouble::Read(error) => reading(error),
        Trouble::NoData => CardProblem::NoData { disk: disk.name.clone() },
        Trouble::Damaged(why) => damaged(disk, &why),
    })?;
    Ok((shape, decision))
}

fn damaged(disk: &Disk, why: &str) -> CardProblem {
    CardProblem::TableDamaged { disk: disk.name.clone(), why: why.to_owned() }
}

/// Grows partition 3 and returns it as the kernel sees it then. Whatever keeps it small is reported; only a card without it is an error.
pub(crate) fn partition(disk: &Disk, report: &Reporter) -> Result<Partition, CardProblem> {
    let grown = look(disk).and_then(|(shape, decision)| {
        hindrance(disk, shape, &decision, report);
        write(disk, shape, &decision, report)?;
        Ok((shape, decision.then))
    });
    let seen = in_kernel(disk)?;
    match (grown, seen) {
        (Ok((shape, extent)), seen) => tell_kernel(disk, shape, extent, seen, report),
        (Err(problem), Some(seen)) => {
            report.problem(problem);
            Ok(seen)
        }
        (Err(problem), None) => Err(problem),
    }
}

fn in_kernel(disk: &Disk) -> Result<Option<Partition>, CardProblem> {
    disk.partition(DATA).map_err(|error| CardProblem::of_io(&disk.name, "looking for its partitions", &error))
}

fn hindrance(disk: &Disk, shape: Shape, decision: &Decision, report: &Reporter) {
    let disk = disk.name.clone();
    match decision.hindrance {
        Some(Hindrance::NotLast) => report.problem(CardProblem::NotLast { disk }),
        Some(Hindrance::PastEnd(end)) => report.problem(CardProblem::PastEnd { disk, end, sectors: shape.sectors }),
        None => {}
    }
}

fn write(disk: &Disk, shape: Shape, decision: &Decision, report: &Reporter) -> Result<(), CardProblem> {
    if decision.steps.is_empty() {
        return Ok(());
    }
    let doing = "writing its partition table";
    apply(disk, &decision.steps).map_err(|error| CardProblem::of_io(&disk.name, doing, &error))?;
    let (_, again) = look(disk)?;
    // A worn card takes a write and forgets it.
    if !again.steps.is_empty() || again.now != decision.then {
        let why = "what was written does not read back".into();
        return Err(CardProblem::Failing { doing: doing.into(), why });
    }
    for repair in &decision.repairs {
        report.note(format!("{repair} of {} was damaged and has been written anew", disk.name));
    }
    if decision.then != decision.now {
        let [old, new] = [decision.now, decision.then].map(|extent| (extent.sectors * shape.sector) >> 20);
        report.note(format!("partition 3 of {} grew from {old} to {new} MiB", disk.name));
    }
    Ok(())
}

/// Past the page cache, which would write the sectors beside ours too.
fn apply(disk: &Disk, steps: &[Step]) -> io::Result<()> {
    let open = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(disk.node())?;
    for step in steps {
        match step {
            Step::Write { at, bytes } => write_aligned(&open, *at, bytes)?,
            Step::Sync => open.sync_all()?,
        }
    }
    Ok(())
}

fn write_aligned(disk: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    const PAGE: usize = 4096;
    let mut room = vec![0; bytes.len() + PAGE];
    let from = room.as_ptr().align_offset(PAGE).min(PAGE);
    let aligned = &mut room[from..from + bytes.len()];
    aligned.copy_from_slice(bytes);
    disk.write_all_at(aligned, at)
}

/// Makes the kernel see partition 3 as the table has it; it never gets smaller.
fn tell_kernel(
    disk: &Disk,
    shape: Shape,
    extent: Extent,
    seen: Option<Partition>,
    report: &Reporter,
) -> Result<Partition, CardProblem> {
    let disk_bytes = shape.sectors * shape.sector;
    let start = extent.start.saturating_mul(shape.sector);
    let bytes = extent.sectors.saturating_mul(shape.sector).min(disk_bytes.saturating_sub(start));
    let not_grown = |partition: &str, why: String| CardProblem::NotGrown { partition: partition.to_owned(), why };
    let told = match &seen {
        Some(seen) if seen.start != start => {
            Err(not_grown(&seen.name, "the kernel sees it at another place than the table".into()))
        }
        Some(seen) if seen.bytes >= bytes => return Ok(seen.clone()),
        Some(seen) => disk
            .open()
            .and_then(|disk| ioctl::resize_partition(&disk, DATA, start, bytes))
            .map_err(|error| not_grown(&seen.name, format!("the kernel did not take its new size: {error}"))),
        None => disk
            .open()
            .and_then(|disk| ioctl::add_partition(&disk, DATA, start, bytes))
            .map_err(|_| CardProblem::NoData { disk: disk.name.clone() }),
    };
    match (told, seen) {
        (Err(problem), None) => return Err(problem),
        (Err(problem), Some(_)) => report.problem(problem),
        (Ok(()), _) => {}
    }
    in_kernel(disk)?.ok_or_else(|| CardProblem::NoData { disk: disk.name.clone() })
}
