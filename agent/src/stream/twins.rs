//! Members whose names differ in case alone, on a filesystem that takes them for one.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::tree::refused;

/// Most names that are told apart: they are held in memory.
const NAMES: usize = 100_000;

/// The names given so far, as they were written, by what such a filesystem makes of them.
#[derive(Debug, Default)]
pub struct Twins(HashMap<String, String>);

impl Twins {
    /// Those below `folder`, which is ours alone; none where its filesystem tells case apart.
    pub fn of(folder: &OwnedFd) -> io::Result<Option<Twins>> {
        const LOWER: &str = ".offspot-case";
        const UPPER: &str = ".OFFSPOT-CASE";
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
        openat(folder, LOWER, flags, Mode::from_bits_truncate(0o600))?;
        let folds = fstatat(folder, UPPER, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
        unlinkat(folder, LOWER, UnlinkatFlags::NoRemoveDir)?;
        Ok(folds.then(Twins::default))
    }

    /// Refuses a path of which a part was written otherwise before.
    pub fn check(&mut self, path: &Path) -> io::Result<()> {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let name = part.to_string_lossy();
            let first = self.0.entry(name.to_lowercase()).or_insert_with(|| name.to_string());
            if *first != name {
                let why = format!("{first} and {name} are one name on the filesystem that it is to be unpacked to");
                return Err(refused(why));
            }
        }
        match self.0.len() {
            0..=NAMES => Ok(()),
            _ => Err(refused(format!("it has more than {NAMES} members, for a filesystem that ignores case"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_told_apart_in_every_part() {
        let mut twins = Twins::default();
        for path in ["Docs/Read", "Docs/read.txt", "docs2/Read", "Docs/Read"] {
            twins.check(Path::new(path)).unwrap();
        }
        for (path, why) in [("docs/x", "Docs and docs"), ("Docs/READ", "Docs/Read and Docs/READ")] {
            let said = twins.check(Path::new(path)).unwrap_err().to_string();
            assert!(said.starts_with(why), "{said}");
        }
    }

    #[test]
    fn this_filesystem_tells_case_apart() {
        let folder = std::env::temp_dir().join(format!("offspot-twins-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let opened = std::fs::File::open(&folder).unwrap().into();
        assert!(Twins::of(&opened).unwrap().is_none());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(folder).unwrap();
    }
}
