//! Servers that are odd, but mean no harm, and mirrors that are wrong each in another way: what is right comes in the end, and what is said of the
//! rest is true.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use offspot_tests::fetch_box::{FetchBox, Fetched, entry, summed, with};
use offspot_tests::image_build::sha256_of_file;
use offspot_tests::servers::misbehaving::{Misdeed, Resource, Server};
use offspot_tests::servers::nginx::{Nginx, Serving};
use offspot_tests::servers::seeded::Seeded;
use serde_json::{Value, json};

const MB: u64 = 1_000_000;

fn serve(server: &Server, path: &str, bytes: Seeded, misdeeds: &[Misdeed]) -> String {
    server.serve(path, misdeeds.iter().cloned().fold(Resource::new(bytes), Resource::but));
    server.url(path)
}

fn ready(fetched: &Fetched) {
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
}

#[test]
fn empty_files_and_names_in_any_letters() {
    let this = FetchBox::new("letters").unwrap();
    fs::create_dir_all(this.www("map@1.2.3")).unwrap();
    for (name, text) in [("empty", ""), ("École à Bamako.txt", "bonjour"), ("map@1.2.3/map.js", "a map")] {
        fs::write(this.www(name), text).unwrap();
    }
    fs::write(this.www("sum"), format!("{}  École à Bamako.txt\n", sha256_of_file(&this.www("empty")).unwrap()))
        .unwrap();
    let nginx = Nginx::start(&Serving::files(&this.www("")), &this.folder().join("nginx")).unwrap();
    let by_url = json!({"algo": "sha-256", "value": nginx.url("/sum"), "kind": "url"});
    let entries = [
        entry("empty", &nginx.url("/empty")),
        with(entry("known", &nginx.url("/empty")), "checksum", by_url),
        entry("text", &nginx.url("/École%20à%20Bamako.txt")),
        entry("map", &nginx.url("/map@1.2.3/map.js")),
    ];
    let fetched = this.fetch(&entries).unwrap();
    ready(&fetched);
    let read = |name: &str| fs::read_to_string(this.data(name)).unwrap();
    assert_eq!(["empty", "known", "text", "map"].map(read), ["", "", "bonjour", "a map"]);
    assert!(!fetched.details().contains("from 1.2.3"), "{}", fetched.details());
}

#[test]
fn an_end_that_nobody_announced_may_be_the_lines() {
    let this = FetchBox::new("unsaid").unwrap();
    let server = Server::start().unwrap();
    let bytes = Seeded::new(41, 2 * MB);
    let cut = |times| Misdeed::DropsFirst { times, after: 700_000 };
    let torn = [Misdeed::NoLength, cut(2)];
    let known = |entry: Value| summed(entry, "sha-256", &bytes.sha256());
    let entries = [
        known(entry("known", &serve(&server, "/known", bytes, &torn))),
        with(entry("sized", &serve(&server, "/sized", bytes, &torn)), "size", 2 * MB),
        // Without ranges all of it comes again.
        known(entry("whole", &serve(&server, "/whole", bytes, &[Misdeed::NoLength, Misdeed::NoRanges, cut(1)]))),
        known(entry("untagged", &{
            let torn = torn.iter().cloned().fold(Resource::new(bytes).tagged(None), Resource::but);
            server.serve("/untagged", torn);
            server.url("/untagged")
        })),
        // That is all there is of it.
        known(entry("short", &serve(&server, "/short", Seeded::new(41, MB), &[Misdeed::NoLength]))),
    ];
    let fetched = this.fetch(&entries).unwrap();
    assert!(server.sent("/untagged") <= 2 * MB + 400_000, "it began again: {}", server.sent("/untagged"));
    for name in ["known", "sized", "untagged", "whole"] {
        assert_eq!(fetched.of(&format!("/data/{name}")), "", "{}", fetched.said);
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256(), "{name}");
    }
    assert!(fetched.of("/data/short").starts_with("E-TRUST-CHECKSUM"), "{}", fetched.said);
    assert!(server.seen("/short").len() <= 4 && server.sent("/short") <= 2 * MB, "{}", server.sent("/short"));
    assert_eq!(this.lies_here(), ["known", "sized", "untagged", "whole"]);
}

#[test]
fn a_mirror_that_is_wrong_in_any_way_is_passed_by() {
    let this = FetchBox::new("passed-by").unwrap();
    let (bad, good) = (Server::start().unwrap(), Server::start().unwrap());
    let bytes = Seeded::new(42, MB);
    let right = serve(&good, "/right", bytes, &[]);
    let mirrored = |name: &str, misdeeds: &[Misdeed]| {
        let wrong = serve(&bad, &format!("/{name}"), Seeded::new(42, MB / 2), misdeeds);
        with(with(entry(name, ""), "url", json!([wrong, right.clone()])), "size", MB)
    };
    let longer = serve(&bad, "/longer", bytes, &[Misdeed::Endless, Misdeed::Chunked]);
    // The one that gives the wrong ones is not the first that is asked.
    let archive = |name: &str| {
        let urls = json!([bad.url("/gone"), bad.url("/site.tar"), good.url("/site.tar")]);
        with(with(entry(name, ""), "url", urls), "via", "tar")
    };
    bad.serve("/site.tar", Resource::new(vec![7; 20_000]));
    let tar = tar_of_one("a/b", b"deep");
    good.serve("/site.tar", Resource::new(tar.clone()));
    fs::write(this.www("site.tar"), tar).unwrap();
    let sum = sha256_of_file(&this.www("site.tar")).unwrap();
    let entries = [
        mirrored("chunks", &[Misdeed::Chunked]),
        mirrored("closes", &[Misdeed::NoLength]),
        with(with(entry("longer", ""), "url", json!([longer, right.clone()])), "size", MB),
        archive("site"),
        summed(archive("known-site"), "sha-256", &sum),
    ];
    let fetched = this.fetch(&entries).unwrap();
    ready(&fetched);
    for name in ["chunks", "closes", "longer"] {
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256(), "{name}");
    }
    for name in ["site/a/b", "known-site/a/b"] {
        assert_eq!(fs::read(this.data(name)).unwrap(), b"deep", "{name}");
    }
    assert_eq!(this.lies_here().len(), 5, "{:?}", this.lies_here());
    assert!(bad.seen("/site.tar").len() <= 2, "it was asked again: {}", bad.seen("/site.tar").len());
}

#[test]
fn an_outage_of_the_good_mirror_costs_nothing_that_came() {
    let this = FetchBox::new("outage").unwrap();
    let (other, good) = (Server::start().unwrap(), Server::start().unwrap());
    let bytes = Seeded::new(49, 4 * MB);
    let wrong = serve(&other, "/a", Seeded::new(49, 3 * MB), &[]);
    let right = serve(&good, "/a", bytes, &[Misdeed::SilentAfter(3 * MB), Misdeed::NoRanges]);
    let wanted = with(with(entry("a", ""), "url", json!([wrong, right])), "size", 4 * MB);
    let fetched = this.fetch(&[wanted]).unwrap();
    assert_ne!(fetched.of("/data/a"), "", "{}", fetched.said);
    good.serve("/a", Resource::new(bytes));
    ready(&this.run().unwrap());
    let last = good.seen("/a").pop().unwrap();
    assert!(last.request.header("range").is_some() && last.sent <= MB, "it began again: {} bytes", last.sent);
    assert_eq!(sha256_of_file(&this.data("a")).unwrap(), bytes.sha256());
}

fn tar_of_one(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn an_error_for_one_file_says_nothing_of_the_next() {
    let this = FetchBox::new("one-error").unwrap();
    let server = Server::start().unwrap();
    let broken = Misdeed::Status(500);
    let entries = [
        entry("broken", &serve(&server, "/broken", Seeded::new(43, 10), &[broken])),
        entry("good", &serve(&server, "/good", Seeded::new(43, 1000), &[])),
    ];
    let fetched = this.fetch(&entries).unwrap();
    assert!(fetched.of("/data/broken").contains("500"), "{}", fetched.said);
    assert_eq!(this.lies_here(), ["good"], "{}", fetched.said);
}

#[test]
fn a_mirror_that_is_away_is_waited_for_once() {
    let this = FetchBox::new("away").unwrap();
    let server = Server::start().unwrap();
    // Connections are taken, and nothing is said on them.
    let away = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", away.local_addr().unwrap());
    let entries: Vec<Value> = (0..6)
        .map(|number| {
            let here = serve(&server, &format!("/{number}"), Seeded::new(number, 1000), &[]);
            with(entry(&number.to_string(), ""), "url", json!([url, here]))
        })
        .collect();
    let fetched = this.fetch(&entries).unwrap();
    ready(&fetched);
    away.set_nonblocking(true).unwrap();
    let asked = std::iter::from_fn(|| away.accept().ok()).count();
    assert_eq!(asked, 1, "it was waited for again and again");
}

#[test]
fn what_never_gets_to_its_end_is_left() {
    let this = FetchBox::new("trailers").unwrap();
    let server = Server::start().unwrap();
    let url = serve(&server, "/a", Seeded::new(44, 100_000), &[Misdeed::EndlessTrailers]);
    let good = serve(&server, "/good", Seeded::new(44, 1000), &[]);
    let fetched = this.fetch(&[entry("a", &url), entry("good", &good)]).unwrap();
    assert!(fetched.of("/data/a").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert!(this.data("good").exists() && !this.data("a").exists(), "{}", fetched.said);
}

#[test]
fn a_description_is_not_what_it_describes() {
    let this = FetchBox::new("described").unwrap();
    let server = Server::start().unwrap();
    server.serve("/a.zim.metalink", Resource::new("<metalink/>").kind("application/metalink+xml"));
    let old = entry("a.zim", &server.url("/a.zim.metalink"));
    let link = server.url("/b.zim.meta4");
    let wanted = entry("b.meta4", &link);
    server.serve("/b.zim.meta4", Resource::new("<metalink/>").kind("application/metalink4+xml"));
    // A laptop copied a folder of a server, the description as well.
    let shelf = this.folder().join("r/boot/firmware/offspot/files");
    fs::create_dir_all(&shelf).unwrap();
    fs::write(shelf.join("c.zim.meta4"), "<metalink/>").unwrap();
    fs::write(shelf.join("d.zim.meta4"), "<metalink/>").unwrap();
    fs::write(shelf.join("d.zim"), "a book").unwrap();
    let here = |name: &str| entry(&format!("{name}.book"), &server.url(&format!("/{name}.zim.meta4")));
    let fetched = this.fetch(&[old, wanted, here("c"), here("d")]).unwrap();
    assert!(fetched.of("/data/a.zim").contains(".meta4"), "{}", fetched.said);
    assert!(fetched.of("/data/c.book").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert_eq!(this.lies_here(), ["b.meta4", "d.book"], "{}", fetched.said);
    assert_eq!(fs::read(this.data("d.book")).unwrap(), b"a book");
}

#[test]
fn what_is_verified_does_not_wait_for_what_takes_long() {
    let this = FetchBox::new("waits").unwrap();
    let server = Server::start().unwrap();
    let every = Duration::from_millis(100);
    let (small, large) = (Seeded::new(45, 3 * MB), Seeded::new(46, 60 * MB));
    let drips = Misdeed::Drips { after: MB, bytes: 200_000, every };
    let entries = [
        entry("small", &serve(&server, "/small", small, &[])),
        entry("large", &serve(&server, "/large", large, &[drips])),
    ];
    this.wants(&entries).unwrap();
    let mut running = this.start().unwrap();
    while server.sent("/large") < 2 * MB && !running.has_ended() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!running.has_ended(), "it was done too early");
    assert_eq!(sha256_of_file(&this.data("small")).unwrap(), small.sha256());
    running.kill().unwrap();
    server.serve("/large", Resource::new(large));
    ready(&this.run().unwrap());
    assert_eq!(server.seen("/small").len(), 1, "it was fetched again");
    assert_eq!(this.lies_here(), ["large", "small"]);
}

#[test]
fn another_version_of_a_description_is_another_file() {
    let this = FetchBox::new("versions").unwrap();
    let server = Server::start().unwrap();
    let (old, new) = (Seeded::new(47, 4 * MB), Seeded::new(48, 4 * MB));
    let describe = |bytes: Seeded| {
        let text = format!(
            r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a"><size>{}</size>
<hash type="sha-256">{}</hash><url>{}</url></file></metalink>"#,
            bytes.length(),
            bytes.sha256(),
            server.url("/a")
        );
        server.serve("/a.meta4", Resource::new(text.as_str()));
    };
    describe(old);
    server.serve("/a", Resource::new(old).tagged(None).but(Misdeed::NoRanges).but(Misdeed::SilentAfter(3 * MB)));
    let wanted = entry("a", &server.url("/a.meta4"));
    let fetched = this.fetch(std::slice::from_ref(&wanted)).unwrap();
    assert!(fetched.of("/data/a").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert!(this.lies_here().iter().any(|name| name.ends_with(".part")), "{:?}", this.lies_here());
    describe(new);
    server.serve("/a", Resource::new(new).tagged(None));
    let before = server.seen("/a").len();
    ready(&this.run().unwrap());
    assert_eq!(sha256_of_file(&this.data("a")).unwrap(), new.sha256());
    let seen = server.seen("/a");
    assert_eq!(seen.len() - before, 1, "the old part was gone on with");
}
