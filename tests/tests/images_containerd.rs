//! Loads into engines that leave their images to containerd (26 and 28): thin OCI layouts, ids of manifests.

use std::fs;

use offspot_tests::image_card::{Card, Outcome};
use offspot_tests::image_tarball::{Sample, docker, gnu, layer, oci, put};
use offspot_tests::other_release::{Programs, Release};

const RELEASES: [(&str, Release); 2] = [("26", Release::Trixie), ("28", Release::Sid)];

/// A card whose engine has the store of containerd.
fn card(name: &str, release: Release) -> Card {
    let settings = std::env::temp_dir().join(format!("oi-{name}-{}.json", std::process::id()));
    fs::write(&settings, r#"{"features": {"containerd-snapshotter": true}}"#).unwrap();
    let card = Card::of(name, Some(Programs::of(release).unwrap()), &["--config-file", settings.to_str().unwrap()]);

    assert!(card.engine().docker(&["info", "-f", "{{.DriverStatus}}"]).contains("io.containerd.snapshotter.v1"));
    card
}

fn sample(name: &str) -> Sample {
    let mut sample = Sample::busybox(name);
    sample.layers.push(layer(&[("own", name.repeat(50_000).as_bytes())]));
    sample
}

fn all_well(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new());
}

#[test]
fn what_the_store_has_is_not_sent_again() {
    for (name, release) in RELEASES {
        let card = card(&format!("ctr{name}"), release);
        let (one, two, three) = (sample("one:1"), sample("two:1"), sample("three:1"));
        put(&card.data("1.tar"), &gnu(&docker(&[&one])));
        put(&card.data("2.tar"), &gnu(&oci("two:1", &[&two])));
        let outcome = card.load();
        all_well(&outcome);
        assert_eq!(outcome.status.notes, Vec::<String>::new());
        let length = |layers: &[Vec<u8>]| layers.iter().map(|layer| layer.len() as u64).sum::<u64>();
        let layers = length(&one.layers) + length(&two.layers[1..]);
        let more = outcome.status.progress.done - layers;
        assert!(more < 24 << 10, "{name}: {more} bytes beside the layers");
        // At the next boot nobody knows how the layers were packed that it has; a tarball that stays is not read again.
        put(&card.data("3.tar"), &gnu(&docker(&[&three])));
        let outcome = card.load_with(&[], true);
        all_well(&outcome);
        assert!(
            outcome.status.progress.done - length(&three.layers) < 12 << 10,
            "{name}: {}",
            outcome.status.progress.done
        );
        for image in ["one:1", "two:1", "three:1"] {
            assert_eq!(card.says(image), image);
            assert!(card.receipts().has_image(outcome.loaded.id(image).unwrap()));
        }
        let outcome = card.load_with(&[], true);
        all_well(&outcome);
        assert_eq!((outcome.status.progress.total, outcome.status.progress.done), (0, 0));
        assert_eq!(card.ids().len(), 3);
    }
}

#[test]
fn a_layer_that_is_there_but_packed_otherwise_is_sent_too() {
    for (name, release) in RELEASES {
        let card = card(&format!("cpk{name}"), release);
        let (one, two) = (sample("one:1"), sample("two:1").packed("gzip"));
        put(&card.data("1.tar"), &gnu(&docker(&[&one])));
        put(&card.data("2.tar"), &gnu(&oci("two:1", &[&two])));
        let outcome = card.load();
        all_well(&outcome);
        assert_eq!(outcome.status.notes, Vec::<String>::new());
        assert_eq!(card.says("two:1"), "two:1");
        // All of it is there: the engine can give it away.
        let saved = card.root.join("saved.tar");
        card.engine().docker(&["save", "-o", saved.to_str().unwrap(), "two:1"]);
        assert!(
            fs::metadata(saved).unwrap().len() > two.blobs.as_ref().unwrap().iter().map(Vec::len).sum::<usize>() as u64
        );
        // Packed in a way that the engine does not take: unpacked on the way, with lengths that nobody has said.
        let three = sample("three:1").packed("xz");
        put(&card.data("3.tar"), &gnu(&docker(&[&three])));
        all_well(&card.load());
        assert_eq!(card.says("three:1"), "three:1");
    }
}

#[test]
fn damage_is_refused_and_what_was_not_recorded_is_loaded_again() {
    let (name, release) = RELEASES[0];
    let card = card(&format!("cbad{name}"), release);
    let (good, bad) = (sample("good:1"), sample("bad:1"));
    put(&card.data("good.tar"), &gnu(&docker(&[&good])));
    let mut tar = gnu(&docker(&[&bad]));
    let own = tar.windows(5).rposition(|window| window == b"bad:1").unwrap() - 200_000;
    tar[own] ^= 1;
    put(&card.data("bad.tar"), &tar);
    let outcome = card.load();
    outcome.expect_problem("E-TRUST-IMAGE-DIGEST", "/data/images/bad.tar");
    assert_eq!((outcome.problems().len(), card.ids().len()), (1, 1), "{:#?}", outcome.problems());
    assert_eq!(card.says("good:1"), "good:1");
    // As if cut before the receipt.
    fs::remove_file(card.data("bad.tar")).unwrap();
    fs::remove_dir_all(card.root.join("data/.offspot")).unwrap();
    put(&card.data("good.tar"), &gnu(&docker(&[&good])));
    let outcome = card.load();
    all_well(&outcome);
    assert!(
        outcome.status.notes.iter().any(|note| note.contains("not recorded as whole")),
        "{:?}",
        outcome.status.notes
    );
    assert_eq!(card.says("good:1"), "good:1");
}
