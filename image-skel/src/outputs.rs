//! What is handed out beside the image: compressed copies, a block map for `bmaptool`, and `SHA256SUMS` over all of it. The same image
//! gives the same bytes on every machine, whatever number of processors it has.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use crate::image::work;
use crate::tool::{Doing, Failure, Outcome};

mod allocated;
mod bmap;
mod compressed;

pub use allocated::ranges;

/// Which of the outputs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `.img.zst`
    pub zst: bool,
    /// `.img.xz`
    pub xz: bool,
    /// `.img.bmap`
    pub bmap: bool,
}

/// What was written, with its length in bytes, in order of the name: the image, what was made of it, and `SHA256SUMS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// The files.
    pub files: Vec<(PathBuf, u64)>,
}

/// Writes the wanted outputs beside the image; each appears whole or not at all. `SHA256SUMS` names them and the image, and no other file.
///
/// # Errors
/// The image has no table or file system of ours (for the block map), or the disk is full.
pub fn write(image: &Path, options: Options) -> Outcome<Outputs> {
    let workers = thread::available_parallelism().map_or(1, |number| number.get() as u32);
    let mut made = vec![image.to_owned()];
    if options.bmap {
        let map = bmap::of(image)?;
        made.push(beside(image, "bmap", |file| file.write_all(map.as_bytes()))?);
    }
    if options.zst {
        made.push(beside(image, "zst", |file| compressed::zst(image, file, workers))?);
    }
    if options.xz {
        made.push(beside(image, "xz", |file| compressed::xz(image, file, workers))?);
    }
    made.sort();
    let lines: Vec<String> = made.iter().map(|path| sum(path)).collect::<Outcome<_>>()?;
    let sums = image.with_file_name("SHA256SUMS");
    whole(&sums, |file| file.write_all(lines.concat().as_bytes()))?;
    made.push(sums);
    let sized = |path: PathBuf| fs::metadata(&path).doing(path.display()).map(|found| (path, found.len()));
    Ok(Outputs { files: made.into_iter().map(sized).collect::<Outcome<_>>()? })
}

/// The image's name with one more ending.
fn beside(image: &Path, ending: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Outcome<PathBuf> {
    let mut name = image.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    let path = PathBuf::from(name);
    whole(&path, fill).map(|()| path)
}

fn whole(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Outcome<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = File::create(&part).and_then(|mut file| {
        fill(&mut file)?;
        file.sync_all()
    });
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    let settled = written.and_then(|()| fs::rename(&part, path)).and_then(|()| work::settle(path));
    settled.doing(path.display())
}

/// A line as `sha256sum` writes and checks it.
fn sum(path: &Path) -> Outcome<String> {
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.contains(['\n', '\\']));
    let name = name.ok_or_else(|| Failure::new(format!("{}: SHA256SUMS cannot say this name", path.display())))?;
    let mut file = File::open(path).doing(path.display())?;
    Ok(format!("{}  {name}\n", digest(&mut file).doing(path.display())?))
}

/// SHA-256 of all that can be read, in hexadecimal.
fn digest(from: &mut impl Read) -> io::Result<String> {
    let (mut digest, mut block) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(hexadecimal(digest)),
            got => digest.update(&block[..got]),
        }
    }
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
