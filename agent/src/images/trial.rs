//! A tarball taken through all that a load does to it, with no engine behind: for the tests with hostile tarballs, and for fuzzing.

use std::collections::BTreeSet;
use std::path::Path;

use super::archive::{Counted, Index};
use super::fault::Fault;
use super::parcel::{Form, Freight};
use super::source::Bytes;
use super::thin;

/// Reads the tarball for a board of this architecture and sends what it holds to nobody; gives what was found in it.
pub fn send_to_nobody(tarball: &Path, arch: &str) -> Result<Index, Fault> {
    let (_, mut source) = Bytes::open(tarball, 4096)?;
    let mut index = Index::read(&mut source, arch)?;
    index.count(tarball, &mut Counted::new(), |_| true)?;
    let images: Vec<_> = index.images.iter().collect();
    let layers = thin::lacking(&images, &BTreeSet::new());
    let sent = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let images: Vec<_> = images.into_iter().map(|image| (image.clone(), Vec::new())).collect();
    Freight::weigh(tarball, layers, false, 1 << 20)?.pack(Form::Archive, &images, &sent)?.send(&mut std::io::sink())?;
    Ok(index)
}
