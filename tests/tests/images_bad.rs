//! Image tarballs that cannot be loaded, or not as they are, into a real engine.

use std::fs;

use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, OciImage};
use offspot_tests::engine::PrivateEngine;
use offspot_tests::image_card::{Card, SmallDisk, entry};
use offspot_tests::image_tarball::{Entry, Sample, docker, foreign, gnu, hex, layer, moved, oci, pack, put};

#[test]
fn each_bad_tarball_is_named_and_the_others_loaded() {
    let card = Card::new("bad");
    let good = Sample::busybox("good:1");
    let tar = gnu(&docker(&[&good]));
    put(&card.data("zz-good.tar"), &tar);
    let mut noise = vec![0; 300_000];
    let mut seed = 1_u32;
    noise.fill_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let mut bad = Sample::small("bad:1");
    bad.layers.insert(0, layer(&[("noise", &noise)]));
    let tar = gnu(&docker(&[&bad]));
    let first = gnu(&moved(docker(&[&bad]), "manifest.json", 0));
    let put_bad = |name: &str, bytes: &[u8]| put(&card.data(name), bytes);
    put_bad("empty.tar", b"");
    put_bad("cut.tar", &tar[..tar.len() / 2]);
    put_bad("cut-first.tar", &first[..first.len() / 2]);
    put_bad("cut-at-member.tar", &tar[..512 + bad.layers[0].len()]);
    put_bad("cut.tar.gz", &pack(&tar, "gzip")[..200_000]);
    put_bad("cut.tar.xz", &pack(&tar, "xz")[..200_000]);
    put_bad("text.tar", &b"this is a letter to the school\n".repeat(100));
    put_bad("short.tar", b"short");
    put_bad("zeros.tar", &[0; 4096]);
    put_bad("random.tar", &noise);
    put_bad("garbage.tar.gz", &pack(&noise, "gzip"));
    let alien = Sample { arch: foreign().into(), ..bad.clone() };
    put_bad("arch.tar", &gnu(&docker(&[&alien])));
    let flip = |needle: &[u8], from: &[u8]| {
        let mut bytes = from.to_vec();
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[at + needle.len() / 2] ^= 1;
        bytes
    };
    put_bad("layer.tar", &flip(&bad.layers[0][100_000..100_100], &tar));
    put_bad("config.tar", &flip(b"busybox\",\"cat", &tar));
    let zst = bad.clone().packed("zstd");
    let blob = &zst.blobs.as_ref().unwrap()[0];
    put_bad("oci-layer.tar", &flip(&blob[100_000..100_020], &gnu(&oci("bad:1", &[&zst]))));
    let gz = bad.clone().packed("gzip");
    let blob = &gz.blobs.as_ref().unwrap()[0];
    put_bad("oci-gz-layer.tar", &flip(&blob[100_000..100_020], &gnu(&oci("bad:1", &[&gz]))));
    put_bad("oci-manifest.tar", &flip(b"\"schemaVersion\":2}", &gnu(&oci("bad:1", &[&zst]))));
    let mut members = docker(&[&bad]);
    members.pop();
    put_bad("no-manifest.tar", &gnu(&members));
    members.push(("manifest.json".into(), Entry::File(b"[{\"Config\": 7".to_vec())));
    put_bad("json.tar", &gnu(&members));
    let mut members = docker(&[&bad]);
    members.remove(0);
    put_bad("no-layer.tar", &gnu(&members));
    put_bad("sum.tar", &tar);
    let sum = Checksum { algo: Algorithm::Sha256, value: ChecksumValue::Digest("0".repeat(64)) };
    let wanted = [OciImage { checksum: Some(sum), ..entry("bad:1", Some("/data/images/sum.tar")) }];

    let outcome = card.load_with(&wanted, false);
    for (code, file) in [
        ("E-IMAGE-EMPTY", "empty.tar"),
        ("E-IMAGE-TRUNCATED", "cut.tar"),
        ("E-IMAGE-TRUNCATED", "cut-first.tar"),
        ("E-IMAGE-TRUNCATED", "cut-at-member.tar"),
        ("E-IMAGE-TRUNCATED", "cut.tar.gz"),
        ("E-IMAGE-TRUNCATED", "cut.tar.xz"),
        ("E-IMAGE-NOT-ARCHIVE", "text.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "short.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "zeros.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "random.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "garbage.tar.gz"),
        ("E-IMAGE-ARCH", "arch.tar"),
        ("E-TRUST-IMAGE-DIGEST", "layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "config.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-gz-layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-manifest.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "no-manifest.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "json.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "no-layer.tar"),
        ("E-TRUST-IMAGE-CHECKSUM", "sum.tar"),
    ] {
        let path = format!("/data/images/{file}");
        let said = outcome.problems();
        let named: Vec<_> = said
            .iter()
            .filter(|said| {
                said.contains(&format!("{path} ")) || said.ends_with(&path) || said.contains(&format!("{path},"))
            })
            .collect();
        println!("{file}: {named:?}");
        assert!(named.len() == 1 && named[0].starts_with(code), "{file}: {code} in {said:#?}");
        assert!(card.data(file).exists(), "{file} is kept");
    }
    assert_eq!(outcome.problems().len(), 21);
    assert_eq!(card.ids(), [good.id()], "nothing of the bad ones is in the engine");
    assert_eq!(outcome.loaded.id("good:1"), Some(good.id().as_str()));
    assert!(!card.data("zz-good.tar").exists());
}

#[test]
fn one_name_for_two_images_is_said_and_stays_the_same() {
    let card = Card::new("twice");
    let (one, mut two) = (Sample::busybox("same:1"), Sample::busybox("same:1"));
    two.layers.push(two.layers[1].clone());
    put(&card.data("a.tar"), &gnu(&docker(&[&one])));
    put(&card.boot("b.tar"), &gnu(&docker(&[&two])));
    for _ in 0..3 {
        let outcome = card.load();
        assert_eq!(outcome.problems().len(), 1);
        outcome.expect_problem("E-IMAGE-TWICE", "/boot/firmware/offspot/images/b.tar");
        assert_eq!(outcome.loaded.id("same:1"), Some(one.id().as_str()));
        assert!(card.data("a.tar").exists(), "both stay until the user decides");
    }
    fs::remove_file(card.data("a.tar")).unwrap();
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(outcome.loaded.id("same:1"), Some(two.id().as_str()), "a new version takes the name");
}

#[test]
fn a_full_card_is_said_and_costs_only_what_does_not_fit() {
    let folder = std::env::temp_dir().join(format!("oi-full-{}", std::process::id()));
    let small = SmallDisk::mount(&folder, 64);
    let card = Card {
        engine: Some(PrivateEngine::start(&folder.join("e"), &small.folder.join("data/docker"))),
        root: small.folder.clone(),
    };
    let mut large = Sample::small("large:1");
    large.layers.push(layer(&[("large", &vec![7; 40 << 20])]));
    // As a laptop's tarball, packed so small that it lies on the card with ease.
    put(&card.data("a-large.tar"), &pack(&gnu(&docker(&[&large])), "zstd"));
    // A layer that goes to the engine as it lies, and unpacks to more than anything tells.
    let mut dense = Sample::small("dense:1");
    dense.layers.push(layer(&[("dense", &vec![7; 60 << 20])]));
    put(&card.data("a-dense.tar"), &gnu(&oci("dense:1", &[&dense.packed("gzip")])));
    let fits = Sample::busybox("fits:1");
    put(&card.data("b-fits.tar"), &gnu(&docker(&[&fits])));
    let outcome = card.load();
    outcome.expect_problem("E-SPACE-BYTES", "/data/images/a-large.tar");
    outcome.expect_problem("E-SPACE-FULL", "/data/images/a-dense.tar");
    assert_eq!((outcome.problems().len(), card.ids()), (2, vec![fits.id()]), "{:#?}", outcome.problems());
    assert_eq!(card.says("fits:1"), "fits:1");
    drop(card);
    drop(small);
}

/// Answers every request with these bytes, as often as asked; the first answer breaks off.
fn serve(bytes: Vec<u8>) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let _ = stream.write_all(if number == 0 { &bytes[..bytes.len() / 2] } else { &bytes });
        }
    });
    format!("http://{address}/some.tar")
}

#[test]
fn a_tarball_from_the_network_is_fetched_verified_and_loaded_once() {
    let card = Card::new("fetch");
    let sample = Sample::small("whatever:1");
    let tar = pack(&gnu(&docker(&[&sample])), "zstd");
    put(&card.root.join("data/sum.txt"), format!("{}  some.tar\n", hex(&tar)).as_bytes());
    let checksum = |value| Checksum { algo: Algorithm::Sha256, value };
    let good = OciImage {
        checksum: Some(checksum(ChecksumValue::Url("/data/sum.txt".into()))),
        ..entry("fetched:1", Some(&serve(tar.clone())))
    };
    let bad = OciImage {
        checksum: Some(checksum(ChecksumValue::Digest("0".repeat(64)))),
        ..entry("damaged:1", Some(&serve(tar)))
    };
    let outcome = card.load_with(&[good.clone(), bad], false);
    assert_eq!(outcome.loaded.id("fetched:1"), Some(sample.id().as_str()), "{:#?}", outcome.problems());
    assert_eq!(outcome.problems().len(), 1);
    outcome.expect_problem("E-TRUST-IMAGE-CHECKSUM", "damaged:1");
    assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0, "nothing half-fetched stays");
    let dead = OciImage { url: Some("http://127.0.0.1:1/some.tar".into()), ..good };
    assert_eq!(card.load_with(&[dead], false).problems(), Vec::<String>::new(), "it is not asked for again");
}

#[test]
fn a_tarball_from_the_network_that_is_none_is_fetched_again() {
    let card = Card::new("again");
    let sample = Sample::small("whatever:1");
    let from = |bytes: Vec<u8>| [entry("again:1", Some(&serve(bytes)))];
    let outcome = card.load_with(&from(b"the server is full".to_vec()), false);
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
    assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0, "it stays, and would be believed");
    let outcome = card.load_with(&from(gnu(&docker(&[&sample]))), false);
    assert_eq!(outcome.loaded.id("again:1"), Some(sample.id().as_str()), "{:#?}", outcome.problems());
}
