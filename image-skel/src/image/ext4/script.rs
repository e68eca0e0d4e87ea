//! What `debugfs` is told, so that a tree lies in an empty file system.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::BLOCK;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Source, Tree};

/// `debugfs` reads lines into a buffer of this many bytes, and would run the rest of a longer one as a command.
const LINE: usize = 8000;
/// A symbolic link with a shorter target lies in its inode.
const FAST_LINK: usize = 60;

/// Blocks that the nodes of a tree take: content, folders, long links, attributes outside of inodes. Never less than they take in the end.
pub fn blocks(tree: &Tree) -> u64 {
    let mut folders: BTreeMap<&Path, u64> = BTreeMap::new();
    let mut blocks = 0;
    for (path, node) in tree.iter() {
        let name = path.file_name().map_or(0, OsStr::len) as u64;
        if let Some(above) = path.parent() {
            *folders.entry(above).or_default() += (name + 8).next_multiple_of(4);
        }
        blocks += match &node.kind {
            Kind::File(source) => source.size().div_ceil(BLOCK),
            Kind::Folder => 1,
            Kind::Symlink(target) if target.len() >= FAST_LINK => 1,
            Kind::Symlink(_) | Kind::Hard(_) => 0,
        };
        blocks += u64::from(!node.xattrs.is_empty());
    }
    // An entry is never split between blocks: what is left at the end of one is shorter than the longest name.
    blocks + folders.values().map(|bytes| bytes / (BLOCK - 264 - 12)).sum::<u64>()
}

/// The commands. `spool` is an empty folder for what `debugfs` takes from files.
///
/// # Errors
/// A node that `debugfs` cannot be told of, by its path.
pub fn of(tree: &Tree, spool: &Path, epoch: i64) -> Outcome<Vec<u8>> {
    let mut script = Script { lines: Vec::new(), spool, spooled: 0, epoch, at: PathBuf::from("/") };
    let mut links: BTreeMap<PathBuf, Vec<&Path>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let above = path.parent().filter(|above| above.parent().is_some());
        if !above.is_none_or(|above| matches!(tree.get(above), Some(Node { kind: Kind::Folder, .. }))) {
            return Err(Failure::new(format!("{}: the folder that it lies in is not in the tree", path.display())));
        }
        match &node.kind {
            Kind::Hard(target) => links.entry(file_behind(tree, path, target)?).or_default().push(path),
            _ => script.node(path, node).doing(path.display())?,
        }
    }
    for (path, mode) in [("/", 0o755), ("/lost+found", 0o700)] {
        if tree.get(path).is_none() {
            script.attributes(Path::new(path), &Node::ours(Kind::Folder, mode))?;
        }
    }
    for (target, names) in &links {
        script.links(target, names).doing(target.display())?;
    }
    Ok(script.lines)
}

/// The path under which a hard link's file itself stands.
fn file_behind(tree: &Tree, link: &Path, target: &Path) -> Outcome<PathBuf> {
    let target = tree.real(target);
    match tree.get(&target).map(|node| &node.kind) {
        Some(Kind::File(_)) => Ok(target),
        _ => {
            let (link, target) = (link.display(), target.display());
            Err(Failure::new(format!("{link}: a hard link to {target}, which is no file of the tree")))
        }
    }
}

struct Script<'a> {
    lines: Vec<u8>,
    spool: &'a Path,
    spooled: usize,
    epoch: i64,
    /// The folder that `debugfs` is in.
    at: PathBuf,
}

impl Script<'_> {
    fn node(&mut self, path: &Path, node: &Node) -> Outcome<()> {
        let name = self.enter(path)?;
        match &node.kind {
            Kind::Folder if path.parent().is_none() || path == Path::new("/lost+found") => {}
            Kind::Folder => self.line(&[OsStr::new("mkdir"), name])?,
            Kind::Symlink(target) => self.line(&[OsStr::new("symlink"), name, OsStr::new(target)])?,
            Kind::File(Source::Disk { path: from, size }) => {
                let from = std::path::absolute(from).doing(from.display())?;
                let now = fs::metadata(&from).doing(from.display())?.len();
                if now != *size {
                    return Err(Failure::new(format!(
                        "{}: has {now} bytes, should have {size}: build again",
                        from.display()
                    )));
                }
                self.line(&[OsStr::new("write"), from.as_os_str(), name])?;
            }
            Kind::File(Source::Bytes(bytes)) => {
                let from = self.spooled(bytes)?;
                self.line(&[OsStr::new("write"), from.as_os_str(), name])?;
            }
            Kind::Hard(_) => {}
        }
        self.attributes(path, node)?;
        node.xattrs.iter().try_for_each(|(key, value)| self.xattr(path, key, value))
    }

    /// Goes to the folder of a path, and gives its name there: few commands take a path for what they make.
    fn enter<'a>(&mut self, path: &'a Path) -> Outcome<&'a OsStr> {
        if let Some(above) = path.parent().filter(|above| self.at != *above) {
            self.line(&[OsStr::new("cd"), above.as_os_str()])?;
            self.at = above.to_owned();
        }
        Ok(path.file_name().unwrap_or(OsStr::new("/")))
    }

    /// Mode, owner and times. A node is as new as the image, but for what tells when its content was.
    fn attributes(&mut self, path: &Path, node: &Node) -> Outcome<()> {
        let kind = match node.kind {
            Kind::Folder => 0o040_000,
            Kind::Symlink(_) => 0o120_000,
            Kind::File(_) | Kind::Hard(_) => 0o100_000,
        };
        self.field(path, "mode", &format!("0{:o}", kind | node.mode & 0o7777))?;
        self.field(path, "uid", &node.uid.to_string())?;
        self.field(path, "gid", &node.gid.to_string())?;
        self.field(path, "mtime", &format!("@{}", node.mtime.clamp(0, self.epoch)))?;
        let now = format!("@{}", self.epoch);
        ["atime", "ctime", "crtime"].into_iter().try_for_each(|time| self.field(path, time, &now))
    }

    fn xattr(&mut self, path: &Path, key: &str, value: &[u8]) -> Outcome<()> {
        let from = self.spooled(value)?;
        let words = [OsStr::new("ea_set"), OsStr::new("-f"), from.as_os_str(), path.as_os_str(), OsStr::new(key)];
        self.line(&words)
    }

    /// Further names of a file; `ln` leaves its count as it was.
    fn links(&mut self, target: &Path, names: &[&Path]) -> Outcome<()> {
        for name in names {
            let name = self.enter(name)?;
            self.line(&[OsStr::new("ln"), target.as_os_str(), name])?;
        }
        self.field(target, "links_count", &(names.len() + 1).to_string())
    }

    fn field(&mut self, path: &Path, field: &str, value: &str) -> Outcome<()> {
        self.line(&[OsStr::new("sif"), path.as_os_str(), OsStr::new(field), OsStr::new(value)])
    }

    fn spooled(&mut self, bytes: &[u8]) -> Outcome<PathBuf> {
        let name = self.spooled.to_string();
        self.spooled += 1;
        fs::write(self.spool.join(&name), bytes).doing(self.spool.display())?;
        Ok(Path::new("spool").join(name))
    }

    fn line(&mut self, words: &[&OsStr]) -> Outcome<()> {
        let start = self.lines.len();
        for (at, word) in words.iter().map(|word| word.as_bytes()).enumerate() {
            if word.is_empty() || word.contains(&b'\n') || word.contains(&0) {
                return Err(Failure::new("debugfs cannot be told a name that is empty or has a line break: rename it"));
            }
            if at > 0 {
                self.lines.push(b' ');
            }
            quote(&mut self.lines, word);
        }
        self.lines.push(b'\n');
        if self.lines.len() - start > LINE {
            return Err(Failure::new(format!("debugfs takes {LINE} bytes a line: shorten the name or the target")));
        }
        Ok(())
    }
}

/// In double quotes where a word has anything beside plain letters, with quotes in it doubled: what e2fsprogs' libss reads.
fn quote(to: &mut Vec<u8>, word: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.-_+@:,=%~".contains(byte);
    if word.iter().all(plain) {
        return to.extend_from_slice(word);
    }
    to.push(b'"');
    for byte in word {
        to.push(*byte);
        if *byte == b'"' {
            to.push(b'"');
        }
    }
    to.push(b'"');
}
