//! What fuzzing begins with: small sound inputs of every kind that a reader knows.

use std::fs;
use std::io::{Cursor, Seek, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::agent_run::workspace;
use crate::tool::{self, Doing, Outcome};

const TEXT: &[u8] = b"a library for a school, a library for a school";
/// A name that no header of 100 bytes holds.
const LONG: &str =
    "a/folder/with/a/name/that/is/so/long/that/it/needs/a/header/of/its/own/in/every/kind/of/tar/there/is/file";

/// Writes the seeds of every target, each in a folder of its own.
pub fn write(folder: &Path) -> Outcome<()> {
    let tars = [tar(Header::new_ustar)?, tar(Header::new_gnu)?, tar(Header::new_old)?];
    for (number, tar) in tars.iter().enumerate() {
        put(folder, "tar", &format!("{number}.tar"), tar)?;
    }
    for (name, packed) in packed(&tars[0])? {
        put(folder, "tar", &format!("0.tar.{name}"), &packed)?;
    }
    let streamed = zip(ZipWriter::new_stream(Vec::new()), StreamWriter::into_inner)?;
    let sought = zip(ZipWriter::new(Cursor::new(Vec::new())), Cursor::into_inner)?;
    for target in ["zip", "zip_stream"] {
        put(folder, target, "streamed.zip", &streamed)?;
        put(folder, target, "sought.zip", &sought)?;
    }
    let tarball = tarball()?;
    put(folder, "tarball", "docker.tar", &tarball)?;
    put(folder, "tarball", "docker.tar.gz", &gzip(&tarball)?)?;
    for (number, text) in MANIFESTS.iter().enumerate() {
        put(folder, "manifest", &number.to_string(), text.as_bytes())?;
    }
    settings(folder)
}

fn put(folder: &Path, target: &str, name: &str, bytes: &[u8]) -> Outcome<()> {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).doing("making a folder for seeds")?;
    fs::write(folder.join(name), bytes).doing("writing a seed")
}

/// A tar with every kind of member.
fn tar(header: fn() -> Header) -> Outcome<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let kinds = [
        (EntryType::Directory, "folder/", "", 0),
        (EntryType::Regular, "folder/file", "", TEXT.len() as u64),
        (EntryType::Symlink, "folder/link", "../folder/file", 0),
        (EntryType::Link, "hard", "folder/file", 0),
        (EntryType::Continuous, "continuous", "", TEXT.len() as u64),
        (EntryType::Regular, LONG, "", TEXT.len() as u64),
    ];
    // It comes last: what is behind a refusal is never read.
    let last = [(EntryType::Fifo, "fifo", "", 0)];
    for (kind, name, link, size) in kinds.into_iter().chain(last) {
        let mut header = header();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_mtime(1_700_000_000);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(size);
        let data = TEXT.get(..size as usize).unwrap_or_default();
        let pax = [("mtime", b"1700000000.5".as_slice()), ("path", name.as_bytes()), ("uid", b"7")];
        if name == "continuous" {
            tar.append_pax_extensions(pax).doing("a tar")?;
        }
        match link {
            "" => tar.append_data(&mut header, name, data),
            link => tar.append_link(&mut header, name, link),
        }
        .doing("a tar")?;
    }
    tar.into_inner().doing("a tar")
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).and_then(|()| writer.finish()).doing("gzip")
}

/// The same in every packing, named by its suffix.
fn packed(bytes: &[u8]) -> Outcome<Vec<(&'static str, Vec<u8>)>> {
    let plain = std::env::temp_dir().join(format!("offspot-seed-{}", std::process::id()));
    let mut packed = vec![("gz", gzip(bytes)?)];
    for (program, suffix) in [("xz", "xz"), ("bzip2", "bz2"), ("zstd", "zst")] {
        fs::write(&plain, bytes).doing("writing a seed")?;
        tool::run(program, &["-q", "-k", "-f", tool::text(&plain)?])?;
        let made = plain.with_extension(suffix);
        packed.push((suffix, fs::read(&made).doing("reading a seed")?));
        fs::remove_file(made).doing("removing a seed")?;
    }
    fs::remove_file(plain).doing("removing a seed")?;
    Ok(packed)
}

/// A zip with every kind of member.
fn zip<W: Write + Seek>(mut zip: ZipWriter<W>, into_bytes: fn(W) -> Vec<u8>) -> Outcome<Vec<u8>> {
    let options = |method| SimpleFileOptions::default().compression_method(method).unix_permissions(0o755);
    zip.add_directory("folder/", options(CompressionMethod::Stored)).doing("a zip")?;
    let files = [
        ("folder/stored", options(CompressionMethod::Stored)),
        ("folder/deflated", options(CompressionMethod::Deflated)),
        ("folder/bzip2", options(CompressionMethod::Bzip2)),
        ("folder/large", options(CompressionMethod::Stored).large_file(true)),
    ];
    for (name, options) in files {
        zip.start_file(name, options).doing("a zip")?;
        zip.write_all(TEXT).doing("a zip")?;
    }
    zip.add_symlink("folder/link", "stored", options(CompressionMethod::Stored)).doing("a zip")?;
    Ok(into_bytes(zip.finish().doing("a zip")?))
}

/// A docker-archive with one layer.
fn tarball() -> Outcome<Vec<u8>> {
    let layer = tar(Header::new_ustar)?;
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;
    let manifest = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    let mut tar = Builder::new(Vec::new());
    let members = [("l.tar", layer.as_slice()), ("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())];
    for (name, data) in members {
        let mut header = Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, data).doing("a tar")?;
    }
    tar.into_inner().doing("a tar")
}

/// Parts of a tarball as the target `manifest` takes them: `manifest.json`, `index.json`, and more blobs.
const MANIFESTS: [&str; 3] = [
    r#"[{"Config":"blobs/sha256/@2","RepoTags":["library/x:1","y.org:5000/x@sha256:@2"],"Layers":["blobs/sha256/@3"]}]
---

---
{"architecture":"amd64","os":"linux","variant":"","rootfs":{"type":"layers","diff_ids":["sha256:@3"]},"history":[{}]}
---
layer"#,
    r#"
---
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:@2","size":9,"annotations":{"io.containerd.image.name":"x.org/a:1","org.opencontainers.image.ref.name":"1"}}]}
---
{"manifests":[{"digest":"sha256:@3","size":3,"platform":{"architecture":"amd64","os":"linux","variant":"v8"}},{"digest":"sha256:@4","platform":{"architecture":"arm64","os":"linux"}}]}
---
{"config":{"digest":"sha256:@4"},"layers":[{"digest":"sha256:@5","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}]}
---
{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":["sha256:@5"]}}
---
layer"#,
    r#"[{"Config":"blobs/sha256/@2","RepoTags":null,"Layers":null}]
---

---
{"architecture":"arm64","os":"linux","variant":"v8","rootfs":{}}"#,
];

/// The files that the settings are tested with, and compose files as `containers` of one.
fn settings(folder: &Path) -> Outcome<()> {
    for own in ["agent/config/tests/data", "tests/data/compose"] {
        for entry in fs::read_dir(workspace().join(own)).doing("looking for settings")? {
            let path = entry.doing("looking for settings")?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_file() || !(name.ends_with(".yaml") || name.ends_with(".yml")) {
                continue;
            }
            let text = fs::read_to_string(&path).doing("reading settings")?;
            let indented = || text.lines().map(|line| format!("  {line}\n")).collect::<String>();
            let text = if name.ends_with(".yml") { format!("containers:\n{}", indented()) } else { text.clone() };
            put(folder, "settings", &name, text.as_bytes())?;
        }
    }
    Ok(())
}
