//! `containers` as types: what is taken, what refuses its service, what is only mentioned.

use offspot_config::compose::{self, Condition, MountKind, Project, Restart, Wiring};
use offspot_config::{Finding, Severity, yaml};

fn read(text: &str) -> (Project, Vec<Finding>) {
    let reading = yaml::read(text.as_bytes());
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    compose::read(&reading.root.expect("a document"))
}

/// Services `bad`, with these keys, and `good`.
fn beside(keys: &str) -> (Project, Vec<Finding>) {
    read(&format!("services:\n  bad: {{{keys}}}\n  good: {{image: a}}\n"))
}

#[test]
fn a_key_that_is_not_honoured_refuses_its_service_and_no_other() {
    for keys in [
        "image: a, extends: {service: good, file: x.yml}",
        "image: a, deploy: {mode: global}",
        "image: a, deploy: {mode: replicated-job}",
        "image: a, deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
        "image: a, label_file: x",
        "image: a, post_start: [{command: x}]",
        "image: a, provider: {type: x}",
        "image: a, models: [x]",
        "image: a, credential_spec: {file: x}",
        "image: a, isolation: hyperv",
        "image: a, gpus: all",
        "image: a, develop: {watch: []}",
        "image: a, ports: [{target: 80, x: 1}]",
        "image: a, volumes: [{type: bind, source: /a, target: /b, bind: {x: 1}}]",
        "image: a, networks: {default: {interface_name: x}}",
    ] {
        let (project, findings) = beside(keys);
        let [refused] = &project.refused[..] else {
            panic!("{keys}: {findings:?}");
        };
        assert_eq!(refused.name, "bad", "{keys}");
        assert_eq!(refused.finding.code, "E-CFG-COMPOSE-KEY", "{keys}: {findings:?}");
        assert_eq!(refused.finding.at.map(|at| at.line), Some(2), "{keys}");
        assert!(findings.contains(&refused.finding));
        assert_eq!(project.services.len(), 1, "{keys}");
    }
}

#[test]
fn a_value_that_cannot_be_used_refuses_its_service() {
    for (keys, code) in [
        ("ports: ['80:80']", "IMAGE"),
        ("build: .", "BUILD"),
        ("image: a, network_mode: host, ports: ['80:80']", "CLASH"),
        ("image: a, network_mode: host, networks: [default]", "CLASH"),
        ("image: a, container_name: ab, scale: 2", "CLASH"),
        ("image: a, scale: 2, deploy: {replicas: 3}", "CLASH"),
        ("image: a, mem_limit: 1m, deploy: {resources: {limits: {memory: 2m}}}", "CLASH"),
        ("image: a, extends: absent", "VALUE"),
        ("image: a, extends: bad", "VALUE"),
        ("image: a, extends: ", "VALUE"),
        ("image: a, labels: ['${']", "VALUE"),
        ("image: a, labels: ['${A?needed}']", "VALUE"),
        ("image: a, profiles: x", "VALUE"),
        ("image: a, security_opt: [a, a]", "VALUE"),
        ("image: a, secrets: [absent]", "VALUE"),
        ("image: a, configs: [absent]", "VALUE"),
        ("image: a, network_mode: 'service:absent'", "VALUE"),
        ("image: a, pid: 'service:absent'", "VALUE"),
        ("image: a, volumes_from: [absent]", "VALUE"),
        ("image: a, env_file: {format: raw}", "VALUE"),
        ("image: a, env_file: [{path: /a, format: odd}]", "VALUE"),
        ("image: a, uts: guest", "VALUE"),
        ("image: a, mac_address: 'x'", "VALUE"),
        ("image: a, device_cgroup_rules: [x]", "VALUE"),
        ("image: a, devices: [{target: /dev/x}]", "VALUE"),
        ("image: a, scale: 1000000", "VALUE"),
        ("image: a, depends_on: [bad]", "CLASH"),
        ("image: a, depends_on: [absent]", "VALUE"),
        ("image: a, links: ['absent:x']", "VALUE"),
        ("image: a, networks: [absent]", "VALUE"),
        ("image: a, volumes: ['absent:/x']", "VALUE"),
        ("image: a, volumes: ['~/a:/x']", "VALUE"),
        ("image: a, volumes: ['/a:x']", "VALUE"),
        ("image: a, \"<<\": {user: b}", "VALUE"),
        ("image: a, mem_limit: '512_000'", "VALUE"),
        ("image: a, volumes: ['/a:/']", "VALUE"),
        ("image: a, volumes: /a", "VALUE"),
        ("image: a, ports: ['x']", "VALUE"),
        ("image: a, ports: '80:80'", "VALUE"),
        ("image: a, restart: sometimes", "VALUE"),
        ("image: a, pull_policy: sometimes", "VALUE"),
        ("image: a, privileged: perhaps", "VALUE"),
        ("image: a, container_name: 'a b'", "VALUE"),
        ("image: a, command: 'echo \"'", "VALUE"),
        ("image: a, healthcheck: {test: [x]}", "VALUE"),
        ("image: a, healthcheck: {interval: 30}", "VALUE"),
        ("image: a, mem_limit: much", "VALUE"),
        ("image: a, depends_on: {good: {condition: x}}", "VALUE"),
        ("image: [a]", "VALUE"),
        ("image: A b", "IMAGE"),
    ] {
        let (project, findings) = beside(keys);
        let [refused] = &project.refused[..] else {
            panic!("{keys}: {findings:?}");
        };
        assert_eq!(refused.finding.code, format!("E-CFG-COMPOSE-{code}"), "{keys}: {findings:?}");
        assert_eq!(project.services.len(), 1, "{keys}");
    }
    for shape in ["services:\n  bad:\n  good: {image: a}", "services: {bad: x, good: {image: a}}"] {
        let (project, _) = read(shape);
        assert_eq!((project.refused.len(), project.services.len()), (1, 1), "{shape}");
    }
}

#[test]
fn what_is_only_mentioned() {
    for (keys, code) in [
        ("image: a, comand: x", "UNKNOWN"),
        ("image: a, build: .", "BUILD"),
        ("image: a, deploy: {endpoint_mode: vip}", "IGNORED"),
        ("image: a, pull_policy: always", "PULL"),
        ("image: a, pull_policy: every_12h", "PULL"),
        ("image: a, command: echo $HOME", "VARIABLE"),
        ("image: a, volumes: ['./a:/x']", "RELATIVE"),
        ("image: a, volumes: ['/a:/x:wo']", "IGNORED"),
        ("image: a, volumes: [{type: bind, source: /a, target: /b, bind: {recursive: disabled}}]", "IGNORED"),
        ("image: a, deploy: {restart_policy: {max_attempts: 3}}", "IGNORED"),
        ("image: a, mem_limit: 1e8", "IGNORED"),
    ] {
        let (project, findings) = beside(keys);
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [format!("E-CFG-COMPOSE-{code}")], "{keys}");
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(project.services.len(), 2, "{keys}");
    }
    for keys in [
        "image: a, pull_policy: never",
        "image: a, profiles: [], secrets: [], env_file: [], oom_kill_disable: false",
        "image: a, healthcheck: {test: []}",
        "image: a, ports: ['80:80/TCP']",
        "image: a, ports: , command: ~",
        "image: a, scale: 1, deploy: {replicas: 1}",
        "image: a, x-mine: 1, logging: {x-mine: 1}",
        "image: a, command: 'echo $$HOME $1'",
    ] {
        let (project, findings) = beside(keys);
        assert_eq!((project.services.len(), findings.len()), (2, 0), "{keys}: {findings:?}");
    }
}

#[test]
fn findings_say_where() {
    let (_, findings) = read("services:\n  kiwix:\n    image: a\n    ports:\n      - 80:80\n      - x\n");
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    let at = finding.at.map(|at| (at.line, at.column));
    assert_eq!((finding.key.as_str(), at), ("containers.services.kiwix.ports[1]", Some((6, 9))));
}

#[test]
fn values_mean_what_they_mean_to_compose() {
    let (project, findings) = read(
        "
name: offspot
services:
  a:
    image: a
    command: /bin/sh -c \"echo $$HOME {fqdn} *.zim\"
    environment: {NO: no, OCTAL: 0755, FLOAT: 1.0, NUM: 1e3, NULL_: , TEXT: 'a  b', TPL: '//x.{fqdn}/{y}', TIME: 22:22}
    restart: no
    ports: [22:22, 8080:22, 53:53/udp]
    volumes: ['/a/../b//c:/x/:ro', {type: bind, source: /var/run/internet, target: /i, bind: {create_host_path: false}}]
    entrypoint: []
    healthcheck: {test: curl $$URL, interval: 1m30s}
",
    );
    assert!(findings.is_empty(), "{findings:?}");
    let service = &project.services[0];
    let process = &service.process;
    let words = ["/bin/sh", "-c", "echo $HOME {fqdn} *.zim"].map(str::to_owned);
    assert_eq!(process.command.as_deref(), Some(&words[..]));
    assert_eq!(process.entrypoint, Some(vec![]));
    let environment: Vec<String> = process
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("<none>")))
        .collect();
    assert_eq!(
        environment,
        ["FLOAT=1", "NO=no", "NULL_=<none>", "NUM=1000", "OCTAL=493", "TEXT=a  b", "TIME=22:22", "TPL=//x.{fqdn}/{y}"]
    );
    assert_eq!(service.restart, Restart::No);
    assert_eq!(service.ports[1].published, "8080");
    assert_eq!((service.mounts[0].target.as_str(), service.mounts[0].read_only), ("/x", true));
    let MountKind::Bind { source, create, .. } = &service.mounts[0].kind else { panic!("{:?}", service.mounts) };
    assert_eq!((source.as_str(), *create), ("/b/c", true));
    assert!(matches!(service.mounts[1].kind, MountKind::Bind { create: false, .. }));
    let test = service.healthcheck.as_ref().and_then(|health| health.test.clone());
    assert_eq!(test, Some(vec!["CMD-SHELL".to_owned(), "curl $URL".to_owned()]));
    assert_eq!(service.container("offspot"), "offspot-a-1");
    assert!(!project.publishes(80));
}

#[test]
fn a_project_without_a_name_is_called_offspot() {
    let (project, _) = read("version: '3.9'\nservices: {a: {image: a}}");
    assert_eq!(project.name, "offspot");
    let Wiring::Joined(joined) = &project.services[0].wiring else { panic!() };
    assert_eq!(joined[0].network, "default");
    assert_eq!(project.networks[0].name, "offspot_default");
    for (name, expected, findings) in [
        ("''", "offspot", 0),
        ("Not Good", "notgood", 1),
        ("'_-É.2'", "2", 1),
        ("a_b-1", "a_b-1", 0),
        ("'É'", "offspot", 1),
    ] {
        let (project, found) = read(&format!("name: {name}\nservices: {{a: {{image: a}}}}"));
        assert_eq!((project.name.as_str(), found.len()), (expected, findings), "{name}");
    }
}

#[test]
fn services_come_after_those_they_need() {
    let (project, _) = read(
        "services: {c: {image: a, links: ['b:x']}, b: {image: a, depends_on: {a: {condition: service_healthy}}}, a: {image: a}}",
    );
    let names: Vec<&str> = project.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(project.services[1].depends_on[0].condition, Condition::Healthy);
    assert_eq!(project.services[2].depends_on[0].service, "b");
}

#[test]
fn services_stand_on_others_and_fall_with_them() {
    let refused = |text: &str| {
        let (project, findings) = read(text);
        let mut names: Vec<String> = project.refused.iter().map(|refused| refused.name.clone()).collect();
        names.sort();
        assert!(project.refused.iter().all(|refused| findings.contains(&refused.finding)));
        (names.join(" "), project)
    };
    let (names, project) =
        refused("services: {a: {extends: {service: b}, labels: {x: 1}}, b: {image: i, labels: {x: 0, y: 0}}}");
    let labels: Vec<&str> = project.services[0].labels.values().map(String::as_str).collect();
    assert_eq!((names.as_str(), project.services[0].image.as_str(), labels), ("", "i", vec!["1", "0"]));
    for (text, expected) in [
        ("services: {a: {extends: c, ports: x}, c: {image: c, ports: [80]}}", "a"),
        ("services: {a: {extends: b}, b: {image: i, labels: ['${']}, c: {image: c}}", "a b"),
        ("services: {a: {extends: b}, b: {extends: c}, c: {image: i, gpus: all}, d: {image: c}}", "a b c"),
        ("services: {a: {extends: b, image: x}, b: {labels: {x: 1}}, c: {image: c}}", "a b"),
        ("services: {a: {extends: b}, b: {image: i, extends: a}, c: {image: c}}", "a b"),
    ] {
        let (names, project) = refused(text);
        assert_eq!((names.as_str(), project.services.len()), (expected, 1), "{text}");
    }
}

#[test]
fn what_sleeps_is_neither_run_nor_refused() {
    let (project, findings) = read(
        "services: {a: {image: a}, b: {profiles: [dev], build: ., gpus: all, networks: [absent]}, c: {image: c, profiles: ['']}}",
    );
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((project.services.len(), project.dormant), (2, vec!["b".to_owned()]));
    let (project, _) = read("services: {a: {image: a, depends_on: [b]}, b: {profiles: [x], image: b}, c: {image: c}}");
    assert_eq!((project.services.len(), project.refused.len(), project.dormant.len()), (1, 1, 1));
    assert_eq!(project.refused[0].finding.message, "it depends on b, which is in no profile that is on");
}

#[test]
fn the_settings_keep_what_has_its_image_elsewhere() {
    let checked = offspot_config::check(
        b"containers: {services: {a: {extends: b, ports: ['${P:-80}:80']}, b: {image: b}, c: {profiles: [x], build: .}, d: {extends: e}}}",
    );
    let findings: Vec<&str> = checked.findings.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(findings, ["containers.services.d.extends"], "{:?}", checked.findings);
    let kept = checked.settings.containers.expect("containers").given;
    let names: Vec<&str> = kept
        .get("services")
        .and_then(|all| all.as_mapping())
        .unwrap()
        .iter()
        .map(|(name, _)| name.key_text())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn what_is_wrong_with_a_base_is_said_as_it_is() {
    let checked = offspot_config::check(
        b"containers: {services: {a: {extends: b, image: x}, b: {build: .}, c: {image: c}, d: {image: d, profiles: [x], network_mode: host, ports: ['80:80']}}}",
    );
    let errors = checked.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let mut said: Vec<&str> = errors.map(|finding| finding.message.as_str()).collect();
    said.sort_unstable();
    assert_eq!(said, ["it extends b, which has an error", "nothing is built on the box"]);
}

#[test]
fn what_nobody_uses_is_only_mentioned() {
    let text = |secrets: &str| {
        format!(
            "services: {{a: {{image: a, secrets: [{secrets}]}}, b: {{image: b}}}}\nsecrets: {{s: {{external: true}}}}"
        )
    };
    let (project, findings) = read(&text(""));
    assert_eq!((project.services.len(), findings.len(), findings[0].severity), (2, 1, Severity::Warning));
    let (project, findings) = read(&text("s"));
    assert_eq!((project.services.len(), project.refused.len()), (1, 1));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Error), "{findings:?}");
}

#[test]
fn too_many_ports_are_called_so() {
    for keys in
        ["ports: ['1-1001']", "ports: ['1-1001:1-1001']", "ports: [{target: '1-1001'}]", "expose: ['1-1001/udp']"]
    {
        let (project, _) = beside(&format!("image: a, {keys}"));
        assert_eq!(project.refused[0].finding.message, "there are more than 1000 ports", "{keys}");
    }
}

#[test]
fn merge_keys_and_anchors() {
    let (project, findings) =
        read("x-base: &base {restart: always, image: a}\nservices: {a: {<<: *base, image: b}, c: *base}");
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((project.services[0].image.as_str(), project.services[0].restart), ("b", Restart::Always));
    assert_eq!(project.services[1].image, "a");
}

#[test]
fn the_real_recipe_has_nothing_to_mention() {
    let text = include_str!("../../../tests/data/compose/tuto.offspot.yaml");
    let reading = yaml::read(text.as_bytes());
    let containers = reading.root.as_ref().and_then(|root| root.get("containers")).expect("containers");
    let (project, findings) = compose::read(containers);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((project.services.len(), project.refused.len()), (9, 0));
    assert!(project.publishes(80) && project.publishes(443));
}

#[test]
fn hostile_files_stay_small() {
    let many: String = (0..20_000).map(|i| format!("  s{i}: {{image: a, container_name: n{i}}}\n")).collect();
    let (project, findings) = read(&format!("services:\n{many}"));
    assert!(project.services.len() <= 200 && findings.len() <= 1300);
    assert_eq!(project.services.len() + project.refused.len(), 20_000);
    let ports = "'1-999:1-999', ".repeat(5_000);
    let (project, _) = beside(&format!("image: a, ports: [{ports}]"));
    assert_eq!(project.refused.len(), 1);
}

#[test]
fn owners_of_content_are_numbers() {
    let file = |keys: &str| {
        read(&format!(
            "configs: {{c: {{content: x}}, f: {{file: /f}}}}\nservices:\n  a:\n    image: a\n    configs:\n      - {{{keys}}}\n"
        ))
    };
    for keys in ["source: c, uid: www-data", "source: c, gid: staff", "source: c, uid: -1", "source: c, uid: '1.5'"] {
        let (project, _) = file(keys);
        let finding = &project.refused[0].finding;
        assert!(finding.message.contains("must be a number where"), "{keys}: {finding:?}");
        assert_eq!((finding.code, finding.at.map(|at| at.line)), ("E-CFG-COMPOSE-VALUE", Some(6)), "{keys}");
    }
    // Compose does not look at the owner of what is a file.
    for keys in ["source: c, uid: '33', gid: 34", "source: c, uid: ''", "source: c, uid: ", "source: f, uid: www-data"]
    {
        let (project, findings) = file(keys);
        assert!(project.refused.is_empty(), "{keys}: {findings:?}");
    }
}
