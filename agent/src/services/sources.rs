//! Where bind sources lie for the engine, and folders made where they are missing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use offspot_config::compose::{MountKind, Service};

use crate::host::Host;
use crate::stream::place::replace;

/// Says `online` or `offline` to containers; must be there before any container is made, see `A.11` of the formats.
const INTERNET: &str = "/run/internet";
/// Contract with containers: files, or below folders that hold nothing of ours to make.
const FILES: [&str; 7] = [
    "/etc/docker/compose.yml",
    "/etc/hostapd/hostapd.conf",
    "/etc/offspot/latest.yaml",
    "/boot/firmware/offspot.yaml",
    "/run/offspot/mekhenet.sock",
    "/run/docker.sock",
    "/var/run/docker.sock",
];
/// `compose.yml` of a card without containers.
const NO_SERVICES: &[u8] = b"services: {}\n";
/// Most symbolic links followed in one path.
const LINKS: usize = 40;

/// Makes what containers bind by contract and the agent answers for, before the engine is first called: it starts the containers of
/// earlier boots at once, and would make a folder of every source that is missing. What is there stays, but for such a folder.
pub fn make_contract(host: &Host) -> io::Result<()> {
    fs::create_dir_all(host.run())?;
    fs::create_dir_all(host.path("/etc/offspot"))?;
    let (internet, compose) = (below(host, INTERNET)?, host.compose());
    for file in [&internet, &compose] {
        // Succeeds on an empty folder alone.
        let _ = fs::remove_dir(file);
    }
    match offline(&internet) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if compose.exists() { Ok(()) } else { replace(&compose, NO_SERVICES) }
}

/// Finds, and where compose would makes, the bind sources of a service. Fails with words where one is missing and must not be made.
pub fn prepare(host: &Host, service: &Service) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut found = BTreeMap::new();
    for mount in &service.mounts {
        if let MountKind::Bind { source, create, .. } = &mount.kind {
            let path = below(host, source).map_err(|error| format!("its bind source {source}: {error}"))?;
            if !path.exists() {
                make(source, &mount.target, &path, *create)?;
            }
            found.insert(source.clone(), path);
        }
    }
    Ok(found)
}

fn make(source: &str, target: &str, path: &Path, create: bool) -> Result<(), String> {
    let said = |error: io::Error| format!("its bind source {source} could not be made: {error}");
    if source.strip_prefix("/var").unwrap_or(source) == INTERNET {
        return match offline(path) {
            // Another service was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map_err(said),
        };
    }
    if !create || is_file(source, target) {
        return Err(format!("its bind source {source} does not exist"));
    }
    fs::create_dir_all(path).map_err(said)
}

/// The box is offline until a probe says otherwise.
fn offline(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::File::options().write(true).create_new(true).open(path)?;
    file.write_all(b"offline\n")
}

/// A folder of this name would do harm: it would stand where a file is to come.
fn is_file(source: &str, target: &str) -> bool {
    let extension = |path: &str| {
        let extension = Path::new(path).extension()?.to_str()?.to_ascii_lowercase();
        (extension != "d").then_some(extension)
    };
    let both = extension(source).is_some() && extension(source) == extension(target);
    let kernel = ["/dev/", "/proc/", "/sys/"].iter().any(|folder| source.starts_with(folder));
    both || kernel || FILES.contains(&source)
}

/// The path as the engine sees it: itself on a live host, else below the root without following links out of it.
pub(super) fn below(host: &Host, path: &str) -> io::Result<PathBuf> {
    if host.is_live() {
        return Ok(PathBuf::from(path));
    }
    let mut pending: Vec<PathBuf> = parts(Path::new(path));
    let (mut inside, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = pending.pop() {
        if part == Path::new("..") {
            inside.pop();
            continue;
        }
        let next = inside.join(&part);
        match fs::read_link(host.path(&next)) {
            Ok(target) => {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::other("too many symbolic links"));
                }
                if target.is_absolute() {
                    inside = PathBuf::from("/");
                }
                pending.extend(parts(&target));
            }
            Err(_) => inside = next,
        }
    }
    std::path::absolute(host.path(inside))
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_bind_is_there_and_a_folder_in_its_place_is_not() {
        let root = std::env::temp_dir().join(format!("offspot-contract-{}", std::process::id()));
        let host = Host::new(&root);
        // As an engine leaves it that was quicker.
        fs::create_dir_all(host.compose()).unwrap();
        fs::create_dir_all(root.join("run/internet")).unwrap();
        make_contract(&host).unwrap();
        assert_eq!(fs::read_to_string(root.join("run/internet")).unwrap(), "offline\n");
        assert!(offspot_config::yaml::read(&fs::read(host.compose()).unwrap()).root.is_some());
        assert!(root.join("run/offspot").is_dir() && root.join("etc/offspot").is_dir());
        fs::write(root.join("run/internet"), "online\n").unwrap();
        fs::write(host.compose(), "services: {a: {image: b}}\n").unwrap();
        make_contract(&host).unwrap();
        assert_eq!(fs::read_to_string(root.join("run/internet")).unwrap(), "online\n");
        assert!(fs::read_to_string(host.compose()).unwrap().contains("image: b"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn links_stay_below_the_root() {
        let root = std::env::temp_dir().join(format!("offspot-sources-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("var")).unwrap();
        fs::create_dir_all(root.join("run")).unwrap();
        std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
        std::os::unix::fs::symlink("../../../etc", root.join("run/out")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("run/loop")).unwrap();
        let host = Host::new(&root);
        assert_eq!(below(&host, "/var/run/internet").unwrap(), root.join("run/internet"));
        assert_eq!(below(&host, "/run/out/passwd").unwrap(), root.join("etc/passwd"));
        assert!(below(&host, "/run/loop").is_err());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn files_are_told_from_folders() {
        for (source, target, file) in [
            ("/data/contents/dashboard.yaml", "/src/home.yaml", true),
            ("/data/contents/branding", "/src/offspot.branding", false),
            ("/data/contents/file-manager.offspot.kiwix.org", "/data", false),
            ("/data/conf.d", "/etc/conf.d", false),
            ("/var/run/docker.sock", "/sock", true),
            ("/dev/rtc0", "/dev/rtc", true),
        ] {
            assert_eq!(is_file(source, target), file, "{source}");
        }
    }
}
