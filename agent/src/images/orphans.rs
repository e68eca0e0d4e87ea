//! Layers that no image stands on: what a load leaves behind that was cut. The engine never removes them and would use them, torn as they may
//! be. It does not list them either, so its store is looked at (`image/overlay2/layerdb`, the same from Docker 1.10 to 28); nothing there is
//! ever changed by us.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::name::{is_digest, is_hex};

/// A layer of the store: digest of its tar, and the chain id of the layer below it.
type Layer = (String, Option<String>);

/// The topmost of the layers that no image stands on, each as the digests (`sha256:…`) of all layers from the lowest to it. `standing`: chain
/// ids of the layers of all images.
pub fn find(store: &Path, standing: &BTreeSet<String>) -> io::Result<Vec<Vec<String>>> {
    let mut layers = BTreeMap::new();
    for entry in fs::read_dir(store.join("image/overlay2/layerdb/sha256"))? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok().filter(|text| is_digest(text));
        if let (true, Some(diff_id)) = (is_hex(&name), read("diff")) {
            let below = read("parent").map(|parent| parent.trim_start_matches("sha256:").to_owned());
            layers.insert(name, (diff_id, below));
        }
    }
    Ok(tops(&layers, standing))
}

fn tops(layers: &BTreeMap<String, Layer>, standing: &BTreeSet<String>) -> Vec<Vec<String>> {
    let below: BTreeSet<&String> = layers.values().filter_map(|(_, below)| below.as_ref()).collect();
    let tops = layers.keys().filter(|chain_id| !below.contains(chain_id) && !standing.contains(*chain_id));
    tops.filter_map(|top| stack(layers, top)).collect()
}

/// The digests from the lowest layer to this one; none where one is missing.
fn stack(layers: &BTreeMap<String, Layer>, top: &str) -> Option<Vec<String>> {
    let mut stack = Vec::new();
    let mut next = Some(top);
    while let Some(chain_id) = next {
        let (diff_id, below) = layers.get(chain_id)?;
        stack.push(diff_id.clone());
        // A ring is no stack.
        if stack.len() > layers.len() {
            return None;
        }
        next = below.as_deref();
    }
    stack.reverse();
    Some(stack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_topmost_and_only_what_no_image_stands_on() {
        // a < b < c and a < d, by chain; each layer's digest is its capital.
        let layer =
            |name: &str, below: Option<&str>| (name.to_owned(), (name.to_uppercase(), below.map(str::to_owned)));
        let mut layers: BTreeMap<_, _> =
            [layer("a", None), layer("b", Some("a")), layer("c", Some("b")), layer("d", Some("a"))].into();
        let standing = |names: &str| names.chars().map(String::from).collect::<BTreeSet<_>>();
        let tops = |layers: &BTreeMap<_, _>, names| {
            let tops = super::tops(layers, &standing(names)).into_iter();
            tops.map(|stack| stack.concat()).collect::<Vec<_>>()
        };
        assert_eq!(tops(&layers, ""), ["ABC", "AD"]);
        assert_eq!(tops(&layers, "ad"), ["ABC"]);
        assert_eq!(tops(&layers, "abcd"), Vec::<String>::new());
        layers.extend([layer("e", Some("gone")), layer("f", Some("g")), layer("g", Some("f"))]);
        assert_eq!(tops(&layers, "abcd"), Vec::<String>::new(), "of what has no ground nothing can be made");
    }
}
