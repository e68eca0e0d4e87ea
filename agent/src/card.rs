//! The card: its disk, its table, its data partition, made whole at every boot. What is to do is read from the disk, never from a flag.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::host::Host;
use crate::problem::{CardProblem, Problem};
use crate::report::Reporter;

pub mod boot_partition;
mod check;
mod fat;
mod filesystem;
mod find;
mod gpt;
mod grow;
mod ioctl;
pub(crate) mod mounted;
pub mod shelf;
pub mod stick;
mod superblock;
mod table;
#[cfg(test)]
mod table_tests;
pub(crate) mod tool;
mod usb;

use filesystem::{BUSY, Filesystem, QUIET};
use find::{Disk, Partition};
use table::DATA;

/// Boot, root and data partition on one disk.
#[derive(Debug, Clone)]
pub struct Card {
    disk: Disk,
}

/// What making the card whole would do, seen without a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The disk, as the kernel names it: `mmcblk0`.
    pub disk: String,
    /// Bytes of partition 3 as the table has it.
    pub bytes: u64,
    /// Bytes of partition 3 once it has grown.
    pub target: u64,
    /// Bytes for files that are gained.
    pub gained: u64,
    /// Whether it is mounted on the data folder.
    pub mounted: bool,
    /// What is free on it once it has grown; `None` where its filesystem cannot be read.
    pub after: Option<Space>,
}

/// Room for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are free, without those that the filesystem reserves.
    pub bytes: u64,
    /// Files and folders that can be made.
    pub inodes: u64,
}

impl Card {
    /// The named disk (or the disk of a named partition); on the live host else that of the root, of `/boot/firmware`, of `/data`.
    /// With another root only a named disk is ever looked at.
    ///
    /// # Errors
    /// `E-CARD-NOT-FOUND`.
    pub fn find(host: &Host, named: Option<&Path>) -> Result<Option<Card>, Problem> {
        Ok(find::find(host, named)?.map(|disk| Card { disk }))
    }

    /// The disk, as the kernel names it: `mmcblk0`.
    pub fn name(&self) -> &str {
        &self.disk.name
    }

    /// A look for the plan. Reads only.
    ///
    /// # Errors
    /// The table cannot be read or has no partition 3.
    pub fn look(&self, host: &Host) -> Result<Look, Problem> {
        let (shape, decision) = grow::look(&self.disk)?;
        let [bytes, target] = [decision.now, decision.then].map(|extent| extent.sectors.saturating_mul(shape.sector));
        let partition = self.disk.partition(DATA).ok().flatten();
        let mount = mounted::at(&host.data()).ok().flatten();
        let mounted =
            partition.as_ref().is_some_and(|partition| mount.is_some_and(|mount| mount.device == partition.device));
        let superblock = partition.and_then(|partition| filesystem::read_superblock(&partition).ok().flatten());
        let gain = superblock.as_ref().map(|superblock| superblock.gain_on(target));
        let free = if mounted { free_in(&host.data()).ok() } else { superblock.map(|superblock| superblock.free()) };
        Ok(Look {
            disk: self.disk.name.clone(),
            bytes,
            target,
            gained: gain.map_or(target - bytes, |gain| gain.bytes),
            mounted,
            after: free
                .zip(gain)
                .map(|(free, gain)| Space { bytes: free.bytes + gain.bytes, inodes: free.inodes + gain.inodes }),
        })
    }

    /// The device node of the data partition, where the kernel knows one.
    pub fn data_node(&self) -> Option<PathBuf> {
        Some(self.disk.partition(DATA).ok()??.node())
    }

    fn must_be_writable(&self) -> Result<(), CardProblem> {
        let read_only = self.disk.open().and_then(|disk| ioctl::is_read_only(&disk));
        match read_only {
            Ok(false) => Ok(()),
            Ok(true) => Err(CardProblem::ReadOnly { disk: self.disk.name.clone() }),
            Err(error) => Err(CardProblem::of_io(&self.disk.name, "opening it", &error)),
        }
    }

    /// Partition 3 of a computer that is no box of ours may be its root or home: mounted anywhere but on the data folder it is left alone.
    fn must_be_ours(&self, data: &Path) -> Result<(), CardProblem> {
        let look = || -> io::Result<Option<(Partition, PathBuf)>> {
            let Some(partition) = self.disk.partition(DATA)? else {
                return Ok(None);
            };
            if mounted::at(data)?.is_some_and(|mount| mount.device == partition.device) {
                return Ok(None);
            }
            let elsewhere = mounted::all()?.into_iter().find(|mount| mount.device == partition.device);
            Ok(elsewhere.map(|mount| (partition, mount.point)))
        };
        match look() {
            Ok(None) => Ok(()),
            Ok(Some((partition, point))) => Err(CardProblem::NotMounted {
                partition: partition.name,
                why: format!("it is in use on {}, so it was left alone", point.display()),
            }),
            Err(error) => Err(CardProblem::of_io(&self.disk.name, "looking for its partitions", &error)),
        }
    }
}

/// Makes partition 3 whole: table grown, filesystem checked, grown, mounted on the data folder; without a card the folder is made.
/// Blocking. What goes wrong and leaves the small partition is reported, and the story goes on with it.
///
/// # Errors
/// There is no data partition that can be written.
pub fn make_whole(card: Option<Card>, host: &Host, report: &Reporter) -> Result<Grown, Problem> {
    let folder = host.data();
    if let Some(card) = card {
        card.must_be_writable()?;
        card.must_be_ours(&folder)?;
        let partition = grow::partition(&card.disk, report)?;
        let filesystem =
            Filesystem { partition: &partition, folder: &folder, undo: host.path("/var/lib/offspot"), report };
        filesystem.make_whole()?;
    }
    Ok(Grown::at(folder)?)
}

/// The data partition, mounted, or a plain folder in its place: what placing and loading need.
#[derive(Debug, Clone)]
pub struct Grown {
    folder: PathBuf,
    /// Open since before the first write, so that [`Grown::sync`] hears of every write that failed.
    open: Arc<File>,
}

impl Grown {
    fn at(folder: PathBuf) -> Result<Grown, CardProblem> {
        let open = std::fs::create_dir_all(&folder).and_then(|()| File::open(&folder));
        let open =
            open.map_err(|error| CardProblem::of_io(&folder.to_string_lossy(), "opening the data folder", &error))?;
        Ok(Grown { folder, open: Arc::new(open) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything written so far is on the card (`syncfs`).
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(&*self.open)?)
    }

    /// What is free now.
    pub fn space(&self) -> io::Result<Space> {
        free_in(&self.folder)
    }

    /// After the verdict: the kernel may fill the inode tables that it left out so far.
    pub fn settle(&self) {
        let quiet = mounted::at(&self.folder).is_ok_and(|mount| mount.is_some_and(|mount| mount.has(QUIET)));
        if quiet && let Err(error) = filesystem::remount(&self.folder, BUSY) {
            tracing::warn!("the kernel did not take {BUSY}: {error}");
        }
    }
}

/// What is free in a folder's filesystem.
pub fn free_in(folder: &Path) -> io::Result<Space> {
    let about = nix::sys::statvfs::statvfs(folder)?;
    Ok(Space { bytes: about.blocks_available().saturating_mul(about.fragment_size()), inodes: about.files_available() })
}
