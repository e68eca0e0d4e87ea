//! The layers of the next tarball go to the engine while it unpacks those of the one before; nothing is made of them before their turn.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offspot_tests::image_card::{self, Card, SmallMemory};
use offspot_tests::image_proxy;
use offspot_tests::image_tarball::{Sample, docker, gnu, hex, layer, put};
use offspot_tests::other_release::{Programs, Release};

const RELEASES: [(&str, Option<Release>); 3] =
    [("20", None), ("26", Some(Release::Trixie)), ("28", Some(Release::Sid))];
/// In every docker-archive, behind the layers.
const END: &str = "manifest.json";

/// A card with an engine of this release, which unpacks in so many MiB of memory.
fn card(name: &str, release: Option<Release>, mib: u64) -> (Card, SmallMemory) {
    let mut card = Card::of(name, release.map(|release| Programs::of(release).unwrap()), &[]);
    let memory = card.with_memory(mib);
    (card, memory)
}

/// An image on the base that all share, with a layer of its own.
fn sample(name: &str, mib: usize) -> Sample {
    let mut sample = Sample::busybox(name);
    sample.layers.push(layer(&[("own", &name.as_bytes().repeat((mib << 20) / name.len()))]));
    sample
}

fn put_all(card: &Card, samples: &[Sample]) {
    for (at, sample) in samples.iter().enumerate() {
        put(&card.data(&format!("{at}.tar")), &gnu(&docker(&[sample])));
    }
}

/// Words that passed on the way to the engine, each with the number of images that were recorded by then.
type Seen = Arc<Mutex<Vec<(&'static str, usize)>>>;

/// A socket where that is seen.
fn watched(card: &Card) -> (PathBuf, Seen) {
    let (socket, seen) = (card.root.join("run/p.sock"), Seen::default());
    let (journal, told) = (card.root.join("data/.offspot/receipts"), seen.clone());
    image_proxy::watch(&socket, &card.engine().socket(), &[image_proxy::LOAD, END], move |word| {
        let recorded = fs::read_to_string(&journal).unwrap_or_default().matches("\"did\":\"image\"").count();
        told.lock().unwrap().push((word, recorded));
    });
    (socket, seen)
}

/// How many images were recorded each time that this word passed.
fn recorded_at(seen: &Seen, word: &str) -> Vec<usize> {
    seen.lock().unwrap().iter().filter(|(own, _)| *own == word).map(|(_, recorded)| *recorded).collect()
}

#[test]
fn the_next_layers_go_early_and_their_end_in_its_turn() {
    for (name, release) in RELEASES {
        let (card, memory) = card(&format!("early{name}"), release, 96);
        let samples = [sample("one:1", 24), sample("two:1", 8), sample("three:1", 8)];
        put_all(&card, &samples);
        let (socket, seen) = watched(&card);
        let outcome = card.load_through(&socket);
        assert_eq!((outcome.problems(), &outcome.status.notes), (vec![], &vec![]), "{name}");
        assert_eq!(
            recorded_at(&seen, image_proxy::LOAD),
            [0, 0, 1],
            "{name}: each begins before the one before is recorded"
        );
        assert_eq!(recorded_at(&seen, END), [0, 1, 2], "{name}: and ends after");
        let (done, total) = (outcome.status.progress.done, outcome.status.progress.total);
        assert!(done - total < 24 << 10, "{name}: {done} bytes were sent, of layers {total}");
        for sample in &samples {
            assert_eq!(card.says(&sample.names[0]), sample.names[0]);
            assert!(card.receipts().has_image(&sample.id()));
        }
        assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0);
        drop((memory, card));
    }
}

#[test]
fn without_memory_for_both_one_waits_for_the_other() {
    let (card, memory) = card("early-room", None, 32);
    put_all(&card, &[sample("one:1", 20), sample("two:1", 20)]);
    let (socket, seen) = watched(&card);
    let outcome = card.load_through(&socket);
    assert_eq!((outcome.problems(), &outcome.status.notes), (vec![], &vec![]));
    assert_eq!(recorded_at(&seen, image_proxy::LOAD), [0, 1]);
    drop((memory, card));
}

#[test]
fn what_does_not_stand_after_all_is_sent_again() {
    for (name, release) in RELEASES {
        let (card, memory) = card(&format!("early-no{name}"), release, 96);
        // Its digest is right, and it is no tar: the engine refuses it after all of it was sent.
        let mut bad = Sample::busybox("bad:1");
        bad.layers.push(vec![7; 3 << 20]);
        let good = sample("good:1", 8);
        put_all(&card, &[bad, good.clone()]);
        let (socket, seen) = watched(&card);
        let outcome = card.load_through(&socket);
        outcome.expect_problem("E-IMAGE-REFUSED", "/data/images/0.tar");
        assert_eq!(outcome.problems().len(), 1, "{name}: {:#?}", outcome.problems());
        assert_eq!(recorded_at(&seen, image_proxy::LOAD), [0, 0, 0], "{name}: what was begun is begun anew");
        assert_eq!(recorded_at(&seen, END), [0, 0], "{name}: and never ended");
        assert_eq!((card.says("good:1"), card.ids()), ("good:1".into(), vec![good.id()]));
        drop((memory, card));
    }
}

#[test]
fn a_tarball_that_is_bad_is_so_in_its_turn() {
    let (card, memory) = card("early-bad", None, 96);
    let samples = [sample("one:1", 16), sample("two:1", 8), sample("three:1", 8)];
    put_all(&card, &samples);
    let mut tar = gnu(&docker(&[&samples[1]]));
    let at = tar.len() - (2 << 20);
    tar[at] ^= 1;
    put(&card.data("1.tar"), &tar);
    let outcome = card.load();
    outcome.expect_problem("E-TRUST-IMAGE-DIGEST", "/data/images/1.tar");
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
    let mut ids = vec![samples[0].id(), samples[2].id()];
    ids.sort();
    assert_eq!(card.ids(), ids);
    drop((memory, card));
}

#[test]
fn a_tarball_that_goes_meanwhile_costs_itself() {
    let (card, memory) = card("early-gone", None, 96);
    let samples = [sample("one:1", 16), sample("two:1", 8), sample("three:1", 8)];
    put_all(&card, &samples);
    let (socket, gone) = (card.root.join("run/p.sock"), card.data("1.tar"));
    image_proxy::listen(&socket, &card.engine().socket(), move || fs::remove_file(gone).unwrap());
    let outcome = card.load_through(&socket);
    outcome.expect_problem("E-IMAGE-UNREADABLE", "/data/images/1.tar");
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
    assert_eq!((card.says("one:1"), card.says("three:1")), ("one:1".into(), "three:1".into()));
    drop((memory, card));
}

#[test]
fn a_tarball_that_takes_the_place_of_one_being_loaded_stays() {
    let card = Card::new("swap");
    let samples = [sample("one:1", 4), sample("two:1", 3)];
    put_all(&card, &samples[..1]);
    let (socket, place, other) = (card.root.join("run/p.sock"), card.data("0.tar"), gnu(&docker(&[&samples[1]])));
    image_proxy::watch(&socket, &card.engine().socket(), &[END], move |_| put(&place, &other));
    let outcome = card.load_through(&socket);
    assert_eq!((outcome.problems(), card.ids()), (vec![], vec![samples[0].id()]));
    assert_eq!(card.load().problems(), Vec::<String>::new());
    assert_eq!((card.says("two:1"), card.data("0.tar").exists()), ("two:1".into(), false));
}

#[test]
fn an_engine_that_starts_anew_in_between_costs_one_load_at_most() {
    let (mut card, memory) = card("early-anew", None, 96);
    let samples = [sample("one:1", 24), sample("two:1", 8), sample("three:1", 8)];
    put_all(&card, &samples);
    let running = card.begin();
    // The first is unpacked, the second on its way.
    let imports = || fs::read_dir(memory.folder()).unwrap().count();
    wait_for(|| imports() == 2);
    card.engine.as_mut().unwrap().kill_and_restart();
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success());
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(imports(), 0, "nothing is left in the memory");
    for sample in &samples {
        assert_eq!(card.says(&sample.names[0]), sample.names[0]);
        let own =
            card.engine().docker(&["run", "--rm", "--net=none", &sample.names[0], "/bin/busybox", "sha256sum", "own"]);
        let name = &sample.names[0];
        let right = name.as_bytes().repeat(((if name == "one:1" { 24 } else { 8 }) << 20) / name.len());
        assert!(own.starts_with(&hex(&right)), "{name}: {own}");
    }
    drop((memory, card));
}

#[test]
fn a_cut_with_the_next_on_its_way_leaves_nothing_that_is_believed() {
    for (name, release) in RELEASES {
        let (mut card, memory) = card(&format!("early-cut{name}"), release, 96);
        let samples = [sample("one:1", 24), sample("two:1", 8)];
        put_all(&card, &samples);
        let running = card.begin();
        wait_for(|| fs::read_dir(memory.folder()).unwrap().count() == 2);
        card.cut(running);
        assert!(!card.receipts().has_image(&samples[1].id()) && !card.ids().contains(&samples[1].id()));
        if !card.receipts().has_image(&samples[0].id()) {
            card.tear_but(&[]);
        }
        let outcome = card.load();
        assert_eq!(outcome.problems(), Vec::<String>::new(), "{name}");
        assert_eq!((card.says("one:1"), card.says("two:1")), ("one:1".into(), "two:1".into()), "{name}");
        drop((memory, card));
    }
}

/// Not a test of its own: the load that is cut.
#[test]
#[ignore = "a child of another test"]
fn child() {
    image_card::child();
}

fn wait_for(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}
