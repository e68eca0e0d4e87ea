//! A card as a file: boot, root and data partition laid out as an image is, in a file larger than the image.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::library::Library;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Longest wait for the kernel to let go of a partition.
const PATIENCE: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Where the first partition starts, as on real cards.
const START: u64 = 8 * MIB;

/// How large the parts of a card are, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Boot partition; FAT32 wants 64 MiB and more.
    pub boot: u64,
    /// Root partition.
    pub root: u64,
    /// Data partition, before it grows.
    pub data: u64,
    /// The whole card.
    pub card: u64,
}

/// The demo's card: an image of 400 MiB on a card of 2 GiB.
pub const DEMO: Sizes = Sizes { boot: 96 * MIB, root: 40 * MIB, data: 256 * MIB, card: 2048 * MIB };

impl Sizes {
    fn root_at(&self) -> u64 {
        START + self.boot
    }

    fn data_at(&self) -> u64 {
        self.root_at() + self.root
    }

    fn image(&self) -> u64 {
        self.data_at() + self.data
    }
}

/// Makes the card at `path` and puts the library's three folders on it.
pub fn make(path: &Path, sizes: Sizes, library: &Library) -> Outcome<()> {
    let _ = fs::remove_file(path);
    let file = File::create(path).doing(path.display())?;
    file.set_len(sizes.image()).doing(path.display())?;
    partition(path, sizes)?;
    boot_partition(path, sizes, &library.boot)?;
    ext4(path, "rootfs", sizes.root_at(), sizes.root, &library.root, &[])?;
    ext4(path, "data", sizes.data_at(), sizes.data, &library.data, &["-i", "65536"])?;
    let file = OpenOptions::new().write(true).open(path).doing(path.display())?;
    file.set_len(sizes.card).doing(path.display())
}

fn partition(path: &Path, sizes: Sizes) -> Outcome<()> {
    let line = |at: u64, size: u64, kind: &str| format!("start={}, size={}, type={kind}\n", at / SECTOR, size / SECTOR);
    let table = [
        "label: dos\nlabel-id: 0x0ff5907d\n".to_owned(),
        line(START, sizes.boot, "c"),
        line(sizes.root_at(), sizes.root, "83"),
        line(sizes.data_at(), sizes.data, "83"),
    ];
    tool::run_with_input("sfdisk", &["--quiet", text(path)?], table.concat().as_bytes()).map(drop)
}

fn boot_partition(path: &Path, sizes: Sizes, folder: &Path) -> Outcome<()> {
    let (offset, blocks) = ((START / SECTOR).to_string(), (sizes.boot / 1024).to_string());
    let card = text(path)?;
    tool::run("mkfs.vfat", &["-F", "32", "-s", "1", "-n", "bootfs", "--offset", &offset, card, &blocks])?;
    fat_put(&format!("{card}@@{START}"), folder)
}

/// Copies what lies in `folder` onto a FAT filesystem, given as mtools name it: a device, or `file@@offset`.
pub fn fat_put(fat: &str, folder: &Path) -> Outcome<()> {
    let entries = fs::read_dir(folder).doing(folder.display())?;
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let mut arguments = vec!["-i", fat, "-s", "-m", "-Q", "-o"];
    for path in &paths {
        arguments.push(text(path)?);
    }
    arguments.push("::/");
    tool::run("mcopy", &arguments).map(drop)
}

/// Copies everything of a FAT filesystem into `folder`.
pub fn fat_get(fat: &str, folder: &Path) -> Outcome<()> {
    tool::run("mcopy", &["-i", fat, "-s", "-m", "-Q", "-n", "::/*", text(folder)?]).map(drop)
}

fn ext4(path: &Path, label: &str, at: u64, size: u64, folder: &Path, more: &[&str]) -> Outcome<()> {
    let extended = format!("offset={at},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0");
    let size = format!("{}k", size / 1024);
    let mut arguments = vec!["-q", "-F", "-t", "ext4", "-L", label, "-d", text(folder)?, "-E", &extended];
    arguments.extend(more);
    arguments.extend([text(path)?, &size]);
    tool::run("mke2fs", &arguments).map(drop)
}

/// Plugs the card in: a loop device and its partitions. Gives the device, `/dev/loop7`.
pub fn attach(path: &Path) -> Outcome<String> {
    let device = tool::run("losetup", &["--find", "--show", text(path)?])?.trim().to_owned();
    // A loop device may still have the partitions of the card that was in it before.
    let _ = tool::run("partx", &["--delete", &device]);
    tool::run("partx", &["--add", &device])?;
    let third = format!("{device}p3");
    if Path::new(&third).exists() {
        return Ok(device);
    }
    detach(&device)?;
    Err(Failure::new(format!("{third} did not appear: the kernel shows no partitions of loop devices")))
}

/// Unplugs a loop device and its partitions, as soon as nothing uses them: a killed engine's namespace may hold one a moment longer.
pub fn detach(device: &str) -> Outcome<()> {
    let begun = Instant::now();
    while has_partitions(device) {
        let _ = tool::run("partx", &["--delete", device]);
        if has_partitions(device) && begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!("something still uses a partition of {device}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    tool::run("losetup", &["--detach", device]).map(drop)
}

fn has_partitions(device: &str) -> bool {
    (1..=3).any(|number| Path::new(&format!("{device}p{number}")).exists())
}

/// Loop devices whose file lies below `folder`.
pub fn attached_below(folder: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let below = |name: &str| {
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        Path::new(file.trim()).starts_with(folder)
    };
    devices
        .filter_map(|device| device.file_name().into_string().ok())
        .filter(|name| below(name))
        .map(|name| format!("/dev/{name}"))
        .collect()
}
