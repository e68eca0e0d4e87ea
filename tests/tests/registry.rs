//! Images that are pulled from a registry: a real one, and a server in front of it that counts and misbehaves.

use std::fs;
use std::time::{Duration, Instant};

use offspot_tests::image_card::{self, Card, Outcome};
use offspot_tests::image_tarball::{Sample, docker, foreign, gnu, layer, put};
use offspot_tests::registry::{Act, Front, Kind, Registry};

/// An image on the base that all share, with layers of its own of so many MiB that no packing makes smaller.
fn sample(name: &str, mib: &[usize]) -> Sample {
    let mut sample = Sample::busybox(name);
    for (at, mib) in mib.iter().enumerate() {
        sample.layers.push(layer(&[(&format!("own{at}"), &noise(name, at, mib << 20))]));
    }
    sample
}

/// Bytes that look like chance, the same for the same words.
fn noise(name: &str, at: usize, length: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(at as u64 + 1, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn card(name: &str) -> Card {
    Card::of(&format!("reg{name}"), None, &[]).with_pipes()
}

fn wants(card: &Card, idents: &[String]) {
    let list: String = idents.iter().map(|ident| format!("- {ident}\n")).collect();
    card.set(&format!("oci_images:\n{list}"));
}

fn well(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new(), "{:#?}", outcome.status.notes);
}

#[test]
fn by_tag_by_digest_and_by_both_packed_in_every_way() {
    let (registry, card) = (Registry::start(), card("ways"));
    let front = Front::start(&registry.host, |_| Act::Pass);
    let (gz, zst, plain) =
        (sample("gz", &[1]).packed("gzip"), sample("zst", &[1]).packed("zstd"), sample("plain", &[1]));
    registry.push("a/gz", "1", &gz, Kind::Docker);
    let zst_digest = registry.push("a/zst", "1", &zst, Kind::Oci);
    let other = Sample { arch: foreign().into(), ..sample("other", &[]) };
    let index = registry.push_index("a/plain", "2", &[&other, &plain], Kind::Oci);
    let list = registry.push_index("a/list", "latest", &[&other, &gz], Kind::Docker);
    let at = |rest: &str| format!("{}/a/{rest}", front.host);
    let idents = [at("gz:1"), at(&format!("zst@{zst_digest}")), at(&format!("plain:2@{index}")), at("list")];
    wants(&card, &idents);
    let outcome = card.load();
    well(&outcome);
    for (ident, sample) in idents.iter().zip([&gz, &zst, &plain, &gz]) {
        assert_eq!(outcome.loaded.id(ident), Some(sample.id().as_str()), "{ident}");
        assert!(card.receipts().has_image(&sample.id()));
    }
    assert_eq!(outcome.loaded.id(&at("plain:2")), Some(plain.id().as_str()));
    assert_eq!(card.says(&at("plain:2")), "plain");
    assert_eq!(card.says(&zst.id()), "zst");
    // The base came once, in the three ways it is packed; the same image by another name not at all.
    for sample in [&gz, &zst, &plain] {
        let blobs = sample.blobs();
        assert!(blobs.iter().skip(1).all(|blob| front.bytes_of(blob) == blob.len() as u64));
    }
    assert_eq!(front.bytes_of(&gz.blobs()[0]), gz.blobs()[0].len() as u64);
    assert_eq!(front.bytes_of(&zst.blobs()[0]) + front.bytes_of(&plain.blobs()[0]), 0, "the engine had it");
    assert!(!card.root.join("data/images").exists(), "a tarball");
    let _ = list;
    // The next boot asks nobody.
    front.forget();
    well(&card.load());
    assert_eq!(front.seen().len(), 0);
}
