//! A Docker engine of one's own: real dockerd in private network and mount namespaces, killed with all it started on drop.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::other_release::Programs;

/// Longest wait for the first answer.
const START: Duration = Duration::from_secs(60);
/// Longest wait for the killed to be gone.
const STOP: Duration = Duration::from_secs(20);

/// A running private engine.
#[derive(Debug)]
pub struct PrivateEngine {
    folder: PathBuf,
    data_root: PathBuf,
    pid: i32,
    child: Option<Child>,
    keep: bool,
    /// Another release's; none: the machine's own.
    programs: Option<Programs>,
    /// Further arguments of dockerd, and variables of its environment.
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl PrivateEngine {
    /// Starts dockerd with socket, state and `dockerd.log` in `folder` (a short path: sockets allow 100 bytes) and its store in
    /// `data_root`; waits until it answers. Panics with the end of its log where it does not, or with the package to install.
    pub fn start(folder: &Path, data_root: &Path) -> PrivateEngine {
        Self::start_with(folder, data_root, &[])
    }

    /// The same with further arguments of dockerd.
    pub fn start_with(folder: &Path, data_root: &Path, arguments: &[&str]) -> PrivateEngine {
        Self::start_of(None, folder, data_root, arguments)
    }

    /// The same of another release.
    pub fn start_of(programs: Option<Programs>, folder: &Path, data_root: &Path, arguments: &[&str]) -> PrivateEngine {
        fs::create_dir_all(folder).and_then(|()| fs::create_dir_all(data_root)).expect("folders of the engine");
        let mut engine = PrivateEngine {
            folder: folder.to_owned(),
            data_root: data_root.to_owned(),
            pid: 0,
            child: None,
            keep: false,
            programs,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
        };
        engine.spawn();
        engine.await_answer();
        engine
    }

    /// The engine that [`keep`](Self::keep) left running with these folders, if it still runs.
    pub fn kept(folder: &Path, data_root: &Path) -> Option<PrivateEngine> {
        let pid = fs::read_to_string(folder.join("docker.pid")).ok()?.trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let socket = folder.join("docker.sock");
        name.contains(socket.to_str()?).then(|| PrivateEngine {
            folder: folder.to_owned(),
            data_root: data_root.to_owned(),
            pid,
            child: None,
            keep: false,
            programs: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        })
    }

    /// Leaves it running after this value is dropped; returns its pid.
    pub fn keep(mut self) -> i32 {
        self.keep = true;
        self.pid
    }

    /// Path of the API socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Pid of dockerd, which is also the way into its namespaces.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Where it stores images and containers.
    pub fn data_root(&self) -> &Path {
        &self.data_root
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default()
    }

    /// Runs a program in the engine's network, where published ports answer.
    pub fn run_in_netns(&self, command: &[&str]) -> io::Result<Output> {
        Command::new("nsenter").args(["-t", &self.pid.to_string(), "-n", "--"]).args(command).output()
    }

    /// Runs the docker command line against it, and panics with its words where it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.program("docker"))
            .arg(format!("-Hunix://{}", self.socket().display()))
            .args(arguments)
            .output()
            .expect("docker: apt-get install docker.io");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "docker {arguments:?}: {}", said(&output.stderr));
        said(&output.stdout)
    }

    /// Whether the docker command line succeeds against it.
    pub fn try_docker(&self, arguments: &[&str]) -> bool {
        let mut docker = Command::new(self.program("docker"));
        let docker = docker.arg(format!("-Hunix://{}", self.socket().display())).args(arguments);
        docker.output().expect("docker: apt-get install docker.io").status.success()
    }

    /// Kills it with all its helpers and containers at once, as a power cut does, and starts it again on the same store.
    pub fn kill_and_restart(&mut self) {
        self.kill_all();
        self.spawn();
        self.await_answer();
    }

    /// The same with these variables in its environment from now on.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.environment = owned.collect();
        self.kill_and_restart();
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| name.into(), |programs| programs.program(name))
    }

    fn spawn(&mut self) {
        for stale in ["docker.sock", "docker.pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(self.folder.join(stale));
        }
        let log = File::options().append(true).create(true).open(self.folder.join("dockerd.log")).expect("dockerd.log");
        let path = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new("unshare");
        if let Some(programs) = &self.programs {
            command.env("PATH", programs.path());
        }
        let child = command
            .args(["-n", "-m", "sh", "-c", "ip link set lo up; exec dockerd \"$@\"", "dockerd"])
            .args([
                "-H",
                &format!("unix://{}", path("docker.sock")),
                "--exec-root",
                &path("exec"),
                "-p",
                &path("docker.pid"),
            ])
            .arg("--data-root")
            .arg(&self.data_root)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("dockerd.log"))
            .stderr(log)
            .spawn()
            .expect("unshare: apt-get install util-linux");
        self.pid = child.id() as i32;
        self.child = Some(child);
    }

    fn await_answer(&mut self) {
        let deadline = Instant::now() + START;
        while !self.answers() {
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                let log = self.log();
                let end = log.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
                panic!("no engine (apt-get install docker.io iptables iproute2); its log ends:\n{}", &log[end..]);
            }
            sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let ask = || -> io::Result<bool> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            Ok(answer.ends_with(b"200"))
        };
        ask().unwrap_or(false)
    }

    fn kill_all(&mut self) {
        let ours = family(&self.folder);
        for pid in &ours {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        let deadline = Instant::now() + STOP;
        while ours.iter().any(|pid| alive(*pid)) && Instant::now() < deadline {
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if !self.keep {
            self.kill_all();
        }
    }
}

fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// All processes of an engine whose arguments name its folder (dockerd, containerd, shims), and their descendants.
fn family(folder: &Path) -> BTreeSet<i32> {
    let all = processes();
    let exec = folder.join("exec").display().to_string();
    let mine = |pid: &i32| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = words.split('\0').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        ["dockerd", "containerd", "containerd-shim-runc-v2", "unshare", "sh"].contains(&program)
            && words.contains(&exec)
    };
    let mut ours: BTreeSet<i32> = all.iter().map(|(pid, _)| *pid).filter(mine).collect();
    loop {
        let before = ours.len();
        ours.extend(all.iter().filter(|(_, parent)| ours.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>());
        if ours.len() == before {
            return ours;
        }
    }
}

/// Every process with its parent.
fn processes() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}
