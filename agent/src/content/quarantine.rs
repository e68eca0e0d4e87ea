//! Where damaged content is set aside: nothing serves it, and nothing is lost that may be the only copy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::standing::Ground;
use crate::host::Host;

/// The name of the damaged version of this target: two targets may have one base name.
fn name(to: &str) -> String {
    format!("{:08x}-{}", crc32fast::hash(to.as_bytes()), to.rsplit('/').next().unwrap_or_default())
}

fn place(ground: &Ground<'_>, to: &str) -> PathBuf {
    ground.ours.quarantine.join(name(to))
}

/// Sets the staged file of this target aside, in place of an earlier one; the path to tell.
pub fn set_aside(ground: &Ground<'_>, to: &str, staged: &Path) -> io::Result<String> {
    fs::create_dir_all(&ground.ours.quarantine)?;
    fs::rename(staged, place(ground, to))?;
    Ok(format!("/data/.offspot/quarantine/{}", name(to)))
}

/// Bytes of the damaged version of this target.
pub fn length(ground: &Ground<'_>, to: &str) -> u64 {
    place(ground, to).metadata().map_or(0, |meta| meta.len())
}

/// The same, for a plan: so much room there will be for another version.
pub fn length_on(host: &Host, to: &str) -> u64 {
    host.state().join("quarantine").join(name(to)).metadata().map_or(0, |meta| meta.len())
}

/// Another version of this target is about to come: the damaged one makes room.
pub fn make_way(ground: &Ground<'_>, to: &str) {
    match fs::remove_file(place(ground, to)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("the damaged version of {to} cannot be removed: {error}");
        }
        _ => {}
    }
}
