//! Debs for tests: good ones by `dpkg-deb`, bad ones byte by byte; and a tree laid out on disk.

#![allow(dead_code, reason = "every test takes what it needs of it")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use image_skel::lock::{Lock, Locked};
use image_skel::skel::Skel;
use image_skel::tool;
use image_skel::tree::{Kind, Tree};
use offspot_agent::stream::digest::Digest;
use offspot_config::settings::Algorithm;

/// A folder that goes when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("image-skel-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The architecture of the host's dpkg, so that it takes the packages for its own.
pub fn architecture() -> String {
    tool::run("dpkg", &["--print-architecture"]).unwrap().trim().to_owned()
}

/// A package to be: `control` beside name, version and architecture; files by path, `-> target` a link, `=> path` a hard link.
pub struct Plan<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub control: &'a str,
    pub scripts: &'a [(&'a str, &'a str)],
    pub files: &'a [(&'a str, &'a str)],
}

/// Builds it with the real tool, under `scratch`, packed as `-Z` says.
pub fn build(scratch: &Scratch, plan: &Plan<'_>, packing: &str) -> PathBuf {
    let folder = scratch.join(format!("{}.d", plan.name));
    let _ = fs::remove_dir_all(&folder);
    let put = |path: &str, text: &str| {
        let place = folder.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match (text.strip_prefix("-> "), text.strip_prefix("=> ")) {
            (Some(target), _) => symlink(target, &place).unwrap(),
            (_, Some(other)) => fs::hard_link(folder.join(other), &place).unwrap(),
            _ if path.ends_with('/') => fs::create_dir_all(&place).unwrap(),
            _ => fs::write(&place, text).unwrap(),
        }
    };
    let Plan { name, version, control, .. } = plan;
    let head = format!("Package: {name}\nVersion: {version}\nArchitecture: {}\n", architecture());
    put("DEBIAN/control", &format!("{head}Maintainer: A Person <a@example.org>\n{control}Description: for a test\n"));
    for (script, text) in plan.scripts {
        put(&format!("DEBIAN/{script}"), text);
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(folder.join("DEBIAN").join(script), fs::Permissions::from_mode(mode)).unwrap();
    }
    plan.files.iter().for_each(|(path, text)| put(path, text));
    // Whatever umask the test runs with.
    for folder in [folder.join("DEBIAN"), folder.clone()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    pack(&folder, &scratch.join(format!("{name}.deb")), packing)
}

/// `dpkg-deb -b` of a folder that is there.
pub fn pack(folder: &Path, deb: &Path, packing: &str) -> PathBuf {
    let (from, to) = (tool::text(folder).unwrap(), tool::text(deb).unwrap());
    tool::run("dpkg-deb", &["--root-owner-group", "-Z", packing, "-b", from, to]).unwrap();
    deb.to_owned()
}

pub fn sha256(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, bytes)
}

/// A lock of these debs, which `mirror` gets below `pool/`; configured in this order.
pub fn lock(mirror: &Path, debs: &[PathBuf]) -> Lock {
    fs::create_dir_all(mirror.join("pool")).unwrap();
    let mut packages: Vec<Locked> = debs.iter().zip(1..).map(|(deb, order)| locked(mirror, deb, order)).collect();
    packages.sort_by(|one, other| one.package.cmp(&other.package));
    Lock { packages, dates: BTreeMap::from([("trixie".to_owned(), 1_794_470_141)]) }
}

fn locked(mirror: &Path, deb: &Path, order: u32) -> Locked {
    let field = |name: &str| tool::run("dpkg-deb", &["-f", tool::text(deb).unwrap(), name]).unwrap().trim().to_owned();
    let bytes = fs::read(deb).unwrap();
    let filename = format!("pool/{}", deb.file_name().unwrap().to_str().unwrap());
    fs::write(mirror.join(&filename), &bytes).unwrap();
    let others = ["Depends", "Provides", "Source", "Multi-Arch"].map(|name| (name.to_owned(), field(name)));
    Locked {
        package: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        filename,
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        suite: "trixie".into(),
        order,
        fields: others.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
    }
}

/// A `skel.toml` of one archive with these mirrors.
pub fn skel(mirrors: &[&str], leave_out: &[&str], keep: &[&str]) -> Skel {
    let text = format!(
        "architecture = \"arm64\"\npackages = []\nleave_out = {leave_out:?}\nkeep = {keep:?}\n\
         [[archives]]\nname = \"debian\"\nmirrors = {mirrors:?}\nsuites = [\"trixie\"]\ncomponents = [\"main\"]\n\
         [partitions]\ndisk_id = 1\nboot_mib = 1\nroot_mib = 1\ndata_mib = 1\nroot_uuid = \"\"\ndata_uuid = \"\"\nboot_id = 1\n\
         [units]\ndefault = \"multi-user.target\"\n"
    );
    let scratch = Scratch::new();
    fs::write(scratch.join("skel.toml"), text).unwrap();
    Skel::read(&scratch.join("skel.toml")).unwrap()
}

/// An ar archive, as far as a deb needs one.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:16}{:12}{:6}{:6}{:8}{:<10}`\n", 0, 0, 0, 100644, content.len()).bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// A deb of these two tars.
pub fn deb(control: &[u8], data: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
}

/// A tar with its end; entries as [`entry`] makes them.
pub fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// One entry with whatever name, kind, link and length it is given.
pub fn entry(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let fields = header.as_gnu_mut().unwrap();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Lays a tree out below `root`; owners only where the test runs as root.
pub fn lay(tree: &Tree, root: &Path) {
    let at = |path: &Path| root.join(path.strip_prefix("/").unwrap());
    for (path, node) in tree.iter() {
        match &node.kind {
            Kind::Folder => fs::create_dir_all(at(path)).unwrap(),
            Kind::File(source) => fs::write(at(path), source.read().unwrap()).unwrap(),
            Kind::Symlink(target) => symlink(target, at(path)).unwrap(),
            Kind::Hard(_) => {}
        }
    }
    for (path, node) in tree.iter() {
        if let Kind::Hard(first) = &node.kind {
            fs::hard_link(at(first), at(path)).unwrap();
        }
    }
}
