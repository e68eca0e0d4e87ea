//! What an archive may call its members: nothing outside of it, nothing that the card cannot hold, and no litter.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::tree::refused;

/// Bytes that one part of a path may have, on the card as on a stick.
const PART: usize = 255;
/// Bytes that a whole path may have.
const PATH: usize = 4095;
/// Folders that may lie in one another: emptying them again takes an open file each.
const DEPTH: usize = 256;

/// The path of a member below the target; none for the target itself.
pub fn inside(name: &str) -> io::Result<Option<PathBuf>> {
    if name.contains('\0') {
        return Err(refused("a name with a zero byte"));
    }
    if name.len() > PATH {
        return Err(refused(format!("a path of {} bytes ({}), more than {PATH}", name.len(), short(name))));
    }
    let (mut path, mut depth) = (PathBuf::new(), 0);
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) if part.len() > PART => {
                let why = format!("a name of {} bytes ({}), more than {PART}", part.len(), short(name));
                return Err(refused(why));
            }
            Component::Normal(part) => {
                path.push(part);
                depth += 1;
            }
            Component::CurDir => {}
            _ => return Err(refused(format!("{} would lie outside of it", short(name)))),
        }
    }
    if depth > DEPTH {
        return Err(refused(format!("{} lies in more than {DEPTH} folders", short(name))));
    }
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

/// Whether a link at `path` leads below the target. `..` may only come first: behind another link it would lead anywhere.
pub fn stays(path: &Path, target: &str) -> io::Result<()> {
    let shown = || short(&path.to_string_lossy());
    let out = || refused(format!("{} is a link to {}, outside of it", shown(), short(target)));
    if target.is_empty() || target.len() > PATH || target.contains('\0') {
        return Err(refused(format!("{} is a link to no path", shown())));
    }
    let mut depth = path.components().count().saturating_sub(1);
    let mut down = false;
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if down => return Err(out()),
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(out)?,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            _ => return Err(out()),
        }
    }
    Ok(())
}

/// Whether a member is what macOS and Windows leave in folders for themselves.
pub fn is_litter(path: &Path) -> bool {
    let own = path.file_name().is_some_and(|name| name == ".DS_Store" || name == "Thumbs.db");
    own || path.components().any(|part| part.as_os_str() == "__MACOSX")
}

/// Whether a file of this name is an attribute file of macOS if it begins with [`APPLE_DOUBLE`]: by its name alone it may be anything.
pub fn may_be_apple_double(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"._"))
}

/// What every attribute file of macOS begins with.
pub const APPLE_DOUBLE: [u8; 4] = [0, 5, 0x16, 7];

/// A name as a message may show it: of a very long one only the beginning.
fn short(name: &str) -> String {
    const SHOWN: usize = 80;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside("./a//b/.").unwrap(), Some(PathBuf::from("a/b")));
        assert_eq!(inside("./").unwrap(), None);
        for name in ["/etc/passwd", "../x", "a/../../x", "a/../b", "a\0b"] {
            assert!(inside(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_have_an_end() {
        let fits = [format!("a/{}", "b".repeat(255)), "a/".repeat(255) + "b", format!("{}/x", "c/".repeat(200))];
        assert!(fits.iter().all(|name| inside(name).is_ok()));
        let said = |name: String| inside(&name).unwrap_err().to_string();
        assert_eq!(said("é".repeat(128)), format!("a name of 256 bytes ({}…), more than 255", "é".repeat(80)));
        assert_eq!(said("a/".repeat(257)), format!("{}… lies in more than 256 folders", "a/".repeat(40)));
        assert_eq!(said("./".repeat(2048)), format!("a path of 4096 bytes ({}…), more than 4095", "./".repeat(40)));
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [("a", "b"), ("d/a", "../b"), ("d/e/a", "../../x/y"), ("a", "."), ("a", "b/./c")] {
            assert!(stays(Path::new(path), target).is_ok(), "{path} -> {target}");
        }
        for (path, target) in
            [("a", ".."), ("d/a", "../.."), ("a", "/etc"), ("a", "s/.."), ("d/a", "../s/../x"), ("a", ""), ("a", "b\0")]
        {
            assert!(stays(Path::new(path), target).is_err(), "{path} -> {target}");
        }
    }

    #[test]
    fn litter() {
        for path in ["__MACOSX/a/._b", "x/__MACOSX/y", ".DS_Store", "a/b/.DS_Store", "Thumbs.db"] {
            assert!(is_litter(Path::new(path)), "{path}");
        }
        for path in ["a/b", "._b", "DS_Store", "thumbs.db/x", "x__MACOSX/a"] {
            assert!(!is_litter(Path::new(path)), "{path}");
        }
        assert!(may_be_apple_double(Path::new("a/._b")) && !may_be_apple_double(Path::new("._a/b")));
    }
}
