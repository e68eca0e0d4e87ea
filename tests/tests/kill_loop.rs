//! The whole story, killed (SIGKILL) at its calls in turn: the next run completes, nothing is done twice that was durably done, nothing
//! half-done is visible. The kill comes on entering a call: the cut between an engine's answer to a load and our sync is the one at
//! `syncfs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offspot_tests::agent_run;
use offspot_tests::engine::PrivateEngine;
use offspot_tests::image_tarball::{self, Sample};
use offspot_tests::loop_card::{LoopCard, Recipe, attempt, run};

fn agent() -> PathBuf {
    agent_run::built().expect("the agent")
}

/// One run of the agent; `when`: killed at that call.
fn story(arguments: &[&str], when: Option<usize>) -> Output {
    match when {
        None => Command::new(agent()).arg("run").args(arguments).output().unwrap(),
        Some(when) => {
            let mut killer = Command::new(env!("CARGO_BIN_EXE_killer"));
            killer.arg(when.to_string()).arg(agent()).arg("run").args(arguments).output().unwrap()
        }
    }
}

/// Whether it was killed; any other end must be a good one.
fn was_killed(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 137)), "{:?}: {said}", output.status);
    output.status.code() == Some(137)
}

/// What the next run must find and say.
fn complete(arguments: &[&str], when: usize) {
    let again = story(arguments, None);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(0), "after a kill at call {when}: {said}");
}

/// Receipts by what they speak of, boots left out.
fn receipts(root: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(root.join("data/.offspot/receipts")).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(&line[9..]).unwrap();
        let about = match record["did"].as_str().unwrap() {
            "file" => format!("file {}", record["to"]),
            "image" => format!("image {}", record["id"]),
            "tarball" => format!("tarball {}", record["from"]["path"]),
            _ => continue,
        };
        *counts.entry(about).or_insert(0) += 1;
    }
    counts
}

/// A status that says READY although the run was cut before its verdict would be a lie.
fn status_is_honest(root: &Path, when: usize) {
    let text = fs::read_to_string(root.join("boot/firmware/OFFSPOT-STATUS.txt")).unwrap_or_default();
    let journal = fs::read_to_string(root.join("data/.offspot/receipts")).unwrap_or_default();
    if text.starts_with("READY") {
        assert!(journal.contains("READY"), "READY without a verdict on record, killed at call {when}");
    }
}

fn no_parts_in(folder: &Path, when: usize) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".part"), "{name} left in {} after a kill at call {when}", folder.display());
    }
}

#[test]
fn a_card_is_grown_and_filled_whatever_call_the_run_is_killed_at() {
    // As large as on the image: a filesystem of one block group (128 MiB) has no copy of its superblock, and resize2fs killed amid its
    // writing leaves one that nothing repairs.
    let mut card = LoopCard::new(&Recipe { image: 640, card: 1024, data: 256, ..Recipe::default() });
    let root = card.host().root().to_owned();
    fs::create_dir_all(root.join("boot/firmware/offspot/files")).unwrap();
    let big: Vec<u8> = (0..1_500_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.join("boot/firmware/offspot/files/big.zim"), &big).unwrap();
    let settings = "files:\n- to: /data/contents/note.txt\n  content: hello\n\
        - {to: /data/contents/big.zim, url: file:///boot/firmware/offspot/files/big.zim}\n";
    fs::write(root.join("boot/firmware/offspot.yaml"), settings).unwrap();
    let fresh = card.file().with_extension("fresh");
    card.detach();
    run("cp", &["--sparse=always", &card.file().to_string_lossy(), &fresh.to_string_lossy()]);

    // One call in two of the beginning (table, kernel, filesystem), then one in nine.
    let (mut when, mut killed) = (1, 0);
    loop {
        for gone in ["etc", "run", "data", "boot/firmware/OFFSPOT-STATUS.txt"] {
            let _ = fs::remove_dir_all(root.join(gone)).or_else(|_| fs::remove_file(root.join(gone)));
        }
        run("cp", &["--sparse=always", &fresh.to_string_lossy(), &card.file().to_string_lossy()]);
        card.attach();
        let (text_root, device) = (root.to_string_lossy().into_owned(), card.device().to_owned());
        let arguments = ["--root", &text_root, "--card", &device];
        let cut = story(&arguments, Some(when));
        if !was_killed(&cut) {
            card.detach();
            break;
        }
        killed += 1;
        status_is_honest(&root, when);
        // The power is gone: nothing stays mounted.
        card.unmount();
        complete(&arguments, when);
        assert_eq!(fs::read(root.join("data/contents/big.zim")).unwrap(), big, "killed at call {when}");
        assert_eq!(fs::read(root.join("data/contents/note.txt")).unwrap(), b"hello");
        assert!(receipts(&root).values().all(|count| *count == 1), "killed at {when}: {:?}", receipts(&root));
        no_parts_in(&root.join("etc/offspot"), when);
        let sectors: u64 = run("blockdev", &["--getsz", &card.part(3)]).trim().parse().unwrap();
        assert!(sectors > (1024 - 384 - 64 - 12) << 11, "partition 3 has grown: {sectors} sectors");
        card.unmount();
        let (clean, said) = attempt("e2fsck", &["-fn", &card.part(3)]);
        assert!(clean, "killed at call {when}: {said}");
        card.detach();
        when += if when < 24 { 2 } else { 9 };
    }
    println!("killed at {killed} calls");
    assert!(killed > 20, "only {killed} kills: is the killer at work?");
}

/// A box without a card of its own: folders and a real engine.
struct Box {
    engine: PrivateEngine,
    folder: PathBuf,
}

impl Box {
    fn new() -> Box {
        let folder = std::env::temp_dir().join(format!("o-kill-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let root = folder.join("r");
        let engine = PrivateEngine::start(&folder.join("e"), &root.join("data/docker"));
        Box { engine, folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.join("r")
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.engine.socket().display())
    }

    /// As flashed: nothing in the engine, nothing done.
    fn reset(&self, tarballs: &[(&str, Vec<u8>)]) {
        for (list, remove) in [(["ps", "-aq"], ["rm", "-f"]), (["images", "-aq"], ["rmi", "-f"])] {
            let held = self.engine.docker(&list);
            let mut held: Vec<&str> = held.split_whitespace().collect();
            held.sort_unstable();
            held.dedup();
            if !held.is_empty() {
                self.engine.docker(&[&remove[..], &held].concat());
            }
        }
        let root = self.root();
        for gone in ["data/.offspot", "data/images", "data/contents", "etc", "run", "boot"] {
            let _ = fs::remove_dir_all(root.join(gone));
        }
        for (path, bytes) in tarballs {
            image_tarball::put(&root.join(path), bytes);
        }
        let settings = "files:\n- {to: /data/contents/index.html, content: library}\n\
            containers:\n  services:\n    web:\n      image: web:1\n      command: /bin/busybox httpd -f -p 80 -h /www\n      \
            ports: [\"80:80\"]\n      restart: unless-stopped\n      volumes: [\"/data/contents:/www:ro\"]\n    \
            other:\n      image: other:1\n      command: /bin/busybox sleep 1000\n      restart: unless-stopped\n";
        fs::write(root.join("boot/firmware/offspot.yaml"), settings).unwrap();
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        let _ = Command::new("rm").arg("-rf").arg(&self.folder).status();
    }
}

#[test]
fn images_and_services_come_up_whatever_call_the_run_is_killed_at() {
    let (web, other) = (Sample::busybox("web:1"), Sample::busybox("other:1"));
    let tarballs = [
        ("data/images/web.tar", image_tarball::gnu(&image_tarball::docker(&[&web]))),
        ("boot/firmware/offspot/images/other.tar.gz", {
            image_tarball::pack(&image_tarball::gnu(&image_tarball::docker(&[&other])), "gzip")
        }),
    ];
    let this = Box::new();
    let (root, socket) = (this.root(), this.socket());
    let text_root = root.to_string_lossy().into_owned();
    let arguments = ["--root", &text_root, "--docker-host", &socket];

    // Every call would be some hundreds of runs: a stride that shares no factor with what repeats.
    let (mut when, mut killed) = (1, 0);
    loop {
        this.reset(&tarballs);
        if !was_killed(&story(&arguments, Some(when))) {
            break;
        }
        killed += 1;
        status_is_honest(&root, when);
        let note = fs::read(root.join("data/contents/index.html")).unwrap_or_else(|_| b"library".to_vec());
        assert_eq!(note, b"library", "half a file shows after a kill at call {when}");
        complete(&arguments, when);
        let counts = receipts(&root);
        let kinds = |kind: &str| counts.keys().filter(|about| about.starts_with(kind)).count();
        assert_eq!((kinds("image"), kinds("tarball"), kinds("file")), (2, 2, 1), "killed at call {when}: {counts:?}");
        assert!(counts.values().all(|count| *count == 1), "done twice, killed at call {when}: {counts:?}");
        assert!(!root.join("data/images/web.tar").exists(), "killed at call {when}");
        assert!(root.join("boot/firmware/offspot/images/other.tar.gz").exists());
        no_parts_in(&root.join("data/images"), when);
        let running = this.engine.docker(&["ps", "--format", "{{.Names}}"]);
        assert_eq!(running.lines().count(), 2, "killed at call {when}: {running}");
        let page = this.engine.run_in_netns(&["/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/"]).unwrap();
        assert_eq!(page.stdout, b"library", "killed at call {when}");
        when += 19;
    }
    // A run with nothing to do leaves everything as it is.
    let ids = this.engine.docker(&["ps", "-q", "--no-trunc"]);
    let before = receipts(&root);
    complete(&arguments, when);
    assert_eq!((this.engine.docker(&["ps", "-q", "--no-trunc"]), receipts(&root)), (ids, before));
    println!("killed at {killed} calls");
    assert!(killed > 10, "only {killed} kills: is the killer at work?");
}
