//! The filesystem of the data partition: checked when it says that it needs it, grown, mounted.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};

use super::check::missing;
use super::find::Partition;
use super::superblock::{self, Superblock};
use super::tool;
use super::{ioctl, mounted};
use crate::problem::CardProblem;
use crate::report::Reporter;

/// The kernel does not fill the inode tables of new groups meanwhile: 1.6 % of the card, in competition with the first boot.
pub(crate) const QUIET: &str = "noinit_itable";
/// The kernel may fill them now.
pub(crate) const BUSY: &str = "init_itable";
const RESIZE: Duration = Duration::from_secs(30 * 60);
/// `CAP_SYS_RESOURCE`, which the kernel asks of whoever grows a mounted ext4.
const SYS_RESOURCE: u32 = 24;

/// The data partition, where it is to be mounted, and where what is to be known goes.
#[derive(Debug)]
pub(crate) struct Filesystem<'a> {
    pub partition: &'a Partition,
    pub folder: &'a Path,
    /// Folder for what e2fsck has overwritten, off the partition.
    pub undo: PathBuf,
    pub report: &'a Reporter,
}

impl Filesystem<'_> {
    /// Checks, grows and mounts; afterwards the folder is the data partition and can be written.
    pub fn make_whole(&self) -> Result<(), CardProblem> {
        fs::create_dir_all(self.folder).map_err(|error| self.not_mounted(error))?;
        match mounted::at(self.folder).map_err(|error| self.not_mounted(error))? {
            Some(mount) if mount.device == self.partition.device => self.mounted()?,
            Some(_) => {
                let (folder, name) = (self.folder.display(), &self.partition.name);
                self.report.note(format!("another device is mounted on {folder}, so {name} was left alone"));
            }
            None => self.unmounted(true)?,
        }
        self.must_be_writable()
    }

    /// Found mounted, by the system or by an earlier run.
    fn mounted(&self) -> Result<(), CardProblem> {
        let superblock = self.superblock()?;
        let growth = superblock.growth(self.partition.bytes);
        match growth {
            None if !superblock.errors => return Ok(()),
            Some(blocks) if !superblock.errors && may_grow_mounted() && self.grow_mounted(blocks).is_ok() => {
                return Ok(());
            }
            _ => {}
        }
        if let Err(error) = nix::mount::umount2(self.folder, MntFlags::empty()) {
            let why = format!("it is in use: {}", error.desc());
            self.report.problem(if superblock.errors { self.not_repaired(why) } else { self.not_grown(why) });
            return Ok(());
        }
        self.unmounted(false)
    }

    /// Not mounted: checked where it asks for it, grown before or after mounting, mounted.
    fn unmounted(&self, try_mounted: bool) -> Result<(), CardProblem> {
        let mut superblock = self.superblock()?;
        if !superblock.torn && superblock.blocks.saturating_mul(superblock.block) > self.partition.bytes {
            return Err(self.not_mounted("its filesystem is larger than the partition"));
        }
        if self.partition.in_use() {
            if superblock.errors || superblock.growth(self.partition.bytes).is_some() {
                self.report.problem(self.not_grown("something else is using it".into()));
            }
            return self.mount(QUIET).map_err(|error| self.mount_failed(error));
        }
        let checked = superblock.errors;
        if superblock.errors || superblock.recover {
            self.check(&superblock)?;
            superblock = self.superblock()?;
        }
        let Some(blocks) = superblock.growth(self.partition.bytes) else {
            return self.mount_checked(checked);
        };
        if try_mounted && may_grow_mounted() {
            self.mount("").map_err(|error| self.mount_failed(error))?;
            if self.grow_mounted(blocks).is_ok() {
                return Ok(());
            }
            if let Err(error) = nix::mount::umount2(self.folder, MntFlags::empty()) {
                self.report.problem(self.not_grown(error.desc().into()));
                return Ok(());
            }
        }
        match self.grow_unmounted(blocks, checked) {
            Ok(()) => self.said_grown(),
            Err(problem) => self.report.problem(problem),
        }
        self.mount_checked(true)
    }

    pub(super) fn superblock(&self) -> Result<Superblock, CardProblem> {
        match read_superblock(self.partition) {
            Ok(Some(superblock)) => Ok(superblock),
            Ok(None) => Err(self.not_repaired("there is no ext4 on it".into())),
            Err(error) => Err(CardProblem::of_io(&self.partition.name, "reading its filesystem", &error)),
        }
    }

    /// One ioctl; the new inode tables stay as they are until the verdict. Without it before the ioctl: the kernel would fill them inside it.
    fn grow_mounted(&self, blocks: u64) -> io::Result<()> {
        if mounted::at(self.folder)?.is_some_and(|mount| mount.has(QUIET)) {
            remount(self.folder, BUSY)?;
        }
        let folder = File::open(self.folder)?;
        let grown = ioctl::grow_ext4(&folder, blocks);
        remount(self.folder, QUIET)?;
        grown?;
        let left = read_superblock(self.partition)?.and_then(|superblock| superblock.growth(self.partition.bytes));
        if left.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.said_grown();
        Ok(())
    }

    /// `resize2fs`, which wants a filesystem checked just now; by the clock, and a Pi has none: hence `-f`.
    fn grow_unmounted(&self, blocks: u64, checked: bool) -> Result<(), CardProblem> {
        if !checked {
            self.check_in_full()?;
        }
        let (node, blocks) = (self.partition.node(), blocks.to_string());
        let arguments = ["-f".as_ref(), node.as_os_str(), blocks.as_ref()];
        let ended = tool::run("resize2fs", &arguments, RESIZE).map_err(|why| missing("resize2fs", &why))?;
        match ended.code {
            0 => Ok(()),
            _ => Err(self.not_grown(ended.gist())),
        }
    }

    fn said_grown(&self) {
        let mebibytes = self.partition.bytes >> 20;
        self.report.note(format!("the filesystem on {} grew to {mebibytes} MiB", self.partition.name));
    }

    /// Mounts; one that the kernel takes for damaged is checked in full once, if it has not been.
    fn mount_checked(&self, checked: bool) -> Result<(), CardProblem> {
        let failed = match self.mount(QUIET) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if checked || !matches!(failed, Errno::EUCLEAN | Errno::EBADMSG | Errno::EINVAL) {
            return Err(self.mount_failed(failed));
        }
        self.check_in_full()?;
        self.mount(QUIET).map_err(|error| self.mount_failed(error))
    }

    fn mount(&self, more: &str) -> Result<(), Errno> {
        let options = format!("errors=remount-ro,{more}");
        let flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        let options = options.trim_end_matches(',');
        nix::mount::mount(Some(&self.partition.node()), self.folder, Some("ext4"), flags, Some(options))
    }

    fn must_be_writable(&self) -> Result<(), CardProblem> {
        let writable = || {
            nix::sys::statvfs::statvfs(self.folder)
                .map(|about| !about.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
        };
        match writable() {
            Ok(true) => return Ok(()),
            Ok(false) if self.partition.read_only => {}
            Ok(false) => {
                if remount(self.folder, QUIET).is_ok() && writable() == Ok(true) {
                    return Ok(());
                }
                let why = "the kernel has made the data partition read-only".into();
                return Err(CardProblem::Failing { doing: "mounting the data partition".into(), why });
            }
            Err(error) => return Err(self.mount_failed(error)),
        }
        Err(CardProblem::ReadOnly { disk: self.partition.name.clone() })
    }

    fn mount_failed(&self, error: Errno) -> CardProblem {
        match error {
            Errno::EIO => CardProblem::of_io(&self.partition.name, "mounting the data partition", &error.into()),
            Errno::EROFS | Errno::EACCES => CardProblem::ReadOnly { disk: self.partition.name.clone() },
            _ => self.not_mounted(error.desc()),
        }
    }

    fn not_mounted(&self, why: impl ToString) -> CardProblem {
        CardProblem::NotMounted { partition: self.partition.name.clone(), why: why.to_string() }
    }

    pub(super) fn not_repaired(&self, why: String) -> CardProblem {
        CardProblem::Filesystem { partition: self.partition.name.clone(), why }
    }

    fn not_grown(&self, why: String) -> CardProblem {
        CardProblem::NotGrown { partition: self.partition.name.clone(), why }
    }
}

/// The superblock of a partition; `None` when it holds no ext4. Through the partition: the disk's own cache may be older.
pub(crate) fn read_superblock(partition: &Partition) -> io::Result<Option<Superblock>> {
    let mut bytes = [0; superblock::LENGTH];
    match File::open(partition.node())?.read_exact_at(&mut bytes, superblock::AT) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Superblock::parse(&bytes)),
    }
}

/// Another option for a mounted ext4, writable; how it is mounted otherwise stays.
pub(crate) fn remount(point: &Path, option: &str) -> io::Result<()> {
    let mount = mounted::at(point)?.ok_or(io::ErrorKind::NotFound)?;
    let flags = MsFlags::MS_REMOUNT | mount.flags();
    Ok(nix::mount::mount(None::<&Path>, point, None::<&str>, flags, Some(option))?)
}

/// Whether this process may ask the kernel to grow a mounted ext4.
fn may_grow_mounted() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    has_capability(&status, SYS_RESOURCE)
}

fn has_capability(status: &str, number: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits >> number & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_is_read_from_the_effective_set() {
        assert!(has_capability("CapPrm:\t0\nCapEff:\t000001ffffffffff\n", SYS_RESOURCE));
        assert!(!has_capability("CapPrm:\tffffffff\nCapEff:\t000001fffeffffff\n", SYS_RESOURCE));
        assert!(!has_capability("", SYS_RESOURCE));
    }
}
