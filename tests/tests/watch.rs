//! `offspot-agent watch` on a real engine: what vanishes or falls is brought back, what was put away is left, and nothing is tried for ever.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use offspot_tests::agent_run;
use offspot_tests::rig::Rig;

/// A box whose services are up, and its watch.
struct Watched {
    rig: Rig,
    watch: Option<Child>,
}

impl Watched {
    /// Brings the services up by a run, and starts to watch.
    fn new(name: &str, services: &str) -> Watched {
        let this = Watched::unwatched(name, services);
        this.watched()
    }

    fn unwatched(name: &str, services: &str) -> Watched {
        let this = Watched { rig: Rig::new(name), watch: None };
        fs::create_dir_all(this.root().join("boot/firmware")).unwrap();
        this.set(services);
        this
    }

    fn set(&self, services: &str) {
        let indented: String = services.lines().map(|line| format!("  {line}\n")).collect();
        let settings = format!("containers:\n{indented}status: {{health_limit: 20}}\n");
        fs::write(self.root().join("boot/firmware/offspot.yaml"), settings).unwrap();
        let ran = self.agent(&["run"]);
        let code = ran.status.code();
        assert!(matches!(code, Some(0 | 1)), "{code:?} {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn watched(mut self) -> Watched {
        let log = fs::File::options().append(true).create(true).open(self.log_path()).unwrap();
        self.watch = Some(self.command(&["watch"]).stderr(log).spawn().unwrap());
        self.until("it watches", 20, || self.log().contains("watching the services"));
        // Its first look.
        std::thread::sleep(Duration::from_secs(3));
        self
    }

    fn root(&self) -> PathBuf {
        self.rig.root()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(agent_run::built().expect("the agent")).args(arguments);
        command.arg("--root").arg(self.root());
        command.arg("--docker-host").arg(format!("unix://{}", self.rig.engine().socket().display()));
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
        command
    }

    fn agent(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.root().join("watch.log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits for something to become true.
    fn until(&self, what: &str, seconds: u64, is: impl Fn() -> bool) -> Duration {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < Duration::from_secs(seconds), "{what} within {seconds} s:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        begun.elapsed()
    }

    fn runs(&self, name: &str) -> bool {
        let format = "{{.Names}} {{.State}}";
        let listed = self.rig.engine().docker(&["ps", "-a", "--format", format]);
        listed.lines().any(|line| line == format!("{name} running"))
    }

    fn docker(&self, arguments: &[&str]) -> String {
        self.rig.engine().docker(arguments).trim().to_owned()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            let _ = watch.kill();
            let _ = watch.wait();
        }
    }
}

#[test]
fn a_container_that_is_removed_is_back_within_seconds_and_its_neighbours_are_left_alone() {
    let this = Watched::unwatched(
        "w1",
        "
services:
  web: {image: tiny:1, container_name: web, restart: unless-stopped, command: httpd -f -p 80 -h /bin, volumes: ['/cache']}
  front: {image: tiny:1, container_name: front, restart: always, depends_on: [web], links: ['web:library']}",
    )
    .watched();
    this.rig.exec(&["web", "touch", "/cache/mine"]);
    let front = this.rig.id("front");
    this.docker(&["rm", "-f", "web"]);
    let took = this.until("web is back", 20, || this.runs("web"));
    eprintln!("back after {took:?}");
    this.rig.exec(&["front", "wget", "-qO-", "http://library/sh"]);
    assert_eq!(this.rig.id("front"), front);
    this.docker(&["rm", "-f", "front"]);
    this.until("front is back", 20, || this.runs("front"));
    this.rig.exec(&["front", "wget", "-qO-", "http://library/sh"]);
    assert_eq!(this.rig.names(), ["front", "web"]);
}
