//! `oci_images`: container images the card is to hold.

use super::files::{CHECKSUM_TAKES, SIZE_TAKES, check_checksum, check_list, resolve_checksum, resolve_size};
use super::{Form, Key, Takes, check_keys, one_or_more, require, text_of};
use crate::finding::Findings;
use crate::node::Node;
use crate::rules::content;
use crate::settings::OciImage;

/// The keys of an entry of `oci_images`; a bare name stands for an entry with `ident` only.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "ident", takes: Takes::Text(content::image_ident, Form::Free), about: "Name of the image, as in ghcr.io/offspot/kiwix-serve:3.8.1." },
    Key { name: "url", takes: Takes::TextOrList(content::source), about: "Where its tarball is, or a list of places to try in order; unless given it is found by its name in the image folders, or pulled from its registry." },
    Key { name: "filesize", takes: SIZE_TAKES, about: "Size of its tarball." },
    Key { name: "fullsize", takes: SIZE_TAKES, about: "Size of the image unpacked." },
    Key { name: "checksum", takes: CHECKSUM_TAKES, about: "Digest of its tarball." },
];

/// The entries that can be used.
pub fn check(node: &Node, place: &str, findings: &mut Findings) -> Option<Node> {
    check_list(node, place, findings, |entry, here, findings| {
        if entry.as_scalar().is_some() {
            let verdict = text_of(entry, content::image_ident).map(|name| Node { at: entry.at, ..Node::text(name) });
            return verdict.map_err(|complaint| findings.error(here, Some(entry.at), complaint)).ok();
        }
        let mut checked = check_keys(entry, here, KEYS, findings)?;
        check_checksum(&mut checked, here, findings);
        require(entry, here, &["ident"], findings).then_some(checked)
    })
}

/// What the checked entries mean.
pub fn resolve(node: &Node) -> Vec<OciImage> {
    node.as_sequence().unwrap_or_default().iter().filter_map(resolve_entry).collect()
}

fn resolve_entry(entry: &Node) -> Option<OciImage> {
    let text = |key: &str| entry.get(key).and_then(Node::as_text).map(String::from);
    let mut urls = one_or_more(entry.get("url")).into_iter();
    Some(OciImage {
        ident: entry.as_text().map(String::from).or_else(|| text("ident"))?,
        url: urls.next(),
        mirrors: urls.collect(),
        filesize: resolve_size(entry, "filesize"),
        fullsize: resolve_size(entry, "fullsize"),
        checksum: resolve_checksum(entry),
    })
}
