//! A deb taken apart is what `dpkg-deb` makes of it; what is no proper deb is refused.

mod deb_maker;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use deb_maker::{Plan, Scratch, ar, build, deb, entry, pack, sha256, tar};
use image_skel::deb::index::{Blob, Member, Unpacked, What};
use image_skel::tool;

const LONG: &str = "usr/share/a folder with a long name that fills all of the hundred bytes that a tar header has for names/and a file in it";

/// What there is at a path: mode, owner, group, time; content, target, or the lowest of its names.
type Seen = BTreeMap<PathBuf, (u32, u32, u32, i64, String)>;

fn on_disk(root: &Path, folder: &Path, seen: &mut Seen, names: &mut BTreeMap<u64, PathBuf>) {
    let mut inside: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inside.sort();
    for path in inside {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = Path::new("/").join(path.strip_prefix(root).unwrap());
        let first = names.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
        let what = match meta.file_type() {
            kind if kind.is_dir() => "folder".to_owned(),
            kind if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            _ => format!("{} {}", first.display(), sha256(&fs::read(&path).unwrap())),
        };
        seen.insert(name, (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime(), what));
        if meta.is_dir() {
            on_disk(root, &path, seen, names);
        }
    }
}

fn in_index(unpacked: &Unpacked, members: &[Member]) -> Seen {
    let content = |member: &Member| match &member.what {
        What::File(blob) => Some(blob.number),
        What::Hard(first) => unpacked.blob(first).map(|blob| blob.number),
        _ => None,
    };
    let mut names: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for (number, member) in members.iter().filter_map(|member| Some((content(member)?, member))) {
        let first = names.entry(number).or_insert_with(|| member.path.clone());
        *first = member.path.clone().min(first.clone());
    }
    let file = |content: &Blob| {
        format!("{} {}", names[&content.number].display(), sha256(&unpacked.source(content).read().unwrap()))
    };
    let what = |member: &Member| match &member.what {
        What::Folder => "folder".to_owned(),
        What::Symlink(target) => format!("-> {target}"),
        What::File(content) => file(content),
        What::Hard(first) => file(unpacked.blob(first).unwrap()),
    };
    let below = members.iter().filter(|member| member.path != Path::new("/"));
    below.map(|m| (m.path.clone(), (m.mode, m.uid, m.gid, m.mtime, what(m)))).collect()
}

#[test]
fn it_is_taken_apart_as_dpkg_deb_does() {
    let scratch = Scratch::new();
    let plan = Plan {
        name: "odd",
        version: "1:2.0~rc1-3",
        control: "Depends: b\n",
        scripts: &[("postinst", "#!/bin/sh\n"), ("md5sums", "")],
        files: &[
            ("usr/bin/tool", "a program"),
            ("usr/bin/alias", "=> usr/bin/tool"),
            ("usr/bin/link", "-> tool"),
            ("usr/share/doc/odd/naïve file", ""),
            (LONG, "deep"),
            (
                "usr/share/far",
                "-> a link with a long target that fills all of the hundred bytes that a tar header has for the targets of links",
            ),
            ("var/spool/odd/", ""),
        ],
    };
    build(&scratch, &plan, "none");
    let folder = scratch.join("odd.d");
    for (path, mode) in [
        ("usr/bin/tool", 0o4755),
        ("var/spool/odd", 0o1777),
        ("usr/share", 0o2755),
        ("usr/share/doc/odd/naïve file", 0o600),
    ] {
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let old = fs::File::open(folder.join("usr/bin/tool")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_399)).unwrap();
    let (data, control) = (scratch.join("data"), scratch.join("control"));
    for packing in ["none", "gzip", "xz", "zstd"] {
        let file = pack(&folder, &scratch.join("odd.deb"), packing);
        for (option, to) in [("-x", &data), ("-e", &control)] {
            let _ = fs::remove_dir_all(to);
            tool::run("dpkg-deb", &[option, file.to_str().unwrap(), to.to_str().unwrap()]).unwrap();
        }
        let unpacked = Unpacked::extract(&file, &sha256(&fs::read(&file).unwrap()), &scratch.join(packing)).unwrap();
        assert_eq!(Unpacked::open(&scratch.join(packing)).as_ref(), Some(&unpacked));
        for (root, members) in [(&data, &unpacked.data), (&control, &unpacked.control)] {
            let mut seen = Seen::new();
            on_disk(root, root, &mut seen, &mut BTreeMap::new());
            let mut own = in_index(&unpacked, members);
            // dpkg-deb gives what it unpacks to who runs it, and does not set back the time of a folder that it put something into.
            seen.values_mut().for_each(|seen| (seen.1, seen.2) = (0, 0));
            own.values_mut().chain(seen.values_mut()).filter(|seen| seen.4 == "folder").for_each(|seen| seen.3 = 0);
            assert_eq!(own, seen, "{packing}");
        }
        assert_eq!(unpacked.data.len(), 16);
    }
}

fn taken(bytes: &[u8]) -> Result<Vec<Member>, String> {
    let scratch = Scratch::new();
    let file = scratch.join("x.deb");
    fs::write(&file, bytes).unwrap();
    let unpacked = Unpacked::extract(&file, &sha256(bytes), &scratch.join("x"));
    unpacked.map(|unpacked| unpacked.data).map_err(|failure| failure.to_string())
}

fn control() -> Vec<u8> {
    tar(&[entry("./control", b'0', "", b"Package: a\n")])
}

/// A deb whose data.tar has these entries.
fn with(entries: &[Vec<u8>]) -> Result<Vec<Member>, String> {
    taken(&deb(&control(), &tar(entries)))
}

#[test]
fn what_leaves_the_archive_is_refused() {
    let file = |name: &str| entry(name, b'0', "", b"x");
    assert_eq!(with(&[entry("./", b'5', "", b""), file("./a"), entry("./b", b'1', "./a", b"")]).unwrap().len(), 3);
    for (entries, why) in [
        (vec![file("./../a")], "not a path within"),
        (vec![file("./a/../../b")], "not a path within"),
        (vec![file("/etc/passwd")], "not a path within"),
        (vec![file("")], "not a path within"),
        (vec![file("./a\nb")], "not a path within"),
        (vec![entry("./b", b'1', "/etc/shadow", b"")], "not a path within"),
        (vec![entry("./b", b'1', "../shadow", b"")], "not a path within"),
        (vec![entry("./b", b'1', "./absent", b"")], "no earlier file"),
        (vec![entry("./l", b'2', "/etc", b""), entry("./b", b'1', "./l", b"")], "no earlier file"),
        (vec![entry("./b", b'2', "", b"")], "link to nowhere"),
        (vec![entry("./b", b'2', "a", b"x")], "has content"),
        (vec![entry("./b", b'3', "", b"")], "is a device"),
        (vec![entry("./b", b'4', "", b"")], "is a device"),
        (vec![entry("./b", b'6', "", b"")], "is a device"),
        (vec![entry("./b", b'S', "", b"x")], "is sparse"),
        (vec![entry("pax", b'x', "", b"11 size=99\n"), file("./b")], "PAX header"),
        (vec![entry("pax", b'g', "", b"11 size=99\n"), file("./b")], "PAX header"),
        (vec![entry("./b", b'Z', "", b"")], "unknown kind"),
        (vec![file("./a"), file("./a")], "twice"),
        (vec![entry("long", b'L', "", &[b'a'; 5000]), file("./a")], "longer than any path"),
        (vec![entry("long", b'L', "", b"./../up\0"), file("./a")], "not a path within"),
        (vec![entry("long", b'L', "", b"\xff\0"), file("./a")], "not UTF-8"),
    ] {
        let error = with(&entries).expect_err(why);
        assert!(error.contains(why), "{error}, not {why}");
    }
}

#[test]
fn the_outer_archive_has_to_be_that_of_a_deb() {
    let (control, data) = (control(), tar(&[entry("./a", b'0', "", b"x")]));
    let (control, data) = (control.as_slice(), data.as_slice());
    let (version, c, d) = (("debian-binary", b"2.0\n".as_slice()), ("control.tar", control), ("data.tar", data));
    for members in [
        vec![version, c, d],
        vec![("debian-binary", b"2.1\nmore\n".as_slice()), c, d],
        vec![version, ("_note", b"odd"), c, ("_note", b"x"), d, ("later", b"x")],
    ] {
        assert_eq!(taken(&ar(&members)).unwrap().len(), 1);
    }
    for (members, why) in [
        (vec![c, d], "debian-binary"),
        (vec![("debian-binary", b"3.0\n".as_slice()), c, d], "format 2"),
        (vec![("debian-binary", b"2.0".as_slice()), c, d], "format 2"),
        (vec![version, d, c], "control.tar"),
        (vec![version, c], "data.tar"),
        (vec![version, c, ("note", b"x"), d], "data.tar"),
        (vec![version, c, ("data.tar.xz", data)], "as its name says"),
        (vec![version, c, ("data.tar.foo", data)], "as its name says"),
        (vec![version, c, ("#1/8", data)], "long or strange name"),
        (vec![version, c, ("/0", data)], "long or strange name"),
    ] {
        let error = taken(&ar(&members)).expect_err(why);
        assert!(error.contains(why), "{error}, not {why}");
    }
    let whole = deb(control, data);
    for end in (0..whole.len()).step_by(53) {
        assert!(taken(&whole[..end]).is_err(), "cut after {end} of {}", whole.len());
    }
    assert!(taken(&[whole.as_slice(), b"garbage"].concat()).unwrap_err().contains("no proper header"));
}

#[test]
fn a_header_that_does_not_add_up_is_refused() {
    let mut bad = entry("./a", b'0', "", b"x");
    bad[100] ^= 1;
    assert!(with(&[bad]).unwrap_err().contains("damaged"));
    let mut longer = entry("./a", b'0', "", b"x");
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&longer[..512]);
    header.set_size(1 << 40);
    header.set_cksum();
    longer[..512].copy_from_slice(header.as_bytes());
    assert!(with(&[longer]).is_err());
}

#[test]
fn control_files_are_flat() {
    let data = tar(&[entry("./a", b'0', "", b"x")]);
    for bad in [entry("./a/b", b'0', "", b"x"), entry("./link", b'2', "/etc/passwd", b""), entry("./d", b'5', "", b"")]
    {
        let error = taken(&deb(&tar(&[bad]), &data)).unwrap_err();
        assert!(error.contains("its control files hold"), "{error}");
    }
}
