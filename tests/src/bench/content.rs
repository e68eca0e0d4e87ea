//! Lines 12, 13 and 15: what the agent itself does for each byte and each file that it places or loads. Two sizes of each are measured, and
//! the difference divided: what every run costs is in neither.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bed::{Bed, Session};
use super::results::{Row, ratio};
use crate::figures::{self, cost};
use crate::image_build::{Entry, Image, sha256_of_file};
use crate::tool::{Doing, Failure, Outcome, text};

/// Bytes of the smaller and the larger file.
const BYTES: [u64; 2] = [8 << 20, 24 << 20];
/// Files in the smaller and the larger tar.
const FILES: [u64; 2] = [2_000, 6_000];
/// Bytes of each of them.
const EACH: usize = 3_000;
const MIB: u64 = 1 << 20;

/// Measures all three lines.
pub fn measure(bed: &Bed) -> Outcome<Vec<Row>> {
    let work = bed.folder().join("content");
    fs::create_dir_all(&work).doing(work.display())?;
    let made = sources(&work);
    let rows = made.and_then(|files| {
        bed.make_card("sources", &files, 512 * MIB, "timezone: UTC\n")?;
        let session = bed.power_on()?;
        session.open_engine()?;
        session.agent(&[])?;
        Measuring { session, work: work.clone(), placed: Cell::new(0) }.rows()
    });
    fs::remove_dir_all(&work).doing(work.display())?;
    rows
}

/// One of each kind in both sizes: a file, a tar of many files, an image of one layer.
fn sources(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (size, bytes) in BYTES.into_iter().enumerate() {
        let plain = folder.join(format!("{size}.bin"));
        fs::write(&plain, noise(bytes)).doing(plain.display())?;
        let image = folder.join(format!("image-{size}.tar"));
        let entry = Entry::Copy { path: "bytes".into(), from: plain.clone() };
        let described = Image { name: format!("bytes:{size}"), command: vec!["/x".into()], layers: vec![vec![entry]] };
        described.write(File::create(&image).doing(image.display())?)?;
        files.extend([plain, image]);
    }
    for (size, count) in FILES.into_iter().enumerate() {
        let tar = folder.join(format!("{size}.tar"));
        many(count, File::create(&tar).doing(tar.display())?).doing(tar.display())?;
        files.push(tar);
    }
    Ok(files)
}

/// Bytes that no packer makes smaller, the same at every run.
fn noise(bytes: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..bytes / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn many(count: u64, out: impl Write) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(out);
    let text = vec![b'x'; EACH];
    for number in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("shelf-{:03}/book-{number}.txt", number / 50), text.as_slice())?;
    }
    tar.finish()
}

struct Measuring<'a> {
    session: Session<'a>,
    work: PathBuf,
    /// How many entries were placed so far.
    placed: Cell<u32>,
}

impl Measuring<'_> {
    fn rows(&self) -> Outcome<Vec<Row>> {
        let each_byte = |counts: [u64; 2]| counts[1].saturating_sub(counts[0]) as f64 / (BYTES[1] - BYTES[0]) as f64;
        let each_file = |counts: [u64; 2]| counts[1].saturating_sub(counts[0]) as f64 / (FILES[1] - FILES[0]) as f64;
        let (placing, loading) = self.flushes()?;
        let callgrind = figures::callgrind(&self.out())?;
        let strace = figures::strace(&self.out())?;

        let summed = self.both(|size| self.place(&format!("{size}.bin"), true, &callgrind), figures::instructions)?;
        let unsummed =
            self.both(|size| self.place(&format!("{size}.bin"), false, &callgrind), figures::instructions)?;
        let loaded = self.both(|size| self.load(size, &callgrind), figures::instructions)?;
        let placed = self.both(|size| self.place(&format!("{size}.tar"), false, &strace), figures::syscalls)?;
        let sha256sum =
            self.both(|size| self.peer(&callgrind, &["sha256sum"], &format!("{size}.bin")), figures::instructions)?;
        let copied =
            self.both(|size| self.peer(&callgrind, &["cat"], &format!("{size}.bin")), figures::instructions)?;
        let untarred = self.both(|size| self.untar(&strace, size), figures::syscalls)?;
        Ok(vec![
            row(
                12,
                "instructions a byte, file with digest (peer: sha256sum)",
                70.0,
                each_byte(sha256sum),
                each_byte(summed),
            ),
            row(
                12,
                "instructions a byte, file without digest (peer: cat)",
                15.0,
                each_byte(copied),
                each_byte(unsummed),
            ),
            row(
                12,
                "instructions a byte, image tarball with its digests",
                70.0,
                each_byte(sha256sum),
                each_byte(loaded),
            ),
            row(13, "system calls a file, from a tar (peer: GNU tar)", 6.0, each_file(untarred), each_file(placed)),
            row(15, "the agent's own flushes of data, placing one tree", 2.0, f64::NAN, placing),
            row(15, "the agent's own flushes of data, loading one tarball", 2.0, f64::NAN, loading),
        ])
    }

    fn out(&self) -> PathBuf {
        self.work.join("figures")
    }

    fn both(&self, run: impl Fn(usize) -> Outcome<()>, count: fn(&Path) -> Outcome<u64>) -> Outcome<[u64; 2]> {
        let one = |size| run(size).and_then(|()| count(&self.out()));
        Ok([one(0)?, one(1)?])
    }

    /// The agent's log of a run with these settings.
    fn run(&self, settings: &Value, wrapper: &[String]) -> Outcome<String> {
        self.session.settings(&settings.to_string())?;
        Ok(self.session.agent(wrapper)?.said)
    }

    /// The agent places a source where nothing was so far: what was taken away from it would stay away.
    fn place(&self, name: &str, with_digest: bool, wrapper: &[String]) -> Outcome<()> {
        self.placed.set(self.placed.get() + 1);
        let to = format!("/data/contents/{}-{name}", self.placed.get());
        let mut entry = json!({"to": to, "url": format!("/data/sources/{name}")});
        if name.ends_with(".tar") {
            entry["via"] = json!("tar");
        }
        if with_digest {
            entry["checksum"] = json!({"algo": "sha-256", "value": sha256_of_file(&self.work.join(name))?});
        }
        let said = self.run(&json!({"timezone": "UTC", "files": [entry]}), wrapper)?;
        match self.session.root().join(&to[1..]).exists() {
            true => Ok(()),
            false => Err(Failure::new(format!("{name} was not placed:\n{said}"))),
        }
    }

    /// The agent loads an image; it is removed from the engine afterwards.
    fn load(&self, size: usize, wrapper: &[String]) -> Outcome<()> {
        let (name, data) = (format!("image-{size}.tar"), self.session.root().join("data"));
        fs::copy(self.work.join(&name), data.join("images").join(&name)).doing(&name)?;
        self.run(&json!({"timezone": "UTC", "files": []}), wrapper)?;
        self.session.docker(&["rmi", &format!("bytes:{size}")]).map(drop)
    }

    fn peer(&self, wrapper: &[String], program: &[&str], name: &str) -> Outcome<()> {
        let file = self.work.join(name);
        let words: Vec<String> = program.iter().copied().chain([text(&file)?]).map(str::to_owned).collect();
        cost(&[wrapper, &words].concat()).map(drop)
    }

    fn untar(&self, wrapper: &[String], size: usize) -> Outcome<()> {
        let to = self.work.join("untarred");
        fs::create_dir(&to).doing(to.display())?;
        self.peer(wrapper, &["tar", "-C", text(&to)?, "-xf"], &format!("{size}.tar"))?;
        fs::remove_dir_all(&to).doing(to.display())
    }

    /// Calls that flush something below `/data`: placing a tree, loading a tarball that was never here, each without those of a boot that has
    /// nothing to do.
    fn flushes(&self) -> Outcome<(f64, f64)> {
        let out = self.out();
        let wrapper = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync,syncfs", "-o", text(&out)?].map(String::from);
        let data = format!("<{}", text(&self.session.root().join("data"))?);
        let counted = || -> Outcome<f64> {
            let calls = fs::read_to_string(&out).doing(out.display())?;
            Ok(calls.lines().filter(|line| line.contains(&data)).count() as f64)
        };
        self.run(&json!({"timezone": "UTC"}), &wrapper)?;
        let idle = counted()?;
        self.place("0.tar", false, &wrapper)?;
        let placing = counted()? - idle;
        self.load(0, &wrapper)?;
        Ok((placing, counted()? - idle))
    }
}

fn row(number: u8, what: &str, most: f64, peer: f64, ours: f64) -> Row {
    let peer = if peer.is_nan() { "-".to_owned() } else { ratio(peer) };
    Row::new(number, what).at_most(most, ours).say(&peer, &ratio(ours))
}
