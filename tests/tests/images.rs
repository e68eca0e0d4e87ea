//! Image tarballs of every sound shape into a real engine.

use std::fs;

use offspot_agent::receipts::Record;
use offspot_tests::image_card::{Card, entry};
use offspot_tests::image_tarball::{Entry, Sample, docker, foreign, gnu, hex, moved, native, oci, pack, pax, put};

#[test]
fn every_shape_of_docker_archive() {
    let card = Card::new("shapes");
    let mut expected = Vec::new();
    let mut add = |file: &str, name: &str, image: &str, make: &dyn Fn(&Sample) -> Vec<u8>| {
        // Most are only loaded: the engine checks their layers itself, and a busybox each takes its time.
        let runs = ["plain.tar", "hub.tar", "pax.tar", "zstd.tar"].contains(&file);
        let sample = if runs { Sample::busybox(name) } else { Sample::small(name) };
        put(&card.data(file), &make(&sample));
        expected.push((image.to_owned(), sample.id(), runs.then(|| sample.names[0].clone())));
    };
    let plain = |sample: &Sample| gnu(&docker(&[sample]));
    add("plain.tar", "plain:1", "docker.io/library/plain:1", &plain);
    add("hub.tar", "index.docker.io/library/caddy:2", "caddy:2", &plain);
    add("manifest-first.tar", "first:1", "first:1", &|sample| gnu(&moved(docker(&[sample]), "manifest.json", 0)));
    add("pax.tar", "ghcr.io/offspot/pax:1", "ghcr.io/offspot/pax:1", &|sample| pax(&docker(&[sample])));
    for program in ["gzip", "xz", "bzip2", "zstd"] {
        let name = format!("{program}:1");
        add(&format!("{program}.tar"), &name, &name, &|sample| pack(&gnu(&docker(&[sample])), program));
        let name = format!("{program}-layers:1");
        add(&format!("{program}-layers.tar"), &name, &name, &|sample| gnu(&docker(&[&sample.clone().packed(program)])));
    }
    add("long.tar", "long:1", "long:1", &|sample| {
        let long = "deep/".repeat(40);
        let mut members = docker(&[sample]);
        let at = members.iter().position(|(name, _)| name == "manifest.json").unwrap();
        let Entry::File(manifest) = &members[at].1 else { unreachable!() };
        let text = String::from_utf8(manifest.clone()).unwrap();
        let layer = format!("{}/layer.tar", hex(&sample.layers[0]));
        members[at].1 = Entry::File(text.replace(&layer, &format!("{long}{layer}")).into_bytes());
        let layer_at = members.iter().position(|(name, _)| *name == layer).unwrap();
        members[layer_at].0 = format!("{long}{layer}");
        gnu(&members)
    });
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    for (image, id, says) in &expected {
        assert_eq!(outcome.loaded.id(image), Some(id.as_str()), "{image}");
        if let Some(says) = says {
            assert_eq!(card.says(image), *says);
        }
        assert!(card.receipts().has_image(id));
    }
    assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0, "tarballs are removed");
    let again = card.load();
    assert_eq!((again.problems(), again.status.progress.total), (vec![], 0));
    assert!(again.loaded.id("caddy:2").is_some());
}

#[test]
fn linked_layers_and_several_images_in_one_tarball() {
    let card = Card::new("several");
    let (one, two) = (Sample::busybox("one:1"), Sample::busybox("two:1"));
    let shared = format!("{}/layer.tar", hex(&one.layers[0]));
    for (file, link) in
        [("symbolic.tar", Entry::Symbolic(format!("../{shared}"))), ("hard.tar", Entry::Hard(shared.clone()))]
    {
        let mut members = docker(&[&one, &two]);
        let second = members.iter().rposition(|(name, _)| *name == shared).unwrap();
        members[second] = ("another/layer.tar".into(), link);
        let at = members.len() - 1;
        let Entry::File(manifest) = &members[at].1 else { unreachable!() };
        let text = String::from_utf8(manifest.clone()).unwrap();
        let last = text.rfind(&shared).unwrap();
        let text = format!("{}another/layer.tar{}", &text[..last], &text[last + shared.len()..]);
        members[at].1 = Entry::File(text.into_bytes());
        put(&card.data(file), &gnu(&members));
        let outcome = card.load();
        assert_eq!(outcome.problems(), Vec::<String>::new(), "{file}");
        for sample in [&one, &two] {
            assert_eq!(outcome.loaded.id(&sample.names[0]), Some(sample.id().as_str()));
            assert_eq!(card.says(&sample.names[0]), sample.names[0]);
            card.engine().docker(&["rmi", "-f", &sample.id()]);
        }
    }
}

#[test]
fn oci_layouts() {
    let card = Card::new("oci");
    let other = Sample { arch: foreign().into(), ..Sample::small("multi:1") };
    let mut expected = Vec::new();
    for program in ["", "gzip", "zstd", "xz"] {
        let name = format!("oci{program}:1");
        let mut sample = Sample::busybox(&name);
        if !program.is_empty() {
            sample = sample.packed(program);
        }
        put(&card.data(&format!("oci-{program}.tar")), &gnu(&oci(&name, &[&other, &sample])));
        expected.push((name, sample.id()));
    }
    let outer = Sample::busybox("outer:1").packed("zstd");
    put(&card.data("outer.tar"), &pack(&gnu(&oci("outer:1", &[&outer])), "xz"));
    expected.push(("outer:1".into(), outer.id()));
    let outcome = card.load();
    for (name, id) in &expected {
        assert_eq!(outcome.loaded.id(name), Some(id.as_str()), "{name}: {:#?}", outcome.problems());
        assert_eq!(card.says(name), *name);
    }
    // The platforms for other boards are no problem, and no reason to keep the tarball.
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(fs::read_dir(card.data("")).unwrap().count(), 0);
}

#[test]
fn names_by_digest_and_entries_of_oci_images() {
    let card = Card::new("digest");
    let pinned = format!("ghcr.io/offspot/pinned@sha256:{}", "5".repeat(64));
    // As the image creator saves an image that was named by digest only.
    let mut nameless = Sample::busybox("ghcr.io/offspot/pinned:");
    put(&card.data("by-url.tar"), &gnu(&docker(&[&nameless])));
    nameless.layers.push(nameless.layers[1].clone());
    let by_file = format!("a/b:1@sha256:{}", "6".repeat(64));
    nameless.names.clear();
    put(
        &card.data(&format!("index.docker.io_a_b_sha256{}_linux{}.tar", "6".repeat(64), native())),
        &gnu(&docker(&[&nameless])),
    );
    let layout = Sample::busybox("x:1");
    let by_manifest = format!("x@{}", layout.manifest_digest());
    put(&card.boot("layout.tar"), &gnu(&oci("1", &[&layout])));
    let wanted = [
        entry(&pinned, Some("file:///data/images/by-url.tar")),
        entry(&by_file, None),
        entry(&by_manifest, None),
        entry("absent:1", Some("/data/images/absent.tar")),
        entry("remote:1", Some("http://127.0.0.1:1/x.tar")),
    ];
    let outcome = card.load_with(&wanted, false);
    for ident in [&pinned, &by_file, &by_manifest, "a/b:1"] {
        assert!(outcome.loaded.id(ident).is_some(), "{ident}: {:#?}", outcome.problems());
    }
    assert_eq!(outcome.problems().len(), 2, "{:#?}", outcome.problems());
    outcome.expect_problem("E-IMAGE-MISSING", "absent:1");
    outcome.expect_problem("E-FETCH-IMAGE", "remote:1");
    assert!(outcome.loaded.failure("docker.io/library/absent:1").is_some());
    // The next boot has no tarballs, and knows all by name nevertheless.
    let again = card.load_with(&wanted, false);
    assert_eq!(again.problems().len(), 2, "{:#?}", again.problems());
    assert!(again.loaded.id(&by_file).is_some());
    // A name that the engine lost comes back from an entry of oci_images.
    card.engine().docker(&["rmi", &format!("x:{}", layout.manifest_digest().replace(':', "-")), "--no-prune"]);
}

#[test]
fn receipts_name_what_was_loaded() {
    let card = Card::new("receipt");
    let sample = Sample::busybox("index.docker.io/library/receipt:1");
    put(&card.data("receipt.tar"), &gnu(&docker(&[&sample])));
    card.load();
    let text = card.receipts_text();
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(&line[9..]).unwrap()).collect();
    assert!(matches!(&records[0], Record::Begun { ids } if ids == &[sample.id()]));
    assert!(
        matches!(&records[1], Record::Image { id, names, .. } if *id == sample.id() && names == &["docker.io/library/receipt:1"])
    );
    assert!(
        matches!(&records[2], Record::Tarball { ids, from } if ids == &[sample.id()] && from.path == "/data/images/receipt.tar")
    );
    assert_eq!(records.len(), 3);
}

#[test]
fn what_docker_and_skopeo_save() {
    let card = Card::new("saved");
    let sample = Sample::busybox("saved:1");
    let source = card.root.join("source.tar");
    put(&source, &gnu(&docker(&[&sample])));
    card.engine().docker(&["load", "-q", "-i", source.to_str().unwrap()]);
    fs::create_dir_all(card.data("")).unwrap();
    card.engine().docker(&["save", "-o", card.data("docker.tar").to_str().unwrap(), "saved:1"]);
    card.engine().docker(&["rmi", "-f", "saved:1"]);
    let copy = |to: &str, more: &[&str]| {
        let status = std::process::Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q"])
            .args(more)
            .args([&format!("docker-archive:{}", source.display()), to])
            .status()
            .expect("apt-get install skopeo");
        assert!(status.success(), "skopeo to {to}");
    };
    copy(&format!("docker-archive:{}:sk/docker:1", card.data("sk-docker.tar").display()), &[]);
    copy(&format!("oci-archive:{}:sk/oci:1", card.data("sk-oci.tar").display()), &[]);
    copy(
        &format!("oci-archive:{}:sk/zst:1", card.data("sk-zst.tar").display()),
        &["--dest-compress-format", "zstd", "--dest-compress"],
    );
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    for name in ["saved:1", "sk/docker:1", "sk/oci:1", "sk/zst:1"] {
        assert_eq!(card.says(name), "saved:1", "{name}");
    }
}
