//! What `skel.toml` leaves out of the packages.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::database;
use super::placing::pass_on;
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Owner, Tree};

/// Takes out what `leave_out` names and `keep` does not, and folders that are empty thereafter. `*` does not cross a `/`, `**` does. A glob
/// that matches nothing of any package is an error.
///
/// Answers what `dpkg -V` will call missing, in order of path, as dpkg's lists name it: files, links and folders. (It names a folder once for
/// every package that has it.)
pub fn leave_out(tree: &mut Tree, skel: &Skel) -> Outcome<Vec<PathBuf>> {
    let leave = Globs::new("leave_out", &skel.leave_out)?;
    let keep = Globs::new("keep", &skel.keep)?;
    let named = tree.iter().filter(|(path, node)| is_of_package(path, node) && leave.matches(path));
    let (kept, mut going): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
        named.map(|(path, _)| path.to_owned()).partition(|path| keep.matches(path));
    emptied(tree, &mut going);
    leave.all_match(&going)?;
    keep.all_match(&kept)?;
    let missing = known(tree, &going)?;
    pass_on(tree, &going);
    tree.retain(|path, _| !going.contains(path));
    Ok(missing)
}

fn is_of_package(path: &Path, node: &Node) -> bool {
    matches!(node.owner, Owner::Package(_)) && !path.starts_with(database::FOLDER) && path != Path::new("/")
}

/// A folder goes with the last of what is in it, and stays as long as anything of it does.
fn emptied(tree: &Tree, going: &mut BTreeSet<PathBuf>) {
    let (mut full, mut touched) = (BTreeSet::new(), BTreeSet::new());
    let nodes: Vec<(&Path, &Node)> = tree.iter().collect();
    // From the deepest up: a folder comes after what is in it.
    for (path, node) in nodes.into_iter().rev() {
        let is_folder = node.kind == Kind::Folder;
        let named = going.contains(path);
        let goes = match is_folder {
            true => !full.contains(path) && (named || touched.contains(path)) && path != Path::new("/"),
            false => named,
        };
        if goes {
            going.insert(path.to_owned());
        } else {
            going.remove(path);
        }
        if let Some(above) = path.parent() {
            if goes { &mut touched } else { &mut full }.insert(above.to_owned());
        }
    }
}

/// Those of dpkg's lists, folders too: it misses every name of them.
fn known(tree: &Tree, going: &BTreeSet<PathBuf>) -> Outcome<Vec<PathBuf>> {
    let info = Path::new(database::FOLDER).join("info");
    let is_list = |path: &Path| path.parent() == Some(&info) && path.extension() == Some(OsStr::new("list"));
    let mut missing = BTreeSet::new();
    for (path, _) in tree.iter().filter(|(path, _)| is_list(path)) {
        let list = tree.read(path).doing(path.display())?;
        let names = list.split(|byte| *byte == b'\n').map(|name| Path::new(OsStr::from_bytes(name)));
        missing.extend(names.filter(|name| going.contains(&tree.real(name))).map(Path::to_owned));
    }
    Ok(missing.into_iter().collect())
}

struct Globs<'a> {
    field: &'static str,
    globs: Vec<(&'a str, GlobMatcher)>,
}

impl<'a> Globs<'a> {
    fn new(field: &'static str, globs: &'a [String]) -> Outcome<Globs<'a>> {
        let glob = |text: &'a String| {
            let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
            Ok((text.as_str(), glob.doing(format_args!("skel.toml: {field}"))?.compile_matcher()))
        };
        Ok(Globs { field, globs: globs.iter().map(glob).collect::<Outcome<_>>()? })
    }

    fn matches(&self, path: &Path) -> bool {
        self.globs.iter().any(|(_, glob)| glob.is_match(path))
    }

    /// Each of them has to be good for one of the paths at least.
    fn all_match(&self, paths: &BTreeSet<PathBuf>) -> Outcome<()> {
        let idle = self.globs.iter().filter(|(_, glob)| !paths.iter().any(|path| glob.is_match(path)));
        let idle: Vec<&str> = idle.map(|(text, _)| *text).collect();
        if idle.is_empty() {
            return Ok(());
        }
        let idle = idle.join(", ");
        Err(Failure::new(format!(
            "skel.toml: {}: nothing of any package for {idle}: correct it, or take it out",
            self.field
        )))
    }
}
