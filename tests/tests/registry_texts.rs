//! What registries and their servers of tokens say badly: of no use at one address, torn, without an end, or of Docker's first kind.

use offspot_tests::image_card::{Card, Outcome};
use offspot_tests::image_tarball::{Sample, foreign, layer};
use offspot_tests::registry::{Act, Front, Kind, Registry, sample};
use serde_json::json;

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const MEDIA: &str = "application/vnd.oci.image.manifest.v1+json";

fn card(name: &str) -> Card {
    Card::of(&format!("regtext{name}"), None, &[]).with_pipes()
}

fn wants(card: &Card, idents: &[String], more: &str) {
    let list: String = idents.iter().map(|ident| format!("- {ident}\n")).collect();
    card.set(&format!("oci_images:\n{list}{more}"));
}

fn well(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new(), "{:#?}", outcome.status.notes);
}

/// An answer of so many bytes, of which not all need come.
fn says(headers: &str, length: usize, body: &str) -> Act {
    Act::Say(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

fn says_all(media: &str, body: &str) -> Act {
    says(&format!("Content-Type: {media}\r\n"), body.len(), body)
}

/// One whose end is that of the connection.
fn says_open(body: &str) -> Act {
    Act::Say(format!("HTTP/1.0 200 OK\r\nContent-Type: {MEDIA}\r\n\r\n{body}"))
}

#[test]
fn a_tag_that_is_of_no_use_at_a_mirror_is_asked_of_the_next() {
    let (mirror, origin) = (Registry::start(), Registry::start());
    let names = ["arch", "index", "junk", "first", "page"];
    names.iter().for_each(|name| drop(origin.push(&format!("x/{name}"), "1", &sample(name, &[16]), Kind::Oci)));
    let other = Sample { arch: foreign().into(), ..sample("other", &[4]) };
    mirror.push("x/arch", "1", &other, Kind::Docker);
    mirror.push_index("x/index", "1", &[&other], Kind::Oci);
    origin.push("x/none", "1", &other, Kind::Oci);
    let bad = Front::start(&mirror.host, |request| match request.path.split('/').nth(3) {
        Some("junk" | "none") => says_all(MEDIA, "{"),
        Some("first") => says_all(MEDIA, &json!({"schemaVersion": 1, "fsLayers": []}).to_string()),
        Some("page") => says_all("text/html", "<html>Log in</html>"),
        _ => Act::Pass,
    });
    let mut idents = names.map(|name| format!("{}/x/{name}:1", origin.host)).to_vec();
    let registries = format!("registries:\n  {}: {{mirrors: ['http://{}']}}\n", origin.host, bad.host);
    let card = card("tag");
    wants(&card, &idents, &registries);
    well(&card.load());
    for (ident, name) in idents.iter().zip(names) {
        assert_eq!(card.says(ident), name);
    }
    // Where nobody has one of use the first is told.
    idents.push(format!("{}/x/none:1", origin.host));
    wants(&card, &idents, &registries);
    let outcome = card.load();
    outcome.expect_problem("E-IMAGE-REGISTRY", "its manifest is damaged");
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
}

#[test]
fn a_text_that_broke_off_is_begun_again() {
    let registry = Registry::start();
    let image = sample("torn", &[16]);
    let text = registry.manifest("x/torn", &image, Kind::Oci).to_string();
    let front = Front::start(&registry.host, move |request| {
        let half = |text: &str| text[..text.len() / 2].to_owned();
        let key = r#"{"token": "", "access_token": "right"}"#;
        match (request.path.contains("/manifests/"), request.before) {
            _ if request.path.starts_with("/token?") => match request.before {
                0 => says("", key.len(), &half(key)),
                1 => says_open(&half(key)),
                _ => says_open(key),
            },
            _ if request.header("authorization") != Some("Bearer right") => {
                let host = request.header("host").unwrap();
                let ask = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"\",scope=\"\"\r\n");
                Act::Say(format!("HTTP/1.1 401 Unauthorized\r\n{ask}Content-Length: 0\r\nConnection: close\r\n\r\n"))
            }
            (true, 1) => says("", text.len(), &half(&text)),
            (true, 2) => says_open(&half(&text)),
            (true, _) => says_open(&text),
            _ => Act::Pass,
        }
    });
    let ident = format!("{}/x/torn:1", front.host);
    let card = card("torn");
    wants(&card, std::slice::from_ref(&ident), "");
    well(&card.load());
    assert_eq!(card.says(&ident), "torn");
}

#[test]
fn a_signed_manifest_of_the_first_kind_is_called_so() {
    let registry = Registry::start();
    let digest = format!("sha256:{}", "5".repeat(64));
    let said = digest.clone();
    let front = Front::start(&registry.host, move |request| {
        let text = json!({"schemaVersion": 1, "fsLayers": [], "signatures": [{"protected": "x"}]}).to_string();
        match request.path.contains("/torn/") {
            false => says(&format!("Docker-Content-Digest: {said}\r\n"), text.len(), &text),
            true => {
                let kind = "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws\r\n";
                says(&format!("{kind}Docker-Content-Digest: {said}\r\n"), 1, "{")
            }
        }
    });
    let idents = [
        format!("{}/x/tag:1", front.host),
        format!("{}/x/digest@{digest}", front.host),
        format!("{}/x/torn:1", front.host),
    ];
    let card = card("first");
    wants(&card, &idents, "");
    let outcome = card.load();
    let told = outcome.problems();
    assert!(told.len() == 3 && told.iter().all(|said| said.contains("E-IMAGE-REGISTRY")), "{told:#?}");
    assert!(told.iter().all(|said| said.contains("schema 1")), "{told:#?}");
}

#[test]
fn a_layer_that_two_addresses_gave_is_asked_of_the_second_alone() {
    let (mirror, origin) = (Registry::start(), Registry::start());
    let mut image = sample("mixed", &[]);
    image.layers.push(layer(&[("text", &vec![b'a'; 300_000])]));
    for registry in [&mirror, &origin] {
        registry.push("x/mixed", "1", &image, Kind::Oci);
    }
    let (mixed, length) = (image.layers[2].clone(), image.layers[2].len());
    // A third of it, with a letter that is another, and then nothing more of it.
    let mut part = String::from_utf8(mixed[..100_000].to_vec()).unwrap();
    part.replace_range(30_000..30_001, "b");
    let bad = Front::start(&mirror.host, move |request| match (request.is_for(&mixed), request.before) {
        (true, 0) => says("", length, &part),
        (true, _) => Act::Say(NOT_FOUND.into()),
        _ => Act::Pass,
    });
    let ident = format!("{}/x/mixed:1", origin.host);
    let registries = format!("registries:\n  {}: {{mirrors: ['http://{}']}}\n", origin.host, bad.host);
    for card in [card("mixed"), Card::of("regtextmixed-unpacked", None, &[])] {
        bad.forget();
        wants(&card, std::slice::from_ref(&ident), &registries);
        well(&card.load());
        assert_eq!(card.says(&ident), "mixed");
        assert!(bad.seen().iter().any(|request| request.is_for(&image.layers[2])), "the mirror was asked first");
    }
}

#[test]
fn a_mirror_that_lacks_what_its_tag_leads_to_is_passed_by() {
    let (mirror, origin) = (Registry::start(), Registry::start());
    let image = sample("complete", &[16]);
    origin.push("x/sparse", "1", &image, Kind::Oci);
    let text = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 7, "digest": format!("sha256:{}", "7".repeat(64))},
        "layers": [],
    });
    let text = text.to_string();
    let front = Front::start(&mirror.host, move |request| match request.path.contains("/manifests/") {
        true => says("", text.len(), &text),
        false => Act::Pass,
    });
    let ident = format!("{}/x/sparse:1", origin.host);
    let registries = format!("registries:\n  {}: {{mirrors: ['http://{}']}}\n", origin.host, front.host);
    let card = card("sparse");
    wants(&card, std::slice::from_ref(&ident), &registries);
    well(&card.load());
    assert_eq!(card.says(&ident), "complete");
    assert!(front.seen().iter().any(|request| request.path.contains("/manifests/")), "the mirror was asked first");
}

#[test]
fn a_mirror_whose_layer_is_too_short_is_passed_by() {
    let (mirror, origin) = (Registry::start(), Registry::start());
    let mut image = sample("whole", &[]);
    image.layers.push(layer(&[("text", &vec![b'a'; 300_000])]));
    for registry in [&mirror, &origin] {
        registry.push("x/short", "1", &image, Kind::Oci);
    }
    let (short, length) = (image.layers[2].clone(), image.layers[2].len());
    let half = String::from_utf8(short[..length / 2].to_vec()).unwrap();
    let front = Front::start(&mirror.host, move |request| match request.is_for(&short) {
        true => Act::Say(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{half}\r\n0\r\n\r\n",
            half.len()
        )),
        false => Act::Pass,
    });
    let ident = format!("{}/x/short:1", origin.host);
    let registries = format!("registries:\n  {}: {{mirrors: ['http://{}']}}\n", origin.host, front.host);
    let card = card("short");
    wants(&card, std::slice::from_ref(&ident), &registries);
    well(&card.load());
    assert_eq!(card.says(&ident), "whole");
    assert!(front.seen().iter().any(|request| request.is_for(&image.layers[2])), "the mirror was asked first");
}
