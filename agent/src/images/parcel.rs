//! What is sent to the engine: a docker-archive or OCI layout made on the fly from a tarball or a registry, with no copy of ours in between.
//!
//! Layers go first, in the order in which the tarball has them, each verified before the next begins; the manifest goes last. So an engine
//! that is cut off has nothing to record, whatever it makes of a torn tar.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tar::EntryType;

use super::archive::{Image, Layer};
use super::fault::Fault;
use super::freight::Source;
use super::piece::{AHEAD, Piece, unheard};
use super::pipes::{self, Pipe};
use super::source::Bytes;
use crate::stream::meter::Tally;

/// How often the engine is looked at, which opens the pipe of a layer when its turn comes.
const LOOK: Duration = Duration::from_millis(2);
/// Longest that it may take to make pipes of some KiB that it was sent, before it is believed to make them where we do not look.
const SEEN: Duration = Duration::from_secs(60);
/// Unit of a tar.
const BLOCK: u64 = 512;

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
    pub(super) form: Form,
    pub(super) source: Source,
    pub(super) pieces: Vec<Piece>,
    /// Configurations and manifest.
    pub(super) tail: Vec<(String, Vec<u8>)>,
    /// Where the engine unpacks, if the layers are to go through pipes there.
    pub(super) pipes: Option<Vec<PathBuf>>,
    /// What the names of the layers begin with: pipes of a load that was cut may lie there yet.
    pub(super) mark: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved<'a> {
    config: String,
    repo_tags: &'a [String],
    layers: Vec<String>,
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
        let fed = self.fill(folders, answered, passed);
        // Of a layer whose wrong bytes unpack to the right ones the engine notices nothing, and would wait for the next for ever.
        while !matches!(fed, Ok(()) | Err(Fault::Unseen)) && !answered.load(Ordering::Relaxed) {
            pipes::release(folders);
            std::thread::sleep(LOOK);
        }
        fed
    }

    fn fill(&self, folders: &[PathBuf], answered: &AtomicBool, passed: &mut Tally) -> Result<(), Fault> {
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
pub(super) fn name(mark: &str, layer: &Layer, in_pipes: bool) -> String {
    format!("{mark}{}.tar", if in_pipes { &layer.chain_id } else { &layer.diff_id })
}

/// Configurations and manifest.
pub(super) fn tail(
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
