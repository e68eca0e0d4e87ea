//! Which layers the engine lacks, and in which loads they are sent. Pure.
//!
//! The engine reads a layer's file only where it has no layer of that chain id: so what stands in it, and is known to be whole, is left out
//! of the archive. Where there is no room to send the rest at once an image comes in parts, each with the lowest layers of the image and a
//! configuration of its own; the next part, at last the image itself, stands on it, and then the parts go.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::archive::{Image, Layer, chain, sha256};
use super::contents::Cost;
use crate::stream::decode::Packing;

/// Label of a part. The engine lists it with the image, so that a part that a cut left behind is found again.
pub const PART: &str = "org.offspot.part";

/// What is sent at once.
#[derive(Debug, Clone)]
pub struct Load {
    /// What stands when it is done: images, or one part.
    pub images: Vec<Image>,
    /// Digests of the layers that are sent, each once.
    pub sent: BTreeSet<String>,
    /// Whether it is a part.
    pub is_part: bool,
}

/// The layers of these images that do not stand, each file once, in order of the images.
pub fn lacking<'i>(images: &[&'i Image], standing: &BTreeSet<String>) -> Vec<&'i Layer> {
    let mut seen = BTreeSet::new();
    let layers = images.iter().flat_map(|image| &image.layers);
    layers.filter(|layer| !standing.contains(&layer.chain_id) && seen.insert(&layer.diff_id)).collect()
}

/// The loads that bring these images to where those chain ids stand. None is longer than `room` by the `length` of its layers, unless it is a
/// single layer.
pub fn loads(images: &[&Image], standing: &BTreeSet<String>, room: u64, length: impl Fn(&Layer) -> u64) -> Vec<Load> {
    let all = lacking(images, standing);
    let total = all.iter().fold(0_u64, |sum, layer| sum.saturating_add(length(layer)));
    if total <= room || all.len() <= 1 {
        let sent = all.into_iter().map(|layer| layer.diff_id.clone()).collect();
        return vec![Load { images: images.iter().map(|image| (*image).clone()).collect(), sent, is_part: false }];
    }
    let mut standing = standing.clone();
    let mut loads = Vec::new();
    for image in images {
        in_parts(image, &mut standing, room, &length, &mut loads);
    }
    loads
}

fn in_parts(
    image: &Image,
    standing: &mut BTreeSet<String>,
    room: u64,
    length: &impl Fn(&Layer) -> u64,
    loads: &mut Vec<Load>,
) {
    let (mut sent, mut filled) = (BTreeSet::new(), 0_u64);
    for (below, layer) in image.layers.iter().enumerate() {
        if standing.contains(&layer.chain_id) || sent.contains(&layer.diff_id) {
            continue;
        }
        if !sent.is_empty() && filled.saturating_add(length(layer)) > room {
            let part = part(image, below);
            standing.extend(part.layers.iter().map(|layer| layer.chain_id.clone()));
            loads.push(Load { images: vec![part], sent: std::mem::take(&mut sent), is_part: true });
            filled = 0;
        }
        sent.insert(layer.diff_id.clone());
        filled = filled.saturating_add(length(layer));
    }
    standing.extend(image.layers.iter().map(|layer| layer.chain_id.clone()));
    loads.push(Load { images: vec![image.clone()], sent, is_part: false });
}

/// The lowest layers of an image as an image of its own, without a name.
fn part(image: &Image, layers: usize) -> Image {
    let whole: Value = serde_json::from_slice(&image.config).unwrap_or_default();
    let layers: Vec<Layer> = image.layers.iter().take(layers).cloned().collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
    let part = part_of(&diff_ids, whole["architecture"].as_str().unwrap_or_default());
    Image { layers, ..part }
}

/// An image without a name that stands on these layers (`sha256:…`, lowest first), of which nothing is known but that.
pub fn part_of(diff_ids: &[String], arch: &str) -> Image {
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "config": { "Labels": { PART: "1" } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let bare = |(diff_id, chain_id): (&String, String)| Layer {
        diff_id: diff_id.trim_start_matches("sha256:").to_owned(),
        chain_id,
        blob: None,
        at: 0,
        size: 0,
        packing: Packing::Plain,
        cost: Cost::default(),
    };
    Image {
        id: format!("sha256:{}", sha256(&config)),
        names: Vec::new(),
        repositories: Vec::new(),
        digests: Vec::new(),
        config,
        layers: diff_ids.iter().zip(chain(diff_ids)).map(bare).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of these layers; a layer is a letter and as long as its place in the alphabet.
    fn image(layers: &str) -> Image {
        let diff_ids: Vec<_> = layers.chars().map(|layer| format!("sha256:{layer}")).collect();
        let mut image = part_of(&diff_ids, "arm64");
        for layer in &mut image.layers {
            layer.size = u64::from(layer.diff_id.as_bytes()[0] - b'a' + 1);
        }
        image.id = format!("sha256:{}", sha256(layers.as_bytes()));
        image
    }

    fn standing(layers: &str) -> BTreeSet<String> {
        image(layers).layers.into_iter().map(|layer| layer.chain_id).collect()
    }

    /// Each load as what it sends and, behind the dash, the layers of what then stands.
    fn read(images: &[&Image], standing: &BTreeSet<String>, room: u64) -> Vec<String> {
        let loads = loads(images, standing, room, |layer| layer.size);
        let stack = |image: &Image| image.layers.iter().map(|layer| layer.diff_id.as_str()).collect::<String>();
        let read = |load: &Load| {
            let sent: String = load.sent.iter().map(String::as_str).collect();
            let stacks: Vec<_> = load.images.iter().map(stack).collect();
            format!("{sent}-{}{}", stacks.join(","), if load.is_part { "..." } else { "" })
        };
        loads.iter().map(read).collect()
    }

    #[test]
    fn what_stands_is_left_out_and_the_rest_sent_once() {
        let (abc, abd) = (image("abc"), image("abd"));
        assert_eq!(read(&[&abc, &abd], &BTreeSet::new(), 99), ["abcd-abc,abd"]);
        assert_eq!(read(&[&abc, &abd], &standing("ab"), 99), ["cd-abc,abd"]);
        assert_eq!(read(&[&abc], &standing("abc"), 99), ["-abc"]);
        // The same layer on top of others is another layer to the engine, from the same file.
        assert_eq!(read(&[&image("ba")], &standing("a"), 99), ["ab-ba"]);
        assert_eq!(read(&[&image("abb")], &standing("ab"), 99), ["b-abb"]);
    }

    #[test]
    fn without_room_it_comes_in_parts() {
        let (abc, abd) = (image("abc"), image("abd"));
        assert_eq!(read(&[&abc], &BTreeSet::new(), 3), ["ab-ab...", "c-abc"]);
        assert_eq!(read(&[&abc, &abd], &BTreeSet::new(), 4), ["ab-ab...", "c-abc", "d-abd"]);
        assert_eq!(read(&[&abc], &BTreeSet::new(), 0), ["a-a...", "b-ab...", "c-abc"]);
        assert_eq!(read(&[&abc], &standing("a"), 3), ["b-ab...", "c-abc"]);
        assert_eq!(read(&[&image("aabb")], &BTreeSet::new(), 0), ["a-aa...", "b-aabb"]);
        assert_eq!(read(&[&image("z")], &BTreeSet::new(), 0), ["z-z"], "a single layer goes whatever the room");
    }

    #[test]
    fn a_part_is_an_image_of_its_own_that_says_what_it_is() {
        let part = part(&image("abc"), 2);
        let config: Value = serde_json::from_slice(&part.config).unwrap();
        assert_eq!(config["config"]["Labels"][PART], "1");
        assert_eq!((config["architecture"].as_str(), config["os"].as_str()), (Some("arm64"), Some("linux")));
        assert_eq!(config["rootfs"]["diff_ids"], json!(["sha256:a", "sha256:b"]));
        assert_eq!(part.id, format!("sha256:{}", sha256(&part.config)));
        assert_ne!(part.id, super::part(&image("abd"), 3).id);
    }
}
