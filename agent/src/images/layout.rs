//! OCI layouts, for an engine whose images containerd keeps: it takes one without the blobs that it has, which of a docker-archive it does not
//! (seen with 26 and 28). There an image is known by the digest of its manifest, and the manifest is made here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::archive::{Image, Layer, sha256};
use super::name::ImageName;
use crate::stream::decode::Packing;

/// What an index, a manifest, a configuration and a layer are called.
const TYPE: &str = "application/vnd.oci.image";

/// A layer as it lies in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Digest of its bytes, hex.
    pub digest: String,
    /// Their number.
    pub size: u64,
    /// How they are packed.
    pub packing: Packing,
}

impl Blob {
    /// One whose bytes are those of the tarball.
    pub fn as_it_lies(layer: &Layer) -> Blob {
        let digest = layer.blob.as_ref().unwrap_or(&layer.diff_id).clone();
        Blob { digest, size: layer.size, packing: layer.packing }
    }

    /// Where a layout has it.
    pub fn path(&self) -> String {
        path(&self.digest)
    }
}

/// What the engine calls this image (`sha256:…`), given its layers as they are sent.
pub fn id(image: &Image, blob: impl Fn(&Layer) -> Blob) -> String {
    format!("sha256:{}", sha256(&manifest(image, &blob)))
}

/// All of a layout but the layers: each image with its names as the engine has them (`caddy:2`).
pub fn tail(images: &[(Image, Vec<String>)], blob: impl Fn(&Layer) -> Blob) -> Vec<(String, Vec<u8>)> {
    let mut members = BTreeMap::new();
    let mut manifests = Vec::new();
    for (image, names) in images {
        let manifest = manifest(image, &blob);
        let digest = sha256(&manifest);
        let described = describe("manifest.v1+json", &digest, manifest.len() as u64);
        members.insert(path(image.id.trim_start_matches("sha256:")), image.config.clone());
        members.insert(path(&digest), manifest);
        let whole = names.iter().filter_map(|name| ImageName::parse(name)).map(|name| name.to_string());
        let named = whole.map(|name| {
            let mut named = described.clone();
            named["annotations"] = json!({ "io.containerd.image.name": name });
            named
        });
        let named: Vec<_> = named.collect();
        manifests.extend(if named.is_empty() { vec![described] } else { named });
    }
    let kind = format!("{TYPE}.index.v1+json");
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
    let last = [
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
    ];
    members.into_iter().chain(last).collect()
}

fn manifest(image: &Image, blob: &impl Fn(&Layer) -> Blob) -> Vec<u8> {
    let layer = |layer: &Layer| {
        let blob = blob(layer);
        let suffix = match blob.packing {
            Packing::Gz => "+gzip",
            Packing::Zst => "+zstd",
            Packing::Plain | Packing::Xz | Packing::Bz2 => "",
        };
        describe(&format!("layer.v1.tar{suffix}"), &blob.digest, blob.size)
    };
    let config = describe("config.v1+json", image.id.trim_start_matches("sha256:"), image.config.len() as u64);
    let layers: Vec<_> = image.layers.iter().map(layer).collect();
    let kind = format!("{TYPE}.manifest.v1+json");
    json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers }).to_string().into_bytes()
}

fn describe(kind: &str, digest: &str, size: u64) -> Value {
    json!({ "mediaType": format!("{TYPE}.{kind}"), "digest": format!("sha256:{digest}"), "size": size })
}

fn path(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::thin::part_of;

    #[test]
    fn an_image_with_two_names_stands_twice_in_the_index_and_once_in_the_layout() {
        let image = part_of(&[format!("sha256:{}", "5".repeat(64))], "arm64");
        let tail = tail(&[(image.clone(), vec!["caddy:2".into(), "a.b/c:1".into()])], Blob::as_it_lies);
        let names: Vec<_> = tail.iter().map(|(name, _)| name.as_str()).collect();
        let id = id(&image, Blob::as_it_lies);
        for hex in [&id, &image.id] {
            assert!(names.contains(&path(hex.trim_start_matches("sha256:")).as_str()), "{names:?}");
        }
        assert_eq!((names.len(), names[3]), (4, "index.json"));
        let index: Value = serde_json::from_slice(&tail[3].1).unwrap();
        let said = |at: usize| index["manifests"][at]["annotations"]["io.containerd.image.name"].as_str();
        assert_eq!((said(0), said(1)), (Some("docker.io/library/caddy:2"), Some("a.b/c:1")));
        assert_eq!(index["manifests"][1]["digest"].as_str(), Some(id.as_str()));
    }
}
