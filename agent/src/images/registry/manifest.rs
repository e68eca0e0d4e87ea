//! What a registry says of an image: a manifest, or an index of those for several platforms; Docker's words and OCI's. Pure.

use serde::Deserialize;

use crate::images::archive::json;
use crate::images::contents::short;
use crate::images::fault::Fault;
use crate::images::name::is_digest;
use crate::images::platform::Platform;
use crate::stream::decode::Packing;

/// What we read, as `Accept` says it.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Longest manifest and configuration that are read.
pub const MANIFEST: u64 = 4 << 20;
pub const CONFIG: u64 = 1 << 20;
/// Most layers of one image: the kernel's overlay takes no more.
const LAYERS: usize = 127;
/// Most bytes of a layer: a longer one fits no card.
const LAYER: u64 = 1 << 40;
/// Most platforms that are named where none fits.
const NAMED: usize = 6;

/// A blob, or another manifest, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

/// An image: its configuration, and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, each with how its name says that it is packed.
    pub layers: Vec<(Descriptor, Packing)>,
}

/// What stands behind a digest or a tag.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// One image.
    Image(Manifest),
    /// The manifest, or index, for this board.
    Further(Descriptor),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// Reads it, and chooses what `arch` can run.
pub fn read(text: &[u8], arch: &str) -> Result<Found, Fault> {
    let node: Node = json(text, "manifest")?;
    match node {
        Node { schema_version: 1, .. } => Err(first_kind()),
        Node { config: Some(config), layers, .. } => image(config, layers.unwrap_or_default()).map(Found::Image),
        Node { manifests: Some(manifests), .. } => choose(manifests, arch).map(Found::Further),
        _ => Err(Fault::Registry("its manifest names neither a configuration nor other manifests".into())),
    }
}

/// Whether it is a manifest of Docker's first kind, by itself or by its `Content-Type`. A signed one has the digest of what was signed, which
/// is not that of its bytes.
pub fn is_first_kind(text: &[u8], media: Option<&str>) -> bool {
    let node = serde_json::from_slice::<Node>(text);
    node.is_ok_and(|node| node.schema_version == 1)
        || media.is_some_and(|media| media.contains("docker.distribution.manifest.v1"))
}

/// What is said of one.
pub fn first_kind() -> Fault {
    let why = "its manifest is of the first kind (schema 1), which has no sure digests: it must be pushed again";
    Fault::Registry(why.into())
}

fn image(config: Descriptor, layers: Vec<Descriptor>) -> Result<Manifest, Fault> {
    if layers.len() > LAYERS {
        return Err(Fault::Registry(format!("it has {} layers, and the engine takes {LAYERS}", layers.len())));
    }
    if config.size > CONFIG {
        return Err(Fault::Registry(format!("its configuration has {} bytes, more than any needs", config.size)));
    }
    config.check()?;
    let packed = |layer: Descriptor| layer.packing().map(|packing| (layer, packing));
    Ok(Manifest { config, layers: layers.into_iter().map(packed).collect::<Result<_, _>>()? })
}

/// The one that fits best; of equals the first.
fn choose(manifests: Vec<Descriptor>, arch: &str) -> Result<Descriptor, Fault> {
    let fitting = manifests.iter().filter_map(|descriptor| Some((descriptor.fits(arch)?, descriptor)));
    let best = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let Some((_, best)) = best else {
        let named = manifests.iter().filter_map(|descriptor| descriptor.platform.as_ref());
        let mut named: Vec<_> = named.filter(|platform| platform.is_known()).map(Platform::words).collect();
        named.dedup();
        let more = if named.len() > NAMED { " and others" } else { "" };
        named.truncate(NAMED);
        let is = if named.is_empty() { "no platform it names".into() } else { named.join(", ") + more };
        return Err(Fault::WrongArch { is, wants: arch.to_owned() });
    };
    best.check()?;
    Ok(best.clone())
}

impl Descriptor {
    /// The digest in hex.
    pub fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }

    fn check(&self) -> Result<(), Fault> {
        match is_digest(&self.digest) {
            true => Ok(()),
            false => Err(Fault::Registry("a digest in its manifest is no sha256".into())),
        }
    }

    /// How well this board can run it; none where it cannot. One without a platform says it in its configuration.
    fn fits(&self, arch: &str) -> Option<u32> {
        self.platform.as_ref().map_or(Some(0), |platform| platform.rank(arch))
    }

    fn packing(&self) -> Result<Packing, Fault> {
        self.check()?;
        if self.size > LAYER {
            return Err(Fault::Registry(format!("a layer of it has {} bytes", self.size)));
        }
        let kind = self.media_type.as_deref().unwrap_or_default();
        let kept_elsewhere = kind.contains("foreign") || kind.contains("nondistributable");
        if kept_elsewhere || self.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
            let layer = self.hex().get(..12).unwrap_or_default();
            return Err(Fault::Registry(format!("its layer {layer} is kept elsewhere than in the registry")));
        }
        match kind.rsplit_once("tar").map(|(_, packing)| packing) {
            Some("") => Ok(Packing::Plain),
            Some("+gzip" | ".gzip") => Ok(Packing::Gz),
            Some("+zstd" | ".zstd") => Ok(Packing::Zst),
            _ => Err(Fault::Registry(format!("a layer of it is of an unknown kind ({})", short(kind)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn descriptor(digit: &str, kind: &str) -> Value {
        json!({"mediaType": kind, "digest": format!("sha256:{}", digit.repeat(64)), "size": 5})
    }

    fn platform(digit: &str, os: &str, arch: &str, variant: Option<&str>) -> Value {
        let mut one = descriptor(digit, "application/vnd.oci.image.manifest.v1+json");
        one["platform"] = json!({"os": os, "architecture": arch});
        if let Some(variant) = variant {
            one["platform"]["variant"] = variant.into();
        }
        one
    }

    fn chosen(manifests: &[Value], arch: &str) -> Result<String, String> {
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        match read(index.as_bytes(), arch) {
            Ok(Found::Further(one)) => Ok(one.hex().chars().take(1).collect()),
            Ok(Found::Image(_)) => Err("an image".into()),
            Err(Fault::WrongArch { is, .. }) => Err(is),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn of_an_index_what_this_board_can_run() {
        let all = [
            platform("0", "unknown", "unknown", None),
            platform("1", "windows", "amd64", None),
            platform("2", "linux", "arm", Some("v6")),
            platform("3", "linux", "arm", Some("v7")),
            platform("4", "linux", "amd64", None),
            platform("5", "linux", "arm64", Some("v9")),
            platform("6", "linux", "arm64", Some("v8")),
            platform("7", "linux", "arm64", None),
        ];
        for (arch, digit) in [("amd64", "4"), ("arm64", "6"), ("arm", "3")] {
            assert_eq!(chosen(&all, arch).as_deref(), Ok(digit));
        }
        assert_eq!(chosen(&all[..4], "arm64"), Err("windows/amd64, linux/arm/v6, linux/arm/v7".into()));
        assert_eq!(chosen(&all[..1], "arm64"), Err("no platform it names".into()));
        assert_eq!(chosen(&[descriptor("8", "x")], "arm64").as_deref(), Ok("8"), "its configuration tells");
    }

    fn layers(layers: &[Value]) -> Result<Vec<Packing>, String> {
        let manifest = json!({"schemaVersion": 2, "config": descriptor("1", "x"), "layers": layers}).to_string();
        match read(manifest.as_bytes(), "arm64") {
            Ok(Found::Image(manifest)) => Ok(manifest.layers.into_iter().map(|(_, packing)| packing).collect()),
            Ok(other) => Err(format!("{other:?}")),
            Err(Fault::Registry(why)) => Err(why),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn layers_by_all_their_names() {
        let known = [
            ("application/vnd.oci.image.layer.v1.tar", Packing::Plain),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Packing::Gz),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Packing::Zst),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Packing::Gz),
            ("application/vnd.docker.image.rootfs.diff.tar", Packing::Plain),
        ];
        let stack: Vec<_> = known.iter().map(|(kind, _)| descriptor("a", kind)).collect();
        assert_eq!(layers(&stack), Ok(known.map(|(_, packing)| packing).to_vec()));
        let mut elsewhere = descriptor("b", known[0].0);
        elsewhere["urls"] = json!(["https://example.org/x"]);
        let foreign = descriptor("b", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        for bad in [elsewhere, foreign] {
            assert!(layers(&[bad]).unwrap_err().contains("layer bbbbbbbbbbbb is kept elsewhere"));
        }
        assert!(layers(&[descriptor("c", "application/vnd.in-toto+json")]).unwrap_err().contains("unknown kind"));
        let many = vec![descriptor("a", known[0].0); 128];
        assert!(layers(&many).unwrap_err().contains("it has 128 layers"));
        assert_eq!(layers(&many[..127]).map(|layers| layers.len()), Ok(127));
        let mut long = descriptor("a", known[0].0);
        long["size"] = json!(u64::MAX);
        assert!(layers(&[long]).unwrap_err().contains("has 18446744073709551615 bytes"));
        let mut short = descriptor("a", known[0].0);
        short["digest"] = "sha512:aa".into();
        assert!(layers(&[short]).unwrap_err().contains("no sha256"));
    }

    #[test]
    fn what_is_no_manifest() {
        for (text, words) in [
            (r#"{"schemaVersion": 1, "fsLayers": []}"#, "schema 1"),
            (r#"{"schemaVersion": 2}"#, "neither"),
            ("{", "damaged"),
            ("[]", "neither"),
            (r#"{"config": {"digest": "sha256:1", "size": -1}}"#, "damaged"),
        ] {
            assert!(format!("{:?}", read(text.as_bytes(), "arm64")).contains(words), "{text}");
        }
    }
}
