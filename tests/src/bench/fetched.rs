//! What is fetched: a tree as one packed archive, a plain file as long as the tree, and two sizes of each that are small.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::image_build::sha256_of_file;
use crate::servers::seeded::Seeded;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Files of the tree: as many as the base image of a Debian container has.
const FILES: u64 = 4_223;
/// Bytes of all of them.
const BYTES: u64 = 107_000_000;
/// Bytes of the smaller and the larger plain file, files in the smaller and the larger tar, and bytes of each of them.
const SMALL: [u64; 2] = [8 << 20, 24 << 20];
const SMALL_FILES: [u64; 2] = [2_000, 6_000];
const EACH: u64 = 3_000;

/// What kind of thing is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `.tar.zst`, laid out.
    Archive,
    /// A file as it is.
    Plain,
}

impl Kind {
    /// What a line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Archive => ".tar.zst laid out",
            Kind::Plain => "plain file",
        }
    }

    /// Its name on the server.
    pub fn file(self) -> &'static str {
        match self {
            Kind::Archive => "tree.tar.zst",
            Kind::Plain => "plain.bin",
        }
    }

    /// What the settings call it.
    pub fn via(self) -> &'static str {
        match self {
            Kind::Archive => "zstdtar",
            Kind::Plain => "direct",
        }
    }
}

/// Everything that a server is to serve, in one folder.
#[derive(Debug)]
pub struct Made {
    folder: PathBuf,
    sums: [String; 2],
}

impl Made {
    /// Makes all of it in `folder`.
    pub fn make(folder: &Path) -> Outcome<Made> {
        let tree = folder.join("tree.tar");
        // As sizes in a system are: most are small, a few have most of the bytes.
        let sizes = (0..FILES)
            .map(|number| if number % 32 == 0 { BYTES / (FILES / 32) / 10 * 7 } else { BYTES / FILES / 10 * 3 });
        archive(&tree, sizes)?;
        Seeded::new(41, BYTES).write(&folder.join(Kind::Plain.file()))?;
        for (number, (bytes, files)) in SMALL.into_iter().zip(SMALL_FILES).enumerate() {
            Seeded::new(42, bytes).write(&folder.join(format!("{number}.bin")))?;
            archive(&folder.join(format!("{number}.tar")), (0..files).map(|_| EACH))?;
        }
        let sum = |kind: Kind| sha256_of_file(&folder.join(kind.file()));
        Ok(Made { folder: folder.to_owned(), sums: [sum(Kind::Archive)?, sum(Kind::Plain)?] })
    }

    /// The file itself.
    pub fn file(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.file())
    }

    /// Bytes that are fetched.
    pub fn length(&self, kind: Kind) -> u64 {
        fs::metadata(self.file(kind)).map_or(0, |meta| meta.len())
    }

    /// Its SHA-256.
    pub fn sum(&self, kind: Kind) -> &str {
        let [archive, plain] = &self.sums;
        match kind {
            Kind::Archive => archive,
            Kind::Plain => plain,
        }
    }

    /// Bytes of the two small plain files.
    pub fn small(&self) -> [u64; 2] {
        SMALL
    }

    /// Bytes in the files of the two small archives.
    pub fn small_unpacked(&self) -> [u64; 2] {
        SMALL_FILES.map(|files| files * EACH)
    }

    /// Files in the two small archives.
    pub fn small_files(&self) -> [u64; 2] {
        SMALL_FILES
    }

    /// Whether all of it is there.
    pub fn is_at(&self, kind: Kind, place: &Path) -> Outcome<()> {
        let found = match kind {
            Kind::Plain => fs::metadata(place).map_or(0, |meta| meta.len()) == BYTES,
            Kind::Archive => {
                let listed = tool::run("find", &[text(place)?, "-type", "f"])?;
                listed.lines().count() as u64 == FILES
            }
        };
        if found { Ok(()) } else { Err(Failure::new(format!("{} is not all there", place.display()))) }
    }
}

/// A tar of files of these sizes at `path`, and beside it the same packed with zstd; it shrinks to two fifths, as text does.
fn archive(path: &Path, sizes: impl Iterator<Item = u64>) -> Outcome<()> {
    let mut tar = tar::Builder::new(io::BufWriter::new(File::create(path).doing(path.display())?));
    for (number, size) in sizes.enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        let name = format!("shelf-{:03}/book-{number}.txt", number / 50);
        let letters = Letters(Seeded::new(number as u64, size).reader());
        tar.append_data(&mut header, name, letters).doing(path.display())?;
    }
    tar.into_inner().and_then(|mut file| file.flush()).doing(path.display())?;
    tool::run("zstd", &["-q", "-f", "-3", text(path)?]).map(drop)
}

/// Eight letters by chance: three bits of every byte say something.
struct Letters<R>(R);

impl<R: Read> Read for Letters<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        buffer.iter_mut().take(read).for_each(|byte| *byte = b'a' + (*byte & 7));
        Ok(read)
    }
}
