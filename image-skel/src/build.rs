//! The story of one build, top to bottom: from `skel.toml` and `Packages.lock` to the file that is flashed.
//!
//! Nothing is asked of any mirror but the debs that the lock names, nothing of Debian is run, and root is not needed.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::boards::{self, Row};
use crate::lock::Lock;
use crate::outputs::{self, Outputs};
use crate::report::{self, Report};
use crate::skel::Skel;
use crate::store::{self, Store};
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Source, Tree};
use crate::{boot_partition, configure, image, initramfs, inputs, lock_command, root, sbom};

/// Where the agent lies on the root partition.
const AGENT: &str = "/usr/bin/offspot-agent";
/// The image's name; compressed ones add `.zst` and `.xz`.
pub const IMAGE: &str = "offspot-arm64.img";

/// Beside the image: a digest of what it was made from.
const MADE_FROM: &str = "offspot-arm64.made-from";

const SBOM: &str = "offspot-arm64.spdx.json";

/// What goes in, and where it comes out.
#[derive(Debug, Clone)]
pub struct Options {
    /// `skel.toml`.
    pub skel: PathBuf,
    /// `Packages.lock`.
    pub lock: PathBuf,
    /// Files as they lie on the card.
    pub overlay: PathBuf,
    /// The store of debs.
    pub store: PathBuf,
    /// The agent, built for the card.
    pub agent: PathBuf,
    /// Folder that gets the image.
    pub out: PathBuf,
    /// Never reach for a mirror.
    pub offline: bool,
    /// Compressed images, block map and checksums too.
    pub pack: bool,
    /// The software bill of materials too.
    pub sbom: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: PathBuf,
    /// Compressed images, block map, checksums, where they were asked for.
    pub outputs: Option<Outputs>,
    /// What was done in place of maintainer scripts.
    pub done: Vec<String>,
    /// What of the packages is not on the root partition, by path.
    pub left_out: Vec<PathBuf>,
    /// What takes the room.
    pub report: Report,
    /// Which part of which board is driven by what.
    pub boards: Vec<Row>,
}

/// Makes the image unless the one that is there was made from just these files; `None` where nothing was to do.
pub fn build_if_needed(options: &Options) -> Outcome<Option<Built>> {
    let (image, made_from) = (options.out.join(IMAGE), options.out.join(MADE_FROM));
    let inputs = inputs::digest(options)?;
    let more = options.pack || options.sbom;
    if !more && image.exists() && fs::read_to_string(&made_from).is_ok_and(|made_from| made_from == inputs) {
        return Ok(None);
    }
    build(options).map(Some)
}

/// Makes the image.
pub fn build(options: &Options) -> Outcome<Built> {
    let skel = Skel::read(&options.skel)?;
    let lock = Lock::read(&options.lock)?;
    let epoch = lock.epoch();
    suits(&options.skel, &skel, &options.lock)?;
    let made_of = inputs::digest(options)?;
    fs::create_dir_all(&options.out).doing(options.out.display())?;
    let _alone = alone(&options.out)?;
    let Parts { root, boot, boards, done, left_out } = assemble(options, &skel, &lock)?;

    // 5. The partitions, one after the other, in one file.
    let image = options.out.join(IMAGE);
    let made_from = options.out.join(MADE_FROM);
    // What was made of the image before this one must not lie beside it.
    for stale in
        [MADE_FROM, "offspot-arm64.img.zst", "offspot-arm64.img.xz", "offspot-arm64.img.bmap", "SHA256SUMS", SBOM]
    {
        let stale = options.out.join(stale);
        if stale.exists() {
            fs::remove_file(&stale).doing(stale.display())?;
        }
    }
    image::write(&image, &skel.partitions, &boot, &root, epoch)?;

    // 6. What a person downloads and checks.
    let report = report::report(&root, &boot);
    if options.sbom {
        let path = options.out.join(SBOM);
        fs::write(&path, sbom::spdx(&lock, &skel, epoch)?).doing(path.display())?;
    }
    let outputs = options
        .pack
        .then(|| outputs::write(&image, outputs::Options { zst: true, xz: true, bmap: true }))
        .transpose()?;
    fs::write(&made_from, made_of).doing(made_from.display())?;
    Ok(Built { image, outputs, done, left_out, report, boards })
}

/// A card without a wanted package would be found out in a village.
fn suits(skel_path: &Path, skel: &Skel, lock_path: &Path) -> Outcome<()> {
    let wrong = lock_command::check(skel, lock_path)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let (lock, skel) = (lock_path.display(), skel_path.display());
    Err(Failure::new(format!("{lock} is not what {skel} wants: {}: run `image-skel lock`", wrong.join("; "))))
}

/// Held as long as a build writes into `out`.
fn alone(out: &Path) -> Outcome<File> {
    let path = out.join(".offspot-arm64.lock");
    let file = File::create(&path).doing(path.display())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::new(format!("another build writes to {}: wait for it, or use another --out", out.display())))
        }
        Err(TryLockError::Error(error)) => Err(error).doing(path.display()),
    }
}

/// Which part of which board is driven by what: everything is put together, nothing is written.
pub fn look(options: &Options) -> Outcome<Vec<Row>> {
    assemble(options, &Skel::read(&options.skel)?, &Lock::read(&options.lock)?).map(|parts| parts.boards)
}

/// What the partitions will hold.
struct Parts {
    root: Tree,
    boot: Tree,
    boards: Vec<Row>,
    done: Vec<String>,
    left_out: Vec<PathBuf>,
}

fn assemble(options: &Options, skel: &Skel, lock: &Lock) -> Outcome<Parts> {
    // 1. Every deb of the lock, from the store or from a mirror.
    let bring = store::Options { offline: options.offline, ..store::Options::default() };
    let debs = Store::open(&options.store)?.bring(skel, lock, &bring)?;

    // 2. All of them unpacked into one tree, with what dpkg knows about them; then what the card does not need goes.
    let full = root::unpack(lock, &debs)?;
    let mut root = full.clone();
    let left_out = root::leave_out(&mut root, skel)?;

    // 3. What maintainer scripts would have done, our own files, and the agent.
    add_agent(&mut root, &options.agent)?;
    let done = configure::configure(&mut root, skel, &options.overlay, lock.epoch())?;

    // 4. The boot partition: firmware, kernel, device trees, initial RAM disk, settings, status files.
    let initramfs = initramfs::make(&full, skel)?;
    let boot = boot_partition::assemble(&full, skel, &options.overlay, &initramfs)?;
    let boards = boards::table(&root, &boot, skel)?;

    Ok(Parts { root, boot, boards, done, left_out })
}

fn add_agent(tree: &mut Tree, agent: &Path) -> Outcome<()> {
    let size = fs::metadata(agent).doing(agent.display())?.len();
    let node = Node::ours(Kind::File(Source::Disk { path: agent.to_owned(), size }), 0o755);
    match tree.put(AGENT, node) {
        None => Ok(()),
        Some(_) => Err(Failure::new(format!("{AGENT} is already there: a package must not bring the agent"))),
    }
}
