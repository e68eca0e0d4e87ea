//! The kernel's modules in the tree: which there are, what each needs, and the indexes that `modprobe` reads.
//!
//! What is left out of a kernel must not be needed by what stays: that is an error, not a warning at boot.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lzma_rust2::XzReader;

use crate::tool::{self, Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Tree};

/// Where modules lie.
pub const FOLDER: &str = "/usr/lib/modules";

/// Modules of the one kernel of the tree. A name is written with `_`, as the kernel does.
#[derive(Debug, Clone)]
pub struct Modules {
    /// `7.2.12+deb13-arm64`.
    pub kernel: String,
    /// Name → file.
    pub files: BTreeMap<String, PathBuf>,
    /// Names that are built in.
    pub built_in: BTreeSet<String>,
}

impl Modules {
    /// Looks for the kernel of the tree; there must be exactly one.
    pub fn find(tree: &Tree) -> Outcome<Modules> {
        let below = |path: &Path| path.strip_prefix(FOLDER).ok().map(Path::to_owned);
        let kernels: BTreeSet<String> = tree
            .iter()
            .filter_map(|(path, _)| {
                below(path)?.components().next().map(|name| name.as_os_str().to_string_lossy().into_owned())
            })
            .collect();
        let mut kernels = kernels.into_iter();
        let (Some(kernel), None) = (kernels.next(), kernels.next()) else {
            return Err(Failure::new(format!("{FOLDER}: there must be one kernel: name one in skel.toml, packages")));
        };
        let files = tree
            .iter()
            .filter(|(path, node)| matches!(node.kind, Kind::File(_)) && path.starts_with(FOLDER))
            .filter_map(|(path, _)| Some((name_of(path)?, path.to_owned())))
            .collect();
        let list = format!("{FOLDER}/{kernel}/modules.builtin");
        let text = tree.read(&list).doing(&list)?;
        let built_in = String::from_utf8_lossy(&text).lines().filter_map(|line| name_of(Path::new(line))).collect();
        Ok(Modules { kernel, files, built_in })
    }

    /// Whether there is such a module, as a file or built in. `name` may be written with `-` or `_`.
    pub fn has(&self, name: &str) -> bool {
        let name = plain(name);
        self.files.contains_key(&name) || self.built_in.contains(&name)
    }

    /// The names that the module in this file needs, as it says itself (`depends=` of its `.modinfo`).
    fn needs(&self, tree: &Tree, file: &Path) -> Outcome<Vec<String>> {
        let packed = tree.read(file).doing(file.display())?;
        let bytes = unpacked(file, packed)?;
        let field = b"\0depends=";
        let start = bytes.windows(field.len()).position(|window| window == field).map(|at| at + field.len());
        let start = start.ok_or_else(|| Failure::new(format!("{}: no kernel module", file.display())))?;
        let list = bytes[start..].split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(list).split(',').filter(|name| !name.is_empty()).map(plain).collect())
    }

    /// Every module that is a file has what it needs; else an error that names all that have not.
    pub fn check(&self, tree: &Tree) -> Outcome<()> {
        let failures: Vec<String> =
            self.files.keys().filter_map(|name| Some(self.needed_by(tree, name).err()?.to_string())).collect();
        if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("; "))) }
    }

    /// What a module needs that is not built in. Something that is nowhere is an error.
    fn needed_by(&self, tree: &Tree, name: &str) -> Outcome<Vec<String>> {
        let file = self.files.get(name).ok_or_else(|| {
            Failure::new(format!("no module {name} in the tree: see initramfs_modules and leave_out of skel.toml"))
        })?;
        let mut needs = self.needs(tree, file)?;
        if let Some(missing) = needs.iter().find(|needed| !self.has(needed)) {
            return Err(Failure::new(format!(
                "the module {name} needs {missing}: keep it in skel.toml, or leave out both"
            )));
        }
        needs.retain(|needed| self.files.contains_key(needed));
        Ok(needs)
    }

    /// These modules and all that they need, by name, without what is built in.
    pub fn closure_of(&self, tree: &Tree, wanted: &[String]) -> Outcome<BTreeSet<String>> {
        let mut closure = BTreeSet::new();
        let mut left: Vec<String> = wanted.iter().map(|name| plain(name)).collect();
        while let Some(name) = left.pop() {
            if self.built_in.contains(&name) || closure.contains(&name) {
                continue;
            }
            left.extend(self.needed_by(tree, &name)?);
            closure.insert(name);
        }
        Ok(closure)
    }
}

/// Makes the indexes of the modules in `files` (`modules.dep`, `modules.alias`…) with the host's `depmod`, on a staged copy.
/// `files`: path in the tree → its node. Returns name of the index → its bytes.
pub(crate) fn indexes<'a>(
    kernel: &str,
    files: impl Iterator<Item = (&'a Path, &'a Node)>,
) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let stage = Stage::new()?;
    for (path, node) in files {
        let (Kind::File(source), Ok(below)) = (&node.kind, path.strip_prefix("/usr")) else { continue };
        let to = stage.0.join(below);
        fs::create_dir_all(to.parent().unwrap_or(&stage.0)).doing(to.display())?;
        fs::write(&to, source.read().doing(path.display())?).doing(to.display())?;
    }
    let folder = stage.0.join("lib/modules").join(kernel);
    let before = names(&folder)?;
    tool::run("depmod", &["-b", tool::text(&stage.0)?, kernel]).doing("is the package kmod installed?")?;
    let mut made = BTreeMap::new();
    for name in names(&folder)?.difference(&before) {
        made.insert(name.clone(), fs::read(folder.join(name)).doing(name)?);
    }
    Ok(made)
}

fn names(folder: &Path) -> Outcome<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).doing(folder.display())? {
        names.insert(entry.doing(folder.display())?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// A folder of our own that is gone with its value.
struct Stage(PathBuf);

impl Stage {
    fn new() -> Outcome<Stage> {
        let name = format!("image-skel-modules-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).doing(folder.display())?;
        Ok(Stage(folder))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A folder of /tmp that stays costs room, nothing else.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unpacked(file: &Path, bytes: Vec<u8>) -> Outcome<Vec<u8>> {
    if file.extension().is_none_or(|extension| extension != "xz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut XzReader::new(bytes.as_slice(), true), &mut plain).doing(file.display())?;
    Ok(plain)
}

/// `a/b-c.ko.xz` → `b_c`; `None` for what is no module.
fn name_of(path: &Path) -> Option<String> {
    let (name, rest) = path.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"].contains(&rest).then(|| plain(name))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let kernel = "/usr/lib/modules/1.2";
        tree.file(format!("{kernel}/modules.builtin"), 0o644, "kernel/lib/crc-x.ko\n");
        tree.file(format!("{kernel}/kernel/a-b.ko"), 0o644, "\x7fELF\0license=GPL\0depends=c_d,crc-x\0");
        tree.file(format!("{kernel}/kernel/c-d.ko"), 0o644, "\x7fELF\0depends=\0");
        tree
    }

    #[test]
    fn a_module_brings_what_it_needs() {
        let tree = tree();
        let modules = Modules::find(&tree).unwrap();
        assert_eq!(modules.kernel, "1.2");
        assert!(modules.has("a-b") && modules.has("crc_x") && !modules.has("e"));
        modules.check(&tree).unwrap();
        let closure = modules.closure_of(&tree, &["a-b".into(), "crc-x".into()]).unwrap();
        assert_eq!(closure.into_iter().collect::<Vec<_>>(), ["a_b", "c_d"]);
        assert!(modules.closure_of(&tree, &["e".into()]).unwrap_err().to_string().contains("no module e"));
    }

    #[test]
    fn what_a_module_needs_must_not_be_left_out() {
        let mut tree = tree();
        tree.remove("/usr/lib/modules/1.2/kernel/c-d.ko");
        let why = Modules::find(&tree).unwrap().check(&tree).unwrap_err().to_string();
        assert!(why.contains("a_b needs c_d"), "{why}");
        tree.file("/usr/lib/modules/1.3/x", 0o644, "");
        assert!(Modules::find(&tree).is_err());
    }
}
