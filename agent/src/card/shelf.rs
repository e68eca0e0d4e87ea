//! A folder `offspot` at the top of a stick or of the boot partition: what a laptop put there stands in for what would be fetched.
//!
//! Nothing on it is trusted: no link is followed out of it, and what it offers is verified as if it came from the network.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::SFlag;

use crate::host::Host;
use crate::stream::beneath::Beneath;

/// The folder that is looked into.
pub(super) const FOLDER: &str = "offspot";
/// What entries of `files` begin with.
const DATA: &str = "/data/";
/// Most image tarballs that are listed.
const IMAGES: usize = 256;

/// One such folder.
#[derive(Debug)]
pub struct Shelf {
    /// Where the filesystem that holds it is mounted, as the box names it.
    point: PathBuf,
    below: Beneath,
    real: PathBuf,
}

impl Shelf {
    /// That of the filesystem mounted at `point`, a path of the box; none where it has no such folder.
    pub fn at(host: &Host, point: &Path) -> Option<Shelf> {
        let real = host.path(point);
        let below = Beneath::new(&real).ok()?;
        below.folder(Path::new(FOLDER)).ok()?;
        Some(Shelf { point: point.to_owned(), below, real })
    }

    /// The files that may hold the bytes of the entry for `to` with these URLs, the likeliest first: paths of the box. They exist and are
    /// files; whether they are the right ones only their bytes can tell.
    pub fn files<'u>(&self, to: &str, urls: impl IntoIterator<Item = &'u str>) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let mut found = names(to, urls);
        found.retain(|name| seen.insert(name.clone()) && self.is_file(name));
        found.into_iter().map(|name| self.point.join(name)).collect()
    }

    /// The files in its folder `images`, by name: paths of the box.
    pub fn images(&self) -> Vec<PathBuf> {
        let folder = Path::new(FOLDER).join("images");
        if self.below.folder(&folder).is_err() {
            return Vec::new();
        }
        let entries = fs::read_dir(self.real.join(&folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| folder.join(entry.file_name())).filter(|name| self.is_file(name));
        let names: BTreeSet<PathBuf> = names.take(IMAGES).collect();
        names.into_iter().map(|name| self.point.join(name)).collect()
    }

    fn is_file(&self, name: &Path) -> bool {
        let kind = |mode| SFlag::from_bits_truncate(mode) & SFlag::S_IFMT;
        matches!(self.below.stat(name), Ok(Some(stat)) if kind(stat.st_mode) == SFlag::S_IFREG)
    }
}

/// Where an entry may lie on a shelf: by its own path, by its name, by the name in a URL, and by what stands in the URL behind the scheme or
/// the host.
fn names<'u>(to: &str, urls: impl IntoIterator<Item = &'u str>) -> Vec<PathBuf> {
    let urls: Vec<(String, String)> = urls.into_iter().filter_map(host_and_path).collect();
    let own = to.strip_prefix(DATA).unwrap_or(to);
    let last = |path: &str| Some(Path::new(path).file_name()?.to_string_lossy().into_owned());
    let files = [Some(own.to_owned()), last(own)].into_iter().chain(urls.iter().map(|(_, path)| last(path)));
    let files = files.flatten().map(|name| format!("files/{name}"));
    let by_host = urls.iter().map(|(host, path)| format!("{host}/{path}"));
    let by_path = urls.iter().map(|(_, path)| path.clone());
    files.chain(by_host).chain(by_path).filter_map(|name| plain(&name)).collect()
}

/// Host, without port and user, and path of a URL, its escapes resolved; none for what names no server.
fn host_and_path(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let (host, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    let host = host.rsplit('@').next()?;
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    Some((host.to_lowercase(), unescaped(path)))
}

/// A name below the folder; none where it would lead elsewhere, or to nothing.
fn plain(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::from(FOLDER);
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) if part != OsStr::new("") => path.push(part),
            _ => return None,
        }
    }
    (!name.contains('\0') && !name.ends_with('/')).then_some(path)
}

/// `%20` and its like resolved; what is no such escape stays.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_from_the_likeliest_on() {
        let urls = ["https://user:pw@Mirror.org:8443/zim/wiki%20fr.zim?token=1", "file:///data/x"];
        let found = names("/data/contents/zims/wiki.zim", urls);
        let expected = [
            "offspot/files/contents/zims/wiki.zim",
            "offspot/files/wiki.zim",
            "offspot/files/wiki fr.zim",
            "offspot/mirror.org/zim/wiki fr.zim",
            "offspot/zim/wiki fr.zim",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn no_name_leads_out() {
        for url in [
            "http://h/../x",
            "http://../etc/x",
            "http://h/a/%2e%2e/%2e%2e/x",
            "http://h/%00",
            "http://h/d/",
            "http://h",
        ] {
            for name in names("/data/a", [url]) {
                assert!(
                    name.starts_with(FOLDER) && name.components().all(|part| part != Component::ParentDir),
                    "{url}"
                );
                assert!(!name.to_string_lossy().contains('\0'), "{url}");
            }
        }
    }

    #[test]
    fn links_out_and_folders_are_no_files() {
        let base = std::env::temp_dir().join(format!("offspot-shelf-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let host = Host::new(&base);
        let stick = base.join("stick/offspot");
        fs::create_dir_all(stick.join("files/folder")).unwrap();
        fs::create_dir_all(stick.join("images")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(stick.join("files/plain"), "plain").unwrap();
        fs::write(stick.join("images/b.tar"), "").unwrap();
        fs::write(stick.join("images/a.tar"), "").unwrap();
        symlink(base.join("secret"), stick.join("files/link")).unwrap();
        symlink("../../..", stick.join("files/out")).unwrap();
        symlink(base.join("secret"), stick.join("images/c.tar")).unwrap();

        assert!(Shelf::at(&host, Path::new("/elsewhere")).is_none() && Shelf::at(&host, Path::new("/")).is_none());
        let shelf = Shelf::at(&host, Path::new("/stick")).unwrap();
        assert_eq!(shelf.files("/data/deep/plain", []), [PathBuf::from("/stick/offspot/files/plain")]);
        for to in ["/data/link", "/data/folder", "/data/out/secret", "/data/missing"] {
            assert!(shelf.files(to, []).is_empty(), "{to}");
        }
        assert_eq!(shelf.images(), ["a", "b"].map(|name| PathBuf::from(format!("/stick/offspot/images/{name}.tar"))));
        fs::remove_dir_all(base).unwrap();
    }
}
