//! Image tarballs made of texts, and what a load does to a tarball.

use std::fs;
use std::path::Path;

use offspot_agent::images::trial;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

/// Takes a tarball through a load. A refusal is fine, its words must be there.
pub fn load(bytes: &[u8]) {
    let path = Path::new("/dev/shm").join(format!("offspot-fuzz-tarball-{}", std::process::id()));
    fs::write(&path, bytes).expect("a file in /dev/shm");
    for arch in ["amd64", "arm64"] {
        if let Err(fault) = trial::send_to_nobody(&path, arch) {
            assert!(!fault.of("x.tar").facts().sentence.is_empty());
        }
    }
    fs::remove_file(&path).expect("the file goes again");
}

/// A tarball of these texts: `manifest.json`, `index.json`, and all of them as blobs.
pub fn of_parts(parts: &[&str]) -> Vec<u8> {
    let mut texts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    // From the last to the first: a text names those behind it.
    for behind in (0..texts.len()).rev() {
        let digest = hex(texts[behind].as_bytes());
        for text in &mut texts[..behind] {
            *text = text.replace(&format!("@{behind}"), &digest);
        }
    }
    let mut tar = Builder::new(Vec::new());
    for (name, text) in ["manifest.json", "index.json"].into_iter().zip(&texts) {
        if !text.is_empty() {
            add(&mut tar, name, text);
        }
    }
    for text in &texts {
        add(&mut tar, &format!("blobs/sha256/{}", hex(text.as_bytes())), text);
    }
    tar.into_inner().expect("a tar in memory")
}

fn add(tar: &mut Builder<Vec<u8>>, name: &str, text: &str) {
    let mut header = Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, text.as_bytes()).expect("a tar in memory");
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
