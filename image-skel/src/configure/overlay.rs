//! The overlay: files as they lie on the card, put over what the packages brought.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Owner, Source, Tree};

/// Where the boot partition is mounted: what the overlay has below it lies on that partition, and not in the root's folder.
pub(crate) const BOOT: &str = "boot/firmware";

/// Puts every file and link of `folder` into the tree below `/`, but for what `skip` says of its path in the overlay.
/// A file of a package is never overwritten: dpkg would find it changed.
pub(crate) fn lay(tree: &mut Tree, folder: &Path, skip: impl Fn(&Path) -> bool) -> Outcome<usize> {
    let mut found = Vec::new();
    walk(folder, Path::new(""), &mut found)?;
    found.retain(|path| !skip(path));
    for path in &found {
        let target = Path::new("/").join(path);
        if let Some(Node { owner: Owner::Package(package), .. }) = tree.get(tree.real(&target)) {
            let path = target.display();
            return Err(Failure::new(format!(
                "{}: {path} belongs to {package}: configure it by a drop-in, or leave it out in skel.toml",
                folder.display()
            )));
        }
        put(tree, &folder.join(path), &target)?;
    }
    Ok(found.len())
}

/// Folders of the way are made as the tree makes them; the modes of a checkout depend on its umask, so only the execute bit counts.
fn put(tree: &mut Tree, from: &Path, to: &Path) -> Outcome<()> {
    let about = fs::symlink_metadata(from).doing(from.display())?;
    if about.is_symlink() {
        let target = fs::read_link(from).doing(from.display())?;
        tree.symlink(to, target.to_string_lossy());
        return Ok(());
    }
    let mode = if about.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    tree.file(to, mode, Vec::new());
    let source = Source::Disk { path: from.to_owned(), size: about.size() };
    tree.put(to, Node::ours(Kind::File(source), mode));
    Ok(())
}

fn walk(top: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    let folder = top.join(below);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).doing(folder.display())? {
        names.push(entry.doing(folder.display())?.file_name());
    }
    names.sort();
    for name in names {
        let path = below.join(name);
        if fs::symlink_metadata(top.join(&path)).doing(path.display())?.is_dir() {
            walk(top, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_package_is_never_overwritten() {
        let folder = std::env::temp_dir().join(format!("offspot-overlay-{}", std::process::id()));
        fs::create_dir_all(folder.join("lib/x")).unwrap();
        fs::write(folder.join("lib/x/own"), "ours").unwrap();
        fs::write(folder.join("skipped"), "").unwrap();
        let mut tree = Tree::default();
        tree.folder("/usr/lib", 0o755);
        tree.symlink("/lib", "usr/lib");
        assert_eq!(lay(&mut tree, &folder, |path| path == Path::new("skipped")).unwrap(), 1);
        assert_eq!(tree.read("/usr/lib/x/own").unwrap(), b"ours");
        assert!(tree.get("/skipped").is_none());
        tree.get_mut("/usr/lib/x/own").unwrap().owner = Owner::Package("libx".into());
        let why = lay(&mut tree, &folder, |_| false).unwrap_err().to_string();
        assert!(why.contains("/lib/x/own belongs to libx"), "{why}");
        fs::remove_dir_all(folder).unwrap();
    }
}
