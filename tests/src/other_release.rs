//! Docker and Compose of other Debian releases, beside the machine's own: fetched and verified by apt in a private folder, unpacked below
//! the target folder, never installed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use image_skel::skel::Skel;
use nix::fcntl::{Flock, FlockArg};

use crate::agent_run::{target_folder, workspace};
use crate::suite::ensure;
use crate::tool::{self, Doing, Outcome, text};

/// What is unpacked. `runc` is the machine's own: newer ones want a newer libc.
const PACKAGES: [&str; 4] = ["docker.io", "docker-cli", "docker-compose", "containerd"];

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// What the card has: Docker 26, Compose 2.26.
    Trixie,
    /// What comes: Docker 28 or newer, Compose 2.40 or newer.
    Sid,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Release::Trixie => "trixie",
            Release::Sid => "sid",
        }
    }
}

/// The unpacked programs of one release.
#[derive(Debug, Clone)]
pub struct Programs {
    root: PathBuf,
}

impl Programs {
    /// Those of `release`; fetched at the first call, once for all processes.
    pub fn of(release: Release) -> Outcome<Programs> {
        Programs::from(release, release.name(), &PACKAGES)
    }

    /// Trixie's valgrind: Debian 12's knows no `openat2`, without which the agent places nothing.
    pub fn valgrind() -> Outcome<Programs> {
        Programs::from(Release::Trixie, "valgrind", &["valgrind"])
    }

    /// Where they are unpacked.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn from(release: Release, name: &str, packages: &[&str]) -> Outcome<Programs> {
        let folder = target_folder()?.join("other-release").join(name);
        fs::create_dir_all(&folder).doing(folder.display())?;
        let lock = fs::File::create(folder.join("lock")).doing("the lock of the programs")?;
        let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).doing("locking")?;
        let root = folder.join("root");
        if !root.is_dir() {
            let fresh = folder.join("root.part");
            let _ = fs::remove_dir_all(&fresh);
            fetch(&folder, release, packages)?;
            unpack(&folder, &fresh)?;
            fs::rename(&fresh, &root).doing("the unpacked programs")?;
        }
        Ok(Programs { root })
    }

    /// One of its programs: `dockerd`, `docker`, `containerd`…
    pub fn program(&self, name: &str) -> PathBuf {
        let folders = ["usr/bin", "usr/sbin", "usr/libexec/docker/cli-plugins"];
        let mut files = folders.iter().map(|folder| self.root.join(folder).join(name));
        files.find(|file| file.exists()).unwrap_or_else(|| self.root.join("usr/bin").join(name))
    }

    /// A search path with its programs before the machine's.
    pub fn path(&self) -> OsString {
        let mut path = OsString::new();
        for folder in ["usr/bin", "usr/sbin"] {
            path.push(self.root.join(folder));
            path.push(":");
        }
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }
}

fn fetch(folder: &Path, release: Release, packages: &[&str]) -> Outcome<()> {
    for below in ["state/lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(folder.join(below)).doing(below)?;
    }
    fs::write(folder.join("status"), "").doing("an empty list of packages")?;
    let skel = Skel::read(&workspace().join("image-skel/skel.toml"))?;
    let mirrors = skel.archives.iter().flat_map(|archive| &archive.mirrors);
    let mirror = mirrors.into_iter().find(|mirror| !mirror.contains('{'));
    ensure(mirror.is_some(), "skel.toml names no mirror")?;
    let source = format!(
        "deb [signed-by={}] {} {} main\n",
        keys()?.join(","),
        mirror.map(String::as_str).unwrap_or_default(),
        release.name()
    );
    fs::write(folder.join("sources.list"), source).doing("sources.list")?;
    println!("fetching {} of Debian {} for the tests", packages.join(", "), release.name());
    apt(folder, &["update"])?;
    apt(folder, &[&["download"], packages].concat())
}

/// Debian's keys that the image trusts.
fn keys() -> Outcome<Vec<String>> {
    let folder = workspace().join("image-skel/keyring");
    let entries = fs::read_dir(&folder).doing(folder.display())?;
    entries.map(|entry| Ok(text(&entry.doing(folder.display())?.path())?.to_owned())).collect()
}

fn apt(folder: &Path, arguments: &[&str]) -> Outcome<()> {
    let at = |what: &str, below: &str| format!("-o{what}={}", folder.join(below).display());
    let options = [
        at("Dir::State", "state"),
        at("Dir::State::status", "status"),
        at("Dir::Cache", "cache"),
        at("Dir::Etc::sourcelist", "sources.list"),
        "-oDir::Etc::sourceparts=-".to_owned(),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAcquire::Retries=3".to_owned(),
    ];
    let status = tool::program("apt-get")
        .arg("-qq")
        .args(&options)
        .args(arguments)
        .current_dir(folder.join("debs"))
        .status()
        .doing("apt-get")?;
    ensure(status.success(), format!("apt-get {}: {status}", arguments.join(" ")))
}

fn unpack(folder: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to).doing(to.display())?;
    for entry in fs::read_dir(folder.join("debs")).doing("the packages")? {
        let deb = entry.doing("the packages")?.path();
        tool::run("dpkg-deb", &["-x", text(&deb)?, text(to)?])?;
    }
    Ok(())
}
