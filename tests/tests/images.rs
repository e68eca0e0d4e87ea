//! Image tarballs into a real engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use offspot_agent::engine::Engine;
use offspot_agent::host::Host;
use offspot_agent::images::{self, Loaded};
use offspot_agent::problem::Problem;
use offspot_agent::receipts::{Receipts, Record};
use offspot_agent::report::{Reporter, Status};
use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, OciImage};
use offspot_tests::engine::PrivateEngine;
use offspot_tests::image_tarball::{
    Entry, Sample, docker, foreign, gnu, hex, layer, moved, native, oci, pack, pax, put,
};

/// A card's root in a temporary folder, with an engine.
struct Card {
    root: PathBuf,
    engine: Option<PrivateEngine>,
}

/// What a load came to.
struct Outcome {
    loaded: Loaded,
    status: Status,
}

impl Card {
    fn new(name: &str) -> Card {
        let root = std::env::temp_dir().join(format!("oi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let engine = Some(PrivateEngine::start(&root.join("run/e"), &root.join("data/docker")));
        Card { root, engine }
    }

    fn engine(&self) -> &PrivateEngine {
        self.engine.as_ref().unwrap()
    }

    fn data(&self, name: &str) -> PathBuf {
        self.root.join("data/images").join(name)
    }

    fn boot(&self, name: &str) -> PathBuf {
        self.root.join("boot/firmware/offspot/images").join(name)
    }

    fn receipts(&self) -> Receipts {
        Receipts::open(&self.root.join("data/.offspot")).unwrap().0
    }

    fn load(&self) -> Outcome {
        self.load_with(&[], false)
    }

    fn load_with(&self, wanted: &[OciImage], keep: bool) -> Outcome {
        let (report, status) = Reporter::new();
        let receipts = self.receipts();
        let items = images::survey(&Host::new(&self.root), wanted, &receipts);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let loaded = runtime.block_on(async {
            let socket = self.engine().socket();
            let engine = Engine::ready(socket.to_str().unwrap(), Duration::from_secs(30))
                .await
                .unwrap();
            images::load(&engine, &self.root.join("data"), items, &receipts, &report, keep).await
        });
        let status = status.borrow().clone();
        Outcome { loaded, status }
    }

    /// What a container of this image prints: its name.
    fn says(&self, image: &str) -> String {
        self.engine().docker(&["run", "--rm", "--net=none", image])
    }

    fn ids(&self) -> Vec<String> {
        let said = self.engine().docker(&["images", "-a", "-q", "--no-trunc"]);
        let mut ids: Vec<_> = said.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.engine = None;
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Outcome {
    /// Codes of the problems with the start of their sentences.
    fn problems(&self) -> Vec<String> {
        let say = |problem: &Problem| {
            let facts = problem.facts();
            format!("{} {}", facts.code, facts.sentence)
        };
        self.status.problems.iter().map(say).collect()
    }

    fn expect_problem(&self, code: &str, words: &str) {
        let found = self
            .problems()
            .iter()
            .any(|said| said.starts_with(&format!("{code} ")) && said.contains(words));
        assert!(found, "no {code} about {words} in {:#?}", self.problems());
    }
}

fn entry(ident: &str, url: Option<&str>) -> OciImage {
    OciImage {
        ident: ident.to_owned(),
        url: url.map(str::to_owned),
        filesize: None,
        fullsize: None,
        checksum: None,
    }
}

#[test]
fn every_shape_of_docker_archive() {
    let card = Card::new("shapes");
    let mut expected = Vec::new();
    let mut add = |file: &str, name: &str, image: &str, make: &dyn Fn(&Sample) -> Vec<u8>| {
        // Most are only loaded: the engine checks their layers itself, and a busybox each takes its time.
        let runs = ["plain.tar", "hub.tar", "pax.tar", "zstd.tar"].contains(&file);
        let sample = if runs {
            Sample::busybox(name)
        } else {
            Sample::small(name)
        };
        put(&card.data(file), &make(&sample));
        expected.push((image.to_owned(), sample.id(), runs.then(|| sample.names[0].clone())));
    };
    let plain = |sample: &Sample| gnu(&docker(&[sample]));
    add("plain.tar", "plain:1", "docker.io/library/plain:1", &plain);
    add("hub.tar", "index.docker.io/library/caddy:2", "caddy:2", &plain);
    add("manifest-first.tar", "first:1", "first:1", &|sample| {
        gnu(&moved(docker(&[sample]), "manifest.json", 0))
    });
    add("pax.tar", "ghcr.io/offspot/pax:1", "ghcr.io/offspot/pax:1", &|sample| {
        pax(&docker(&[sample]))
    });
    for program in ["gzip", "xz", "bzip2", "zstd"] {
        let name = format!("{program}:1");
        add(&format!("{program}.tar"), &name, &name, &|sample| {
            pack(&gnu(&docker(&[sample])), program)
        });
        let name = format!("{program}-layers:1");
        add(&format!("{program}-layers.tar"), &name, &name, &|sample| {
            gnu(&docker(&[&sample.clone().packed(program)]))
        });
    }
    add("long.tar", "long:1", "long:1", &|sample| {
        let long = "deep/".repeat(40);
        let mut members = docker(&[sample]);
        let at = members.iter().position(|(name, _)| name == "manifest.json").unwrap();
        let Entry::File(manifest) = &members[at].1 else {
            unreachable!()
        };
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
    assert_eq!((again.problems(), again.status.total), (vec![], 0));
    assert!(again.loaded.id("caddy:2").is_some());
}

#[test]
fn linked_layers_and_several_images_in_one_tarball() {
    let card = Card::new("several");
    let (one, two) = (Sample::busybox("one:1"), Sample::busybox("two:1"));
    let shared = format!("{}/layer.tar", hex(&one.layers[0]));
    for (file, link) in [
        ("symbolic.tar", Entry::Symbolic(format!("../{shared}"))),
        ("hard.tar", Entry::Hard(shared.clone())),
    ] {
        let mut members = docker(&[&one, &two]);
        let second = members.iter().rposition(|(name, _)| *name == shared).unwrap();
        members[second] = ("another/layer.tar".into(), link);
        let at = members.len() - 1;
        let Entry::File(manifest) = &members[at].1 else {
            unreachable!()
        };
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
    let other = Sample {
        arch: foreign().into(),
        ..Sample::small("multi:1")
    };
    let mut expected = Vec::new();
    for program in ["", "gzip", "zstd", "xz"] {
        let name = format!("oci{program}:1");
        let mut sample = Sample::busybox(&name);
        if !program.is_empty() {
            sample = sample.packed(program);
        }
        put(
            &card.data(&format!("oci-{program}.tar")),
            &gnu(&oci(&name, &[&other, &sample])),
        );
        expected.push((name, sample.id()));
    }
    let outer = Sample::busybox("outer:1").packed("zstd");
    put(&card.data("outer.tar"), &pack(&gnu(&oci("outer:1", &[&outer])), "xz"));
    expected.push(("outer:1".into(), outer.id()));
    let outcome = card.load();
    for (name, id) in &expected {
        assert_eq!(
            outcome.loaded.id(name),
            Some(id.as_str()),
            "{name}: {:#?}",
            outcome.problems()
        );
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
        &card.data(&format!(
            "index.docker.io_a_b_sha256{}_linux{}.tar",
            "6".repeat(64),
            native()
        )),
        &gnu(&docker(&[&nameless])),
    );
    let layout = Sample::busybox("x:1");
    let by_manifest = format!("x@{}", layout.manifest_digest());
    put(&card.boot("layout.tar"), &gnu(&oci("1", &[&layout])));
    let wanted = [
        entry(&pinned, Some("file:///data/images/by-url.tar")),
        entry(&by_file, None),
        entry(&by_manifest, None),
        entry("absent:1", None),
        entry("remote:1", Some("http://example.org/x.tar")),
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
    card.engine().docker(&[
        "rmi",
        &format!("x:{}", layout.manifest_digest().replace(':', "-")),
        "--no-prune",
    ]);
}

#[test]
fn each_bad_tarball_is_named_and_the_others_loaded() {
    let card = Card::new("bad");
    let good = Sample::busybox("good:1");
    let tar = gnu(&docker(&[&good]));
    put(&card.data("zz-good.tar"), &tar);
    let mut noise = vec![0; 300_000];
    let mut seed = 1_u32;
    noise.fill_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    let mut bad = Sample::small("bad:1");
    bad.layers.insert(0, layer(&[("noise", &noise)]));
    let tar = gnu(&docker(&[&bad]));
    let first = gnu(&moved(docker(&[&bad]), "manifest.json", 0));
    let put_bad = |name: &str, bytes: &[u8]| put(&card.data(name), bytes);
    put_bad("empty.tar", b"");
    put_bad("cut.tar", &tar[..tar.len() / 2]);
    put_bad("cut-first.tar", &first[..first.len() / 2]);
    put_bad("cut-at-member.tar", &tar[..512 + bad.layers[0].len()]);
    put_bad("cut.tar.gz", &pack(&tar, "gzip")[..200_000]);
    put_bad("cut.tar.xz", &pack(&tar, "xz")[..200_000]);
    put_bad("text.tar", &b"this is a letter to the school\n".repeat(100));
    put_bad("short.tar", b"short");
    put_bad("zeros.tar", &[0; 4096]);
    put_bad("random.tar", &noise);
    put_bad("garbage.tar.gz", &pack(&noise, "gzip"));
    let alien = Sample {
        arch: foreign().into(),
        ..bad.clone()
    };
    put_bad("arch.tar", &gnu(&docker(&[&alien])));
    let flip = |needle: &[u8], from: &[u8]| {
        let mut bytes = from.to_vec();
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[at + needle.len() / 2] ^= 1;
        bytes
    };
    put_bad("layer.tar", &flip(&bad.layers[0][100_000..100_100], &tar));
    put_bad("config.tar", &flip(b"busybox\",\"cat", &tar));
    let zst = bad.clone().packed("zstd");
    let blob = &zst.blobs.as_ref().unwrap()[0];
    put_bad(
        "oci-layer.tar",
        &flip(&blob[100_000..100_020], &gnu(&oci("bad:1", &[&zst]))),
    );
    let gz = bad.clone().packed("gzip");
    let blob = &gz.blobs.as_ref().unwrap()[0];
    put_bad(
        "oci-gz-layer.tar",
        &flip(&blob[100_000..100_020], &gnu(&oci("bad:1", &[&gz]))),
    );
    put_bad(
        "oci-manifest.tar",
        &flip(b"\"schemaVersion\":2}", &gnu(&oci("bad:1", &[&zst]))),
    );
    let mut members = docker(&[&bad]);
    members.pop();
    put_bad("no-manifest.tar", &gnu(&members));
    members.push(("manifest.json".into(), Entry::File(b"[{\"Config\": 7".to_vec())));
    put_bad("json.tar", &gnu(&members));
    let mut members = docker(&[&bad]);
    members.remove(0);
    put_bad("no-layer.tar", &gnu(&members));
    put_bad("sum.tar", &tar);
    let sum = Checksum {
        algo: Algorithm::Sha256,
        value: ChecksumValue::Digest("0".repeat(64)),
    };
    let wanted = [OciImage {
        checksum: Some(sum),
        ..entry("bad:1", Some("/data/images/sum.tar"))
    }];

    let outcome = card.load_with(&wanted, false);
    for (code, file) in [
        ("E-IMAGE-EMPTY", "empty.tar"),
        ("E-IMAGE-TRUNCATED", "cut.tar"),
        ("E-IMAGE-TRUNCATED", "cut-first.tar"),
        ("E-IMAGE-TRUNCATED", "cut-at-member.tar"),
        ("E-IMAGE-TRUNCATED", "cut.tar.gz"),
        ("E-IMAGE-TRUNCATED", "cut.tar.xz"),
        ("E-IMAGE-NOT-ARCHIVE", "text.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "short.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "zeros.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "random.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "garbage.tar.gz"),
        ("E-IMAGE-ARCH", "arch.tar"),
        ("E-TRUST-IMAGE-DIGEST", "layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "config.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-gz-layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-layer.tar"),
        ("E-TRUST-IMAGE-DIGEST", "oci-manifest.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "no-manifest.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "json.tar"),
        ("E-IMAGE-NOT-ARCHIVE", "no-layer.tar"),
        ("E-TRUST-IMAGE-CHECKSUM", "sum.tar"),
    ] {
        let path = format!("/data/images/{file}");
        let said = outcome.problems();
        let named: Vec<_> = said
            .iter()
            .filter(|said| {
                said.contains(&format!("{path} ")) || said.ends_with(&path) || said.contains(&format!("{path},"))
            })
            .collect();
        println!("{file}: {named:?}");
        assert!(
            named.len() == 1 && named[0].starts_with(code),
            "{file}: {code} in {said:#?}"
        );
        assert!(card.data(file).exists(), "{file} is kept");
    }
    assert_eq!(outcome.problems().len(), 21);
    assert_eq!(card.ids(), [good.id()], "nothing of the bad ones is in the engine");
    assert_eq!(outcome.loaded.id("good:1"), Some(good.id().as_str()));
    assert!(!card.data("zz-good.tar").exists());
}

/// Makes empty what the engine unpacked, as a cut before the sync does.
fn tear(store: &Path) -> usize {
    let find = std::process::Command::new("find")
        .arg(store.join("overlay2"))
        .args(["-type", "f", "-path", "*/diff/*"])
        .output()
        .unwrap();
    let files = String::from_utf8(find.stdout).unwrap();
    files.lines().inspect(|file| fs::write(file, b"").unwrap()).count()
}

#[test]
fn what_the_engine_holds_without_a_receipt_is_loaded_again() {
    let card = Card::new("torn");
    let (sample, sibling) = (Sample::busybox("torn:1"), Sample::busybox("sibling:1"));
    for sample in [&sample, &sibling] {
        let name = sample.names[0].replace(':', "-") + ".tar";
        put(&card.boot(&name), &gnu(&docker(&[sample])));
        card.engine()
            .docker(&["load", "-q", "-i", card.boot(&name).to_str().unwrap()]);
    }
    // A container of ours stands on it.
    card.engine().docker(&[
        "create",
        "--label",
        "com.docker.compose.project=offspot",
        "--name",
        "ours",
        "torn:1",
    ]);
    assert!(tear(card.engine().data_root()) >= 3);
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(
        (card.says("torn:1"), card.says("sibling:1")),
        ("torn:1".into(), "sibling:1".into())
    );
    assert!(card.boot("torn-1.tar").exists(), "the boot partition is only read");
    // One that no tarball can put back is kept, used, and said.
    card.engine().docker(&["tag", "torn:1", "mine:1"]);
    let import = format!(
        "tar c -C /bin busybox | docker -H unix://{} import - foreign:1",
        card.engine().socket().display()
    );
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &import])
            .status()
            .unwrap()
            .success()
    );
    let outcome = card.load();
    assert!(outcome.loaded.id("foreign:1").is_some());
    assert!(
        outcome.status.notes.iter().any(|note| note.contains("foreign:1")),
        "{:?}",
        outcome.status.notes
    );
}

#[test]
fn a_doubtful_image_is_kept_when_its_tarball_is_bad() {
    let card = Card::new("doubt");
    let sample = Sample::busybox("doubt:1");
    let mut tar = gnu(&docker(&[&sample]));
    put(&card.root.join("x.tar"), &tar);
    card.engine()
        .docker(&["load", "-q", "-i", card.root.join("x.tar").to_str().unwrap()]);
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
    assert!(
        card.ids().is_empty() && some(),
        "the cut came between first layer and image"
    );
    assert!(tear(card.engine().data_root()) >= 1);
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert!(
        outcome
            .status
            .notes
            .iter()
            .any(|note| note.contains("load that was cut")),
        "{:?}",
        outcome.status.notes
    );
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
    assert_eq!((outcome.status.total, card.receipts_text()), (0, before));
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
    assert_eq!(
        (outcome.loaded.id("cut:1"), outcome.status.total),
        (Some(sample.id().as_str()), 0)
    );
}

impl Card {
    fn receipts_text(&self) -> String {
        fs::read_to_string(self.root.join("data/.offspot/receipts")).unwrap()
    }
}

#[test]
fn one_name_for_two_images_is_said_and_stays_the_same() {
    let card = Card::new("twice");
    let (one, mut two) = (Sample::busybox("same:1"), Sample::busybox("same:1"));
    two.layers.push(two.layers[1].clone());
    put(&card.data("a.tar"), &gnu(&docker(&[&one])));
    put(&card.boot("b.tar"), &gnu(&docker(&[&two])));
    for _ in 0..3 {
        let outcome = card.load();
        assert_eq!(outcome.problems().len(), 1);
        outcome.expect_problem("E-IMAGE-TWICE", "/boot/firmware/offspot/images/b.tar");
        assert_eq!(outcome.loaded.id("same:1"), Some(one.id().as_str()));
        assert!(card.data("a.tar").exists(), "both stay until the user decides");
    }
    fs::remove_file(card.data("a.tar")).unwrap();
    let outcome = card.load();
    assert_eq!(outcome.problems(), Vec::<String>::new());
    assert_eq!(
        outcome.loaded.id("same:1"),
        Some(two.id().as_str()),
        "a new version takes the name"
    );
}

#[test]
fn a_full_card_is_said_and_costs_only_what_does_not_fit() {
    let folder = std::env::temp_dir().join(format!("oi-full-{}", std::process::id()));
    let small = SmallDisk::mount(&folder, 64);
    let card = Card {
        engine: Some(PrivateEngine::start(
            &folder.join("e"),
            &small.folder.join("data/docker"),
        )),
        root: small.folder.clone(),
    };
    let mut large = Sample::small("large:1");
    large.layers.push(layer(&[("large", &vec![7; 40 << 20])]));
    // As a laptop's tarball, packed so small that it lies on the card with ease.
    put(&card.data("a-large.tar"), &pack(&gnu(&docker(&[&large])), "zstd"));
    let fits = Sample::busybox("fits:1");
    put(&card.data("b-fits.tar"), &gnu(&docker(&[&fits])));
    let outcome = card.load();
    outcome.expect_problem("E-SPACE-FULL", "/data/images/a-large.tar");
    assert_eq!(
        (outcome.problems().len(), card.ids()),
        (1, vec![fits.id()]),
        "{:#?}",
        outcome.problems()
    );
    assert_eq!(card.says("fits:1"), "fits:1");
    drop(card);
    drop(small);
}

/// An ext4 of some MiB in a file.
struct SmallDisk {
    folder: PathBuf,
    device: String,
}

impl SmallDisk {
    fn mount(folder: &Path, mib: u64) -> SmallDisk {
        let run = |program: &str, arguments: &[&str]| {
            let output = std::process::Command::new(program)
                .args(arguments)
                .output()
                .expect("apt-get install e2fsprogs mount");
            assert!(
                output.status.success(),
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (file, root) = (folder.join("disk"), folder.join("r"));
        fs::create_dir_all(&root).unwrap();
        fs::File::create(&file).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &["-q", file.to_str().unwrap()]);
        let device = run("losetup", &["-f", "--show", file.to_str().unwrap()]);
        run("mount", &[&device, root.to_str().unwrap()]);
        SmallDisk { folder: root, device }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.folder).status();
        let _ = std::process::Command::new("losetup")
            .args(["-d", &self.device])
            .status();
        let _ = fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

#[test]
fn receipts_name_what_was_loaded() {
    let card = Card::new("receipt");
    let sample = Sample::busybox("index.docker.io/library/receipt:1");
    put(&card.data("receipt.tar"), &gnu(&docker(&[&sample])));
    card.load();
    let text = card.receipts_text();
    let records: Vec<Record> = text
        .lines()
        .map(|line| serde_json::from_str(&line[9..]).unwrap())
        .collect();
    assert!(
        matches!(&records[0], Record::Image { id, names, .. } if *id == sample.id() && names == &["docker.io/library/receipt:1"])
    );
    assert!(
        matches!(&records[1], Record::Tarball { ids, from } if ids == &[sample.id()] && from.path == "/data/images/receipt.tar")
    );
    assert_eq!(records.len(), 2);
}

#[test]
fn what_docker_and_skopeo_save() {
    let card = Card::new("saved");
    let sample = Sample::busybox("saved:1");
    let source = card.root.join("source.tar");
    put(&source, &gnu(&docker(&[&sample])));
    card.engine().docker(&["load", "-q", "-i", source.to_str().unwrap()]);
    fs::create_dir_all(card.data("")).unwrap();
    card.engine()
        .docker(&["save", "-o", card.data("docker.tar").to_str().unwrap(), "saved:1"]);
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
    copy(
        &format!("docker-archive:{}:sk/docker:1", card.data("sk-docker.tar").display()),
        &[],
    );
    copy(
        &format!("oci-archive:{}:sk/oci:1", card.data("sk-oci.tar").display()),
        &[],
    );
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
