//! What an image was made from, as one digest: so that `cargo boot` builds only what is out of date.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::build::Options;
use crate::tool::{Doing, Outcome};

/// One digest, in hex, over everything that the image is made from: the folder of `skel.toml` (sources, lock, overlay) and the agent.
pub fn digest(options: &Options) -> Outcome<String> {
    let mut hash = Sha256::new();
    let folder = options.skel.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = vec![options.skel.clone(), options.lock.clone(), options.agent.clone()];
    for below in [&folder.join("src"), &options.overlay] {
        files_below(below, &mut files)?;
    }
    for file in files {
        let found = file.symlink_metadata().doing(file.display())?;
        // What is named is followed; below the overlay a link is laid on the card as one.
        let bytes = match found.is_symlink() && file.starts_with(&options.overlay) {
            true => fs::read_link(&file).doing(file.display())?.into_os_string().into_encoded_bytes(),
            false => fs::read(&file).doing(file.display())?,
        };
        // Of the mode only what gets onto the card.
        let kind = (found.is_symlink(), found.permissions().mode() & 0o100);
        hash.update(format!("{} {kind:?} {}\n", file.display(), bytes.len()));
        hash.update(bytes);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>().doing(folder.display())?;
    entries.sort();
    for entry in entries {
        match entry.symlink_metadata().doing(entry.display())?.file_type() {
            kind if kind.is_dir() => files_below(&entry, files)?,
            kind if kind.is_file() || kind.is_symlink() => files.push(entry),
            _ => {}
        }
    }
    Ok(())
}
