//! The keys of image.yaml, the recipe of a card.

use super::files::{CHECKSUM_TAKES, SIZE_TAKES, check_checksum, resolve_checksum, resolve_size};
use super::{Form, Key, Takes, check_keys, files, oci_images, require, text_of, top, unknown, wrong_shape};
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Value};
use crate::rules::{Verdict, amounts, content};
use crate::settings::{Base, Recipe, Tree};
use crate::{path, schema};

/// The keys of image.yaml.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "base", takes: Takes::Any(Form::Schema(|| serde_json::json!({"anyOf": [{"type": ["string", "number"]}, schema::mapping(BASE_KEYS, &["source", "rootfs_size"])]}))), about: "The base image: a version, or where it is and how large its root partition is." },
    Key { name: "output", takes: Takes::Any(Form::Schema(|| schema::mapping(OUTPUT_KEYS, &[]))), about: "The card image to make." },
    Key { name: "oci_images", takes: Takes::Any(Form::Schema(|| schema::list(oci_images::KEYS, &["ident"], true))), about: "Container images to put on the card." },
    Key { name: "files", takes: Takes::Any(Form::Schema(|| schema::list(files::KEYS, &["to"], false))), about: "Content to put on the card." },
    Key { name: "write_config", takes: Takes::Flag, about: "Put the recipe itself on the card; false unless given." },
    Key { name: "offspot", takes: Takes::Any(Form::Schema(|| schema::mapping(top::KEYS, &[]))), about: "The offspot.yaml of the card." },
];

/// The keys of `base`.
#[rustfmt::skip]
pub const BASE_KEYS: &[Key] = &[
    Key { name: "source", takes: Takes::Text(base_source, Form::Free), about: "A version such as 1.4.2, or an address." },
    Key { name: "rootfs_size", takes: SIZE_TAKES, about: "Size of the root partition." },
    Key { name: "checksum", takes: CHECKSUM_TAKES, about: "Digest of the base image." },
];

/// The keys of `output`.
#[rustfmt::skip]
pub const OUTPUT_KEYS: &[Key] = &[
    Key { name: "size", takes: Takes::Text(output_size, Form::Schema(|| serde_json::json!({"type": ["integer", "string"]}))), about: "Size of the card image; auto (as small as possible) unless given." },
    Key { name: "compress", takes: Takes::Flag, about: "Not used." },
];

/// A version of three digits with whatever follows, or an address, which may hold a password and is not repeated.
fn base_source(text: &str) -> Verdict {
    let digits =
        text.split('.').take(3).filter(|part| part.starts_with(|first: char| first.is_ascii_digit())).count() == 3;
    let version = digits
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-._".contains(letter));
    if version {
        return Ok(());
    }
    content::source(text).map_err(|_| {
        Complaint::value(
            "this is neither a version nor an address",
            "Write a version such as 1.4.2, or http(s)://… or file:///….",
        )
    })
}

fn output_size(text: &str) -> Verdict {
    if text == "auto" { Ok(()) } else { amounts::size(text).map(drop) }
}

/// The mapping with only what can be used.
pub fn check(node: &Node, findings: &mut Findings) -> Node {
    findings.refuse_unknown();
    let Some(entries) = node.as_mapping() else {
        findings.error("", Some(node.at), wrong_shape("a mapping", node));
        return Node::from(Value::Mapping(Vec::new()));
    };
    require(node, "", &["base"], findings);
    let mut kept = Vec::new();
    for (name, value) in entries {
        let here = path::below("", name.key_text());
        if !KEYS.iter().any(|key| key.name == name.key_text()) {
            unknown(name, &here, KEYS, findings);
        } else if !value.is_empty()
            && let Some(value) = check_one(name.key_text(), value, &here, findings)
        {
            kept.push((name.clone(), value));
        }
    }
    Node::at(Value::Mapping(kept), node.at)
}

fn check_one(name: &str, value: &Node, here: &str, findings: &mut Findings) -> Option<Node> {
    let checked = match name {
        "oci_images" => return oci_images::check(value, here, findings),
        "files" => return files::check(value, here, findings),
        "offspot" => {
            findings.keep_unknown();
            let checked = top::check(value, here, findings);
            findings.refuse_unknown();
            return Some(checked);
        }
        "base" => check_base(value, here, findings),
        "output" => check_keys(value, here, OUTPUT_KEYS, findings),
        _ => {
            if value.as_bool().is_none() {
                findings.error(here, Some(value.at), wrong_shape("true or false", value));
            }
            Some(value.clone())
        }
    };
    checked.filter(|_| !findings.refused().touches(here))
}

fn check_base(node: &Node, here: &str, findings: &mut Findings) -> Option<Node> {
    if node.as_scalar().is_some() {
        let verdict = text_of(node, base_source).map(|text| Node { at: node.at, ..Node::text(text) });
        return verdict.map_err(|complaint| findings.error(here, Some(node.at), complaint)).ok();
    }
    let mut checked = check_keys(node, here, BASE_KEYS, findings)?;
    check_checksum(&mut checked, here, findings);
    require(node, here, &["source", "rootfs_size"], findings).then_some(checked)
}

/// What a checked mapping means.
pub fn resolve(node: &Node) -> Recipe {
    let base = node.get("base").and_then(|base| {
        let source = base.as_text().or_else(|| base.get("source").and_then(Node::as_text))?;
        Some(Base {
            source: source.into(),
            rootfs_size: resolve_size(base, "rootfs_size"),
            checksum: resolve_checksum(base),
        })
    });
    Recipe {
        base,
        output_size: node.get("output").and_then(|output| resolve_size(output, "size")),
        oci_images: node.get("oci_images").map(oci_images::resolve).unwrap_or_default(),
        files: node.get("files").map(files::resolve).unwrap_or_default(),
        write_config: node.get("write_config").and_then(Node::as_bool).unwrap_or(false),
        offspot: node.get("offspot").cloned().map(Tree),
    }
}
