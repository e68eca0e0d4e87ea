//! A FAT32 partition from a tree, by dosfstools and mtools. Files lie in one piece each, in the tree's order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Extent;
use super::mbr::SECTOR;
use super::work::Work;
use crate::tool::{Doing, Failure, Outcome, text};
use crate::tree::{Kind, Node, Source, Tree};

/// Fewer clusters would be read as FAT16 by some (Microsoft's FAT specification, "FAT Type Determination"); a little more for the margin it asks for.
const CLUSTERS: u64 = 65_525 + 16;

/// The partition while it is made: `fsck.fat` knows no offset into an image.
const PART: &str = "fat.part";

/// What the file system is to be.
#[derive(Debug, Clone, Copy)]
pub struct Volume<'a> {
    /// At most 11 letters.
    pub label: &'a str,
    /// Volume id.
    pub id: u32,
    /// Where in the image.
    pub at: Extent,
}

/// Makes the file system and puts the tree into it. Modes and owners are dropped, FAT has none.
///
/// # Errors
/// The tree does not fit (said before anything is copied), or has what FAT cannot hold: links, and names that differ in case alone.
pub fn write(work: &Work, volume: &Volume<'_>, tree: &Tree) -> Outcome<()> {
    let sectors = sectors_per_cluster(volume.at.length)?;
    let nodes = checked(tree)?;
    fits(&nodes, volume.at.length, sectors * SECTOR)?;
    format(work, volume, sectors)?;
    let spool = work.path("fat");
    spool_nodes(work, &spool, &nodes)?;
    copy(work, &nodes)?;
    fs::remove_dir_all(&spool).doing(spool.display())?;
    work.run("fsck.fat", &["-n", PART])?;
    work.pour(PART, volume.at.start)
}

/// Clusters of 4 KiB where there are enough of them, smaller ones on a small partition.
fn sectors_per_cluster(bytes: u64) -> Outcome<u64> {
    // Reserved sectors and the two tables take less than this share.
    let data = bytes - bytes / 50;
    let enough = [8, 4, 2, 1].into_iter().find(|sectors| data / (sectors * SECTOR) >= CLUSTERS);
    enough.ok_or_else(|| Failure::new("FAT32 wants 34 MiB and more: raise `boot_mib` in skel.toml"))
}

/// Every node by path, once it is known that FAT can hold it.
fn checked(tree: &Tree) -> Outcome<Vec<(&Path, &Node)>> {
    let mut names = BTreeMap::new();
    let nodes: Vec<_> = tree.iter().filter(|(path, _)| path.file_name().is_some()).collect();
    for (path, node) in &nodes {
        let refuse = |why: &str| Err(Failure::new(format!("boot partition: {}: {why}", path.display())));
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return refuse("is not UTF-8") };
        if name.contains(['"', '*', '/', ':', '<', '>', '?', '\\', '|']) || name.chars().any(char::is_control) {
            return refuse("FAT has no such characters in a name: rename it");
        }
        if name.ends_with(['.', ' ']) || name.starts_with(' ') || name.encode_utf16().count() > 255 {
            return refuse("FAT has no such name: rename it");
        }
        if !matches!(node.kind, Kind::Folder | Kind::File(_)) {
            return refuse("FAT has no links: put the file itself there");
        }
        let above = path.parent().filter(|above| above.parent().is_some());
        if !above.is_none_or(|above| matches!(tree.get(above), Some(Node { kind: Kind::Folder, .. }))) {
            return refuse("the folder that it lies in is not in the tree");
        }
        if let Some(other) = names.insert(path.to_string_lossy().to_lowercase(), path) {
            return refuse(&format!("FAT takes it for {}: rename one of them", other.display()));
        }
    }
    Ok(nodes)
}

fn fits(nodes: &[(&Path, &Node)], bytes: u64, cluster: u64) -> Outcome<()> {
    // A name of 255 letters takes 21 entries of 32 bytes.
    let entries = |path: &Path| (path.file_name().map_or(0, |name| name.len() as u64) / 13 + 2) * 32;
    let names: u64 = nodes.iter().map(|(path, _)| entries(path)).sum();
    let content: u64 = nodes.iter().map(|(_, node)| node.size().next_multiple_of(cluster)).sum();
    let folders = nodes.iter().filter(|(_, node)| node.kind == Kind::Folder).count() as u64 + 1;
    let needed = content + names.next_multiple_of(cluster) + 2 * folders * cluster;
    let tables = 32 * SECTOR + 2 * (bytes / cluster * 4).next_multiple_of(cluster) + 2 * cluster;
    let there = bytes.saturating_sub(tables);
    if needed <= there {
        return Ok(());
    }
    let (missing, needed, there) = (mib(needed - there), mib(needed), there >> 20);
    let what = format!("boot partition: {needed} MiB are needed, {there} are there");
    Err(Failure::new(format!("{what}: raise `boot_mib` in skel.toml by {missing} or more")))
}

/// MiB, rounded up.
pub(super) fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn format(work: &Work, volume: &Volume<'_>, sectors: u64) -> Outcome<()> {
    let part = work.path(PART);
    File::create_new(&part).and_then(|file| file.set_len(volume.at.length)).doing(part.display())?;
    let (id, cluster) = (format!("{:08x}", volume.id), sectors.to_string());
    let before = (volume.at.start / SECTOR).to_string();
    let shape = ["--invariant", "-F", "32", "-g", "255/63", "-s", &cluster, "-h", &before];
    let names = ["-n", volume.label, "-i", &id, PART];
    work.run("mkfs.vfat", &[shape.as_slice(), &names].concat()).map(drop)
}

/// Lays the tree down in the scratch folder, because mtools take times and names from files.
fn spool_nodes(work: &Work, spool: &Path, nodes: &[(&Path, &Node)]) -> Outcome<()> {
    fs::create_dir(spool).doing(spool.display())?;
    for (path, node) in nodes {
        let to = below(spool, path);
        match &node.kind {
            Kind::File(Source::Disk { path: from, size }) => {
                let copied = fs::copy(from, &to).doing(from.display())?;
                if copied != *size {
                    let why = format!("{}: has {copied} bytes, should have {size}: build again", from.display());
                    return Err(Failure::new(why));
                }
            }
            Kind::File(Source::Bytes(bytes)) => fs::write(&to, bytes).doing(to.display())?,
            _ => {
                fs::create_dir(&to).doing(to.display())?;
                continue;
            }
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(dos(node.mtime.min(work.epoch())));
        File::options().write(true).open(&to).and_then(|file| file.set_modified(time)).doing(to.display())?;
    }
    Ok(())
}

/// Seconds since 1970 as FAT can say them: from 1980, in steps of two.
fn dos(time: i64) -> u64 {
    time.max(315_532_800).unsigned_abs() & !1
}

fn below(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

/// Folder by folder: mtools give each file the next free clusters, in the order in which they are named.
fn copy(work: &Work, nodes: &[(&Path, &Node)]) -> Outcome<()> {
    let mut files: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    for (path, node) in nodes {
        if node.kind == Kind::Folder {
            work.run("mmd", &["-i", PART, &format!("::{}", text(path)?)])?;
        } else if let Some(above) = path.parent() {
            files.entry(above).or_default().push(text(&below(Path::new("fat"), path))?.to_owned());
        }
    }
    for (folder, files) in files {
        let to = format!("::{}", text(folder)?.trim_end_matches('/').to_owned() + "/");
        for some in files.chunks(500) {
            let mut command = work.command("mcopy")?;
            command.args(["-m", "-i", PART]).args(some).arg(&to);
            super::work::run(&mut command)?;
        }
    }
    Ok(())
}
