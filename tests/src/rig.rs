//! A box to bring services up on: a private engine, a root, tiny images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offspot_agent::content::Placed;
use offspot_agent::engine::Engine;
use offspot_agent::host::Host;
use offspot_agent::images::{self, Loaded};
use offspot_agent::problem::Problem;
use offspot_agent::receipts::Receipts;
use offspot_agent::report::{Reporter, Status};
use offspot_agent::services::{self, Running, ServiceState};
use offspot_config::compose;
use offspot_config::settings::OciImage;

use crate::engine::PrivateEngine;
use crate::other_release::{Programs, Release};

/// Content that no test here has.
static NOTHING: Placed = Placed { failed: Vec::new() };

/// A private engine, a root for the box, and the tiny image `tiny:1`.
#[derive(Debug)]
pub struct Rig {
    /// None only while it is taken down.
    pub engine: Option<PrivateEngine>,
    folder: PathBuf,
}

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    /// The token.
    pub running: Running,
    /// What was reported.
    pub problems: Vec<Problem>,
    /// What was noted beside.
    pub notes: Vec<String>,
    /// From call to answer.
    pub took: Duration,
}

impl Run {
    fn of(running: Running, status: &Status, took: Duration) -> Run {
        Run { running, problems: status.problems.clone(), notes: status.notes.clone(), took }
    }

    /// The sentences of the problems.
    pub fn sentences(&self) -> Vec<String> {
        let mut all: Vec<String> = self.problems.iter().map(|problem| problem.facts().sentence).collect();
        all.sort();
        all
    }

    /// How a service stands.
    pub fn state(&self, name: &str) -> ServiceState {
        let found = self.running.services.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{name} in {:?}", self.running)).1
    }

    /// Panics where there was a problem.
    pub fn all_well(self) -> Run {
        let text: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        assert!(text.is_empty(), "{text:?}");
        self
    }
}

impl Rig {
    /// All of it, in a folder of its own, with the machine's own engine.
    pub fn new(name: &str) -> Rig {
        Self::of(None, name)
    }

    /// The same with the engine of another release.
    pub fn of(release: Option<Release>, name: &str) -> Rig {
        let folder = std::env::temp_dir().join(format!("o-svc-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let programs = release.map(|release| Programs::of(release).expect("programs of another release"));
        let engine = PrivateEngine::start_of(programs, &folder.join("e"), &folder.join("d"), &[]);
        let this = Rig { engine: Some(engine), folder };
        std::fs::create_dir_all(this.root()).unwrap();
        let tar = this.folder.join("busybox.tar");
        rootfs(&tar);
        this.image("tiny:1", &[]);
        this
    }

    /// The engine.
    pub fn engine(&self) -> &PrivateEngine {
        self.engine.as_ref().expect("a running engine")
    }

    /// Root of the box.
    pub fn root(&self) -> PathBuf {
        self.folder.join("r")
    }

    /// The tiny image again, with changes in Dockerfile's words.
    pub fn image(&self, name: &str, changes: &[&str]) {
        let tar = self.folder.join("busybox.tar");
        let mut arguments = vec!["import", "-c", "CMD [\"sleep\",\"1000\"]", "-c", "ENV PATH=/bin"];
        for change in changes {
            arguments.extend(["-c", change]);
        }
        arguments.extend([tar.to_str().unwrap(), name]);
        self.engine().docker(&arguments);
    }

    /// Brings the services up within a minute.
    pub fn up(&self, yaml: &str) -> Run {
        self.up_within(yaml, 60)
    }

    /// The same within a limit.
    pub fn up_within(&self, yaml: &str, seconds: u64) -> Run {
        self.up_with(yaml, seconds, &[])
    }

    /// The same where the tarballs of some images are missing.
    pub fn up_with(&self, yaml: &str, seconds: u64, failed: &[&str]) -> Run {
        self.bring(project(yaml), seconds, failed)
    }

    /// The same for a project that no file can say.
    pub fn bring(&self, project: compose::Project, seconds: u64, failed: &[&str]) -> Run {
        let limit = Duration::from_secs(seconds);
        bring_up(&self.engine().socket(), self.root(), project, limit, failed)
    }

    /// Once more in the same boot, within a minute.
    pub fn again(&self, yaml: &str) -> Run {
        runtime().block_on(async {
            let socket = self.engine().socket();
            let engine = Engine::ready(socket.to_str().unwrap(), Duration::from_secs(30)).await.unwrap();
            let (report, status) = Reporter::new();
            let (host, limit, began) = (Host::new(self.root()), Duration::from_secs(60), Instant::now());
            let running = services::up_again(&engine, &host, &project(yaml), limit, &report).await;
            Run::of(running, &status.borrow(), began.elapsed())
        })
    }

    /// Runs compose of a release by hand against the engine; gives what it said, panics where it failed.
    pub fn compose(&self, release: Release, arguments: &[&str]) -> String {
        let output = Command::new(Programs::of(release).expect("compose").program("docker-compose"))
            .env("DOCKER_HOST", format!("unix://{}", self.engine().socket().display()))
            .current_dir(&self.folder)
            .args(arguments)
            .output()
            .expect("docker-compose");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "compose {arguments:?}: {}", said(&output.stderr));
        said(&output.stdout) + &said(&output.stderr)
    }

    /// Begins the same, and is cut off after some milliseconds.
    pub fn cut(&self, yaml: &str, millis: u64) {
        runtime().block_on(async {
            let (report, _status) = Reporter::new();
            let (host, limit) = (Host::new(self.root()), Duration::from_secs(60));
            let (engine, images) = images(&self.engine().socket(), &host, &[]).await;
            let whole = services::up(&engine, &host, project(yaml), (&NOTHING, &images), limit, &report);
            let _ = tokio::time::timeout(Duration::from_millis(millis), whole).await;
        });
    }

    /// `docker inspect` with a format.
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.engine().docker(&["inspect", "-f", format, name]).trim().to_owned()
    }

    /// Id and start of a container.
    pub fn id(&self, name: &str) -> String {
        self.inspect(name, "{{.Id}} {{.State.StartedAt}}")
    }

    /// Stops a container by hand, and waits until the engine knows that it has ended.
    pub fn stop(&self, name: &str) {
        self.engine().docker(&["stop", "-t", "0", name]);
        while self.inspect(name, "{{.State.Running}}") == "true" {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a command in a container prints.
    pub fn exec(&self, arguments: &[&str]) -> String {
        self.engine().docker(&[&["exec"], arguments].concat()).trim().to_owned()
    }

    /// All containers by name.
    pub fn names(&self) -> Vec<String> {
        let listed = self.engine().docker(&["ps", "-a", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.engine.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Brings a project up with the engine behind `socket` on the box below `root`, within a limit; the tarballs of the images `failed`
/// are missing.
pub fn bring_up(socket: &Path, root: PathBuf, project: compose::Project, limit: Duration, failed: &[&str]) -> Run {
    runtime().block_on(async {
        let (report, status) = Reporter::new();
        let host = Host::new(root);
        let (engine, images) = images(socket, &host, failed).await;
        let (began, name) = (Instant::now(), project.name.clone());
        let running = services::up(&engine, &host, project, (&NOTHING, &images), limit, &report).await;
        let took = began.elapsed();
        let (receipts, _) = Receipts::open(&host.state()).unwrap();
        services::forget_volumes(&name, &running, &receipts).await.unwrap();
        Run::of(running, &status.borrow(), took)
    })
}

/// The step before.
async fn images(socket: &Path, host: &Host, failed: &[&str]) -> (Engine, Loaded) {
    let ready = Engine::ready(socket.to_str().unwrap(), Duration::from_secs(30));
    let engine = ready.await.unwrap();
    let (receipts, _) = Receipts::open(&host.state()).unwrap();
    let wanted: Vec<OciImage> = failed.iter().map(|name| wanted(name)).collect();
    let (report, _status) = Reporter::new();
    let items = images::survey(host, &wanted, &receipts);
    let how = (true, &BTreeMap::new());
    let loaded = images::load(&engine, &host.data(), items, &receipts, &report, how).await;
    (engine, loaded)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An entry of a tarball that is not there.
fn wanted(name: &str) -> OciImage {
    OciImage {
        ident: name.to_owned(),
        url: Some("/data/images/none.tar".into()),
        mirrors: Vec::new(),
        filesize: None,
        fullsize: None,
        checksum: None,
    }
}

/// The services of a compose file, which end at once when told to.
pub fn project(yaml: &str) -> compose::Project {
    let reading = offspot_config::yaml::read(yaml.as_bytes());
    let mut project = compose::read(&reading.root.expect("a document")).0;
    // The programs of busybox do not end on SIGTERM as first process.
    for service in &mut project.services {
        service.process.stop_signal.get_or_insert("SIGKILL".to_owned());
    }
    project
}

/// A root filesystem of busybox and links to it.
pub fn rootfs(path: &Path) {
    let busybox = std::fs::read("/bin/busybox").expect("apt-get install busybox-static");
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "bin/busybox", &busybox[..]).unwrap();
    for applet in [
        "sh", "sleep", "httpd", "wget", "cat", "touch", "ls", "ping", "nslookup", "env", "true", "false", "echo",
        "stat",
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    for folder in ["tmp", "etc", "data"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_data(&mut header, folder, std::io::empty()).unwrap();
    }
    tar.finish().unwrap();
}
