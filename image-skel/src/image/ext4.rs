//! An ext4 partition from a tree, by e2fsprogs alone: `mke2fs` makes it empty, `debugfs` puts the nodes in, `e2fsck` looks it over.

use std::fs;

use super::Extent;
use super::work::{IMAGE, Work};
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

mod script;

const BLOCK: u64 = 4096;
/// Every card that an MBR can hold, in blocks: room in the tables so that growth moves nothing. It costs
/// 1.75 MiB in the image and 10 MiB on a card of 32 GiB.
const LARGEST_CARD: u64 = (2 << 40) / BLOCK;
/// What is said for certain here depends on no machine's `/etc/mke2fs.conf` and on no version's built-in one. All of it is known to Linux 4.4
/// and to GRUB's and U-Boot's readers.
const CONFIGURATION: &str = "[defaults]
    base_features = none
    default_mntopts = acl,user_xattr
    enable_periodic_fsck = 0
    blocksize = 4096
    inode_size = 256
    errors = remount-ro
";
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,\
                        huge_file,dir_nlink,extra_isize,metadata_csum";

/// What the file system is to be.
#[derive(Debug, Clone)]
pub struct Volume<'a> {
    /// At most 16 letters.
    pub label: &'a str,
    /// Its UUID, which is also the seed of its folders' hashes.
    pub uuid: &'a str,
    /// Where in the image.
    pub at: Extent,
    /// What it is for.
    pub role: Role,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Hardly written, never grown: inodes for twice the tree, a small journal.
    Root,
    /// Grown on the card, up to 2 TiB: an inode for each 64 KiB, a journal for the whole card.
    Data,
}

impl<'a> Volume<'a> {
    /// The root partition.
    pub fn root(uuid: &'a str, at: Extent) -> Volume<'a> {
        Volume { label: "rootfs", uuid, at, role: Role::Root }
    }

    /// The data partition.
    pub fn data(uuid: &'a str, at: Extent) -> Volume<'a> {
        Volume { label: "data", uuid, at, role: Role::Data }
    }
}

/// Makes the file system and puts the tree into it.
///
/// # Errors
/// The tree does not fit (said before anything is copied), or has a name or a kind of link that `debugfs` cannot express.
pub fn write(work: &Work, volume: &Volume<'_>, tree: &Tree) -> Outcome<()> {
    format(work, volume, tree)?;
    let device = format!("{IMAGE}?offset={}", volume.at.start);
    fits(work, volume, &device, tree)?;
    let spool = work.path("spool");
    fs::create_dir(&spool).doing(spool.display())?;
    let commands = script::of(tree, &spool, work.epoch())?;
    fs::write(work.path("script"), commands).doing("script")?;
    let said = work.run("debugfs", &["-w", "-f", "script", &device])?;
    complaints(volume, &said.err)?;
    fs::remove_dir_all(&spool).doing(spool.display())?;
    work.run("e2fsck", &["-f", "-n", &device]).map(drop)
}

fn format(work: &Work, volume: &Volume<'_>, tree: &Tree) -> Outcome<()> {
    let configuration = work.path("mke2fs.conf");
    fs::write(&configuration, CONFIGURATION).doing(configuration.display())?;
    let nodes = tree.iter().count();
    let inodes = (2 * nodes + 4096).to_string();
    let (sized, journal, grown) = match volume.role {
        Role::Root => (["-N", inodes.as_str()], 4, String::new()),
        Role::Data => (["-i", "65536"], journal(volume.at.length), format!(",resize={LARGEST_CARD}")),
    };
    // The image's free blocks may never reach the card, but its tables and journal do: zeros there are content, not left to be made later.
    let (offset, uuid) = (volume.at.start, volume.uuid);
    let extended = "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    let extended = format!("offset={offset},hash_seed={uuid},{extended}{grown}");
    let journal = format!("size={journal}");
    let shape = ["-q", "-F", "-t", "ext4", "-O", FEATURES, "-b", "4096", "-I", "256", "-m", "1", "-J", &journal];
    let names = ["-L", volume.label, "-U", uuid, "-E", &extended, IMAGE];
    let blocks = (volume.at.length / BLOCK).to_string();
    work.run("mke2fs", &[shape.as_slice(), &sized, &names, &[&blocks]].concat()).map(drop)
}

/// MiB of journal: what `mke2fs` gives a card of 8 to 32 GiB, unless that is more than a quarter of the partition as it is flashed.
fn journal(bytes: u64) -> u64 {
    (bytes >> 22).clamp(4, 64)
}

/// Compares what the tree takes with what the empty file system has.
fn fits(work: &Work, volume: &Volume<'_>, device: &str, tree: &Tree) -> Outcome<()> {
    let said = work.run("debugfs", &["-R", "stats -h", device])?.out;
    let (blocks, inodes) = (field(&said, "Free blocks:")?, field(&said, "Free inodes:")?);
    let (needed, nodes) = (script::blocks(tree), tree.iter().count() as u64);
    let label = volume.label;
    if nodes > inodes {
        return Err(Failure::new(format!(
            "{label}: {nodes} files and folders, room for {inodes}: raise its size in skel.toml"
        )));
    }
    if needed > blocks {
        let mib = |blocks: u64| (blocks * BLOCK).div_ceil(1 << 20);
        let what = format!("{label}: {} MiB are needed, {} are there", mib(needed), (blocks * BLOCK) >> 20);
        let more = mib(needed - blocks);
        return Err(Failure::new(format!(
            "{what}: raise its size in skel.toml by {more} MiB or more, or leave more out"
        )));
    }
    Ok(())
}

/// A number of the superblock, as `debugfs` prints it.
pub(crate) fn field(said: &str, name: &str) -> Outcome<u64> {
    let value = said.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| Failure::new(format!("debugfs says no `{name}`: it is no file system of ours")))
}

/// `debugfs` ends with 0 whatever went wrong: all that it says behind its version counts.
fn complaints(volume: &Volume<'_>, said: &str) -> Outcome<()> {
    let bad: Vec<&str> =
        said.lines().filter(|line| !line.starts_with("debugfs 1.") && !line.trim().is_empty()).collect();
    match bad.first() {
        None => Ok(()),
        Some(first) => {
            let (label, more) = (volume.label, bad.len() - 1);
            Err(Failure::new(format!("{label}: debugfs: {first} (and {more} more like it)")))
        }
    }
}
