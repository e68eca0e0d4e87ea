//! Debian's own release files of today, if its mirrors are reached.

use std::time::SystemTime;

use image_skel::lock_command::debian_keyring;
use image_skel::release::{Release, Wanted};
use image_skel::trust::seconds;
use offspot_agent::fetch::Fetcher;

#[test]
fn the_keys_are_those_of_trixie() {
    let keyring = debian_keyring().unwrap();
    let prints: Vec<&str> = keyring.fingerprints().collect();
    // As the package debian-archive-keyring has them: archive, security archive, release.
    for print in [
        "B8E5F13176D2A7A75220028078DBA3BC47EF2265",
        "89C87ACEA5DD6B8E6A7068808E9F831205B4BA95",
        "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    ] {
        assert!(prints.contains(&print), "{print} is not among {prints:?}");
    }
}

#[test]
fn what_debian_signs_today_is_believed() {
    let keyring = debian_keyring().unwrap();
    let fetcher = Fetcher::new();
    let now = SystemTime::now();
    let components = ["main".to_owned(), "non-free-firmware".to_owned()];
    for (archive, suite) in [
        ("debian", "trixie"),
        ("debian", "trixie-updates"),
        ("debian", "trixie-backports"),
        ("debian-security", "trixie-security"),
    ] {
        let url = format!("http://deb.debian.org/{archive}/dists/{suite}/InRelease");
        let mut answer = match fetcher.get(&url) {
            Ok(answer) => answer,
            Err(why) => return eprintln!("not tested, the mirror is not reached: {}", why.why),
        };
        let mut document = Vec::new();
        answer.body.read_to_end(&mut document).unwrap();
        let (text, _) = keyring.cleartext(&document, now).unwrap();
        let release = Release::parse(&text).unwrap();
        let wanted =
            Wanted { suite, architecture: "arm64", components: &components, max_age_days: Some(400), not_before: None };
        release.accept(&wanted, seconds(now)).unwrap();
        assert!(release.by_hash && !release.all_apart, "{suite}");
        assert_eq!(release.not_automatic, suite.ends_with("backports"));
        let evil = String::from_utf8(document).unwrap().replacen("Codename: trixie", "Codename: trixia", 1);
        assert_eq!(keyring.cleartext(evil.as_bytes(), now).unwrap_err().code(), "bad-signature");
    }
}
