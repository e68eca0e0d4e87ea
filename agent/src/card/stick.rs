//! A USB stick with a folder `offspot`: mounted read-only for the time of a run, so that what lies on it need not be fetched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::find::{self, Volume};
use super::mounted;
use super::shelf::Shelf;
use super::usb;
use crate::host::Host;
use crate::report::Reporter;

/// Where sticks are mounted, one folder each.
const POINTS: &str = "/run/offspot/stick";
/// Most filesystems that are mounted.
const MOST: usize = 8;
/// Filesystems that sticks have, the usual ones first; the kernel loads what it lacks.
const USUAL: [&str; 9] = ["vfat", "exfat", "ext4", "ntfs3", "ntfs", "iso9660", "udf", "f2fs", "btrfs"];
/// Older names of ext4, and what needs a program of its own.
const LEFT_OUT: [&str; 3] = ["ext2", "ext3", "fuseblk"];
/// Nothing on a stick is run, and nothing is written on it.
const FLAGS: MsFlags = MsFlags::MS_RDONLY
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NOATIME);

/// The sticks that are mounted now.
#[derive(Debug)]
pub struct Sticks {
    shelves: Vec<Shelf>,
}

impl Sticks {
    /// Those that [`plug_in`] mounted.
    pub fn here(host: &Host) -> Sticks {
        let points = (0..MOST).map(point);
        Sticks { shelves: points.filter_map(|point| Shelf::at(host, &point)).collect() }
    }

    /// The files on them that may hold the bytes of the entry for `to` with these URLs, as [`Shelf::files`] finds them.
    pub fn files(&self, to: &str, urls: &[&str]) -> Vec<PathBuf> {
        self.shelves.iter().flat_map(|shelf| shelf.files(to, urls.iter().copied())).collect()
    }

    /// The files in their folders `images`.
    pub fn images(&self) -> Vec<PathBuf> {
        self.shelves.iter().flat_map(Shelf::images).collect()
    }
}

/// Sticks for as long as this lives; then they may be pulled.
#[derive(Debug)]
pub struct Plugged {
    points: Vec<PathBuf>,
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.points.iter().for_each(|point| take_away(point));
    }
}

/// Mounts every stick that has a folder `offspot`: `named` (a disk, a partition, or a folder that is taken for the mounted stick), else on the
/// live host all that are plugged in and not in use. What an earlier run left mounted goes first. Blocking.
pub fn plug_in(host: &Host, card: Option<&Path>, named: Option<&Path>, report: &Reporter) -> Plugged {
    (0..MOST).for_each(|number| take_away(&host.path(point(number))));
    let mut plugged = Plugged { points: Vec::new() };
    let told = |name: &str, held: io::Result<Option<String>>| match held {
        Ok(Some(how)) => report.note(format!("a stick is used: {name} ({how})")),
        Ok(None) if named.is_some() => report.note(format!("the stick {name} has no folder {}", super::shelf::FOLDER)),
        Ok(None) => tracing::info!("{name} has no folder {}", super::shelf::FOLDER),
        Err(error) if named.is_some() => report.note(format!("the stick {name} cannot be used: {error}")),
        Err(error) => tracing::info!("{name} cannot be used as a stick: {error}"),
    };
    let volumes = match named {
        Some(folder) if folder.is_dir() => {
            told(&folder.to_string_lossy(), plugged.add(host, |point| bind(folder, point)));
            return plugged;
        }
        Some(device) => find::volumes_of(device),
        None => {
            usb::await_disks(host);
            find::pluggable(host, card)
        }
    };
    match volumes {
        Ok(volumes) => {
            volumes.iter().for_each(|volume| told(&volume.name, plugged.add(host, |point| mount_unused(volume, point))))
        }
        Err(error) => told(&named.unwrap_or(Path::new("/sys/block")).to_string_lossy(), Err(error)),
    }
    plugged
}

impl Plugged {
    /// Lets `mount` put a filesystem on the next free place. It stays where it holds our folder: then what `mount` said of it is given.
    fn add(&mut self, host: &Host, mount: impl FnOnce(&Path) -> io::Result<String>) -> io::Result<Option<String>> {
        let name = point(self.points.len());
        let point = host.path(&name);
        if self.points.len() >= MOST {
            return Err(io::Error::other("there are too many sticks"));
        }
        fs::create_dir_all(&point)?;
        let said = mount(&point)?;
        // From here on it is taken away again, whatever happens.
        self.points.push(point);
        if Shelf::at(host, &name).is_some() {
            return Ok(Some(said));
        }
        self.points.pop().iter().for_each(|point| take_away(point));
        Ok(None)
    }
}

/// The path that a file has on its own stick, wherever that is mounted.
pub fn own_path(path: &Path) -> PathBuf {
    let below = path.strip_prefix(POINTS).unwrap_or(path);
    below.components().skip(usize::from(below != path)).collect()
}

/// The place of a stick, as the box names it.
fn point(number: usize) -> PathBuf {
    Path::new(POINTS).join(number.to_string())
}

/// Unmounts and removes a place. What still reads from it may do so to its end.
fn take_away(point: &Path) {
    while umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    // It is there only after a run with sticks; a folder that is not empty is not ours.
    let _ = fs::remove_dir(point);
}

/// A folder as a stick: seen through a mount of its own, which is read-only.
fn bind(folder: &Path, point: &Path) -> io::Result<String> {
    mount(Some(folder), point, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | FLAGS;
    if let Err(error) = mount(None::<&str>, point, None::<&str>, again, None::<&str>) {
        take_away(point);
        return Err(error.into());
    }
    Ok("a folder".into())
}

/// Mounts a volume that nothing else has mounted or holds; gives the name of its filesystem.
fn mount_unused(volume: &Volume, point: &Path) -> io::Result<String> {
    if mounted::all()?.iter().any(|mount| mount.device == volume.device) {
        return Err(io::Error::other("it is mounted already"));
    }
    for kind in kinds() {
        // A journal is not replayed, for that would write; a filesystem without one may know no such option.
        for options in options(&kind) {
            match mount(Some(&volume.node()), point, Some(kind.as_str()), FLAGS, *options) {
                Ok(()) => return Ok(kind),
                Err(
                    error @ (Errno::EIO
                    | Errno::ETIMEDOUT
                    | Errno::EBUSY
                    | Errno::ENOENT
                    | Errno::ENXIO
                    | Errno::ENOMEDIUM
                    | Errno::EPERM),
                ) => {
                    return Err(error.into());
                }
                Err(_) => {}
            }
        }
    }
    Err(io::Error::other("it holds no filesystem that this box can read"))
}

fn options(kind: &str) -> &'static [Option<&'static str>] {
    match kind {
        "vfat" => &[Some("utf8,fmask=0133,dmask=0022"), None],
        "ext4" => &[Some("noload"), None],
        "xfs" | "f2fs" => &[Some("norecovery"), None],
        "btrfs" => &[Some("rescue=nologreplay"), None],
        _ => &[None],
    }
}

/// The filesystems to try: the usual ones, then what else the kernel knows and keeps on disks.
fn kinds() -> Vec<String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let known = known.lines().filter_map(|line| line.strip_prefix('\t')).map(str::trim);
    let others = known.filter(|kind| !USUAL.contains(kind) && !LEFT_OUT.contains(kind));
    USUAL.into_iter().chain(others).map(str::to_owned).collect()
}
