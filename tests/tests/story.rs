//! The story as its users meet it: exit code, status files, LED, lock, plan. Boxes are folders; one has a real card.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use offspot_tests::agent_run;
use offspot_tests::loop_card::{LoopCard, Recipe, attempt, run};
use serde_json::Value;

/// A box in a folder, with an LED.
struct Box {
    root: PathBuf,
}

impl Box {
    fn new(name: &str, settings: &str) -> Box {
        let root = std::env::temp_dir().join(format!("o-story-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Box { root }.filled(settings)
    }

    fn filled(self, settings: &str) -> Box {
        self.add_led();
        fs::create_dir_all(self.root.join("boot/firmware")).unwrap();
        self.set(settings);
        self
    }

    /// As the kernel shows it after a start.
    fn add_led(&self) {
        let led = self.root.join("sys/class/leds/ACT");
        fs::create_dir_all(&led).unwrap();
        fs::write(led.join("trigger"), "none timer pattern [mmc0]\n").unwrap();
        fs::write(led.join("max_brightness"), "1\n").unwrap();
    }

    fn set(&self, settings: &str) {
        fs::write(self.root.join("boot/firmware/offspot.yaml"), settings).unwrap();
    }

    fn agent(&self, arguments: &[&str]) -> Output {
        let mut agent = Command::new(agent_run::built().expect("the agent"));
        agent.args(arguments).arg("--root").arg(&self.root).args(["--docker-host", "unix:///nowhere/docker.sock"]);
        agent.output().unwrap()
    }

    fn run(&self) -> i32 {
        self.agent(&["run"]).status.code().expect("no signal")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The newest slot on the boot partition.
    fn status_on_card(&self) -> Value {
        let slots = ["offspot-status.json", "offspot-status-2.json"];
        let slots = slots.map(|slot| self.read(&format!("boot/firmware/{slot}")));
        let slots = slots.iter().map(|slot| serde_json::from_str::<Value>(slot.trim_end()).unwrap());
        slots.max_by_key(|slot| slot["seq"].as_u64()).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.agent(&["status", "--json"]).stdout).unwrap()
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn codes(status: &Value) -> Vec<&str> {
    status["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[test]
fn nothing_asked_for_is_ready_and_the_led_is_given_back() {
    let this = Box::new("ready", "---\n");
    assert_eq!(this.run(), 0);
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("READY"));
    assert_eq!(this.read("sys/class/leds/ACT/trigger"), "mmc0");
    assert_eq!(this.status()["verdict"], "READY");
}

#[test]
fn a_broken_file_leaves_the_last_good_settings_in_force_and_is_named_with_its_line() {
    let this = Box::new("broken", "hostname: library\nap: {ssid: Village, passphrase: only for us}\n");
    assert_eq!(this.run(), 0);
    let good = this.read("etc/offspot/latest.yaml");
    this.set("hostname: library\nap:\n\tssid: Village\n");
    this.add_led();
    assert_eq!(this.run(), 2);
    assert_eq!(this.read("etc/offspot/latest.yaml"), good);
    let text = this.read("boot/firmware/OFFSPOT-STATUS.txt");
    assert!(text.starts_with("DEGRADED: 1 problem") && text.contains("line 3, column 1"), "{text}");
    assert!(text.contains("one long flash, then 2 short"), "{text}");
    assert_eq!(this.read("sys/class/leds/ACT/trigger"), "pattern");
}

#[test]
fn no_secret_leaves_the_settings() {
    let this = Box::new("secret", "ap: {ssid: Village, passphrase: \"hunter2hunter\u{e9}\"}\n");
    assert_eq!(this.run(), 2);
    for file in ["OFFSPOT-STATUS.txt", "offspot-status.json", "offspot-status-2.json"] {
        assert!(!this.read(&format!("boot/firmware/{file}")).contains("hunter2"), "{file}");
    }
    let said = this.agent(&["check", "boot/firmware/offspot.yaml"]);
    assert!(!String::from_utf8_lossy(&said.stdout).contains("hunter2"));
    assert!(!String::from_utf8_lossy(&this.agent(&["run"]).stderr).contains("hunter2"));
}

#[test]
fn the_missing_file_is_said_and_content_is_placed_without_an_engine() {
    let this =
        Box::new("engine", "files: [{to: /data/a.txt, content: hello}]\ncontainers: {services: {web: {image: w}}}\n");
    assert_eq!(this.run(), 5);
    assert_eq!(this.read("data/a.txt"), "hello");
    assert_eq!(codes(&this.status()), ["E-ENGINE-SILENT", "E-SERVICE-NO-ENGINE"]);
    fs::remove_file(this.root.join("boot/firmware/offspot.yaml")).unwrap();
    assert_eq!(this.run(), 5, "the last good settings stay in force");
    assert_eq!(codes(&this.status())[0], "E-CFG-MISSING");
}

#[test]
fn a_status_that_cannot_be_written_is_no_success() {
    let this = Box::new("unwritable", "---\n");
    fs::create_dir_all(this.root.join("boot/firmware/offspot-status.json")).unwrap();
    fs::create_dir_all(this.root.join("boot/firmware/offspot-status-2.json")).unwrap();
    assert_eq!(this.run(), 3);
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").contains("E-CARD-BOOT"), "what can be written is");
}

#[test]
fn a_run_that_died_is_not_called_working() {
    let this = Box::new("died", "files: [{to: /data/a.txt, content: hello}]\n");
    let agent = agent_run::built().expect("the agent");
    let killed = Command::new(env!("CARGO_BIN_EXE_killer"))
        .arg("24")
        .arg(agent)
        .arg("run")
        .arg("--root")
        .arg(&this.root)
        .status();
    assert_eq!(killed.unwrap().code(), Some(137));
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("WORKING"));
    let status = this.agent(&["status", "--watch"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stderr).contains("has died"));
}

#[test]
fn links_of_another_root_do_not_lead_out_of_it() {
    let this = Box::new("links", "hostname: library\n");
    let outside = this.root.with_extension("outside");
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, this.root.join("etc")).unwrap();
    assert_eq!(this.run(), 1);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_dir(&outside).unwrap();
}

#[test]
fn what_cannot_fit_is_refused_by_name_before_it_is_touched() {
    let huge =
        "files:\n- {to: /data/huge.zim, url: file:///boot/firmware/huge.zim}\n- {to: /data/small, content: fits}\n";
    let this = Box::new("huge", huge);
    let file = fs::File::create(this.root.join("boot/firmware/huge.zim")).unwrap();
    file.set_len(8 << 40).unwrap();
    let plan = this.agent(&["plan", "--json"]);
    assert_eq!(plan.status.code(), Some(4));
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["plan"]["refused"][0]["name"], "/data/huge.zim");
    assert_eq!(plan["plan"]["files"][0]["name"], "/data/small");
    assert!(!this.root.join("data").exists() || !this.root.join("data/.offspot").exists(), "plan changes nothing");
    assert_eq!(this.run(), 4);
    assert_eq!(this.read("data/small"), "fits");
    assert!(!this.root.join("data/huge.zim").exists());
}

#[test]
fn a_second_run_at_the_same_time_learns_who_holds_the_lock() {
    let this = Box::new("lock", "---\n");
    // Built before the clock of the holder runs.
    agent_run::built().expect("the agent");
    fs::create_dir_all(this.root.join("run/offspot")).unwrap();
    let lock = this.root.join("run/offspot/agent.lock");
    let held = format!("echo 4711 > {}; exec sleep 60", lock.display());
    let mut holder =
        Command::new("flock").arg(&lock).args(["sh", "-c", &held]).spawn().expect("apt-get install util-linux");
    while fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let busy = this.agent(&["run"]);
    run("pkill", &["-P", &holder.id().to_string()]);
    holder.wait().unwrap();
    assert_eq!(busy.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&busy.stderr).contains("pid 4711"));
    assert_eq!(this.run(), 0, "the file that stays holds nothing");
}

/// Every way to have no data partition: what is done to the card, and the code that names it.
#[test]
fn without_a_data_partition_it_is_stopped_and_says_so() {
    for (name, harm, code) in [
        ("zeroed", "dd if=/dev/zero of=$0p3 bs=1M conv=fsync", "E-CARD-FILESYSTEM"),
        ("noise", "dd if=/dev/urandom of=$0p3 bs=1M count=4 conv=fsync", "E-CARD-FILESYSTEM"),
        ("another filesystem", "mkfs.vfat $0p3", "E-CARD-FILESYSTEM"),
        ("none in the table", "partx -d $0; sfdisk -q --no-reread --delete $0 3; partx -a $0", "E-CARD-NO-DATA"),
        ("no table", "partx -d $0; dd if=/dev/zero of=$0 bs=512 count=1 conv=fsync", "E-CARD-TABLE"),
    ] {
        let card = LoopCard::new(&Recipe { image: 512, card: 1024, data: 128, ..Recipe::default() });
        let this = Box { root: card.host().root().to_owned() }.filled("hostname: library\n");
        attempt("sh", &["-c", harm, card.device()]);
        let before = card.bytes(136 << 20, 128 << 20);
        let exit = this.agent(&["run", "--card", card.device()]).status.code();
        assert_eq!((codes(&this.status()).as_slice(), exit), ([code].as_slice(), Some(3)), "{name}");
        assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("STOPPED"), "{name}");
        assert_eq!(this.read("sys/class/leds/ACT/pattern").matches("1 250").count(), 3, "{name}: LED code 3");
        assert!(this.read("etc/offspot/latest.yaml").contains("hostname: library"), "{name}: the settings are kept");
        assert!(before == card.bytes(136 << 20, 128 << 20), "{name}: nothing is formatted");
    }
}

/// Inode and time of every change of every file below `folders`.
fn witnesses(root: &std::path::Path, folders: &[&str]) -> Vec<String> {
    let folders: Vec<String> = folders.iter().map(|folder| root.join(folder).display().to_string()).collect();
    let mut arguments: Vec<&str> = folders.iter().map(String::as_str).collect();
    arguments.extend(["-printf", "%P %y %i %s %T@ %C@\n"]);
    let mut lines: Vec<String> = run("find", &arguments).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_second_boot_adds_one_receipt_and_two_words_on_the_boot_partition() {
    let this = Box::new("second", "hostname: library\nfiles: [{to: /data/a.txt, content: hello}]\n");
    assert_eq!(this.run(), 0);
    let seq = |this: &Box| this.status_on_card()["seq"].as_u64().unwrap();
    let (words, receipts) = (seq(&this), this.read("data/.offspot/receipts"));
    let before = witnesses(&this.root, &["etc", "data"]);
    this.add_led();
    assert_eq!(this.run(), 0);
    assert_eq!(seq(&this), words + 2);
    let added = this.read("data/.offspot/receipts").strip_prefix(&receipts).expect("appended").to_owned();
    assert_eq!(added.lines().count(), 1);
    let after = witnesses(&this.root, &["etc", "data"]);
    let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(changed.len() == 1 && changed[0].starts_with(".offspot/receipts "), "{changed:?}");
}

#[test]
fn the_status_says_where_the_time_went() {
    let this = Box::new("timeline", "containers: {services: {web: {image: w}}}\n");
    assert_eq!(this.run(), 5);
    let timeline = &this.status_on_card()["timeline"];
    let steps = timeline["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["phase"].as_str().unwrap()).collect();
    assert_eq!(names, ["alive", "settings", "card", "plan", "host", "content", "engine", "done"]);
    assert!(timeline["started_ms"].as_u64().unwrap() > 0 && steps[6]["ms"].as_u64().unwrap() >= 5000, "{timeline}");
}

#[test]
fn a_run_that_is_terminated_says_so_on_the_card_and_the_next_one_goes_on() {
    let this = Box::new("term", "containers: {services: {web: {image: w}}}\n");
    // Somebody holds the socket and never answers, as systemd does while the engine starts.
    let socket = this.root.join("held.sock");
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut agent = Command::new(agent_run::built().expect("the agent"));
    agent.arg("run").arg("--root").arg(&this.root);
    let mut agent = agent.arg("--docker-host").arg(format!("unix://{}", socket.display())).spawn().unwrap();
    let phase = || {
        let live = fs::read_to_string(this.root.join("run/offspot/status.json")).unwrap_or_default();
        serde_json::from_str::<Value>(&live).unwrap_or_default()["phase"].as_str().map(str::to_owned)
    };
    let begun = std::time::Instant::now();
    while phase().as_deref() != Some("engine") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", phase());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("WORKING"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(130));
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("INTERRUPTED"));
    assert_eq!(
        (this.status_on_card()["verdict"].as_str(), this.status()["exit_code"].as_u64()),
        (Some("INTERRUPTED"), Some(130))
    );
    assert_eq!(this.read("sys/class/leds/ACT/trigger"), "mmc0");
    assert_eq!(this.run(), 5);
    assert!(this.read("boot/firmware/OFFSPOT-STATUS.txt").starts_with("DEGRADED"));
}
