//! An image that is in a registry: what it is made of, and its layers as they come.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use offspot_config::settings::Algorithm;

use super::Network;
use super::manifest::{ACCEPT, CONFIG, Descriptor, Found, MANIFEST, Manifest, read};
use super::reference::Address;
use super::text::Text;
use crate::fetch::{Stream, Unanswered, Wanted};
use crate::images::archive::{Index, Layer};
use crate::images::contents::{Cost, Data};
use crate::images::durable;
use crate::images::fault::Fault;
use crate::images::name::ImageName;
use crate::plan::size;
use crate::report::{Kind, State};
use crate::stream::decode::{Packing, decode};
use crate::stream::digest::DigestReader;
use crate::stream::meter::Tally;

/// An index within an index: no further.
const DEPTH: usize = 4;
/// Bytes on the data partition that a layer leaves free: receipts and services write there too.
const RESERVE: u64 = 16 << 20;
/// Bytes read at a time.
const BUFFER: usize = 64 << 10;
/// Bytes between two words on how far it is, and how many words there are at most.
const STRIDE: u64 = 1 << 20;
const WORDS: u64 = 20;

/// An image in a registry.
#[derive(Debug)]
pub struct Pull {
    network: Network,
    address: Address,
    /// What the report calls it.
    title: String,
    passed: AtomicU64,
    /// Bytes to fetch.
    total: AtomicU64,
    told: AtomicU64,
    /// Addresses that gave wrong bytes.
    lying: Mutex<BTreeSet<String>>,
    /// Whether another address is left that may give the right ones.
    another: AtomicBool,
}

/// The bytes of a layer as they come. Why they end, if they do so too early, is kept: a decoder might say it in other words.
#[derive(Debug)]
pub struct Coming {
    stream: Stream,
    pull: Arc<Pull>,
    passed: Tally,
    broken: Arc<Mutex<Option<Unanswered>>>,
    /// Addresses that gave any of them.
    givers: Arc<Mutex<BTreeSet<String>>>,
}

impl Pull {
    /// Finds the image of this name for `arch`, by its manifest and configuration. Blocking.
    pub fn find(network: &Network, name: &ImageName, title: &str, arch: &str) -> Result<(Arc<Pull>, Index), Fault> {
        let pull = Pull {
            address: Address::of(name, &network.inner.registries),
            network: network.clone(),
            title: title.to_owned(),
            passed: AtomicU64::new(0),
            total: AtomicU64::new(0),
            told: AtomicU64::new(0),
            lying: Mutex::default(),
            another: AtomicBool::new(false),
        };
        let mut urls = pull.address.manifest(&pull.address.version);
        let mut first = None;
        loop {
            let before = urls.len();
            let fault = match pull.look(&mut urls, name.digest(), arch) {
                Ok(index) => return Ok((Arc::new(pull), index)),
                Err(fault) => fault,
            };
            // A tag may be of something better at the next address, or of something that is all there; a digest is the same everywhere.
            let is_nowhere = matches!(fault, Fault::Network(_)) && urls.len() == before;
            let is_last = name.digest().is_some() || urls.is_empty() || is_nowhere;
            let fault = first.take().unwrap_or(fault);
            if is_last {
                return Err(fault);
            }
            first = Some(fault);
        }
    }

    /// What it is made of, by the word of the first of these addresses that has one, which is then taken out of them.
    fn look(&self, urls: &mut Vec<String>, digest: Option<&str>, arch: &str) -> Result<Index, Fault> {
        let (manifest, digests) = self.manifest(urls, digest, arch)?;
        let asked = Text {
            urls: &mut self.address.blob(&manifest.config.digest),
            size: Some(manifest.config.size),
            most: CONFIG,
            accept: None,
            digest: Some(&manifest.config.digest),
            what: "the configuration",
        };
        let (config, _) = self.network.text(&self.address.path, asked)?;
        let layers: Vec<_> = manifest.layers.iter().enumerate().map(|(at, layer)| (data(at, layer), layer)).collect();
        let layers = layers.iter().map(|(data, (layer, _))| (data, layer.hex().to_owned()));
        Index::of_registry(&config, manifest.config.hex(), digests, layers, arch)
    }

    /// The manifest for this board, and the digests of all that led to it.
    fn manifest(
        &self,
        urls: &mut Vec<String>,
        digest: Option<&str>,
        arch: &str,
    ) -> Result<(Manifest, Vec<String>), Fault> {
        let (mut digests, mut next) = (Vec::new(), None::<Descriptor>);
        for _ in 0..DEPTH {
            let mut own = next.as_ref().map(|next| self.address.manifest(&next.digest));
            let asked = Text {
                urls: own.as_mut().unwrap_or(&mut *urls),
                size: next.as_ref().map(|next| next.size),
                most: MANIFEST,
                accept: Some(ACCEPT),
                digest: next.as_ref().map(|next| next.digest.as_str()).or(digest),
                what: "its manifest",
            };
            let (text, found) = self.network.text(&self.address.path, asked)?;
            digests.push(found);
            match read(&text, arch)? {
                Found::Image(manifest) => return Ok((manifest, digests)),
                Found::Further(further) => next = Some(further),
            }
        }
        Err(Fault::Registry("its index goes too deep".into()))
    }

    /// So many bytes are to be fetched, from now on.
    pub fn expect(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.passed.store(0, Ordering::Relaxed);
        self.told.store(0, Ordering::Relaxed);
    }

    /// Writes a layer, unpacked or as the registry has it, and takes its digests on the way. Blocking.
    pub fn send(self: &Arc<Self>, layer: &Layer, unpacked: bool, out: &mut impl Write) -> Result<(), Fault> {
        self.another.store(false, Ordering::Relaxed);
        let coming = self.layer(layer)?;
        let (broken, givers) = (coming.broken.clone(), coming.givers.clone());
        let mut raw = DigestReader::new(Algorithm::Sha256, coming);
        let sent = if unpacked { self.unpack(layer, &mut raw, out) } else { copy(&mut raw, out, layer) };
        if let Some(no) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            if no.sent {
                self.pass_over(layer, &givers);
            }
            return Err(unanswered(no));
        }
        let right = sent.and_then(|()| match layer.blob.as_ref().is_none_or(|said| raw.hex() == *said) {
            true => Ok(()),
            false => Err(wrong(layer)),
        });
        if let Err(Fault::Digest(_)) = right {
            self.pass_over(layer, &givers);
        }
        right
    }

    /// One of those gave wrong bytes: the first of them in the order of the addresses is not asked again for a layer. Where there are more the
    /// wrong ones may be the next one's, and are then told by themselves.
    fn pass_over(&self, layer: &Layer, givers: &Mutex<BTreeSet<String>>) {
        let addresses = self.addresses(layer);
        let givers = givers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(liar) = addresses.iter().find(|url| givers.contains(*url)) else { return };
        let base = liar.split("/v2/").next().unwrap_or_default().to_owned();
        self.lying.lock().unwrap_or_else(PoisonError::into_inner).insert(base);
        self.another.store(addresses.len() > 1, Ordering::Relaxed);
    }

    /// Whether the layer that was wrong last may be right elsewhere.
    pub fn has_another(&self) -> bool {
        self.another.swap(false, Ordering::Relaxed)
    }

    fn addresses(&self, layer: &Layer) -> Vec<String> {
        let digest = format!("sha256:{}", layer.blob.as_ref().unwrap_or(&layer.diff_id));
        let lying = self.lying.lock().unwrap_or_else(PoisonError::into_inner);
        let honest = |url: &String| !lying.iter().any(|base| url.starts_with(&format!("{base}/v2/")));
        self.address.blob(&digest).into_iter().filter(honest).collect()
    }

    fn unpack(&self, layer: &Layer, raw: &mut DigestReader<Coming>, out: &mut impl Write) -> Result<(), Fault> {
        let room = durable::available(&self.network.inner.data).saturating_sub(RESERVE);
        let reader = decode(&mut *raw).map_err(|error| unread(layer, &error))?.1;
        let mut plain = DigestReader::new(Algorithm::Sha256, reader.take(room.saturating_add(1)));
        copy(&mut plain, out, layer)?;
        if plain.length() > room {
            return Err(Fault::Full);
        }
        if plain.hex() != layer.diff_id {
            return Err(wrong(layer));
        }
        // A decoder need not read what it has no use for.
        io::copy(raw, &mut io::sink()).map(drop).map_err(|_| wrong(layer))
    }

    /// The bytes of a layer as the registry has them.
    fn layer(self: &Arc<Self>, layer: &Layer) -> Result<Coming, Fault> {
        let wanted = Wanted {
            urls: self.addresses(layer),
            size: Some(layer.size),
            most: layer.size,
            is_known: true,
            is_fixed: true,
            keys: Some(self.network.keys(&self.address.path)),
            ..Wanted::default()
        };
        let stream = self.network.inner.fetcher.open(wanted).map_err(unanswered)?;
        let passed = Tally::new(&self.network.inner.report);
        Ok(Coming { stream, pull: self.clone(), passed, broken: Arc::default(), givers: Arc::default() })
    }

    fn tell(&self, bytes: u64) {
        let (passed, total) =
            (self.passed.fetch_add(bytes, Ordering::Relaxed) + bytes, self.total.load(Ordering::Relaxed));
        let told = self.told.load(Ordering::Relaxed);
        if passed - told.min(passed) >= (total / WORDS).max(STRIDE) {
            self.told.store(passed, Ordering::Relaxed);
            let detail = format!("pulling {} of {}", size(passed), size(total));
            self.network.inner.report.item(Kind::Image, &self.title, State::Working, detail);
        }
    }
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(read) => {
                let mut givers = self.givers.lock().unwrap_or_else(PoisonError::into_inner);
                if !givers.contains(self.stream.url()) {
                    givers.insert(self.stream.url().to_owned());
                }
                drop(givers);
                self.passed.add(read as u64);
                self.pull.tell(read as u64);
                Ok(read)
            }
            Err(error) => {
                let no = Unanswered::of(&error).cloned().unwrap_or_else(|| Unanswered::for_good(error.to_string()));
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(no);
                Err(error)
            }
        }
    }
}

/// A layer where a tarball would have it: only the order is ours. How much it unpacks to nobody says: no less than it has packed.
fn data(at: usize, (layer, packing): &(Descriptor, Packing)) -> Data {
    let cost = Cost { bytes: layer.size, inodes: 1 };
    Data { at: at as u64, size: layer.size, packing: *packing, text: None, cost }
}

/// Copies all of it; what cannot be read is not what its digest says, if the network gave it.
fn copy(from: &mut impl Read, out: &mut impl Write, layer: &Layer) -> Result<(), Fault> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).map_err(|error| unread(layer, &error))?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(|_| Fault::Unheard)?;
    }
}

/// What is packed with too large a window is no wrong bytes.
fn unread(layer: &Layer, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::OutOfMemory => Fault::Registry(format!("a layer of it cannot be unpacked here: {error}")),
        _ => wrong(layer),
    }
}

fn wrong(layer: &Layer) -> Fault {
    Fault::Digest(format!("layer {}", layer.diff_id.get(..12).unwrap_or_default()))
}

fn unanswered(unanswered: Unanswered) -> Fault {
    Fault::Network(unanswered.why)
}
