//! A private Docker engine in namespaces of its own, started by the first connection to its socket, as on the card.
//!
//! Network, mount and process namespace hang on one process: when it ends, by a signal or by a power cut, the kernel ends every
//! container, shim and mount with it, and the link to the host goes too. What is left is an empty control group and a socket file.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::other_release::Programs;
use crate::tool::{self, Doing, Failure, Outcome};

/// The first word after the program's name by which `demo` becomes an activator.
pub const ACTIVATOR: &str = "engine-activator";
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest path that fits into a socket's address.
const SOCKET_PATH: usize = 107;

/// An engine that belongs to one board's folder; all its names follow from that folder.
#[derive(Debug, Clone)]
pub struct LabEngine {
    folder: PathBuf,
    root: PathBuf,
    program: PathBuf,
    name: String,
    /// Another release's; none: the machine's own.
    programs: Option<Programs>,
}

impl LabEngine {
    /// The engine of the board in `folder` (absolute) with its agent's `root`; `program` is the `demo` binary.
    pub fn new(folder: &Path, root: &Path, program: &Path) -> LabEngine {
        let sum = folder
            .to_string_lossy()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        LabEngine {
            folder: folder.to_owned(),
            root: root.to_owned(),
            program: program.to_owned(),
            name: format!("offspot{:06x}", (sum ^ (sum >> 24)) & 0xff_ffff),
            programs: None,
        }
    }

    /// The same of another release.
    pub fn of(self, programs: Programs) -> LabEngine {
        LabEngine { programs: Some(programs), ..self }
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// What the engine and its activator say.
    pub fn log(&self) -> PathBuf {
        self.folder.join("engine.log")
    }

    /// The host's end of the link.
    pub fn link(&self) -> String {
        format!("{}h", self.name)
    }

    /// Seconds from the first connection to the engine's first answer, once there was one.
    pub fn start_took(&self) -> Option<f64> {
        let millis: f64 = fs::read_to_string(self.took_file()).ok()?.trim().parse().ok()?;
        Some(millis / 1000.0)
    }

    fn took_file(&self) -> PathBuf {
        self.folder.join("engine.took")
    }

    /// Makes namespaces, link and socket; the engine itself starts with the first connection. Gives the address of published ports.
    pub fn start(&self) -> Outcome<String> {
        let _ = fs::remove_file(self.took_file());
        let _ = fs::remove_file(self.socket());
        if self.socket().as_os_str().len() > SOCKET_PATH {
            let path = self.socket();
            return Err(Failure::new(format!(
                "{} is too long for a socket: clone into a shorter path",
                path.display()
            )));
        }
        let holder = self.spawn_activator()?;
        let begun = Instant::now();
        while !self.socket().exists() {
            if begun.elapsed() > PATIENCE || !Path::new(&format!("/proc/{holder}")).exists() {
                let said = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(Failure::new(format!("the engine's activator did not come up: {said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.plug_in(holder)
    }

    fn spawn_activator(&self) -> Outcome<u32> {
        let log = File::create(self.log()).doing(self.log().display())?;
        let mut command = tool::program("unshare");
        command.args(["--net", "--mount", "--propagation", "slave"]);
        command.args(["--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]);
        command.arg(&self.program).arg(ACTIVATOR);
        command.args([self.socket(), self.root.clone(), self.took_file()]).arg(&self.name);
        command.stdin(Stdio::null()).stdout(log.try_clone().doing("engine.log")?).stderr(log);
        if let Some(programs) = &self.programs {
            command.env("PATH", programs.path());
        }
        let child = command.process_group(0).spawn().doing("unshare")?;
        let pid_file = self.folder.join("engine.pid");
        fs::write(&pid_file, child.id().to_string()).doing(pid_file.display())?;
        Ok(child.id())
    }

    /// Joins the engine's network namespace to the host by a pair of virtual cables.
    fn plug_in(&self, holder: u32) -> Outcome<String> {
        let (host, engine) = (self.link(), format!("{}e", self.name));
        let (network, pid) = (free_network()?, holder.to_string());
        tool::run("ip", &["link", "add", &host, "type", "veth", "peer", "name", &engine, "netns", &pid])?;
        tool::run("ip", &["address", "add", &format!("{network}.1/30"), "dev", &host])?;
        tool::run("ip", &["link", "set", &host, "up"])?;
        let inside = |arguments: &[&str]| {
            tool::run("nsenter", &[&["--net", "--target", &pid, "ip"], arguments].concat()).map(drop)
        };
        inside(&["address", "add", &format!("{network}.2/30"), "dev", &engine])?;
        inside(&["link", "set", &engine, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        Ok(format!("{network}.2"))
    }

    /// Ends the engine as a shutdown does: containers are stopped first, within some seconds.
    pub fn stop(&self) -> Outcome<()> {
        for pid in self.activators() {
            let _ = tool::run("kill", &["-TERM", &pid.to_string()]);
        }
        let begun = Instant::now();
        while !self.processes().is_empty() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.cut()
    }

    /// Ends the engine as a power cut does: everything at once.
    pub fn cut(&self) -> Outcome<()> {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            for pid in self.processes() {
                let _ = tool::run("kill", &["-KILL", &pid.to_string()]);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("processes {:?} of the engine do not end", self.processes())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.clear(begun)
    }

    /// The kernel takes namespaces down a moment after their last process.
    fn clear(&self, begun: Instant) -> Outcome<()> {
        let _ = fs::remove_file(self.socket());
        while Path::new("/sys/class/net").join(self.link()).exists() {
            let _ = tool::run("ip", &["link", "delete", &self.link()]);
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("the link {} does not go", self.link())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        while !self.control_groups().is_empty() {
            self.control_groups().iter().for_each(|group| remove_group(group));
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("control groups {:?} do not go", self.control_groups())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What of the engine is still on the host, in words; empty when nothing is.
    pub fn leftovers(&self) -> Vec<String> {
        let link = Path::new("/sys/class/net").join(self.link()).exists();
        let processes = self.processes().into_iter().map(|pid| format!("process {pid}"));
        let groups = self.control_groups().into_iter().map(|group| format!("control group {}", group.display()));
        let link = link.then(|| format!("network link {}", self.link()));
        processes.chain(groups).chain(link).collect()
    }

    /// The holder of the namespaces and the activator in them, known by our socket's path among their arguments.
    fn processes(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.is_ours(&arguments(*pid))).collect()
    }

    fn activators(&self) -> Vec<u32> {
        let is_holder = |pid: &u32| arguments(*pid).first().is_some_and(|name| name.ends_with("unshare"));
        self.processes().into_iter().filter(|pid| !is_holder(pid)).collect()
    }

    fn is_ours(&self, arguments: &[String]) -> bool {
        let socket = self.socket();
        let mut pairs = arguments.windows(2);
        pairs.any(|pair| pair[0] == ACTIVATOR && Path::new(&pair[1]) == socket)
    }

    fn control_groups(&self) -> Vec<PathBuf> {
        let top = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path().join(&self.name));
        std::iter::once(top.join(&self.name)).chain(controllers).filter(|group| group.is_dir()).collect()
    }
}

fn arguments(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn remove_group(group: &Path) {
    for child in fs::read_dir(group).into_iter().flatten().flatten() {
        if child.path().is_dir() {
            remove_group(&child.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// The first three numbers of a network that no address or route of the host mentions.
fn free_network() -> Outcome<String> {
    let known = tool::run("ip", &["-4", "address"])? + &tool::run("ip", &["-4", "route", "show", "table", "all"])?;
    (77..=126)
        .flat_map(|second| (0..=9).map(move |third| format!("10.{second}.{third}")))
        .find(|network| !known.contains(&format!("{network}.")))
        .ok_or_else(|| Failure::new("no free network between 10.77.0.0 and 10.126.9.0"))
}

/// Reads an address that [`LabEngine::start`] gave, from the kernel: for a second look at a running engine.
pub fn address_behind(link: &str) -> Option<String> {
    let shown = tool::run("ip", &["-4", "-oneline", "address", "show", "dev", link]).ok()?;
    let own = shown.split_whitespace().find(|word| word.ends_with(".1/30"))?;
    Some(format!("{}.2", own.trim_end_matches(".1/30")))
}
