//! Where `files` and `oci_images` come from, and where they go.

use offspot_config::settings::{Source, Via};
use offspot_config::{Checked, check};

fn read(text: &str) -> Checked {
    check(text.as_bytes())
}

#[test]
fn one_address_or_a_list_of_them() {
    let checked = read(
        "files:\n- {to: /data/a, url: http://a/x}\n- to: /data/b\n  via: zstdtar\n  url: [/srv/x y, 'http://b/x', 'https://c/x.meta4']\n\
         oci_images:\n- {ident: a/b, url: [http://a/t.tar, http://b/t.tar]}\n- c/d:1\n",
    );
    assert!(!checked.has_errors(), "{:?}", checked.findings);
    let [one, several] = checked.settings.files.as_slice() else { panic!("{:?}", checked.settings.files) };
    assert_eq!((&one.source, one.mirrors.len()), (&Source::Url("http://a/x".into()), 0));
    assert_eq!((&several.source, several.via), (&Source::Url("/srv/x y".into()), Via::Zstdtar));
    assert_eq!(several.mirrors, ["http://b/x", "https://c/x.meta4"]);
    let [image, bare] = checked.settings.oci_images.as_slice() else { panic!() };
    assert_eq!(
        (image.url.as_deref(), image.mirrors.as_slice()),
        (Some("http://a/t.tar"), ["http://b/t.tar".to_owned()].as_slice())
    );
    assert_eq!((bare.url.as_deref(), bare.mirrors.len()), (None, 0));
}

#[test]
fn a_bad_address_in_a_list_costs_its_entry_alone() {
    let checked = read(
        "files:\n- {to: /data/a, url: [http://a/x, ftp://b]}\n- {to: /data/b, url: []}\n- {to: /data/c, url: /srv/c}\n",
    );
    let left: Vec<&str> = checked.settings.files.iter().map(|file| file.to.as_str()).collect();
    assert_eq!(left, ["/data/c"]);
    let said = format!("{:?}", checked.findings);
    assert!(said.contains("files[0].url") && said.contains("neither content nor url"), "{said}");
}

#[test]
fn a_file_cannot_hold_another_and_an_archive_can() {
    for (first, second, refused) in [
        ("{to: /data/a, content: x}", "{to: /data/a/b, content: y}", "/data/a is a file, by line 2"),
        ("{to: /data/a/b/c, content: x}", "{to: /data/a, content: y}", "the entry on line 2 lies below it"),
        ("{to: /data/a, url: /s.tar, via: tar}", "{to: /data/a/b, content: y}", ""),
        ("{to: /data/a/b, content: y}", "{to: /data/a, url: /s.zip, via: zip}", ""),
        ("{to: /data/ab, content: x}", "{to: /data/a/b, content: y}", ""),
    ] {
        let checked = read(&format!("files:\n- {first}\n- {second}\n"));
        let said = format!("{:?}", checked.findings);
        assert_eq!(checked.settings.files.len(), if refused.is_empty() { 2 } else { 1 }, "{said}");
        assert!(said.contains(refused) && checked.has_errors() != refused.is_empty(), "{said}");
    }
}
