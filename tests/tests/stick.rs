//! A stick: a filesystem with a folder `offspot`, mounted for the time of a run and not a moment longer; what lies on it is found, and links lead
//! nowhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use offspot_agent::card::stick::{Plugged, Sticks, plug_in};
use offspot_agent::host::Host;
use offspot_agent::images::{self, TarballState};
use offspot_agent::receipts::Receipts;
use offspot_agent::report::Reporter;
use offspot_config::settings::OciImage;
use offspot_tests::agent_run;
use offspot_tests::image_tarball::{Sample, docker, gnu, hex};
use offspot_tests::loop_card::run;
use offspot_tests::servers::misbehaving::{Resource, Server};

/// A box, and a stick that is a file behind a loop device.
struct Bed {
    base: PathBuf,
    device: String,
}

impl Bed {
    /// A stick with this filesystem, on which `fill` puts something.
    fn new(name: &str, mkfs: &[&str], fill: impl FnOnce(&Path)) -> Bed {
        let base = std::env::temp_dir().join(format!("offspot-stick-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let (content, image) = (base.join("content"), base.join("stick.img"));
        fs::create_dir_all(base.join("root/boot/firmware")).unwrap();
        fs::create_dir_all(base.join("root/data")).unwrap();
        fs::create_dir_all(&content).unwrap();
        fill(&content);
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let (program, options) = mkfs.split_first().unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run(program, &[options, &["-q", "-d", &path(&content), &path(&image)]].concat());
        let device = run("losetup", &["-f", "--show", &path(&image)]).trim().to_owned();
        Bed { base, device }
    }

    fn host(&self) -> Host {
        Host::new(self.base.join("root"))
    }

    /// Where the first stick is mounted.
    fn point(&self) -> PathBuf {
        self.host().path("/run/offspot/stick/0")
    }

    /// Options of its mount, none where it is not mounted.
    fn mounted(&self) -> Option<String> {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let point = self.point().canonicalize().ok()?;
        let mut words = all.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        Some(words.find(|words| Path::new(words[4]) == point)?[5].to_owned())
    }

    fn plug_in(&self, named: &str) -> (Plugged, Vec<String>) {
        let (report, status) = Reporter::new();
        let plugged = plug_in(&self.host(), None, Some(Path::new(named)), &report);
        (plugged, status.borrow().notes.clone())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-q", "-l"]).arg(self.point()).status();
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn content(stick: &Path) {
    for folder in ["offspot/files/zims", "offspot/images", "offspot/mirror.org/zim"] {
        fs::create_dir_all(stick.join(folder)).unwrap();
    }
    fs::write(stick.join("offspot/files/zims/wiki.zim"), "by its path").unwrap();
    fs::write(stick.join("offspot/files/wiki.zim"), "by its name").unwrap();
    fs::write(stick.join("offspot/mirror.org/zim/wiki_fr.zim"), "by its URL").unwrap();
    symlink("/etc/passwd", stick.join("offspot/files/passwd")).unwrap();
    symlink("../../../../..", stick.join("offspot/up")).unwrap();
}

#[test]
fn what_lies_on_a_stick_is_found_and_nothing_is_written_on_it() {
    for mkfs in [["mke2fs", "-t", "ext4"].as_slice(), &["mke2fs", "-t", "ext4", "-O", "^has_journal"]] {
        let bed = Bed::new("found", mkfs, content);
        let before = fs::read(bed.base.join("stick.img")).unwrap();
        let (plugged, notes) = bed.plug_in(&bed.device);
        assert_eq!(notes, [format!("a stick is used: {} (ext4)", bed.device.trim_start_matches("/dev/"))]);
        let options = bed.mounted().expect("it is mounted");
        for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
            assert!(options.split(',').any(|one| one == option), "{option} in {options}");
        }
        let sticks = Sticks::here(&bed.host());
        let found = sticks.files("/data/zims/wiki.zim", &["https://mirror.org/zim/wiki_fr.zim?x=1"]);
        let texts: Vec<_> = found.iter().map(|path| fs::read_to_string(bed.host().path(path)).unwrap()).collect();
        assert_eq!(texts, ["by its path", "by its name", "by its URL"]);
        assert!(sticks.files("/data/passwd", &["http://h/up/etc/passwd"]).is_empty());
        assert!(fs::write(bed.point().join("x"), "").is_err(), "it can be written");
        drop(plugged);
        assert!(bed.mounted().is_none() && !bed.point().exists(), "it is still there");
        assert!(fs::read(bed.base.join("stick.img")).unwrap() == before, "the stick has changed");
    }
}

#[test]
fn a_run_that_was_cut_leaves_no_stick_for_ever() {
    let bed = Bed::new("cut", &["mke2fs", "-t", "ext4"], content);
    std::mem::forget(bed.plug_in(&bed.device).0);
    assert!(bed.mounted().is_some());
    let (plugged, notes) = bed.plug_in(bed.base.join("content").to_str().unwrap());
    assert_eq!(notes, [format!("a stick is used: {} (a folder)", bed.base.join("content").display())]);
    assert_eq!(Sticks::here(&bed.host()).files("/data/wiki.zim", &[]).len(), 1);
    assert!(bed.mounted().is_some_and(|options| options.starts_with("ro,nosuid,nodev,noexec")), "{:?}", bed.mounted());
    drop(plugged);
    assert!(bed.mounted().is_none());
}

#[test]
fn what_is_no_stick_is_said_and_left() {
    let bed = Bed::new("none", &["mke2fs", "-t", "ext4"], |stick| fs::write(stick.join("other"), "").unwrap());
    let name = bed.device.trim_start_matches("/dev/");
    let said = |named: &str| bed.plug_in(named).1.join("\n");
    assert_eq!(said(&bed.device), format!("the stick {name} has no folder offspot"));
    assert!(said("/dev/null").starts_with("the stick /dev/null cannot be used"), "{}", said("/dev/null"));
    assert!(said("/nowhere/at/all").contains("cannot be used"));
    // In use elsewhere it is left alone.
    let elsewhere = bed.base.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    run("mount", &["-o", "ro", &bed.device, elsewhere.to_str().unwrap()]);
    assert!(said(&bed.device).contains("it is mounted already"), "{}", said(&bed.device));
    run("umount", &[elsewhere.to_str().unwrap()]);
    fs::write(bed.base.join("stick.img"), vec![7; 32 << 20]).unwrap();
    assert!(said(&bed.device).contains("no filesystem that this box can read"), "{}", said(&bed.device));
    assert!(bed.mounted().is_none());
}

#[test]
fn images_of_a_stick_are_taken_where_they_are_asked_for_and_never_removed() {
    let tarball = |name: &str| gnu(&docker(&[&Sample::small(name)]));
    let bed = Bed::new("images", &["mke2fs", "-t", "ext4"], |stick| {
        fs::create_dir_all(stick.join("offspot/images")).unwrap();
        for name in ["wanted", "other", "both"] {
            fs::write(stick.join(format!("offspot/images/{name}.tar")), tarball(&format!("{name}:1"))).unwrap();
        }
        symlink("/etc/hostname", stick.join("offspot/images/link.tar")).unwrap();
    });
    let host = bed.host();
    fs::create_dir_all(host.images()).unwrap();
    fs::write(host.images().join("both.tar"), tarball("both:1")).unwrap();
    let (receipts, _) = Receipts::open(&host.state()).unwrap();
    let image = |name: &str| OciImage {
        ident: name.into(),
        url: Some(format!("https://nowhere.invalid/{name}.tar")),
        mirrors: Vec::new(),
        filesize: None,
        fullsize: None,
        checksum: None,
    };
    let (_plugged, _) = bed.plug_in(&bed.device);
    let names = |wanted: &[OciImage]| -> Vec<(String, bool)> {
        let found = images::survey(&host, wanted, &receipts);
        assert!(found.iter().all(|tarball| matches!(tarball.state, TarballState::Archive(_))), "{found:?}");
        found.into_iter().map(|tarball| (tarball.path, tarball.removable)).collect()
    };
    let own = ("/data/images/both.tar".to_owned(), true);
    assert_eq!(names(&[]), std::slice::from_ref(&own));
    let from_stick = ("offspot/images/wanted.tar on the stick".to_owned(), false);
    assert_eq!(names(&[image("wanted:1"), image("both:1")]), [own, from_stick]);
}

#[test]
fn a_run_tells_of_its_stick_and_takes_it_away() {
    let bed = Bed::new("run", &["mke2fs", "-t", "ext4"], |stick| {
        content(stick);
        fs::write(stick.join("offspot/files/right.bin"), "wrong").unwrap();
    });
    let root = bed.base.join("root");
    let server = Server::start().unwrap();
    server.serve("/right.bin", Resource::new("right"));
    // Nobody listens where the first is said to be; the second is another one on the stick.
    let settings = format!(
        "files:\n- {{to: /data/zims/wiki.zim, url: 'http://127.0.0.1:9/other.zim'}}\n\
         - {{to: /data/right.bin, url: '{}', checksum: {{algo: sha-256, value: {}}}}}\n",
        server.url("/right.bin"),
        hex(b"right")
    );
    fs::write(root.join("boot/firmware/offspot.yaml"), settings).unwrap();
    let agent = |more: &[&str]| {
        let mut agent = Command::new(agent_run::built().expect("the agent"));
        agent.args(["run", "--docker-host", "unix:///nowhere/docker.sock", "--root"]).arg(&root).args(more);
        assert_eq!(agent.output().unwrap().status.code(), Some(0));
        fs::read_to_string(root.join("boot/firmware/OFFSPOT-STATUS.txt")).unwrap()
    };
    let text = agent(&["--stick", &bed.device]);
    assert!(text.contains(&format!("a stick is used: {}", bed.device.trim_start_matches("/dev/"))), "{text}");
    assert!(text.contains("from the stick"), "{text}");
    assert_eq!(fs::read_to_string(root.join("data/zims/wiki.zim")).unwrap(), "by its path");
    assert_eq!(fs::read_to_string(root.join("data/right.bin")).unwrap(), "right");
    assert!(text.contains("from 127.0.0.1"), "{text}");
    assert!(bed.mounted().is_none());
    assert!(!agent(&[]).contains("a stick is used"), "another root looks for none");
}
