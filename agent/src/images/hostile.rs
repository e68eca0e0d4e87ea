//! Tarballs that were made to hurt: read without panic, in bounded time and memory, and refused in words.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::archive::{Index, sha256};
use super::contents::Contents;
use super::fault::Fault;
use super::source::Bytes;
use super::trial;

fn header(kind: u8, name: &str, link: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn member(name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(b'0', name, "", data.len() as u64);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn config(diff_ids: &[String]) -> Vec<u8> {
    serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

/// A docker-archive with one layer.
fn sound() -> Vec<u8> {
    let layer = [member("file", b"text"), vec![0; 1024]].concat();
    let config = config(&[format!("sha256:{}", sha256(&layer))]);
    let manifest = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    let members = [member("l.tar", &layer), member("c.json", &config), member("manifest.json", manifest.as_bytes())];
    [members.concat(), vec![0; 1024]].concat()
}

fn file(bytes: &[u8]) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("offspot-hostile-{}-{number}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    path
}

/// Reads it, and passes on what it holds as a load would.
fn read(bytes: &[u8]) -> Result<Index, Fault> {
    let path = file(bytes);
    let read = trial::send_to_nobody(&path, "amd64");
    fs::remove_file(path).unwrap();
    read
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).expect_err("it was taken").of("x.tar").facts().sentence
}

#[test]
fn tags_may_be_null_and_the_image_has_no_name() {
    let named = String::from_utf8(sound()).unwrap();
    let nameless = named.replace(r#"["x:1"]"#, "null   ");
    assert!(named != nameless);
    let index = read(nameless.as_bytes()).unwrap();
    assert!(index.images.len() == 1 && index.images[0].names.is_empty());
}

#[test]
fn every_flipped_bit_and_every_cut_is_survived() {
    let sound = sound();
    let index = read(&sound).unwrap();
    assert_eq!(index.images[0].names[0].familiar(), "x:1");
    assert_eq!(index.images[0].layers[0].cost.inodes, 1);
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        let _ = read(&bytes);
        // The tar's end mark may be missing, no more.
        assert!(at >= sound.len() - 1024 || read(&sound[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn sizes_that_overflow() {
    for size in [u64::MAX, 1 << 63, (1 << 62) - 1, 1 << 40] {
        let mut bytes = header(b'0', "big", "", 0);
        bytes[124..136].copy_from_slice(&[&[0x80, 0, 0, 0], size.to_be_bytes().as_slice()].concat());
        let mut whole = tar::Header::from_byte_slice(&bytes).clone();
        whole.set_cksum();
        refused(&[whole.as_bytes().to_vec(), sound()].concat());
    }
    let long = format!("30 size={}\n", u64::MAX);
    refused(&[header(b'x', "pax", "", 30), long.into_bytes(), vec![0; 482], sound()].concat());
}

#[test]
fn extended_headers_without_end() {
    assert!(refused(&header(b'L', "long", "", 1 << 33)).contains("extended header"));
    let many = member("pax", b"").repeat(20);
    let mut many = many;
    for block in many.chunks_mut(512) {
        let mut header = tar::Header::from_byte_slice(block).clone();
        header.set_entry_type(tar::EntryType::new(b'x'));
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    assert!(refused(&many).contains("too many extended headers"));
    refused(&[header(b'x', "pax", "", 11), b"99999 path=".to_vec(), vec![0; 501], sound()].concat());
}

#[test]
fn links_in_a_ring_and_out_of_the_tar() {
    for (kind, to) in
        [(b'2', "manifest.json"), (b'1', "manifest.json"), (b'2', "/etc/passwd"), (b'1', "../../etc/passwd")]
    {
        let bytes = [header(kind, "manifest.json", to, 0), vec![0; 1024]].concat();
        assert!(refused(&bytes).contains("manifest.json is not in it"));
    }
}

#[test]
fn more_members_than_any_image_has() {
    let mut many = Vec::new();
    for number in 0..9000 {
        many.extend(member(&format!("m{number}"), b""));
    }
    assert!(refused(&many).contains("too many members"));
}

#[test]
fn json_without_end() {
    let deep = "[".repeat(500_000);
    assert!(refused(&[member("manifest.json", deep.as_bytes()), vec![0; 1024]].concat()).contains("damaged"));
    let long = format!("[{}", " ".repeat(2 << 20));
    assert!(
        refused(&[member("manifest.json", long.as_bytes()), vec![0; 1024]].concat()).contains("no JSON of at most")
    );
    let ids: Vec<_> = (0..300).map(|_| format!("sha256:{}", "0".repeat(64))).collect();
    let config = config(&ids);
    let layers = vec!["c.json"; 300];
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": layers}]).to_string();
    let bytes = [member("c.json", &config), member("manifest.json", manifest.as_bytes()), vec![0; 1024]].concat();
    assert!(refused(&bytes).contains("layers"));
}

#[test]
fn an_index_that_holds_itself() {
    // No digest can hold itself, but many can hold one: the number of looks is limited.
    let mut blob = r#"{"manifests":[]}"#.to_owned();
    let mut bytes = Vec::new();
    for _ in 0..5 {
        let digest = sha256(blob.as_bytes());
        bytes.extend(member(&format!("blobs/sha256/{digest}"), blob.as_bytes()));
        let one = format!(r#"{{"digest":"sha256:{digest}"}}"#);
        blob = format!(r#"{{"manifests":[{}]}}"#, vec![one; 20].join(","));
    }
    bytes.extend(member("index.json", blob.as_bytes()));
    bytes.extend([0; 1024]);
    assert!(refused(&bytes).contains("too deep"));
}

#[test]
fn a_layer_that_unpacks_to_more_than_there_is() {
    let bomb = zstd::encode_all(std::io::repeat(0).take(8 << 20), 1).unwrap();
    let config = config(&[format!("sha256:{}", "0".repeat(64))]);
    let manifest = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    let members = [member("l.tar", &bomb), member("c.json", &config), member("manifest.json", manifest.as_bytes())];
    assert!(refused(&[members.concat(), vec![0; 1024]].concat()).contains("unpacks to more than 1048576 bytes"));
}

#[test]
fn a_tarball_that_would_unpack_for_ever() {
    // A terabyte, in the base-256 form of GNU tar.
    let begin = header(b'0', "big", "", 0);
    let mut begin = tar::Header::from_byte_slice(&begin).clone();
    begin.set_size(1 << 40);
    begin.set_cksum();
    let bomb = zstd::encode_all(begin.as_bytes().chain(std::io::repeat(0).take(300 << 20)), 1).unwrap();
    assert!(refused(&bomb).contains("longer than"));
}

#[test]
fn links_to_names_that_no_member_has_are_not_kept() {
    let long = "x".repeat(60_000);
    let members: Vec<Vec<u8>> = (0..200)
        .map(|number| {
            let target = [header(b'K', "long", "", long.len() as u64), long.clone().into_bytes()].concat();
            let mut target = target;
            target.resize(target.len().next_multiple_of(512), 0);
            [target, header(b'2', &format!("link{number}"), "", 0)].concat()
        })
        .collect();
    let path = file(&[members.concat(), sound()].concat());
    let (_, mut source) = Bytes::open(&path, 4096).unwrap();
    let contents = Contents::scan(&mut source).unwrap();
    fs::remove_file(path).unwrap();
    assert!(contents.get("manifest.json").is_some());
    let kept = format!("{contents:?}").len();
    assert!(kept < 100_000, "{kept}");
}

#[test]
fn a_manifest_of_more_images_or_names_than_there_can_be() {
    let config = config(&[]);
    let with = |manifest: serde_json::Value| {
        let manifest = manifest.to_string();
        [member("c.json", &config), member("manifest.json", manifest.as_bytes()), vec![0; 1024]].concat()
    };
    let many = vec![serde_json::json!({"Config": "c.json"}); 300];
    assert!(refused(&with(many.into())).contains("more than 256 images"));
    let names: Vec<_> = (0..300).map(|number| format!("x:{number}")).collect();
    let many = serde_json::json!([{"Config": "c.json", "RepoTags": names}]);
    assert!(refused(&with(many)).contains("more than 256 names"));
}
