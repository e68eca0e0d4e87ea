//! Images of a registry on a card with little room: what does not fit costs itself, and not what was pulled of others.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use offspot_tests::engine::PrivateEngine;
use offspot_tests::image_card::{Card, Outcome, SmallDisk};
use offspot_tests::image_proxy;
use offspot_tests::image_tarball::{Sample, layer};
use offspot_tests::registry::{Act, Front, Kind, Registry, sample};

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A card on a disk of its own, which goes after it.
struct Small {
    card: Card,
    _disk: SmallDisk,
}

fn small(name: &str, mib: u64) -> Small {
    let folder = std::env::temp_dir().join(format!("o-regroom-{name}-{}", std::process::id()));
    let disk = SmallDisk::mount(&folder, mib);
    let engine = PrivateEngine::start(&folder.join("e"), &disk.folder.join("data/docker"));
    Small { card: Card { engine: Some(engine), root: disk.folder.clone() }.with_pipes(), _disk: disk }
}

fn wants(card: &Card, idents: &[&String]) {
    let list: String = idents.iter().map(|ident| format!("- {ident}\n")).collect();
    card.set(&format!("oci_images:\n{list}"));
}

fn well(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new(), "{:#?}", outcome.status.notes);
}

/// Its last layer unpacks to so many MiB, and the one below takes a load of its own.
fn bomb(mib: usize) -> Sample {
    let mut bomb = sample("bomb", &[34 << 10]);
    bomb.layers.push(layer(&[("zeros", &vec![0; mib << 20])]));
    bomb.packed("gzip")
}

#[test]
fn what_was_pulled_of_an_image_outlasts_another_that_does_not_fit() {
    for is_first in [true, false] {
        let registry = Registry::start();
        let image = sample("cut", &[34 << 10, 35 << 10]);
        registry.push("x/cut", "1", &image, Kind::Oci);
        registry.push("x/bomb", "1", &bomb(200), Kind::Oci);
        registry.push("x/good", "1", &sample("good", &[16]), Kind::Oci);
        let gone = Arc::new(AtomicBool::new(true));
        let (last, is_gone) = (image.layers[3].clone(), gone.clone());
        let front = Front::start(&registry.host, move |request| match request.is_for(&last) {
            true if is_gone.load(Ordering::Relaxed) => Act::Say(NOT_FOUND.into()),
            _ => Act::Pass,
        });
        let [cut, bomb, good] = ["cut:1", "bomb:1", "good:1"].map(|name| format!("{}/x/{name}", front.host));
        let disk = small(&format!("parts{is_first}"), 192);
        let card = &disk.card;
        wants(card, &[&cut]);
        card.load().expect_problem("E-FETCH-IMAGE", &cut);
        assert_eq!(front.bytes_of(&image.layers[2]), image.layers[2].len() as u64);
        front.forget();
        gone.store(!is_first, Ordering::Relaxed);
        wants(card, &if is_first { [&bomb, &cut, &good] } else { [&cut, &bomb, &good] });
        let outcome = card.load();
        outcome.expect_problem("E-SPACE-FULL", &bomb);
        assert_eq!(outcome.problems().len(), if is_first { 1 } else { 2 }, "{:#?}", outcome.problems());
        assert_eq!(card.says(&good), "good");
        gone.store(false, Ordering::Relaxed);
        wants(card, &[&cut, &good]);
        well(&card.load());
        assert_eq!(card.says(&cut), "cut");
        assert_eq!(front.bytes_of(&image.layers[2]), 0, "what was loaded stays");
        assert_eq!(card.ids().len(), 2, "and nothing of the one that does not fit");
    }
}

#[test]
fn an_image_on_the_base_of_one_that_did_not_fit_is_sent_all_that_it_lacks() {
    let registry = Registry::start();
    let front = Front::start(&registry.host, |_| Act::Pass);
    registry.push("x/bomb", "1", &bomb(200), Kind::Oci);
    registry.push("x/good", "1", &sample("good", &[16]), Kind::Oci);
    let [bomb, good] = ["bomb:1", "good:1"].map(|name| format!("{}/x/{name}", front.host));
    let disk = small("base", 192);
    wants(&disk.card, &[&bomb, &good]);
    let outcome = disk.card.load();
    outcome.expect_problem("E-SPACE-FULL", &bomb);
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
    assert_eq!((disk.card.says(&good).as_str(), disk.card.ids().len()), ("good", 1));
}

#[test]
fn a_base_that_is_not_as_it_was_is_pulled_too() {
    let registry = Registry::start();
    let front = Front::start(&registry.host, |_| Act::Pass);
    let images = ["one", "two"].map(|name| sample(name, &[64]));
    let idents = ["one", "two"].map(|name| format!("{}/x/{name}:1", front.host));
    images.iter().zip(["x/one", "x/two"]).for_each(|(image, name)| drop(registry.push(name, "1", image, Kind::Oci)));
    for pipes in [true, false] {
        let card = Card::of(&format!("regbase{pipes}"), None, &[]);
        let card = if pipes { card.with_pipes() } else { card };
        wants(&card, &[&idents[0]]);
        well(&card.load());
        wants(&card, &[&idents[1]]);
        // What the agent has just seen in the engine is gone when the load begins.
        let (engine, socket) = (card.engine().socket(), card.root.join("run/p.sock"));
        let remove =
            ["-H".into(), format!("unix://{}", engine.display()), "rmi".into(), "-f".into(), idents[0].clone()];
        image_proxy::listen(&socket, &engine, move || {
            assert!(Command::new("docker").args(&remove).output().unwrap().status.success());
        });
        let outcome = card.load_through(&socket);
        well(&outcome);
        let notes = &outcome.status.notes;
        assert_eq!(notes.iter().filter(|note| note.contains("without the layers it has")).count(), 1, "{notes:?}");
        assert_eq!(card.says(&idents[1]), "two");
    }
}

#[test]
fn what_an_image_unpacks_to_is_not_guessed_but_what_its_entry_says_is_believed() {
    let registry = Registry::start();
    let front = Front::start(&registry.host, |_| Act::Pass);
    let image = sample("dense", &[40 << 10, 8]).packed("gzip");
    registry.push("x/dense", "1", &image, Kind::Oci);
    let ident = format!("{}/x/dense:1", front.host);
    let disk = small("dense", 128);
    disk.card.set(&format!("oci_images: [{{ident: '{ident}', fullsize: 900 MiB}}]"));
    disk.card.load().expect_problem("E-SPACE-BYTES", &ident);
    assert!(image.blobs().iter().all(|blob| front.bytes_of(blob) == 0), "nothing of it was fetched");
    // Three and a half times its packed layers are more than the disk.
    wants(&disk.card, &[&ident]);
    well(&disk.card.load());
    assert_eq!(disk.card.says(&ident), "dense");
}
