//! What loading a tarball takes, each layer counted once over all tarballs. Pure.

use std::collections::BTreeSet;

use super::archive::{Image, Layer};
use super::staging::Need;
use super::survey::{Tarball, TarballState};
use super::thin;
use crate::plan::Cost;
use crate::receipts::Receipts;
use crate::stream::decode::Packing;

/// Memory the engine takes at its worst while it loads (seen: about 100 MB), ours included.
const LOAD_MEMORY: u64 = 128 << 20;
/// What the engine keeps of a layer beside its files: eleven small files and folders, two links (seen: 44 KiB), and of each file a line.
const LAYER_BYTES: u64 = 64 << 10;
const LAYER_INODES: u64 = 16;
const FILE_BYTES: u64 = 128;
/// What it keeps of an image.
const IMAGE_BYTES: u64 = 16 << 10;
const IMAGE_INODES: u64 = 4;
/// Where it cannot be known before: bytes that a packed byte unpacks to on the way.
const UNPACKS_TO: u64 = 4;

/// Layers that need not be paid for: those of tarballs before, by chain id.
pub type Standing = BTreeSet<String>;

/// What a tarball takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Bytes on the data partition for good.
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
    /// What the engine unpacks on the way.
    pub need: Need,
}

impl Tarball {
    /// What it takes on top of what stands; its layers stand from then on.
    pub fn price(&self, standing: &mut Standing, receipts: &Receipts) -> Price {
        let TarballState::Archive(index) = &self.state else {
            return Price { bytes: self.said_size(receipts).unwrap_or(0), ..Price::default() };
        };
        let ahead: Vec<_> = index.images.iter().filter(|image| !receipts.has_image(&image.id)).collect();
        price(&ahead, standing)
    }
}

impl Tarball {
    /// Bytes that an image takes by the word of `oci_images`, where it is a registry's of which nothing was pulled yet: what a part of it took
    /// is not free any more, and how much of the whole that is nobody says.
    pub fn said_size(&self, receipts: &Receipts) -> Option<u64> {
        let known = |stamp| receipts.tarball(stamp).is_some() || receipts.has_any_from(stamp);
        let entry = self.wanted.first().filter(|_| self.is_in_registry() && !known(&self.stamp))?;
        entry.fullsize.or(entry.filesize)
    }

    /// What these images of it take on top of what stands. Of a registry's it is a lower bound, unless `oci_images` says what the whole takes
    /// and none of it stands: a guess must not keep away what may fit.
    pub(super) fn price_of(&self, images: &[&Image], standing: &Standing) -> Price {
        let mut layers = images.iter().flat_map(|image| &image.layers);
        let is_new = self.pull().is_some() && !layers.any(|layer| standing.contains(&layer.chain_id));
        let said = self.wanted.first().filter(|_| is_new).and_then(|entry| entry.fullsize).unwrap_or(0);
        let price = price(images, &mut standing.clone());
        Price { bytes: price.bytes.max(said), ..price }
    }
}

/// What these images take on top of what stands; their layers stand from then on.
fn price(images: &[&Image], standing: &mut Standing) -> Price {
    let mut price = Price::default();
    for layer in thin::lacking(images, standing) {
        let length = length(layer);
        price.need.load = price.need.load.saturating_add(length);
        price.need.layer = price.need.layer.max(length);
    }
    price.need.both = price.need.load;
    for image in images {
        let config = image.config.len() as u64;
        price.add(IMAGE_BYTES.saturating_add(config), IMAGE_INODES);
        for layer in &image.layers {
            if standing.insert(layer.chain_id.clone()) {
                let about = LAYER_BYTES.saturating_add(layer.cost.inodes.saturating_mul(FILE_BYTES));
                price.add(layer.cost.bytes.saturating_add(about), layer.cost.inodes.saturating_add(LAYER_INODES));
            }
        }
    }
    price
}

impl Price {
    fn add(&mut self, bytes: u64, inodes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.inodes = self.inodes.saturating_add(inodes);
    }

    /// Most bytes on the data partition at any moment. Where the engine unpacks there too, one layer at a time is enough.
    pub fn peak(&self, in_memory: bool) -> u64 {
        if in_memory { self.bytes } else { self.bytes.saturating_add(self.need.layer) }
    }

    /// What the plan counts. `frees`: bytes of the tarball where it is removed; `room`: bytes in memory for what the engine unpacks.
    pub fn cost(&self, frees: u64, room: Option<u64>) -> Cost {
        Cost {
            bytes: self.bytes,
            frees,
            peak: self.peak(room.is_some()),
            inodes: self.inodes,
            memory: LOAD_MEMORY + room.map_or(0, |room| room.min(self.need.both)),
        }
    }
}

/// The length of a layer as it is sent, as far as it can be known before the engine is.
fn length(layer: &Layer) -> u64 {
    let as_it_is = match layer.packing {
        Packing::Plain => true,
        Packing::Gz | Packing::Zst => layer.blob.is_some(),
        Packing::Xz | Packing::Bz2 => false,
    };
    if as_it_is { layer.size } else { layer.size.saturating_mul(UNPACKS_TO) }
}

#[cfg(test)]
mod tests {
    use offspot_config::settings::OciImage;

    use super::*;
    use crate::host::Host;
    use crate::images::survey;
    use crate::receipts::Record;

    #[test]
    fn what_an_entry_says_is_of_the_whole_and_not_of_what_is_left() {
        let folder = std::env::temp_dir().join(format!("offspot-price-{}", std::process::id()));
        let (receipts, _) = Receipts::open(&folder.join("state")).unwrap();
        let ident = "x.invalid/a:1".to_owned();
        let entry =
            OciImage { ident, url: None, mirrors: Vec::new(), filesize: None, fullsize: Some(7), checksum: None };
        let items = survey(&Host::new(&folder), &[entry], &receipts);
        assert_eq!(items[0].said_size(&receipts), Some(7));
        let part = Record::Image { id: "sha256:a".into(), names: Vec::new(), from: items[0].stamp.clone() };
        receipts.append(&part).unwrap();
        assert_eq!(items[0].said_size(&receipts), None, "some of it stands");
        receipts.append(&Record::Forget { ids: vec!["sha256:a".into()] }).unwrap();
        assert_eq!(items[0].said_size(&receipts), Some(7));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
