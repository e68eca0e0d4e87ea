//! A card's folders with a real engine beside them, into which image tarballs are loaded as a boot does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use offspot_agent::engine::Engine;
use offspot_agent::host::Host;
use offspot_agent::images::staging::Need;
use offspot_agent::images::{self, Loaded};
use offspot_agent::problem::Problem;
use offspot_agent::receipts::Receipts;
use offspot_agent::report::{Reporter, Status};
use offspot_config::settings::OciImage;

use crate::engine::PrivateEngine;
use crate::image_tarball::Sample;
use crate::other_release::Programs;

/// Where the process that is to be killed finds its card.
const CHILD_ROOT: &str = "OFFSPOT_CHILD_ROOT";
/// Longest wait for a disk that is in use.
const HELD: Duration = Duration::from_secs(5);

/// What lies here is read as `offspot.yaml`, for its `oci_images` and `registries`.
const SETTINGS: &str = "offspot.yaml";
/// Where this file lies, layers go to the engine through pipes.
const PIPES: &str = "pipes";

/// A card's root in a temporary folder, with an engine. What it is sent it unpacks, unless pipes are asked for.
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
        Card::of(name, None, &[])
    }

    /// The same with the engine of another release, and with further arguments of it.
    pub fn of(name: &str, programs: Option<Programs>, arguments: &[&str]) -> Card {
        let root = std::env::temp_dir().join(format!("oi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let engine = PrivateEngine::start_of(programs, &root.join("run/e"), &root.join("data/docker"), arguments);
        Card { root, engine: Some(engine) }
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
        load(&self.root, &self.engine().socket(), wanted, keep)
    }

    /// The same through another socket, behind which the engine is.
    pub fn load_through(&self, socket: &Path) -> Outcome {
        load(&self.root, socket, &[], false)
    }

    /// Begins the same in a process of its own, to be killed: this test's program, whose ignored test `child` calls [`child`].
    pub fn begin(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--ignored", "-q"]).env(CHILD_ROOT, &self.root);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    }

    /// Kills engine and `running` load, as a power cut does, and starts the engine again.
    pub fn cut(&mut self, mut running: Child) {
        self.engine.as_mut().unwrap().kill_and_restart();
        running.kill().unwrap();
        running.wait().unwrap();
    }

    /// Gives its engine so many MiB of memory to unpack in, and starts it anew.
    pub fn with_memory(&mut self, mib: u64) -> SmallMemory {
        let (host, need) = (Host::new(&self.root), Need { load: 1, both: 1, layer: 1 });
        let memory = SmallMemory::mount(&host.engine_folder(), mib);
        images::staging::prepare(&host, need).unwrap();
        let told = fs::read_to_string(host.engine_environment()).unwrap();
        let (name, value) = told.lines().last().unwrap().split_once('=').unwrap();
        self.engine.as_mut().unwrap().restart_with(&[(name, value)]);
        memory
    }

    /// From now on layers go to its engine through pipes.
    pub fn with_pipes(self) -> Card {
        fs::write(self.root.join(PIPES), "").unwrap();
        self
    }

    /// From now on these are its settings, as far as they concern images.
    pub fn set(&self, yaml: &str) {
        fs::write(self.root.join(SETTINGS), yaml).unwrap();
    }

    /// Folders of the layers that the engine has.
    pub fn layers(&self) -> Vec<PathBuf> {
        let folder = self.engine().data_root().join("image/overlay2/layerdb/sha256");
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// Makes empty what the engine unpacked, as a cut before the sync does, of all but the layers that these samples stand on.
    pub fn tear_but(&self, whole: &[&Sample]) -> usize {
        let kept: BTreeSet<String> = whole.iter().flat_map(|sample| sample.chain_ids()).collect();
        let torn =
            self.layers().into_iter().filter(|layer| !kept.contains(layer.file_name().unwrap().to_str().unwrap()));
        torn.map(|layer| {
            let id = fs::read_to_string(layer.join("cache-id")).unwrap();
            tear_below(&self.engine().data_root().join("overlay2").join(id))
        })
        .sum()
    }

    /// What a container of this image prints: its name.
    pub fn says(&self, image: &str) -> String {
        let said = || self.engine().docker(&["run", "--rm", "--net=none", image]);
        // On a busy machine what a container prints may be lost that ends before the client is attached. An image without its name stays so.
        (0..3).map(|_| said()).find(|said| !said.is_empty()).unwrap_or_default()
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

/// One boot's survey and load on the card with this root.
fn load(root: &Path, socket: &Path, wanted: &[OciImage], keep: bool) -> Outcome {
    let (report, status) = Reporter::new();
    let receipts = Receipts::open(&root.join("data/.offspot")).unwrap().0;
    let yaml = fs::read(root.join(SETTINGS)).unwrap_or_default();
    let settings = offspot_config::in_force(None, Some(&yaml)).settings;
    let wanted: Vec<_> = wanted.iter().cloned().chain(settings.oci_images).collect();
    let mut items = images::survey(&Host::new(root), &wanted, &receipts);
    images::count(&mut items, &receipts);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loaded = runtime.block_on(async {
        let mut engine = Engine::ready(socket.to_str().unwrap(), Duration::from_secs(30)).await.unwrap();
        engine.pipes = root.join(PIPES).exists();
        images::load(&engine, &root.join("data"), items, &receipts, &report, (keep, &settings.registries)).await
    });
    let status = status.borrow().clone();
    Outcome { loaded, status }
}

/// What the process does that [`Card::begin`] starts.
pub fn child() {
    let root = PathBuf::from(std::env::var_os(CHILD_ROOT).unwrap());
    load(&root, &root.join("run/e/docker.sock"), &[], false);
}

/// An entry of `oci_images`.
pub fn entry(ident: &str, url: Option<&str>) -> OciImage {
    OciImage {
        ident: ident.to_owned(),
        url: url.map(str::to_owned),
        mirrors: Vec::new(),
        filesize: None,
        fullsize: None,
        checksum: None,
    }
}

/// An ext4 of some MiB in a file.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is mounted.
    pub folder: PathBuf,
    device: String,
}

impl SmallDisk {
    /// Makes and mounts one of so many MiB, with nothing kept back for root; its root is the folder `r` in `folder`.
    pub fn mount(folder: &Path, mib: u64) -> SmallDisk {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().expect("apt-get install e2fsprogs mount");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (file, root) = (folder.join("disk"), folder.join("r"));
        fs::create_dir_all(&root).unwrap();
        fs::File::create(&file).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &["-q", "-m", "0", file.to_str().unwrap()]);
        let device = run("losetup", &["-f", "--show", file.to_str().unwrap()]);
        run("mount", &[&device, root.to_str().unwrap()]);
        SmallDisk { folder: root, device }
    }
}

impl SmallDisk {
    /// Bytes free.
    pub fn free(&self) -> u64 {
        let about = nix::sys::statvfs::statvfs(&self.folder).unwrap();
        about.blocks_available() * about.fragment_size()
    }

    /// Fills it up to so many bytes, and no more than a block less.
    pub fn leave(&self, bytes: u64) {
        let file = self.folder.join("filler");
        let _ = fs::remove_file(&file);
        let file = fs::File::create(&file).unwrap();
        // Metadata of the file itself counts too: some tries come to the block.
        for _ in 0..20 {
            let over = self.free() as i64 - bytes.next_multiple_of(4096) as i64;
            if over == 0 {
                return;
            }
            let length = file.metadata().unwrap().len() as i64 + over;
            nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, length.max(4096)).unwrap();
            file.set_len(length.max(4096) as u64).unwrap();
        }
        panic!("{} bytes are free instead of {bytes}", self.free());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = |how: &[&str]| {
            let output = Command::new("umount").args(how).arg(&self.folder).output();
            output.is_ok_and(|output| output.status.success())
        };
        // What an engine has started may hold on to it for a moment after the engine ended.
        let begun = Instant::now();
        while !unmount(&[]) {
            if begun.elapsed() > HELD {
                unmount(&["-l"]);
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // A device that is still in use is detached with its last user.
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
        let _ = fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

/// A folder in memory, of some MiB.
#[derive(Debug)]
pub struct SmallMemory {
    folder: PathBuf,
}

impl SmallMemory {
    /// Mounts one at `folder`.
    pub fn mount(folder: &Path, mib: u64) -> SmallMemory {
        fs::create_dir_all(folder).unwrap();
        let size = format!("size={mib}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).status();
        assert!(status.unwrap().success(), "mounting a tmpfs");
        SmallMemory { folder: folder.to_owned() }
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// Makes empty what the engine unpacked, as a cut before the sync does.
pub fn tear(store: &Path) -> usize {
    tear_below(&store.join("overlay2"))
}

fn tear_below(folder: &Path) -> usize {
    let find = Command::new("find").arg(folder).args(["-type", "f", "-path", "*/diff/*"]).output().unwrap();
    let files = String::from_utf8(find.stdout).unwrap();
    files.lines().inspect(|file| fs::write(file, b"").unwrap()).count()
}
