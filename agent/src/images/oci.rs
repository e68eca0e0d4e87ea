//! OCI layout: `index.json`, indexes in it, manifests, blobs by digest.

use std::collections::HashMap;

use serde::Deserialize;

use super::archive::{IMAGES, Image, Index, json, sha256};
use super::contents::Contents;
use super::fault::Fault;
use super::name::{ImageName, is_digest};
use super::platform::Platform;

/// An index within an index within an index: no further.
const DEPTH: usize = 4;
/// Most manifests and indexes that are looked at.
const LOOKS: usize = 4 * IMAGES;
/// Annotations that hold a name: the whole one, and the one that may be only a tag.
const WHOLE_NAME: &str = "io.containerd.image.name";
const NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug, Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

/// A manifest or an index: one has `config` and `layers`, the other `manifests`.
#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// A descriptor that is still to be followed.
struct Ahead {
    descriptor: Descriptor,
    names: Vec<String>,
    digests: Vec<String>,
}

/// Adds the images of the layout to `index`. Of an index with several platforms only those for `arch` are read: blobs of others may be absent.
pub fn read(index: &mut Index, contents: &Contents, arch: &str) -> Result<(), Fault> {
    let top: Node = json(contents.text_of("index.json")?, "index.json")?;
    let mut roots = Vec::new();
    push(&mut roots, top, &[], &[]);
    let mut looks = 0;
    for root in roots.into_iter().rev() {
        let (foreign, taken) = (index.foreign.take(), index.taken);
        follow_all(index, contents, arch, root, &mut looks)?;
        // Other platforms of an image are no loss where there is one for this board.
        if index.taken > taken || index.foreign.is_none() {
            index.foreign = foreign;
        }
    }
    Ok(())
}

fn follow_all(index: &mut Index, contents: &Contents, arch: &str, root: Ahead, looks: &mut usize) -> Result<(), Fault> {
    let mut ahead = vec![root];
    while let Some(next) = ahead.pop() {
        *looks += 1;
        if *looks > LOOKS || next.digests.len() > DEPTH {
            return Err(Fault::not_archive("its index goes too deep"));
        }
        if let Some(platform) = next.descriptor.platform.as_ref().filter(|platform| platform.rank(arch).is_none()) {
            index.foreign.get_or_insert_with(|| platform.words());
            continue;
        }
        follow(index, contents, arch, next, &mut ahead)?;
    }
    Ok(())
}

/// The last is looked at first: so the order of the index is kept.
fn push(ahead: &mut Vec<Ahead>, node: Node, names: &[String], digests: &[String]) {
    for descriptor in node.manifests.unwrap_or_default().into_iter().rev() {
        let own = descriptor.annotations.as_ref();
        let own = own.and_then(|notes| notes.get(WHOLE_NAME).or_else(|| notes.get(NAME))).cloned();
        ahead.push(Ahead { names: names.iter().cloned().chain(own).collect(), digests: digests.to_vec(), descriptor });
    }
}

fn follow(
    index: &mut Index,
    contents: &Contents,
    arch: &str,
    next: Ahead,
    ahead: &mut Vec<Ahead>,
) -> Result<(), Fault> {
    let digest = &next.descriptor.digest;
    let text = contents.text_of(&blob(digest)?)?;
    if format!("sha256:{}", sha256(text)) != *digest {
        return Err(Fault::Digest("a manifest".into()));
    }
    let mut node: Node = json(text, "manifest")?;
    let mut digests = next.digests;
    digests.push(digest.clone());
    let Some(config) = node.config.take() else {
        push(ahead, node, &next.names, &digests);
        return Ok(());
    };
    let hex = config.digest.strip_prefix("sha256:");
    let mut image = Image::new(contents.text_of(&blob(&config.digest)?)?, hex)?;
    for name in &next.names {
        name_it(&mut image, name);
    }
    image.digests = digests;
    let find = |layer: &Descriptor| {
        let name = blob(&layer.digest)?;
        let data = contents.get(&name).ok_or_else(|| contents.missing(&name))?;
        Ok((data, layer.digest.strip_prefix("sha256:").map(str::to_owned)))
    };
    let layers = node.layers.unwrap_or_default();
    let layers = layers.iter().map(find).collect::<Result<Vec<_>, Fault>>()?;
    index.add(image, layers, arch)
}

/// A bare word such as `1.0` is a tag of nobody knows what.
fn name_it(image: &mut Image, name: &str) {
    if name.contains(['/', ':']) && ImageName::parse(name).is_some() {
        image.call(name);
    }
}

fn blob(digest: &str) -> Result<String, Fault> {
    let hex = digest.strip_prefix("sha256:").filter(|_| is_digest(digest));
    hex.map(|hex| format!("blobs/sha256/{hex}")).ok_or_else(|| Fault::not_archive("a digest in it is no sha256"))
}
