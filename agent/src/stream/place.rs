//! A small file, replaced whole: staged beside its place, synced, renamed, its folder synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes `path` hold `bytes`; after a cut it holds either the old bytes or the new. Its folder is made where it is missing.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".part");
    let staged = folder.join(name);
    let mut file = File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    File::open(folder)?.sync_all()
}
