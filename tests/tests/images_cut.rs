//! Loads that are cut: by a kill, by the loss of power, by an engine that forgets.

use std::fs;
use std::time::Duration;

use offspot_tests::image_card::{self, Card, tear};
use offspot_tests::image_tarball::{Sample, docker, gnu, layer, put};

#[test]
fn what_the_engine_holds_without_a_receipt_is_loaded_again() {
    let card = Card::new("torn");
    let (sample, sibling) = (Sample::busybox("torn:1"), Sample::busybox("sibling:1"));
    for sample in [&sample, &sibling] {
        let name = sample.names[0].replace(':', "-") + ".tar";
        put(&card.boot(&name), &gnu(&docker(&[sample])));
        card.engine().docker(&["load", "-q", "-i", card.boot(&name).to_str().unwrap()]);
    }
    // A container of ours stands on it.
    card.engine().docker(&["create", "--label", "com.docker.compose.version=offspot-1", "--name", "ours", "torn:1"]);
    assert!(tear(card.engine().data_root()) >= 3);
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!((card.says("torn:1"), card.says("sibling:1")), ("torn:1".into(), "sibling:1".into()));
    assert!(card.boot("torn-1.tar").exists(), "the boot partition is only read");
    // One that no tarball can put back is kept, used, and said.
    card.engine().docker(&["tag", "torn:1", "mine:1"]);
    let import =
        format!("tar c -C /bin busybox | docker -H unix://{} import - foreign:1", card.engine().socket().display());
    assert!(std::process::Command::new("sh").args(["-c", &import]).status().unwrap().success());
    let outcome = card.load();
    assert!(outcome.loaded.id("foreign:1").is_some());
    assert!(outcome.status.notes.iter().any(|note| note.contains("foreign:1")), "{:?}", outcome.status.notes);
}

#[test]
fn a_doubtful_image_is_kept_when_its_tarball_is_bad() {
    let card = Card::new("doubt");
    let sample = Sample::busybox("doubt:1");
    let mut tar = gnu(&docker(&[&sample]));
    put(&card.root.join("x.tar"), &tar);
    card.engine().docker(&["load", "-q", "-i", card.root.join("x.tar").to_str().unwrap()]);
    tar[700_000] ^= 1;
    put(&card.data("doubt.tar"), &tar);
    let outcome = card.load();
    outcome.expect_problem("E-TRUST-IMAGE-DIGEST", "/data/images/doubt.tar");
    assert_eq!(card.says("doubt:1"), "doubt:1");
}

#[test]
fn layers_of_a_load_that_was_cut_are_not_used() {
    let mut card = Card::new("orphan");
    let mut sample = Sample::busybox("orphan:1");
    let big = vec![7; 32 << 20];
    sample.layers.push(layer(&[("big", &big)]));
    put(&card.boot("orphan.tar"), &gnu(&docker(&[&sample])));
    let layers = card.engine().data_root().join("image/overlay2/layerdb/sha256");
    let socket = card.engine().socket();
    let mut load = std::process::Command::new("docker")
        .args(["-H", &format!("unix://{}", socket.display()), "load", "-q", "-i"])
        .arg(card.boot("orphan.tar"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let some = || fs::read_dir(&layers).is_ok_and(|entries| entries.count() > 0);
    let begun = std::time::Instant::now();
    while !some() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no layer appeared");
        std::thread::sleep(Duration::from_millis(1));
    }
    card.engine.as_mut().unwrap().kill_and_restart();
    load.wait().unwrap();
    assert!(card.ids().is_empty() && some(), "the cut came between first layer and image");
    assert!(tear(card.engine().data_root()) >= 1);
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert!(outcome.status.notes.iter().any(|note| note.contains("load that was cut")), "{:?}", outcome.status.notes);
    assert_eq!(card.says("orphan:1"), "orphan:1");
}

#[test]
fn cuts_between_receipt_and_removal_and_engines_that_forget() {
    let card = Card::new("cuts");
    let sample = Sample::busybox("cut:1");
    let tar = gnu(&docker(&[&sample]));
    put(&card.data("cut.tar"), &tar);
    let kept = card.load_with(&[], true);
    assert_eq!(kept.problems(), Vec::<String>::new());
    assert!(card.data("cut.tar").exists(), "keep_tarballs");
    let before = card.receipts_text();
    // As if cut before the removal: it is removed now, and nothing is loaded.
    let outcome = card.load();
    assert!(!card.data("cut.tar").exists());
    assert_eq!((outcome.status.progress.total, card.receipts_text()), (0, before));
    // The engine lost it: with the tarball back it is loaded again, and the old receipt is taken back first.
    put(&card.boot("cut.tar"), &tar);
    card.load();
    card.engine().docker(&["rmi", "-f", "cut:1"]);
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(card.says("cut:1"), "cut:1");
    let text = card.receipts_text();
    let forget = text.find("forget").expect("a forget record");
    assert!(text.rfind("\"did\":\"image\"").unwrap() > forget);
    // Only the name was lost.
    card.engine().docker(&["tag", "cut:1", "other:1"]);
    card.engine().docker(&["rmi", "cut:1"]);
    put(&card.data("again.tar"), &tar);
    let outcome = card.load();
    assert_eq!((outcome.loaded.id("cut:1"), outcome.status.progress.total), (Some(sample.id().as_str()), 0));
}

/// Not a test of its own: [`killed_at_any_moment`] runs it in a process that it kills.
#[test]
#[ignore = "a child of another test"]
fn child() {
    image_card::child();
}

#[test]
fn killed_at_any_moment() {
    kill_at_any_moment(&mut Card::new("kill"));
}

/// As on a card: while one is unpacked the layers of the next are sent.
#[test]
fn killed_at_any_moment_with_the_next_begun() {
    let mut card = Card::new("kill-next");
    let memory = card.with_memory(64);
    kill_at_any_moment(&mut card);
    drop((memory, card));
}

fn kill_at_any_moment(card: &mut Card) {
    let samples: Vec<_> = ["one:1", "two:1", "three:1"].map(Sample::busybox).into();
    let tarballs: Vec<_> = samples.iter().map(|sample| gnu(&docker(&[sample]))).collect();
    let mut cuts = 0;
    for round in 0..12 {
        card.engine().docker(&["system", "prune", "-af"]);
        let _ = fs::remove_dir_all(card.root.join("data/.offspot"));
        for (at, tarball) in tarballs.iter().enumerate() {
            put(&card.data(&format!("{at}.tar")), tarball);
        }
        let mut running = card.begin();
        std::thread::sleep(Duration::from_millis(20 + round * 130));
        cuts += usize::from(running.try_wait().unwrap().is_none());
        running.kill().unwrap();
        running.wait().unwrap();
        if round % 3 == 2 {
            card.engine.as_mut().unwrap().kill_and_restart();
            // What was not synced is torn by a power cut; a receipt says what was.
            if !fs::read_to_string(card.root.join("data/.offspot/receipts")).is_ok_and(|text| text.contains("image")) {
                tear(card.engine().data_root());
            }
        }
        // A tarball that is gone was recorded before.
        for (at, sample) in samples.iter().enumerate() {
            assert!(
                card.data(&format!("{at}.tar")).exists() || card.receipts().has_image(&sample.id()),
                "round {round}"
            );
        }
        let done = card.receipts_text().matches("\"did\":\"image\"").count();
        let outcome = card.load();
        assert_eq!(outcome.problems(), Vec::<String>::new(), "round {round}");
        for sample in &samples {
            assert_eq!(card.says(&sample.names[0]), sample.names[0], "round {round}");
        }
        let records = card.receipts_text().matches("\"did\":\"image\"").count();
        assert_eq!(records, 3, "round {round}: nothing durably done is done twice ({done} were done)");
        assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0);
    }
    assert!(cuts >= 3, "only {cuts} kills came in time");
}
