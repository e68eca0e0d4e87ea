//! Images made by the real tools, read back by others.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use image_skel::image::{self, Extent, ext4, work::Work};
use image_skel::skel::Partitions;
use image_skel::tool;
use image_skel::tree::{Kind, Node, Owner, Source, Tree};
use offspot_agent::card::Card;
use offspot_agent::host::Host;

const EPOCH: i64 = 1_767_225_600;
const MIB: u64 = 1 << 20;

/// A folder of one test, gone after it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("image-skel-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn partitions() -> Partitions {
    Partitions {
        disk_id: 0x0ff5_907d,
        boot_mib: 40,
        root_mib: 48,
        data_mib: 64,
        root_uuid: "6f7d2a10-0001-4c5e-9b0a-0ff5907d0002".into(),
        data_uuid: "6f7d2a10-0001-4c5e-9b0a-0ff5907d0003".into(),
        boot_id: 0x0ff5_9001,
    }
}

fn node(kind: Kind, mode: u32, owner: (u32, u32), mtime: i64) -> Node {
    let (uid, gid) = owner;
    Node { kind, mode, uid, gid, mtime, xattrs: BTreeMap::new(), owner: Owner::Package("base".into()) }
}

/// Everything that a root partition can hold, the awkward parts of it too.
fn root_tree(disk: &Path) -> Tree {
    let bytes = |text: &str| Kind::File(Source::Bytes(text.into()));
    let mut tree = Tree::default();
    tree.folder("/usr/bin", 0o755);
    tree.file("/etc/hostname", 0o644, "offspot\n");
    tree.file("/etc/empty", 0o640, "");
    tree.symlink("/bin", "usr/bin");
    tree.symlink("/etc/short", "x".repeat(59));
    tree.symlink("/etc/long", "/y".repeat(30));
    tree.symlink("/etc/longest", "/z".repeat(1500));
    tree.put("/etc/shadow", node(bytes("root:*:\n"), 0o640, (0, 42), 1_000_000_000));
    tree.put("/usr/bin/su", node(bytes("su"), 0o4755, (0, 0), 1_700_000_000));
    tree.put("/usr/bin/wall", node(bytes("wall"), 0o2755, (0, 5), EPOCH + 500));
    tree.put("/tmp", node(Kind::Folder, 0o1777, (0, 0), 5));
    tree.put("/home", node(Kind::Folder, 0o750, (100_000, 70_000), 1_234_567_890));
    let mut ping = node(bytes("ping"), 0o755, (0, 0), 1_600_000_000);
    ping.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ping.xattrs.insert("user.long".into(), vec![b'v'; 700]);
    tree.put("/usr/bin/ping", ping);
    tree.put("/usr/bin/perl5", node(Kind::Hard("/usr/bin/zperl".into()), 0o755, (0, 0), 1_500_000_000));
    tree.put("/usr/bin/zperl", node(bytes("perl"), 0o755, (0, 0), 1_500_000_000));
    tree.put("/aperl", node(Kind::Hard("/bin/zperl".into()), 0o755, (0, 0), 1_500_000_000));
    for name in
        ["a b", "quo\"te", "#hash", "<12>", "-dash", "back\\slash", "tab\there", "ünï", "'s", "$HOME;*?", "\"", "a-b"]
    {
        tree.file(Path::new("/odd names").join(name), 0o600, name);
    }
    for number in 0..400 {
        tree.file(format!("/many/{}{number}", "n".repeat(40)), 0o644, number.to_string());
    }
    tree.file("/odd names/n".to_owned() + &"n".repeat(254), 0o644, "long name");
    let big: Vec<u8> = (0..3_000_000_u32)
        .map(|at| if at & 0x4_0000 == 0 { (at.wrapping_mul(2_654_435_761) >> 24) as u8 } else { 0 })
        .collect();
    fs::write(disk, &big).unwrap();
    tree.put(
        "/usr/big",
        node(Kind::File(Source::Disk { path: disk.into(), size: 3_000_000 }), 0o644, (7, 8), 1_600_000_001),
    );
    tree
}

fn boot_tree(disk: &Path) -> Tree {
    let mut tree = Tree::default();
    tree.file("/config.txt", 0o644, "arm_64bit=1\r\n");
    tree.file("/OFFSPOT-STATUS.txt", 0o644, vec![b' '; 65_536]);
    tree.folder("/overlays", 0o755);
    for number in 0..300 {
        tree.file(format!("/overlays/overlay with a long name {number}.dtbo"), 0o644, vec![number as u8; 2_000]);
    }
    fs::write(disk, vec![0xa5; 5_000_000]).unwrap();
    let kernel = Kind::File(Source::Disk { path: disk.into(), size: 5_000_000 });
    tree.put("/kernel8.img", node(kernel, 0o644, (0, 0), 1_600_000_001));
    tree.folder("/empty", 0o755);
    tree
}

/// One ext4 partition as a file of its own.
fn ext4_alone(out: &Path, mib: u64, tree: &Tree) -> tool::Outcome<()> {
    let partitions = partitions();
    let at = Extent { start: 0, length: mib * MIB };
    let work = Work::begin(out, at.length, EPOCH)?;
    ext4::write(&work, &ext4::Volume::root(&partitions.root_uuid, at), tree)?;
    work.finish()
}

/// A mount that ends with the test.
struct Mount(PathBuf);

impl Mount {
    fn new(image: &Path, on: PathBuf) -> Mount {
        fs::create_dir_all(&on).unwrap();
        tool::run("mount", &["-o", "ro,loop", image.to_str().unwrap(), on.to_str().unwrap()]).unwrap();
        Mount(on)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = tool::run("umount", &[self.0.to_str().unwrap()]);
    }
}

/// Compares one node with what the kernel says.
fn compare(tree: &Tree, path: &Path, node: &Node, mounted: &Path) {
    let real = mounted.join(path.strip_prefix("/").unwrap());
    let found = fs::symlink_metadata(&real).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let node = match &node.kind {
        Kind::Hard(target) => {
            let target = tree.real(target);
            let file = fs::metadata(mounted.join(target.strip_prefix("/").unwrap())).unwrap();
            assert_eq!((found.ino(), found.nlink()), (file.ino(), 3), "{}", path.display());
            tree.get(target).unwrap()
        }
        _ => node,
    };
    let told = (found.mode() & 0o7777, found.uid(), found.gid(), found.mtime(), found.mtime_nsec());
    let mtime = node.mtime.min(EPOCH);
    assert_eq!(told, (node.mode, node.uid, node.gid, mtime, 0), "{}", path.display());
    assert_eq!((found.atime(), found.ctime(), found.ctime_nsec()), (EPOCH, EPOCH, 0), "{}", path.display());
    match &node.kind {
        Kind::Folder => assert!(found.is_dir(), "{}", path.display()),
        Kind::Symlink(target) => assert_eq!(fs::read_link(&real).unwrap(), Path::new(target)),
        _ => assert!(fs::read(&real).unwrap() == tree.read(path).unwrap(), "content of {}", path.display()),
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        }
    }
}

#[test]
fn the_kernel_finds_in_ext4_what_the_tree_has() {
    let scratch = Scratch::new("ext4");
    let (image, tree) = (scratch.path("root.ext4"), root_tree(&scratch.path("big")));
    ext4_alone(&image, 48, &tree).unwrap();
    let mount = Mount::new(&image, scratch.path("on"));
    let mut found = Vec::new();
    walk(&mount.0, &mut found);
    let mut found: Vec<_> =
        found.iter().map(|path| Path::new("/").join(path.strip_prefix(&mount.0).unwrap())).collect();
    found.retain(|path| path != Path::new("/lost+found"));
    let missing: Vec<_> = tree.iter().filter(|(path, _)| !found.iter().any(|found| found == path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(found.len(), tree.iter().count());
    tree.iter().for_each(|(path, node)| compare(&tree, path, node, &mount.0));
    let root = fs::metadata(&mount.0).unwrap();
    assert_eq!((root.mode() & 0o7777, root.uid(), root.mtime()), (0o755, 0, EPOCH));
    drop(mount);
    for (name, value) in &tree.get("/usr/bin/ping").unwrap().xattrs {
        let out = scratch.path("value");
        let command = format!("ea_get -f {} /usr/bin/ping {name}", out.display());
        tool::run("debugfs", &["-R", &command, image.to_str().unwrap()]).unwrap();
        assert_eq!(&fs::read(&out).unwrap(), value, "{name}");
    }
    assert!(!scratch.path(".root.ext4.work").exists());
}

#[test]
fn what_does_not_fit_is_said_with_how_much_is_missing() {
    let scratch = Scratch::new("full");
    let mut tree = Tree::default();
    tree.file("/big", 0o644, vec![1; 30 * MIB as usize]);
    let said = ext4_alone(&scratch.path("root.ext4"), 32, &tree).unwrap_err().to_string();
    assert!(said.starts_with("rootfs: 30 MiB are needed, 2"), "{said}");
    assert!(said.contains("raise its size in skel.toml by"), "{said}");
    let (boot, out) = (tree, scratch.path("card.img"));
    let small = Partitions { boot_mib: 34, ..partitions() };
    image::write(&out, &small, &boot, &Tree::default(), EPOCH).unwrap();
    let mut boot = boot;
    boot.file("/more", 0o644, vec![1; 4 * MIB as usize]);
    let said = image::write(&out, &small, &boot, &Tree::default(), EPOCH).unwrap_err().to_string();
    assert!(said.contains("35 MiB are needed, 33 are there") && said.contains("raise `boot_mib`"), "{said}");
}

#[test]
fn what_a_file_system_cannot_say_is_refused_by_name() {
    let scratch = Scratch::new("refused");
    let out = scratch.path("card.img");
    let root = |path: &str| {
        let mut tree = Tree::default();
        tree.put(path, Node::ours(Kind::File(Source::Bytes(Vec::new())), 0o644));
        image::write(&out, &partitions(), &Tree::default(), &tree, EPOCH).unwrap_err().to_string()
    };
    assert!(root("/line\nbreak").contains("line\nbreak: debugfs cannot be told"));
    assert!(root("/no/folder").contains("/no/folder: the folder that it lies in is not in the tree"));
    let boot = |paths: &[&str]| {
        let mut tree = Tree::default();
        paths.iter().for_each(|path| tree.file(path, 0o644, "x"));
        image::write(&out, &partitions(), &tree, &Tree::default(), EPOCH).unwrap_err().to_string()
    };
    assert!(boot(&["/a:b"]).contains("/a:b: FAT has no such characters"));
    assert!(boot(&["/dot."]).contains("/dot.: FAT has no such name"));
    assert!(boot(&["/Twin", "/twin"]).contains("/twin: FAT takes it for /Twin"));
    let mut tree = Tree::default();
    tree.symlink("/link", "x");
    let said = image::write(&out, &partitions(), &tree, &Tree::default(), EPOCH).unwrap_err().to_string();
    assert!(said.contains("/link: FAT has no links"), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_failure_of_debugfs_fails_the_image() {
    let scratch = Scratch::new("debugfs");
    let mut tree = Tree::default();
    // e2fsprogs finds no name space of that name: it says so and ends with 0.
    let mut bad = Node::ours(Kind::File(Source::Bytes(Vec::new())), 0o644);
    bad.xattrs.insert("nonsense".into(), vec![1; 70_000]);
    tree.put("/bad", bad);
    let said = ext4_alone(&scratch.path("root.ext4"), 32, &tree).unwrap_err().to_string();
    assert!(said.starts_with("rootfs: debugfs: "), "{said}");
}

const CHILD: &str = "IMAGE_SKEL_TEST_OUT";

/// The test of the same bytes in a process of its own, which makes an image at `out` and ends.
fn child(me: &Path, out: &Path, settings: &str) {
    let line = format!("{settings} \"$0\" --exact two_images_are_the_same_bytes");
    let run = Command::new("sh").args(["-c", &line]).arg(me).env(CHILD, out).output().unwrap();
    assert!(run.status.success(), "{run:?}");
}

#[test]
fn two_images_are_the_same_bytes() {
    if let Some(out) = std::env::var_os(CHILD).map(PathBuf::from) {
        let (boot, root) = (boot_tree(&out.with_extension("kernel")), root_tree(&out.with_extension("big")));
        image::write(&out, &partitions(), &boot, &root, EPOCH).unwrap();
        return;
    }
    let scratch = Scratch::new("same");
    let plain = scratch.path("as a plain user");
    fs::create_dir_all(&plain).unwrap();
    let root = nix::unistd::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&plain, Some(65_534), Some(65_534)).unwrap();
    }
    // The test's binary may lie where only its owner can go.
    let me = scratch.path("me");
    // Copied by another process: what this one has open to write, a child that another test starts just now has too, and nobody can run it.
    let own = std::env::current_exe().unwrap();
    tool::run("cp", &[own.to_str().unwrap(), me.to_str().unwrap()]).unwrap();
    let (one, two) = (scratch.path("one.img"), plain.join("two?.img"));
    child(&me, &one, "umask 022; cd /; export TZ=America/Sao_Paulo LC_ALL=C;");
    std::thread::sleep(Duration::from_millis(2100));
    let settings =
        "umask 077; cd /tmp; export TZ=Asia/Kathmandu LC_ALL=de_DE.UTF-8 SOURCE_DATE_EPOCH=5 MTOOLS_SKIP_CHECK=1;";
    let user = if root { "setpriv --reuid 65534 --regid 65534 --clear-groups" } else { "" };
    child(&me, &two, &format!("{settings} {user}"));
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap());
}

/// What `sfdisk` reads of an image.
fn sfdisk(image: &Path) -> serde_json::Value {
    serde_json::from_str(&tool::run("sfdisk", &["-J", image.to_str().unwrap()]).unwrap()).unwrap()
}

#[test]
fn the_table_is_what_sfdisk_and_the_agent_read() {
    let scratch = Scratch::new("table");
    let out = scratch.path("card.img");
    fs::write(&out, "an image of before").unwrap();
    let large = Partitions { data_mib: 9000, ..partitions() };
    let layout = image::write(&out, &large, &Tree::default(), &Tree::default(), EPOCH).unwrap();
    let table = &sfdisk(&out)["partitiontable"];
    assert_eq!((&table["label"], &table["id"]), (&"dos".into(), &"0x0ff5907d".into()));
    let found = table["partitions"].as_array().unwrap();
    let extents = [(layout.boot, "c"), (layout.root, "83"), (layout.data, "83")];
    assert_eq!(found.len(), 3);
    for (found, (extent, kind)) in found.iter().zip(extents) {
        assert_eq!(found["start"].as_u64().unwrap() * 512, extent.start);
        assert_eq!(found["size"].as_u64().unwrap() * 512, extent.length);
        assert_eq!((extent.start % (8 * MIB), &found["type"]), (0, &kind.into()));
    }
    // sfdisk writes the same table, cylinders too.
    let dump = tool::run("sfdisk", &["-d", out.to_str().unwrap()]).unwrap();
    let mut before = fs::File::open(&out).unwrap();
    let (mut ours, mut theirs) = ([0; 512], [0; 512]);
    before.read_exact(&mut ours).unwrap();
    let copy = scratch.path("copy.img");
    fs::File::create(&copy).unwrap().set_len(layout.length()).unwrap();
    tool::run_with_input("sfdisk", &["-q", copy.to_str().unwrap()], dump.as_bytes()).unwrap();
    fs::File::open(&copy).unwrap().read_exact(&mut theirs).unwrap();
    assert!(ours == theirs, "{ours:x?} {theirs:x?}");
    assert_eq!(agent_reads(&out), layout.data.length);
}

/// Bytes of partition 3 as the agent's own reader has it.
fn agent_reads(image: &Path) -> u64 {
    let device = tool::run("losetup", &["-f", "--show", image.to_str().unwrap()]).unwrap();
    let device = device.trim();
    let host = Host::new(image.parent().unwrap());
    let look = Card::find(&host, Some(Path::new(device))).and_then(|card| card.unwrap().look(&host));
    tool::run("losetup", &["-d", device]).unwrap();
    look.unwrap().bytes
}

#[test]
fn both_kinds_of_partition_pass_their_checkers_and_hold_the_trees() {
    let scratch = Scratch::new("whole");
    let out = scratch.path("card.img");
    let (boot, root) = (boot_tree(&scratch.path("kernel")), root_tree(&scratch.path("big")));
    let layout = image::write(&out, &partitions(), &boot, &root, EPOCH).unwrap();
    for (extent, label, free) in [(layout.root, "rootfs", 4096), (layout.data, "data", 900)] {
        let device = format!("{}?offset={}", out.display(), extent.start);
        tool::run("e2fsck", &["-fn", &device]).unwrap();
        let said = tool::run("debugfs", &["-R", "stats -h", &device]).unwrap();
        let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        assert_eq!(field("Filesystem volume name:"), label);
        assert_eq!(field("Errors behavior:"), "Remount read-only");
        assert_eq!(field("Filesystem state:"), "clean");
        assert!(field("Free inodes:").parse::<u32>().unwrap() > free, "{said}");
        assert_eq!(field("Block count:").parse::<u64>().unwrap() * 4096, extent.length);
    }
    let drive = format!("{}@@{}", out.display(), layout.boot.start);
    for (path, node) in boot.iter().filter(|(_, node)| node.kind != Kind::Folder) {
        let copy = scratch.path("copied");
        let from = format!("::{}", path.display());
        tool::run("mcopy", &["-n", "-m", "-i", &drive, &from, copy.to_str().unwrap()]).unwrap();
        assert!(fs::read(&copy).unwrap() == boot.read(path).unwrap(), "{}", path.display());
        let shown = tool::run("mshowfat", &["-i", &drive, &from]).unwrap();
        // One piece is shown as one range.
        assert_eq!(shown.matches('<').count(), 1, "{shown}");
        assert_eq!(fs::metadata(&copy).unwrap().mtime(), node.mtime.min(EPOCH) & !1, "{}", path.display());
        fs::remove_file(&copy).unwrap();
    }
    let listed = tool::run("mdir", &["-/", "-b", "-i", &drive, "::/"]).unwrap();
    assert_eq!(listed.lines().count(), boot.iter().count(), "{listed}");
}
