//! A box that fetches: a folder as its root, the agent's real program on it, and a look at what it left and what it said.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::packages;
use crate::tool::{self, Doing, Failure, Outcome, text};
use crate::{agent_run, card};

/// Waits of the agent in tests, as a part of the real ones.
const PACE: &str = "0.02";
/// What a proxy is named by; tests name their own.
const PROXIES: [&str; 8] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];
const PATIENCE: Duration = Duration::from_secs(20);

/// The box. Dropping it takes everything away.
#[derive(Debug)]
pub struct FetchBox {
    folder: PathBuf,
    /// Words before the agent's: a namespace, another clock.
    pub words: Vec<String>,
    /// What stands in its environment beside.
    pub environment: Vec<(&'static str, String)>,
    agent: PathBuf,
    disk: Option<PathBuf>,
}

/// An entry of `files`: fetched from there to this name below `/data`.
pub fn entry(name: &str, url: &str) -> Value {
    json!({"to": format!("/data/{name}"), "url": url})
}

/// The same with another key.
pub fn with(mut entry: Value, key: &str, value: impl Into<Value>) -> Value {
    entry[key] = value.into();
    entry
}

/// The same with a digest.
pub fn summed(entry: Value, algorithm: &str, digest: &str) -> Value {
    with(entry, "checksum", json!({"algo": algorithm, "value": digest}))
}

/// An agent at work. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Fetched {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// The status, as programs read it.
    pub status: Value,
    /// Its log.
    pub said: String,
}

impl FetchBox {
    /// An empty one; its data partition is a folder.
    pub fn new(name: &str) -> Outcome<FetchBox> {
        FetchBox::with_agent(name, &agent_run::built()?)
    }

    /// The same with this agent.
    pub fn with_agent(name: &str, agent: &Path) -> Outcome<FetchBox> {
        packages::install_missing(packages::SERVERS)?;
        let folder = std::env::temp_dir().join(format!("offspot-fetch-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for below in ["r/boot/firmware", "r/data", "www"] {
            fs::create_dir_all(folder.join(below)).doing(folder.display())?;
        }
        Ok(FetchBox { folder, words: Vec::new(), environment: Vec::new(), agent: agent.to_owned(), disk: None })
    }

    /// One whose data partition is a disk of so many MiB, with ext4: what the agent has not synced can be lost.
    pub fn with_disk(name: &str, mebibytes: u64) -> Outcome<FetchBox> {
        let mut this = FetchBox::new(name)?;
        let image = this.folder.join("disk.img");
        File::create(&image).and_then(|file| file.set_len(mebibytes << 20)).doing(image.display())?;
        tool::run("mkfs.ext4", &["-q", "-F", text(&image)?])?;
        this.plug_in(&image)?;
        Ok(this)
    }

    fn plug_in(&mut self, image: &Path) -> Outcome<()> {
        tool::run("mount", &["-o", "loop,noatime", text(image)?, text(&self.data(""))?])?;
        self.disk = Some(image.to_owned());
        Ok(())
    }

    /// Cuts the power: what had not reached the disk is gone, and the next boot is another one.
    pub fn cut_power(&mut self, running: Running) -> Outcome<()> {
        let disk = self.disk.clone().ok_or_else(|| Failure::new("this box has no disk of its own"))?;
        let after = self.folder.join("after.img");
        // Copied while it stands still: unmounting would write what a power cut does not.
        running.signal("STOP")?;
        tool::run("cp", &["--sparse=always", text(&disk)?, text(&after)?])?;
        running.kill()?;
        self.unplug()?;
        fs::rename(&after, &disk).doing(disk.display())?;
        self.plug_in(&disk)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/uuid").doing("a new boot's id")?;
        let file = self.folder.join("boot_id");
        fs::write(&file, boot).doing(file.display())?;
        let script = format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\" \"$@\"", text(&file)?);
        self.words = ["unshare", "-m", "sh", "-c", &script].map(String::from).to_vec();
        Ok(())
    }

    fn unplug(&mut self) -> Outcome<()> {
        let begun = Instant::now();
        // A program that another test is just starting may hold our files until it runs.
        while let Err(error) = tool::run("umount", &[text(&self.data(""))?]) {
            if begun.elapsed() > PATIENCE {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Some(disk) = &self.disk {
            for device in card::attached_below(disk) {
                let _ = tool::run("losetup", &["--detach", &device]);
            }
        }
        Ok(())
    }

    /// Where servers and tests may keep files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file that a server of this box may serve.
    pub fn www(&self, name: &str) -> PathBuf {
        self.folder.join("www").join(name)
    }

    /// A place below `/data`.
    pub fn data(&self, below: &str) -> PathBuf {
        match below {
            "" => self.folder.join("r/data"),
            below => self.folder.join("r/data").join(below),
        }
    }

    /// From now on these are the entries of `files`.
    pub fn wants(&self, files: &[Value]) -> Outcome<()> {
        let settings = self.folder.join("r/boot/firmware/offspot.yaml");
        fs::write(&settings, json!({"timezone": "UTC", "files": files}).to_string()).doing(settings.display())
    }

    /// Starts a run.
    pub fn start(&self) -> Outcome<Running> {
        let log = File::create(self.folder.join("log")).doing("the agent's log")?;
        let mut words = self.words.iter().map(String::as_str).chain(["setpriv", "--pdeathsig", "KILL"]);
        let mut command = tool::program(words.next().unwrap_or_default());
        command.args(words).arg(&self.agent).arg("run").arg("--root").arg(self.folder.join("r"));
        command.arg("--docker-host").arg(format!("unix://{}/none", self.folder.display()));
        for name in PROXIES.iter().chain(&["SSL_CERT_FILE", "NOTIFY_SOCKET", "JOURNAL_STREAM"]) {
            command.env_remove(name);
        }
        command.env("OFFSPOT_FETCH_PACE", PACE).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Running { child: command.spawn().doing(self.agent.display())? })
    }

    /// A run to its end.
    pub fn run(&self) -> Outcome<Fetched> {
        let status = self.start()?.wait()?;
        let said = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Ok(Fetched { code: status.code().unwrap_or(-1), status: self.status(), said })
    }

    /// The entries, and a run to its end.
    pub fn fetch(&self, files: &[Value]) -> Outcome<Fetched> {
        self.wants(files)?;
        self.run()
    }

    /// The status as it stands.
    pub fn status(&self) -> Value {
        let bytes = fs::read(self.folder.join("r/run/offspot/status.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// What lies below `/data` beside the agent's own records, folders left out.
    pub fn lies_here(&self) -> Vec<String> {
        let mut found = Vec::new();
        files_below(&self.data(""), &mut found);
        let names = found.iter().filter_map(|path| path.strip_prefix(self.data("")).ok()?.to_str().map(str::to_owned));
        let own = |name: &String| name == ".offspot/receipts" || name.starts_with(".offspot/placed/");
        let mut names: Vec<String> = names.filter(|name| !own(name)).collect();
        names.sort();
        names
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

impl Drop for FetchBox {
    fn drop(&mut self) {
        if self.disk.is_some()
            && let Err(error) = self.unplug()
        {
            eprintln!("{error}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    /// SIGKILL, as an out-of-memory killer sends it.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill().doing("killing the agent")?;
        self.child.wait().doing("killing the agent").map(drop)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome<ExitStatus> {
        self.child.wait().doing("waiting for the agent")
    }

    fn signal(&self, name: &str) -> Outcome<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        status.doing("kill").map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fetched {
    /// Code and sentence of each problem.
    pub fn problems(&self) -> Vec<(String, String)> {
        let text = |problem: &Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let problems = self.status["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
        problems.iter().map(|problem| (text(problem, "code"), text(problem, "sentence"))).collect()
    }

    /// Code and sentence of the problem with this target, in one text; empty: it has none.
    pub fn of(&self, target: &str) -> String {
        let mut problems = self.problems().into_iter();
        let named = |sentence: &str| sentence.split([' ', ':']).any(|word| word == target);
        let own = problems.find(|(_, sentence)| named(sentence));
        own.map(|(code, sentence)| format!("{code}: {sentence}")).unwrap_or_default()
    }

    /// The notes, one a line.
    pub fn notes(&self) -> String {
        let notes = self.status["notes"].as_array().map(Vec::as_slice).unwrap_or_default();
        notes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The items' details, one a line behind its name.
    pub fn details(&self) -> String {
        let items = self.status["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let line =
            |item: &Value| format!("{} {}", item["name"].as_str().unwrap_or(""), item["detail"].as_str().unwrap_or(""));
        items.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
