//! The variables of a container: those of its files, and over them its own.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use offspot_config::compose::{EnvFile, Service, dotenv};

use super::sources;
use crate::ground::blocking;
use crate::host::Host;

/// Longest file of variables.
const MOST: u64 = 1 << 20;

/// Reads the files below the root of the box, a later one over an earlier one. Fails with words where one that is required is missing, or
/// one cannot be read.
pub(super) async fn read(host: &Host, service: &Service) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut known = BTreeMap::new();
    for file in &service.process.env_file {
        let (at, which) = (host.clone(), file.clone());
        let Some(text) = blocking(move || text(&at, &which)).await? else { continue };
        let read = if file.raw { dotenv::read_raw(&text) } else { dotenv::read_after(&text, &known) };
        let variables =
            read.map_err(|bad| format!("line {} of its env_file {}: {}", bad.line, file.path, bad.reason))?;
        // A name that stands alone takes its value from what nothing sets on a box.
        known.extend(variables.into_iter().filter_map(|(name, value)| Some((name, value?))));
    }
    let mut all: BTreeMap<String, Option<String>> =
        known.into_iter().map(|(name, value)| (name, Some(value))).collect();
    all.extend(service.process.environment.clone());
    Ok(all)
}

fn text(host: &Host, file: &EnvFile) -> Result<Option<String>, String> {
    let path = &file.path;
    match sources::below(host, path).and_then(|path| beginning(&path, MOST + 1)) {
        Ok(None) => Err(format!("its env_file {path} is no file")),
        Ok(Some(text)) if text.len() as u64 > MOST => Err(format!("its env_file {path} is too large")),
        Ok(Some(text)) => match String::from_utf8(text) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(format!("its env_file {path} is no text in UTF-8")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound && !file.required => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!("its env_file {path} does not exist")),
        Err(error) => Err(format!("its env_file {path}: {error}")),
    }
}

/// So many bytes of the beginning of a file; none: it is no file. Neither waits nor wakes a device. Blocking.
pub(super) fn beginning(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    // It may have been changed for another since.
    if !file.metadata().as_ref().is_ok_and(Metadata::is_file) {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_some_size_are_read() {
        let root = std::env::temp_dir().join(format!("offspot-environment-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("folder")).unwrap();
        std::fs::write(root.join("good"), vec![b'A'; MOST as usize]).unwrap();
        std::fs::write(root.join("large"), vec![b'A'; MOST as usize + 1]).unwrap();
        std::fs::write(root.join("bytes"), [0xff]).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
        let host = Host::new(&root);
        let said = |name: &str| {
            let file = EnvFile { path: format!("/{name}"), required: true, raw: false };
            text(&host, &file).map(|text| text.unwrap_or_default().len())
        };
        assert_eq!(said("good"), Ok(MOST as usize));
        assert_eq!(said("large"), Err("its env_file /large is too large".to_owned()));
        assert_eq!(said("bytes"), Err("its env_file /bytes is no text in UTF-8".to_owned()));
        for name in ["folder", "fifo"] {
            assert_eq!(said(name), Err(format!("its env_file /{name} is no file")));
        }
        assert_eq!(said("none"), Err("its env_file /none does not exist".to_owned()));
        assert_eq!(beginning(Path::new("/dev/zero"), 1).unwrap(), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}
