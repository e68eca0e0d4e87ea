//! The agent as a child process: built, run on a board, watched, measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::progress::Progress;
use crate::tool::{self, Doing, Failure, Outcome};

/// How often the status file and the process are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How the agent is to be called.
#[derive(Debug, Clone)]
pub struct AgentRun {
    /// The agent's binary.
    pub binary: PathBuf,
    /// Words before it: a tracer; empty for none.
    pub wrapper: Vec<String>,
    /// Its root folder.
    pub root: PathBuf,
    /// The disk, `/dev/loop7`.
    pub device: String,
    /// The engine's socket.
    pub socket: PathBuf,
}

/// What a run was like.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Exit code, 128 and the signal's number where one ended it.
    pub exit_code: i32,
    /// From start to end.
    pub wall: Duration,
    /// Processor time of the agent and of the programs it called.
    pub processor: Duration,
    /// Largest resident size of the agent itself in bytes (VmHWM).
    pub peak: u64,
    /// Each phase of the story and how long it lasted, as seen in the status file.
    pub phases: Vec<(String, Duration)>,
    /// Whether Ctrl-C was pressed meanwhile.
    pub interrupted: bool,
}

/// Builds the agent for release, for this machine, and gives the binary.
pub fn build(workspace: &Path) -> Outcome<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = tool::program(cargo);
    command.args(["build", "--release", "--quiet", "--package", "offspot-agent"]).current_dir(workspace);
    let status = command.status().doing("cargo build")?;
    if !status.success() {
        return Err(Failure::new(format!("cargo build of the agent: {status}")));
    }
    Ok(target_folder()?.join("release/offspot-agent"))
}

/// The agent as the tests run it, built once a process.
pub fn built() -> Outcome<PathBuf> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        // What fails here is seen in the path that is missing.
        let _ = std::process::Command::new(cargo).args(["build", "--quiet", "--package", "offspot-agent"]).status();
    });
    let binary = target_folder()?.join("debug/offspot-agent");
    if binary.exists() { Ok(binary) } else { Err(Failure::new(format!("{} was not built", binary.display()))) }
}

/// Cargo's target folder: two above this program (three for a test's binary).
pub fn target_folder() -> Outcome<PathBuf> {
    let own = std::env::current_exe().doing("looking for this program")?;
    let folder = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    folder.map(Path::to_owned).ok_or_else(|| Failure::new("this program does not lie in cargo's target folder"))
}

/// Where `Cargo.toml` of the workspace lies.
pub fn workspace() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().map(Path::to_owned).unwrap_or_default()
}

impl AgentRun {
    /// Starts `offspot-agent run`; it ends with this process, whatever ends that.
    pub fn spawn(&self) -> Outcome<Child> {
        let mut command = tool::program("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(&self.wrapper);
        command.arg(&self.binary).arg("run").arg("--root").arg(&self.root);
        command.arg("--card").arg(&self.device);
        command.arg("--docker-host").arg(format!("unix://{}", self.socket.display()));
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command.spawn().doing(self.binary.display())
    }

    /// Runs it to its end, shows its progress, and measures it.
    pub fn watch(&self, log: &Path) -> Outcome<Ran> {
        let interrupted = on_interrupt();
        let before = processor_time()?;
        let begun = Instant::now();
        let mut child = self.spawn()?;
        let said = lines_of(&mut child);
        let (mut progress, mut peak, mut lines) = (Progress::new(), 0, String::new());
        let status = loop {
            progress.look(&self.status());
            peak = peak.max(high_water(child.id()));
            for line in said.try_iter() {
                progress.say(&line);
                lines += &(line + "\n");
            }
            if let Some(status) = child.try_wait().doing("waiting for the agent")? {
                break status;
            }
            std::thread::sleep(LOOK);
        };
        let wall = begun.elapsed();
        progress.look(&self.status());
        for line in said.iter() {
            progress.say(&line);
            lines += &(line + "\n");
        }
        fs::write(log, lines).doing(log.display())?;
        Ok(Ran {
            exit_code: code(status),
            wall,
            processor: processor_time()?.saturating_sub(before),
            peak,
            phases: progress.finish(),
            interrupted: interrupted.load(Ordering::Relaxed),
        })
    }

    fn status(&self) -> serde_json::Value {
        let text = fs::read(self.root.join("run/offspot/status.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(pipe) = child.stderr.take() {
        std::thread::spawn(move || {
            let lines = BufReader::new(pipe).split(b'\n').map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(String::from_utf8_lossy(&line).into_owned())));
        });
    }
    receiver
}

/// Ctrl-C reaches the agent too; this program stays to see it end.
fn on_interrupt() -> Arc<AtomicBool> {
    let pressed = Arc::new(AtomicBool::new(false));
    let seen = pressed.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let wait = |runtime: tokio::runtime::Runtime| runtime.block_on(tokio::signal::ctrl_c());
        if runtime.and_then(wait).is_ok() {
            seen.store(true, Ordering::Relaxed);
        }
    });
    pressed
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn processor_time() -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).doing("getrusage")?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// `VmHWM` of a process in bytes; 0 once it is gone.
pub fn high_water(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
