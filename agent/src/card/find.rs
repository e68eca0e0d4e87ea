//! Which disk is the card, and where its partitions are: asked of the kernel's `/sys`, never guessed from names.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::table::Shape;
use super::{ioctl, mounted};
use crate::host::Host;
use crate::problem::CardProblem;

/// The kernel counts in sectors of this many bytes, whatever the disk does.
pub(crate) const KERNEL_SECTOR: u64 = 512;

/// A whole disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// `mmcblk0`, `sda`, `loop0`.
    pub name: String,
    /// Its folder in `/sys`.
    sys: PathBuf,
}

/// A partition as the kernel sees it.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// `mmcblk0p3`, `sda3`.
    pub name: String,
    /// `major:minor`.
    pub device: String,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether the kernel takes it for read-only.
    pub read_only: bool,
}

impl Disk {
    /// The disk of a device given as `major:minor`: itself, or the one that it is a partition of.
    fn of_device(device: &str) -> io::Result<Disk> {
        let mut sys = fs::canonicalize(Path::new("/sys/dev/block").join(device))?;
        if sys.join("partition").exists() {
            sys.pop();
        }
        let name = file_name(&sys).ok_or(io::ErrorKind::NotFound)?;
        Ok(Disk { name, sys })
    }

    /// Its device file.
    pub fn node(&self) -> PathBuf {
        node(&self.name)
    }

    /// Opened for reading.
    pub fn open(&self) -> io::Result<File> {
        File::open(self.node())
    }

    /// Its size.
    pub fn shape(&self, open: &File) -> io::Result<Shape> {
        let sector = ioctl::sector_size(open)?;
        let bytes = ioctl::size_in_bytes(open)?;
        if !sector.is_power_of_two() || !(512..=65536).contains(&sector) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Shape { sectors: bytes / sector, sector })
    }

    /// The partition of this number, as the kernel sees it now.
    pub fn partition(&self, number: u32) -> io::Result<Option<Partition>> {
        // The kernel's own rule (`block/partitions/core.c`): a name that ends with a digit gets a `p` before the number.
        let between = if self.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        let usual = self.sys.join(format!("{}{between}{number}", self.name.replace('/', "!")));
        if value(&usual, "partition").is_ok_and(|found| found == u64::from(number)) {
            return Ok(Some(Partition::at(&usual)?));
        }
        for entry in fs::read_dir(&self.sys)? {
            let sys = entry?.path();
            if value(&sys, "partition").is_ok_and(|found| found == u64::from(number)) {
                return Ok(Some(Partition::at(&sys)?));
            }
        }
        Ok(None)
    }
}

impl Partition {
    fn at(sys: &Path) -> io::Result<Partition> {
        Ok(Partition {
            name: file_name(sys).ok_or(io::ErrorKind::NotFound)?,
            device: fs::read_to_string(sys.join("dev"))?.trim().to_owned(),
            start: value(sys, "start")? * KERNEL_SECTOR,
            bytes: value(sys, "size")? * KERNEL_SECTOR,
            read_only: value(sys, "ro")? != 0,
        })
    }

    /// Its device file.
    pub fn node(&self) -> PathBuf {
        node(&self.name)
    }

    /// Mounted, perhaps in another namespace, or held by another program: no tool may touch it then.
    pub fn in_use(&self) -> bool {
        let exclusive = File::options().read(true).custom_flags(nix::libc::O_EXCL).open(self.node());
        exclusive.is_err_and(|error| error.raw_os_error() == Some(nix::libc::EBUSY))
    }
}

/// What may hold a filesystem: a partition, or a disk without any.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    /// `sda1`, `sda`.
    pub name: String,
    /// `major:minor`.
    pub device: String,
}

impl Volume {
    fn at(sys: &Path) -> io::Result<Volume> {
        let name = file_name(sys).ok_or(io::ErrorKind::NotFound)?;
        Ok(Volume { name, device: fs::read_to_string(sys.join("dev"))?.trim().to_owned() })
    }

    /// Its device file.
    pub fn node(&self) -> PathBuf {
        node(&self.name)
    }
}

/// The volumes of a device file: the partition that it is, or those of the disk.
pub(crate) fn volumes_of(named: &Path) -> io::Result<Vec<Volume>> {
    let kind = fs::metadata(named)?;
    if !kind.file_type().is_block_device() {
        return Err(io::Error::other("it is neither a folder nor a block device"));
    }
    let sys = fs::canonicalize(Path::new("/sys/dev/block").join(number(kind.rdev())))?;
    if sys.join("partition").exists() { Ok(vec![Volume::at(&sys)?]) } else { volumes_below(&sys) }
}

/// The volumes of the disks that are not the card and can be pulled: on USB, or of a kind that takes media. Only the live host's.
pub(crate) fn pluggable(host: &Host, card: Option<&Path>) -> io::Result<Vec<Volume>> {
    let mut volumes = Vec::new();
    if !host.is_live() {
        return Ok(volumes);
    }
    let card = find(host, card).ok().flatten().map(|disk| disk.sys);
    for entry in fs::read_dir("/sys/block")?.flatten() {
        // One that is pulled just now is no stick any more.
        let Ok(sys) = fs::canonicalize(entry.path()) else { continue };
        let on_usb = sys.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
        let pulled = on_usb || value(&sys, "removable").is_ok_and(|removable| removable == 1);
        if pulled && card.as_ref() != Some(&sys) && value(&sys, "size").is_ok_and(|sectors| sectors > 0) {
            volumes.extend(volumes_below(&sys).unwrap_or_default());
        }
    }
    volumes.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(volumes)
}

/// The partitions of a disk, or itself where it has none.
fn volumes_below(disk: &Path) -> io::Result<Vec<Volume>> {
    let mut volumes = Vec::new();
    for entry in fs::read_dir(disk)? {
        let sys = entry?.path();
        if sys.join("partition").exists() {
            volumes.push(Volume::at(&sys)?);
        }
    }
    if volumes.is_empty() {
        volumes.push(Volume::at(disk)?);
    }
    volumes.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(volumes)
}

/// The card: the named disk; on the live system else that of the root, of the boot partition, of the data partition.
pub(crate) fn find(host: &Host, named: Option<&Path>) -> Result<Option<Disk>, CardProblem> {
    if let Some(named) = named {
        let not_found = |why: String| CardProblem::NotFound { why: format!("{}: {why}", named.display()) };
        let kind = fs::metadata(named).map_err(|error| not_found(error.to_string()))?;
        if !kind.file_type().is_block_device() {
            return Err(not_found("it is not a block device".into()));
        }
        let disk = Disk::of_device(&number(kind.rdev())).map_err(|error| not_found(error.to_string()))?;
        return Ok(Some(disk));
    }
    if !host.is_live() {
        return Ok(None);
    }
    for point in [host.root().to_owned(), host.boot(), host.data()] {
        // An overlay, a network root or a memory root has no device in /sys.
        if let Ok(Some(mount)) = mounted::at(&point)
            && let Ok(disk) = Disk::of_device(&mount.device)
        {
            return Ok(Some(disk));
        }
    }
    let why = "neither /, /boot/firmware nor /data lies on a disk".into();
    Err(CardProblem::NotFound { why })
}

fn number(device: u64) -> String {
    format!("{}:{}", nix::libc::major(device), nix::libc::minor(device))
}

fn node(name: &str) -> PathBuf {
    Path::new("/dev").join(name)
}

/// The kernel writes `!` for a `/` in a device's name.
fn file_name(sys: &Path) -> Option<String> {
    Some(sys.file_name()?.to_str()?.replace('!', "/"))
}

fn value(sys: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(sys.join(name))?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}
