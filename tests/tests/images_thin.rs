//! Thin loads into real engines of three releases: what the engine has is not sent again, and never believed where it was cut.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use offspot_tests::image_card::{self, Card, Outcome};
use offspot_tests::image_proxy;
use offspot_tests::image_tarball::{Sample, docker, gnu, hex, layer, oci, put};
use offspot_tests::other_release::{Programs, Release};

/// The engines: this machine's own (20.10), the card's (26), the next (28 or newer).
const RELEASES: [(&str, Option<Release>); 3] =
    [("20", None), ("26", Some(Release::Trixie)), ("28", Some(Release::Sid))];

fn programs(release: Option<Release>) -> Option<Programs> {
    release.map(|release| Programs::of(release).unwrap())
}

/// Images that share a base, each with a layer of its own of this many bytes.
fn family(names: &[&str], own: usize) -> Vec<Sample> {
    let member = |name: &&str| {
        let mut sample = Sample::busybox(name);
        sample.layers.push(layer(&[("own", &noise(own, name))]));
        sample
    };
    names.iter().map(member).collect()
}

/// Bytes that no two names share.
fn noise(length: usize, name: &str) -> Vec<u8> {
    let mut seed = name.bytes().fold(1_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes of layers in a tarball of it.
fn weight(sample: &Sample, from: usize) -> u64 {
    sample.layers[from..].iter().map(|layer| layer.len() as u64).sum()
}

fn all_well(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new());
}

/// Not a test of its own: the load that is cut.
#[test]
#[ignore = "a child of another test"]
fn child() {
    image_card::child();
}

/// Waits until it is so, and no longer than the child runs.
fn wait_for(mut child: Child, so: impl Fn() -> bool) -> Child {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that");
        assert!(child.try_wait().unwrap().is_none(), "it was done before the cut");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_shared_base_is_sent_once() {
    for (name, release) in RELEASES {
        let card = Card::of(&format!("base{name}"), programs(release), &[]);
        let samples = family(&["one:1", "two:1", "three:1"], 300_000);
        for (at, sample) in samples.iter().enumerate() {
            let members = if at == 1 { oci("two:1", &[sample]) } else { docker(&[sample]) };
            put(&card.data(&format!("{at}.tar")), &gnu(&members));
        }
        let outcome = card.load();
        all_well(&outcome);
        assert_eq!(outcome.status.notes, Vec::<String>::new());
        let layers = weight(&samples[0], 0) + weight(&samples[1], 1) + weight(&samples[2], 1);
        assert_eq!(outcome.status.progress.total, layers, "what is ahead is said");
        let more = outcome.status.progress.done - layers;
        assert!(more < 24 << 10, "{name}: {more} bytes beside the layers: headers, configurations, manifests");
        // The next boot, with a receipt alone to go by.
        let next = &family(&["four:1"], 300_000)[0];
        put(&card.data("4.tar"), &gnu(&docker(&[next])));
        let outcome = card.load();
        all_well(&outcome);
        assert!(
            outcome.status.progress.done - weight(next, 1) < 8 << 10,
            "{name}: {} bytes",
            outcome.status.progress.done
        );
        for sample in samples.iter().chain([next]) {
            assert_eq!(card.says(&sample.names[0]), sample.names[0]);
            assert!(card.receipts().has_image(&sample.id()));
        }
        println!("{name}: {}", card.engine().docker(&["version", "-f", "{{.Server.Version}}"]).trim());
    }
}

#[test]
fn a_base_that_is_not_as_it_was_is_sent_in_full() {
    for (name, release) in RELEASES {
        let card = Card::of(&format!("gone{name}"), programs(release), &[]);
        let samples = family(&["one:1", "two:1"], 300_000);
        put(&card.data("1.tar"), &gnu(&docker(&[&samples[0]])));
        all_well(&card.load());
        put(&card.data("2.tar"), &gnu(&docker(&[&samples[1]])));
        // What the agent has just seen in the engine is gone when the load begins.
        let (engine, socket) = (card.engine().socket(), card.root.join("run/p.sock"));
        let remove = ["docker", "-H", &format!("unix://{}", engine.display()), "rmi", "-f", "one:1"].map(str::to_owned);
        image_proxy::listen(&socket, &engine, move || {
            assert!(Command::new(&remove[0]).args(&remove[1..]).output().unwrap().status.success());
        });
        let outcome = card.load_through(&socket);
        all_well(&outcome);
        assert!(
            outcome.status.notes.iter().any(|note| note.contains("without the layers it has")),
            "{:?}",
            outcome.status.notes
        );
        assert!(outcome.status.progress.done > weight(&samples[1], 0) + weight(&samples[1], 1));
        assert_eq!(card.says("two:1"), "two:1");
    }
}

#[test]
fn a_thin_load_that_was_cut_is_not_believed() {
    for (name, release) in RELEASES {
        let mut card = Card::of(&format!("tcut{name}"), programs(release), &[]);
        let samples = family(&["one:1", "two:1"], 300_000);
        put(&card.data("1.tar"), &gnu(&docker(&[&samples[0]])));
        all_well(&card.load());
        let mut second = samples[1].clone();
        second.layers.push(layer(&[("big", &vec![7; 48 << 20])]));
        let tar = gnu(&docker(&[&second]));
        put(&card.data("2.tar"), &tar);
        let (before, running) = (card.layers().len(), card.begin());
        let running = wait_for(running, || card.layers().len() > before);
        card.cut(running);
        assert!(card.layers().len() > before && !card.ids().contains(&second.id()), "the cut came before the image");
        assert!(card.data("2.tar").exists() && !card.receipts().has_image(&second.id()));
        // What was synced is whole; all that came after is torn.
        assert!(card.tear_but(&[&samples[0]]) >= 1);
        let outcome = card.load();
        all_well(&outcome);
        assert!(
            outcome.status.notes.iter().any(|note| note.contains("load that was cut")),
            "{:?}",
            outcome.status.notes
        );
        for sample in [&samples[0], &second] {
            assert_eq!(card.says(&sample.names[0]), sample.names[0]);
        }
        let own =
            card.engine().docker(&["run", "--rm", "--net=none", "two:1", "/bin/busybox", "wc", "-c", "own", "big"]);
        assert!(own.contains("300000 own") && own.contains("50331648 big"), "{own}");
    }
}

#[test]
fn layers_of_a_load_that_was_cut_are_not_used_by_another_image() {
    for (name, release) in RELEASES {
        let mut card = Card::of(&format!("ocut{name}"), programs(release), &[]);
        let mut samples = family(&["one:1", "two:1"], 300_000);
        samples[0].layers.push(layer(&[("big", &vec![7; 32 << 20])]));
        put(&card.data("1.tar"), &gnu(&docker(&[&samples[0]])));
        let running = wait_for(card.begin(), || card.layers().len() >= 3);
        card.cut(running);
        assert!(card.ids().is_empty() && card.tear_but(&[]) >= 2);
        // The user has given up on that image; the other one shares the base, and the torn layer on top of it is none of its own.
        fs::remove_file(card.data("1.tar")).unwrap();
        put(&card.data("2.tar"), &gnu(&docker(&[&samples[1]])));
        all_well(&card.load());
        assert_eq!(card.says("two:1"), "two:1");
        assert_eq!(card.layers().len(), samples[1].layers.len(), "what no image stands on is gone");
    }
}

#[test]
fn an_image_of_a_load_that_was_cut_is_not_stood_on_by_the_one_that_came_in_its_place() {
    for (name, release) in RELEASES {
        let card = Card::of(&format!("icut{name}"), programs(release), &[]);
        let samples = family(&["one:1", "two:1"], 300_000);
        put(&card.data("1.tar"), &gnu(&docker(&[&samples[0]])));
        all_well(&card.load());
        // As if the power had gone after the engine's own record, and before ours.
        let journal = card.root.join("data/.offspot/receipts");
        let text = card.receipts_text();
        let begun: String = text.split_inclusive('\n').filter(|line| line.contains(r#""did":"begun""#)).collect();
        fs::write(journal, &begun).unwrap();
        assert!(begun.contains(&samples[0].id()) && card.tear_but(&[]) >= 2);
        put(&card.data("2.tar"), &gnu(&docker(&[&samples[1]])));
        let outcome = card.load();
        all_well(&outcome);
        assert!(outcome.status.notes.iter().any(|note| note.contains("one:1")), "{:?}", outcome.status.notes);
        assert_eq!(card.says("two:1"), "two:1");
        assert_eq!(card.ids(), [samples[1].id()]);
    }
}

/// An image of several layers of so many bytes each, on a busybox.
fn tall(name: &str, layers: usize, bytes: usize) -> Sample {
    let mut sample = Sample::busybox(name);
    sample.layers.extend((0..layers).map(|at| layer(&[(&format!("own{at}"), &vec![at as u8 + 1; bytes])])));
    sample
}

#[test]
fn an_image_comes_in_parts_through_little_memory() {
    for (name, release) in RELEASES {
        let mut card = Card::of(&format!("part{name}"), programs(release), &[]);
        let memory = card.with_memory(8);
        let (tall_, mut large) = (tall("tall:1", 4, 3 << 20), tall("large:1", 1, 3 << 20));
        large.layers.push(layer(&[("large", &noise(9 << 20, "large"))]));
        put(&card.data("a-large.tar"), &gnu(&docker(&[&large])));
        put(&card.data("b-tall.tar"), &gnu(&docker(&[&tall_])));
        put(&card.data("c-zst.tar"), &gnu(&docker(&[&tall("zst:1", 3, 3 << 20).packed("zstd")])));
        let outcome = card.load();
        outcome.expect_problem("E-IMAGE-MEMORY", "/data/images/a-large.tar");
        assert_eq!(outcome.problems().len(), 1, "{name}: {:#?}", outcome.problems());
        assert_eq!(outcome.status.notes, Vec::<String>::new());
        for image in ["tall:1", "zst:1"] {
            assert_eq!(card.says(image), image);
            let said = card.engine().docker(&["run", "--rm", "--net=none", image, "/bin/busybox", "wc", "-c", "own2"]);
            assert_eq!(said, "3145728 own2\n");
        }
        assert_eq!(card.ids().len(), 2, "no part is left");
        drop((memory, card));
    }
}

#[test]
fn a_load_in_parts_that_was_cut_leaves_nothing_that_is_believed() {
    for (name, release) in RELEASES {
        let mut card = Card::of(&format!("pcut{name}"), programs(release), &[]);
        let memory = card.with_memory(28);
        let sample = tall("tall:1", 4, 16 << 20);
        put(&card.data("tall.tar"), &gnu(&docker(&[&sample])));
        let parts = |card: &Card| {
            fs::read_dir(card.engine().data_root().join("image/overlay2/imagedb/content/sha256")).unwrap().count()
        };
        let running = wait_for(card.begin(), || parts(&card) >= 2);
        card.cut(running);
        assert!(!card.ids().contains(&sample.id()) && parts(&card) >= 2, "it was cut among the parts");
        assert!(card.tear_but(&[]) >= 3);
        let outcome = card.load();
        all_well(&outcome);
        assert_eq!(card.says("tall:1"), "tall:1");
        for at in 0..4 {
            let own = format!("own{at}");
            let said =
                card.engine().docker(&["run", "--rm", "--net=none", "tall:1", "/bin/busybox", "sha256sum", &own]);
            let right = hex(&vec![at as u8 + 1; 16 << 20]);
            assert!(said.starts_with(&right), "{name}: {own}");
        }
        // A configuration whose layers were torn before the engine started may lie in its store: it never looks at it again.
        assert_eq!(card.ids(), [sample.id()], "no part is left");
        drop((memory, card));
    }
}
