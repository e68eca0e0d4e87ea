//! A card in its slot: behind a throttle and a loop device, with the write-back of a machine of little memory, and what went over it.

use std::fmt::{self, Display};
use std::fs;
use std::ops::{AddAssign, Sub};
use std::path::{Path, PathBuf};

use super::throttle::Throttled;
use crate::card;
use crate::tool::{self, Doing, Failure, Outcome};

/// Bytes that may wait to be written: what a Pi of 1 GB lets wait.
const DIRTY: u64 = 140_000_000;
const SECTOR: u64 = 512;

/// What went over a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Requests to write.
    pub writes: u64,
    /// Requests to flush the card's cache.
    pub flushes: u64,
}

impl Sub for Traffic {
    type Output = Traffic;

    fn sub(self, before: Traffic) -> Traffic {
        Traffic {
            read: self.read - before.read,
            written: self.written - before.written,
            writes: self.writes - before.writes,
            flushes: self.flushes - before.flushes,
        }
    }
}

impl Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (read, written) = (megabytes(self.read), megabytes(self.written));
        write!(f, "{read:.1} MB read, {written:.1} MB written, {} flushes", self.flushes)
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.read += more.read;
        self.written += more.written;
        self.writes += more.writes;
        self.flushes += more.flushes;
    }
}

/// A card that is plugged in. Dropping it unplugs it; everything must be unmounted by then.
#[derive(Debug)]
pub struct SlowCard {
    /// The disk, `/dev/loop7`.
    pub device: String,
    bdi: PathBuf,
    limits_before: Vec<(&'static str, String)>,
    throttle: Option<Throttled>,
}

impl SlowCard {
    /// Plugs the card of this file in; the slow file lies in `folder` meanwhile. Where the machine has no throttle the card is as fast as
    /// the file is.
    pub fn plug_in(file: &Path, folder: &Path) -> Outcome<SlowCard> {
        let throttle = match Throttled::lacking() {
            None => Some(Throttled::serve(file, &folder.join("slow"))?),
            Some(_) => None,
        };
        // Not with direct I/O: over FUSE that writes garbage, which e2fsck finds.
        let device = card::attach(throttle.as_ref().map_or(file, |slow| &slow.file))?;
        let number = fs::read_to_string(sys(&device).join("dev")).doing("the card's number")?;
        let bdi = Path::new("/sys/class/bdi").join(number.trim());
        let mut card = SlowCard { device, bdi, limits_before: Vec::new(), throttle };
        card.limit()?;
        Ok(card)
    }

    /// Whether it is as slow as a card.
    pub fn is_slow(&self) -> bool {
        self.throttle.is_some()
    }

    /// The third partition's device file.
    pub fn data(&self) -> String {
        format!("{}p3", self.device)
    }

    fn limit(&mut self) -> Outcome<()> {
        // Setting `max_bytes` changes `max_ratio`: that is what is put back.
        for name in ["strict_limit", "max_ratio"] {
            let file = self.bdi.join(name);
            self.limits_before.push((name, fs::read_to_string(&file).doing(file.display())?));
        }
        for (name, value) in [("strict_limit", 1), ("max_bytes", DIRTY)] {
            let file = self.bdi.join(name);
            fs::write(&file, value.to_string()).doing(file.display())?;
        }
        Ok(())
    }

    /// What went over it since the loop device was made.
    pub fn traffic(&self) -> Outcome<Traffic> {
        let file = sys(&self.device).join("stat");
        let text = fs::read_to_string(&file).doing(file.display())?;
        parse(&text).ok_or_else(|| Failure::new(format!("{} has too few fields", file.display())))
    }
}

impl Drop for SlowCard {
    fn drop(&mut self) {
        for (name, value) in &self.limits_before {
            let _ = fs::write(self.bdi.join(name), value.trim());
        }
        if let Err(error) = card::detach(&self.device) {
            eprintln!("{error}");
        }
    }
}

fn sys(device: &str) -> PathBuf {
    Path::new("/sys/block").join(device.trim_start_matches("/dev/"))
}

/// Fields 3, 7, 5 and 16 of `Documentation/block/stat.rst`, counted from 1.
fn parse(stat: &str) -> Option<Traffic> {
    let fields: Vec<u64> = stat.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let field = |number: usize| fields.get(number - 1).copied();
    Some(Traffic { read: field(3)? * SECTOR, written: field(7)? * SECTOR, writes: field(5)?, flushes: field(16)? })
}

/// Writes everything that waits to its device, and forgets everything that was read: as after power on.
pub fn cold() -> Outcome<()> {
    tool::run("sync", &[])?;
    fs::write("/proc/sys/vm/drop_caches", "3").doing("dropping the caches")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_kernel() {
        let stat = "  14154   69  3623322  57147   7380  53666  3206136  54440  0  57512 114509  90  0 26739048  105  2654  2816";
        let traffic = parse(stat).unwrap();
        assert_eq!((traffic.read, traffic.written), (3_623_322 * 512, 3_206_136 * 512));
        assert_eq!((traffic.writes, traffic.flushes), (7380, 2654));
        assert_eq!(parse("1 2 3"), None);
    }
}
