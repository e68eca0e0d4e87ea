//! Any bytes as `offspot.yaml`: what is put in force and written down is read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offspot_config::{Severity, check, check_image, in_force, render, to_yaml};

/// What the box knew before.
const BEFORE: &[u8] = b"ap: {ssid: before}\ncontainers: {services: {a: {image: 'a:1'}, b: {image: 'b:1'}}}\n";

fuzz_target!(|file: &[u8]| {
    let checked = check(file);
    render(&checked.findings, "offspot.yaml");
    check_image(file);
    // A service that needs a refused one stays as long as that one may come back, and is read again without it: that is told, not compared.
    if checked
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error && finding.key.starts_with("containers"))
    {
        return drop(in_force(Some(BEFORE), Some(file)));
    }
    for before in [None, Some(BEFORE)] {
        let first = in_force(before, Some(file));
        let written = to_yaml(&first.tree.0);
        let again = in_force(Some(written.as_bytes()), None);
        assert!(again.findings.is_empty(), "{:?}\n{written}", again.findings);
        assert!(again.changed.is_empty(), "{:?}\n{written}", again.changed);
        assert!(again.tree.0.same(&first.tree.0), "the tree has changed\n{written}");
        assert_eq!(to_yaml(&again.tree.0), written, "written otherwise");
        let (one, two) = (&first.settings, &again.settings);
        assert_eq!((&one.firmware, &one.timezone, &one.hostname), (&two.firmware, &two.timezone, &two.hostname));
        assert_eq!((&one.ethernet, &one.oci_images, &one.files), (&two.ethernet, &two.oci_images, &two.files));
        assert!(one.ap == two.ap, "the access point has changed\n{written}");
        assert_eq!(one.status, two.status);
        let services = |settings: &offspot_config::Settings| settings.containers.as_ref().map(|all| all.given.clone());
        match (services(one), services(two)) {
            (None, None) => {}
            (Some(one), Some(two)) => assert!(one.same(&two), "the services have changed\n{written}"),
            _ => panic!("the services are gone or came\n{written}"),
        }
    }
});
