//! Layers as named pipes. The engine unpacks what it is sent before it looks at a layer; a pipe is unpacked at once, and read when the layer's
//! turn comes. So nothing lies on the card or in memory but what the engine makes of it, however large the layer.
//!
//! Docker 20.10, 26 and 28 take that. One that does not says so with an error, and is sent the layers themselves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{ENOENT, ENXIO, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, poll};

use super::staging::IMPORT;
use crate::stream::meter::Tally;

/// Bytes that a pipe holds, if the kernel gives them.
const HOLDS: i32 = 1 << 20;
/// Longest wait for the engine to read, before it is asked whether it has answered; in milliseconds.
const WAIT: u16 = 100;

/// The writing end of a pipe that the engine has opened.
pub struct Pipe<'a> {
    /// See [`open`].
    pub file: File,
    /// Whether the engine has answered: then it reads no more.
    pub answered: &'a AtomicBool,
    /// Where to add up what has passed, if that is done here.
    pub passed: Option<&'a mut Tally>,
}

/// The pipe of this name that an engine which unpacks below one of the folders has opened to read; none where none has yet.
pub fn open(folders: &[PathBuf], name: &str) -> io::Result<Option<File>> {
    for import in imports(folders) {
        if let Some(file) = writer(&import.join(name))? {
            // A small pipe is slower, no more.
            let _ = fcntl(&file, FcntlArg::F_SETPIPE_SZ(HOLDS));
            return Ok(Some(file));
        }
    }
    Ok(None)
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.answered.load(Ordering::Relaxed) {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                    poll(&mut [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)], WAIT)?;
                }
                written => {
                    let written = written?;
                    if let Some(passed) = &mut self.passed {
                        passed.add(written as u64);
                    }
                    return Ok(written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether there is a pipe of this name below one of the folders.
pub fn exists(folders: &[PathBuf], name: &str) -> bool {
    imports(folders).any(|import| is_pipe(&import.join(name)))
}

/// Lets go an engine that waits at a pipe whose writer is gone: it reads the end, and gives the load up.
pub fn release(folders: &[PathBuf]) {
    for import in imports(folders) {
        let entries = fs::read_dir(&import).into_iter().flatten().flatten();
        for pipe in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_fifo())) {
            let _ = writer(&pipe.path());
        }
    }
}

fn imports(folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(IMPORT)).map(|entry| entry.path())
}

/// None where there is no pipe, or nobody has opened it to read.
fn writer(path: &Path) -> io::Result<Option<File>> {
    if !is_pipe(path) {
        return Ok(None);
    }
    match OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.raw_os_error(), Some(ENXIO | ENOENT)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::report::Reporter;

    #[test]
    fn a_pipe_is_open_when_it_is_read_and_never_waited_for_in_vain() {
        let folder = std::env::temp_dir().join(format!("offspot-pipes-{}", std::process::id()));
        let import = folder.join(format!("{IMPORT}1"));
        fs::create_dir_all(&import).unwrap();
        let (path, folders) = (import.join("a.tar"), [folder.join("none"), folder.clone()]);
        let (answered, mut passed) = (AtomicBool::new(false), Tally::new(&Reporter::new().0));
        assert!(open(&folders, "a.tar").unwrap().is_none(), "there is none");
        fs::write(&path, "no pipe").unwrap();
        assert!(open(&folders, "a.tar").unwrap().is_none(), "it is none");
        fs::remove_file(&path).unwrap();
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(open(&folders, "a.tar").unwrap().is_none(), "nobody reads it");
        let reader = |path: PathBuf| {
            std::thread::spawn(move || {
                let mut read = Vec::new();
                File::open(path).unwrap().read_to_end(&mut read).unwrap();
                read.len()
            })
        };
        let reading = reader(path.clone());
        let bytes = vec![7; 3 << 20];
        loop {
            let Some(file) = open(&folders, "a.tar").unwrap() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            Pipe { file, answered: &answered, passed: Some(&mut passed) }.write_all(&bytes).unwrap();
            break;
        }
        assert_eq!(reading.join().unwrap(), bytes.len());
        // One who waits at it is let go.
        let reading = reader(path.clone());
        while !reading.is_finished() {
            release(&folders);
        }
        assert_eq!(reading.join().unwrap(), 0);
        // One who has answered reads no more.
        let held = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path).unwrap();
        answered.store(true, Ordering::Relaxed);
        let file = open(&folders, "a.tar").unwrap().unwrap();
        let mut pipe = Pipe { file, answered: &answered, passed: Some(&mut passed) };
        assert_eq!(pipe.write_all(&bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        drop(held);
        fs::remove_dir_all(folder).unwrap();
    }
}
