use std::fs;
use std::io::{Cursor, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::report::Reporter;
use crate::stream::tree::Room;
use crate::stream::unzip::unzip;

/// A text that every packer makes shorter.
const LONG: &str = "a library for a school, a library for a school, a library for a school";

/// What a tree holds: path, mode, text or the place a link leads to, and of files when they were written.
type Held = Vec<(String, u32, String, i64)>;

/// Unpacks in one of the two ways; what came of it.
fn unpacked<E>(how: impl FnOnce(&mut Tree<'_>) -> Result<(), E>) -> Result<Held, E> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("offspot-unzip-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let (report, _watch) = Reporter::new();
    let mut note = |_| Ok(());
    let done = how(&mut Tree::new(&folder, Room { bytes: 64 << 20, inodes: 1000 }, &report, &mut note).unwrap());
    let mut held = Vec::new();
    look(&folder, &folder, &mut held);
    held.sort();
    fs::remove_dir_all(&folder).unwrap();
    done.map(|()| held)
}

fn look(root: &Path, folder: &Path, held: &mut Held) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let text = match meta.file_type() {
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            kind if kind.is_dir() => {
                look(root, &path, held);
                String::new()
            }
            _ => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
        };
        let mtime = if meta.is_file() { meta.mtime() } else { 0 };
        held.push((name, meta.permissions().mode(), text, mtime));
    }
}

/// Gives eleven bytes at a time, as a slow network may.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(11);
        self.0.read(&mut buffer[..length])
    }
}

fn streamed(bytes: &[u8]) -> Result<Held, Stop> {
    unpacked(|tree| unzip_stream(&mut Dribble(bytes), tree))
}

fn stored(bytes: &[u8]) -> io::Result<Held> {
    unpacked(|tree| unzip(Cursor::new(bytes), tree))
}

fn refusal(bytes: &[u8]) -> String {
    match streamed(bytes) {
        Err(Stop::Failed(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn fill(mut zip: ZipWriter<impl Write + Seek>, method: CompressionMethod) {
    let options = SimpleFileOptions::default().compression_method(method);
    zip.add_directory("docs/", options.unix_permissions(0o750)).unwrap();
    for (name, mode, text) in
        [("docs/a", 0o644, LONG), ("docs/empty", 0o600, ""), ("tool", 0o4755, "x"), ("ü.txt", 0o664, LONG)]
    {
        zip.start_file(name, options.unix_permissions(mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.add_symlink("docs/link", "../tool", options).unwrap();
    zip.set_comment("a comment").unwrap();
    zip.finish().unwrap();
}

fn made(method: CompressionMethod) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    fill(ZipWriter::new(&mut bytes), method);
    bytes.into_inner()
}

/// As a program makes it that cannot go back: sizes stand behind the data.
fn piped(method: CompressionMethod) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut zip = ZipWriter::new_stream(&mut bytes);
    let options = SimpleFileOptions::default().compression_method(method);
    zip.add_directory("docs/", options.unix_permissions(0o750)).unwrap();
    for (name, text) in [("docs/a", LONG), ("docs/empty", ""), ("b", LONG)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    bytes
}

const METHODS: [CompressionMethod; 3] =
    [CompressionMethod::Stored, CompressionMethod::Deflated, CompressionMethod::Bzip2];

#[test]
fn as_it_comes_it_is_the_same_as_when_it_was_stored() {
    for method in METHODS {
        let held = streamed(&made(method)).unwrap();
        assert_eq!(held, stored(&made(method)).unwrap(), "{method}");
        let of = |name: &str| held.iter().find(|(path, ..)| path == name).unwrap().clone();
        assert_eq!(of("docs/a").2, LONG);
        assert_eq!(of("docs/link").2, "../tool");
        assert_eq!(of("ü.txt").1 & 0o7777, 0o664);
        assert_eq!((of("docs").1 & 0o7777, of("tool").1 & 0o7777), (0o750, 0o755));
        assert_eq!(held.len(), 6);
    }
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().unwrap().into_inner();
    assert!(streamed(&empty).unwrap().is_empty());
}

#[test]
fn sizes_behind_the_data_are_told_by_it() {
    for method in [CompressionMethod::Deflated, CompressionMethod::Bzip2] {
        let bytes = piped(method);
        let held = streamed(&bytes).unwrap();
        assert_eq!(held, stored(&bytes).unwrap());
        assert_eq!(held.len(), 4);
    }
    assert!(matches!(streamed(&piped(CompressionMethod::Stored)), Err(Stop::NotStreamable(_))));
}

#[test]
fn every_form_of_what_stands_behind_data_is_known() {
    let bytes = piped(CompressionMethod::Deflated);
    let signed = |at: &usize| bytes[*at..].starts_with(b"PK\x07\x08");
    let at = (0..bytes.len()).filter(signed).collect::<Vec<_>>();
    assert!(at.len() >= 2, "{at:?}");
    // Everything behind moves: only the first member and its place are looked at.
    let first = at[0];
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let data = Data { crc: word(first + 4) as u32, packed: word(first + 8), size: word(first + 12) };
    for signed in [true, false] {
        for wide in [Wide::Yes, Wide::No] {
            let form = records::descriptor(signed, wide, data).unwrap();
            let changed = [&bytes[..first], &form, &bytes[first + 16..]].concat();
            let said = refusal_or_done(&changed);
            assert!(said.is_empty() || said.contains("stands otherwise in its directory"), "{signed} {wide:?}: {said}");
        }
    }
    let wrong = records::descriptor(true, Wide::No, Data { crc: data.crc ^ 1, ..data }).unwrap();
    assert!(streamed(&[&bytes[..first], &wrong, &bytes[first + 16..]].concat()).is_err());
}

#[test]
fn an_end_of_64_bits_is_read_however_it_comes() {
    let bytes = made(CompressionMethod::Deflated);
    let end = bytes.windows(4).rposition(|here| here == records::END).unwrap();
    let word =
        |at: usize, length: usize| (0..length).rev().fold(0, |sum, next| sum << 8 | u64::from(bytes[end + at + next]));
    let (here, count, length, at) = (word(8, 2), word(10, 2), word(12, 4), word(16, 4));
    let mut wide = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[45, 3, 45, 0], &[0; 8]].concat();
    [here, count, length, at].iter().for_each(|word| wide.extend(word.to_le_bytes()));
    wide.extend(b"PK\x06\x07\0\0\0\0");
    wide.extend((end as u64).to_le_bytes());
    wide.extend(1_u32.to_le_bytes());
    let mut narrow = bytes[end..].to_vec();
    narrow[8..12].fill(0xff);
    let large = [&bytes[..end], &wide, &narrow].concat();
    assert_eq!(stored(&large).unwrap(), stored(&bytes).unwrap());
    assert_eq!(streamed(&large).unwrap(), stored(&bytes).unwrap());
}

fn refusal_or_done(bytes: &[u8]) -> String {
    streamed(bytes).map_or_else(|stop| format!("{stop:?}"), |_| String::new())
}

#[test]
fn cut_anywhere_it_fails() {
    for bytes in [made(CompressionMethod::Deflated), piped(CompressionMethod::Bzip2), made(CompressionMethod::Stored)] {
        for end in 0..bytes.len() {
            assert!(streamed(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
        }
        assert_eq!(refusal(&[bytes.as_slice(), b"x"].concat()), "something stands behind its end");
    }
}

#[test]
fn changed_anywhere_it_fails_or_is_the_same_as_stored() {
    for bytes in [made(CompressionMethod::Deflated), piped(CompressionMethod::Deflated)] {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let Ok(held) = streamed(&changed) else { continue };
            if let Ok(other) = stored(&changed) {
                assert_eq!(held, other, "byte {at}");
            }
        }
    }
}

#[test]
fn a_directory_that_lists_other_members_is_refused() {
    let bytes = made(CompressionMethod::Stored);
    let directory = bytes.windows(4).position(|four| four == records::LISTED).unwrap();
    let end = bytes.windows(4).position(|four| four == records::END).unwrap();
    let listed: Vec<usize> =
        (directory..end).filter(|at| bytes[*at..].starts_with(&records::LISTED)).chain([end]).collect();
    let counted = |count: u16, length: usize, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let end = bytes.windows(4).rposition(|four| four == records::END).unwrap();
        bytes[end + 8..end + 10].copy_from_slice(&count.to_le_bytes());
        bytes[end + 10..end + 12].copy_from_slice(&count.to_le_bytes());
        bytes[end + 12..end + 16].copy_from_slice(&(length as u32).to_le_bytes());
        bytes
    };
    let length = end - directory;
    // Hidden from whoever reads the directory alone.
    let first = listed[1] - listed[0];
    let hidden = [&bytes[..directory], &bytes[listed[1]..]].concat();
    let said = refusal(&counted(5, length - first, &hidden));
    assert_eq!(said, "the member at byte 0 is not in its directory");
    // Listed twice: one of them is another file to some.
    let twice = [&bytes[..listed[1]], &bytes[directory..]].concat();
    let said = refusal(&counted(7, length + first, &twice));
    assert_eq!(said, "docs/ stands otherwise in its directory than it came");
    // In another order it is the same.
    let turned = [&bytes[..directory], &bytes[listed[1]..end], &bytes[directory..listed[1]], &bytes[end..]].concat();
    assert_eq!(streamed(&turned).unwrap(), streamed(&bytes).unwrap());
    assert_eq!(refusal(&counted(5, length, &bytes)), "its end says otherwise than its directory");
}

#[test]
fn what_cannot_be_told_from_a_stream_is_to_be_stored() {
    let bytes = made(CompressionMethod::Deflated);
    for before in [b"#!/bin/sh\nexit\n".as_slice(), b"PK\x07\x08", b"PK00"] {
        assert!(matches!(streamed(&[before, &bytes].concat()), Err(Stop::NotStreamable(_))), "{before:?}");
    }
    let mut twins = Cursor::new(Vec::new());
    let mut zip = ZipWriter::new(&mut twins);
    for name in ["a", "./a"] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
    }
    zip.finish().unwrap();
    assert!(matches!(streamed(twins.get_ref()), Err(Stop::NotStreamable("two members of one name"))));
}

/// A zip whose members say that they are packed by this method.
fn said(method: u16) -> Vec<u8> {
    let mut bytes = made(CompressionMethod::Deflated);
    for at in 0..bytes.len() - 12 {
        let field = if bytes[at..].starts_with(&records::LOCAL) { Some(at + 8) } else { None };
        let field = if bytes[at..].starts_with(&records::LISTED) { Some(at + 10) } else { field };
        if let Some(field) = field.filter(|field| bytes[*field] == 8) {
            bytes[field..field + 2].copy_from_slice(&method.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn deflate64_is_unpacked_and_rarer_methods_refused_at_once() {
    // What is packed here has no match of 258 bytes, so it is the same in both.
    assert!(matches!(streamed(&said(9)), Err(Stop::NotStreamable(_))));
    assert_eq!(stored(&said(9)).unwrap(), stored(&made(CompressionMethod::Deflated)).unwrap());
    for (method, name) in
        [(14, "LZMA"), (20, "Zstandard"), (93, "Zstandard"), (95, "XZ"), (98, "PPMd"), (7, "method 7")]
    {
        let why = format!("docs/a is packed with {name}: make the archive again with ordinary Deflate");
        assert_eq!(refusal(&said(method)), why);
        assert_eq!(stored(&said(method)).unwrap_err().to_string(), why);
    }
}

/// With the byte of a backslash in each name for every `|`, made by the system of this number.
fn parted(names: &[&str], system: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = ZipWriter::new(&mut bytes);
    for name in names {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(if name.ends_with('|') { b"" } else { b"text" }).unwrap();
    }
    zip.finish().unwrap();
    let mut bytes = bytes.into_inner();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(&records::LISTED) {
            bytes[at + 5] = system;
        }
    }
    bytes.iter_mut().filter(|byte| **byte == b'|').for_each(|byte| *byte = b'\\');
    bytes
}

#[test]
fn backslashes_of_old_windows_part_names() {
    let names = |bytes: &[u8]| {
        assert!(matches!(streamed(bytes), Err(Stop::NotStreamable(_))), "stored first");
        let held = stored(bytes).unwrap();
        held.into_iter().map(|(path, mode, ..)| (path, mode & 0o170_000 == 0o040_000)).collect::<Vec<_>>()
    };
    let made = ["docs|", "docs|empty|", "docs|index.html", "top"];
    let held = names(&parted(&made, 0));
    let held: Vec<_> = held.iter().map(|(path, folder)| (path.as_str(), *folder)).collect();
    assert_eq!(held, [("docs", true), ("docs/empty", true), ("docs/index.html", false), ("top", false)]);
    // On Unix it is a letter like another, as it is beside a slash.
    assert_eq!(names(&parted(&["a|b", "c|"], 3)), [("a\\b".into(), false), ("c\\".into(), false)]);
    assert_eq!(names(&parted(&["a|b/c"], 0)), [("a\\b".into(), true), ("a\\b/c".into(), false)]);
    for name in ["..|evil", "a|..|..|evil", "|evil", "||server|evil", "C:|evil", "c:evil|x"] {
        let said = stored(&parted(&[name], 0)).unwrap_err().to_string();
        assert!(said.ends_with("would lie outside of it"), "{name}: {said}");
    }
}

#[test]
fn hostile_members_are_refused() {
    let one = |name: &str, mode: u32, text: &str| {
        let mut bytes = Cursor::new(Vec::new());
        let mut zip = ZipWriter::new(&mut bytes);
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
        zip.finish().unwrap();
        let mut bytes = bytes.into_inner();
        let listed = bytes.windows(4).rposition(|four| four == records::LISTED).unwrap();
        bytes[listed + 40..listed + 42].copy_from_slice(&(mode as u16).to_le_bytes());
        bytes
    };
    for (bytes, why) in [
        (one("../evil", 0o100_644, "x"), "../evil would lie outside of it"),
        (one("/evil", 0o100_644, "x"), "/evil would lie outside of it"),
        (one("l", 0o120_777, "/etc"), "l is a link to /etc, outside of it"),
        (one("l", 0o120_777, "../x"), "l is a link to ../x, outside of it"),
        (one("l", 0o120_777, ""), "l is a link to no path"),
        (one("l", 0o120_777, &"x".repeat(5000)), "l is a link to no path"),
        (one("dev", 0o020_644, ""), "dev is a device"),
        (one("pipe", 0o010_644, ""), "pipe is a device"),
        (one("folder", 0o040_755, ""), "folder is a folder and a file"),
    ] {
        assert_eq!(refusal(&bytes), why);
    }
    let mut locked = one("secret", 0o100_644, "x");
    locked[6] |= 1;
    assert_eq!(refusal(&locked), "secret is encrypted: make the archive without a password");
}
