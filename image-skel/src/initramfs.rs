//! The initial RAM disk: a shell, the drivers of every disk that a card can be, `e2fsck`, and our `init`, which hands over to systemd.
//!
//! The root partition is checked here, before it is mounted: a repair then needs no second start.

mod cpio;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::modules::{self, Modules};
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Node, Tree};
use cpio::Archive;

const INIT: &[u8] = include_bytes!("initramfs/init");
/// Static programs of the packages: in the tree, in the RAM disk.
const PROGRAMS: [(&str, &str); 2] = [("/usr/bin/busybox", "bin/busybox"), ("/usr/sbin/e2fsck.static", "bin/e2fsck")];
/// Lists of the kernel's package that `depmod` reads.
const LISTS: [&str; 3] = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];
/// What busybox's `modprobe` reads.
const INDEXES: [&str; 3] = ["modules.alias", "modules.dep", "modules.symbols"];

/// Makes it: gzip without a date. `tree`: the root with everything that the packages brought, before anything is left out for the card.
pub fn make(tree: &Tree, skel: &Skel) -> Outcome<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "etc", "proc", "root", "run", "sys"] {
        archive.folder(folder);
    }
    for (from, to) in PROGRAMS {
        archive.file(to, 0o755, &tree.read(from).doing("the initial RAM disk; name its package in skel.toml")?);
    }
    archive.file("init", 0o755, INIT);
    // ext4 is what no device names.
    archive.file("etc/modules", 0o644, b"ext4\n");
    put_modules(&mut archive, tree, skel)?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&archive.finish()).and_then(|()| gzip.finish()).doing("the initial RAM disk")
}

fn put_modules(archive: &mut Archive, tree: &Tree, skel: &Skel) -> Outcome<()> {
    let modules = Modules::find(tree)?;
    let closure = modules.closure_of(tree, &skel.initramfs_modules)?;
    let folder = Path::new(modules::FOLDER).join(&modules.kernel);
    let mut files: Vec<(&Path, &Node)> = Vec::new();
    let paths = closure.iter().filter_map(|name| modules.files.get(name).cloned());
    let lists = LISTS.iter().map(|name| folder.join(name));
    for path in paths.chain(lists).collect::<BTreeSet<_>>() {
        let found = tree.iter().find(|(at, _)| *at == path);
        files.push(found.ok_or_else(|| Failure::new(format!("{} is not in the tree", path.display())))?);
    }
    let indexes = modules::indexes(&modules.kernel, files.iter().copied())?;
    let mut folders = BTreeSet::new();
    for (path, node) in files.iter().filter(|(path, _)| !LISTS.iter().any(|name| path.ends_with(name))) {
        let inside = path.strip_prefix("/usr").unwrap_or(path);
        above(archive, &mut folders, inside);
        let content = match &node.kind {
            crate::tree::Kind::File(source) => source.read().doing(path.display())?,
            _ => continue,
        };
        archive.file(&inside.to_string_lossy(), 0o644, &content);
    }
    for name in INDEXES {
        let content = indexes.get(name).ok_or_else(|| Failure::new(format!("depmod made no {name}")))?;
        let inside = Path::new("lib/modules").join(&modules.kernel).join(name);
        above(archive, &mut folders, &inside);
        archive.file(&inside.to_string_lossy(), 0o644, content);
    }
    Ok(())
}

/// Folders above a path, once each.
fn above(archive: &mut Archive, made: &mut BTreeSet<String>, path: &Path) {
    let all: Vec<_> = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for folder in all.into_iter().rev() {
        let folder = folder.to_string_lossy().into_owned();
        if made.insert(folder.clone()) {
            archive.folder(&folder);
        }
    }
}
