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
    this.rig.exec(&["web", "ls", "/cache/mine"]);
    assert_eq!(this.rig.id("front"), front);
    this.docker(&["rm", "-f", "front"]);
    this.until("front is back", 20, || this.runs("front"));
    this.rig.exec(&["front", "wget", "-qO-", "http://library/sh"]);
    assert_eq!(this.rig.names(), ["front", "web"]);
}

#[test]
fn what_only_depends_on_a_neighbour_is_back_too_and_the_lock_is_free_again() {
    let this = Watched::new(
        "w7",
        "
services:
  db: {image: tiny:1, container_name: db, restart: always}
  web: {image: tiny:1, container_name: web, restart: always, depends_on: [db]}
  again:
    image: tiny:1
    container_name: again
    restart: always
    depends_on: {web: {condition: service_started, restart: true}, db: {condition: service_started, restart: true}}",
    );
    let db = this.rig.id("db");
    for name in ["web", "again"] {
        this.docker(&["rm", "-f", name]);
        this.until("it is back", 20, || this.runs(name));
    }
    assert_eq!(this.rig.id("db"), db);
    std::thread::sleep(Duration::from_secs(4));
    let ran = this.agent(&["run"]);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    this.docker(&["rm", "-f", "db"]);
    this.until("db is back", 20, || this.runs("db"));
    assert_eq!(this.rig.names(), ["again", "db", "web"]);
}

#[test]
fn what_waits_for_the_health_of_a_neighbour_is_brought_back_when_that_is_well() {
    let services = "
services:
  db:
    image: tiny:1
    container_name: db
    restart: always
    volumes: ['/data/db:/data']
    healthcheck: {test: test -e /data/ok, interval: 1s, retries: 1}
  web: {image: tiny:1, container_name: web, restart: always, depends_on: {db: {condition: service_healthy}}}";
    let this = Watched::unwatched("w8", "services: {good: {image: tiny:1}}");
    let ok = this.root().join("data/db/ok");
    fs::create_dir_all(this.root().join("data/db")).unwrap();
    fs::write(&ok, "").unwrap();
    this.set(services);
    let this = this.watched();
    let db = this.rig.id("db");
    this.docker(&["rm", "-f", "web"]);
    this.until("web is back", 20, || this.runs("web"));
    fs::remove_file(&ok).unwrap();
    let health = || this.rig.inspect("db", "{{.State.Health.Status}}");
    this.until("db is unwell", 20, || health() == "unhealthy");
    this.docker(&["rm", "-f", "web"]);
    std::thread::sleep(Duration::from_secs(8));
    assert!(!this.runs("web"), "its condition is honoured\n{}", this.log());
    fs::write(&ok, "").unwrap();
    this.until("web is back", 20, || this.runs("web"));
    assert_eq!(this.rig.id("db"), db);
}

#[test]
fn what_ends_in_error_is_told_until_it_runs_again_and_nothing_is_brought_back_before_the_verdict() {
    let this = Watched::unwatched("w9", "services: {good: {image: tiny:1}}");
    let ok = this.root().join("data/frail/ok");
    fs::create_dir_all(ok.parent().unwrap()).unwrap();
    fs::write(&ok, "").unwrap();
    this.set(
        "
services:
  frail:
    image: tiny:1
    container_name: frail
    command: sh -c 'while test -e /data/ok; do sleep 0.2; done; exit 3'
    volumes: ['/data/frail:/data']
  good: {image: tiny:1, container_name: good, restart: always}",
    );
    let this = this.watched();
    let text = || fs::read_to_string(this.root().join("boot/firmware/OFFSPOT-STATUS.txt")).unwrap();
    assert!(text().starts_with("READY"), "{}", text());
    fs::remove_file(&ok).unwrap();
    this.until("its end is told", 30, || text().contains("E-SERVICE-ENDED"));
    assert!(text().contains("exit code 3") && text().starts_with("DEGRADED: 1 problem"), "{}", text());
    fs::write(&ok, "").unwrap();
    this.docker(&["start", "frail"]);
    this.until("it is taken back", 30, || text().starts_with("READY"));
    let (live, aside) = (this.root().join("run/offspot/status.json"), this.root().join("run/offspot/aside"));
    fs::rename(&live, &aside).unwrap();
    this.docker(&["rm", "-f", "good"]);
    std::thread::sleep(Duration::from_secs(6));
    assert!(!this.runs("good"), "{}", this.log());
    fs::rename(&aside, &live).unwrap();
    this.until("good is back", 45, || this.runs("good"));
}

#[test]
fn where_there_are_no_services_it_waits_for_them() {
    let this = Watched { rig: Rig::new("w10"), watch: None };
    let mut watch = this.command(&["watch"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let ended = watch.try_wait().unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(ended, None);
}

const TWO: &str = "
services:
  web:
    image: tiny:1
    container_name: web
    restart: unless-stopped
    stop_signal: SIGKILL
    command: httpd -f -p 80 -h /bin
    ports: ['8080:80']
    networks: {default: {aliases: [library]}, back: {}}
  front: {image: tiny:1, container_name: front, restart: always, stop_signal: SIGKILL}
networks: {back: {}}";

#[test]
fn a_network_that_is_gone_is_back_with_all_its_services() {
    let this = Watched::new("w2", TWO);
    let port = || {
        let page = this.rig.engine().run_in_netns(&["busybox", "wget", "-qO-", "http://127.0.0.1:8080/sh"]);
        page.unwrap().status.success()
    };
    assert!(port());
    for name in ["web", "front"] {
        this.docker(&["network", "disconnect", "-f", "offspot_default", name]);
    }
    this.docker(&["network", "rm", "offspot_default"]);
    let reachable = || {
        let get = |name: &str| {
            let url = format!("http://{name}/sh");
            this.rig.engine().try_docker(&["exec", "front", "wget", "-qO-", &url])
        };
        get("web") && get("library")
    };
    let took = this.until("the network is back", 20, reachable);
    eprintln!("back after {took:?}");
    this.until("the port answers", 5, port);
    let front = this.rig.id("front");
    this.docker(&["network", "disconnect", "offspot_back", "web"]);
    // While it is made anew there is none.
    let networks = || this.docker(&["ps", "--filter", "name=^web$", "--format", "{{.Networks}}"]);
    this.until("connected again", 20, || networks() == "offspot_back,offspot_default");
    this.until("it answers", 5, || reachable() && port());
    assert_eq!(this.rig.id("front"), front, "its neighbour is left alone");
}

#[test]
fn after_the_engine_died_all_run_again_but_what_was_stopped_by_hand() {
    let services = format!(
        "{}\n  plain: {{image: tiny:1}}\n  once: {{image: tiny:1, command: 'true'}}\n  off: {{image: tiny:1, restart: unless-stopped, stop_signal: SIGKILL}}\nnetworks: {{back: {{}}}}",
        TWO.split("\nnetworks:").next().unwrap()
    );
    let mut this = Watched::new("w3", &services);
    this.docker(&["stop", "offspot-off-1"]);
    std::thread::sleep(Duration::from_secs(4));
    let names = this.rig.names();
    let once = this.rig.id("offspot-once-1");
    let ids: Vec<String> = names.iter().map(|name| this.rig.inspect(name, "{{.Id}}")).collect();
    for _ in 0..2 {
        this.rig.engine.as_mut().expect("an engine").kill_and_restart();
        this.until("all run", 40, || ["web", "front", "offspot-plain-1"].iter().all(|name| this.runs(name)));
    }
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(this.rig.names(), names, "none twice");
    assert_eq!(names.iter().map(|name| this.rig.inspect(name, "{{.Id}}")).collect::<Vec<_>>(), ids);
    assert!(!this.runs("offspot-off-1"));
    assert_eq!(this.rig.id("offspot-once-1"), once, "it had ended");
    this.rig.exec(&["front", "wget", "-qO-", "http://library/sh"]);
}

#[test]
fn what_ended_well_because_the_engine_went_is_started_again() {
    let mut this = Watched::new(
        "w11",
        "
services:
  polite: {image: tiny:1, container_name: polite, command: \"sh -c 'trap \\\"exit 0\\\" TERM; while :; do sleep 0.1; done'\"}
  after: {image: tiny:1, container_name: after, restart: always, stop_signal: SIGKILL, depends_on: [polite]}
  once: {image: tiny:1, container_name: once, command: 'true'}",
    );
    let (names, once) = (["polite", "after"], this.rig.id("once"));
    let ids = names.map(|name| this.rig.inspect(name, "{{.Id}}"));
    let engine = this.rig.engine().pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &engine]).status().unwrap().success());
    this.until("the engine goes", 30, || this.log().contains("the engine went away"));
    // It stops its containers first.
    std::thread::sleep(Duration::from_secs(3));
    this.rig.engine.as_mut().expect("an engine").kill_and_restart();
    this.until("all run", 60, || names.iter().all(|name| this.runs(name)));
    assert!(this.log().contains("polite is down: it ended with the engine"), "{}", this.log());
    assert_eq!(ids, names.map(|name| this.rig.inspect(name, "{{.Id}}")));
    assert_eq!(this.rig.id("once"), once, "it had done its work");
}

#[test]
fn what_fails_for_good_is_told_and_not_tried_for_ever() {
    let services = "
services:
  good: {image: tiny:1, container_name: good, restart: always}
  loop:
    image: tiny:1
    container_name: loop
    restart: always
    command: sh -c 'while test -e /data/ok; do sleep 0.2; done; exit 3'
    volumes: ['/data/loop:/data']
  lost: {image: 'other:1', container_name: lost, restart: always}";
    let this = Watched::unwatched("w4", "services: {good: {image: tiny:1}}");
    this.rig.image("other:1", &["ENV OTHER=1"]);
    fs::create_dir_all(this.root().join("data/loop")).unwrap();
    fs::write(this.root().join("data/loop/ok"), "").unwrap();
    this.set(services);
    let this = this.watched();
    let text = || fs::read_to_string(this.root().join("boot/firmware/OFFSPOT-STATUS.txt")).unwrap();
    assert!(text().starts_with("READY"), "{}", text());
    let (good, begun) = (this.rig.id("good"), Instant::now());
    fs::remove_file(this.root().join("data/loop/ok")).unwrap();
    this.until("the loop is told", 60, || text().contains("E-SERVICE-LOOPING"));
    assert!(text().contains("exit code 3") && text().starts_with("DEGRADED: 1 problem"), "{}", text());
    this.docker(&["rm", "-f", "lost"]);
    this.docker(&["rmi", "other:1"]);
    this.until("the loss is told", 90, || text().contains("E-SERVICE-NO-IMAGE"));
    assert!(text().starts_with("DEGRADED: 2 problems"), "{}", text());
    let status: serde_json::Value = serde_json::from_slice(&this.agent(&["status", "--json"]).stdout).unwrap();
    assert_eq!((status["verdict"].as_str(), status["led"].as_u64()), (Some("DEGRADED"), Some(7)));
    let written = text();
    std::thread::sleep(Duration::from_secs(90u64.saturating_sub(begun.elapsed().as_secs())));
    assert_eq!(text(), written, "told once");
    let (log, since) = (this.log(), format!("{}s", begun.elapsed().as_secs()));
    // 1, 2, 4, 8, 16, 32 s, a quarter less each: at most eight in a minute and a half.
    let tries = log.lines().filter(|line| line.contains("lost is down")).count();
    assert!((5..=8).contains(&tries), "{tries}\n{log}");
    assert!(!log.contains("loop is down"), "the engine's own business\n{log}");
    let started =
        this.docker(&["events", "--since", &since, "--until", "0s", "-f", "container=loop", "-f", "event=start"]);
    eprintln!("{tries} tries, {} starts by the engine", started.lines().count());
    assert!(started.lines().count() <= 14, "the engine's own pace\n{started}");
    assert_eq!(this.rig.id("good"), good);
    // The image is back: so is the service, at the next try.
    this.rig.image("other:1", &["ENV OTHER=1"]);
    this.until("lost is back", 90, || this.runs("lost"));
}

#[test]
fn what_was_put_away_by_hand_stays_away_until_it_is_started() {
    let this = Watched::new("w5", TWO);
    this.docker(&["stop", "web"]);
    std::thread::sleep(Duration::from_secs(8));
    assert!(!this.runs("web") && this.runs("front"));
    // A repair beside it does not wake it.
    this.docker(&["rm", "-f", "front"]);
    this.until("front is back", 20, || this.runs("front"));
    assert!(!this.runs("web"));
    this.docker(&["start", "web"]);
    this.docker(&["rm", "-f", "web"]);
    this.until("web is back", 20, || this.runs("web"));
    let file = this.root().join("etc/docker/compose.yml");
    let compose = |arguments: &[&str]| {
        let mut command = Command::new("docker-compose");
        let socket = format!("unix://{}", this.rig.engine().socket().display());
        command.args(["-H", &socket, "-p", "offspot", "-f", file.to_str().unwrap()]).args(arguments);
        let output = command.output().expect("docker-compose: apt-get install docker-compose");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    compose(&["stop"]);
    std::thread::sleep(Duration::from_secs(6));
    assert!(!this.runs("web") && !this.runs("front"));
    compose(&["start"]);
    compose(&["down"]);
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(this.rig.names(), [""; 0], "{}", this.log());
    assert!(!this.docker(&["network", "ls", "--format", "{{.Name}}"]).contains("offspot_"));
    // The next run, as at the next boot, brings it up, and it is watched again.
    this.set(TWO);
    this.docker(&["rm", "-f", "web"]);
    this.until("web is back", 20, || this.runs("web"));
    // All at once, without stopping it first.
    this.docker(&["rm", "-f", "web", "front"]);
    this.docker(&["network", "rm", "offspot_default", "offspot_back"]);
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(this.rig.names(), [""; 0], "{}", this.log());
}

#[test]
fn a_run_and_the_watch_do_not_fight() {
    let this = Watched::new("w6", TWO);
    for turn in 0..4 {
        let changed = TWO.replace("-h /bin", &format!("-h /bin -r {turn}"));
        // It vanishes, and at the same time a run brings another one up.
        this.docker(&["rm", "-f", if turn % 2 == 0 { "web" } else { "front" }]);
        std::thread::sleep(Duration::from_millis(700 * turn));
        let begun = Instant::now();
        loop {
            let indented: String = changed.lines().map(|line| format!("  {line}\n")).collect();
            fs::write(this.root().join("boot/firmware/offspot.yaml"), format!("containers:\n{indented}")).unwrap();
            match this.agent(&["run"]).status.code() {
                Some(0) => break,
                Some(75) => assert!(begun.elapsed() < Duration::from_secs(60), "the lock is never free"),
                other => panic!("{other:?}\n{}", this.log()),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let after = (this.rig.id("web"), this.rig.id("front"));
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!((this.rig.id("web"), this.rig.id("front")), after, "left as the run made it\n{}", this.log());
        assert_eq!(this.rig.names(), ["front", "web"]);
        assert!(this.rig.inspect("web", "{{.Args}}").contains(&format!("-r {turn}")));
    }
}
