//! Image tarballs of every shape, made from a static busybox.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image to be written as a tarball.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its names, as they stand in the tarball.
    pub names: Vec<String>,
    /// Plain tars, lowest first.
    pub layers: Vec<Vec<u8>>,
    /// Go's word for its architecture.
    pub arch: String,
    /// Blobs of its layers where they are packed, one a layer.
    pub blobs: Option<Vec<Vec<u8>>>,
}

/// A member of a tar.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link.
    Symbolic(String),
    /// A hard link.
    Hard(String),
    /// A folder.
    Folder,
}

/// A tar in the making: names and members, in order.
pub type Members = Vec<(String, Entry)>;

impl Sample {
    /// A busybox that can run, with a layer of its own that holds its name.
    pub fn busybox(name: &str) -> Sample {
        let busybox = std::fs::read("/bin/busybox").expect("apt-get install busybox-static");
        Sample {
            names: vec![name.to_owned()],
            layers: vec![layer(&[("bin/busybox", &busybox)]), layer(&[("name", name.as_bytes())])],
            arch: native().to_owned(),
            blobs: None,
        }
    }

    /// The same without the busybox: small, and of no use but to be loaded.
    pub fn small(name: &str) -> Sample {
        let mut sample = Sample::busybox(name);
        sample.layers.remove(0);
        sample
    }

    /// With packed layers, as registries have them.
    pub fn packed(mut self, program: &str) -> Sample {
        self.blobs = Some(self.layers.iter().map(|layer| pack(layer, program)).collect());
        self
    }

    /// Its configuration.
    pub fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
        let config = json!({
            "architecture": self.arch, "os": "linux", "config": {"Cmd": ["/bin/busybox", "cat", "/name"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        config.to_string().into_bytes()
    }

    /// Its id.
    pub fn id(&self) -> String {
        format!("sha256:{}", hex(&self.config()))
    }

    /// The engine's names (hex) for its layers, lowest first.
    pub fn chain_ids(&self) -> Vec<String> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
        offspot_agent::images::archive::chain(&diff_ids)
    }

    /// Its layers as they are sent: packed, or as they are.
    pub fn blobs(&self) -> &[Vec<u8>] {
        self.blobs.as_ref().unwrap_or(&self.layers)
    }

    /// Digest of its OCI manifest.
    pub fn manifest_digest(&self) -> String {
        format!("sha256:{}", hex(&self.manifest()))
    }

    fn manifest(&self) -> Vec<u8> {
        let blob = |bytes: &[u8]| json!({"mediaType": "application/octet-stream", "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len()});
        let layers: Vec<_> = self.blobs().iter().map(|layer| blob(layer)).collect();
        json!({"schemaVersion": 2, "config": blob(&self.config()), "layers": layers}).to_string().into_bytes()
    }
}

/// The members of a docker-archive, manifest last.
pub fn docker(samples: &[&Sample]) -> Members {
    let mut members = Members::new();
    for sample in samples {
        for blob in sample.blobs() {
            members.push((format!("{}/layer.tar", hex(blob)), Entry::File(blob.clone())));
        }
        members.push((format!("{}.json", hex(&sample.config())), Entry::File(sample.config())));
    }
    let saved = |sample: &&Sample| {
        let layers: Vec<_> = sample.blobs().iter().map(|blob| format!("{}/layer.tar", hex(blob))).collect();
        let config = format!("{}.json", hex(&sample.config()));
        json!({"Config": config, "RepoTags": sample.names, "Layers": layers})
    };
    members.push(("repositories".to_owned(), Entry::File(b"{}".to_vec())));
    let saved: Vec<_> = samples.iter().map(saved).collect();
    members.push(("manifest.json".to_owned(), Entry::File(Value::from(saved).to_string().into_bytes())));
    members
}

/// The members of an OCI layout: an index of these platforms of one image within `index.json`.
pub fn oci(name: &str, platforms: &[&Sample]) -> Members {
    let mut members = Members::new();
    let mut blob = |bytes: Vec<u8>| {
        let digest = hex(&bytes);
        let size = bytes.len();
        members.push((format!("blobs/sha256/{digest}"), Entry::File(bytes)));
        json!({"mediaType": "application/octet-stream", "digest": format!("sha256:{digest}"), "size": size})
    };
    let mut manifests = Vec::new();
    for sample in platforms {
        sample.blobs().iter().for_each(|layer| drop(blob(layer.clone())));
        blob(sample.config());
        let mut manifest = blob(sample.manifest());
        manifest["platform"] = json!({"os": "linux", "architecture": sample.arch});
        manifests.push(manifest);
    }
    let mut inner = blob(json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes());
    inner["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [inner]}).to_string();
    members.push(("oci-layout".to_owned(), Entry::File(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())));
    members.push(("index.json".to_owned(), Entry::File(index.into_bytes())));
    members
}

/// Puts the member of this name somewhere else in the order.
pub fn moved(mut members: Members, name: &str, to: usize) -> Members {
    let from = members.iter().position(|(own, _)| own == name).expect("a member of this name");
    let member = members.remove(from);
    members.insert(to, member);
    members
}

/// A GNU tar of these members.
pub fn gnu(members: &Members) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, entry) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let (kind, data): (_, &[u8]) = match entry {
            Entry::File(data) => (tar::EntryType::Regular, data),
            Entry::Folder => (tar::EntryType::Directory, &[]),
            Entry::Symbolic(_) => (tar::EntryType::Symlink, &[]),
            Entry::Hard(_) => (tar::EntryType::Link, &[]),
        };
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        match entry {
            Entry::Symbolic(to) | Entry::Hard(to) => tar.append_link(&mut header, name, to).unwrap(),
            _ => tar.append_data(&mut header, name, data).unwrap(),
        }
    }
    tar.into_inner().unwrap()
}

/// A PAX tar that begins as the image creator's does: a root folder without a name, long names in extended headers.
pub fn pax(members: &Members) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |kind: u8, name: &str, data: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    };
    add(b'x', "PaxHeaders", &record("mtime", "1700000000.5"));
    add(b'5', "", &[]);
    for (name, entry) in members {
        if let Entry::File(data) = entry {
            add(b'x', "PaxHeaders", &record("path", name));
            add(b'0', &name.replace(|_| true, "x"), data);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length).unwrap();
    format!("{length} {key}={value}\n").into_bytes()
}

/// Packs bytes with one of `gzip`, `xz`, `bzip2`, `zstd`.
pub fn pack(bytes: &[u8], program: &str) -> Vec<u8> {
    let pipe = Stdio::piped;
    let fast = if program == "xz" { "-0c" } else { "-1c" };
    let mut child = Command::new(program)
        .arg(fast)
        .stdin(pipe())
        .stdout(pipe())
        .spawn()
        .expect("apt-get install xz-utils bzip2 zstd");
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    output.stdout
}

/// Writes a tarball.
pub fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A plain tar of executable files.
pub fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, *data).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The sha-256 of these bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Go's word for this machine.
pub fn native() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// Go's word for another one.
pub fn foreign() -> &'static str {
    if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" }
}
