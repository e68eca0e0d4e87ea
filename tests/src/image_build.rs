//! Container images without an engine or a registry: files in, a docker-archive out.
//!
//! The same files give the same bytes: no time of day, no owner, entries in the order given.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::tool::{Doing, Outcome};

/// One entry of a layer.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A folder.
    Folder {
        /// Path in the image, without leading slash.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// A file with these bytes.
    Text {
        /// Path in the image.
        path: String,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// A copy of a file of the host, links followed.
    Copy {
        /// Path in the image.
        path: String,
        /// The file on the host.
        from: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// Path in the image.
        path: String,
        /// Where it points.
        target: String,
    },
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct Image {
    /// Name with tag.
    pub name: String,
    /// What runs when nothing else is said.
    pub command: Vec<String>,
    /// Layers, lowest first.
    pub layers: Vec<Vec<Entry>>,
}

/// Go's word for the architecture of this host, as image configurations write it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Image {
    /// Writes the image as a docker-archive and gives its id, `sha256:…`.
    pub fn write(&self, out: impl Write) -> Outcome<String> {
        self.write_for(architecture(), out)
    }

    /// Like [`Image::write`], saying that it is for another architecture.
    pub fn write_for(&self, architecture: &str, out: impl Write) -> Outcome<String> {
        let layers = self.layers.iter().map(|entries| layer(entries));
        let layers =
            layers.collect::<io::Result<Vec<_>>>().doing(format_args!("making the layers of {}", self.name))?;
        self.pack(architecture, &layers, out).doing(format_args!("writing the image {}", self.name))
    }

    fn pack(&self, architecture: &str, layers: &[Vec<u8>], out: impl Write) -> io::Result<String> {
        let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
        let config = self.config(architecture, &diff_ids).to_string().into_bytes();
        let id = sha256(&config);
        let files: Vec<String> = diff_ids.iter().map(|id| format!("{id}/layer.tar")).collect();
        let manifest = json!([{"Config": format!("{id}.json"), "RepoTags": [self.name], "Layers": files}]);

        let mut archive = Builder::new(BufWriter::new(out));
        for (path, bytes) in files.iter().zip(layers) {
            append(&mut archive, path, bytes)?;
        }
        append(&mut archive, &format!("{id}.json"), &config)?;
        append(&mut archive, "manifest.json", manifest.to_string().as_bytes())?;
        archive.into_inner()?.flush()?;
        Ok(format!("sha256:{id}"))
    }

    fn config(&self, architecture: &str, diff_ids: &[String]) -> serde_json::Value {
        let ids: Vec<String> = diff_ids.iter().map(|id| format!("sha256:{id}")).collect();
        json!({
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Cmd": self.command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": ids},
            "history": ids.iter().map(|_| json!({"created": "1970-01-01T00:00:00Z"})).collect::<Vec<_>>(),
        })
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 in hex of a file.
pub fn sha256_of_file(path: &Path) -> Outcome<String> {
    let read = || -> io::Result<String> {
        let (mut file, mut digest) = (File::open(path)?, Sha256::new());
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&digest.finalize())),
                n => digest.update(&buffer[..n]),
            }
        }
    };
    read().doing(path.display())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn layer(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for entry in entries {
        match entry {
            Entry::Folder { path, mode } => special(&mut layer, EntryType::Directory, path, "", *mode)?,
            Entry::Link { path, target } => special(&mut layer, EntryType::Symlink, path, target, 0o777)?,
            Entry::Text { path, bytes } => append(&mut layer, path, bytes)?,
            Entry::Copy { path, from } => append_mode(&mut layer, path, &fs::read(from)?, 0o755)?,
        }
    }
    layer.into_inner()
}

fn special(out: &mut Builder<impl Write>, kind: EntryType, path: &str, target: &str, mode: u32) -> io::Result<()> {
    let mut header = header(0, mode);
    header.set_entry_type(kind);
    if target.is_empty() {
        out.append_data(&mut header, path, io::empty())
    } else {
        out.append_link(&mut header, path, target)
    }
}

fn append(out: &mut Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    append_mode(out, path, bytes, 0o644)
}

fn append_mode(out: &mut Builder<impl Write>, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    out.append_data(&mut header(bytes.len() as u64, mode), path, bytes)
}

fn header(size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}
