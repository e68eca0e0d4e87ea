//! The first process of the engine's namespaces: it holds the socket and starts dockerd with the first connection, as systemd does.
//!
//! dockerd's store is on the data partition, which only the agent mounts: started any earlier, the engine would fill the root partition.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::tool::{self, Doing, Failure, Outcome};

/// Longest wait for dockerd to stop its containers and end.
const FAREWELL: Duration = Duration::from_secs(15);
/// An engine that keeps ending is started that often.
const MOST_STARTS: u32 = 5;

/// The environment file of the engine's unit, below the agent's root.
const ENVIRONMENT: &str = "run/offspot/engine.env";

/// What the activator is told on its command line.
#[derive(Debug)]
pub struct Activation {
    /// Where to listen.
    pub socket: PathBuf,
    /// The agent's root folder: the store is `data/docker` below it.
    pub root: PathBuf,
    /// Where to write how many milliseconds the engine took to answer.
    pub took: PathBuf,
    /// Name of the control group that holds the containers.
    pub group: String,
}

/// Runs until SIGTERM. Must be the first process of a process namespace, in a mount namespace of its own.
pub fn run(activation: &Activation) -> Outcome<()> {
    if std::process::id() != 1 {
        return Err(Failure::new("engine-activator is started by demo, in namespaces of its own"));
    }
    hide_the_host().doing("hiding the host's folders from the engine")?;
    let listener = UnixListener::bind(&activation.socket).doing(activation.socket.display())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.doing("runtime")?;
    let served = runtime.block_on(serve(activation, &listener));
    runtime.shutdown_background();
    served.doing("engine-activator")
}

/// Without this dockerd would use the host's own containerd, and write into the host's /etc and /opt.
fn hide_the_host() -> io::Result<()> {
    let tmpfs = |at: &str| mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("mode=755"));
    tmpfs("/run")?;
    for folder in ["etc", "opt"] {
        let (upper, work) = (format!("/run/writes/{folder}"), format!("/run/writes/.{folder}"));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        let options = format!("lowerdir=/{folder},upperdir={upper},workdir={work}");
        let at = format!("/{folder}");
        mount(Some("overlay"), at.as_str(), Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
    }
    Ok(())
}

async fn serve(activation: &Activation, listener: &UnixListener) -> io::Result<()> {
    let mut stop = signal(SignalKind::terminate())?;
    let mut ended = signal(SignalKind::child())?;
    let (mut engine, mut starts): (Option<Pid>, u32) = (None, 0);
    let mut knock = knock_at(listener)?;
    loop {
        tokio::select! {
            _ = stop.recv() => return farewell(engine, &mut ended).await,
            _ = ended.recv() => if reap(engine) {
                engine = None;
                knock = knock_at(listener)?;
            },
            _ = &mut knock, if engine.is_none() && starts < MOST_STARTS => {
                if is_mounted(&activation.root.join("data")) {
                    starts += 1;
                    engine = Some(start(activation, listener)?);
                    tokio::spawn(time_the_start(activation.socket.clone(), activation.took.clone()));
                } else {
                    eprintln!("a connection came before the data partition was mounted: refused");
                    drop(listener.accept()?);
                    knock = knock_at(listener)?;
                }
            }
        }
    }
}

/// Ends when someone connects; the connection is left for the engine to take.
fn knock_at(listener: &UnixListener) -> io::Result<JoinHandle<()>> {
    let listener = listener.try_clone()?;
    Ok(tokio::task::spawn_blocking(move || {
        let mut door = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        while poll(&mut door, PollTimeout::NONE).is_err() {}
    }))
}

/// A folder that is on another filesystem than the folder that holds it.
fn is_mounted(folder: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    device(folder).is_some() && folder.parent().and_then(device) != device(folder)
}

/// The socket travels as standard input and becomes file descriptor 3 in the shell: `fd://` wants it there, with the pid of its reader.
fn start(activation: &Activation, listener: &UnixListener) -> io::Result<Pid> {
    let store = activation.root.join("data/docker");
    fs::write("/run/daemon.json", "{}")?;
    let socket: OwnedFd = listener.try_clone()?.into();
    let child = tool::program("sh")
        .args(["-c", "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"", "sh", "dockerd"])
        .args(["-H", "fd://", "--config-file", "/run/daemon.json", "--pidfile", "/run/docker.pid"])
        .args(["--exec-root", "/run/docker", "--data-root"])
        .arg(store)
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout", "3"])
        .arg(format!("--cgroup-parent=/{}", activation.group))
        .envs(environment(&activation.root.join(ENVIRONMENT)))
        .stdin(Stdio::from(socket))
        .spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// What the agent wrote for the engine before it knocked, as systemd reads an environment file.
fn environment(file: &Path) -> Vec<(String, String)> {
    let lines = fs::read_to_string(file).unwrap_or_default();
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    lines.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect()
}

async fn time_the_start(socket: PathBuf, took: PathBuf) -> io::Result<()> {
    let begun = Instant::now();
    let mut stream = tokio::net::UnixStream::connect(socket).await?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n").await?;
    stream.read_u8().await?;
    let part = took.with_extension("part");
    fs::write(&part, begun.elapsed().as_millis().to_string())?;
    fs::rename(part, took)
}

/// Takes in every process that ended, as the first process must. Whether the engine was among them.
fn reap(engine: Option<Pid>) -> bool {
    let mut engine_ended = false;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::StillAlive => break,
            status if status.pid() == engine && engine.is_some() => {
                eprintln!("the engine ended: {status:?}");
                engine_ended = true;
            }
            _ => {}
        }
    }
    engine_ended
}

async fn farewell(engine: Option<Pid>, ended: &mut tokio::signal::unix::Signal) -> io::Result<()> {
    let Some(pid) = engine else { return Ok(()) };
    kill(pid, Signal::SIGTERM)?;
    let gone = async {
        while !reap(engine) {
            ended.recv().await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, gone).await;
    Ok(())
}
