//! What people type: `docker compose -p offspot …` of the card's own release, against what we made.

use std::path::Path;

use offspot_tests::other_release::{Programs, Release};
use offspot_tests::parity::Side;
use offspot_tests::parity::pair::Pair;
use offspot_tests::parity::stock::Stock;

const FILE: &str = "
name: offspot
services:
  web:
    image: tiny:1
    container_name: web
    command: sh -c 'echo the web speaks; exec sleep 10000'
    restart: unless-stopped
    ports: ['8080:80']
    volumes: [kept:/kept, /box/data/www:/www]
    networks: [default, back]
  db:
    image: tiny:1
    command: sh -c 'echo the database speaks; exec sleep 10000'
    healthcheck: {test: 'true', interval: 1s}
    networks: [back]
  app:
    image: tiny:1
    scale: 2
    command: sh -c 'echo an application speaks; exec sleep 10000'
    depends_on: {db: {condition: service_healthy}, web: {condition: service_started}, ended: {condition: service_completed_successfully}, off: {condition: service_started, required: false}}
    links: [web:fqdn]
  inside: {image: 'tiny:1', network_mode: 'service:web'}
  ended: {image: 'tiny:1', command: 'true'}
  off: {image: 'tiny:1', profiles: [debug]}
networks: {back: {internal: true}}
volumes: {kept: }
";

#[test]
fn docker_compose_by_hand_works_on_what_we_made() {
    let folder = std::env::temp_dir().join(format!("o-hand-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let programs = Programs::of(Release::Trixie).unwrap();
    let stock = Stock::make(&folder, &programs, &Default::default());
    let pair = Pair::start(&folder, &programs, &stock);
    assert_eq!(pair.up(Side::Ours, "hand", FILE), Vec::<String>::new());
    looked_at(&pair, &folder);
    restarted(&pair, &folder);
    stopped_and_started(&pair, &folder);
    taken_down(&pair, &folder);
    drop(pair);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn compose(pair: &Pair, folder: &Path, arguments: &[&str]) -> String {
    let said = pair.compose(Side::Ours, folder, &[&["-p", "offspot"], arguments].concat()).unwrap();
    // It clears its line before each, terminal or not.
    said.replace("\u{1b}[2K", "")
}

fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.sort_unstable();
    lines
}

const RUNNING: [&str; 5] = ["offspot-app-1", "offspot-app-2", "offspot-db-1", "offspot-inside-1", "web"];

fn looked_at(pair: &Pair, folder: &Path) {
    let say = |arguments: &[&str]| compose(pair, folder, arguments);
    assert_eq!(lines(&say(&["ps", "--format", "{{.Name}}"])), RUNNING);
    let services = say(&["ps", "-a", "--format", "{{.Service}} {{.State}} {{.Health}}"]);
    let expected =
        ["app running", "app running", "db running healthy", "ended exited", "inside running", "web running"];
    assert_eq!(lines(&services), expected);
    assert_eq!(lines(&say(&["ps", "--services"])), ["app", "db", "inside", "web"]);
    assert_eq!(lines(&say(&["ps", "-q", "web"])).len(), 1);
    let logs = say(&["logs", "--no-color"]);
    for line in ["web", "offspot-db-1", "offspot-app-1", "offspot-app-2"] {
        let line = lines(&logs).into_iter().find(|said| {
            said.split('|').next().is_some_and(|name| {
                let name = name.trim();
                name == line || format!("offspot-{name}") == line
            })
        });
        assert!(line.is_some_and(|line| line.ends_with("speaks")), "{logs}");
    }
    assert_eq!(lines(&say(&["logs", "--no-log-prefix", "db"])), ["the database speaks"]);
    assert!(say(&["top", "db"]).contains("sleep 10000"));
    assert_eq!(say(&["exec", "-T", "db", "echo", "hello"]), "hello\n");
    assert_eq!(say(&["port", "web", "80"]), "0.0.0.0:8080\n");
    assert_eq!(lines(&say(&["images", "-q"])).len(), 1);
    assert!(say(&["ls", "-a"]).contains("/etc/docker/compose.yml"));
    let listed = pair.compose(Side::Ours, folder, &["ls", "--format", "json"]).unwrap();
    assert!(listed.contains(r#""Name":"offspot","Status":"running(5)""#), "{listed}");
}

fn restarted(pair: &Pair, folder: &Path) {
    let before = pair.snapshot(Side::Ours, "hand").lives;
    compose(pair, folder, &["restart", "-t", "0", "db"]);
    let after = pair.snapshot(Side::Ours, "hand").lives;
    assert_eq!(before["offspot-db-1"].0, after["offspot-db-1"].0);
    assert_ne!(before["offspot-db-1"].1, after["offspot-db-1"].1);
    assert_eq!(before["web"], after["web"]);
    compose(pair, folder, &["restart", "-t", "0"]);
    let all = pair.snapshot(Side::Ours, "hand").lives;
    for name in RUNNING {
        assert_eq!(all[name].0, before[name].0, "{name}");
        assert_ne!(all[name].1, after[name].1, "{name}");
    }
    // It was brought up by hand; we still find nothing to do but what ended.
    assert_eq!(pair.up(Side::Ours, "hand", FILE), Vec::<String>::new());
    let again = pair.snapshot(Side::Ours, "hand").lives;
    RUNNING.iter().for_each(|name| assert_eq!(again[*name], all[*name], "{name}"));
}

fn stopped_and_started(pair: &Pair, folder: &Path) {
    let before = pair.snapshot(Side::Ours, "hand").lives;
    compose(pair, folder, &["stop", "-t", "0"]);
    assert_eq!(compose(pair, folder, &["ps", "-q"]), "");
    compose(pair, folder, &["start"]);
    let after = pair.snapshot(Side::Ours, "hand").lives;
    RUNNING.iter().for_each(|name| assert_eq!(after[*name].0, before[*name].0, "{name}"));
    assert_eq!(lines(&compose(pair, folder, &["ps", "--format", "{{.Name}}"])), RUNNING);
    compose(pair, folder, &["rm", "-sfv", "inside"]);
    assert!(!pair.snapshot(Side::Ours, "hand").lives.contains_key("offspot-inside-1"));
    assert_eq!(pair.up(Side::Ours, "hand", FILE), Vec::<String>::new());
    assert!(pair.snapshot(Side::Ours, "hand").lives.contains_key("offspot-inside-1"));
}

/// Volumes are kept unless asked for; with `-v` nothing of the project is left.
fn taken_down(pair: &Pair, folder: &Path) {
    compose(pair, folder, &["down", "-t", "0"]);
    let names = || -> Vec<String> {
        let held = pair.snapshot(Side::Ours, "hand").objects;
        let names = held.keys().map(|(kind, name)| format!("{} {name}", kind.word()));
        names.filter(|name| name.contains("offspot") || name.ends_with(" web")).collect()
    };
    assert_eq!(names(), ["volume offspot_kept"]);
    assert_eq!(pair.up(Side::Ours, "hand", FILE), Vec::<String>::new());
    compose(pair, folder, &["down", "-t", "0", "-v"]);
    assert_eq!(names(), Vec::<String>::new());
}
