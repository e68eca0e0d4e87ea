//! The folder in which an image grows, and the tools of the file systems run so that nothing of the machine shows in what they write.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tool::{self, Doing, Failure, Outcome};

/// The image's name in the folder: without `?` and `@@`, which e2fsprogs and mtools read as an offset.
pub const IMAGE: &str = "image";

/// What is installed where a tool is missing.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("e2fsprogs", &["mke2fs", "debugfs", "e2fsck"]),
    ("dosfstools", &["mkfs.vfat", "fsck.fat"]),
    ("mtools", &["mcopy", "mmd"]),
];

/// An image that is being made. Its folder, `.NAME.work` beside it, goes with it.
#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    out: PathBuf,
    image: File,
    epoch: i64,
}

/// What a tool printed.
#[derive(Debug)]
pub struct Said {
    /// On standard output.
    pub out: String,
    /// On standard error, trimmed.
    pub err: String,
}

impl Work {
    /// Begins an image of `length` bytes that will lie at `out`. `epoch` is what the tools take for now, in seconds since 1970.
    pub fn begin(out: &Path, length: u64, epoch: i64) -> Outcome<Work> {
        if !(0..=i64::from(i32::MAX)).contains(&epoch) {
            return Err(Failure::new(format!("SOURCE_DATE_EPOCH {epoch} lies outside of 1970 to 2038")));
        }
        let out = std::path::absolute(out).doing(out.display())?;
        let (Some(above), Some(name)) = (out.parent(), out.file_name()) else {
            return Err(Failure::new(format!("{} names no file", out.display())));
        };
        let folder = above.join(format!(".{}.work", name.to_string_lossy()));
        if folder.exists() {
            fs::remove_dir_all(&folder).doing(folder.display())?;
        }
        fs::create_dir_all(&folder).doing(folder.display())?;
        let path = folder.join(IMAGE);
        let image = OpenOptions::new().read(true).write(true).create_new(true).open(&path).doing(path.display())?;
        let work = Work { folder, out, image, epoch };
        work.image.set_len(length).doing(path.display())?;
        Ok(work)
    }

    /// Seconds since 1970 that no time in the image lies behind.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// A scratch file or folder, gone with the work.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes bytes into the image.
    pub fn put(&self, at: u64, bytes: &[u8]) -> Outcome<()> {
        self.image.write_all_at(bytes, at).doing(self.path(IMAGE).display())
    }

    /// Moves a scratch file into the image, block by block; its zeros become holes.
    pub fn pour(&self, name: &str, at: u64) -> Outcome<()> {
        let path = self.path(name);
        let part = File::open(&path).doing(path.display())?;
        let (mut block, mut done) = (vec![0; 1 << 16], 0);
        loop {
            let got = part.read_at(&mut block, done).doing(path.display())?;
            if got == 0 {
                return fs::remove_file(&path).doing(path.display());
            }
            if block[..got].iter().any(|byte| *byte != 0) {
                self.put(at + done, &block[..got])?;
            }
            done += got as u64;
        }
    }

    /// Runs a tool in the folder; it must end with 0.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Outcome<Said> {
        run(self.command(name)?.args(arguments))
    }

    /// A tool that sees nothing of the machine but its search path.
    pub fn command(&self, name: &str) -> Outcome<Command> {
        let epoch = self.epoch.to_string();
        let mut command = bare(name)?;
        command
            .current_dir(&self.folder)
            .env("SOURCE_DATE_EPOCH", &epoch)
            .env("E2FSPROGS_FAKE_TIME", &epoch)
            .env("MKE2FS_CONFIG", "mke2fs.conf")
            .env("MTOOLSRC", "/dev/null");
        Ok(command)
    }

    /// Puts the image in its place.
    pub fn finish(self) -> Outcome<()> {
        self.image.sync_all().doing(self.path(IMAGE).display())?;
        fs::rename(self.path(IMAGE), &self.out).and_then(|()| settle(&self.out)).doing(self.out.display())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes the new name of `path` last: its folder is synced.
pub fn settle(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A tool without the machine's settings: no locale, no time zone, no configuration through the environment.
///
/// # Errors
/// It is not installed.
pub fn bare(name: &str) -> Outcome<Command> {
    if !tool::exists(name) {
        let package = PACKAGES.iter().find(|(_, tools)| tools.contains(&name)).map_or(name, |(package, _)| package);
        return Err(Failure::new(format!("{name} is not installed: run `apt-get install {package}`")));
    }
    let mut command = tool::program(name);
    let path = command.get_envs().find(|(key, _)| *key == "PATH").and_then(|(_, path)| path.map(ToOwned::to_owned));
    command.env_clear().env("PATH", path.unwrap_or_default()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    Ok(command)
}

/// Runs a tool to its end, with nothing to read; it must end with 0.
pub fn run(command: &mut Command) -> Outcome<Said> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().doing(&name)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = Said { out: text(&output.stdout), err: text(&output.stderr) };
    if output.status.success() {
        return Ok(said);
    }
    let why = if said.err.is_empty() { said.out } else { said.err };
    Err(Failure::new(format!("{name}: {}: {why}", output.status)))
}
