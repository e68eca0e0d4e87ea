//! Where damaged content is set aside: nothing serves it, and nothing is lost that may be the only copy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::standing::Ground;

/// Where the damaged version of this target lies, if there is one.
fn place(ground: &Ground<'_>, to: &str) -> PathBuf {
    ground.ours.quarantine.join(to.trim_start_matches("/data/").replace('/', "_"))
}

/// Sets the staged file of this target aside, in place of an earlier one; the path to tell.
pub fn set_aside(ground: &Ground<'_>, to: &str, staged: &Path) -> io::Result<String> {
    fs::create_dir_all(&ground.ours.quarantine)?;
    let aside = place(ground, to);
    fs::rename(staged, &aside)?;
    let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("/data/.offspot/quarantine/{name}"))
}

/// Another version of this target is about to come: the damaged one makes room.
pub fn make_way(ground: &Ground<'_>, to: &str) -> io::Result<()> {
    match fs::remove_file(place(ground, to)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
