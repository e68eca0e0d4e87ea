//! Members of debs become nodes of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Package;
use crate::deb::index::{Member, What};
use crate::tool::{Failure, Outcome};
use crate::tree::{Kind, Node, Owner, Tree};

/// Paths that a package brought and another one replaced, by package: its list must not name them.
pub type Lost = BTreeMap<String, BTreeSet<PathBuf>>;

struct Placing<'a> {
    tree: Tree,
    packages: BTreeMap<&'a str, &'a Package<'a>>,
    lost: Lost,
}

/// Every member of the packages, in their order.
pub fn place(packages: &[&Package<'_>]) -> Outcome<(Tree, Lost)> {
    let by_name = packages.iter().map(|package| (package.name(), *package)).collect();
    let mut placing = Placing { tree: Tree::default(), packages: by_name, lost: Lost::new() };
    // base-files' links come before what lands behind them, whichever package is first.
    for top in [true, false] {
        for package in packages {
            for member in package.deb.data.iter().filter(|member| is_top_link(member) == top) {
                placing.member(package, member)?;
            }
        }
    }
    Ok((placing.tree, placing.lost))
}

fn is_top_link(member: &Member) -> bool {
    matches!(member.what, What::Symlink(_)) && member.path.components().count() == 2
}

impl Placing<'_> {
    fn member(&mut self, package: &Package<'_>, member: &Member) -> Outcome<()> {
        let path = self.tree.real(&member.path);
        let is_folder = member.what == What::Folder;
        if let Some(there) = self.tree.get(&path) {
            if is_folder && self.serves_as_folder(&path, there) {
                return Ok(());
            }
            if !self.overwrites(package, &path, there, is_folder)? {
                self.lost.entry(package.name().to_owned()).or_default().insert(path);
                return Ok(());
            }
            if let Owner::Package(old) = &there.owner {
                self.lost.entry(old.clone()).or_default().insert(path.clone());
            }
            pass_on(&mut self.tree, &BTreeSet::from([path.clone()]));
        }
        let node = self.node(package, member)?;
        self.tree.put(path, node);
        Ok(())
    }

    /// dpkg leaves a link that leads to a folder where another package brings a folder.
    fn serves_as_folder(&self, path: &Path, there: &Node) -> bool {
        match &there.kind {
            Kind::Folder => true,
            Kind::Symlink(_) => {
                let behind = self.tree.real(&path.join("x"));
                let folder = behind.parent().and_then(|folder| self.tree.get(folder));
                folder.is_none_or(|folder| folder.kind == Kind::Folder)
            }
            _ => false,
        }
    }

    /// Whether the package's own file goes over the one that is there; both `Replaces` count, whichever is unpacked first.
    fn overwrites(&self, package: &Package<'_>, path: &Path, there: &Node, is_folder: bool) -> Outcome<bool> {
        let old = match &there.owner {
            Owner::Package(old) => self.packages.get(old.as_str()).copied(),
            Owner::Skel => None,
        };
        let old = old.ok_or_else(|| Failure::new(format!("{} is not of a package", path.display())))?;
        let both_files = !is_folder && there.kind != Kind::Folder;
        match both_files && old.name() != package.name() {
            true if package.replaces(old) => Ok(true),
            true if old.replaces(package) => Ok(false),
            _ => Err(Failure::new(format!(
                "{} is in {} {} and in {} {}, and neither replaces the other: leave one of them out of skel.toml, or lock versions that agree",
                path.display(),
                old.name(),
                old.locked.version,
                package.name(),
                package.locked.version,
            ))),
        }
    }

    fn node(&self, package: &Package<'_>, member: &Member) -> Outcome<Node> {
        let kind = match &member.what {
            What::Folder => Kind::Folder,
            What::File(blob) => Kind::File(package.deb.source(blob)),
            What::Symlink(target) => Kind::Symlink(target.clone()),
            What::Hard(first) => self.hard(package, first)?,
        };
        for (what, id) in [("user", member.uid), ("group", member.gid)] {
            if !is_static(id) {
                return Err(Failure::new(format!(
                    "{}: {} is of {what} {id}, a number that is not the same on every system",
                    package.name(),
                    member.path.display()
                )));
            }
        }
        let Member { mode, uid, gid, mtime, .. } = *member;
        let owner = Owner::Package(package.name().to_owned());
        Ok(Node { kind, mode, uid, gid, mtime, xattrs: BTreeMap::new(), owner })
    }

    /// A further name, unless the first one went to another package.
    fn hard(&self, package: &Package<'_>, first: &Path) -> Outcome<Kind> {
        let real = self.tree.real(first);
        let own = |node: &Node| node.owner == Owner::Package(package.name().to_owned());
        match self.tree.get(&real).filter(|node| own(node)).map(|node| &node.kind) {
            Some(Kind::File(_)) => Ok(Kind::Hard(real)),
            Some(Kind::Hard(to)) => Ok(Kind::Hard(to.clone())),
            _ => {
                let blob = package.deb.blob(first);
                let blob = blob.ok_or_else(|| Failure::new(format!("{}: no {}", package.name(), first.display())))?;
                Ok(Kind::File(package.deb.source(blob)))
            }
        }
    }
}

/// Ids that Debian gives once for all (Policy 9.2.2); any other is made by a maintainer script and differs from system to system.
fn is_static(id: u32) -> bool {
    matches!(id, 0..=99 | 60_000..=64_999 | 65_534)
}

/// Where the first name of a file is about to go, the next one that stays becomes the first.
pub fn pass_on(tree: &mut Tree, going: &BTreeSet<PathBuf>) {
    let mut heirs: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        if let Kind::Hard(first) = &node.kind
            && going.contains(first)
            && !going.contains(path)
        {
            heirs.entry(first.clone()).or_default().push(path.to_owned());
        }
    }
    for (first, names) in heirs {
        let Some(content) = tree.get(&first).map(|node| node.kind.clone()) else { continue };
        let heir = names.first().cloned().unwrap_or_default();
        for name in names {
            if let Some(node) = tree.get_mut(&name) {
                node.kind = if name == heir { content.clone() } else { Kind::Hard(heir.clone()) };
            }
        }
    }
}
