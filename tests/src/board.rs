//! A board in the laboratory: a card plugged in, boot and root partition mounted, as the Pi has them when the agent starts.
//!
//! `root` becomes the agent's root folder. The data partition is left to the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::card;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Longest wait for the kernel to let go of a card.
const PATIENCE: Duration = Duration::from_secs(20);

/// A board: the folder that holds its card and its root.
#[derive(Debug, Clone)]
pub struct Board {
    folder: PathBuf,
}

/// A board that is on.
#[derive(Debug, Clone)]
pub struct Powered {
    /// The disk, `/dev/loop7`.
    pub device: String,
    /// Whether the kernel mounts FAT; where it does not, the boot partition is copied out and back.
    pub has_vfat: bool,
}

impl Board {
    /// A board in `folder`, which must be an absolute path.
    pub fn new(folder: impl Into<PathBuf>) -> Board {
        Board { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The card's file.
    pub fn card(&self) -> PathBuf {
        self.folder.join("card.img")
    }

    /// The agent's root folder.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The boot partition, as the agent sees it.
    pub fn boot(&self) -> PathBuf {
        self.root().join("boot/firmware")
    }

    /// Plugs the card in and mounts boot and root partition.
    pub fn power_on(&self) -> Outcome<Powered> {
        self.wait_for_the_card()?;
        self.power_on_with(card::attach(&self.card())?)
    }

    /// The same with a card that is plugged in already, and that power off leaves there.
    pub fn power_on_with(&self, device: String) -> Outcome<Powered> {
        let has_vfat = kernel_has("vfat");
        let (root, boot) = (self.root(), self.boot());
        fs::create_dir_all(&root).doing(root.display())?;
        tool::run("mount", &["-t", "ext4", &format!("{device}p2"), text(&root)?])?;
        // What the agent mounts below must reach the engine, whose mount namespace is a slave of this one.
        tool::run("mount", &["--make-shared", text(&root)?])?;
        tool::run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", text(&root.join("run"))?])?;
        let first = format!("{device}p1");
        if has_vfat {
            tool::run("mount", &["-t", "vfat", &first, text(&boot)?])?;
        } else {
            tool::run("mount", &["-t", "tmpfs", "-o", "mode=755", "bootfs", text(&boot)?])?;
            card::fat_get(&first, &boot)?;
        }
        Ok(Powered { device, has_vfat })
    }

    /// Where FAT cannot be mounted: copies what the agent wrote back onto the card.
    pub fn copy_boot_back(&self, powered: &Powered) -> Outcome<()> {
        if powered.has_vfat {
            return Ok(());
        }
        card::fat_put(&format!("{}p1", powered.device), &self.boot())
    }

    /// Unmounts everything below the board's folder and unplugs its card. Nothing to do is no failure.
    pub fn power_off(&self) -> Outcome<()> {
        for mount in mounts_below(&self.folder).iter().rev() {
            tool::run("umount", &[mount])?;
        }
        for device in card::attached_below(&self.folder) {
            card::detach(&device)?;
        }
        self.wait_for_the_card()
    }

    /// The namespace of an engine that was just killed may still hold the data partition: plugged in again before the kernel has let
    /// go, one filesystem would be mounted twice and ruined.
    fn wait_for_the_card(&self) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            match card::attached_below(&self.folder) {
                devices if devices.is_empty() => return Ok(()),
                devices if begun.elapsed() > PATIENCE => {
                    return Err(Failure::new(format!("something still uses {}", devices.join(", "))));
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// Mount points below `folder`, in the order in which they were mounted.
pub fn mounts_below(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(unescape);
    mounts.lines().filter_map(point).filter(|point| Path::new(point).starts_with(folder)).collect()
}

/// `mountinfo` writes blank, tab, line feed and backslash as three octal digits.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |point, (code, sign)| point.replace(code, sign))
}

fn kernel_has(filesystem: &str) -> bool {
    let known = || {
        let list = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        list.lines().any(|line| line.trim_start_matches("nodev").trim() == filesystem)
    };
    known() || (tool::succeeds("modprobe", &["-q", filesystem]) && known())
}
