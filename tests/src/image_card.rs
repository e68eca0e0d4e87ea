//! A card's folders with a real engine beside them, into which image tarballs are loaded as a boot does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use offspot_agent::engine::Engine;
use offspot_agent::host::Host;
use offspot_agent::images::{self, Loaded};
use offspot_agent::problem::Problem;
use offspot_agent::receipts::Receipts;
use offspot_agent::report::{Reporter, Status};
use offspot_config::settings::OciImage;

use crate::engine::PrivateEngine;

/// A card's root in a temporary folder, with an engine.
#[derive(Debug)]
pub struct Card {
    /// The root of its system.
    pub root: PathBuf,
    /// Its engine; none while it is off.
    pub engine: Option<PrivateEngine>,
}

/// What a load came to.
#[derive(Debug)]
pub struct Outcome {
    /// The token.
    pub loaded: Loaded,
    /// What was reported.
    pub status: Status,
}

impl Card {
    /// A fresh card with an engine of its own, in a folder of this name.
    pub fn new(name: &str) -> Card {
        let root = std::env::temp_dir().join(format!("oi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let engine = Some(PrivateEngine::start(&root.join("run/e"), &root.join("data/docker")));
        Card { root, engine }
    }

    /// Its engine.
    pub fn engine(&self) -> &PrivateEngine {
        self.engine.as_ref().unwrap()
    }

    /// A file in `/data/images`.
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join("data/images").join(name)
    }

    /// A file in the boot partition's image folder.
    pub fn boot(&self, name: &str) -> PathBuf {
        self.root.join("boot/firmware/offspot/images").join(name)
    }

    /// Its journal, opened.
    pub fn receipts(&self) -> Receipts {
        Receipts::open(&self.root.join("data/.offspot")).unwrap().0
    }

    /// One boot's survey and load.
    pub fn load(&self) -> Outcome {
        self.load_with(&[], false)
    }

    /// The same with these entries of `oci_images` and with `keep_tarballs`.
    pub fn load_with(&self, wanted: &[OciImage], keep: bool) -> Outcome {
        let (report, status) = Reporter::new();
        let receipts = self.receipts();
        let items = images::survey(&Host::new(&self.root), wanted, &receipts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let loaded = runtime.block_on(async {
            let socket = self.engine().socket();
            let engine = Engine::ready(socket.to_str().unwrap(), Duration::from_secs(30)).await.unwrap();
            images::load(&engine, &self.root.join("data"), items, &receipts, &report, keep).await
        });
        let status = status.borrow().clone();
        Outcome { loaded, status }
    }

    /// What a container of this image prints: its name.
    pub fn says(&self, image: &str) -> String {
        self.engine().docker(&["run", "--rm", "--net=none", image])
    }

    /// Every image id in the engine.
    pub fn ids(&self) -> Vec<String> {
        let said = self.engine().docker(&["images", "-a", "-q", "--no-trunc"]);
        let mut ids: Vec<_> = said.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Card {
    /// Its journal as text.
    pub fn receipts_text(&self) -> String {
        fs::read_to_string(self.root.join("data/.offspot/receipts")).unwrap_or_default()
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
    pub fn problems(&self) -> Vec<String> {
        let say = |problem: &Problem| {
            let facts = problem.facts();
            format!("{} {}", facts.code, facts.sentence)
        };
        self.status.problems.iter().map(say).collect()
    }

    /// Panics unless a problem has this code and these words.
    pub fn expect_problem(&self, code: &str, words: &str) {
        let found = self.problems().iter().any(|said| said.starts_with(&format!("{code} ")) && said.contains(words));
        assert!(found, "no {code} about {words} in {:#?}", self.problems());
    }
}

/// An entry of `oci_images`.
pub fn entry(ident: &str, url: Option<&str>) -> OciImage {
    OciImage { ident: ident.to_owned(), url: url.map(str::to_owned), filesize: None, fullsize: None, checksum: None }
}

/// An ext4 of some MiB in a file.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is mounted.
    pub folder: PathBuf,
    device: String,
}

impl SmallDisk {
    /// Makes and mounts one of so many MiB; its root is the folder `r` in `folder`.
    pub fn mount(folder: &Path, mib: u64) -> SmallDisk {
        let run = |program: &str, arguments: &[&str]| {
            let output =
                std::process::Command::new(program).args(arguments).output().expect("apt-get install e2fsprogs mount");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
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
        let _ = std::process::Command::new("losetup").args(["-d", &self.device]).status();
        let _ = fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

/// Makes empty what the engine unpacked, as a cut before the sync does.
pub fn tear(store: &Path) -> usize {
    let find = std::process::Command::new("find")
        .arg(store.join("overlay2"))
        .args(["-type", "f", "-path", "*/diff/*"])
        .output()
        .unwrap();
    let files = String::from_utf8(find.stdout).unwrap();
    files.lines().inspect(|file| fs::write(file, b"").unwrap()).count()
}
