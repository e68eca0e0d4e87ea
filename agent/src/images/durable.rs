//! What makes a load last: one sync, then the receipts, and only then the tarball goes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use offspot_config::settings::{Algorithm, Checksum, ChecksumValue};

use super::survey::Tarball;
use crate::content::digest_at;
use crate::fetch::Fetcher;
use crate::problem::{ImageProblem, Problem};
use crate::receipts::{Receipts, Record};
use crate::stream::digest::DigestReader;

/// Syncs the data partition, then appends the records: two flushes, however many records there are.
pub fn record(data: &Path, receipts: &Receipts, records: &[Record]) -> io::Result<()> {
    nix::unistd::syncfs(File::open(data)?)?;
    receipts.append_all(records)
}

/// Removes a tarball that is loaded and recorded. Not synced: one that a cut brings back is known by its receipt, and goes at the next boot.
pub fn remove(tarball: &Path) -> io::Result<()> {
    match fs::remove_file(tarball) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a rename last.
pub fn sync_folder_of(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Bytes that are free in the filesystem of this folder.
pub fn available(folder: &Path) -> u64 {
    let free = nix::sys::statvfs::statvfs(folder);
    free.map_or(0, |free| free.blocks_available().saturating_mul(free.fragment_size()))
}

/// Takes the digest of the whole tarball wherever `oci_images` says what it must be.
pub fn verify(fetcher: &Fetcher, tarball: &Tarball) -> Result<(), Problem> {
    let checksums = tarball.wanted.iter().filter_map(|entry| entry.checksum.as_ref());
    checksums.into_iter().try_for_each(|checksum| matches(fetcher, tarball, checksum))
}

fn matches(fetcher: &Fetcher, tarball: &Tarball, checksum: &Checksum) -> Result<(), Problem> {
    let item = tarball.path.clone();
    let expected = match &checksum.value {
        ChecksumValue::Digest(digest) => digest.clone(),
        ChecksumValue::Url(url) => match digest_at(&tarball.host, fetcher, url, checksum.algo) {
            Ok(digest) => digest,
            Err(why) => return Err(ImageProblem::Fetch { item, why }.into()),
        },
    };
    match digest(&tarball.file, checksum.algo) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(ImageProblem::Checksum { item, expected, found }.into()),
        Err(error) => {
            let why = error.to_string();
            Err(ImageProblem::Unreadable { item, why }.into())
        }
    }
}

fn digest(file: &Path, algorithm: Algorithm) -> io::Result<String> {
    let mut reader = DigestReader::new(algorithm, File::open(file)?);
    let mut buffer = vec![0; 64 << 10];
    while reader.read(&mut buffer)? > 0 {}
    Ok(reader.hex())
}
