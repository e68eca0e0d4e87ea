//! `skel.toml`: what the image is to be, written by hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::tool::{Doing, Outcome};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skel {
    /// Debian's name of the architecture: `arm64`.
    pub architecture: String,
    /// Where packages come from.
    pub archives: Vec<Archive>,
    /// Packages wanted by name; what they depend on comes by itself.
    pub packages: Vec<String>,
    /// Package → suite that it must come from (a kernel from backports).
    #[serde(default)]
    pub from: BTreeMap<String, String>,
    /// Globs of paths of packages that are left out of the root partition (`/usr/share/doc/**`).
    #[serde(default)]
    pub leave_out: Vec<String>,
    /// Globs that are kept although `leave_out` names them.
    #[serde(default)]
    pub keep: Vec<String>,
    /// The partitions.
    pub partitions: Partitions,
    /// Users beside those of base-passwd; their group of the same name is made too.
    #[serde(default)]
    pub users: Vec<User>,
    /// Groups without a user.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Units that start with the system: `unit = "target.wants"`.
    #[serde(default)]
    pub units: Units,
    /// Modules that the initial RAM disk brings, beside what they depend on.
    #[serde(default)]
    pub initramfs_modules: Vec<String>,
    /// The boards that the image is for.
    #[serde(default)]
    pub boards: Vec<Board>,
}

/// One archive: a set of mirrors with the same content.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// For messages: `debian`, `security`.
    pub name: String,
    /// URLs that `Filename` and `dists/` are below, tried in order. `{timestamp}` becomes the lock's date of the suite, `20261112T075541Z`.
    pub mirrors: Vec<String>,
    /// `trixie`, `trixie-backports`.
    pub suites: Vec<String>,
    /// `main`, `non-free-firmware`.
    pub components: Vec<String>,
    /// Whether an upgrade from here is a security update.
    #[serde(default)]
    pub security: bool,
    /// Longest age of a release file without `Valid-Until`, in days.
    #[serde(default)]
    pub max_age_days: Option<u32>,
}

/// Sizes in bytes, and names that must never change, because the card is found by them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partitions {
    /// MBR signature, which makes the PARTUUIDs.
    pub disk_id: u32,
    /// FAT32 `bootfs`.
    pub boot_mib: u32,
    /// ext4 `rootfs`.
    pub root_mib: u32,
    /// ext4 `data`, grown on the card.
    pub data_mib: u32,
    /// File system UUID of `rootfs`.
    pub root_uuid: String,
    /// File system UUID of `data`.
    pub data_uuid: String,
    /// FAT volume id of `bootfs`.
    pub boot_id: u32,
}

/// A system user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id, and the id of its group.
    pub uid: u32,
    /// What it is for.
    pub gecos: String,
    /// Home folder.
    pub home: String,
}

/// A system group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub gid: u32,
}

/// Which units run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// `[Install]` of these is honoured, as `systemctl enable` would.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Links to `/dev/null`.
    #[serde(default)]
    pub mask: Vec<String>,
    /// What the system boots into.
    pub default: String,
}

/// What one board needs; every module and file named must be in the image, else the build fails.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// `Raspberry Pi 4 Model B`.
    pub name: String,
    /// Device tree on the boot partition.
    pub device_tree: String,
    /// `boot`, `sd`, `ethernet`, `wifi_ap`, `usb`, `led`, `watchdog` → what drives it.
    pub parts: BTreeMap<String, Part>,
}

/// What drives one part of a board.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Kernel modules by name, or built in.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Files of the root partition, or of the boot partition as `/boot/firmware/…`.
    #[serde(default)]
    pub files: Vec<String>,
    /// Said instead, where it does not work yet: why.
    #[serde(default)]
    pub not_yet: Option<String>,
}

impl Skel {
    /// Reads a `skel.toml`; what is wrong with it is named with its line.
    pub fn read(path: &Path) -> Outcome<Skel> {
        let text = std::fs::read_to_string(path).doing(path.display())?;
        toml::from_str(&text).doing(path.display())
    }
}
