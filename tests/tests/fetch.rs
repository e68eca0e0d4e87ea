//! Servers that lie, stall or send something else (4-A1, 4-A5): each entry stops at its limit, is named, and leaves nothing; the rest is placed.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use offspot_tests::fetch_box::{FetchBox, Fetched, entry, summed, with};
use offspot_tests::servers::certificate::Certificate;
use offspot_tests::servers::misbehaving::{Misdeed, Mood, Resource, RetryAfter, Server};
use offspot_tests::servers::nginx::{Nginx, Serving};
use offspot_tests::servers::seeded::Seeded;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
/// What a server has handed to its kernel may still be on the way when the client stops.
const ON_THE_WAY: u64 = 8 * MIB;

/// A box, a server, and one file there that is as it should be.
struct Hostile {
    this: FetchBox,
    server: Server,
    bytes: Seeded,
    entries: Vec<Value>,
}

impl Hostile {
    fn new(name: &str) -> Hostile {
        Hostile::on(FetchBox::new(name).unwrap())
    }

    fn on(this: FetchBox) -> Hostile {
        let (server, bytes) = (Server::start().unwrap(), Seeded::new(11, 2 * MIB));
        server.serve("/good", Resource::new(Seeded::new(12, 100_000)));
        Hostile { this, server, bytes, entries: Vec::new() }
    }

    /// An entry whose server does this wrong.
    fn bad(&mut self, name: &str, misdeeds: &[Misdeed], entry: impl FnOnce(Value) -> Value) {
        let resource = misdeeds.iter().cloned().fold(Resource::new(self.bytes), Resource::but);
        self.serve(name, resource, entry);
    }

    fn serve(&mut self, name: &str, resource: Resource, change: impl FnOnce(Value) -> Value) {
        self.server.serve(&format!("/{name}"), resource);
        let url = self.server.url(&format!("/{name}"));
        self.entries.push(change(entry(name, &url)));
    }

    /// Fetches all of them, and the good one last.
    fn fetch(&self) -> Fetched {
        let good = entry("good", &self.server.url("/good"));
        let fetched = self.this.fetch(&[self.entries.as_slice(), &[good]].concat()).unwrap();
        let good = fs::read(self.this.data("good")).unwrap_or_default();
        assert!(good == Seeded::new(12, 100_000).to_vec(), "{}", fetched.said);
        fetched
    }

    /// All of them were refused with this code and one of these words, and nothing lies here but the good one.
    fn refused(&self, code: &str, words: &[&str]) {
        let fetched = self.fetch();
        let exit = if code.starts_with("E-TRUST") { 6 } else { 1 };
        assert_eq!(fetched.code, exit, "{}", fetched.said);
        for entry in &self.entries {
            let said = fetched.of(entry["to"].as_str().unwrap());
            assert!(said.starts_with(code) && words.iter().any(|word| said.contains(word)), "{entry}: {said}");
        }
        assert_eq!(fetched.problems().len(), self.entries.len(), "{:?}", fetched.problems());
        // What came of a file that may come yet is kept for the next run.
        let here = self.this.lies_here();
        assert!(here.iter().all(|name| name == "good" || name.starts_with(".offspot/fetch/")), "{here:?}");
    }

    /// All of them are in place.
    fn placed(&self) -> Fetched {
        let fetched = self.fetch();
        assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
        for entry in &self.entries {
            let name = entry["to"].as_str().unwrap().trim_start_matches("/data/");
            assert!(fs::read(self.this.data(name)).unwrap() == self.bytes.to_vec(), "{name} has other bytes");
        }
        assert_eq!(self.this.lies_here().len(), self.entries.len() + 1, "{:?}", self.this.lies_here());
        fetched
    }

    fn sent(&self, name: &str) -> u64 {
        self.server.sent(&format!("/{name}"))
    }
}

#[test]
fn the_expected_size_is_a_cap_from_the_first_byte() {
    let mut this = Hostile::new("cap");
    let sized = |entry| with(entry, "size", MIB);
    this.bad("claims", &[Misdeed::ClaimsLength(10 * MIB), Misdeed::Endless], sized);
    this.bad("endless", &[Misdeed::Endless], sized);
    this.bad("chunks", &[Misdeed::Endless, Misdeed::Chunked], sized);
    this.bad("longer", &[], sized);
    this.bad("unsaid", &[Misdeed::NoLength], sized);
    // What was said of it is true, and then more comes: that is another answer, and nobody reads it.
    this.serve("right", Resource::new(Seeded::new(11, MIB)).but(Misdeed::NoLength), |entry| {
        with(entry, "size", 2 * MIB)
    });
    this.refused("E-CONTENT-SIZE", &["expected 1048576", "has 1048576 bytes, expected 2097152"]);
    for name in ["claims", "endless", "chunks", "longer", "unsaid"] {
        assert!(this.sent(name) <= MIB + ON_THE_WAY, "{name}: {} bytes", this.sent(name));
        assert_eq!(this.server.seen(&format!("/{name}")).len(), 1, "{name} was asked for again");
    }
}

#[test]
fn an_unknown_size_has_a_hard_cap() {
    let mut this = Hostile::on(FetchBox::with_disk("room", 96).unwrap());
    this.bad("endless", &[Misdeed::Endless], |entry| entry);
    this.bad("chunks", &[Misdeed::Endless, Misdeed::Chunked], |entry| entry);
    this.serve("said", Resource::new(Seeded::new(11, 4 << 30)), |entry| entry);
    let fetched = this.fetch();
    let here = this.this.lies_here();
    assert_eq!(
        here.iter().filter(|name| !name.starts_with("lost+found")).collect::<Vec<_>>(),
        ["good"],
        "{}",
        fetched.said
    );
    for name in ["endless", "chunks", "said"] {
        let said = fetched.of(&format!("/data/{name}"));
        assert!(said.starts_with("E-SPACE-"), "{name}: {said}");
        assert!(this.sent(name) <= 96 * MIB + ON_THE_WAY, "{name}: {} bytes", this.sent(name));
    }
    assert!(this.sent("said") <= ON_THE_WAY, "what is too long is not begun");
}

#[test]
fn a_length_that_lies_is_not_believed() {
    let mut this = Hostile::new("lies");
    let other = Seeded::new(13, 2 * MIB);
    let known = |bytes: Seeded| move |entry| summed(entry, "sha-256", &bytes.sha256());
    this.serve("high", Resource::new(other).but(Misdeed::ClaimsLength(3 * MIB)), known(other));
    this.bad("low", &[Misdeed::ClaimsLength(MIB)], known(this.bytes));
    let fetched = this.fetch();
    assert!(["high", "low"].iter().all(|name| !this.this.data(name).exists()), "{}", fetched.said);
    let (high, low) = (fetched.of("/data/high"), fetched.of("/data/low"));
    assert!(high.starts_with("E-FETCH-CONTENT") || high.starts_with("E-CONTENT-SIZE"), "{high}");
    assert!(low.starts_with("E-TRUST-CHECKSUM"), "{low}");
    assert!(this.server.seen("/high").len() <= 24 && this.sent("high") <= 24 * 2 * MIB, "{}", this.sent("high"));
}

#[test]
fn bodies_without_a_length_and_cut_ones_come_in_the_end() {
    let mut this = Hostile::new("framing");
    let right = this.bytes.sha256();
    this.bad("unsaid", &[Misdeed::NoLength], |entry| summed(entry, "sha-256", &right));
    this.bad("chunks", &[Misdeed::Chunked], |entry| with(entry, "size", 2 * MIB));
    this.bad("cut-chunk", &[Misdeed::CutsChunk(700_000)], |entry| summed(entry, "sha-256", &right));
    this.bad("cut", &[Misdeed::DropsEvery(700_000)], |entry| entry);
    this.placed();
    let ranges: Vec<_> =
        this.server.seen("/cut").iter().filter_map(|seen| Some(seen.request.header("range")?.to_owned())).collect();
    assert_eq!(ranges, ["bytes=700000-", "bytes=1400000-"]);
}

#[test]
fn all_of_it_in_answer_to_a_range_starts_over() {
    let mut this = Hostile::new("whole");
    let cut_once = |resource: Resource| resource.but(Misdeed::DropsFirst { times: 1, after: 600_000 });
    let whole = || Resource::new(Seeded::new(11, 2 * MIB)).but(Misdeed::NoRanges);
    this.serve("tagged", cut_once(whole()), |entry| entry);
    this.serve("untagged", cut_once(whole().tagged(None)), |entry| entry);
    this.serve("weak", cut_once(whole().tagged(Some("W/\"x\""))), |entry| entry);
    this.placed();
    for name in ["/tagged", "/untagged", "/weak"] {
        let seen = this.server.seen(name);
        assert_eq!(seen.last().unwrap().sent, 2 * MIB, "{name}");
        assert!(seen.len() <= 3, "{name}: {}", seen.len());
    }
    // One that never gets to the end is given up.
    let mut this = Hostile::new("never");
    this.bad("never", &[Misdeed::NoRanges, Misdeed::DropsEvery(600_000)], |entry| entry);
    this.refused("E-FETCH-CONTENT", &["too early", "ended"]);
    assert!(this.server.seen("/never").len() <= 24, "{}", this.server.seen("/never").len());
}

#[test]
fn a_part_that_is_another_one_is_refused() {
    let mut this = Hostile::new("part");
    let right = this.bytes.sha256();
    let known = |entry| summed(entry, "sha-256", &right);
    let cut = Misdeed::DropsFirst { times: 1, after: 600_000 };
    this.bad("shifted", &[cut.clone(), Misdeed::WrongRange(7)], known);
    this.bad("longer", &[cut, Misdeed::WrongTotal(7)], |entry| with(known(entry), "size", 2 * MIB));
    let fetched = this.fetch();
    for name in ["shifted", "longer"] {
        // Either it says so, or it starts over and gets all of it right.
        let said = fetched.of(&format!("/data/{name}"));
        let there = fs::read(this.this.data(name)).unwrap_or_default();
        assert!(there == this.bytes.to_vec() || (there.is_empty() && said.starts_with("E-")), "{name}: {said}");
    }
}

#[test]
fn redirects_are_counted_and_never_go_from_https_to_http() {
    let mut this = Hostile::new("redirects");
    let (round, down) = (this.server.url("/round"), this.server.url("/good"));
    this.bad("round", &[Misdeed::RedirectsTo(round)], |entry| entry);
    this.refused("E-FETCH-CONTENT", &["redirects"]);
    assert!(this.server.seen("/round").len() <= 11, "{}", this.server.seen("/round").len());

    let certificate = Certificate::make(&this.this.folder().join("certificate")).unwrap();
    let trusted = certificate.authority().to_string_lossy().into_owned();
    this.bytes.write(&this.this.www("a")).unwrap();
    let serving = Serving {
        certificate: Some(certificate),
        redirects: vec![("/down".into(), down), ("/stays".into(), "/a".into())],
        ..Serving::files(&this.this.www(""))
    };
    let secure = Nginx::start(&serving, &this.this.folder().join("nginx")).unwrap();
    this.entries = vec![entry("down", &secure.url("/down"))];
    let before = this.server.seen("/good").len();
    // Nobody has vouched for it so far.
    this.refused("E-FETCH-CONTENT", &["not safe"]);
    this.this.environment.push(("SSL_CERT_FILE", trusted));
    this.refused("E-FETCH-CONTENT", &["from https to http"]);
    assert_eq!(this.server.seen("/good").len(), before, "it was asked for without https");
    this.entries = vec![entry("stays", &secure.url("/stays")), entry("a", &secure.url("/a"))];
    this.placed();
}

#[test]
fn packed_in_transit_is_refused_unread() {
    let mut this = Hostile::new("packed");
    this.serve("packed", Resource::new(this.bytes).packed(), |entry| with(entry, "size", 2 * MIB));
    // 8 MiB of nothing, as 8 KiB.
    this.serve("bomb", Resource::new(vec![0; 8 << 20]).packed(), |entry| entry);
    this.refused("E-FETCH-CONTENT", &["packed (gzip)"]);
    assert_eq!(this.server.seen("/packed")[0].request.header("accept-encoding"), Some("identity"));
}

#[test]
fn drips_and_silence_end() {
    let mut this = Hostile::new("drips");
    let every = Duration::from_millis(400);
    this.bad("byte-by-byte", &[Misdeed::Drips { after: 1000, bytes: 1, every }], |entry| entry);
    this.bad("at-the-end", &[Misdeed::Drips { after: MIB, bytes: 100, every }], |entry| entry);
    this.bad("after-the-head", &[Misdeed::SilentAfter(0)], |entry| entry);
    // A host that says nothing at all is asked no more; so this one is another.
    let mute = Server::start().unwrap();
    mute.serve("/no-answer", Resource::new("never").but(Misdeed::NeverAnswers));
    this.entries.push(entry("no-answer", &mute.url("/no-answer")));
    let fetched = this.fetch();
    for name in ["byte-by-byte", "after-the-head", "no-answer"] {
        let said = fetched.of(&format!("/data/{name}"));
        let words = ["too slowly", "silent", "in time"];
        assert!(said.starts_with("E-FETCH-CONTENT") && words.iter().any(|word| said.contains(word)), "{name}: {said}");
    }
    // Dripping from a MiB on, it is asked for the rest, of which a server that means it ill drips again.
    let here = this.this.lies_here();
    let visible: Vec<_> = here.iter().filter(|name| !name.starts_with(".offspot/fetch/")).collect();
    assert!(visible.iter().all(|name| ["good", "at-the-end"].contains(&name.as_str())), "{here:?}");
}

#[test]
fn a_host_that_takes_connections_and_says_nothing_is_given_up() {
    let mut this = Hostile::new("mute");
    let mute = Server::start().unwrap();
    mute.mood(Mood::Mute);
    this.entries = (0..8).map(|number| entry(&format!("m{number}"), &mute.url(&format!("/{number}")))).collect();
    this.refused("E-FETCH-CONTENT", &["in time", "silent", "did not answer"]);
    assert!(mute.connections() <= 8, "{} connections", mute.connections());
}

#[test]
fn what_is_not_there_is_not_asked_for_again_and_what_is_busy_is() {
    let mut this = Hostile::new("busy");
    this.bad("gone", &[Misdeed::Status(404)], |entry| entry);
    this.refused("E-FETCH-CONTENT", &["404"]);
    assert_eq!(this.server.seen("/gone").len(), 1);
    // Asked for 100 seconds, which are two here; the usual pause would be some milliseconds.
    for (name, again) in [("seconds", RetryAfter::Seconds(100)), ("date", RetryAfter::Date(100))] {
        let mut this = Hostile::new(name);
        this.bad("busy", &[Misdeed::Unavailable { times: 2, again }], |entry| entry);
        this.placed();
        let seen = this.server.seen("/busy");
        assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [503, 503, 200]);
        let waits = seen.windows(2).map(|pair| pair[1].at - pair[0].at);
        // A date is of whole seconds, and some of them have passed.
        assert!(
            waits.clone().all(|wait| wait > Duration::from_millis(1500)),
            "{name}: {:?}",
            waits.collect::<Vec<_>>()
        );
    }
    // A host of which nothing has come is not asked for ever, nor for anything else.
    let (mut this, busy) = (Hostile::new("for-good"), Server::start().unwrap());
    busy.serve("/busy", Resource::new("never").but(Misdeed::Unavailable { times: 1000, again: RetryAfter::Unsaid }));
    this.entries.push(entry("busy", &busy.url("/busy")));
    this.refused("E-FETCH-CONTENT", &["503"]);
    assert!((2..=12).contains(&busy.seen("/busy").len()), "{}", busy.seen("/busy").len());
}

#[test]
fn a_login_page_is_not_content() {
    let this = FetchBox::new("portal").unwrap();
    for mood in [Mood::Portal, Mood::Login] {
        let server = Server::start().unwrap();
        server.mood(mood);
        let entries = [
            entry("book.zim", &server.url("/book.zim")),
            with(entry("site", &server.url("/site.tar")), "via", "tar"),
            summed(entry("known", &server.url("/known")), "sha-256", &"0".repeat(64)),
        ];
        let fetched = this.fetch(&entries).unwrap();
        assert_eq!(this.lies_here(), [""; 0], "{}", fetched.said);
        for name in ["/data/book.zim", "/data/site", "/data/known"] {
            let said = fetched.of(name);
            assert!(said.starts_with("E-FETCH-CONTENT") && said.contains("login"), "{mood:?}: {said}");
        }
        // Logged in: the next run needs no help.
        server.mood(Mood::AsTold);
        server.serve("/book.zim", Resource::new("a book"));
        let fetched = this.fetch(&entries[..1]).unwrap();
        assert_eq!(
            (fetched.code, fs::read(this.data("book.zim")).unwrap()),
            (0, b"a book".to_vec()),
            "{}",
            fetched.said
        );
        fs::remove_file(this.data("book.zim")).unwrap();
        fs::remove_dir_all(this.data(".offspot")).unwrap();
    }
}

#[test]
fn wrong_digests_of_every_kind_leave_nothing_and_the_next_run_is_not_misled() {
    let mut this = Hostile::new("digests");
    let kinds = [("sha-256", 64), ("sha-1", 40), ("md5", 32), ("adler32", 8)];
    for (algorithm, length) in kinds {
        this.bad(algorithm, &[], |entry| summed(entry, algorithm, &"0".repeat(length)));
    }
    let wrong = this.bytes.length() - 1;
    let right = this.bytes.sha256();
    this.bad("flipped", &[Misdeed::WrongByte(wrong)], |entry| summed(entry, "sha-256", &right));
    this.server.serve("/sums", Resource::new(format!("{}  by-url\n", "0".repeat(64)).as_str()));
    let sums = this.server.url("/sums");
    let by_url = json!({"algo": "sha-256", "value": sums, "kind": "url"});
    this.bad("by-url", &[], |entry| with(entry, "checksum", by_url.clone()));
    for (name, via, program) in [("t", "tar", ""), ("t.gz", "gztar", "gzip"), ("t.zst", "zstdtar", "zstd")] {
        let archive = Resource::new(archive(program));
        this.serve(name, archive, |entry| summed(with(entry, "via", via), "sha-256", &"0".repeat(64)));
    }
    this.refused("E-TRUST-CHECKSUM", &["expected 0000", &right]);

    // The same again, with what is right: everything is fetched anew.
    let right = || this.bytes.to_vec();
    for entry in &mut this.entries {
        entry.as_object_mut().unwrap().remove("checksum");
    }
    this.server.serve("/flipped", Resource::new(this.bytes));
    let fetched = this.fetch();
    assert_eq!((fetched.code, fetched.problems()), (0, Vec::new()), "{}", fetched.said);
    for name in ["sha-256", "sha-1", "md5", "adler32", "flipped", "by-url"] {
        assert!(fs::read(this.this.data(name)).unwrap() == right(), "{name}");
    }
    for name in ["t", "t.gz", "t.zst"] {
        assert_eq!(fs::read(this.this.data(name).join("a/b")).unwrap(), b"deep");
    }
}

/// A tar of one small file, packed by this program.
fn archive(program: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    tar.append_data(&mut header, "a/b", &b"deep"[..]).unwrap();
    let bytes = tar.into_inner().unwrap();
    if program.is_empty() {
        return bytes;
    }
    let mut packer = Command::new(program);
    let mut child = packer.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn weak_digests_are_told() {
    let mut this = Hostile::new("weak");
    this.serve("weak", Resource::new("abc"), |entry| summed(entry, "md5", "900150983cd24fb0d6963f7d28e17f72"));
    this.serve("weaker", Resource::new("abc"), |entry| summed(entry, "adler32", "024d0127"));
    let fetched = this.fetch();
    assert_eq!(fetched.problems(), [], "{}", fetched.said);
    let told = fetched.notes() + &fetched.details();
    assert!(told.contains("md5") && told.contains("adler32"), "{told}");
}
