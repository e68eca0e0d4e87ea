//! Running one of the field's own tools: by absolute path, without a shell, with what it says captured, within a limit.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Where Debian and others keep them.
const FOLDERS: [&str; 4] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
/// So much of what a tool says is kept, from its end.
const KEPT: usize = 8 << 10;
/// From the friendly signal to the other one.
const GRACE: Duration = Duration::from_secs(5);

/// How a tool ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; 128 and the signal where one ended it.
    pub code: i32,
    /// The end of what it said.
    pub said: String,
}

impl Ended {
    /// What it said, on one line of at most 300 characters.
    pub fn gist(&self) -> String {
        let words: Vec<&str> = self.said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let line = words.join("; ");
        match line.char_indices().rev().nth(299) {
            Some((at, _)) if at > 0 => format!("…{}", &line[at..]),
            _ if line.is_empty() => format!("exit code {}", self.code),
            _ => line,
        }
    }
}

/// Why a tool has no result.
#[derive(Debug)]
pub(crate) enum NoResult {
    /// It is not there.
    Missing,
    /// It could not be started or read.
    Failed(std::io::Error),
    /// It took longer than its limit and was ended.
    TooLong(Duration),
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoResult::Missing => write!(f, "it is not installed"),
            NoResult::Failed(error) => write!(f, "{error}"),
            NoResult::TooLong(limit) => write!(f, "it did not end within {} minutes", limit.as_secs().div_ceil(60)),
        }
    }
}

/// Runs a tool to its end.
pub(crate) fn run(name: &str, arguments: &[&std::ffi::OsStr], limit: Duration) -> Result<Ended, NoResult> {
    let path = find(name).ok_or(NoResult::Missing)?;
    let (mut output, writer) = std::io::pipe().map_err(NoResult::Failed)?;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("LC_ALL", "C").stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(NoResult::Failed)?).stderr(writer);
    let mut child = command.spawn().map_err(NoResult::Failed)?;
    // The command holds the pipe's other end, which must close with the child.
    drop(command);
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(tail(&mut output)));
    let said = result.recv_timeout(limit);
    if said.is_err() {
        end(&mut child);
    }
    let status = child.wait().map_err(NoResult::Failed)?;
    match said {
        Ok(said) => Ok(Ended { code: code(status), said }),
        Err(_) => Err(NoResult::TooLong(limit)),
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Asked to end first: e2fsck then leaves the filesystem marked as not checked.
fn end(child: &mut Child) {
    let id = nix::unistd::Pid::from_raw(child.id() as i32);
    let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
    for _ in 0..50 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(GRACE / 50);
    }
    let _ = child.kill();
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// The last [`KEPT`] bytes until the end of the stream.
fn tail(output: &mut impl Read) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..read]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Ended, NoResult> {
        run("sh", &["-c".as_ref(), script.as_ref()], limit)
    }

    #[test]
    fn exit_code_and_words_come_back() {
        let ended = sh("echo one; echo two >&2; exit 3", Duration::from_secs(9)).unwrap();
        assert_eq!((ended.code, ended.gist().as_str()), (3, "one; two"));
        let silent = sh("exit 8", Duration::from_secs(9)).unwrap();
        assert_eq!(silent.gist(), "exit code 8");
        assert_eq!(sh("kill -9 $$", Duration::from_secs(9)).unwrap().code, 137);
    }

    #[test]
    fn one_that_never_ends_is_ended() {
        let begun = std::time::Instant::now();
        assert!(matches!(sh("exec sleep 60", Duration::from_millis(50)), Err(NoResult::TooLong(_))));
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn one_that_talks_for_ever_takes_no_memory() {
        let ended = sh("yes ä | head -c 1000000", Duration::from_secs(9)).unwrap();
        assert!(ended.said.len() <= KEPT + 3 && ended.gist().chars().count() <= 301);
    }

    #[test]
    fn a_missing_one_is_named() {
        assert!(matches!(run("no-such-tool", &[], Duration::ZERO), Err(NoResult::Missing)));
    }
}
