//! The lock from an archive that is signed with the real gpg, and what attacks on the archive come to.

mod lock_parts;

use std::collections::BTreeSet;

use image_skel::lock::Lock;
use image_skel::lock::diff::diff;
use image_skel::lock_command::{self, Options, Update};
use image_skel::skel::Skel;
use image_skel::tool::Outcome;
use lock_parts::apt::Apt;
use lock_parts::archive::{Archive, BY_HASH, NOW, Suite, index, release, rfc2822, xz};
use lock_parts::http::serve;
use lock_parts::{Gpg, at, url};

const PACKAGES: &str =
    "app 1; Depends: lib (>= 1), tool\n lib 1; Multi-Arch: same\n tool 1:1.0-1; Depends: lib\n other 1";

fn suite<'a>(name: &'a str, packages: &'a str) -> Suite<'a> {
    Suite { name, date: NOW, more: BY_HASH, packages }
}

fn options(archive: &Archive) -> Options {
    let keyring = Some(archive.folder.0.join("keyring.asc"));
    Options { allow_downgrade: false, now: at(NOW as u64), keyring }
}

fn lock(archive: &Archive, skel: &Skel, update: &Update) -> Outcome<Lock> {
    lock_command::lock(skel, &archive.lock_path(), update, &options(archive))
}

fn printed(archive: &Archive) -> String {
    std::fs::read_to_string(archive.lock_path()).unwrap()
}

#[test]
fn apt_reads_the_lock_and_would_install_just_that() {
    let archive = Archive::new();
    archive.publish(&suite("t", PACKAGES));
    let skel = archive.skel(&["t"], &["app"], &[]);
    let made = lock(&archive, &skel, &Update::All).unwrap();
    assert_eq!(Lock::read(&archive.lock_path()).unwrap(), made);
    assert_eq!((made.epoch(), made.packages.len()), (NOW, 3));
    let apt = Apt::reading(&archive.lock_path());
    let policy = apt.cache(&["policy", "app", "lib", "tool", "other"]).unwrap();
    assert_eq!(policy.matches("Candidate: 1").count(), 3, "{policy}");
    assert!(policy.contains("Candidate: 1:1.0-1") && !policy.contains("other:"), "{policy}");
    assert_eq!(apt.install(&["app"]).unwrap().len(), 3);
    assert!(lock_command::check(&skel, &archive.lock_path()).unwrap().is_empty());
    lock(&archive, &skel, &Update::All).unwrap();
    assert_eq!(Lock::read(&archive.lock_path()).unwrap(), made);
}

/// A change of the archive, and the reason that must be given for it.
type Attack = (&'static str, fn(&Archive));

fn unsigned(archive: &Archive) {
    let suite = suite("t", PACKAGES);
    archive.in_dists("t", "InRelease", archive.write(&suite));
}

fn wrong_key(archive: &Archive) {
    let gpg = Gpg::new();
    gpg.key("archive", "ed25519", "20260101T000000", "none");
    let signed = gpg.clear("archive", "20260228T000000", &[], &archive.write(&suite("t", PACKAGES)));
    archive.in_dists("t", "InRelease", signed);
}

fn expired(archive: &Archive) {
    let until = format!("Valid-Until: {}\n", rfc2822(NOW));
    archive.publish(&Suite { more: &until, ..suite("t", PACKAGES) });
}

fn changed_after_signing(archive: &Archive) {
    let path = archive.folder.0.join("dists/t/InRelease");
    let text = std::fs::read_to_string(&path).unwrap().replace("Suite: t\n", "Suite: t2\n");
    std::fs::write(path, text).unwrap();
}

fn text_before(archive: &Archive) {
    let path = archive.folder.0.join("dists/t/InRelease");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("Suite: t\nDate: {}\n\n{text}", rfc2822(NOW))).unwrap();
}

fn another_index(archive: &Archive) {
    archive.publish(&Suite { more: "", ..suite("t", PACKAGES) });
    archive.in_dists("t", "main/binary-arm64/Packages.xz", xz(b"Package: evil\n"));
}

fn longer_index(archive: &Archive) {
    archive.publish(&Suite { more: "", ..suite("t", PACKAGES) });
    let path = archive.folder.0.join("dists/t/main/binary-arm64/Packages.xz");
    let bytes = [std::fs::read(&path).unwrap(), vec![0; 1 << 20]].concat();
    std::fs::write(path, bytes).unwrap();
}

/// The packed file is the listed one, but unpacks to more than is listed: 64 MiB from 10 kB.
fn bomb(archive: &Archive) {
    let suite = Suite { more: "", ..suite("t", PACKAGES) };
    let packed = xz(&vec![b'\n'; 64 << 20]);
    archive.in_dists("t", "main/binary-arm64/Packages.xz", &packed);
    archive.sign(&suite, &release(&suite, &[("Packages", b"Package: app\n"), ("Packages.xz", &packed)]));
}

fn another_suite(archive: &Archive) {
    archive.publish(&suite("u", PACKAGES));
    let of_u = std::fs::read(archive.folder.0.join("dists/u/InRelease")).unwrap();
    archive.in_dists("t", "InRelease", of_u);
}

fn older(archive: &Archive) {
    archive.publish(&Suite { date: NOW - 86_400, ..suite("t", PACKAGES) });
}

fn from_the_future(archive: &Archive) {
    let suite = Suite { date: NOW + 3 * 86_400, ..suite("t", PACKAGES) };
    let signed = archive.gpg.clear("archive", "20260228T000000", &[], &archive.write(&suite));
    archive.in_dists("t", "InRelease", signed);
}

fn gone(archive: &Archive) {
    std::fs::remove_file(archive.folder.0.join("dists/t/InRelease")).unwrap();
}

#[test]
fn an_attack_is_refused_by_name_and_the_old_lock_stays() {
    let attacks: [Attack; 12] = [
        ("unsigned", unsigned),
        ("unknown-key", wrong_key),
        ("expired", expired),
        ("bad-signature", changed_after_signing),
        ("malformed", text_before),
        ("wrong-hash", another_index),
        ("longer than", longer_index),
        ("longer than", bomb),
        ("wrong-suite", another_suite),
        ("rollback", older),
        ("future-date", from_the_future),
        ("No such file", gone),
    ];
    for (why, attack) in attacks {
        let archive = Archive::new();
        archive.publish(&suite("t", PACKAGES));
        let skel = archive.skel(&["t"], &["app"], &[]);
        lock(&archive, &skel, &Update::All).unwrap();
        let before = printed(&archive);
        attack(&archive);
        let error = lock(&archive, &skel, &Update::All).unwrap_err().to_string();
        assert!(error.contains(why), "{error}, not {why}");
        assert_eq!(printed(&archive), before, "{why}");
    }
}

#[test]
fn a_rollback_is_taken_only_if_it_is_asked_for() {
    let archive = Archive::new();
    archive.publish(&suite("t", "app 2"));
    let skel = archive.skel(&["t"], &["app"], &[]);
    lock(&archive, &skel, &Update::All).unwrap();
    archive.publish(&Suite { date: NOW - 1, ..suite("t", "app 1") });
    assert!(lock(&archive, &skel, &Update::All).unwrap_err().to_string().contains("--allow-downgrade"));
    let allowed = Options { allow_downgrade: true, ..options(&archive) };
    let made = lock_command::lock(&skel, &archive.lock_path(), &Update::All, &allowed).unwrap();
    assert_eq!((made.get("app").unwrap().version.as_str(), made.epoch()), ("1", NOW - 1));
}

/// A mirror that is being updated: the index under its name is newer than the release file, the one under its digest is not.
#[test]
fn an_index_is_taken_by_its_digest() {
    let archive = Archive::new();
    archive.publish(&suite("t", PACKAGES));
    archive.in_dists("t", "main/binary-arm64/Packages.xz", xz(b"Package: newer\n"));
    let skel = archive.skel(&["t"], &["app"], &[]);
    assert_eq!(lock(&archive, &skel, &Update::All).unwrap().packages.len(), 3);
}

#[test]
fn a_release_file_with_its_signature_apart() {
    let archive = Archive::new();
    let text = archive.write(&suite("t", PACKAGES));
    archive.in_dists("t", "Release", &text);
    let skel = archive.skel(&["t"], &["app"], &[]);
    assert!(lock(&archive, &skel, &Update::All).unwrap_err().to_string().contains("unsigned"));
    archive.in_dists("t", "Release.gpg", archive.gpg.apart("archive", "20260228T000000", &[], &text));
    assert_eq!(lock(&archive, &skel, &Update::All).unwrap().packages.len(), 3);
    archive.in_dists("t", "Release", format!("{text}\n"));
    assert!(lock(&archive, &skel, &Update::All).unwrap_err().to_string().contains("bad-signature"));
}

#[test]
fn the_next_mirror_is_asked_when_one_is_wrong() {
    let (bad, good) = (Archive::new(), Archive::new());
    bad.publish(&suite("t", PACKAGES));
    good.publish(&suite("t", PACKAGES));
    let mut skel = good.skel(&["t"], &["app"], &[]);
    skel.archives[0].mirrors =
        vec!["file:///snapshot/{timestamp}".into(), url(&bad.folder.0), "file:///nowhere".into(), url(&good.folder.0)];
    assert_eq!(lock(&good, &skel, &Update::All).unwrap().packages.len(), 3);
    skel.archives[0].mirrors.pop();
    let error = lock(&good, &skel, &Update::All).unwrap_err().to_string();
    assert!(error.contains("unknown-key") && error.contains("/nowhere/dists/t/InRelease"), "{error}");
}

#[test]
fn one_package_moves_and_one_stanza_changes() {
    let archive = Archive::new();
    archive.publish(&suite("t", PACKAGES));
    archive.publish(&suite("t-security", ""));
    let skel = archive.skel(&["t", "t-security"], &["app"], &[]);
    let before = lock(&archive, &skel, &Update::All).unwrap();
    let later = "app 2; Depends: lib (>= 1), tool\n lib 1; Multi-Arch: same\n tool 1:1.0-1; Depends: lib";
    archive.publish(&Suite { date: NOW + 3600, ..suite("t", later) });
    archive.publish(&suite("t-security", "lib 1+deb13u1; Multi-Arch: same\n lib 1+deb13u2; Multi-Arch: same"));
    let security = BTreeSet::from(["t-security".to_owned()]);
    let news = lock_command::news(&skel, &archive.lock_path(), &options(&archive)).unwrap();
    let news: Vec<String> = news.iter().map(|news| news.to_string()).collect();
    assert_eq!(news, ["app 1: update 2; the locked deb is in no index any more", "lib 1: SECURITY update 1+deb13u2"]);
    let nothing = lock(&archive, &skel, &Update::Packages(vec![])).unwrap();
    assert!(diff(&before, &nothing, &security).is_empty(), "app 1 is in no index any more, and is kept");
    let (app, lib) = (nothing.get("app").unwrap(), nothing.get("lib").unwrap());
    assert_eq!((nothing.date_of(app), nothing.date_of(lib)), (Some(NOW), Some(NOW + 3600)));
    assert_eq!(Lock::read(&archive.lock_path()).unwrap(), nothing);
    let only = lock(&archive, &skel, &Update::Packages(vec!["lib".into()])).unwrap();
    let changes = diff(&before, &only, &security).changes;
    assert_eq!(changes.len(), 1);
    assert!(changes[0].package == "lib" && changes[0].security);
    let all = lock(&archive, &skel, &Update::All).unwrap();
    assert_eq!(diff(&before, &all, &security).changes.len(), 2);
    let error = lock(&archive, &skel, &Update::Packages(vec!["none".into()])).unwrap_err().to_string();
    assert!(error.contains("none: not in"), "{error}");
}

/// Over HTTP, where the packages for all architectures have an index of their own, and the first mirror has nothing.
#[test]
fn over_http_and_with_an_index_for_all_architectures() {
    let archive = Archive::new();
    let suite = Suite { more: "", ..suite("t", "") };
    let (ours, all) = (index("app 1; Depends: data"), index("data 1; Architecture: all"));
    archive.in_dists("t", "main/binary-arm64/Packages", &ours);
    archive.in_dists("t", "main/binary-all/Packages", &all);
    let release = release(&suite, &[("Packages", ours.as_bytes()), ("../binary-all/Packages", all.as_bytes())]);
    let release = release.replace("binary-arm64/../", "").replace("Architectures:", "Architectures: all");
    archive.sign(&suite, &release);
    let mut skel = archive.skel(&["t"], &["app"], &[]);
    let server = serve(&archive.folder.0);
    skel.archives[0].mirrors = vec![format!("{server}/nothing/"), format!("{server}/")];
    assert_eq!(lock(&archive, &skel, &Update::All).unwrap().packages.len(), 2);
    archive.in_dists("t", "main/binary-all/Packages", [all.as_bytes(), b"\n"].concat());
    let error = lock(&archive, &skel, &Update::All).unwrap_err().to_string();
    assert!(error.contains("404") && error.contains("binary-all/Packages: longer than"), "{error}");
}

#[test]
fn a_lock_that_is_not_what_skel_toml_says() {
    let archive = Archive::new();
    archive.publish(&suite("t", PACKAGES));
    let lock_path = archive.lock_path();
    lock(&archive, &archive.skel(&["t"], &["app"], &[]), &Update::All).unwrap();
    for (skel, wrong) in [
        (archive.skel(&["t"], &["app", "other"], &[]), vec!["other is wanted, and missing"]),
        (archive.skel(&["t"], &["tool"], &[]), vec!["app is not needed by anything that is wanted"]),
        (archive.skel(&["t", "u"], &["app"], &[("lib", "u")]), vec!["lib must come from u, and is from t"]),
    ] {
        assert_eq!(lock_command::check(&skel, &lock_path).unwrap(), wrong);
    }
    let text = printed(&archive);
    let without =
        text.split("\n\n").filter(|stanza| !stanza.starts_with("Package: lib")).collect::<Vec<_>>().join("\n\n");
    std::fs::write(&lock_path, without).unwrap();
    let wrong = lock_command::check(&archive.skel(&["t"], &["app"], &[]), &lock_path).unwrap();
    assert_eq!(wrong, ["app → lib (>= 1): missing", "app → tool → lib: missing"]);
    std::fs::write(&lock_path, text.replace("SHA256", "MD5sum")).unwrap();
    let error = lock_command::check(&archive.skel(&["t"], &["app"], &[]), &lock_path).unwrap_err().to_string();
    assert!(
        error.contains("stanza 1 (line 1): app: SHA256 is missing") && error.contains("remove it and run"),
        "{error}"
    );
}
