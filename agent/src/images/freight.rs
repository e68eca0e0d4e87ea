//! The layers that a load has to bring: from a tarball, or from a registry.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::archive::{Image, Layer};
use super::fault::Fault;
use super::layout::{self, Blob};
use super::parcel::{Form, Parcel, name, tail};
use super::piece::{Piece, measure};
use super::registry::pull::Pull;

/// The layers of a tarball, or of a registry, that the engine is to be sent, with the lengths that they will have.
#[derive(Debug)]
pub struct Freight {
    source: Source,
    pieces: Vec<Piece>,
}

/// Where the bytes of layers are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Tarball(PathBuf),
    /// `zstd`: whether the engine takes layers packed so.
    Registry {
        pull: Arc<Pull>,
        zstd: bool,
    },
}

impl Freight {
    /// Weighs these layers of the tarball at `path`. `zstd`: whether the engine takes layers packed so.
    ///
    /// Layers that must be unpacked on the way are read once here, for a tar says a length before the bytes; none may be longer than `most`.
    pub fn weigh<'l>(
        path: &Path,
        layers: impl IntoIterator<Item = &'l Layer>,
        zstd: bool,
        most: u64,
    ) -> Result<Freight, Fault> {
        let pieces = layers.into_iter().map(|layer| Piece { layer: layer.clone(), unpacked: None });
        let mut pieces: Vec<Piece> = pieces.collect();
        pieces.sort_by_key(|piece| piece.layer.at);
        measure(path, &mut pieces, zstd, most)?;
        Ok(Freight { source: Source::Tarball(path.to_owned()), pieces })
    }

    /// The same of layers in a registry, whose lengths are known.
    pub fn pulled<'l>(pull: &Arc<Pull>, layers: impl IntoIterator<Item = &'l Layer>, zstd: bool) -> Freight {
        let pieces = layers.into_iter().map(|layer| Piece { layer: layer.clone(), unpacked: None });
        Freight { source: Source::Registry { pull: pull.clone(), zstd }, pieces: pieces.collect() }
    }

    /// Bytes of this layer in the archive.
    pub fn length(&self, layer: &Layer) -> u64 {
        self.own(layer).map_or(layer.size, Piece::length)
    }

    /// Bytes of the largest layer.
    pub fn largest(&self) -> u64 {
        self.pieces.iter().map(Piece::length).max().unwrap_or(0)
    }

    /// Bytes of all layers.
    pub fn total(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.length()))
    }

    /// Packs these images, each with what the engine is to call it, and the `sent` ones (by digest) of the layers. For a layout all layers of
    /// the images must have been weighed, sent or not.
    pub fn pack(&self, form: Form, images: &[(Image, Vec<String>)], sent: &BTreeSet<String>) -> Result<Parcel, Fault> {
        self.pack_as(form, images, sent, String::new(), None)
    }

    /// The same as a docker-archive with pipes in place of the layers, for an engine that unpacks below one of these folders. See
    /// [`pipes`](super::pipes).
    pub fn pack_pipes(
        &self,
        images: &[(Image, Vec<String>)],
        sent: &BTreeSet<String>,
        folders: Vec<PathBuf>,
    ) -> Result<Parcel, Fault> {
        static PACKED: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("{}-{}-", std::process::id(), PACKED.fetch_add(1, Ordering::Relaxed));
        self.pack_as(Form::Archive, images, sent, mark, Some(folders))
    }

    fn pack_as(
        &self,
        form: Form,
        images: &[(Image, Vec<String>)],
        sent: &BTreeSet<String>,
        mark: String,
        pipes: Option<Vec<PathBuf>>,
    ) -> Result<Parcel, Fault> {
        let pieces: Vec<_> = match pipes {
            Some(_) => self.each_time(images, sent),
            None => self.pieces.iter().filter(|piece| sent.contains(&piece.layer.diff_id)).cloned().collect(),
        };
        if let (Source::Registry { zstd, .. }, Form::Archive, None) = (&self.source, form, &pipes)
            && pieces.iter().any(|piece| !piece.passes_as_it_is(*zstd))
        {
            return Err(Fault::Registry("its layers are packed by zstd, which this engine does not know".into()));
        }
        let tail = match form {
            Form::Archive => tail(images, |layer| name(&mark, layer, pipes.is_some()))?,
            Form::Layout => layout::tail(images, |layer| self.blob(layer)),
        };
        Ok(Parcel { form, source: self.source.clone(), pieces, tail, pipes, mark })
    }

    /// One piece for each time that the engine may read a layer: a pipe is read once, and a layer may stand twice in an image.
    fn each_time(&self, images: &[(Image, Vec<String>)], sent: &BTreeSet<String>) -> Vec<Piece> {
        let mut seen = BTreeSet::new();
        let layers = images.iter().flat_map(|(image, _)| &image.layers);
        let sent = layers.filter(|layer| sent.contains(&layer.diff_id) && seen.insert(&layer.chain_id));
        let unpacked = |layer: &Layer| self.own(layer).and_then(|own| own.unpacked);
        let mut pieces: Vec<_> = sent.map(|layer| Piece { layer: layer.clone(), unpacked: unpacked(layer) }).collect();
        pieces.sort_by_key(|piece| piece.layer.at);
        pieces
    }

    fn own(&self, layer: &Layer) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.layer.diff_id == layer.diff_id)
    }

    /// What the engine will call this image, `sha256:…`.
    pub fn id(&self, form: Form, image: &Image) -> String {
        match form {
            Form::Archive => image.id.clone(),
            Form::Layout => layout::id(image, |layer| self.blob(layer)),
        }
    }

    /// Digests of the layers as they are sent.
    pub fn blobs(&self) -> impl Iterator<Item = String> {
        self.pieces.iter().map(|piece| piece.blob().digest)
    }

    fn blob(&self, layer: &Layer) -> Blob {
        self.own(layer).map_or_else(|| Blob::as_it_lies(layer), Piece::blob)
    }
}
