//! What is sent to the engine: a docker-archive or OCI layout made on the fly from a tarball or a registry, with no copy of ours in between.
//!
//! Layers go first, in the order in which the tarball has them, each verified before the next begins; the manifest goes last. So an engine
//! that is cut off has nothing to record, whatever it makes of a torn tar.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use offspot_config::settings::Algorithm;
use serde::Serialize;
use tar::EntryType;

use super::archive::{Image, Layer};
use super::fault::Fault;
use super::layout::{self, Blob};
use super::pipes::{self, Pipe};
use super::registry::pull::Pull;
use super::source::Bytes;
use crate::stream::decode::{self, Packing};
use crate::stream::digest::DigestReader;
use crate::stream::meter::Tally;

/// Bytes read from the card at a time.
const AHEAD: usize = 64 << 10;
/// How often the engine is looked at, which opens the pipe of a layer when its turn comes.
const LOOK: Duration = Duration::from_millis(2);
/// Longest that it may take to make pipes of some KiB that it was sent, before it is believed to make them where we do not look.
const SEEN: Duration = Duration::from_secs(60);
/// Unit of a tar.
const BLOCK: u64 = 512;

/// The layers of a tarball, or of a registry, that the engine is to be sent, with the lengths that they will have.
#[derive(Debug)]
pub struct Freight {
    source: Source,
    pieces: Vec<Piece>,
}

/// Where the bytes of layers are.
#[derive(Debug, Clone)]
enum Source {
    Tarball(PathBuf),
    /// `zstd`: whether the engine takes layers packed so.
    Registry {
        pull: Arc<Pull>,
        zstd: bool,
    },
}

/// What is sent to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A docker-archive, for an engine that keeps images itself.
    Archive,
    /// An OCI layout, for one that leaves them to containerd.
    Layout,
}

/// Some images of one tarball, ready to be sent.
#[derive(Debug)]
pub struct Parcel {
    form: Form,
    source: Source,
    pieces: Vec<Piece>,
    tail: Vec<(String, Vec<u8>)>,
    /// Where the engine unpacks, if the layers are to go through pipes there.
    pipes: Option<Vec<PathBuf>>,
    /// What the names of the layers begin with: pipes of a load that was cut may lie there yet.
    mark: String,
}

/// A layer on its way.
#[derive(Debug, Clone)]
struct Piece {
    layer: Layer,
    /// Length after unpacking, where the engine would not take it as it lies.
    unpacked: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved<'a> {
    config: String,
    repo_tags: &'a [String],
    layers: Vec<String>,
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

impl Parcel {
    /// One without layers, which says of an image on which ones it stands.
    pub fn bare(image: Image) -> Result<Parcel, Fault> {
        Ok(Parcel {
            form: Form::Archive,
            source: Source::Tarball(PathBuf::new()),
            pieces: Vec::new(),
            tail: tail(&[(image, Vec::new())], |layer| name("", layer, false))?,
            pipes: None,
            mark: String::new(),
        })
    }

    /// Whether its layers come from a registry.
    pub fn is_pulled(&self) -> bool {
        matches!(self.source, Source::Registry { .. })
    }

    fn name(&self, piece: &Piece) -> String {
        match self.form {
            Form::Archive => name(&self.mark, &piece.layer, self.pipes.is_some()),
            Form::Layout => piece.blob().path(),
        }
    }

    /// Writes it all, taking every digest while the bytes pass. At the first that is wrong it stops, before the end.
    pub fn send(&self, out: &mut impl Write) -> Result<(), Fault> {
        self.send_layers(out)?;
        self.send_end(out)
    }

    /// Writes what makes images of the layers, and the end.
    pub fn send_end(&self, out: &mut impl Write) -> Result<(), Fault> {
        for (name, text) in &self.tail {
            header(out, name, EntryType::Regular, text.len() as u64)?;
            out.write_all(text).map_err(unheard)?;
            pad(out, text.len() as u64)?;
        }
        out.write_all(&[0; 2 * BLOCK as usize]).and_then(|()| out.flush()).map_err(unheard)
    }

    /// Writes the layers, of which the engine makes nothing yet.
    pub fn send_layers(&self, out: &mut impl Write) -> Result<(), Fault> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        if self.pipes.is_some() {
            let names = self.pieces.iter().map(|piece| self.name(piece));
            return names.into_iter().try_for_each(|name| header(out, &name, EntryType::Fifo, 0));
        }
        let mut source = match &self.source {
            Source::Tarball(path) => Some(Bytes::open(path, AHEAD)?.1),
            Source::Registry { .. } => None,
        };
        for piece in &self.pieces {
            header(out, &self.name(piece), EntryType::Regular, piece.length())?;
            match (&mut source, &self.source) {
                (Some(source), _) => piece.pass(source, out)?,
                (None, Source::Registry { pull, .. }) => pull.send(&piece.layer, false, out)?,
                (None, Source::Tarball(_)) => {}
            }
            pad(out, piece.length())?;
        }
        out.flush().map_err(unheard)
    }

    /// Fills the pipes, each when the engine opens it, until all are filled or it has `answered`. Does nothing where there are none.
    pub fn feed(&self, answered: &AtomicBool, passed: &mut Tally) -> Result<(), Fault> {
        let Some(folders) = &self.pipes else { return Ok(()) };
        let (mut left, mut source) = (self.pieces.iter().collect::<Vec<_>>(), None);
        let (begun, mut seen) = (Instant::now(), false);
        while !left.is_empty() && !answered.load(Ordering::Relaxed) {
            let mut opened = None;
            for (at, piece) in left.iter().enumerate() {
                if let Some(file) = pipes::open(folders, &self.name(piece))? {
                    opened = Some((at, file));
                    break;
                }
            }
            let Some((at, file)) = opened else {
                seen = seen || left.iter().any(|piece| pipes::exists(folders, &self.name(piece)));
                if !seen && begun.elapsed() > SEEN {
                    return Err(Fault::Unseen);
                }
                std::thread::sleep(LOOK);
                continue;
            };
            let piece = left.remove(at);
            let path = match &self.source {
                Source::Tarball(path) => path,
                Source::Registry { pull, .. } => {
                    pull.send(&piece.layer, true, &mut Pipe { file, answered, passed: None })?;
                    continue;
                }
            };
            // Only a plain tarball is read out of its order.
            let mut bytes = match source.take().filter(|source: &Bytes| source.at() <= piece.layer.at) {
                Some(source) => source,
                None => Bytes::open(path, AHEAD)?.1,
            };
            piece.pass(&mut bytes, &mut Pipe { file, answered, passed: Some(passed) })?;
            source = Some(bytes);
        }
        Ok(())
    }
}

impl Piece {
    fn blob(&self) -> Blob {
        match self.unpacked {
            Some(size) => Blob { digest: self.layer.diff_id.clone(), size, packing: Packing::Plain },
            None => Blob::as_it_lies(&self.layer),
        }
    }

    fn length(&self) -> u64 {
        self.unpacked.unwrap_or(self.layer.size)
    }

    /// What a decoder finds within a layer is a layer that is not what its digest says.
    fn damage(&self, error: io::Error) -> Fault {
        if error.raw_os_error().is_some() { error.into() } else { self.wrong() }
    }

    fn wrong(&self) -> Fault {
        Fault::Digest(format!("layer {}", self.layer.diff_id.get(..12).unwrap_or_default()))
    }

    fn measure(&self, source: &mut Bytes, most: u64) -> io::Result<u64> {
        let mut plain = decode::decode(source.take(self.layer.size))?.1.take(most.saturating_add(1));
        io::copy(&mut plain, &mut io::sink())
    }

    fn pass(&self, source: &mut Bytes, out: &mut impl Write) -> Result<(), Fault> {
        source.skip_to(self.layer.at)?;
        let mut raw = DigestReader::new(Algorithm::Sha256, source.take(self.layer.size));
        if let Some(length) = self.unpacked {
            let reader = decode::decode(&mut raw).map_err(|error| self.damage(error))?.1;
            let mut plain = DigestReader::new(Algorithm::Sha256, reader);
            copy(&mut plain, out, length).map_err(|fault| match fault {
                Fault::Unheard | Fault::Unreadable(_) => fault,
                _ => self.wrong(),
            })?;
            self.expect(plain.hex(), Some(&self.layer.diff_id))?;
        } else {
            copy(&mut raw, out, self.layer.size)?;
        }
        // A decoder need not read what it has no use for.
        io::copy(&mut raw, &mut io::sink())?;
        let plain = self.layer.packing == Packing::Plain;
        let said = self.layer.blob.as_deref().or(plain.then_some(self.layer.diff_id.as_str()));
        self.expect(raw.hex(), said)
    }

    fn expect(&self, found: String, said: Option<&str>) -> Result<(), Fault> {
        match said {
            Some(said) if said != found => Err(self.wrong()),
            _ => Ok(()),
        }
    }

    /// Whether the engine takes its bytes as they lie, and their digest is known. Old engines know no zstd, and unpack xz by a program
    /// that the card may not have.
    fn passes_as_it_is(&self, zstd: bool) -> bool {
        match self.layer.packing {
            Packing::Plain => true,
            Packing::Gz => self.layer.blob.is_some(),
            Packing::Zst => zstd && self.layer.blob.is_some(),
            Packing::Xz | Packing::Bz2 => false,
        }
    }
}

/// Finds out the unpacked lengths of those that must be unpacked, in one pass.
fn measure(path: &Path, pieces: &mut [Piece], zstd: bool, most: u64) -> Result<(), Fault> {
    let mut packed = pieces.iter_mut().filter(|piece| !piece.passes_as_it_is(zstd)).peekable();
    if packed.peek().is_none() {
        return Ok(());
    }
    let (_, mut source) = Bytes::open(path, AHEAD)?;
    for piece in packed {
        source.skip_to(piece.layer.at)?;
        let length = piece.measure(&mut source, most).map_err(|error| piece.damage(error))?;
        if length > most {
            return Err(Fault::not_archive(format!("a layer unpacks to more than {most} bytes")));
        }
        piece.unpacked = Some(length);
    }
    Ok(())
}

/// Copies exactly `length` bytes.
fn copy(from: &mut impl Read, out: &mut impl Write, length: u64) -> Result<(), Fault> {
    let mut left = length;
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        left = left.checked_sub(read as u64).ok_or_else(changed)?;
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(unheard)?;
    }
    match left {
        0 => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

fn changed() -> Fault {
    Fault::not_archive("it changed while it was read")
}

fn unheard(_: io::Error) -> Fault {
    Fault::Unheard
}

fn header(out: &mut impl Write, name: &str, kind: EntryType, size: u64) -> Result<(), Fault> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_cksum();
    out.write_all(header.as_bytes()).map_err(unheard)
}

fn pad(out: &mut impl Write, length: u64) -> Result<(), Fault> {
    let short = length.next_multiple_of(BLOCK) - length;
    io::copy(&mut io::repeat(0).take(short), out).map(drop).map_err(unheard)
}

/// What an archive calls a layer. In pipes each time that it stands in an image is one of its own.
fn name(mark: &str, layer: &Layer, in_pipes: bool) -> String {
    format!("{mark}{}.tar", if in_pipes { &layer.chain_id } else { &layer.diff_id })
}

/// Configurations and manifest.
fn tail(
    images: &[(Image, Vec<String>)],
    layer_name: impl Fn(&Layer) -> String,
) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let config_of = |image: &Image| format!("{}.json", image.id.trim_start_matches("sha256:"));
    let saved: Vec<_> = images
        .iter()
        .map(|(image, names)| Saved {
            config: config_of(image),
            repo_tags: names,
            layers: image.layers.iter().map(&layer_name).collect(),
        })
        .collect();
    let manifest = serde_json::to_vec(&saved).map_err(|error| Fault::not_archive(error.to_string()))?;
    let configs = images.iter().map(|(image, _)| (config_of(image), image.config.clone()));
    Ok(configs.chain([("manifest.json".to_owned(), manifest)]).collect())
}
