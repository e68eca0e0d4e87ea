//! Thin loads into real engines of three releases: what the engine has is not sent again, and never believed where it was cut.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use offspot_tests::image_card::{self, Card, Outcome};
use offspot_tests::image_proxy;
use offspot_tests::image_tarball::{Sample, docker, gnu, layer, oci, put};
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
        assert_eq!(outcome.status.total, layers, "what is ahead is said");
        let more = outcome.status.done - layers;
        assert!(more < 24 << 10, "{name}: {more} bytes beside the layers: headers, configurations, manifests");
        // The next boot, with a receipt alone to go by.
        let next = &family(&["four:1"], 300_000)[0];
        put(&card.data("4.tar"), &gnu(&docker(&[next])));
        let outcome = card.load();
        all_well(&outcome);
        assert!(outcome.status.done - weight(next, 1) < 8 << 10, "{name}: {} bytes", outcome.status.done);
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
        assert!(outcome.status.done > weight(&samples[1], 0) + weight(&samples[1], 1));
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
