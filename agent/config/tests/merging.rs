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
fn registries_are_replaced_as_a_whole_and_tell_no_secret() {
    let given = "registries:\n  GHCR.io: {username: me, password: hunter2}\n  10.0.0.2:5000: {insecure: yes}\n  docker.io:\n    mirrors: http://10.0.0.2:5000 https://b.example/x\n";
    let now = after(given);
    assert!(now.findings.is_empty(), "{:#?}", now.findings);
    let registries = &now.settings.registries;
    assert_eq!(registries.keys().collect::<Vec<_>>(), ["10.0.0.2:5000", "docker.io", "ghcr.io"]);
    assert_eq!(registries["ghcr.io"].password.as_deref(), Some("hunter2"));
    assert!(registries["10.0.0.2:5000"].insecure && !registries["ghcr.io"].insecure);
    assert_eq!(registries["docker.io"].mirrors, ["http://10.0.0.2:5000", "https://b.example/x"]);
    // Kept where another file says nothing of them, replaced where it does.
    let record = to_yaml(&now.tree.0);
    let silent = in_force(Some(record.as_bytes()), Some(b"hostname: other\n"));
    assert_eq!(silent.settings.registries, *registries);
    let other = in_force(Some(record.as_bytes()), Some(b"registries: {quay.io: {insecure: false}}\n"));
    assert_eq!(other.settings.registries.keys().collect::<Vec<_>>(), ["quay.io"]);
}

#[test]
fn a_registry_that_is_not_as_it_should_be_is_refused_alone() {
    for (bad, key) in [
        ("https://ghcr.io: {insecure: true}", "registries.\"https://ghcr.io\""),
        ("ghcr.io: {username: me}", "registries.\"ghcr.io\""),
        ("ghcr.io: {password: hunter2}", "registries.\"ghcr.io\""),
        ("ghcr.io: {username: 'me:x', password: hunter2}", "registries.\"ghcr.io\".username"),
        ("ghcr.io: {mirrors: 'http://me:hunter2@h'}", "registries.\"ghcr.io\".mirrors"),
        ("ghcr.io: {mirrors: [ftp://h]}", "registries.\"ghcr.io\".mirrors"),
        ("ghcr.io: {insecure: maybe}", "registries.\"ghcr.io\".insecure"),
        ("ghcr.io: {username: me, password: [hunter2]}", "registries.\"ghcr.io\".password"),
    ] {
        let now = after(&format!("registries:\n  {bad}\n  quay.io: {{insecure: true}}\n"));
        assert_eq!(errors(&now), [key], "{bad}");
        assert_eq!(now.settings.registries.keys().collect::<Vec<_>>(), ["quay.io"], "{bad}");
    }
    let now = after("registries: {ghcr.io: {user: me}}\n");
    assert!(errors(&now).is_empty() && now.findings.len() == 1, "{:#?}", now.findings);
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
fn a_service_that_needs_a_refused_one_is_no_damage() {
    let file = b"containers: {services: {a: {image: 'a:1', depends_on: [b]}, b: {image: 'b:1', privileged: banana}}}\n";
    let first = in_force(None, Some(file));
    let record = to_yaml(&first.tree.0);
    let again = in_force(Some(record.as_bytes()), Some(file));
    let told = |now: &offspot_config::InForce| now.findings.iter().map(|finding| finding.code).collect::<Vec<_>>();
    assert_eq!(told(&again), told(&first));
    assert!(told(&again).contains(&"E-CFG-COMPOSE-VALUE"));
    // Where no file names the services, the record is all there is.
    assert_eq!(told(&in_force(Some(record.as_bytes()), Some(b"hostname: box"))), ["E-CFG-LAST-GOOD"]);
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
        "containers:\n  services:\n    a:\n      image: a\n      environment:\n        DATABASE: $X hunter2\n",
        "containers:\n  services:\n    a:\n      image: a\n      environment: [$X=hunter2]\n",
        "containers:\n  services:\n    a: {image: a, command: 'run $X hunter2'}\n",
        "containers:\n  services:\n    a: {image: a, environment: hunter2}\n",
        "containers:\n  services:\n    a:\n      image: a\n      environment:\n        DATABASE: hunter2: x\n",
        "containers:\n  services:\n    a: {environment: {DATABASE: hunter2}}\n",
        "oci_images: ['https://me:hunter2@reg/x']\n",
        "containers:\n  services:\n    a:\n      image: a\n      environment: [\"DB_PASSWORD=hunter2\", b: c: d]\n",
    ] {
        let now = in_force(None, Some(given.as_bytes()));
        let shown = offspot_config::render(&now.findings, "offspot.yaml") + &format!("{now:?}");
        assert!(!shown.contains("hunter2"), "{given}\n{shown}");
        assert!(!now.findings.is_empty(), "{given}");
    }
}

#[test]
fn errors_are_listed_before_warnings() {
    let warnings: String = (0..150).map(|i| format!("unknown{i}: 1\n")).collect();
    let found = check((warnings.clone() + "hostname: a b\n").as_bytes());
    assert!(found.has_errors() && found.findings.iter().any(|finding| finding.key == "hostname"));
    let more = found.findings.last().unwrap();
    assert_eq!((more.code, more.severity), ("E-CFG-MORE", Severity::Warning));
    let files: String = (0..150).map(|i| format!("- to: /x{i}\n")).collect();
    let found = check(format!("{warnings}files:\n{files}").as_bytes()).findings;
    assert!(found.iter().all(|finding| finding.severity == Severity::Error) && found.len() == 101);
}

#[test]
fn invisible_characters_are_refused() {
    for letter in ["\u{200b}", "\u{202e}", "\u{2060}", "\u{2069}"] {
        assert!(check(format!("ap: {{ssid: a{letter}b}}").as_bytes()).has_errors(), "{letter:?}");
    }
    assert!(!check("ap: {ssid: a\u{200d}b}".as_bytes()).has_errors());
}

#[test]
fn an_error_at_the_top_of_containers_leaves_the_last_good_ones() {
    let services = "services: {kiwix: {image: kiwix:2, ports: ['80:80']}, new: {image: new, networks: [n]}}";
    for keys in ["name: '-'", "networks: [n]", "include: [x.yml]"] {
        let now = after(&format!("containers: {{{keys}, {services}}}\n"));
        assert!(!errors(&now).is_empty() && now.changed.is_empty(), "{keys}: {:?}", now.findings);
    }
    let now = after(&format!("containers: {{networks: {{n: {{internal: perhaps}}}}, {services}}}\n"));
    assert_eq!((image(&now, "kiwix"), image(&now, "new")), (Some("kiwix:2"), None));
}

#[test]
fn much_of_one_thing_is_quick_and_limited() {
    let started = std::time::Instant::now();
    let all: Vec<String> = (0..195).map(|i| format!("s{i}")).collect();
    let all = all.join(",");
    let circle: String = (0..195).map(|i| format!("    s{i}: {{image: a, depends_on: [{all}]}}\n")).collect();
    assert!(check(format!("containers:\n  services:\n{circle}").as_bytes()).has_errors());
    let many: String = (0..30_000).map(|i| format!("    s{i}: {{image: a}}\n")).collect();
    assert!(check(format!("containers:\n  services:\n{many}").as_bytes()).has_errors());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    let files: String = (0..2001).map(|i| format!("- {{to: /data/f{i}, content: a}}\n")).collect();
    let checked = check(format!("files:\n{files}").as_bytes());
    assert_eq!((checked.settings.files.len(), checked.findings.len()), (2000, 1));
    assert_eq!((checked.findings[0].key.as_str(), checked.has_errors()), ("files", true));
}

#[test]
fn an_ssid_without_value_is_reported() {
    for given in ["ap:\n  ssid: #box\n", "ap: {ssid: ''}\n", "ap: {ssid: null}\n", "ap: {ssid: , hide: yes}\n"] {
        let checked = check(given.as_bytes());
        assert!(checked.has_errors() && checked.findings[0].key == "ap.ssid", "{given}: {:?}", checked.findings);
        assert!(checked.settings.ap.is_none());
        assert_eq!(errors(&in_force(None, Some(given.as_bytes()))), ["ap.ssid"], "{given}");
        let now = after(given);
        assert!(errors(&now).is_empty() && now.findings[0].key == "ap.ssid", "{given}: {:?}", now.findings);
        assert_eq!(now.settings.ap.unwrap().ssid, "Old name");
    }
}

#[test]
fn an_unknown_chipset_is_not_recorded() {
    let now = after("firmware: {brcm43456: raspios, brcm43455: raspios}\nother: 1\n");
    assert_eq!(errors(&now), ["firmware.brcm43456"]);
    assert_eq!(now.tree.0.get("firmware").unwrap().to_json().to_string(), r#"{"brcm43455":"raspios"}"#);
}

#[test]
fn keys_of_the_access_point_at_the_top_are_told_where_they_belong() {
    let flat = after("ap:\nssid: x\n");
    assert_eq!(errors(&flat), ["ssid"]);
    assert!(flat.tree.0.get("ssid").is_none() && flat.findings[0].advice.contains("two spaces"));
    let beside = after("ssid: x\n");
    assert!(errors(&beside).is_empty() && beside.findings[0].message.contains("below ap"));
}

#[test]
fn algorithms_and_numbers_are_recorded_plainly() {
    let digest = "0123456789abcdef0123456789abcdef01234567";
    for algo in ["sha1", "SHA-1", "Sha1", "sha-1"] {
        let given =
            format!("files:\n- {{to: /data/a, url: http://a/b, checksum: {{algo: {algo}, value: '{digest}'}}}}\n");
        let now = after(&given);
        assert!(errors(&now).is_empty() && now.settings.files[0].checksum.is_some(), "{algo}: {:?}", now.findings);
        assert!(to_yaml(&now.tree.0).contains("algo: sha-1\n"), "{}", to_yaml(&now.tree.0));
    }
    assert!(check(b"files: [{to: /data/a, url: http://a/b, via: tarr}]").findings[0].advice.contains("mean tar?"));
    assert_eq!(after("ap: {channel_24: 06}\n").settings.ap.unwrap().channel_24, 6);
    assert!(errors(&after("containers: {services: {a: {image: a, environment: {X: 0755}}}}\n")).is_empty());
}

#[test]
fn a_name_that_starts_a_comment_in_braces_is_an_error() {
    for given in ["ap: {ssid: #box}\n", "ap: {ssid: #box}\nhostname: box\n"] {
        let now = in_force(None, Some(given.as_bytes()));
        assert!(now.has_errors() && check(given.as_bytes()).has_errors(), "{given}: {:?}", now.findings);
    }
}

#[test]
fn the_tags_of_compose_are_kept_where_they_mean_something() {
    let given = "ap: {ssid: !reset x, channel_5: !override 40}\nfiles: !override []\ncontainers: !override\n  x-p: &p !reset []\n  services:\n    a: {image: a, ports: ['80:80'], labels: {x: y}}\n    b: {extends: a, ports: *p, labels: !override {z: !reset 1, a: !override }, volumes: [!override {source: /a, target: /b, type: bind}]}\n";
    let now = after(given);
    let tags: Vec<&str> =
        now.findings.iter().filter(|found| found.code == "E-CFG-TAG").map(|found| found.key.as_str()).collect();
    assert_eq!(tags, ["ap.ssid", "ap.channel_5", "files", "containers"]);
    assert_eq!(now.settings.ap.map(|point| point.channel_5), Some(40));
    let written = to_yaml(&now.settings.containers.unwrap().given);
    let expected = "    ports: !reset []\n    labels: !override\n      z: !reset '1'\n      a: !override ''\n    volumes:\n      - !override\n        source: /a\n";
    assert!(written.contains(expected), "{written}");
}
