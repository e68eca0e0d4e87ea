//! Opens and makes things below a folder, and never outside of it, whatever links lie on the way.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};

/// A folder that paths are resolved below.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
    resolve: ResolveFlag,
}

impl Beneath {
    /// Below `folder`, following links that stay below it and on its filesystem.
    pub fn new(folder: &Path) -> io::Result<Beneath> {
        Beneath::with(folder, ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV)
    }

    /// Below `folder`, following no link at all.
    pub fn strict(folder: &Path) -> io::Result<Beneath> {
        Beneath::with(folder, ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV)
    }

    fn with(folder: &Path, how: ResolveFlag) -> io::Result<Beneath> {
        let root = open(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Beneath::at(root, how))
    }

    fn at(root: OwnedFd, how: ResolveFlag) -> Beneath {
        let resolve = ResolveFlag::RESOLVE_BENEATH | how;
        Beneath { root, resolve }
    }

    /// The folder itself.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// A folder below, taken as a root of its own below which no link is followed.
    pub fn enter(&self, path: &Path) -> io::Result<Beneath> {
        Ok(Beneath::at(self.folder(path)?, ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV))
    }

    /// A folder that exists; the empty path is the root.
    pub fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// A folder, made (0755) where it is missing, and its parents too.
    pub fn make(&self, path: &Path) -> io::Result<OwnedFd> {
        self.make_if(path, &mut || Ok(()))
    }

    /// The same, where `may` is asked before each folder that is made.
    pub fn make_if(&self, path: &Path, may: &mut dyn FnMut() -> io::Result<()>) -> io::Result<OwnedFd> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (parent, name) = split(path)?;
        let parent = self.make_if(parent, may)?;
        may()?;
        match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => self.folder(path),
            Err(error) => Err(error.into()),
        }
    }

    /// A file to read; its last component is never followed, and opening it never waits.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        self.open(path, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).map(File::from)
    }

    /// What lies at `path`, its last component not followed; none where nothing does.
    pub fn stat(&self, path: &Path) -> io::Result<Option<FileStat>> {
        if path.as_os_str().is_empty() {
            return Ok(Some(nix::sys::stat::fstat(&self.root)?));
        }
        let (parent, name) = split(path)?;
        let found = self.folder(parent).and_then(|parent| Ok(fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?));
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where `path` really leads, from the root on, once all links that exist are followed.
    pub fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let leads = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        match self.folder(path) {
            Ok(fd) => {
                let (root, real) = (leads(&self.root)?, leads(&fd)?);
                real.strip_prefix(root).map(Path::to_owned).map_err(io::Error::other)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
                let (parent, name) = split(path)?;
                Ok(self.real(parent)?.join(name))
            }
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(self.resolve);
        Ok(openat2(&self.root, path, how)?)
    }
}

/// Parent and last component of a path below a root.
pub fn split(path: &Path) -> io::Result<(&Path, &std::ffi::OsStr)> {
    path.parent()
        .zip(path.file_name())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_out_are_refused_and_links_within_followed() {
        let base = std::env::temp_dir().join(format!("offspot-beneath-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        let data = base.join("data");
        std::fs::create_dir_all(data.join("real")).unwrap();
        symlink("real", data.join("within")).unwrap();
        symlink("..", data.join("out")).unwrap();
        symlink(&base, data.join("absolute")).unwrap();

        let beneath = Beneath::new(&data).unwrap();
        beneath.make(Path::new("within/a/b")).unwrap();
        assert!(data.join("real/a/b").is_dir());
        assert_eq!(beneath.real(Path::new("within/a/c/d")).unwrap(), Path::new("real/a/c/d"));
        assert_eq!(beneath.real(Path::new("")).unwrap(), Path::new(""));
        for path in ["out", "out/x", "absolute/x", "../x"] {
            let error = beneath.make(Path::new(path)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EXDEV as i32), "{path}: {error}");
        }
        assert!(Beneath::strict(&data).unwrap().make(Path::new("within/x")).is_err());
        assert!(!base.join("x").exists());
        std::fs::remove_dir_all(base).unwrap();
    }
}
