//! Who takes the room on the card: every byte has a package, or is ours.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::tool::{Doing, Outcome};
use crate::tree::{Kind, Node, Owner, Tree};

/// Block of ext4 and cluster of the boot partition: a file takes whole ones.
const BLOCK: u64 = 4096;
/// Longest target of a link that lies in its inode and takes no block.
const INLINE: usize = 59;
/// What is not of a package.
const OURS: &str = "(ours)";
/// Names shown in words; JSON has all.
const SHOWN: usize = 25;

/// What takes the room, by partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The root partition.
    pub root: Partition,
    /// The boot partition.
    pub boot: Partition,
}

/// What takes the room on one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// All of it.
    pub total: Room,
    /// By package, `(ours)` among them, largest first.
    pub owners: Vec<(String, Room)>,
    /// By folder, largest first: three levels of `/usr/lib` and `/usr/share`, two of `/usr`, one of all else.
    pub folders: Vec<(String, Room)>,
}

/// Room taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Room {
    /// Bytes of content in whole blocks of 4 KiB: what it costs on the card.
    pub blocks_bytes: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Files, links and folders; a further name of a file counts as none.
    pub inodes: u64,
}

/// The report on both trees of an image.
pub fn report(root: &Tree, boot: &Tree) -> Report {
    Report { root: Partition::of(root), boot: Partition::of(boot) }
}

impl Partition {
    fn of(tree: &Tree) -> Partition {
        let (mut owners, mut folders, mut total) = (BTreeMap::new(), BTreeMap::new(), Room::default());
        for (path, node) in tree.iter() {
            let room = Room::of(node);
            let owner = match &node.owner {
                Owner::Package(name) => name.clone(),
                Owner::Skel => OURS.to_owned(),
            };
            total.add(room);
            owners.entry(owner).or_insert_with(Room::default).add(room);
            folders.entry(folder(path, node)).or_insert_with(Room::default).add(room);
        }
        Partition { total, owners: largest_first(owners), folders: largest_first(folders) }
    }
}

impl Room {
    fn of(node: &Node) -> Room {
        let (bytes, blocks) = match &node.kind {
            Kind::Folder => (0, 1),
            Kind::File(source) => (source.size(), source.size().div_ceil(BLOCK)),
            Kind::Symlink(target) => (target.len() as u64, u64::from(target.len() > INLINE)),
            Kind::Hard(_) => return Room::default(),
        };
        Room { blocks_bytes: blocks * BLOCK, bytes, inodes: 1 }
    }

    fn add(&mut self, other: Room) {
        self.blocks_bytes += other.blocks_bytes;
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }
}

fn folder(path: &Path, node: &Node) -> String {
    let levels = match path {
        path if path.starts_with("/usr/lib") || path.starts_with("/usr/share") => 3,
        path if path.starts_with("/usr") => 2,
        _ => 1,
    };
    let folder = if node.kind == Kind::Folder { path } else { path.parent().unwrap_or(path) };
    let parts = folder.iter().skip(1).take(levels).map(|part| part.to_string_lossy());
    parts.fold(String::new(), |folder, part| format!("{folder}/{part}"))
}

fn largest_first(rooms: BTreeMap<String, Room>) -> Vec<(String, Room)> {
    let mut rooms: Vec<_> =
        rooms.into_iter().map(|(name, room)| (if name.is_empty() { "/".into() } else { name }, room)).collect();
    rooms.sort_by(|(one, room), (other, more)| more.cmp(room).then_with(|| one.cmp(other)));
    rooms
}

impl Report {
    /// In words: the largest of each, and how many the rest are.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, partition) in [("root partition", &self.root), ("boot partition", &self.boot)] {
            let Room { inodes, .. } = partition.total;
            text.push_str(&format!("{name}: {} MB unpacked, {inodes} files\n", megabytes(partition.total)));
            for (by, rooms) in [("package", &partition.owners), ("folder", &partition.folders)] {
                text.push_str(&format!("  by {by}\n"));
                let (shown, rest) = rooms.split_at(rooms.len().min(SHOWN));
                shown.iter().for_each(|(name, room)| text.push_str(&format!("  {:>9}  {name}\n", megabytes(*room))));
                if !rest.is_empty() {
                    let mut others = Room::default();
                    rest.iter().for_each(|(_, room)| others.add(*room));
                    text.push_str(&format!("  {:>9}  {} others\n", megabytes(others), rest.len()));
                }
            }
        }
        text
    }

    /// As JSON.
    pub fn json(&self) -> Outcome<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").doing("the report as JSON")
    }
}

/// Millions of bytes, with one digit behind the point.
fn megabytes(room: Room) -> String {
    let tenths = (room.blocks_bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Source;

    #[test]
    fn every_block_has_an_owner() {
        let mut root = Tree::default();
        root.file("/etc/a", 0o644, vec![0; 4097]);
        let package = |kind| Node { owner: Owner::Package("p".into()), ..Node::ours(kind, 0o644) };
        root.put("/usr", package(Kind::Folder));
        root.put("/usr/bin", package(Kind::Folder));
        root.put("/usr/bin/b", package(Kind::File(Source::Bytes(vec![0; 100_000]))));
        root.put("/usr/bin/c", package(Kind::Hard("/usr/bin/b".into())));
        root.put("/usr/lib/x", package(Kind::Folder));
        root.put("/usr/bin/d", package(Kind::Symlink("b".into())));
        let report = report(&root, &Tree::default());
        let room = |blocks: u64, bytes, inodes| Room { blocks_bytes: blocks * 4096, bytes, inodes };
        assert_eq!(report.root.total, room(2 + 1 + 1 + 25 + 1 + 1, 104_098, 7));
        assert_eq!(report.root.owners, [("p".into(), room(28, 100_001, 5)), ("(ours)".into(), room(3, 4097, 2))]);
        let folders: Vec<&str> = report.root.folders.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(folders, ["/usr/bin", "/etc", "/usr", "/usr/lib/x"]);
        assert_eq!(report.boot.total, Room::default());
        assert!(
            report.text().starts_with("root partition: 0.1 MB unpacked, 7 files\n  by package\n        0.1  p\n"),
            "{}",
            report.text()
        );
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(
            json["root"]["owners"][0],
            serde_json::json!(["p", {"blocks_bytes": 114_688, "bytes": 100_001, "inodes": 5}])
        );
    }
}
