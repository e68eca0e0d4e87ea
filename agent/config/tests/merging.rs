//! What is in force after a file has been read: what it names is changed, all else stays.

use offspot_config::settings::{Ethernet, Profile, Spoof};
use offspot_config::{InForce, Node, Severity, check, in_force, to_yaml};

const BEFORE: &str = "timezone: Africa/Bamako\nhostname: box\ncapabilities: {change_ssid: true}\nap:\n  ssid: Old name\n  passphrase: hunter2hunter2\n  tld: hotspot\n  as-gateway: yes\n\
ethernet:\n  type: static\n  address: 10.0.0.2\n  routers: 10.0.0.1\n  dns: [10.0.0.1]\ncontainers:\n  services:\n    kiwix: {image: kiwix:1, ports: ['80:80']}\n    files: {image: files:1}\n";

fn after(given: &str) -> InForce {
    let record = in_force(None, Some(BEFORE.as_bytes()));
    assert!(record.findings.is_empty(), "{:#?}", record.findings);
    let record = to_yaml(&record.tree.0);
    let first = in_force(Some(record.as_bytes()), Some(given.as_bytes()));
    let written = to_yaml(&first.tree.0);
    let again = in_force(Some(written.as_bytes()), Some(given.as_bytes()));
    assert!(again.changed.is_empty(), "applied twice: {:?}\n{written}", again.changed);
    assert!(!format!("{first:?}").contains("hunter2"), "a secret shows");
    first
}

fn errors(in_force: &InForce) -> Vec<&str> {
    in_force
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.key.as_str())
        .collect()
}

fn image<'t>(in_force: &'t InForce, service: &str) -> Option<&'t str> {
    in_force.tree.0.get("containers")?.get("services")?.get(service)?.get("image")?.as_text()
}

#[test]
fn nothing_given_is_nothing_changed() {
    for given in ["", "---\n", "ap: {}\nhostname:\ncontainers: ''\ntimezone: ~\nethernet: false\n"] {
        let now = after(given);
        assert!(now.changed.is_empty() && errors(&now).is_empty(), "{:?}", now.changed);
        assert_eq!(now.settings.hostname.as_deref(), Some("box"));
    }
}

#[test]
fn a_partial_access_point_changes_only_what_it_names() {
    let now = after("ap: {ssid: toto}\n");
    let point = now.settings.ap.as_ref().unwrap();
    assert_eq!(
        (point.ssid.as_str(), point.passphrase.as_deref(), point.tld.as_str(), point.as_gateway),
        ("toto", Some("hunter2hunter2"), "hotspot", true)
    );
    assert_eq!(now.changed, ["ap"]);
    let open =
        after("ap: {passphrase: null, profile: coverage, spoof: no, hide: on, channel_24: 6}\n").settings.ap.unwrap();
    assert_eq!(
        (open.ssid.as_str(), open.passphrase, open.profile, open.spoof, open.hide, open.channel_24),
        ("Old name", None, Profile::Coverage, Spoof::Off, true, 6)
    );
}

#[test]
fn a_refused_key_leaves_the_last_good_one() {
    let now = after("ap: {ssid: New name, passphrase: short}\nhostname: new-name\ntimezone: Nowhere\n");
    assert_eq!(errors(&now), ["ap.passphrase", "timezone"]);
    assert_eq!(
        (now.settings.ap.unwrap().ssid.as_str(), now.settings.hostname.as_deref(), now.settings.timezone.as_deref()),
        ("Old name", Some("new-name"), Some("Africa/Bamako"))
    );
    assert_eq!(now.changed, ["hostname"]);
}

#[test]
fn an_access_point_must_hold_together_once_merged() {
    let now = after("ap: {network: 10.1.0.0/24}\n");
    assert_eq!((errors(&now), now.changed.len()), (vec!["ap.network"], 0));
    assert!(
        errors(&after(
            "ap: {network: 10.1.0.0/24, address: 10.1.0.1, dhcp-range: '10.1.0.9,10.1.0.99,255.255.255.0,1h'}\n"
        ))
        .is_empty()
    );
    assert_eq!(
        errors(&after("ap: {dhcp-range: '192.168.144.1,192.168.144.99,255.255.255.0,1h'}\n")),
        ["ap.dhcp-range"]
    );
    assert_eq!(errors(&in_force(None, Some(b"ap: {hide: true}"))), ["ap"]);
    assert!(errors(&after("ap: {hide: true}")).is_empty());
    assert!(
        !check(b"ap: {network: 10.1.0.0/24}").has_errors()
            && check(b"ap: {network: 10.1.0.0/24, address: 10.2.0.1}").has_errors()
    );
}

#[test]
fn ethernet_and_containers_are_replaced_whole() {
    let now = after("ethernet: {type: dhcp}\ncontainers: {services: {web: {image: web, ports: ['80:80']}}}\n");
    assert_eq!(now.settings.ethernet, Some(Ethernet::Dhcp));
    assert!(now.tree.0.get("ethernet").is_some_and(|ethernet| ethernet.get("address").is_none()));
    assert_eq!(
        (image(&now, "web"), image(&now, "kiwix"), now.changed.clone()),
        (Some("web"), None, vec!["ethernet".to_string(), "containers".into()])
    );
}

#[test]
fn a_refused_service_stays_as_it_was() {
    let now = after("containers: {services: {kiwix: {imag: kiwix:2}, new: {image: new}, worse: 3}}\n");
    assert_eq!(errors(&now), ["containers.services.kiwix", "containers.services.worse"]);
    assert_eq!(
        ["kiwix", "new", "worse", "files"].map(|name| image(&now, name)),
        [Some("kiwix:1"), Some("new"), None, None]
    );
    let now = after("containers: {services: {kiwix: 3}}\n");
    assert_eq!((image(&now, "files"), now.changed.len()), (Some("files:1"), 0));
}

#[test]
fn unknown_keys_and_capabilities_are_kept() {
    let now = after("theme: dark\n");
    assert!(
        now.tree.0.get("capabilities").is_some() && now.tree.0.get("theme").and_then(Node::as_text) == Some("dark")
    );
}

#[test]
fn a_broken_file_or_record_is_named_and_costs_what_it_must() {
    let now = after("ap:\n\tssid: x\n  y: z\nhostname: new-name\n");
    assert_eq!(
        (now.settings.ap.as_ref().unwrap().ssid.as_str(), now.settings.hostname.as_deref()),
        ("Old name", Some("new-name"))
    );
    let now = after("- a\n- list\n");
    assert_eq!((errors(&now), now.changed.len()), (vec![""], 0));
    let now = in_force(Some(b"\x7fELF\0\0\x01"), Some(b"hostname: box"));
    assert_eq!((now.settings.hostname.as_deref(), now.findings[0].code), (Some("box"), "E-CFG-LAST-GOOD"));
    assert!(in_force(None, None).changed.is_empty());
}

#[test]
fn words_are_texts_where_texts_are_meant() {
    let settings = check(b"hostname: 10\nap: {ssid: 1234, country: NO, domain: 'off', dns: 1.0.0.1 8.8.4.4, other-interfaces: 'eth0,eth1'}\ntimezone: Etc/GMT+1\n").settings;
    let point = settings.ap.unwrap();
    assert_eq!(
        (
            point.ssid.as_str(),
            point.country.as_str(),
            point.domain.as_str(),
            point.dns.len(),
            point.other_interfaces.len()
        ),
        ("1234", "NO", "off", 2, 2)
    );
    assert_eq!((settings.hostname.as_deref(), settings.timezone.as_deref()), (Some("10"), Some("Etc/GMT+1")));
    let tree = check(b"ap: {ssid: 1234, country: NO, hide: yes}\n").given.0;
    assert_eq!(to_yaml(&tree), "ap:\n  ssid: '1234'\n  country: 'NO'\n  hide: true\n");
}

#[test]
fn refused_where_upstream_let_it_pass() {
    for given in [
        "ap: {ssid: \"a\\nwpa=0\"}",
        "ap: {ssid: éééééééééééééééééé}",
        "ap: {ssid: \"a\\u0007\"}",
        "hostname: \"a\\n\"",
        "timezone: localtime",
        "timezone: Factory",
        "ap: {ssid: x, dhcp-range: '10.0.0.2,10.0.0.9,0.0.0.255,1h'}",
    ] {
        assert!(check(given.as_bytes()).has_errors(), "{given}");
    }
}

#[test]
fn null_in_an_access_point_is_the_default_but_never_takes_the_name() {
    let point = after("ap: {ssid: ~, tld: ''}\n").settings.ap.unwrap();
    assert_eq!((point.ssid.as_str(), point.tld.as_str()), ("Old name", "offspot"));
    assert!(after("ap: {ssid: }\n").changed.is_empty());
}

#[test]
fn capabilities_are_kept_for_readers_of_yaml_11() {
    let now = after("capabilities: {change_ssid: no, other: 'no'}\n");
    assert_eq!(now.tree.0.get("capabilities").unwrap().to_json().to_string(), r#"{"change_ssid":false,"other":"no"}"#);
}

#[test]
fn no_finding_shows_a_secret() {
    for given in [
        "ap: {ssid: x, passphrase: hunter2}\n",
        "ap:\n  passphrase:\n    hunter2\n",
        "ap:\n  passphrase: |\n    hunter2\n    hunter2\n  ssid: [x\n",
        "ap:\n  passphrase: \"hunter2\n  ssid: x\n",
        "ap:\n  passphrase: hunter2: hunter2\n",
        "ap:\n\tpassphrase: hunter2hunter2\n",
        "ap:\n  passphrase: “hunter2hunter2”\n  passphrase: hunter2\n",
        "ap:\n  passphrase: [hunter2]\n",
        "ap:\n  passphrase: {hunter2: hunter2}\n",
        "ap:\n  passphrase:\n  - hunter2\n  - hunter2: x: y\n",
        "files:\n- to: /data/a\n  url: ftp://me:hunter2@host/\n",
        "containers:\n  services:\n    a:\n      image: a\n      environment:\n        DB_PASSWORD: hunter2: x\n",
        "containers:\n  services:\n    a:\n      image: a\n      environment: [\"DB_PASSWORD=hunter2\", b: c: d]\n",
    ] {
        let now = in_force(None, Some(given.as_bytes()));
        let shown = offspot_config::render(&now.findings, "offspot.yaml") + &format!("{now:?}");
        assert!(!shown.contains("hunter2"), "{given}\n{shown}");
        assert!(!now.findings.is_empty(), "{given}");
    }
}
