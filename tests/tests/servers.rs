//! The laboratory's servers, asked by curl: each misdeed is what it says, or no test that relies on it says anything.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use offspot_tests::netns::{Line, Namespace, Network, SERVER};
use offspot_tests::packages;
use offspot_tests::servers::certificate::Certificate;
use offspot_tests::servers::misbehaving::{Misdeed, Mood, Resource, RetryAfter, Server};
use offspot_tests::servers::names::Names;
use offspot_tests::servers::nginx::{Nginx, Serving};
use offspot_tests::servers::proxy::Proxy;
use offspot_tests::servers::seeded::Seeded;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        packages::install_missing(packages::SERVERS).unwrap();
        let folder = std::env::temp_dir().join(format!("offspot-servers-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code, status and bytes of the body.
fn curl(arguments: &[&str]) -> (i32, String, Vec<u8>) {
    run(&[&["curl"], arguments].concat())
}

fn run(words: &[&str]) -> (i32, String, Vec<u8>) {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).args(["-sS", "-w", "%{stderr}%{http_code}"]).output();
    let output = output.expect("apt-get install curl iproute2");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = said.get(said.len().saturating_sub(3)..).unwrap_or_default().to_owned();
    (output.status.code().unwrap_or(-1), status, output.stdout)
}

#[test]
fn a_good_resource_has_parts_and_conditions() {
    let server = Server::start().unwrap();
    let bytes = Seeded::new(1, 300_000);
    server.serve("/a", Resource::new(bytes));
    let url = server.url("/a");
    assert_eq!(curl(&[&url]), (0, "200".into(), bytes.to_vec()));
    assert_eq!(curl(&[&url, "-r", "299990-"]), (0, "206".into(), bytes.to_vec()[299_990..].to_vec()));
    assert_eq!(curl(&[&url, "-r", "10-19"]), (0, "206".into(), bytes.to_vec()[10..20].to_vec()));
    let same = ["-r", "10-", "-H", "If-Range: \"first\""];
    assert_eq!(curl(&[&[url.as_str()][..], &same].concat()).1, "206");
    let other = ["-r", "10-", "-H", "If-Range: \"other\""];
    assert_eq!(curl(&[&[url.as_str()][..], &other].concat()).1, "200");
    assert_eq!(curl(&[&url, "-r", "300000-"]).1, "416");
    assert_eq!(curl(&[&server.url("/b")]).1, "404");
    // One connection, kept.
    let before = server.connections();
    assert_eq!(curl(&[&url, "-o", "/dev/null", &url, "-o", "/dev/null"]).0, 0);
    assert_eq!(server.connections(), before + 1);
    let seen = server.seen("/a");
    assert_eq!(seen[2].request.header("range"), Some("bytes=10-19"));
    assert_eq!((seen[0].status, seen[0].sent, seen[2].sent), (200, 300_000, 10));
}

#[test]
fn each_misdeed_is_what_it_says() {
    let server = Server::start().unwrap();
    let bytes = Seeded::new(2, 200_000);
    let whole = bytes.to_vec();
    let given = |misdeeds: &[Misdeed]| {
        let bad = misdeeds.iter().cloned().fold(Resource::new(bytes), Resource::but);
        server.serve("/x", bad);
        curl(&[&server.url("/x"), "-m", "2"])
    };
    // 18: fewer bytes than promised; 28: time is over; 56: the connection broke.
    assert_eq!(given(&[Misdeed::DropsEvery(70_000)]), (18, "200".into(), whole[..70_000].to_vec()));
    assert_eq!(given(&[Misdeed::ClaimsLength(300_000)]).0, 18);
    let low = given(&[Misdeed::ClaimsLength(100_000)]);
    assert_eq!((low.0, low.2.len()), (0, 100_000));
    assert_eq!(given(&[Misdeed::NoLength]), (0, "200".into(), whole.clone()));
    assert_eq!(given(&[Misdeed::Chunked]), (0, "200".into(), whole.clone()));
    let cut = given(&[Misdeed::CutsChunk(130_000)]);
    assert!([18, 56].contains(&cut.0) && cut.2 == whole[..cut.2.len()] && cut.2.len() <= 130_000, "{cut:?}");
    for endless in [&[Misdeed::Endless][..], &[Misdeed::Endless, Misdeed::Chunked]] {
        let (code, _, got) = given(endless);
        assert!(code == 28 && got.len() > 400_000, "{code} {}", got.len());
    }
    let drip = Misdeed::Drips { after: 1000, bytes: 1, every: Duration::from_millis(500) };
    let (code, _, got) = given(&[drip]);
    assert!(code == 28 && (1001..1010).contains(&got.len()), "{code} {}", got.len());
    assert_eq!((given(&[Misdeed::SilentAfter(0)]).0, given(&[Misdeed::NeverAnswers]).1), (28, "000".into()));
    assert_eq!(given(&[Misdeed::SilentAfter(5)]), (28, "200".into(), whole[..5].to_vec()));
    let wrong = given(&[Misdeed::WrongByte(100_001)]).2;
    let differ: Vec<usize> = (0..wrong.len()).filter(|at| wrong[*at] != whole[*at]).collect();
    assert_eq!((differ, wrong.len()), (vec![100_001], whole.len()));
    server.serve("/x", Resource::new(bytes).packed());
    assert_eq!(curl(&[&server.url("/x")]).2[..2], [0x1f, 0x8b]);
    assert_eq!(curl(&[&server.url("/x"), "--compressed"]).2, whole);
}

#[test]
fn refusals_changes_and_parts_that_are_wrong() {
    let server = Server::start().unwrap();
    let (url, at) = (server.url("/x"), |range: &str| curl(&[&server.url("/x"), "-r", range, "-i"]));
    let text = |answer: (i32, String, Vec<u8>)| String::from_utf8_lossy(&answer.2).into_owned();
    for (again, wanted) in [(RetryAfter::Seconds(3), "Retry-After: 3\r"), (RetryAfter::Date(2), " GMT\r")] {
        server
            .serve("/x", Resource::new("good").but(Misdeed::Unavailable { times: server.seen("/x").len() + 2, again }));
        for _ in 0..2 {
            let said = text(curl(&[&url, "-i"]));
            assert!(said.starts_with("HTTP/1.1 503 ") && said.contains(wanted), "{said}");
        }
        assert_eq!(curl(&[&url]).2, b"good");
    }
    let number = server.seen("/x").len();
    server.serve("/x", Resource::new("first").but(Misdeed::Changes { after: number + 1, to: "other".into() }));
    assert!(text(curl(&[&url, "-i"])).contains("ETag: \"first\""));
    assert!(text(curl(&[&url, "-i"])).ends_with("other"));
    let ten = || Resource::new("0123456789").dated("Thu, 01 Jan 1970 00:00:00 GMT");
    server.serve("/x", ten().but(Misdeed::NoRanges));
    assert!(text(at("4-")).ends_with("\r\n\r\n0123456789"));
    server.serve("/x", ten().but(Misdeed::WrongRange(1)));
    assert!(text(at("4-")).contains("Content-Range: bytes 5-9/10") && text(at("4-")).ends_with("\r\n\r\n56789"));
    server.serve("/x", ten().but(Misdeed::WrongTotal(7)));
    assert!(text(at("4-")).contains("bytes 4-9/17") && text(at("4-")).contains("Date: Thu, 01 Jan 1970"));
    server.serve("/x", ten().but(Misdeed::RedirectsTo(url.clone())));
    assert_eq!(curl(&[&url, "-L", "--max-redirs", "7"]).0, 47);
    server.serve("/x", ten().but(Misdeed::Status(403)));
    assert_eq!(curl(&[&url]).1, "403");
}

#[test]
fn moods_hold_for_every_path() {
    let server = Server::start().unwrap();
    server.serve("/x", Resource::new("good"));
    server.mood(Mood::Portal);
    let (_, status, page) = curl(&[&server.url("/x")]);
    assert!(status == "200" && page.starts_with(b"<!DOCTYPE html>"));
    server.mood(Mood::Login);
    assert_eq!(curl(&[&server.url("/x")]).1, "302");
    assert!(curl(&[&server.url("/x"), "-L"]).2.starts_with(b"<!DOCTYPE html>"));
    server.mood(Mood::Mute);
    assert_eq!(curl(&[&server.url("/x"), "-m", "1"]).0, 28);
    server.mood(Mood::AsTold);
    assert_eq!(curl(&[&server.url("/x")]).2, b"good");
}

#[test]
fn nginx_serves_parts_slowly_and_over_https() {
    let folder = Folder::new("nginx");
    let at = |name: &str| folder.0.join(name);
    fs::create_dir_all(at("www")).unwrap();
    let bytes = Seeded::new(3, 400_000);
    bytes.write(&at("www/a")).unwrap();
    let slow = Serving { rate: Some(200_000), ..Serving::files(&at("www")) };
    let nginx = Nginx::start(&slow, &at("slow")).unwrap();
    let begun = Instant::now();
    assert_eq!(curl(&[&nginx.url("/a")]), (0, "200".into(), bytes.to_vec()));
    assert!(begun.elapsed() > Duration::from_millis(900));
    assert_eq!(curl(&[&nginx.url("/a"), "-r", "399999-"]).1, "206");
    let logged = nginx.await_logged("/a", 2).unwrap();
    assert_eq!((logged[0].sent, logged[1].sent, logged[1].range.as_str()), (400_000, 1, "bytes=399999-"));

    let certificate = Certificate::make(&at("certificate")).unwrap();
    let trusted = certificate.authority().to_string_lossy().into_owned();
    let whole = Serving {
        certificate: Some(certificate),
        no_ranges: true,
        redirects: vec![("/down".into(), nginx.url("/a"))],
        ..Serving::files(&at("www"))
    };
    let secure = Nginx::start(&whole, &at("secure")).unwrap();
    assert_eq!(curl(&[&secure.url("/a"), "--cacert", &trusted, "-r", "9-"]), (0, "200".into(), bytes.to_vec()));
    assert_eq!(curl(&[&secure.url("/a")]).0, 60);
    let down = curl(&[&secure.url("/down"), "--cacert", &trusted, "-L", "--proto-redir", "=https"]);
    assert_eq!((down.0, down.1.as_str()), (1, "302"));

    let server = Server::start().unwrap();
    server.serve("/x", Resource::new("passed on"));
    let passing = Serving { passes_to: Some(server.address().to_string()), ..Serving::default() };
    let nginx = Nginx::start(&passing, &at("passing")).unwrap();
    assert_eq!(curl(&[&nginx.url("/x")]).2, b"passed on");

    let proxy = Proxy::start(&at("proxy")).unwrap();
    assert_eq!(curl(&[&server.url("/x"), "-x", &proxy.url()]).2, b"passed on");
    let (url, trusting) = (secure.url("/a"), ["-x", &proxy.url(), "--cacert", &trusted]);
    assert_eq!(curl(&[&[url.as_str()][..], &trusting].concat()).0, 0);
    let through = proxy.requests();
    assert!(through[0].starts_with(&format!("GET {}", server.url("/x"))), "{through:?}");
    assert!(through[1].starts_with("CONNECT localhost:"), "{through:?}");
}

#[test]
fn a_line_is_late_loses_and_holds_back() {
    let folder = Folder::new("line");
    fs::create_dir_all(folder.0.join("www")).unwrap();
    let bytes = Seeded::new(4, 400_000);
    bytes.write(&folder.0.join("www/a")).unwrap();
    let line = Line { delay: Duration::from_millis(100), lost: 0, rate: Some(400_000) };
    let network = Network::new(line).unwrap();
    network.congestion("cubic").unwrap();
    let place = Some((network.server.name.clone(), SERVER.to_owned()));
    let serving = Serving { place, ..Serving::files(&folder.0.join("www")) };
    let nginx = Nginx::start(&serving, &folder.0.join("nginx")).unwrap();
    let words = network.client.words();
    let mut curl: Vec<&str> = words.iter().map(String::as_str).chain(["curl"]).collect();
    let url = nginx.url("/a");
    curl.push(&url);
    let begun = Instant::now();
    let (code, status, got) = run(&curl);
    assert!((code, status.as_str()) == (0, "200") && got == bytes.to_vec());
    // Two ways for the handshake, two for the first byte, a second for the bytes.
    assert!(begun.elapsed() > Duration::from_millis(1300), "{:?}", begun.elapsed());
    let words = network.client.words();
    let connect =
        Command::new(&words[0]).args(&words[1..]).args(["curl", "-s", "-I", "-w", "\n%{time_connect}", &url]).output();
    let said = String::from_utf8_lossy(&connect.unwrap().stdout).into_owned();
    let took: f64 = said.lines().last().unwrap().parse().unwrap();
    assert!(took >= 0.2, "{said}");
}

#[test]
fn a_fifth_of_the_packets_is_lost_and_names_resolve_late() {
    let _folder = Folder::new("lossy");
    let network = Network::new(Line { delay: Duration::ZERO, lost: 200, rate: None }).unwrap();
    let server = Server::on(network.server.listen(SERVER, 80).unwrap()).unwrap();
    server.serve("/x", Resource::new("after all"));
    let words = network.client.words();
    let curl: Vec<&str> = words.iter().map(String::as_str).chain(["curl", "--connect-timeout", "60"]).collect();
    assert_eq!(run(&[&curl[..], &[&server.url("/x")]].concat()).2, b"after all");

    let alone = Namespace::new("names").unwrap();
    alone.resolves_with("127.0.0.1").unwrap();
    let names = Names::on(alone.receive("127.0.0.1", 53).unwrap(), Ipv4Addr::LOCALHOST, 4).unwrap();
    let server = Server::on(alone.listen("127.0.0.1", 80).unwrap()).unwrap();
    server.serve("/x", Resource::new("found"));
    let words = alone.words();
    let curl: Vec<&str> = words.iter().map(String::as_str).chain(["curl", "http://library.example/x"]).collect();
    let mut tries = 0;
    while run(&curl).0 == 6 {
        tries += 1;
        assert!(tries < 10, "{} questions", names.asked());
    }
    assert_eq!((run(&curl).2, tries > 0), (b"found".to_vec(), true));
}
