//! Archives that mean harm or were made carelessly: each is refused by name or made harmless, in bounded memory and room, and nothing of it
//! stays.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

const MIB: u64 = 1 << 20;

/// A box below a folder of its own, its data folder mounted where a test needs that.
struct Place {
    base: PathBuf,
    mounted: bool,
}

/// What a run came to.
#[derive(Debug)]
struct Outcome {
    said: String,
    /// Largest resident size in bytes.
    peak: u64,
}

impl Place {
    fn new(name: &str) -> Place {
        let base = std::env::temp_dir().join(format!("offspot-hostile-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        for folder in ["data", "src", "boot/firmware"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        fs::write(base.join("src/secret"), "secret").unwrap();
        Place { base, mounted: false }
    }

    /// With a small filesystem in memory.
    fn small(name: &str, options: &str) -> Place {
        Place::new(name).mount(&["mount", "-t", "tmpfs", "-o", options, "none"])
    }

    /// With a filesystem that takes names for one that differ in case alone, as sticks have them.
    fn ignoring_case(name: &str) -> Place {
        let place = Place::new(name);
        let disk = place.path("disk");
        fs::File::create(&disk).unwrap().set_len(64 * MIB).unwrap();
        let made = Command::new("mkfs.ntfs").args(["-q", "-F", "-f"]).arg(&disk).output();
        assert!(made.is_ok_and(|made| made.status.success()), "apt-get install ntfs-3g");
        let disk = disk.display().to_string();
        place.mount(&["lowntfs-3g", "-o", "ignore_case", &disk])
    }

    fn mount(mut self, program: &[&str]) -> Place {
        let mounted = Command::new(program[0]).args(&program[1..]).arg(self.path("data")).status();
        assert!(mounted.is_ok_and(|mounted| mounted.success()), "this test has to run as root");
        self.mounted = true;
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(path), bytes).unwrap();
    }

    /// Places what the lines of a list name, in a process of its own; `to|via|source|digest|size`.
    fn run(&self, list: &[String]) -> Outcome {
        self.write("list", list.join("\n"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_place-content"));
        let output = command.args([&self.base, &self.path("list")]).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let said = stdout.clone().into_owned() + &String::from_utf8_lossy(&output.stderr);
        let peak = stdout.lines().find_map(|line| line.strip_prefix("peak ")?.parse().ok());
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {said}", output.status);
        Outcome { said, peak: peak.expect("its peak") }
    }

    /// An archive on the card has to be refused with these words, and to leave nothing.
    fn refuses(&self, via: &str, name: &str, bytes: &[u8], words: &str) {
        self.write(&format!("src/{name}"), bytes);
        let outcome = self.run(&[format!("/data/{name}|{via}|/src/{name}")]);
        assert!(outcome.said.contains(words), "{name}: not {words:?} but {}", outcome.said);
        self.has_nothing(name);
    }

    fn has_nothing(&self, name: &str) {
        let mut left: Vec<_> =
            fs::read_dir(self.path("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.retain(|left| left != "lost+found");
        assert_eq!(left, [".offspot"], "{name} left something");
        assert!(!self.path("data/.offspot/staging").exists(), "{name} left what was staged");
        assert_eq!(fs::read_dir(self.path("data/.offspot/placed")).unwrap().count(), 0, "{name} left its list");
        assert_eq!(fs::read_to_string(self.path("src/secret")).unwrap(), "secret", "{name} changed what is outside");
        for evil in ["evil", "data/../evil", "src/evil"] {
            assert!(!self.path(evil).exists(), "{name} wrote {evil}");
        }
        assert!(!Path::new("/evil").exists() && !Path::new("/tmp/evil").exists());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.path("data")).status();
        }
        let _ = fs::remove_dir_all(&self.base);
    }
}

const FILE: u8 = b'0';
const HARD: u8 = b'1';
const LINK: u8 = b'2';
const FOLDER: u8 = b'5';

/// A header exactly as told, with the right sum.
fn header(kind: u8, name: &str, link: &str, size: u64, mode: u32) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_600_000_000);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(512), 0);
    padded
}

fn file(name: &str, text: &str) -> Vec<u8> {
    [header(FILE, name, "", text.len() as u64, 0o644), padded(text.as_bytes())].concat()
}

fn link(kind: u8, name: &str, to: &str) -> Vec<u8> {
    header(kind, name, to, 0, 0o777)
}

fn folder(name: &str) -> Vec<u8> {
    header(FOLDER, name, "", 0, 0o755)
}

/// An extended header before a member.
fn extended(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [header(kind, "extended", "", bytes.len() as u64, 0o644), padded(bytes)].concat()
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while format!("{length}").len() + rest.len() != length {
        length += 1;
    }
    extended(b'x', format!("{length}{rest}").as_bytes())
}

fn tarball(members: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = members.concat();
    tar.extend([0; 1024]);
    tar
}

/// A header whose size field is as told.
fn sized(name: &str, size: [u8; 12]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().size = size;
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_tar_writes_nothing_outside() {
    let place = Place::new("outside");
    symlink(place.path("src"), place.path("src/way-out")).unwrap();
    let archive = "E-CONTENT-ARCHIVE";
    for (name, members, words) in [
        ("dotdot", vec![file("../evil", "x")], "../evil would lie outside of it"),
        ("inner-dotdot", vec![file("a/../../evil", "x")], "would lie outside of it"),
        ("absolute", vec![file("/evil", "x")], "/evil would lie outside of it"),
        ("link-out", vec![link(LINK, "l", "../../src/secret")], "l is a link to ../../src/secret, outside of it"),
        ("link-absolute", vec![link(LINK, "l", "/etc")], "l is a link to /etc, outside of it"),
        ("link-empty", vec![link(LINK, "l", "")], "l is a link to no path"),
        ("through", vec![folder("d"), link(LINK, "l", "d"), file("l/evil", "x")], "l is no folder"),
        ("link-by-link", vec![link(LINK, "s", "."), link(LINK, "x", "s/..")], "x is a link to s/.., outside of it"),
        ("hard-out", vec![link(HARD, "h", "../../src/secret")], "../../src/secret would lie outside of it"),
        ("hard-absolute", vec![link(HARD, "h", "/src/secret")], "/src/secret would lie outside of it"),
        ("hard-nothing", vec![link(HARD, "h", "not/there")], "which is no file that stands before it"),
        ("hard-folder", vec![folder("d"), link(HARD, "h", "d")], "h is a link to d, a folder"),
        (
            "hard-to-link",
            // Where it lies it stays inside, one folder further up it would not.
            vec![folder("d"), link(LINK, "d/l", "../x"), link(HARD, "h", "d/l")],
            "h is a link to ../x, outside of it",
        ),
        (
            "hard-through",
            vec![folder("d"), file("d/f", "x"), link(LINK, "l", "d"), link(HARD, "h", "l/f")],
            "which is no file that stands before it",
        ),
        ("folder-then-file", vec![folder("d"), file("d/x", "x"), file("d", "x")], "d is a folder and something else"),
        ("folder-then-link", vec![folder("d"), link(LINK, "d", "x")], "d is a folder and something else"),
        ("file-then-folder", vec![file("d", "x"), file("d/x", "x")], "d is no folder"),
    ] {
        place.refuses("tar", name, &tarball(&members), words);
        place.refuses("tar", name, &tarball(&members), archive);
    }
}

#[test]
fn a_tar_makes_no_devices_and_has_sane_headers() {
    let place = Place::new("headers");
    let long = |name: &str| extended(b'L', format!("{name}\0").as_bytes());
    let tail = file("x", "x");
    for (name, members, words) in [
        ("char", vec![link(b'3', "null", "")], "null is a device"),
        ("block", vec![link(b'4', "sda", "")], "sda is a device"),
        ("fifo", vec![link(b'6', "pipe", "")], "pipe is a device"),
        ("zero", vec![pax("path", "a\0b"), tail.clone()], "a name with a zero byte"),
        ("name", vec![long(&"n".repeat(256)), tail.clone()], "a name of 256 bytes"),
        ("path", vec![long(&"p/".repeat(2100)), tail.clone()], "a path of 4200 bytes"),
        ("deep", vec![long(&"d/".repeat(300)), tail.clone()], "lies in more than 256 folders"),
        ("deep-pax", vec![pax("path", &"d/".repeat(1000)), tail.clone()], "lies in more than 256 folders"),
        ("sparse-old", vec![header(b'S', "s", "", 0, 0o644)], "s is sparse: make the archive without --sparse"),
        ("sparse-pax", vec![pax("GNU.sparse.major", "1"), tail.clone()], "it has a sparse member"),
        ("kind", vec![header(b'Z', "z", "", 0, 0o644)], "z is of an unknown kind"),
        ("negative", vec![sized("n", [0xff; 12])], "n has a size that no file can have"),
        ("cut-pax", vec![extended(b'x', b"12 path=a\n"), tail.clone()], "a damaged extended header"),
        ("negative-pax", vec![pax("size", "-1"), tail.clone()], "an extended header with a bad number"),
        ("larger", vec![pax("size", "5000"), tail.clone()], "it ends"),
        ("smaller", vec![pax("size", "0"), file("x", "text")], "it is not a tar, or a damaged one"),
        ("long-header", vec![extended(b'x', &vec![b'x'; 2 << 20]), tail.clone()], "longer than any name"),
        (
            "many-headers",
            [vec![extended(b'g', b"11 path=a\n"); 40], vec![tail.clone()]].concat(),
            "more than 16 extended headers of one member",
        ),
    ] {
        place.refuses("tar", name, &tarball(&members), words);
        place.refuses("tar", name, &tarball(&members), "E-CONTENT-ARCHIVE");
    }
    // More than any card holds is no damage, but no file either.
    let mut large = [0; 12];
    (large[0], large[6]) = (0x80, 0x7f);
    place.refuses("tar", "large", &tarball(&[sized("x", large)]), "E-SPACE-FULL");
}

#[test]
fn what_is_harmless_without_it_is_made_so() {
    let place = Place::new("harmless");
    let apple = "\0\u{5}\u{16}\u{7}and so on";
    let members = [
        header(FILE, "tool", "", 0, 0o6755),
        header(FOLDER, "sticky", "", 0, 0o3777),
        header(FILE, "closed", "", 0, 0),
        header(FOLDER, "shut", "", 0, 0),
        file("shut/inside", "x"),
        file("twice", "first"),
        link(HARD, "again", "twice"),
        file("twice", "second"),
        link(LINK, "own", "own"),
        file("__MACOSX/._a", "x"),
        file("photos/.DS_Store", "x"),
        file("photos/Thumbs.db", "x"),
        file("photos/._cover", apple),
        file("photos/._kept", "a text of its own"),
        file("photos/cover", "x"),
        pax("SCHILY.acl.access", "user::rw-\ngroup::r--\n"),
        file("shared", "x"),
        pax("SCHILY.xattr.user.note", "two\nlines, and 9 path=y\n"),
        file("noted", "x"),
    ];
    place.write("src/a.tar", tarball(&members));
    let outcome = place.run(&["/data/a|tar|/src/a.tar".into()]);
    assert!(outcome.said.contains("note: /data/a: 4 files of other systems' litter left out"), "{}", outcome.said);
    let mode = |path: &str| fs::symlink_metadata(place.path(path)).unwrap().permissions().mode() & 0o7777;
    let modes = ["tool", "sticky", "closed", "shut"].map(|name| mode(&format!("data/a/{name}")));
    assert_eq!(modes, [0o755, 0o777, 0o400, 0o700]);
    let read = |path: &str| fs::read_to_string(place.path(path)).unwrap();
    assert_eq!((read("data/a/twice"), read("data/a/again")), ("second".into(), "first".into()));
    assert_eq!(read("data/a/photos/._kept"), "a text of its own");
    assert_eq!(fs::read_dir(place.path("data/a/photos")).unwrap().count(), 2);
    assert!(!place.path("data/a/__MACOSX").exists());
    assert_eq!((read("data/a/shared"), read("data/a/noted")), ("x".into(), "x".into()));
    assert_eq!(fs::metadata(place.path("data/a/tool")).unwrap().uid(), 0);

    // An archive within an archive is a file.
    place.write("src/nested.tar", tarball(&[file("inner.tar", "this is not looked into")]));
    place.run(&["/data/nested|tar|/src/nested.tar".into()]);
    assert_eq!(read("data/nested/inner.tar"), "this is not looked into");
}

#[test]
fn names_that_differ_in_case_alone_are_refused_where_they_are_one() {
    let twins = tarball(&[file("Read.me", "x"), file("read.me", "y")]);
    let folders = tarball(&[file("Docs/a", "x"), file("docs/b", "y")]);
    let fat = Place::ignoring_case("case");
    fat.refuses("tar", "twins", &twins, "Read.me and read.me are one name");
    fat.refuses("tar", "folders", &folders, "Docs and docs are one name");
    fat.write("src/same.tar", tarball(&[file("a", "x"), file("b", "y"), file("a", "z")]));
    let outcome = fat.run(&["/data/same|tar|/src/same.tar".into()]);
    assert_eq!(fs::read_to_string(fat.path("data/same/a")).unwrap_or_default(), "z", "{}", outcome.said);

    let ext4 = Place::new("no-case");
    ext4.write("src/twins.tar", &twins);
    ext4.run(&["/data/twins|tar|/src/twins.tar".into()]);
    assert_eq!(fs::read_dir(ext4.path("data/twins")).unwrap().count(), 2);
}

/// Packs with the real program.
fn packed(program: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}: apt-get install gzip bzip2 xz-utils zstd"));
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program:?}");
    output.stdout
}

const PACKERS: [(&str, &[&str], u64); 4] = [
    ("gztar", &["gzip", "-1"], 1),
    ("bztar", &["bzip2", "-9"], 5),
    ("xztar", &["xz", "-1"], 2),
    ("zstdtar", &["zstd", "-3"], 4),
];

#[test]
fn bombs_stop_at_the_room_and_take_no_memory() {
    let place = Place::small("bombs", "size=48m,nr_inodes=5000");
    let zeros = vec![0; 8 << 20];
    // All that each packer makes may follow one another: 1300 times eight MiB are 10 GiB.
    let bomb = |program: &[&str], first: &[u8], each: &[u8]| {
        [packed(program, first), packed(program, each).repeat(1300)].concat()
    };
    place.write("src/a.tar", tarball(&[file("a", "x")]));
    let baseline = place.run(&["/data/a|tar|/src/a.tar".into()]).peak;
    fs::remove_dir_all(place.path("data/a")).unwrap();
    fs::remove_dir_all(place.path("data/.offspot")).unwrap();
    for (via, program, window) in PACKERS {
        let member = [header(FILE, "zeros", "", zeros.len() as u64, 0o644), zeros.clone()].concat();
        let cases = [
            ("files", bomb(program, &[], &member), "E-SPACE-FULL"),
            ("one", bomb(program, &header(FILE, "zeros", "", 10 << 30, 0o644), &zeros), "E-SPACE-FULL"),
            ("tail", bomb(program, &tarball(&[file("a", "x")]), &zeros), "more than 16 MiB stand behind its end"),
            ("litter", bomb(program, &header(FILE, ".DS_Store", "", 10 << 30, 0o644), &zeros), "E-SPACE-FULL"),
        ];
        for (name, bytes, words) in cases {
            let name = format!("{via}-{name}");
            place.write(&format!("src/{name}"), &bytes);
            let outcome = place.run(&[format!("/data/{name}|{via}|/src/{name}")]);
            assert!(outcome.said.contains(words), "{name}: {}", outcome.said);
            place.has_nothing(&name);
            let more = outcome.peak.saturating_sub(baseline) / MIB;
            println!("{name}: {} bytes packed, {more} MiB more than for a small one", bytes.len());
            assert!(more <= 2 + window, "{name} took {more} MiB more");
            fs::remove_file(place.path(&format!("src/{name}"))).unwrap();
        }
    }
}

#[test]
fn windows_above_64_mib_are_refused_and_xz_9_passes() {
    let place = Place::new("windows");
    let tar = tarball(&[file("a", "x")]);
    for (via, program) in [
        ("xztar", ["xz", "-9"].as_slice()),
        ("zstdtar", &["zstd", "-19"]),
        ("zstdtar", &["zstd", "--long=26"]),
        ("bztar", &["bzip2", "-9"]),
        ("gztar", &["gzip", "-9"]),
        // What it is, is told by its bytes.
        ("xztar", &["zstd", "-1"]),
    ] {
        place.write("src/a", packed(program, &tar));
        let to = format!("/data/{}", program.join(""));
        let outcome = place.run(&[format!("{to}|{via}|/src/a")]);
        assert_eq!(fs::read_to_string(place.path(&to).join("a")).unwrap_or_default(), "x", "{}", outcome.said);
        let told = outcome.said.contains("says via: xztar, but is zst; it is unpacked as what it is");
        assert_eq!(told, program == ["zstd", "-1"], "{}", outcome.said);
    }
    let place = Place::new("windows-refused");
    let words = "it takes more than 64 MiB of memory to unpack: pack it again with";
    place.refuses("zstdtar", "long", &packed(&["zstd", "--long=27"], &tar), words);
    place.refuses("xztar", "dictionary", &packed(&["xz", "--lzma2=dict=96MiB"], &tar), words);
    let later = [packed(&["zstd", "-1"], &tar[..512]), packed(&["zstd", "--long=28"], &tar[512..])].concat();
    place.refuses("zstdtar", "later", &later, words);
}

#[test]
fn members_without_number_end_with_the_inodes() {
    let place = Place::small("members", "size=900m,nr_inodes=60k");
    let thousand =
        |from: usize| (from..from + 1000).flat_map(|n| file(&format!("{}/f{n}", n / 500), "")).collect::<Vec<_>>();
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
    // The first tells how much memory a run takes that writes as many members as fit.
    let few: Vec<u8> = pack(&tarball(&[thousand(0)]));
    let many: Vec<u8> = (0..50).flat_map(|n| pack(&thousand(n * 1000))).chain(pack(&[0; 1024])).collect();
    let same: Vec<u8> = pack(&thousand(0)).repeat(10_000);
    let links = [header(FILE, "f", "", 0, 0o644), (0..1000).flat_map(|n| link(HARD, &format!("h{n}"), "f")).collect()];
    let hard = [pack(&links[0]), pack(&links[1]).repeat(10_000)].concat();
    let mut peaks = Vec::new();
    for (name, bytes, fits) in [("few", few, true), ("many", many, true), ("same", same, false), ("hard", hard, false)]
    {
        place.write(&format!("src/{name}"), &bytes);
        let outcome = place.run(&[format!("/data/{name}|zstdtar|/src/{name}")]);
        assert_eq!(outcome.said.contains("E-SPACE-FULL"), !fits, "{name}: {}", outcome.said);
        assert_eq!(place.path(&format!("data/{name}")).exists(), fits, "{name}: {}", outcome.said);
        assert!(!place.path("data/.offspot/staging").exists());
        println!("{name}: {} MiB", outcome.peak / MIB);
        peaks.push(outcome.peak);
        let _ = fs::remove_dir_all(place.path(&format!("data/{name}")));
    }
    let flat = peaks.iter().all(|peak| peak.abs_diff(peaks[0]) < 3 * MIB);
    assert!(flat, "{peaks:?}");
}

/// Answers any request by its path, as often as it is asked; remembers what was asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(files: HashMap<String, Vec<u8>>) -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 2048];
                let length = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let body = files.get(&path).cloned().unwrap_or_default();
                log.lock().unwrap().push(path);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Server { address, asked }
    }
}

/// Makes a zip with Python, whose library makes every kind of them.
fn zip(place: &Place, name: &str, script: &str) -> Vec<u8> {
    let path = place.path(&format!("src/{name}.zip"));
    let script = format!(
        "import zipfile, struct, sys, io\nfrom zipfile import *\npath = sys.argv[1]\n\
         class Pipe(io.RawIOBase):\n  def __init__(self, f): self.f = f\n  def writable(self): return True\n  def write(self, b): return self.f.write(b)\n\
         def info(name, mode=0o100644, kind=ZIP_DEFLATED):\n  i = ZipInfo(name, (2024, 5, 6, 7, 8, 10)); i.external_attr = mode << 16; i.create_system = 3; i.compress_type = kind; return i\n{script}"
    );
    let output = Command::new("python3").args(["-c", &script]).arg(&path).output().expect("apt-get install python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(path).unwrap()
}

const PLAIN: &str = r#"
z = ZipFile(path, 'w')
z.writestr(info('docs/', 0o040755), b'')
z.writestr(info('docs/a', 0o100640), b'a library for a school ' * 1000)
z.writestr(info('stored', kind=ZIP_STORED), b'as it is')
z.writestr(info('bz', kind=ZIP_BZIP2), b'a library for a school ' * 1000)
z.writestr(info('link', 0o120777), b'docs/a')
z.writestr(info('__MACOSX/._docs'), b'x')
z.close()
"#;

#[test]
fn zips_from_the_network_are_never_stored_where_their_directory_allows() {
    let place = Place::new("zip-stream");
    let piped = PLAIN.replace("ZipFile(path, 'w')", "ZipFile(Pipe(open(path, 'wb')), 'w')");
    let plain = zip(&place, "plain", PLAIN);
    let files = HashMap::from([
        ("/plain".to_owned(), plain.clone()),
        (
            "/piped".to_owned(),
            zip(&place, "piped", &piped.replace("z.writestr(info('stored', kind=ZIP_STORED), b'as it is')\n", "")),
        ),
        ("/stored-behind".to_owned(), zip(&place, "stored-behind", &piped)),
        ("/self-extractor".to_owned(), [b"#!/bin/sh\nexit 0\n".as_slice(), &plain].concat()),
        (
            "/wide".to_owned(),
            zip(
                &place,
                "wide",
                "z = ZipFile(path, 'w')\nwith z.open(info('docs/a'), 'w', force_zip64=True) as f: f.write(b'a library for a school ' * 1000)\nz.close()",
            ),
        ),
    ]);
    let server = Server::of(files);
    let trace = place.path("trace");
    for (name, requests) in [("plain", 1), ("piped", 1), ("wide", 1), ("stored-behind", 2), ("self-extractor", 2)] {
        server.asked.lock().unwrap().clear();
        place.write("list", format!("/data/{name}|zip|{}/{name}", server.address));
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=openat,openat2", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_place-content"))
            .args([&place.base, &place.path("list")])
            .output()
            .expect("apt-get install strace");
        let said = String::from_utf8_lossy(&status.stdout);
        assert!(status.status.success(), "{name}: {said}");
        let text = fs::read_to_string(place.path(&format!("data/{name}/docs/a"))).unwrap();
        assert_eq!(text.len(), 23_000, "{name}");
        assert_eq!(server.asked.lock().unwrap().len(), requests, "{name}: {said}");
        let stored = fs::read_to_string(&trace).unwrap().contains(".part");
        assert_eq!(stored, requests == 2, "{name}");
        if name != "wide" {
            assert_eq!(fs::read_link(place.path(&format!("data/{name}/link"))).unwrap(), Path::new("docs/a"));
            let mode = fs::metadata(place.path(&format!("data/{name}/docs/a"))).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o640, "{name}");
            assert!(said.contains("1 file of other systems' litter left out"), "{name}: {said}");
        }
    }
}

#[test]
fn hostile_zips_are_refused_from_the_card_and_from_the_network() {
    let one = |script: &str| format!("z = ZipFile(path, 'w')\n{script}\nz.close()\n");
    let patch = |script: &str| {
        one("z.writestr(info('a'), b'x' * 5000); z.writestr(info('b'), b'y' * 5000)")
            + &format!(
                "d = bytearray(open(path, 'rb').read())\nc = d.index(b'PK\\x01\\x02')\n{script}\nopen(path, 'wb').write(d)\n"
            )
    };
    let first = "d = bytearray(open(path, 'rb').read())";
    // Each with what is said of it as it comes, and where its directory is read first.
    let cases = [
        ("dotdot", one("z.writestr(info('../evil'), b'x')"), ["would lie outside of it"; 2]),
        ("absolute", one("z.writestr(info('/evil'), b'x')"), ["would lie outside of it"; 2]),
        (
            "link-out",
            one("z.writestr(info('l', 0o120777), b'../../src/secret')"),
            ["l is a link to ../../src/secret, outside of it"; 2],
        ),
        (
            "through",
            one("z.writestr(info('l', 0o120777), b'.'); z.writestr(info('l/evil'), b'x')"),
            ["l is no folder"; 2],
        ),
        ("device", one("z.writestr(info('null', 0o020666), b'')"), ["null is a device"; 2]),
        ("fifo", one("z.writestr(info('pipe', 0o010666), b'')"), ["pipe is a device"; 2]),
        ("locked", patch("d[6] |= 1; d[c + 8] |= 1"), ["a is encrypted", "assword"]),
        ("crc", patch("d[14] ^= 1; d[c + 16] ^= 1"), ["a is damaged", ""]),
        ("longer", patch("d[22] -= 1; d[c + 24] -= 1"), ["longer than its header says", "larger than its declared"]),
        ("shorter", patch("d[22] += 1; d[c + 24] += 1"), ["it ends", ""]),
        // The directory tells another story than what comes, where only one of the two is read.
        ("other-name", patch("d[c + 46] = ord('z')"), ["stands otherwise in its directory than it came", "-"]),
        (
            "hidden",
            one("z.writestr(info('a'), b'x'); z.writestr(info('b'), b'x')")
                + &format!(
                    "{first}\ne = d.rindex(b'PK\\x05\\x06'); c = d.index(b'PK\\x01\\x02'); n = d.index(b'PK\\x01\\x02', c + 4)\n\
                    d[e + 8:e + 16] = struct.pack('<HHL', 1, 1, e - n)\ndel d[c:n]\n\
                    e = d.rindex(b'PK\\x05\\x06'); open(path, 'wb').write(d)\n"
                ),
            ["the member at byte 0 is not in its directory", "-"],
        ),
        // Two entries of the same bytes: they count twice.
        (
            "overlap",
            patch("e = d.index(b'PK\\x01\\x02', c + 4); d[e + 42:e + 46] = struct.pack('<L', 0)"),
            ["stands otherwise in its directory", "shares its bytes with another"],
        ),
        (
            "quoted",
            patch("d[c + 20:c + 24] = struct.pack('<L', d.index(b'PK\\x03\\x04', 4) + 40)"),
            ["stands otherwise in its directory", "shares its bytes with another"],
        ),
        (
            "cut",
            one("z.writestr(info('a'), b'x' * 5000)") + &format!("{first}\nopen(path, 'wb').write(d[:-30])\n"),
            ["ends too early", ""],
        ),
        (
            "not-a-zip",
            "open(path, 'wb').write(b'<html>Log in to the network</html>' * 100)".into(),
            ["nvalid", "nvalid"],
        ),
    ];
    let place = Place::new("zip-hostile");
    let made: HashMap<String, Vec<u8>> =
        cases.iter().map(|(name, script, _)| (format!("/{name}"), zip(&place, name, script))).collect();
    let server = Server::of(made.clone());
    for (name, _, [as_it_comes, by_directory]) in &cases {
        let bytes = &made[&format!("/{name}")];
        place.refuses("zip", name, bytes, "E-CONTENT-ARCHIVE");
        place.refuses("zip", name, bytes, as_it_comes);
        let outcome = place.run(&[format!("/data/{name}|zip|{}/{name}", server.address)]);
        let named = ["E-CONTENT-ARCHIVE", as_it_comes].iter().all(|words| outcome.said.contains(words));
        assert!(named, "{name}: {}", outcome.said);
        place.has_nothing(name);
        // A program before it, and only the directory tells where it begins.
        if *by_directory != "-" {
            place.refuses("zip", name, &[b"#!/bin/sh\nexit 0\n", bytes.as_slice()].concat(), by_directory);
        }
    }
}

#[test]
fn a_zip_bomb_stops_at_the_room() {
    let place = Place::small("zip-bomb", "size=48m,nr_inodes=5000");
    // Sizes behind the data, so that nothing tells what is coming; and told, but a lie.
    let behind = zip(
        &place,
        "behind",
        "z = ZipFile(Pipe(open(path, 'wb')), 'w')\nwith z.open(info('zeros'), 'w', force_zip64=True) as f:\n  for _ in range(200): f.write(bytes(1 << 20))\nz.close()\n",
    );
    let told = zip(&place, "told", "z = ZipFile(path, 'w')\nz.writestr(info('zeros'), bytes(200 << 20))\nz.close()\n");
    let many = zip(
        &place,
        "many",
        "z = ZipFile(path, 'w')\nfor n in range(100001): z.writestr(info(str(n), kind=ZIP_STORED), b'')\nz.close()\n",
    );
    let server = Server::of(HashMap::from([
        ("/behind".into(), behind.clone()),
        ("/told".into(), told.clone()),
        ("/many".into(), many.clone()),
    ]));
    place.refuses("zip", "behind", &behind, "E-SPACE-FULL");
    place.refuses("zip", "told", &told, "E-SPACE-FULL");
    place.refuses("zip", "many", &many, "E-SPACE-FULL");
    // Where the directory is read first, before the first is written.
    let before = [b"#!/bin/sh\n", many.as_slice()].concat();
    place.refuses("zip", "many", &before, "it has 100001 members, more than 100000");
    for name in ["behind", "told"] {
        let outcome = place.run(&[format!("/data/{name}|zip|{}/{name}", server.address)]);
        assert!(outcome.said.contains("E-SPACE-FULL"), "{name}: {}", outcome.said);
        place.has_nothing(name);
    }
    let outcome = place.run(&[format!("/data/many|zip|{}/many", server.address)]);
    assert!(outcome.said.contains("E-SPACE-FULL"), "{}", outcome.said);
    place.has_nothing("many");
}

#[test]
fn the_declared_size_is_held_to() {
    let place = Place::new("size");
    let tar = tarball(&[file("a", "x")]);
    let server = Server::of(HashMap::from([("/a".into(), tar.clone()), ("/z".into(), zip(&place, "z", PLAIN))]));
    let zip = fs::metadata(place.path("src/z.zip")).unwrap().len();
    for (via, path, size) in [("tar", "a", tar.len() as u64), ("zip", "z", zip)] {
        for (wrong, words) in [(size - 1, "E-CONTENT-SIZE"), (size + 1, "E-CONTENT-SIZE")] {
            let outcome = place.run(&[format!("/data/{path}|{via}|{}/{path}||{wrong}", server.address)]);
            assert!(outcome.said.contains(words), "{via} {wrong}: {}", outcome.said);
            place.has_nothing(via);
        }
        let outcome = place.run(&[format!("/data/{path}|{via}|{}/{path}|{}", server.address, "0".repeat(64))]);
        assert!(outcome.said.contains("E-TRUST-CHECKSUM"), "{via}: {}", outcome.said);
        place.has_nothing(via);
    }
    let outcome = place.run(&[format!("/data/a|tar|{}/a||{}", server.address, tar.len())]);
    assert!(place.path("data/a/a").exists(), "{}", outcome.said);
}
