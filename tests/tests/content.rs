//! Content, placed on a real filesystem: sources, archives, refusals, merges, and kills at every step.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use offspot_agent::content::{Placement, State, place, survey};
use offspot_agent::host::Host;
use offspot_agent::problem::Problem;
use offspot_agent::receipts::Receipts;
use offspot_agent::report::Reporter;
use offspot_config::settings::{Algorithm, Checksum, ChecksumValue, FileEntry, Source, Via};

/// A box below a folder of its own.
struct Place {
    base: PathBuf,
}

/// What a run came to.
#[derive(Debug)]
struct Outcome {
    codes: Vec<&'static str>,
    problems: Vec<Problem>,
    notes: Vec<String>,
    done: Vec<(String, Option<String>)>,
}

impl Place {
    fn new(name: &str) -> Place {
        Place::below(&std::env::temp_dir(), name)
    }

    fn below(folder: &Path, name: &str) -> Place {
        let base = folder.join(format!("offspot-content-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("data")).unwrap();
        fs::create_dir_all(base.join("boot/firmware/offspot/files")).unwrap();
        fs::create_dir_all(base.join("src")).unwrap();
        Place { base }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| format!("<{error}>"))
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn run(&self, entries: &[FileEntry]) -> Outcome {
        self.run_replacing(entries, &[])
    }

    /// One boot: survey, place, and a look that nothing of the staging is left.
    fn run_replacing(&self, entries: &[FileEntry], replace: &[&str]) -> Outcome {
        let host = Host::new(&self.base);
        let replace: Vec<String> = replace.iter().map(|to| (*to).to_owned()).collect();
        let (receipts, damaged) = Receipts::open(&host.state()).unwrap();
        assert_eq!(damaged, 0);
        let (report, watch) = Reporter::new();
        let (mut items, mut done, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for found in survey(&host, entries, &receipts, &replace) {
            match &found.state {
                State::Done { changed_since } => done.push((found.entry.to.clone(), changed_since.clone())),
                State::ToPlace { .. } => items.push(Placement::from(found)),
                State::Refused(problem) => problems.push(problem.clone()),
            }
        }
        let wanted = items.len();
        let placed = place(&host, &host.data(), items, &receipts, &report, &replace);
        assert!(placed.failed.len() <= wanted);
        assert!(!self.path("data/.offspot/staging").exists(), "staging is left behind");
        problems.extend(watch.borrow().problems.clone());
        let codes = problems.iter().map(|problem| problem.facts().code).collect();
        Outcome { codes, problems, notes: watch.borrow().notes.clone(), done }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn entry(to: &str, via: Via, source: Source) -> FileEntry {
    FileEntry { to: to.into(), source, mirrors: Vec::new(), via, size: None, checksum: None }
}

fn content(to: &str, text: &str) -> FileEntry {
    entry(to, Via::Direct, Source::Content(text.into()))
}

fn url(to: &str, via: Via, url: &str) -> FileEntry {
    entry(to, via, Source::Url(url.into()))
}

fn with_digest(mut entry: FileEntry, algo: Algorithm, digest: &str) -> FileEntry {
    entry.checksum = Some(Checksum { algo, value: ChecksumValue::Digest(digest.into()) });
    entry
}

/// A tar of (name, text); a name ending in `/` is a folder.
fn tarball(members: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
        header.set_entry_type(if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mtime(1_600_000_000 + text.len() as u64);
        // As a hostile archive would: the builder's own setter refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn link(kind: tar::EntryType, name: &str, target: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn settings_and_card_are_sources() {
    let place = Place::new("sources");
    place.write("src/plain.zim", "from a path");
    place.write("boot/firmware/offspot/files/a b.zim", "from the laptop");
    place.write("boot/firmware/offspot/files/later.zim", "instead of the network");
    let entries = [
        content("/data/conf/hello.txt", "  hello\nworld \n"),
        entry("/data/conf/deep/er/logo", Via::Base64, Source::Content("aGVs\n bG8\n".into())),
        url("/data/zims/plain.zim", Via::Direct, "/src/plain.zim"),
        url("/data/zims/laptop.zim", Via::Direct, "file:///boot/firmware/offspot/files/a%20b.zim"),
        url("/data/zims/later.zim", Via::Direct, "https://nowhere.invalid/x/later.zim?token=1"),
        url("/data/zims/absent.zim", Via::Direct, "/src/absent.zim"),
    ];
    let outcome = place.run(&entries);
    assert_eq!(outcome.codes, ["E-FETCH-CONTENT"], "{:?}", outcome.problems);
    assert!(outcome.problems[0].to_string().contains("no file /src/absent.zim"), "{:?}", outcome.problems);
    assert_eq!(place.read("data/conf/hello.txt"), "hello\nworld");
    assert_eq!(place.read("data/conf/deep/er/logo"), "hello");
    assert_eq!(place.read("data/zims/plain.zim"), "from a path");
    assert_eq!(place.read("data/zims/laptop.zim"), "from the laptop");
    assert_eq!(place.read("data/zims/later.zim"), "instead of the network");

    let again = place.run(&entries[..5]);
    assert_eq!((again.done.len(), again.problems.len()), (5, 0));
    assert!(again.done.iter().all(|(_, changed)| changed.is_none()), "{again:?}");
}

#[test]
fn checksums_and_sizes_are_verified_before_anything_shows() {
    let place = Place::new("checksums");
    place.write("src/abc", "abc");
    place.write("src/abc.md5", "900150983CD24FB0D6963F7D28E17F72  abc\n");
    place.write("src/long.md5", vec![b'a'; 4096]);
    let direct = |to: &str| url(to, Via::Direct, "/src/abc");
    let at = |entry: FileEntry, url: &str| FileEntry {
        checksum: Some(Checksum { algo: Algorithm::Md5, value: ChecksumValue::Url(url.into()) }),
        ..entry
    };
    let outcome = place.run(&[
        with_digest(direct("/data/adler"), Algorithm::Adler32, "024d0127"),
        with_digest(direct("/data/sha1"), Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        at(direct("/data/by-url"), "/src/abc.md5"),
        FileEntry { size: Some(3), ..direct("/data/size") },
        with_digest(direct("/data/wrong"), Algorithm::Adler32, "024d0128"),
        at(direct("/data/long"), "file:///src/long.md5"),
        FileEntry { size: Some(4), ..direct("/data/short") },
    ]);
    assert_eq!(outcome.codes, ["E-TRUST-CHECKSUM", "E-FETCH-CONTENT", "E-CONTENT-SIZE"], "{:?}", outcome.problems);
    assert!(outcome.problems[2].to_string().contains("has 3 bytes, expected 4"));
    for there in ["adler", "sha1", "by-url", "size"] {
        assert_eq!(place.read(&format!("data/{there}")), "abc");
    }
    for absent in ["wrong", "long", "short"] {
        assert!(!place.path(&format!("data/{absent}")).exists());
    }
}

#[test]
fn only_below_data_and_not_onto_our_own() {
    let place = Place::new("outside");
    symlink(place.path("src"), place.path("data/out")).unwrap();
    symlink("..", place.path("data/up")).unwrap();
    fs::create_dir(place.path("data/real")).unwrap();
    symlink("real", place.path("data/within")).unwrap();
    symlink(".offspot", place.path("data/sly")).unwrap();
    let outcome = place.run(&[
        content("/data/out/a", "x"),
        content("/data/up/b", "x"),
        content("/data/.offspot/receipts2", "x"),
        content("/data/docker/x", "x"),
        content("/data/sly/x", "x"),
        content("/data/within/ok", "fine"),
        content("/data/real/ok", "the same place"),
    ]);
    assert_eq!(outcome.codes, ["E-CONTENT-OUTSIDE"; 6], "{:?}", outcome.problems);
    assert_eq!(place.read("data/real/ok"), "fine");
    assert!(fs::read_dir(place.path("src")).unwrap().next().is_none());
    assert!(!place.path("b").exists() && !place.path("data/docker").exists());
}

#[test]
fn what_is_not_ours_is_adopted_replaced_or_left() {
    let place = Place::new("ours");
    place.write("data/same", "same");
    place.write("data/other", "other");
    place.write("data/sum", "abc");
    place.write("src/abc", "abc");
    let entries = [
        content("/data/same", "same"),
        content("/data/other", "wanted"),
        with_digest(url("/data/sum", Via::Direct, "/src/gone"), Algorithm::Adler32, "024d0127"),
        url("/data/self", Via::Direct, "/data/self"),
    ];
    place.write("data/self", "already here");
    let before = fs::metadata(place.path("data/same")).unwrap().modified().unwrap();
    let outcome = place.run(&entries);
    assert_eq!(outcome.codes, ["E-CONTENT-NOT-OURS"], "{:?}", outcome.problems);
    assert_eq!(place.read("data/other"), "other");
    assert_eq!(fs::metadata(place.path("data/same")).unwrap().modified().unwrap(), before);

    let outcome = place.run_replacing(&entries, &["/data//other/", "/data/othr"]);
    assert_eq!((outcome.codes.len(), outcome.done.len()), (0, 3), "{outcome:?}");
    assert_eq!(outcome.notes, ["--replace /data/othr: no entry of files has this target"]);
    assert_eq!(place.read("data/other"), "wanted");

    // Changed or removed by the user: told, not redone. Changed in the settings: placed again. Vanished there: left.
    place.write("data/same", "edited");
    fs::remove_file(place.path("data/other")).unwrap();
    let outcome = place.run(&entries[..2]);
    let told: Vec<_> = outcome.done.iter().filter_map(|(_, changed)| changed.as_deref()).collect();
    assert_eq!(told, ["changed", "removed"]);
    assert_eq!(place.read("data/same"), "edited");
    let outcome = place.run(&[content("/data/same", "newer"), content("/data/other", "back")]);
    assert!(outcome.codes.is_empty(), "{outcome:?}");
    assert_eq!((place.read("data/same"), place.read("data/other")), ("newer".into(), "back".into()));
    assert_eq!(place.read("data/sum"), "abc");
    assert_eq!(place.read("data/same.kept"), "edited");
}

#[test]
fn an_edit_is_kept_aside_when_its_entry_changes() {
    let place = Place::new("aside");
    let said = |path: &str| {
        format!("/data/x was changed on the box since it was placed; that version is kept as /data/{path}")
    };
    place.run(&[content("/data/x", "1")]);
    let outcome = place.run(&[content("/data/x", "2")]);
    assert!(outcome.notes.is_empty() && !place.path("data/x.kept").exists(), "{outcome:?}");
    place.write("data/x", "first edit");
    assert_eq!(place.run(&[content("/data/x", "3")]).notes, [said("x.kept")]);
    place.write("data/x", "second edit");
    // As a run leaves it that was killed between the two names.
    fs::hard_link(place.path("data/x"), place.path("data/x.kept-3")).unwrap();
    assert_eq!(place.run_replacing(&[content("/data/x", "3")], &["/data/x"]).notes, [said("x.kept-3")]);
    assert!(!place.path("data/x.kept-2").exists());
    assert_eq!((place.read("data/x.kept"), place.read("data/x.kept-3")), ("first edit".into(), "second edit".into()));
    assert_eq!(place.read("data/x"), "3");

    [2, 4, 5, 6, 7, 8, 9].iter().for_each(|number| place.write(&format!("data/x.kept-{number}"), "taken"));
    place.write("data/x", "third edit");
    assert_eq!(place.run(&[content("/data/x", "4")]).codes, ["E-CONTENT-NOT-OURS"]);
    assert_eq!(place.read("data/x"), "third edit");
}

#[test]
fn archives_of_every_kind() {
    let place = Place::new("archives");
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    place.write("src/tree/a/b.txt", "deep");
    place.write(&format!("src/tree/{long}"), "long");
    symlink("a/b.txt", place.path("src/tree/link")).unwrap();
    fs::hard_link(place.path("src/tree/a/b.txt"), place.path("src/tree/hard")).unwrap();
    let make = |arguments: &[&str]| {
        let status = Command::new(arguments[0]).args(&arguments[1..]).current_dir(place.path("src/tree")).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{arguments:?}: apt-get install tar xz-utils bzip2 python3"
        );
    };
    make(&["tar", "--format=gnu", "-cf", "../t.tar", "."]);
    make(&["tar", "--format=pax", "-czf", "../t.gztar", "."]);
    make(&["tar", "--format=ustar", "-cjf", "../t.bztar", "a", "link", "hard"]);
    make(&["tar", "-cJf", "../t.xztar", "."]);
    make(&["python3", "-m", "zipfile", "-c", "../t.zip", "a", "hard"]);
    let vias = [Via::Tar, Via::Gztar, Via::Bztar, Via::Xztar, Via::Zip];
    let entries: Vec<_> = ["tar", "gztar", "bztar", "xztar", "zip"]
        .iter()
        .zip(vias)
        .map(|(suffix, via)| url(&format!("/data/{suffix}"), via, &format!("/src/t.{suffix}")))
        .chain([content("/data/xztar/a/inside.txt", "placed after its archive")])
        .rev()
        .collect();
    let outcome = place.run(&entries);
    assert!(outcome.codes.is_empty(), "{:?}", outcome.problems);
    for suffix in ["tar", "gztar", "bztar", "xztar", "zip"] {
        assert_eq!(place.read(&format!("data/{suffix}/a/b.txt")), "deep", "{suffix}");
        assert_eq!(place.read(&format!("data/{suffix}/hard")), "deep", "{suffix}");
        if suffix != "zip" {
            assert_eq!(fs::read_link(place.path(&format!("data/{suffix}/link"))).unwrap(), Path::new("a/b.txt"));
        }
    }
    for suffix in ["tar", "gztar", "xztar"] {
        assert_eq!(place.read(&format!("data/{suffix}/{long}")), "long", "{suffix}");
    }
    assert_eq!(place.read("data/xztar/a/inside.txt"), "placed after its archive");
    assert_eq!(place.run(&entries).done.len(), 6);
}

#[test]
fn hostile_archives_write_nothing_outside() {
    let place = Place::new("hostile");
    let good = tarball(&[("a", "x"), ("b", "y")]);
    let joined = |parts: &[Vec<u8>]| {
        // Without the zeros that end each.
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part[..part.len() - 1024].to_vec()).collect();
        bytes.extend([0; 1024]);
        bytes
    };
    let symlink = |name: &str, target: &str| link(tar::EntryType::Symlink, name, target);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("dotdot", tarball(&[("../evil", "x")])),
        ("absolute", tarball(&[("/evil", "x")])),
        ("link-out", symlink("l", "../../evil")),
        ("link-absolute", symlink("l", "/etc")),
        ("link-by-link", joined(&[symlink("s", "."), symlink("x", "s/..")])),
        ("through-link", joined(&[tarball(&[("d/", "")]), symlink("l", "d"), tarball(&[("l/evil", "x")])])),
        ("hardlink-out", link(tar::EntryType::Link, "h", "../../src/secret")),
        ("hardlink-absolute", link(tar::EntryType::Link, "h", "/src/secret")),
        ("device", link(tar::EntryType::Char, "dev", "")),
        ("fifo", link(tar::EntryType::Fifo, "pipe", "")),
        ("no-end", good[..good.len() - 1024].to_vec()),
        ("cut", good[..700].to_vec()),
        ("not-a-tar", vec![b'x'; 4096]),
        ("empty", Vec::new()),
        ("flipped", {
            let mut bytes = good.clone();
            bytes[3] ^= 1;
            bytes
        }),
        ("huge-name", {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::GNULongName);
            header.set_size(1 << 40);
            header.set_cksum();
            header.as_bytes().to_vec()
        }),
    ];
    place.write("src/secret", "secret");
    let entries: Vec<_> = cases
        .iter()
        .map(|(name, bytes)| {
            place.write(&format!("src/{name}.tar"), bytes);
            url(&format!("/data/{name}"), Via::Tar, &format!("/src/{name}.tar"))
        })
        .collect();
    let outcome = place.run(&entries);
    assert_eq!(outcome.codes, vec!["E-CONTENT-ARCHIVE"; cases.len()], "{:#?}", outcome.problems);
    let left: Vec<_> = fs::read_dir(place.path("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".offspot"]);
    assert_eq!(fs::read_dir(place.path("data/.offspot/placed")).unwrap().count(), 0);
    assert!(!place.path("evil").exists() && !Path::new("/evil").exists());
}

#[test]
fn merges_replace_only_what_is_ours_and_unchanged() {
    let place = Place::new("merge");
    place.write("data/site/theirs", "theirs");
    place.write(
        "src/one.tar",
        tarball(&[("./", ""), ("theirs", "ours"), ("kept", "v1"), ("edited", "v1"), ("sub/x", "v1")]),
    );
    place.write(
        "src/two.tar",
        tarball(&[("theirs", "ours2"), ("kept", "v2!"), ("edited", "v2!"), ("sub/x", "v2!"), ("new/y", "v2!")]),
    );
    let outcome = place.run(&[url("/data/site", Via::Tar, "/src/one.tar")]);
    assert!(outcome.codes.is_empty() && outcome.notes[0].contains("theirs"), "{outcome:?}");
    assert_eq!((place.read("data/site/theirs"), place.read("data/site/kept")), ("theirs".into(), "v1".into()));

    place.write("data/site/edited", "by hand");
    let two = [url("/data/site", Via::Tar, "/src/two.tar"), content("/data/site/kept", "an entry of its own")];
    let outcome = place.run(&two);
    assert!(outcome.codes.is_empty(), "{:?}", outcome.problems);
    assert!(outcome.notes[0].contains("2 left as found") && outcome.notes[0].contains("theirs, edited"), "{outcome:?}");
    assert_eq!(place.read("data/site/theirs"), "theirs");
    assert_eq!(place.read("data/site/edited"), "by hand");
    assert_eq!(place.read("data/site/kept"), "an entry of its own");
    assert_eq!((place.read("data/site/sub/x"), place.read("data/site/new/y")), ("v2!".into(), "v2!".into()));

    let outcome = place.run_replacing(&two, &["/data/site"]);
    assert!(outcome.codes.is_empty() && outcome.notes.is_empty(), "{outcome:?}");
    assert_eq!(place.read("data/site/theirs"), "ours2");
    assert_eq!(place.read("data/site/kept"), "an entry of its own");
    assert_eq!(place.run(&two).done.len(), 2);
}

#[test]
fn what_a_merge_holds_in_memory_is_planned() {
    let place = Place::new("memory");
    let names: Vec<String> = (0..1000).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    place.write("src/many.tar", tarball(&many));
    place.write("src/few.tar", tarball(&[("f1", "y")]));
    let planned = |tar: &str| {
        let host = Host::new(&place.base);
        let (receipts, _) = Receipts::open(&host.state()).unwrap();
        let found = survey(&host, &[url("/data/site", Via::Tar, tar)], &receipts, &[]);
        let State::ToPlace { memory, .. } = found[0].state else { panic!("{found:?}") };
        memory
    };
    let fresh = planned("/src/many.tar");
    assert!(place.run(&[url("/data/site", Via::Tar, "/src/many.tar")]).codes.is_empty());
    let more = planned("/src/few.tar") - fresh;
    assert!((30_000..80_000).contains(&more), "{more}");
}

#[test]
fn a_list_torn_within_a_letter_is_merged_whole() {
    let place = Place::new("torn");
    place.write("data/site/theirs", "theirs");
    place.write("src/one.tar", tarball(&[("a", "v1"), ("sub/b", "v1")]));
    let one = url("/data/site", Via::Tar, "/src/one.tar");
    let list = format!("data/.offspot/placed/{}.next", offspot_agent::content::key(&one));
    place.write(&list, b"{\"path\":\"\xc3");
    let outcome = place.run(&[one]);
    assert!(outcome.codes.is_empty(), "{:?}", outcome.problems);
    assert_eq!((place.read("data/site/a"), place.read("data/site/sub/b")), ("v1".into(), "v1".into()));
}

/// Answers each connection by its request's path, once.
fn server(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 2048];
            let length = stream.read(&mut request).unwrap();
            requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(&answer);
        }
        requests
    });
    (address, thread)
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

#[test]
fn fetched_over_http() {
    let place = Place::new("http");
    let (address, thread) = server(vec![
        answer("200 OK\r\nContent-Length: 5", "hello"),
        answer("302 Found\r\nLocation: /moved", ""),
        answer("200 OK\r\nContent-Length: 5", "moved"),
        answer("404 Not Found\r\nContent-Length: 0", ""),
        answer("200 OK\r\nContent-Length: 50", "cut short"),
        answer("200 OK\r\nContent-Length: 5", "whole"),
        answer("200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip", "abc"),
    ]);
    let from = |path: &str| url(&format!("/data/{path}"), Via::Direct, &format!("{address}/{path}?secret=1"));
    let entries = ["plain", "redirected", "missing", "cut", "packed"].map(from);
    let outcome = place.run(&entries);
    assert_eq!(outcome.codes, ["E-FETCH-CONTENT"; 2], "{:?}", outcome.problems);
    assert_eq!(place.read("data/plain"), "hello");
    assert_eq!(place.read("data/redirected"), "moved");
    assert_eq!(place.read("data/cut"), "whole");
    let said = format!("{:?}", outcome.problems);
    assert!(said.contains("404") && said.contains("/missing") && !said.contains("secret"), "{said}");
    let request = thread.join().unwrap().remove(0).to_lowercase();
    assert!(request.contains("accept-encoding: identity"), "{request}");
}

#[test]
fn offline_is_told_once_a_host_and_soon() {
    let place = Place::new("offline");
    let begun = std::time::Instant::now();
    // A port that nothing listens on any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let entries: Vec<_> = (0..20)
        .map(|n| url(&format!("/data/{n}"), Via::Direct, &format!("http://me:pass@127.0.0.1:{port}/{n}")))
        .chain([content("/data/here", "still placed")])
        .collect();
    let outcome = place.run(&entries);
    assert_eq!(outcome.codes, ["E-FETCH-CONTENT"; 20]);
    assert!(!format!("{:?}", outcome.problems).contains("pass"), "{:?}", outcome.problems[0]);
    assert_eq!(place.read("data/here"), "still placed");
    assert!(begun.elapsed().as_secs() < 20);
}

/// The calls that matter.
const CALLS: &str = "openat openat2 write renameat rename linkat symlinkat unlinkat unlink rmdir mkdir mkdirat syncfs fdatasync ftruncate fchmod utimensat";

/// Runs the step in a process of its own, killed at the `when`-th of one kind of call (strace counts each by itself); whether it was.
fn killed(place: &Place, list: &str, call: &str, when: usize) -> bool {
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={when}")])
        // Where the loader looks for libraries is no step of ours.
        .env_remove("LD_LIBRARY_PATH")
        .arg(env!("CARGO_BIN_EXE_place-content"))
        .args([&place.base, &place.path(list)])
        .output()
        .expect("apt-get install strace");
    // It ends as what it traced did: by the signal.
    !matches!(strace.status.code(), Some(0 | 1))
}

fn copy(from: &Place, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([&from.base, to]).status().unwrap().success());
}

/// From `start`, kills the step at every call in turn; `looks` judges what is visible after the kill, and `ends` after one more run.
fn kill_everywhere(start: &Place, list: &str, looks: impl Fn(&Place), ends: impl Fn(&Place)) -> usize {
    let kill = |call: &str, when: usize| {
        let place = Place { base: start.base.with_extension("killed") };
        copy(start, &place.base);
        if !killed(&place, list, call, when) {
            ends(&place);
            return false;
        }
        looks(&place);
        let again =
            Command::new(env!("CARGO_BIN_EXE_place-content")).args([&place.base, &place.path(list)]).output().unwrap();
        assert!(again.status.success(), "{call} {when}: {}", String::from_utf8_lossy(&again.stdout));
        assert!(!place.path("data/.offspot/staging").exists(), "{call} {when}");
        ends(&place);
        true
    };
    CALLS.split(' ').map(|call| (1..).take_while(|when| kill(call, *when)).count()).sum()
}

#[test]
fn killed_anywhere_nothing_half_shows_and_the_next_run_completes() {
    // In memory: a kill, unlike a power cut, loses nothing that was written, and hundreds of syncs would take a minute.
    let start = Place::below(Path::new("/dev/shm"), "kill");
    start.write("src/big", "0123456789".repeat(30_000));
    start.write("src/one.tar", tarball(&[("a", "v1"), ("sub/b", "v1"), ("sub/c", "v1")]));
    start.write("src/two.tar", tarball(&[("a", "v2!"), ("sub/b", "v2!"), ("new/d", "v2!")]));
    let list = |version: &str, tar: &str| {
        format!(
            "/data/site/inside|direct|=in {version}\n/data/conf|direct|=conf {version}\n/data/big|direct|/src/big\n/data/site|tar|/src/{tar}.tar\n"
        )
    };
    start.write("first", list("1", "one"));
    start.write("second", list("2", "two"));

    let whole = |place: &Place, path: &str, allowed: &[&str]| {
        if place.path(path).exists() {
            assert!(allowed.contains(&place.read(path).as_str()), "{path} shows {:?}", place.read(path));
        }
    };
    let big = "0123456789".repeat(30_000);
    let by_hand = std::cell::Cell::new(false);
    let looks = |place: &Place| {
        whole(place, "data/big", &[&big]);
        whole(place, "data/conf", &["conf 1", "conf 2", "by hand"]);
        assert!(
            !by_hand.get() || ["data/conf", "data/conf.kept"].iter().any(|path| place.read(path) == "by hand"),
            "the edit is lost"
        );
        whole(place, "data/site/inside", &["in 1", "in 2"]);
        for member in ["a", "sub/b", "sub/c", "new/d"] {
            whole(place, &format!("data/site/{member}"), &["v1", "v2!"]);
        }
        let site = place.path("data/site");
        assert!(!site.exists() || ["a", "sub/b", "sub/c"].iter().all(|member| site.join(member).exists()));
    };
    let first = kill_everywhere(&start, "first", looks, |place| {
        assert_eq!((place.read("data/site/a"), place.read("data/site/inside")), ("v1".into(), "in 1".into()));
        assert_eq!((place.read("data/conf"), place.read("data/big")), ("conf 1".into(), big.clone()));
    });
    assert!(
        Command::new(env!("CARGO_BIN_EXE_place-content"))
            .args([&start.base, &start.path("first")])
            .status()
            .unwrap()
            .success()
    );
    start.write("data/conf", "by hand");
    by_hand.set(true);
    let second = kill_everywhere(&start, "second", looks, |place| {
        assert_eq!((place.read("data/site/a"), place.read("data/site/sub/b")), ("v2!".into(), "v2!".into()));
        assert_eq!((place.read("data/site/new/d"), place.read("data/site/sub/c")), ("v2!".into(), "v1".into()));
        assert_eq!((place.read("data/conf"), place.read("data/site/inside")), ("conf 2".into(), "in 2".into()));
        assert_eq!(place.read("data/conf.kept"), "by hand");
        assert!(!place.path("data/conf.kept-2").exists() && !place.path("data/big.kept").exists());
    });
    println!("killed at {first} and {second} places");
    assert!(first > 80 && second > 80, "{first} {second}");
}

#[test]
fn a_merge_that_was_cut_is_neither_version() {
    let start = Place::below(Path::new("/dev/shm"), "cut");
    for (name, text) in [("one", "v1"), ("two", "v2!"), ("three", "v3!!")] {
        start.write(&format!("src/{name}.tar"), tarball(&[("a", text), ("sub/b", text), (name, text)]));
        start.write(name, format!("/data/site|tar|/src/{name}.tar\n"));
    }
    let run = |place: &Place, list: &str| {
        let program = env!("CARGO_BIN_EXE_place-content");
        let output = Command::new(program).args([&place.base, &place.path(list)]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&start, "one");
    let lists = |place: &Place| fs::read_dir(place.path("data/.offspot/placed")).unwrap().count();
    let mut mixed = 0;
    let mut kill = |call: &str, when: usize| {
        let place = Place { base: start.base.with_extension("killed") };
        copy(&start, &place.base);
        let cut = killed(&place, "two", call, when);
        let versions = [place.read("data/site/a"), place.read("data/site/sub/b")];
        mixed += usize::from(versions[0] != versions[1]);
        let also = Place { base: start.base.with_extension("other") };
        copy(&place, &also.base);
        // The first version is asked for again, or a third.
        for (place, list, text) in [(place, "one", "v1"), (also, "three", "v3!!")] {
            let said = run(&place, list);
            assert_eq!([place.read("data/site/a"), place.read("data/site/sub/b")], [text; 2], "{call} {when}: {said}");
            assert!(run(&place, list).contains("done"), "{call} {when}");
            if versions[0] != versions[1] {
                assert!(!said.contains("left as found"), "{call} {when}: {said}");
                assert_eq!(lists(&place), 1, "{call} {when}");
            }
        }
        cut
    };
    let calls = ["openat2", "linkat", "renameat", "rename", "syncfs", "fdatasync"];
    let cuts: usize = calls.iter().map(|call| (1..).take_while(|when| kill(call, *when)).count()).sum();
    assert!(cuts > 20 && mixed > 5, "{cuts} {mixed}");
}

/// A small filesystem mounted on the data folder, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn on(place: &Place, options: &str) -> Small {
        let target = place.path("data");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&target).status().unwrap();
        assert!(mounted.success(), "this test has to run as root");
        Small(target)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_card_costs_what_does_not_fit_and_no_more() {
    let place = Place::new("full");
    let small = Small::on(&place, "size=4m,nr_inodes=64");
    let zeros = vec![0; 8 << 20];
    place.write("src/large", &zeros);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&tarball(&[("bomb", &"0".repeat(16 << 20))])).unwrap();
    place.write("src/bomb.tgz", packed.finish().unwrap());
    let names: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    place.write("src/many.tar", tarball(&many));
    let (address, thread) = server(vec![answer("200 OK", &"x".repeat(6 << 20))]);
    let outcome = place.run(&[
        url("/data/large", Via::Direct, "/src/large"),
        url("/data/bomb", Via::Gztar, "/src/bomb.tgz"),
        url("/data/many", Via::Tar, "/src/many.tar"),
        url("/data/endless", Via::Direct, &format!("{address}/endless")),
    ]);
    thread.join().unwrap();
    assert_eq!(
        outcome.codes,
        ["E-SPACE-BYTES", "E-SPACE-FULL", "E-SPACE-FULL", "E-SPACE-FULL"],
        "{:?}",
        outcome.problems
    );
    // A program that another test is just starting holds what was deleted until it runs.
    for _ in 0..100 {
        if nix::sys::statvfs::statvfs(&place.path("data")).unwrap().blocks_available() > 512 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(place.run(&[content("/data/small", "fits")]).codes, [] as [&str; 0]);
    let mut left: Vec<_> = fs::read_dir(place.path("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".offspot", "small"]);
    drop(small);
}
