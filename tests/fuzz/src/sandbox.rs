//! A folder in memory that an archive is unpacked into, and everything around it that must stay as it was.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use offspot_agent::report::Reporter;
use offspot_agent::stream::tree::{Room, Tree};

/// What an archive may use: enough for the seeds, little enough that a lie about sizes costs nothing.
const ROOM: Room = Room { bytes: 256 << 10, inodes: 200 };
/// What stands beside the target and must stand there afterwards.
const CANARY: &str = "beside the target";

/// One archive's ground: `outer/inner/target`, a file beside the target, and one beside that.
pub struct Sandbox {
    outer: PathBuf,
    target: PathBuf,
}

impl Sandbox {
    /// Made once a process: only the target is new for every archive.
    fn of_this_process() -> &'static Sandbox {
        static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
        SANDBOX.get_or_init(|| {
            let outer = Path::new("/dev/shm").join(format!("offspot-fuzz-{}", std::process::id()));
            let _ = fs::remove_dir_all(&outer);
            let inner = outer.join("inner");
            fs::create_dir_all(&inner).expect("a folder in /dev/shm");
            for folder in [&outer, &inner] {
                fs::write(folder.join("canary"), CANARY).expect("a canary");
            }
            Sandbox { target: inner.join("target"), outer }
        })
    }

    /// Unpacks with `unpack`, and looks at what came of it, whether it was taken or refused. What was taken is given.
    pub fn unpack(unpack: impl FnOnce(&mut Tree<'_>) -> io::Result<()>) -> Option<Laid> {
        let sandbox = Sandbox::of_this_process();
        fs::create_dir(&sandbox.target).expect("a target");
        let root = fs::metadata("/").expect("a root").ctime_nsec();
        let (told, _) = Reporter::new();
        let mut told_of = 0;
        let mut note = |_| {
            told_of += 1;
            Ok(())
        };
        let mut tree = Tree::new(&sandbox.target, ROOM, &told, &mut note).expect("a target");
        let taken = unpack(&mut tree).is_ok();
        let bytes = tree.bytes();
        assert_eq!(fs::metadata("/").expect("a root").ctime_nsec(), root, "something was made in /");
        let mut seen = Seen::default();
        seen.look_at(&sandbox.target, 0);
        // Of what an archive holds twice the first goes, but was written.
        assert!(seen.bytes <= ROOM.bytes && bytes <= ROOM.bytes, "{} bytes, {bytes} written", seen.bytes);
        assert!(seen.inodes.len() as u64 <= ROOM.inodes, "{} files and folders", seen.inodes.len());
        assert!(told_of <= ROOM.inodes, "{told_of} members");
        fs::remove_dir_all(&sandbox.target).expect("the target goes again");
        sandbox.look_around();
        taken.then_some(seen.laid)
    }

    /// Nothing came, nothing went, nothing changed outside of the target.
    fn look_around(&self) {
        let inner = self.outer.join("inner");
        for (folder, expected) in [(&self.outer, ["canary", "inner"].as_slice()), (&inner, &["canary"])] {
            let mut names: Vec<_> =
                fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            assert_eq!(names, expected, "in {}", folder.display());
            assert_eq!(fs::read_to_string(folder.join("canary")).expect("the canary"), CANARY);
        }
    }
}

/// Everything that was laid out: mode, when a file was written, and what it holds or where a link leads.
pub type Laid = BTreeMap<PathBuf, (u32, i64, Vec<u8>)>;

/// What lies in the target.
#[derive(Default)]
struct Seen {
    laid: Laid,
    bytes: u64,
    inodes: HashSet<u64>,
}

impl Seen {
    /// Goes through a folder `depth` below the target: only files, folders, and links that stay within; no right beyond those of the usual nine
    /// bits.
    fn look_at(&mut self, folder: &Path, depth: usize) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("what was listed");
            let kind = meta.file_type();
            let odd = kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket();
            assert!(!odd, "{} is a device", path.display());
            let mut held = Vec::new();
            if kind.is_symlink() {
                let link = fs::read_link(&path).expect("a link");
                stays(&link, depth);
                held = link.into_os_string().into_vec();
            } else {
                assert_eq!(meta.mode() & 0o7000, 0, "rights of {}", path.display());
            }
            if self.inodes.insert(meta.ino()) && kind.is_file() {
                self.bytes += meta.len();
            }
            if kind.is_dir() {
                self.look_at(&path, depth + 1);
            } else if kind.is_file() {
                held = fs::read(&path).expect("a file");
            }
            let written = if kind.is_file() { meta.mtime() } else { 0 };
            self.laid.insert(path, (meta.mode(), written, held));
        }
    }
}

/// A link in a folder `depth` below the target never goes above the target on its way.
fn stays(link: &Path, depth: usize) {
    let mut depth = depth;
    for part in link.components() {
        depth = match part {
            Component::Normal(_) => depth + 1,
            Component::ParentDir => depth.checked_sub(1).unwrap_or_else(|| panic!("a link to {}", link.display())),
            Component::CurDir => depth,
            _ => panic!("a link to {}", link.display()),
        };
    }
}
