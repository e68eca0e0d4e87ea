//! A file system in memory: what will lie on a partition, before anything of it is written.
//!
//! Paths are absolute within the partition (`/usr/bin/dpkg`), without `.` or `..`, in order of their bytes: what is made of a tree is the
//! same however it was filled.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Who brought a node: for the report on what takes the room, and for what dpkg knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A Debian package, by name.
    Package(String),
    /// Ours: the overlay, or made in place of a maintainer script.
    Skel,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of the build machine.
    Disk {
        /// Where it lies.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
    },
    /// Held in memory.
    Bytes(Vec<u8>),
}

impl Source {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Source::Disk { size, .. } => *size,
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// All bytes.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Source::Disk { path, .. } => std::fs::read(path),
            Source::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// What a node is. Hard links of packages become files of their own name with one [`Kind::Hard`] for each further name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File(Source),
    /// A symbolic link, with its target as written.
    Symlink(String),
    /// A further name of the file at this path.
    Hard(PathBuf),
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky: 0o7777 at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970; clamped to SOURCE_DATE_EPOCH when written.
    pub mtime: i64,
    /// Extended attributes (`security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who brought it.
    pub owner: Owner,
}

impl Node {
    /// A node of ours, owned by root.
    pub fn ours(kind: Kind, mode: u32) -> Node {
        Node { kind, mode, uid: 0, gid: 0, mtime: i64::MAX, xattrs: BTreeMap::new(), owner: Owner::Skel }
    }

    /// Bytes of content; 0 for anything but a file.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(source) => source.size(),
            _ => 0,
        }
    }
}

/// The tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// Every node in order of path; a folder comes before what is in it. The root itself is not among them unless it was put.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    /// The node at exactly this path; links are not followed.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Node> {
        self.nodes.get(path.as_ref())
    }

    /// As [`Tree::get`], to change it.
    pub fn get_mut(&mut self, path: impl AsRef<Path>) -> Option<&mut Node> {
        self.nodes.get_mut(path.as_ref())
    }

    /// Puts a node, and hands back the one that was there. Links in the folders above it are followed (`/lib/x` lands in `/usr/lib/x`).
    pub fn put(&mut self, path: impl AsRef<Path>, node: Node) -> Option<Node> {
        let path = self.real(path.as_ref());
        self.nodes.insert(path, node)
    }

    /// Takes a node out; what is below a folder stays.
    pub fn remove(&mut self, path: impl AsRef<Path>) -> Option<Node> {
        self.nodes.remove(path.as_ref())
    }

    /// Keeps only what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&Path, &Node) -> bool) {
        self.nodes.retain(|path, node| keep(path, node));
    }

    /// Puts a file of ours, and the folders above it that are missing.
    pub fn file(&mut self, path: impl AsRef<Path>, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.folders(path.as_ref());
        self.put(path, Node::ours(Kind::File(Source::Bytes(bytes.into())), mode));
    }

    /// Puts a folder of ours, and those above it that are missing. One that is there stays as it is.
    pub fn folder(&mut self, path: impl AsRef<Path>, mode: u32) {
        self.folders(path.as_ref());
        let path = self.real(path.as_ref());
        self.nodes.entry(path).or_insert_with(|| Node::ours(Kind::Folder, mode));
    }

    /// Puts a symbolic link of ours, and the folders above it that are missing.
    pub fn symlink(&mut self, path: impl AsRef<Path>, target: impl Into<String>) {
        self.folders(path.as_ref());
        self.put(path, Node::ours(Kind::Symlink(target.into()), 0o777));
    }

    fn folders(&mut self, path: &Path) {
        let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for folder in above.into_iter().rev().filter(|folder| folder.parent().is_some()) {
            let folder = self.real(&folder);
            self.nodes.entry(folder).or_insert_with(|| Node::ours(Kind::Folder, 0o755));
        }
    }

    /// `path` with every link in the folders above it followed; the last component is not. Forty links at most, as in the kernel.
    pub fn real(&self, path: &Path) -> PathBuf {
        let Some(name) = path.file_name() else { return path.to_owned() };
        self.follow(path.parent().unwrap_or(Path::new("/")), 40).join(name)
    }

    fn follow(&self, path: &Path, left: u32) -> PathBuf {
        let mut real = PathBuf::from("/");
        for component in path.components() {
            match component {
                std::path::Component::Normal(name) => real.push(name),
                std::path::Component::ParentDir => {
                    real.pop();
                    continue;
                }
                _ => continue,
            }
            if let (Some(Node { kind: Kind::Symlink(target), .. }), 1..) = (self.nodes.get(&real), left) {
                let target = real.parent().unwrap_or(Path::new("/")).join(target);
                real = self.follow(&target, left - 1);
            }
        }
        real
    }

    /// All bytes of the file at `path`, links followed to the end.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = path.as_ref();
        match self.nodes.get(&self.follow(path, 40)).map(|node| &node.kind) {
            Some(Kind::File(source)) => source.read(),
            Some(Kind::Hard(other)) => self.read(other.clone()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is no file of the tree", path.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_above_a_node_are_followed() {
        let mut tree = Tree::default();
        tree.folder("/usr/lib", 0o755);
        tree.symlink("/lib", "usr/lib");
        tree.file("/lib/systemd/x", 0o644, "x");
        assert!(tree.get("/usr/lib/systemd/x").is_some());
        assert_eq!(tree.read("/lib/systemd/x").unwrap(), b"x");
        tree.symlink("/loop", "/loop");
        tree.file("/loop/x", 0o644, "y");
    }
}
