//! `containers` on a real engine: what runs, what is left alone, what is made anew, what fails and what does not.

use std::time::Duration;

use offspot_agent::services::ServiceState;
use offspot_tests::rig::Rig;

#[test]
fn names_resolve_ports_answer_and_a_second_run_changes_nothing() {
    let this = Rig::new("a");
    std::fs::create_dir_all(this.root().join("data/www")).unwrap();
    std::fs::write(this.root().join("data/www/index.html"), "library").unwrap();
    let yaml = "
name: offspot
services:
  web:
    image: tiny:1
    container_name: web
    restart: unless-stopped
    pull_policy: never
    command: httpd -f -p 80 -h /www
    ports: ['8080:80']
    volumes:
      - {type: bind, source: /data/www, target: /www, read_only: true}
      - {type: bind, source: /data/made, target: /made, bind: {create_host_path: true}}
      - {type: bind, source: /var/run/internet, target: /var/run/internet, read_only: true}
  front:
    image: docker.io/library/tiny:1
    links: ['web:fqdn.hotspot']
    depends_on: {web: {condition: service_started, restart: true}}
";
    let first = this.up(yaml).all_well();
    assert_eq!(first.state("web"), ServiceState::Running);
    assert_eq!(this.names(), ["offspot-front-1", "web"]);
    for name in ["web", "fqdn.hotspot"] {
        let url = format!("http://{name}/");
        assert_eq!(this.exec(&["offspot-front-1", "wget", "-qO-", &url]), "library");
    }
    let page = this.engine().run_in_netns(&["busybox", "wget", "-qO-", "http://127.0.0.1:8080/"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&page.stdout), "library");
    assert_eq!(this.exec(&["web", "cat", "/var/run/internet"]), "offline");
    assert!(this.root().join("data/made").is_dir());
    let wrote = this.exec(&["web", "sh", "-c", "touch /www/x 2>&1; touch /made/x && echo ok"]);
    assert_eq!(wrote, "touch: /www/x: Read-only file system\nok");

    let before = (this.id("web"), this.id("offspot-front-1"));
    let second = this.up(yaml).all_well();
    assert_eq!(before, (this.id("web"), this.id("offspot-front-1")));
    eprintln!("first {:?}, second {:?}", first.took, second.took);

    // One changed: it alone is made anew, and who asked for it is started again.
    this.up(&yaml.replace("-p 80", "-v -p 80")).all_well();
    let after = (this.id("web"), this.id("offspot-front-1"));
    assert_ne!(before.0, after.0);
    assert_eq!(before.1[..64], after.1[..64]);
    assert_ne!(before.1, after.1);

    // One vanished; another has taken its container name.
    let renamed = yaml.split("  front:").next().unwrap().replace("  web:", "  www:");
    this.up(&renamed).all_well();
    assert_eq!(this.names(), ["web"]);
    assert_eq!(this.inspect("web", "{{index .Config.Labels \"com.docker.compose.service\"}}"), "www");
}

#[test]
fn each_failure_costs_itself_only() {
    let this = Rig::new("b");
    this.image("well:1", &["HEALTHCHECK --interval=1s CMD test -e /tmp/ready"]);
    this.engine().docker(&["run", "-d", "--name", "taken", "tiny:1"]);
    let yaml = r#"
services:
  good: {image: tiny:1, restart: unless-stopped}
  loop: {image: tiny:1, restart: unless-stopped, command: sh -c "exit 3"}
  absent: {image: "ghcr.io/a/absent:1"}
  broken: {image: "ghcr.io/a/broken:1"}
  after: {image: tiny:1, depends_on: [absent]}
  though: {image: tiny:1, depends_on: {absent: {condition: service_started, required: false}}}
  sick: {image: well:1}
  waits: {image: tiny:1, depends_on: {sick: {condition: service_healthy}}}
  well: {image: well:1, command: "sh -c 'sleep 1; touch /tmp/ready; sleep 1000'", restart: unless-stopped}
  once: {image: tiny:1, command: "true"}
  then: {image: tiny:1, depends_on: {once: {condition: service_completed_successfully}}}
  fails: {image: tiny:1, command: "false"}
  named: {image: tiny:1, container_name: taken}
  nobind: {image: tiny:1, volumes: ["/data/x.yaml:/y.yaml"]}
  nocmd: {image: tiny:1, command: /no/such/program}
  refused: {image: tiny:1, init: perhaps}
  noenv: {image: tiny:1, env_file: /data/x.env}
"#;
    let run = this.up_with(yaml, 12, &["ghcr.io/a/broken:1"]);
    let mut found: Vec<String> = run
        .problems
        .iter()
        .map(|problem| {
            let facts = problem.facts();
            let item = facts.sentence.split(' ').next().unwrap_or_default().to_owned();
            format!("{item} {}", facts.code)
        })
        .collect();
    found.sort();
    let expected = [
        "absent E-SERVICE-NO-IMAGE",
        "after E-SERVICE-WAITS",
        "broken E-SERVICE-IMAGE",
        "fails E-SERVICE-ENDED",
        "loop E-SERVICE-LOOPING",
        "named E-SERVICE-NAME",
        "nobind E-SERVICE-START",
        "nocmd E-SERVICE-START",
        "noenv E-SERVICE-START",
        "refused E-SERVICE-REFUSED",
        "sick E-SERVICE-UNHEALTHY",
        "waits E-SERVICE-WAITS",
    ];
    for problem in &run.problems {
        eprintln!("{problem}");
    }
    assert_eq!(found, expected);
    for (name, state) in [
        ("good", ServiceState::Running),
        ("though", ServiceState::Running),
        ("well", ServiceState::Healthy),
        ("once", ServiceState::Ended),
        ("then", ServiceState::Running),
    ] {
        assert_eq!(run.state(name), state, "{name}");
    }
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
    assert!(!this.root().join("data/x.yaml").exists());
    let once = this.inspect("offspot-once-1", "{{.State.FinishedAt}}");
    let then = this.inspect("offspot-then-1", "{{.State.StartedAt}}");
    assert!(once < then, "{once} {then}");
}

#[test]
fn volumes_live_on_and_an_interrupted_change_is_completed() {
    let this = Rig::new("c");
    this.image("store:1", &["VOLUME /data"]);
    let yaml = "
services:
  a: {image: store:1, container_name: aa, volumes: ['kept:/kept', '/cache'], restart: always}
volumes: {kept: }
";
    this.up(yaml).all_well();
    this.exec(&["aa", "touch", "/data/mine", "/kept/mine", "/cache/mine"]);
    let mounts = this.inspect("aa", "{{len .Mounts}}");
    this.up(&yaml.replace("restart: always", "restart: unless-stopped")).all_well();
    let there = ["exec", "aa", "ls", "/data/mine", "/kept/mine", "/cache/mine"];
    this.engine().docker(&there);
    assert_eq!(this.inspect("aa", "{{len .Mounts}}"), mounts);
    assert_eq!(
        this.inspect("aa", "{{range .Mounts}}{{.Name}} {{end}}")
            .split(' ')
            .filter(|name| *name == "offspot_kept")
            .count(),
        1
    );

    // Cut off after the old one has stepped aside.
    this.engine().docker(&["rename", "aa", "0123_aa"]);
    this.up(yaml).all_well();
    this.engine().docker(&there);
    assert_eq!(this.names(), ["aa"]);
    // Cut off after the new one was made, before it was started.
    let changed = yaml.replace("restart: always", "restart: always, user: '0'");
    for millis in [2u64, 10, 25, 50, 100, 200] {
        let changed = changed.replace("user: '0'", &format!("user: '0', hostname: h{millis}"));
        this.cut(&changed, millis);
        let run = this.up(&changed).all_well();
        assert_eq!(run.state("a"), ServiceState::Running);
        this.engine().docker(&there);
        assert_eq!(this.names(), ["aa"], "{millis}");
    }
}

#[test]
fn after_a_power_cut_all_is_up_again_without_being_made_anew() {
    let mut this = Rig::new("d");
    let yaml = "
services:
  a: {image: tiny:1, restart: unless-stopped}
  b: {image: tiny:1}
  c: {image: tiny:1, restart: always, volumes: ['/run/gone:/x'], depends_on: [b]}
";
    this.up(yaml).all_well();
    let id = |this: &Rig, name: &str| this.inspect(name, "{{.Id}}");
    let names = ["offspot-a-1", "offspot-b-1", "offspot-c-1"];
    let before = names.map(|name| id(&this, name));
    this.engine.as_mut().expect("an engine").kill_and_restart();
    std::fs::remove_dir_all(this.root().join("run/gone")).unwrap();
    this.up(yaml).all_well();
    assert_eq!(names.map(|name| id(&this, name)), before);
    assert_eq!(names.map(|name| this.inspect(name, "{{.State.Running}}")), ["true"; 3]);
    // The network is gone: the stopped container cannot start, and is made anew.
    this.engine().docker(&["rm", "-f", "offspot-a-1", "offspot-c-1"]);
    this.stop("offspot-b-1");
    this.engine().docker(&["network", "rm", "offspot_default"]);
    this.up(yaml).all_well();
    assert_eq!(this.names(), names);
}
