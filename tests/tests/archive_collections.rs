//! Archives that others made to break unpackers: Go's, Python's, and those of crates. Each goes through our unpacker and, side by side, through
//! two that people use. Nothing lands outside, memory stays flat, and what ours takes is what the others lay out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use offspot_agent::report::Reporter;
use offspot_agent::stream::decode::decode;
use offspot_agent::stream::tree::{Room, Tree};
use offspot_agent::stream::untar::untar;
use offspot_agent::stream::unzip::unzip;
use offspot_tests::agent_run::{high_water, workspace};
use offspot_tests::packages::{self, Package};
use offspot_tests::tool;
use sha2::{Digest, Sha256};

/// What one archive may use.
const ROOM: Room = Room { bytes: 64 << 20, inodes: 10_000 };
/// Most that unpacking all of them may add to the memory of this process, in bytes: a decoder's window, and the buffers.
const MEMORY: u64 = 96 << 20;
/// Bytes from which on a file that another unpacker laid out is not read: those are holes.
const LARGE: u64 = 64 << 20;

/// What ours refuses though both others take it, and why.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "sparse members: their maps lie about sizes too easily",
        &[
            "astral-tokio-tar/sparse-1.tar",
            "astral-tokio-tar/sparse-large.tar",
            "astral-tokio-tar/sparse.tar",
            "go/gnu-nil-sparse-data.tar",
            "go/gnu-nil-sparse-hole.tar",
            "go/gnu-sparse-big.tar",
            "go/pax-nil-sparse-data.tar",
            "go/pax-nil-sparse-hole.tar",
            "go/pax-sparse-big.tar",
        ],
    ),
    (
        "a name or link that leads out: the others take the slash off, or make the link",
        &["compress-tools/absolute-path.tar", "go/symlink.zip"],
    ),
    ("a pipe, or a member with the mode of one", &["async_zip/zip64.zip", "go/hdr-only.tar"]),
    (
        "a zero byte in a name: the others end it there, or pass over the header",
        &["go/gnu-long-nul.tar", "go/gnu-multi-hdrs.tar", "go/pax-nul-path.tar"],
    ),
    ("a name that is not UTF-8", &["go/gnu-not-utf8.tar"]),
    ("the list of a folder, as incremental backups have it", &["go/gnu-incremental.tar"]),
    (
        "no block of zeros at its end: it may have been cut there",
        &["go/nil-uid.tar", "go/pax-bad-mtime-file.tar", "go/pax-pos-size-file.tar", "go/ustar-file-reg.tar"],
    ),
];
/// What ours lays out otherwise than both others, and why.
const OTHERWISE: &[(&str, &[&str])] = &[
    (
        "names that are not marked as UTF-8 are those of code page 437, as the format says, whatever was meant",
        &[
            "compress-tools/encoding-gbk-tree.zip",
            "compress-tools/encoding-gbk.zip",
            "compress-tools/encoding-sjis.zip",
            "python/zip_cp437_header.zip",
        ],
    ),
    ("damage only in extended attributes, which ours leaves out", &["go/pax-nul-xattrs.tar"]),
    ("a wrong length of the directory, which its place tells: unzip only warns of it", &["go/test-baddirsz.zip"]),
];

/// An archive on this machine.
struct Archive {
    /// Whose it is, and its name.
    name: String,
    path: PathBuf,
    zip: bool,
}

/// What was laid out.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Thing {
    Folder,
    File(u64, String),
    Link(Vec<u8>),
    Other,
}

type Laid = BTreeMap<PathBuf, Thing>;

#[test]
fn archives_made_to_break_unpackers() {
    let archives = archives();
    assert!(archives.len() > 90, "only {} archives", archives.len());
    let base = std::env::temp_dir().join(format!("offspot-collections-{}", std::process::id()));
    let _ = fs::remove_dir_all(&base);
    fs::create_dir_all(&base).unwrap();
    let root = fs::metadata("/").unwrap().modified().unwrap();
    let before = high_water(std::process::id());
    let (mut taken, mut wrong) = (0, Vec::new());
    for archive in &archives {
        let sandbox = base.join("sandbox");
        let ours = in_sandbox(&sandbox, |target| ours(archive, target));
        let others: Vec<_> =
            others(archive).into_iter().map(|command| in_sandbox(&sandbox, |target| other(command, target))).collect();
        taken += usize::from(ours.is_ok());
        wrong.extend(judge(&archive.name, &ours, &others));
    }
    assert_eq!(fs::metadata("/").unwrap().modified().unwrap(), root, "something was made in /");
    let grown = high_water(std::process::id()).saturating_sub(before);
    fs::remove_dir_all(base).unwrap();
    println!("{} archives, {taken} taken, {} MiB more memory at most", archives.len(), grown >> 20);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), archives.len(), wrong.join("\n"));
    assert!(grown < MEMORY, "{grown} bytes more");
}

/// What is wrong with how an archive went.
fn judge(name: &str, ours: &Result<Laid, String>, others: &[Result<Laid, String>]) -> Option<String> {
    let listed = |list: &[(&str, &[&str])]| list.iter().any(|(_, names)| names.contains(&name));
    match ours {
        Ok(laid) if others.iter().all(|other| other.as_ref() != Ok(laid)) && !listed(OTHERWISE) => {
            let against = others.iter().map(|other| match other {
                Ok(other) => difference(laid, other),
                Err(why) => format!("refused: {why}"),
            });
            Some(format!("{name} is laid out otherwise: {}", against.collect::<Vec<_>>().join(" | ")))
        }
        Err(why) if others.iter().all(Result::is_ok) && !listed(REFUSED) => {
            Some(format!("{name} is refused, and the others take it: {why}"))
        }
        _ => None,
    }
}

/// The first thing that differs.
fn difference(ours: &Laid, other: &Laid) -> String {
    let names = ours.keys().chain(other.keys());
    let first = names.into_iter().find(|name| ours.get(*name) != other.get(*name));
    first.map_or_else(String::new, |name| format!("{name:?}: {:?}, not {:?}", ours.get(name), other.get(name)))
}

/// Unpacks in a fresh folder, and looks that nothing came to lie beside it.
fn in_sandbox(sandbox: &Path, unpack: impl FnOnce(&Path) -> Result<(), String>) -> Result<Laid, String> {
    let target = sandbox.join("inner/target");
    fs::create_dir_all(&target).unwrap();
    let unpacked = unpack(&target);
    let mut laid = Laid::new();
    look(&target, &target, &mut laid);
    fs::remove_dir_all(&target).unwrap();
    for (folder, left) in [(sandbox.join("inner"), 0), (sandbox.to_owned(), 1)] {
        assert_eq!(fs::read_dir(&folder).unwrap().count(), left, "something came to lie in {}", folder.display());
    }
    unpacked.map(|()| laid)
}

fn look(folder: &Path, target: &Path, laid: &mut Laid) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(target).unwrap().to_owned();
        let thing = if meta.is_dir() {
            look(&path, target, laid);
            Thing::Folder
        } else if meta.is_symlink() {
            Thing::Link(fs::read_link(&path).unwrap().into_os_string().into_vec())
        } else if meta.is_file() && meta.len() < LARGE {
            let digest = Sha256::digest(fs::read(&path).unwrap());
            Thing::File(meta.len(), digest.iter().map(|byte| format!("{byte:02x}")).collect())
        } else if meta.is_file() {
            Thing::File(meta.len(), "large".into())
        } else {
            Thing::Other
        };
        laid.insert(name, thing);
    }
}

fn ours(archive: &Archive, target: &Path) -> Result<(), String> {
    let bytes = bytes(&archive.path);
    let (told, _) = Reporter::new();
    let mut note = |_| Ok(());
    let mut tree = Tree::new(target, ROOM, &told, &mut note).unwrap();
    let unpacked = match archive.zip {
        true => unzip(Cursor::new(bytes), &mut tree),
        false => decode(bytes.as_slice()).and_then(|(_, mut plain)| untar(&mut plain, &mut tree)),
    };
    unpacked.map_err(|error: io::Error| error.to_string())
}

/// The other unpackers for this kind.
fn others(archive: &Archive) -> [Command; 2] {
    let file = archive.path.to_str().expect("a path in UTF-8");
    let command = |program: &str, arguments: &[&str]| {
        let mut command = tool::program("timeout");
        command.arg("60").arg(program).args(arguments).arg(file);
        command
    };
    let usual = if archive.zip {
        command("unzip", &["-q", "-o"])
    } else {
        command("tar", &["--extract", "--no-same-owner", "--file"])
    };
    [usual, command("bsdtar", &["-x", "--no-same-owner", "-f"])]
}

fn other(mut command: Command, target: &Path) -> Result<(), String> {
    let output = command.current_dir(target).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said.lines().next().unwrap_or_default().to_owned()) }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// All archives that there are.
fn archives() -> Vec<Archive> {
    packages::install_missing(packages::ARCHIVES).expect("packages with archives");
    let python = tool::run("/usr/bin/python3", &["-c", "import sys; print('python%d.%d' % sys.version_info[:2])"]);
    let python = python.expect("python3").trim().to_owned();
    let tests: Vec<Package> =
        packages::PYTHON_TESTS.iter().filter(|package| package.name.contains(&python)).copied().collect();
    packages::install_missing(&tests).expect("the tests of this Python");
    let mut folders = vec![("python".to_owned(), Path::new("/usr/lib").join(python).join("test"))];
    for entry in fs::read_dir("/usr/share").unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("go-")) {
            folders.push(("go".into(), path.join("src/archive")));
        }
    }
    folders.extend(crates());
    let mut archives = Vec::new();
    for (whose, folder) in folders {
        add(&whose, &folder, &mut archives);
    }
    archives.sort_by(|one, two| one.name.cmp(&two.name));
    archives
}

/// The sources of the crates that `tests/collections` names, as cargo has fetched them.
fn crates() -> Vec<(String, PathBuf)> {
    let manifest = workspace().join("tests/collections/Cargo.toml");
    let arguments = ["metadata", "--locked", "--format-version=1", "--manifest-path", manifest.to_str().unwrap()];
    let said = tool::run("cargo", &arguments).expect("cargo metadata");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let wanted = ["astral-tokio-tar", "async_zip", "compress-tools", "zip"];
    let packages = said["packages"].as_array().unwrap().iter();
    let named = packages.filter(|package| wanted.iter().any(|name| package["name"] == *name));
    let folder = |package: &serde_json::Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        (package["name"].as_str().unwrap().to_owned(), manifest.parent().unwrap().to_owned())
    };
    let folders: Vec<_> = named.map(folder).collect();
    assert_eq!(folders.len(), wanted.len(), "{folders:?}");
    folders
}

fn add(whose: &str, folder: &Path, archives: &mut Vec<Archive>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            add(whose, &path, archives);
            continue;
        }
        let zip = [".zip", ".notzip"].iter().any(|end| name.ends_with(end));
        if zip || name.ends_with(".tar") || name.contains(".tar.") {
            archives.push(Archive { name: format!("{whose}/{name}"), path, zip });
        }
    }
}
