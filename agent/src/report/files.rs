//! The status on the boot partition: fixed-size files made once and overwritten in place, so that FAT never changes.
//!
//! Written when a step with something to move begins or ends, or a problem appears, at most every ten seconds, and at the verdict: twice
//! in a boot that finds all in place. Only sectors that differ are written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};
use tokio::sync::watch;

use super::{Context, Status, Verdict, json, words};
use crate::host::Host;

/// Bytes of `OFFSPOT-STATUS.txt`.
pub const TEXT_SIZE: usize = 12 * 1024;
/// Bytes of each `offspot-status*.json`.
pub const JSON_SIZE: usize = 16 * 1024;
/// Least time between two writes while working.
const PAUSE: Duration = Duration::from_secs(10);
const SECTOR: usize = 512;

const TEXT: &str = "OFFSPOT-STATUS.txt";
/// The two slots, written in turn: a cut tears one of them at most.
pub const SLOTS: [&str; 2] = ["offspot-status.json", "offspot-status-2.json"];

/// The status files of one boot.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    seq: u64,
    /// What each file holds now: text, first and second slot.
    held: [Vec<u8>; 3],
}

impl Files {
    /// Reads what is there. A boot partition that is not there is an error; on a live host its folder alone, on the root partition, is none.
    pub fn open(host: &Host) -> io::Result<Files> {
        let folder = host.boot();
        std::fs::metadata(&folder)?;
        if host.is_live() && !is_mount_point(&folder)? {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("nothing is mounted on {}", folder.display())));
        }
        let held = [TEXT, SLOTS[0], SLOTS[1]].map(|name| bounded(&folder.join(name)).unwrap_or_default());
        let seq = held[1..].iter().filter_map(|held| slot_seq(held)).max().unwrap_or(0);
        Ok(Files { folder, seq, held })
    }

    /// Writes the text and one slot, synced.
    pub fn write(&mut self, status: &Status, context: &Context) -> io::Result<()> {
        self.seq += 1;
        let slot = 1 + (self.seq % 2) as usize;
        let text = padded(words::text(status, context), TEXT_SIZE, b"\r\n");
        let object = padded(json::sealed_within(json::object(status, context, self.seq), JSON_SIZE), JSON_SIZE, b" ");
        writable(&self.folder.clone(), || {
            // One that fails does not keep the other from being written.
            let object = self.overwrite(slot, SLOTS[slot - 1], object);
            self.overwrite(0, TEXT, text).and(object)
        })
    }

    fn overwrite(&mut self, which: usize, name: &str, wanted: Vec<u8>) -> io::Result<()> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        let held = &self.held[which];
        for (start, end) in differing(held, &wanted) {
            file.write_all_at(&wanted[start..end], start as u64)?;
        }
        if held.len() == wanted.len() {
            file.sync_data()?;
        } else {
            file.set_len(wanted.len() as u64)?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
        }
        self.held[which] = wanted;
        Ok(())
    }

    /// Follows the status from `first`, which is written already, until its verdict is written; hands the last error back, if there was one.
    pub async fn follow(
        mut self,
        first: Status,
        mut status: watch::Receiver<Status>,
        context: Context,
    ) -> Option<io::Error> {
        let (mut failure, mut written, mut last) = (None, seen(&first), Instant::now());
        loop {
            // Looked at before it is waited for: a quick story has told its verdict before this runs for the first time.
            let now = { seen(&status.borrow_and_update()) };
            if now != written {
                pause(&mut status, last).await;
                let snapshot = status.borrow_and_update().clone();
                written = seen(&snapshot);
                last = Instant::now();
                failure = self.write(&snapshot, &context).err();
                if snapshot.verdict != Verdict::Working {
                    return failure;
                }
            }
            if status.changed().await.is_err() {
                return failure;
            }
        }
    }
}

/// What changes during the pause is written with it; the verdict does not wait.
async fn pause(status: &mut watch::Receiver<Status>, last: Instant) {
    let verdict = status.wait_for(|status| status.verdict != Verdict::Working);
    // Either way it is time to write.
    let _ = tokio::time::timeout(PAUSE.saturating_sub(last.elapsed()), verdict).await;
}

/// What a status file holds; one that is not of our size is not ours, and its bytes do not matter.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Room for all of it at once: a reader that finds room by doubling asks the kernel ten times.
    let mut held = Vec::with_capacity(TEXT_SIZE.max(JSON_SIZE) + 1);
    File::open(path)?.take(TEXT_SIZE.max(JSON_SIZE) as u64 + 1).read_to_end(&mut held)?;
    Ok(held)
}

/// What makes a change worth a write. A step with nothing to move is none: an unchanged card is worn by the first word and the last.
fn seen(status: &Status) -> (Verdict, Option<super::Phase>, usize) {
    (status.verdict, (status.progress.total > 0).then_some(status.phase), status.problems.len())
}

fn slot_seq(held: &[u8]) -> Option<u64> {
    json::unseal(std::str::from_utf8(held).ok()?)?["seq"].as_u64()
}

fn padded(text: String, size: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.extend(with.repeat(size.saturating_sub(bytes.len()) / with.len()));
    bytes.resize(size, b' ');
    bytes
}

/// Runs of whole sectors in which `wanted` differs from `held`.
fn differing(held: &[u8], wanted: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for start in (0..wanted.len()).step_by(SECTOR) {
        let end = (start + SECTOR).min(wanted.len());
        if held.get(start..end) == Some(&wanted[start..end]) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.1 == start => run.1 = end,
            _ => runs.push((start, end)),
        }
    }
    runs
}

/// Runs `work` with the partition writable. It is read-only in between, unless a service had it made writable.
fn writable(folder: &Path, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let flags = statvfs(folder)?.flags();
    if !flags.contains(FsFlags::ST_RDONLY) || !is_mount_point(folder)? {
        return work();
    }
    // A remount sets every flag anew: those of the mount are kept.
    let kept = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
    ];
    let kept = kept
        .into_iter()
        .filter(|(held, _)| flags.contains(*held))
        .fold(MsFlags::MS_REMOUNT, |all, (_, flag)| all | flag);
    let remount = |flags| mount(None::<&str>, folder, None::<&str>, flags, None::<&str>);
    remount(kept)?;
    let done = work();
    let closed = remount(kept | MsFlags::MS_RDONLY);
    done.and(closed.map_err(io::Error::from))
}

fn is_mount_point(folder: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(folder)?.dev() != std::fs::metadata(folder.join(".."))?.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn box_in(name: &str) -> Host {
        let root = std::env::temp_dir().join(format!("offspot-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("boot/firmware")).unwrap();
        Host::new(root)
    }

    #[test]
    fn one_slot_is_whole_whatever_is_torn_and_seq_goes_on() {
        let host = box_in("slots");
        let (status, context) = (Status::begun(), Context::for_test());
        for seq in 1..=4 {
            let mut files = Files::open(&host).unwrap();
            files.write(&status, &context).unwrap();
            assert_eq!(files.seq, seq);
        }
        let newest = host.boot().join(SLOTS[0]);
        let torn = std::fs::read(&newest).unwrap();
        std::fs::write(&newest, &torn[..100]).unwrap();
        let files = Files::open(&host).unwrap();
        assert_eq!(files.seq, 3, "the other slot stays whole");
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn a_verdict_that_is_quicker_than_its_follower_is_written_and_idle_steps_are_not() {
        let host = box_in("quick");
        let (report, status) = crate::report::Reporter::new();
        let first = status.borrow().clone();
        let mut files = Files::open(&host).unwrap();
        files.write(&first, &Context::for_test()).unwrap();
        report.phase(crate::report::Phase::Images, 0);
        assert_eq!(seen(&first), seen(&status.borrow()), "nothing to move");
        report.phase(crate::report::Phase::Images, 1);
        assert_ne!(seen(&first), seen(&status.borrow()));
        report.verdict(Verdict::Ready);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let followed = files.follow(first, status, Context::for_test());
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(9), followed).await }).expect("it ends");
        assert!(std::fs::read_to_string(host.boot().join(TEXT)).unwrap().starts_with("READY"));
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn sizes_never_change_and_only_differing_sectors_are_named() {
        let host = box_in("sizes");
        let mut files = Files::open(&host).unwrap();
        let mut status = Status::begun();
        for count in 0..3 {
            status.notes.push("n".repeat(count * 700));
            files.write(&status, &Context::for_test()).unwrap();
            assert_eq!(std::fs::metadata(host.boot().join(TEXT)).unwrap().len() as usize, TEXT_SIZE);
        }
        for slot in SLOTS {
            assert_eq!(std::fs::metadata(host.boot().join(slot)).unwrap().len() as usize, JSON_SIZE);
        }
        assert_eq!(differing(&[0; 2048], &[0; 2048]), []);
        let mut other = [0; 2048];
        (other[600], other[1100]) = (1, 1);
        assert_eq!(differing(&[0; 2048], &other), [(512, 1536)]);
        std::fs::remove_dir_all(host.root()).unwrap();
    }
}
