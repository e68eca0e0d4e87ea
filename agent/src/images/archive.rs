//! What images a tarball holds: docker-archive (`manifest.json`), else OCI layout (`index.json`). Nothing here touches a disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::contents::{Contents, Cost, Data, count_at, short};
use super::fault::Fault;
use super::name::{ImageName, is_digest, is_hex};
use super::oci;
use super::source::Bytes;
use crate::stream::decode::Packing;

/// Most images of one tarball, and most layers of one image.
pub(super) const IMAGES: usize = 256;
pub(super) const LAYERS: usize = 256;
/// Most names of one image.
const NAMES: usize = 256;

/// Bytes read at a time where only headers are wanted.
pub(super) const HEADERS: usize = 4 << 10;

/// What layers cost, by digest (hex).
pub type Counted = BTreeMap<String, Cost>;

/// The images of a tarball.
#[derive(Debug, Clone)]
pub struct Index {
    /// Those that this board can run, each id once.
    pub images: Vec<Image>,
    /// Whether an image for another board was left out, and which platform that was.
    pub foreign: Option<String>,
    /// How often an image was added.
    pub(super) taken: usize,
    /// Whether the tarball is packed: then plain layers were counted on the way.
    packed: bool,
}

/// One image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of its configuration, `sha256:…`: its id in the engine.
    pub id: String,
    /// What the tarball calls it.
    pub names: Vec<ImageName>,
    /// Repositories that the tarball names with no tag, as `x:` of the image creator.
    pub repositories: Vec<String>,
    /// Digests of its manifest and of the index it stood in, `sha256:…`; an OCI layout has them.
    pub digests: Vec<String>,
    /// The configuration, byte for byte.
    pub config: Vec<u8>,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Digest of its plain tar, hex.
    pub diff_id: String,
    /// The engine's name for this layer on top of those below it, hex.
    pub chain_id: String,
    /// Digest of its bytes as they lie in the tarball, hex, where the tarball says it.
    pub blob: Option<String>,
    /// Where its bytes begin, in the unpacked tarball.
    pub at: u64,
    /// Their number.
    pub size: u64,
    /// How they are packed.
    pub packing: Packing,
    /// What it takes once unpacked.
    pub cost: Cost,
}

/// What we read of an image's configuration.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Index {
    /// Scans a tarball for the images that `arch` (`amd64`, `arm64`) can run.
    pub fn read(source: &mut Bytes, arch: &str) -> Result<Index, Fault> {
        let contents = Contents::scan(source)?;
        let mut index = Index { images: Vec::new(), foreign: None, taken: 0, packed: source.is_packed() };
        if contents.get("manifest.json").is_some() {
            index.docker(&contents, arch)?;
        } else if contents.get("index.json").is_some() {
            oci::read(&mut index, &contents, arch)?;
        } else {
            return Err(contents.missing("manifest.json"));
        }
        match index.foreign.take() {
            Some(is) if index.images.is_empty() => Err(Fault::WrongArch { is, wants: arch.into() }),
            _ if index.images.is_empty() => Err(Fault::not_archive("its manifest lists no image")),
            foreign => Ok(Index { foreign, ..index }),
        }
    }

    /// The image of a registry: this configuration, and layers as they lie there, each with the digest (hex) of its bytes.
    pub(super) fn of_registry<'d>(
        config: &[u8],
        hex: &str,
        digests: Vec<String>,
        layers: impl Iterator<Item = (&'d Data, String)>,
        arch: &str,
    ) -> Result<Index, Fault> {
        let mut index = Index { images: Vec::new(), foreign: None, taken: 0, packed: false };
        let image = Image { digests, ..Image::new(config, Some(hex))? };
        index.add(image, layers.map(|(data, blob)| (data, Some(blob))).collect(), arch)?;
        match index.foreign.take() {
            Some(is) => Err(Fault::WrongArch { is, wants: arch.into() }),
            None => Ok(index),
        }
    }

    /// Whether the tarball is packed, so that its bytes come in one order only.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Counts the layers of the images that are `ahead` in the tarball that this was read from, if that is plain: each once, and none that is
    /// `counted` already, by digest. Until then their costs are estimates.
    pub fn count(&mut self, path: &Path, counted: &mut Counted, ahead: impl Fn(&str) -> bool) -> io::Result<()> {
        if self.packed {
            return Ok(());
        }
        let images = self.images.iter().filter(|image| ahead(&image.id));
        let layers = images.flat_map(|image| &image.layers).filter(|layer| layer.packing == Packing::Plain);
        let unknown = layers.filter(|layer| !counted.contains_key(&layer.diff_id));
        let mut unknown: Vec<_> = unknown.map(|layer| (layer.at, layer.size, layer.diff_id.clone())).collect();
        unknown.sort();
        unknown.dedup();
        let (_, mut source) = Bytes::open(path, HEADERS)?;
        for (at, size, diff_id) in unknown {
            counted.insert(diff_id, count_at(&mut source, at, size)?);
        }
        for layer in self.images.iter_mut().flat_map(|image| &mut image.layers) {
            layer.cost = counted.get(&layer.diff_id).copied().unwrap_or(layer.cost);
        }
        Ok(())
    }

    fn docker(&mut self, contents: &Contents, arch: &str) -> Result<(), Fault> {
        let saved: Vec<Saved> = json(contents.text_of("manifest.json")?, "manifest.json")?;
        if saved.len() > IMAGES {
            return Err(too_many(IMAGES, "images"));
        }
        for saved in saved {
            let config = contents.text_of(&saved.config)?;
            let mut image = Image::new(config, digest_in(&saved.config).as_deref())?;
            let tags = saved.repo_tags.unwrap_or_default();
            if tags.len() > NAMES {
                return Err(too_many(NAMES, "names for one image"));
            }
            for tag in tags {
                image.call(&tag);
            }
            let layers = saved.layers.unwrap_or_default();
            let find = |name: &String| {
                let data = contents.get(name).ok_or_else(|| contents.missing(name))?;
                // Only this folder's names are digests of the bytes as they lie there; `<hex>.tar` may be anything.
                let blob = name.contains("blobs/sha256/").then(|| digest_in(name)).flatten();
                Ok((data, blob))
            };
            let layers = layers.iter().take(LAYERS + 1).map(find).collect::<Result<Vec<_>, Fault>>()?;
            self.add(image, layers, arch)?;
        }
        Ok(())
    }

    /// Adds an image with the members that are its layers; an image for another board is only noted.
    pub(super) fn add(
        &mut self,
        mut image: Image,
        layers: Vec<(&Data, Option<String>)>,
        arch: &str,
    ) -> Result<(), Fault> {
        let config: Config = json(&image.config, "configuration")?;
        if let Some(platform) = config.unfit_for(arch) {
            self.foreign = Some(platform);
            return Ok(());
        }
        image.layers = stack(&config, layers)?;
        self.taken += 1;
        match self.images.iter_mut().find(|known| known.id == image.id) {
            Some(known) => known.names.extend(image.names),
            None => self.images.push(image),
        }
        if self.images.len() > IMAGES {
            return Err(too_many(IMAGES, "images"));
        }
        Ok(())
    }
}

impl Image {
    /// An image without layers yet, whose configuration must have this digest (hex) where one is said.
    pub(super) fn new(config: &[u8], said: Option<&str>) -> Result<Image, Fault> {
        let hex = sha256(config);
        if said.is_some_and(|said| said != hex) {
            return Err(Fault::Digest("the configuration".into()));
        }
        Ok(Image {
            id: format!("sha256:{hex}"),
            names: Vec::new(),
            repositories: Vec::new(),
            digests: Vec::new(),
            config: config.to_vec(),
            layers: Vec::new(),
        })
    }

    /// Takes a name from the tarball; one without a tag, as `x:`, tells the repository only.
    pub(super) fn call(&mut self, text: &str) {
        match ImageName::parse(text) {
            Some(name) if !self.names.contains(&name) => self.names.push(name),
            Some(_) => {}
            None => {
                let repository = text.strip_suffix(':').and_then(ImageName::parse);
                self.repositories.extend(repository.map(|name| name.familiar_repository()));
            }
        }
    }

    /// What people call it: its first name, else the start of its id.
    pub fn title(&self) -> String {
        match self.names.first() {
            Some(name) => name.familiar(),
            None => self.id.chars().take(19).collect(),
        }
    }
}

impl Config {
    /// The platform in words where `arch` cannot run it. A later variant of arm64 than v8 is none of a Pi's.
    fn unfit_for(&self, arch: &str) -> Option<String> {
        let variant = arch != "arm64" || ["", "v8"].contains(&self.variant.as_str());
        if self.os == "linux" && self.architecture == arch && variant {
            return None;
        }
        let said = [&self.os, &self.architecture, &self.variant];
        let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).map(|part| short(part)).collect();
        Some(if said.is_empty() { "no platform it names".into() } else { said.join("/") })
    }
}

fn too_many(most: usize, of_what: &str) -> Fault {
    Fault::not_archive(format!("it has more than {most} {of_what}"))
}

fn stack(config: &Config, layers: Vec<(&Data, Option<String>)>) -> Result<Vec<Layer>, Fault> {
    let diff_ids = config.rootfs.diff_ids.as_deref().unwrap_or_default();
    if diff_ids.len() != layers.len() || layers.len() > LAYERS {
        return Err(Fault::not_archive(format!(
            "it has {} layers where the configuration has {}",
            layers.len(),
            diff_ids.len()
        )));
    }
    if !diff_ids.iter().all(|diff_id| is_digest(diff_id)) {
        return Err(Fault::not_archive("a layer's digest is no sha256"));
    }
    let mut stack = Vec::new();
    for ((diff_id, chain_id), (data, blob)) in diff_ids.iter().zip(chain(diff_ids)).zip(layers) {
        stack.push(Layer {
            diff_id: diff_id.trim_start_matches("sha256:").to_owned(),
            chain_id,
            blob,
            at: data.at,
            size: data.size,
            packing: data.packing,
            cost: data.cost,
        });
    }
    Ok(stack)
}

/// The engine's name (hex) for each of these layers (`sha256:…`, lowest first) on top of those below it.
pub fn chain(diff_ids: &[String]) -> Vec<String> {
    let step = |below: &mut Option<String>, own: &String| {
        let chain = match below.take() {
            None => own.trim_start_matches("sha256:").to_owned(),
            Some(below) => sha256(format!("sha256:{below} {own}").as_bytes()),
        };
        *below = Some(chain.clone());
        Some(chain)
    };
    diff_ids.iter().scan(None, step).collect()
}

/// Parses a JSON text of the tarball.
pub(super) fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|error| Fault::not_archive(format!("its {what} is damaged ({error})")))
}

/// The sha-256 that a member's name ends with, `.json` or `.tar` aside.
fn digest_in(name: &str) -> Option<String> {
    let file = name.rsplit('/').next()?;
    let stem = file.split('.').next()?;
    is_hex(stem).then(|| stem.to_owned())
}

/// The sha-256 of these bytes, hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
