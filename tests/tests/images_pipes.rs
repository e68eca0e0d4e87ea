//! Layers that go to the engine through pipes: nothing of them lies anywhere but in its store.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use offspot_tests::image_card::{self, Card};
use offspot_tests::image_tarball::{Sample, docker, gnu, layer, put};
use offspot_tests::other_release::{Programs, Release};

const RELEASES: [(&str, Option<Release>); 3] =
    [("20", None), ("26", Some(Release::Trixie)), ("28", Some(Release::Sid))];

fn card(name: &str, release: Option<Release>) -> Card {
    Card::of(name, release.map(|release| Programs::of(release).unwrap()), &[]).with_pipes()
}

/// An image on the base that all share, with two layers of its own.
fn sample(name: &str, mib: usize) -> Sample {
    let mut sample = Sample::busybox(name);
    sample.layers.push(layer(&[("own", &name.as_bytes().repeat((mib << 20) / name.len()))]));
    sample.layers.push(layer(&[("more", &vec![name.as_bytes()[0]; 1 << 20])]));
    sample
}

/// Bytes of all that lies in the folder in which the engine unpacks.
fn unpacked(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => unpacked(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[test]
fn nothing_of_a_layer_lies_anywhere_but_in_the_store() {
    for (name, release) in RELEASES {
        let card = card(&format!("pipe{name}"), release);
        let (plain, gz, xz, two) = (sample("plain:1", 16), sample("gz:1", 8), sample("xz:1", 8), sample("both:1", 8));
        put(&card.data("0.tar"), &gnu(&docker(&[&plain])));
        put(&card.data("1.tar"), &gnu(&docker(&[&gz.clone().packed("gzip")])));
        put(&card.data("2.tar"), &gnu(&docker(&[&xz.clone().packed("xz")])));
        // Two images in one tarball, the second on layers that came just before.
        let third = sample("three:1", 4);
        put(&card.data("3.tar"), &gnu(&docker(&[&two, &third])));
        let (folder, done, most) = (card.engine().data_root().join("tmp"), AtomicBool::new(false), AtomicU64::new(0));
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    most.fetch_max(unpacked(&folder), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let outcome = card.load();
            done.store(true, Ordering::Relaxed);
            outcome
        });
        assert_eq!((outcome.problems(), &outcome.status.notes), (vec![], &vec![]), "{name}");
        let most = most.into_inner();
        assert!(most > 0 && most < 64 << 10, "{name}: {most} bytes were unpacked");
        for sample in [&plain, &gz, &xz, &two, &third] {
            assert_eq!(card.says(&sample.names[0]), sample.names[0]);
            assert!(card.receipts().has_image(&sample.id()));
        }
        let own = card.engine().docker(&["run", "--rm", "--net=none", "plain:1", "/bin/busybox", "wc", "-c", "more"]);
        assert_eq!(own, "1048576 more\n");
        assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0);
        assert_eq!(unpacked(&folder), 0);
    }
}

#[test]
fn what_is_not_as_its_digest_says_is_not_recorded_and_costs_itself() {
    for (name, release) in RELEASES {
        let card = card(&format!("pbad{name}"), release);
        let (bad, good) = (sample("bad:1", 8), sample("good:1", 8));
        let mut tar = gnu(&docker(&[&bad]));
        let at = tar.len() - (2 << 20);
        tar[at] ^= 1;
        put(&card.data("0.tar"), &tar);
        put(&card.data("1.tar"), &gnu(&docker(&[&good])));
        let outcome = card.load();
        outcome.expect_problem("E-TRUST-IMAGE-DIGEST", "/data/images/0.tar");
        assert_eq!(outcome.problems().len(), 1, "{name}: {:#?}", outcome.problems());
        assert_eq!(card.ids(), [good.id()]);
        // Its digest is right, and it is no tar: the engine refuses it either way, and goes on with pipes.
        let mut none = Sample::busybox("none:1");
        none.layers.push(vec![7; 3 << 20]);
        put(&card.data("0.tar"), &gnu(&docker(&[&none])));
        put(&card.data("1.tar"), &gnu(&docker(&[&sample("other:1", 2)])));
        let outcome = card.load();
        outcome.expect_problem("E-IMAGE-REFUSED", "/data/images/0.tar");
        assert_eq!(outcome.problems().len(), 1, "{name}");
        assert!(outcome.status.notes.iter().all(|note| !note.contains("pipes")), "{:?}", outcome.status.notes);
        assert_eq!(card.says("other:1"), "other:1");
    }
}

/// Waits until `there` is true of a load that is under way.
fn wait_for(running: Child, there: impl Fn() -> bool) -> Child {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
    running
}

#[test]
fn killed_among_its_pipes_the_next_run_lets_the_engine_go_and_loads_all() {
    for (name, release) in RELEASES {
        let mut card = card(&format!("pcutp{name}"), release);
        let samples = [sample("one:1", 48), sample("two:1", 8)];
        let tmp = card.engine().data_root().join("tmp");
        let waits = || fs::read_dir(&tmp).is_ok_and(|entries| entries.count() > 0);
        for with_engine in [false, true] {
            for (at, sample) in samples.iter().enumerate() {
                put(&card.data(&format!("{at}.tar")), &gnu(&docker(&[sample])));
            }
            let mut running = wait_for(card.begin(), waits);
            if with_engine {
                card.cut(running);
            } else {
                running.kill().unwrap();
                running.wait().unwrap();
            }
            let outcome = card.load();
            assert_eq!(outcome.problems(), Vec::<String>::new(), "{name}");
            for sample in &samples {
                assert_eq!(card.says(&sample.names[0]), sample.names[0]);
            }
            let begun = Instant::now();
            while waits() {
                assert!(begun.elapsed() < Duration::from_secs(10), "{name}: the engine still waits at a pipe");
                std::thread::sleep(Duration::from_millis(20));
            }
            for sample in &samples {
                card.engine().docker(&["rmi", "-f", &sample.names[0]]);
            }
        }
    }
}

#[test]
fn an_engine_that_takes_no_pipes_is_sent_the_layers() {
    // It unpacks where we do not look: as with an engine of another make, nobody ever fills the pipe.
    let mut card = card("pnone", None);
    let hidden = card.root.join("hidden");
    fs::create_dir_all(&hidden).unwrap();
    card.engine.as_mut().unwrap().restart_with(&[("DOCKER_TMPDIR", hidden.to_str().unwrap())]);
    let samples = [sample("one:1", 2), sample("two:1", 2)];
    for (at, sample) in samples.iter().enumerate() {
        put(&card.data(&format!("{at}.tar")), &gnu(&docker(&[sample])));
    }
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert!(outcome.status.notes.iter().any(|note| note.contains("does not read layers from pipes")));
    for sample in &samples {
        assert_eq!(card.says(&sample.names[0]), sample.names[0]);
    }
}

#[test]
#[ignore = "a child of another test"]
fn child() {
    image_card::child();
}
