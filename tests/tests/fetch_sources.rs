//! Where bytes may come from: mirrors, Metalinks, proxies, https with an authority of one's own, whatever the clock says; and what is told
//! of it meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use offspot_tests::fetch_box::{FetchBox, entry, summed, with};
use offspot_tests::image_build::sha256_of_file;
use offspot_tests::servers::certificate::Certificate;
use offspot_tests::servers::misbehaving::{Misdeed, Mood, Resource, Server};
use offspot_tests::servers::nginx::{Nginx, Serving};
use offspot_tests::servers::proxy::Proxy;
use offspot_tests::servers::seeded::Seeded;
use serde_json::{Value, json};

const MB: u64 = 1_000_000;

/// An entry with several places.
fn mirrored(name: &str, urls: &[String]) -> Value {
    with(entry(name, ""), "url", json!(urls))
}

#[test]
fn nothing_but_settings_and_a_network_becomes_ready() {
    let this = FetchBox::new("ready").unwrap();
    let bytes = Seeded::new(31, 5 * MB);
    bytes.write(&this.www("book.zim")).unwrap();
    let nginx = Nginx::start(&Serving::files(&this.www("")), &this.folder().join("nginx")).unwrap();
    let known = summed(entry("contents/known.bin", &nginx.url("/book.zim?token=secret")), "sha-256", &bytes.sha256());
    let fetched = this.fetch(&[known.clone(), entry("contents/unknown.bin", &nginx.url("/book.zim"))]).unwrap();
    assert_eq!((fetched.code, fetched.status["verdict"].as_str()), (0, Some("READY")), "{}", fetched.said);
    for name in ["contents/known.bin", "contents/unknown.bin"] {
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256());
    }
    // Where it came from is told, and nothing that may be secret.
    assert!(fetched.details().contains("127.0.0.1"), "{}", fetched.details());
    assert!(!(fetched.status.to_string() + &fetched.said).contains("secret"), "{}", fetched.status);
    let before = nginx.logged("/book.zim").len();
    let again = this.run().unwrap();
    assert_eq!((again.code, nginx.logged("/book.zim").len()), (0, before), "{}", again.said);
}

#[test]
fn the_first_mirror_with_the_right_bytes_wins() {
    let this = FetchBox::new("mirrors").unwrap();
    let (bad, good) = (Server::start().unwrap(), Server::start().unwrap());
    let bytes = Seeded::new(32, 8 * MB);
    let serve = |server: &Server, name: &str, misdeeds: &[Misdeed]| {
        server.serve(name, misdeeds.iter().cloned().fold(Resource::new(bytes), Resource::but));
        server.url(name)
    };
    // A port that nothing listens on any more.
    let dead = format!("http://{}/x", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let gone = serve(&bad, "/gone", &[Misdeed::Status(404)]);
    let wrong = serve(&bad, "/wrong", &[Misdeed::WrongByte(5 * MB)]);
    let wrong_too = serve(&good, "/wrong", &[Misdeed::WrongByte(0)]);
    let (right, right_too) = (serve(&good, "/right", &[]), serve(&good, "/right-too", &[]));
    let torn = serve(&bad, "/torn", &[Misdeed::SilentAfter(5 * MB)]);
    let known = |entry| summed(entry, "sha-256", &bytes.sha256());
    let entries = [
        known(mirrored("a", &[dead.clone(), gone.clone(), right.clone()])),
        known(mirrored("b", &[wrong.clone(), right.clone()])),
        known(mirrored("c", &[wrong.clone(), wrong_too])),
        mirrored("d", &[gone.clone(), right]),
        known(mirrored("e", &[wrong, gone.clone()])),
        // However many have not got it.
        mirrored("f", &[vec![gone; 7], vec![right_too]].concat()),
        // One that always breaks off is not asked for ever.
        mirrored("g", &[torn, serve(&good, "/whole", &[])]),
    ];
    let fetched = this.fetch(&entries).unwrap();
    assert!(fetched.of("/data/c").starts_with("E-TRUST-CHECKSUM"), "{}", fetched.said);
    let both = fetched.of("/data/e");
    assert!(both.starts_with("E-TRUST-CHECKSUM") && both.contains("/wrong (") && both.contains("404"), "{both}");
    assert_eq!(fetched.problems().len(), 2, "{:?}", fetched.problems());
    for name in ["a", "b", "d", "f", "g"] {
        assert_eq!(sha256_of_file(&this.data(name)).unwrap(), bytes.sha256(), "{name}");
    }
    assert_eq!(this.lies_here(), ["a", "b", "d", "f", "g"]);
}

#[test]
fn a_zim_that_is_not_what_it_says_is_set_aside_and_the_rest_served() {
    let this = FetchBox::new("zim").unwrap();
    let zim = tiny_zim();
    let mut bad = zim.clone();
    bad[90] ^= 1;
    fs::write(this.www("good.zim"), &zim).unwrap();
    fs::write(this.www("bad.zim"), &bad).unwrap();
    let nginx = Nginx::start(&Serving::files(&this.www("")), &this.folder().join("nginx")).unwrap();
    let entries = ["good.zim", "bad.zim"].map(|name| entry(name, &nginx.url(&format!("/{name}"))));
    let fetched = this.fetch(&entries).unwrap();
    let said = fetched.of("/data/bad.zim");
    assert!(said.starts_with("E-TRUST-ZIM") && said.contains("/data/.offspot/quarantine/"), "{said}");
    assert_eq!(fetched.problems().len(), 1, "{:?}", fetched.problems());
    assert_eq!(fs::read(this.data("good.zim")).unwrap(), zim);
    assert!(!this.data("bad.zim").exists());
    let aside: Vec<_> = fs::read_dir(this.data(".offspot/quarantine")).unwrap().flatten().collect();
    assert_eq!(aside.iter().map(|file| fs::read(file.path()).unwrap()).collect::<Vec<_>>(), [bad]);
    // A whole one takes its place.
    fs::write(this.www("bad.zim"), &zim).unwrap();
    let fetched = this.run().unwrap();
    assert_eq!((fetched.code, fs::read(this.data("bad.zim")).unwrap()), (0, zim), "{}", fetched.said);
}

/// A ZIM as far as its checksum is concerned: magic number, place of the list of kinds, place of the checksum, which is the MD5 of all before it.
fn tiny_zim() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..500_u16).map(|number| number as u8).collect();
    bytes[..4].copy_from_slice(b"ZIM\x04");
    bytes[56..64].copy_from_slice(&80_u64.to_le_bytes());
    bytes[72..80].copy_from_slice(&500_u64.to_le_bytes());
    let sum = <md5::Md5 as sha2::Digest>::digest(&bytes);
    bytes.extend(sum);
    bytes
}

#[test]
fn another_mirror_goes_on_where_the_first_fell_silent() {
    let this = FetchBox::new("takes-over").unwrap();
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let bytes = Seeded::new(33, 8 * MB);
    first.serve("/a", Resource::new(bytes).but(Misdeed::SilentAfter(5 * MB)));
    second.serve("/a", Resource::new(bytes).tagged(Some("\"its own\"")));
    let wanted = summed(mirrored("a", &[first.url("/a"), second.url("/a")]), "sha-256", &bytes.sha256());
    let fetched = this.fetch(&[wanted]).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    assert_eq!(sha256_of_file(&this.data("a")).unwrap(), bytes.sha256());
    assert!(second.sent("/a") < 8 * MB || first.sent("/a") == 8 * MB, "the second began at the beginning");
}

#[test]
fn a_metalink_names_mirrors_size_and_digest() {
    let this = FetchBox::new("metalink").unwrap();
    let server = Server::start().unwrap();
    let bytes = Seeded::new(34, 3 * MB);
    server.serve("/a/book.zim", Resource::new(bytes));
    server.serve("/wrong/book.zim", Resource::new(bytes).but(Misdeed::WrongByte(7)));
    let link = |digest: &str| {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="book.zim"><size>{}</size>
<hash type="sha-256">{digest}</hash><url priority="1">{}</url><url priority="9">{}</url></file></metalink>"#,
            bytes.length(),
            server.url("/wrong/book.zim"),
            server.url("/a/book.zim")
        )
    };
    server.serve("/book.zim.meta4", Resource::new(link(&bytes.sha256()).as_str()).kind("application/metalink4+xml"));
    server.serve("/bad.zim.meta4", Resource::new(link(&"0".repeat(64)).as_str()));
    server.serve("/none.zim.meta4", Resource::new("<html>").kind("text/html"));
    let from = |name: &str| entry(&format!("{name}.bin"), &server.url(&format!("/{name}.zim.meta4")));
    let fetched = this.fetch(&["book", "bad", "none"].map(from)).unwrap();
    assert_eq!(sha256_of_file(&this.data("book.bin")).unwrap(), bytes.sha256(), "{}", fetched.said);
    assert!(fetched.of("/data/bad.bin").starts_with("E-TRUST-CHECKSUM"), "{}", fetched.said);
    assert!(fetched.of("/data/none.bin").starts_with("E-FETCH-CONTENT"), "{}", fetched.said);
    assert_eq!(this.lies_here(), ["book.bin"]);
}

/// nginx with https, its authority trusted by the box.
fn secure(this: &mut FetchBox) -> Nginx {
    let certificate = Certificate::make(&this.folder().join("certificate")).unwrap();
    this.environment.push(("SSL_CERT_FILE", certificate.authority().to_string_lossy().into_owned()));
    let serving = Serving { certificate: Some(certificate), ..Serving::files(&this.www("")) };
    Nginx::start(&serving, &this.folder().join("secure")).unwrap()
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let mut this = FetchBox::new("proxy").unwrap();
    fs::write(this.www("a"), "through").unwrap();
    let secure = secure(&mut this);
    let server = Server::start().unwrap();
    server.serve("/b", Resource::new("through"));
    server.serve("/c", Resource::new("past"));
    let proxy = Proxy::start(&this.folder().join("proxy")).unwrap();
    // Another name of the same host is excepted.
    let past = server.url("/c").replace("127.0.0.1", "localhost");
    for (name, value) in [("http_proxy", proxy.url()), ("https_proxy", proxy.url()), ("no_proxy", String::new())] {
        this.environment.push((name, value));
    }
    let fetched = this.fetch(&[entry("a", &secure.url("/a")), entry("b", &server.url("/b"))]).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    let requests = proxy.requests();
    assert!(requests.iter().any(|line| line.starts_with("CONNECT localhost:")), "{requests:?}");
    // Many proxies dig tunnels to port 443 only: what is not encrypted is asked of them by its whole URL.
    let plain = format!("GET {} HTTP/1.1", server.url("/b"));
    assert!(requests.contains(&plain), "{plain}: {requests:?}");
    let before = proxy.requests().len();
    this.environment.push(("no_proxy", "example.org, localhost".into()));
    let fetched = this.fetch(&[entry("c", &past)]).unwrap();
    assert_eq!((fetched.code, fs::read(this.data("c")).unwrap()), (0, b"past".to_vec()), "{}", fetched.said);
    assert_eq!(proxy.requests().len(), before);
    // One that is not there is named.
    this.environment.push(("no_proxy", String::new()));
    this.environment.push(("http_proxy", "http://me:hunter2@127.0.0.1:9".into()));
    let fetched = this.fetch(&[entry("d", &server.url("/b"))]).unwrap();
    let said = fetched.of("/data/d");
    assert!(said.starts_with("E-FETCH-CONTENT") && !(fetched.said + &said).contains("hunter2"), "{said}");
}

#[test]
fn a_wrong_clock_is_no_blocker_and_is_told() {
    let mut this = FetchBox::new("clock").unwrap();
    fs::write(this.www("a"), "in time").unwrap();
    let secure = secure(&mut this);
    this.words = ["faketime", "--exclude-monotonic", "1970-01-02 00:00:00"].map(String::from).to_vec();
    let fetched = this.fetch(&[entry("a", &secure.url("/a"))]).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    assert!(fetched.notes().contains("clock") && fetched.notes().contains("1970"), "{}", fetched.notes());
    // Nor is a server that is wrong about the time.
    this.words.clear();
    let server = Server::start().unwrap();
    server.serve("/b", Resource::new("early").dated("Thu, 01 Jan 1970 00:00:00 GMT"));
    server.serve("/c", Resource::new("late").dated("Fri, 31 Dec 9999 23:59:59 GMT"));
    let entries = [entry("b", &server.url("/b")), entry("c", &server.url("/c")), entry("d", &secure.url("/a"))];
    let fetched = this.fetch(&entries).unwrap();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
}

#[test]
fn a_certificate_that_nobody_vouches_for_or_is_for_another_is_refused() {
    let mut this = FetchBox::new("certificate").unwrap();
    fs::write(this.www("a"), "untrusted").unwrap();
    let trusted = secure(&mut this);
    // Its name is localhost or the address of loopback, which is not this one.
    let other = trusted.url("/a").replace("localhost", "127.0.0.2");
    let fetched = this.fetch(&[entry("a", &other)]).unwrap();
    assert!(this.lies_here().is_empty(), "{}", fetched.said);
    this.environment.clear();
    let fetched = this.fetch(&[entry("a", &trusted.url("/a"))]).unwrap();
    let said = fetched.of("/data/a");
    assert!(said.starts_with("E-FETCH-CONTENT") && said.contains("not safe"), "{said}");
    assert!(this.lies_here().is_empty(), "{}", fetched.said);
}

#[test]
fn progress_is_told_while_it_comes() {
    let this = FetchBox::new("progress").unwrap();
    let bytes = Seeded::new(35, 12 * MB);
    let server = Server::start().unwrap();
    let every = Duration::from_millis(50);
    // Some 4 MB a second.
    server.serve("/a", Resource::new(bytes).but(Misdeed::Drips { after: 0, bytes: 200_000, every }));
    this.wants(&[with(entry("a", &server.url("/a")), "size", 12 * MB)]).unwrap();
    let mut running = this.start().unwrap();
    let (mut looks, begun) = (Vec::new(), Instant::now());
    while !running.has_ended() && begun.elapsed() < Duration::from_secs(60) {
        let status = this.status();
        if status["phase"] == "content" {
            looks.push((status["done"].as_u64().unwrap_or(0), status["total"].as_u64(), status["items"][0].clone()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(running.wait().unwrap().success());
    let done: Vec<u64> = looks.iter().map(|(done, ..)| *done).collect();
    let steps = done.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(steps >= 2 && done.is_sorted(), "{done:?}");
    assert!(looks.iter().all(|(_, total, _)| *total == Some(12 * MB)), "{looks:?}");
    // Rate and time left of the file itself, once some of it is here.
    let told = looks.iter().map(|(.., item)| item.to_string()).collect::<Vec<_>>().join("\n");
    for key in ["rate", "remaining"] {
        let field = format!("\"{key}\":");
        let numbers = told.split(&field).skip(1).filter(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()));
        assert!(numbers.count() > 0, "{key}: {told}");
    }
}

#[test]
fn a_network_that_asks_for_a_login_is_passed_by_for_a_mirror() {
    let this = FetchBox::new("portal-mirror").unwrap();
    let (portal, good) = (Server::start().unwrap(), Server::start().unwrap());
    portal.mood(Mood::Portal);
    good.serve("/a", Resource::new("right"));
    let fetched = this.fetch(&[mirrored("a", &[portal.url("/a"), good.url("/a")])]).unwrap();
    assert_eq!((fetched.code, fs::read(this.data("a")).unwrap()), (0, b"right".to_vec()), "{}", fetched.said);
}
