//! Links that drop, names that do not resolve, files that change meanwhile, and an agent that is killed (4-A6): it goes on where it was, and
//! what comes of it is right.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offspot_tests::fetch_box::{FetchBox, Running, entry, summed, with};
use offspot_tests::image_build::sha256_of_file;
use offspot_tests::netns::Namespace;
use offspot_tests::servers::misbehaving::{Misdeed, Resource, Server};
use offspot_tests::servers::names::Names;
use offspot_tests::servers::nginx::{Logged, Nginx, Serving};
use offspot_tests::servers::seeded::Seeded;
use serde_json::Value;

const MB: u64 = 1_000_000;
const MIB: u64 = 1 << 20;
/// What may be fetched again after a kill or a cut.
const CHUNK: u64 = 64 * MIB;
/// What a server has handed to its kernel may still be on the way when the client ends.
const ON_THE_WAY: u64 = 8 * MIB;

/// What is the same of all requests of a path.
fn headers(server: &Server, path: &str, name: &str) -> Vec<String> {
    let seen = server.seen(path);
    seen.iter().map(|seen| seen.request.header(name).unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_link_that_drops_every_3_mb_brings_all_of_it_once() {
    let this = FetchBox::new("drops").unwrap();
    let server = Server::start().unwrap();
    let bytes = Seeded::new(21, 20 * MB);
    server.serve("/a", Resource::new(bytes).but(Misdeed::DropsEvery(3 * MB)));
    let fetched = this.fetch(&[entry("a", &server.url("/a"))]).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    assert_eq!(sha256_of_file(&this.data("a")).unwrap(), bytes.sha256());
    let ranges: Vec<String> =
        (0..7).map(|n| if n == 0 { String::new() } else { format!("bytes={}-", n * 3 * MB) }).collect();
    assert_eq!(headers(&server, "/a", "range"), ranges);
    let conditions = headers(&server, "/a", "if-range");
    assert!(conditions[1..].iter().all(|tag| tag == "\"first\""), "{conditions:?}");
    assert_eq!(server.sent("/a"), 20 * MB);
    assert_eq!(this.lies_here(), ["a"]);
}

#[test]
fn a_file_that_changes_meanwhile_is_begun_again() {
    let this = FetchBox::new("changes").unwrap();
    let server = Server::start().unwrap();
    let (old, new, longer) = (Seeded::new(22, 8 * MB), Seeded::new(23, 8 * MB), Seeded::new(24, 9 * MB));
    let changing = |to: Seeded| {
        let dropping = Resource::new(old).but(Misdeed::DropsEvery(3 * MB));
        dropping.but(Misdeed::Changes { after: 2, to: to.into() })
    };
    server.serve("/same-size", changing(new));
    server.serve("/longer", changing(longer));
    server.serve("/known", changing(new));
    let known = summed(entry("known", &server.url("/known")), "sha-256", &new.sha256());
    let entries = [entry("same-size", &server.url("/same-size")), entry("longer", &server.url("/longer")), known];
    let fetched = this.fetch(&entries).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    for (name, bytes) in [("same-size", new), ("longer", longer), ("known", new)] {
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256(), "{name} is of two files");
    }
    // One that changes after each request never comes, and is not tried for ever.
    let fickle = (1..60).fold(Resource::new(old).but(Misdeed::DropsEvery(3 * MB)), |resource, after| {
        resource.but(Misdeed::Changes { after, to: Seeded::new(100 + after as u64, 8 * MB + after as u64).into() })
    });
    server.serve("/fickle", fickle);
    let fetched = this.fetch(&[entry("fickle", &server.url("/fickle"))]).unwrap();
    assert!(fetched.of("/data/fickle").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert!(server.seen("/fickle").len() < 40, "{}", server.seen("/fickle").len());
    assert!(!this.data("fickle").exists());
}

#[test]
fn without_a_tag_only_a_digest_lets_it_go_on() {
    let this = FetchBox::new("untagged").unwrap();
    let server = Server::start().unwrap();
    let bytes = Seeded::new(25, 8 * MB);
    let cut = |tag: Option<&str>| Resource::new(bytes).tagged(tag).but(Misdeed::DropsFirst { times: 1, after: 3 * MB });
    server.serve("/known", cut(None));
    server.serve("/unknown", cut(None));
    server.serve("/dated", cut(None).modified("Sun, 01 Nov 2026 08:49:37 GMT"));
    let entries = [
        summed(entry("known", &server.url("/known")), "sha-256", &bytes.sha256()),
        entry("unknown", &server.url("/unknown")),
        entry("dated", &server.url("/dated")),
    ];
    let fetched = this.fetch(&entries).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    for name in ["known", "unknown", "dated"] {
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256(), "{name}");
    }
    assert_eq!(server.sent("/known"), 8 * MB);
    assert_eq!(headers(&server, "/dated", "if-range")[1], "Sun, 01 Nov 2026 08:49:37 GMT");
    assert_eq!(server.seen("/unknown").last().unwrap().sent, 8 * MB, "nothing says that it is the same file");
}

#[test]
fn a_wrong_part_of_an_earlier_run_is_not_kept_for_ever() {
    let this = FetchBox::new("spoilt").unwrap();
    let server = Server::start().unwrap();
    let bytes = Seeded::new(26, 8 * MB);
    // Its first half is wrong, and the second never comes; later all is well.
    let bad = [Misdeed::WrongByte(MB), Misdeed::SilentAfter(4 * MB), Misdeed::NoRanges];
    let bad = bad.into_iter().fold(Resource::new(bytes), Resource::but);
    server.serve("/a", bad);
    let entries = [summed(entry("a", &server.url("/a")), "sha-256", &bytes.sha256())];
    let fetched = this.fetch(&entries).unwrap();
    assert!(fetched.of("/data/a").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert!(!this.data("a").exists());
    server.serve("/a", Resource::new(bytes));
    let fetched = this.fetch(&entries).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    assert_eq!(sha256_of_file(&this.data("a")).unwrap(), bytes.sha256());
    assert_eq!(this.lies_here(), ["a"]);
}

#[test]
fn names_that_do_not_resolve_at_first() {
    let mut this = FetchBox::new("names").unwrap();
    let namespace = Namespace::new("names").unwrap();
    namespace.resolves_with("127.0.0.1").unwrap();
    let names = Names::on(namespace.receive("127.0.0.1", 53).unwrap(), Ipv4Addr::LOCALHOST, 2).unwrap();
    let server = Server::on(namespace.listen("127.0.0.1", 80).unwrap()).unwrap();
    server.serve("/a", Resource::new("found"));
    this.words = namespace.words();
    let fetched = this.fetch(&[entry("a", "http://library.example/a")]).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{} questions: {}", names.asked(), fetched.said);
    assert_eq!(fs::read(this.data("a")).unwrap(), b"found");
    assert!(names.asked() > 2);
}

/// Bytes that are here of what is being fetched or unpacked.
fn under_way(this: &FetchBox) -> u64 {
    let begun = this.lies_here().into_iter().filter(|name| name.starts_with(".offspot/"));
    begun.filter_map(|name| Some(fs::metadata(this.data(&name)).ok()?.len())).sum()
}

/// Starts the agent again and again, and ends it as soon as so many bytes are under way, until it is done; how often it was ended.
fn ended_at(
    this: &mut FetchBox,
    bytes: &[u64],
    mut end: impl FnMut(&mut FetchBox, Running),
    mut look: impl FnMut(&FetchBox),
) -> usize {
    let mut times = 0;
    for enough in bytes {
        let mut running = this.start().unwrap();
        while under_way(this) < *enough && !running.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if running.has_ended() {
            break;
        }
        end(this, running);
        look(this);
        times += 1;
    }
    let fetched = this.run().unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    times
}

fn slow(this: &FetchBox, rate: u64) -> Nginx {
    let serving = Serving { rate: Some(rate), ..Serving::files(&this.www("")) };
    Nginx::start(&serving, &this.folder().join("nginx")).unwrap()
}

/// Bytes that were sent, each request further than the last.
fn went_on(logged: &[Logged]) -> u64 {
    let begins = |logged: &Logged| logged.range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
    let begins: Vec<u64> = logged.iter().map(begins).collect();
    assert!(begins.windows(2).all(|pair| pair[0] <= pair[1]), "it went back: {begins:?}");
    assert!(begins.last() > Some(&0), "it never went on: {begins:?}");
    assert!(logged.iter().all(|logged| logged.range.is_empty() || !logged.if_range.is_empty()), "{logged:?}");
    logged.iter().map(|logged| logged.sent).sum()
}

#[test]
fn killed_at_any_moment_a_large_file_goes_on_where_it_was() {
    let mut this = FetchBox::new("killed").unwrap();
    let bytes = Seeded::new(27, 300 * MB);
    bytes.write(&this.www("large.bin")).unwrap();
    let nginx = slow(&this, 30 * MB);
    this.wants(&[summed(entry("large.bin", &nginx.url("/large.bin")), "sha-256", &bytes.sha256())]).unwrap();
    let kill = |_: &mut FetchBox, running: Running| running.kill().unwrap();
    let whole = |this: &FetchBox| assert!(!this.data("large.bin").exists(), "it shows before it is whole");
    let kills = ended_at(&mut this, &[MB, 70 * MB, 75 * MB, 160 * MB, 270 * MB], kill, whole);
    assert_eq!(kills, 5, "it was done before it was killed");
    assert_eq!(sha256_of_file(&this.data("large.bin")).unwrap(), bytes.sha256());
    assert_eq!(this.lies_here(), ["large.bin"]);
    // One killed before it asked has no line.
    let sent = went_on(&nginx.await_logged("/large.bin", kills).unwrap());
    println!("killed {kills} times: {sent} bytes sent for {}", bytes.length());
    assert!(sent <= bytes.length() + kills as u64 * CHUNK, "{sent} bytes");
}

#[test]
fn unplugged_at_any_moment_a_large_file_goes_on_where_the_disk_was() {
    let mut this = FetchBox::with_disk("unplugged", 640).unwrap();
    let bytes = Seeded::new(28, 300 * MB);
    bytes.write(&this.www("large.bin")).unwrap();
    let nginx = slow(&this, 40 * MB);
    this.wants(&[summed(entry("large.bin", &nginx.url("/large.bin")), "sha-256", &bytes.sha256())]).unwrap();
    let cut = |this: &mut FetchBox, running: Running| this.cut_power(running).unwrap();
    let whole = |this: &FetchBox| assert!(!this.data("large.bin").exists(), "it shows before it is whole");
    let cuts = ended_at(&mut this, &[90 * MB, 150 * MB, 230 * MB], cut, whole);
    assert_eq!(cuts, 3, "it was done before the power was cut");
    assert_eq!(sha256_of_file(&this.data("large.bin")).unwrap(), bytes.sha256());
    assert_eq!(this.lies_here().iter().filter(|name| !name.starts_with("lost+found")).count(), 1);
    let sent = went_on(&nginx.await_logged("/large.bin", cuts).unwrap());
    println!("cut {cuts} times: {sent} bytes sent for {}", bytes.length());
    assert!(sent <= bytes.length() + cuts as u64 * (CHUNK + ON_THE_WAY), "{sent} bytes");
}

#[test]
fn unplugged_amid_the_second_the_first_is_there_for_good() {
    let mut this = FetchBox::with_disk("cut-second", 320).unwrap();
    let (first, second) = (Seeded::new(29, 30 * MB), Seeded::new(30, 120 * MB));
    first.write(&this.www("first.bin")).unwrap();
    second.write(&this.www("second.bin")).unwrap();
    let nginx = slow(&this, 40 * MB);
    let wanted =
        |name: &str, bytes: Seeded| summed(entry(name, &nginx.url(&format!("/{name}"))), "sha-256", &bytes.sha256());
    this.wants(&[wanted("first.bin", first), wanted("second.bin", second)]).unwrap();
    let cut = |this: &mut FetchBox, running: Running| this.cut_power(running).unwrap();
    let there = |this: &FetchBox| assert_eq!(sha256_of_file(&this.data("first.bin")).unwrap(), first.sha256());
    // The first is never under way with so much, though it has two names for a moment.
    assert_eq!(ended_at(&mut this, &[65 * MB, 95 * MB], cut, there), 2, "it was done before the power was cut");
    assert_eq!(sha256_of_file(&this.data("second.bin")).unwrap(), second.sha256());
    assert_eq!(nginx.await_logged("/first.bin", 1).unwrap().len(), 1, "it was fetched again");
    let here = this.lies_here();
    assert_eq!(here, ["first.bin", "second.bin"]);
}

/// Fetches an archive of 400 books on 20 shelves twice, with its checksum and without, ended once so many bytes are under way; how often.
fn archives_ended_at(this: &mut FetchBox, bytes: &[u64], end: impl FnMut(&mut FetchBox, Running)) -> usize {
    let tree = this.folder().join("tree");
    for number in 0..400 {
        let folder = tree.join(format!("shelf-{}", number / 20));
        fs::create_dir_all(&folder).unwrap();
        Seeded::new(number, 100_000).write(&folder.join(format!("book-{number}"))).unwrap();
    }
    let archive = this.www("site.tar.zst");
    let made = Command::new("tar").arg("--zstd").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".").status();
    assert!(made.unwrap().success());
    let nginx = slow(this, 20 * MB);
    let site = |name: &str| -> Value { with(entry(name, &nginx.url("/site.tar.zst")), "via", "zstdtar") };
    let sum = sha256_of_file(&archive).unwrap();
    this.wants(&[summed(site("known"), "sha-256", &sum), site("unknown")]).unwrap();
    let all_or_nothing = |this: &FetchBox| {
        for name in ["known", "unknown"] {
            let shelves = fs::read_dir(this.data(name)).map_or(0, Iterator::count);
            assert!([0, 20].contains(&shelves), "{name} shows with {shelves} of 20 shelves");
            if shelves == 20 {
                assert_same(&tree, &this.data(name));
            }
        }
    };
    let times = ended_at(this, bytes, end, all_or_nothing);
    for name in ["known", "unknown"] {
        assert_same(&tree, &this.data(name));
    }
    assert_eq!(this.lies_here().len(), 800, "something is left behind");
    times
}

fn assert_same(tree: &Path, placed: &Path) {
    let same = Command::new("diff").arg("-r").arg(tree).arg(placed).status().unwrap();
    assert!(same.success(), "{} differs", placed.display());
}

#[test]
fn killed_amid_an_archive_nothing_half_done_shows() {
    let mut this = FetchBox::new("archives").unwrap();
    let kill = |_: &mut FetchBox, running: Running| running.kill().unwrap();
    let kills = archives_ended_at(&mut this, &[MB / 10, 5 * MB, 15 * MB, 39 * MB, MB, 30 * MB], kill);
    assert!(kills >= 4, "killed {kills} times");
}

#[test]
fn unplugged_amid_an_archive_nothing_half_done_shows() {
    let mut this = FetchBox::with_disk("cut-archives", 320).unwrap();
    let cut = |this: &mut FetchBox, running: Running| this.cut_power(running).unwrap();
    let cuts = archives_ended_at(&mut this, &[MB / 10, 15 * MB, 39 * MB, MB, 30 * MB], cut);
    assert!(cuts >= 3, "cut {cuts} times");
}
