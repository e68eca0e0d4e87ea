//! What is made anew, what is left, what goes; and compose by hand on what we made. With the card's engine.

use offspot_agent::receipts::Receipts;
use offspot_tests::other_release::Release;
use offspot_tests::rig::Rig;

/// Id, name and start of every container, by name.
fn containers(rig: &Rig) -> Vec<String> {
    rig.names().iter().map(|name| format!("{name} {}", rig.id(name))).collect()
}

/// The verbs with which containers, networks and volumes were changed since `since`, in order.
fn changes(rig: &Rig, since: &str) -> Vec<String> {
    let until = now(rig);
    let format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
    let events = rig.engine().docker(&["events", "--since", since, "--until", &until, "--format", format]);
    events.lines().map(str::to_owned).collect()
}

/// By the engine's clock, in nanoseconds.
fn now(rig: &Rig) -> String {
    rig.engine().docker(&["info", "-f", "{{.SystemTime}}"]).trim().to_owned()
}

const FILE: &str = "
name: offspot
services:
  a: {image: tiny:1, networks: [one], restart: unless-stopped, volumes: ['kept:/kept'], labels: {x: '1'}}
  b: {image: tiny:1, networks: [one, two], restart: unless-stopped, depends_on: [a]}
  c: {image: tiny:1, networks: [two], restart: unless-stopped, depends_on: {a: {condition: service_started, restart: true}}}
  job: {image: tiny:1, command: 'true'}
networks:
  one: {labels: {x: '1'}}
  two: {}
volumes:
  kept: {labels: {x: '1'}}
";

#[test]
fn a_second_run_changes_nothing_and_what_another_hand_did_is_put_right() {
    let rig = Rig::of(Some(Release::Trixie), "again");
    rig.up(FILE).all_well();
    // Beyond the age at which a container without health check counts as steady.
    std::thread::sleep(std::time::Duration::from_secs(11));
    let (before, since) = (containers(&rig), now(&rig));
    let run = rig.again(FILE).all_well();
    assert_eq!(changes(&rig, &since), [""; 0]);
    assert_eq!(containers(&rig), before);
    eprintln!("with nothing to do {:?}", run.took);

    let name = |index: usize| before[index].split(' ').next().unwrap();
    assert_eq!([0, 1, 2, 3].map(name), ["offspot-a-1", "offspot-b-1", "offspot-c-1", "offspot-job-1"]);
    // Stopped by hand: started. Removed: made. Renamed: named. Taken out of a network: made anew. Paused: made anew.
    rig.stop("offspot-a-1");
    rig.again(FILE).all_well();
    assert_eq!(rig.id("offspot-a-1")[..64], before[0][12..76]);
    rig.engine().docker(&["rm", "-f", "offspot-a-1"]);
    rig.engine().docker(&["rename", "offspot-b-1", "other"]);
    rig.again(FILE).all_well();
    assert_ne!(rig.id("offspot-a-1")[..64], before[0][12..76]);
    assert_eq!(rig.id("offspot-b-1"), before[1][12..]);
    rig.engine().docker(&["network", "disconnect", "offspot_two", "offspot-b-1"]);
    rig.engine().docker(&["pause", "offspot-c-1"]);
    rig.again(FILE).all_well();
    assert_ne!(rig.id("offspot-b-1")[..64], before[1][12..76]);
    assert_ne!(rig.id("offspot-c-1")[..64], before[2][12..76]);
    assert_eq!(rig.names(), [0, 1, 2, 3].map(name));
    rig.exec(&["offspot-b-1", "ping", "-c1", "c"]);
}

#[test]
fn what_has_changed_is_made_anew_and_no_more() {
    let rig = Rig::of(Some(Release::Trixie), "change");
    rig.up(FILE).all_well();
    let before = containers(&rig);
    let ids = |all: &[String]| all.iter().map(|line| line[..line.len().min(76)].to_owned()).collect::<Vec<_>>();
    let network = |name: &str| rig.engine().docker(&["network", "inspect", "-f", "{{.Id}}", name]);
    let (one, two) = (network("offspot_one"), network("offspot_two"));

    // A changed network: its containers are stopped, put into the new one, and started.
    let changed = FILE.replace("one: {labels: {x: '1'}}", "one: {labels: {x: '2'}, internal: true}");
    let run = rig.up(&changed).all_well();
    assert!(run.notes.iter().any(|note| note.contains("network one")), "{:?}", run.notes);
    let after = containers(&rig);
    assert_eq!(ids(&after), ids(&before));
    assert_ne!(after[..2], before[..2]);
    assert_eq!(after[2], before[2]);
    assert_ne!(network("offspot_one"), one);
    assert_eq!(network("offspot_two"), two);
    rig.exec(&["offspot-b-1", "ping", "-c1", "a"]);
    rig.exec(&["offspot-b-1", "ping", "-c1", "c"]);

    // A changed volume stays.
    rig.exec(&["offspot-a-1", "touch", "/kept/mine"]);
    let with_volume = changed.replace("kept: {labels: {x: '1'}}", "kept: {labels: {x: '2'}}");
    let run = rig.up(&with_volume).all_well();
    assert!(run.notes.iter().any(|note| note.contains("volume kept")), "{:?}", run.notes);
    assert_eq!(ids(&containers(&rig)), ids(&before));

    // A changed service alone, and who asked for it is started again; its volume lives on.
    let last = containers(&rig);
    let with_service = with_volume.replace("labels: {x: '1'}}\n  b:", "labels: {x: '2'}}\n  b:");
    assert_ne!(with_service, with_volume);
    rig.up(&with_service).all_well();
    let after = containers(&rig);
    assert_ne!(ids(&after)[0], ids(&last)[0]);
    assert_eq!(after[1], last[1]);
    assert!(ids(&after)[2] == ids(&last)[2] && after[2] != last[2], "{after:?} {last:?}");
    rig.exec(&["offspot-a-1", "ls", "/kept/mine"]);

    // Another image under the same name.
    let last = containers(&rig);
    rig.image("tiny:2", &[]);
    rig.up(&with_service.replace("\n  b: {image: tiny:1", "\n  b: {image: tiny:2")).all_well();
    let other = containers(&rig);
    assert_ne!(ids(&other)[1], ids(&last)[1]);
    rig.image("tiny:2", &["LABEL x=y"]);
    rig.up(&with_service.replace("\n  b: {image: tiny:1", "\n  b: {image: tiny:2")).all_well();
    assert_ne!(ids(&containers(&rig))[1], ids(&other)[1]);

    // Removed, refused, and in no profile.
    let mut fewer = with_service.replace("\n  b: {image: tiny:1", "\n  b: {image: tiny:1, init: perhaps");
    fewer = fewer.replace("  job: {image: tiny:1, command: 'true'}\n", "");
    let run = rig.up(&fewer);
    assert_eq!(run.problems.len(), 1, "{:?}", run.problems);
    assert_eq!(rig.names(), ["offspot-a-1", "offspot-b-1", "offspot-c-1"]);
    let refused = rig.id("offspot-b-1");
    // Its network changes under it: it stays, and is in the new one.
    rig.up(&fewer.replace("x: '2'}, internal", "x: '3'}, internal"));
    assert_eq!(rig.id("offspot-b-1"), refused);
    rig.exec(&["offspot-b-1", "ping", "-c1", "a"]);
    rig.exec(&["offspot-a-1", "ping", "-c1", "b"]);
}

#[test]
fn who_waits_in_vain_is_named_with_the_chain() {
    let rig = Rig::of(Some(Release::Trixie), "chain");
    let yaml = "
services:
  db: {image: tiny:1, command: sh -c 'sleep 1; exit 1'}
  api: {image: tiny:1, depends_on: {db: {condition: service_completed_successfully}}}
  web: {image: tiny:1, depends_on: {api: {condition: service_healthy}}}
  plain: {image: tiny:1}
  unchecked: {image: tiny:1, depends_on: {plain: {condition: service_healthy}}}
  optional: {image: tiny:1, depends_on: {plain: {condition: service_healthy, required: false}, db: {condition: service_completed_successfully, required: false}}}
  follows: {image: tiny:1, depends_on: [db]}
";
    let run = rig.up(yaml);
    assert_eq!(
        run.sentences(),
        [
            "api waits for db, which ended with exit code 1",
            "db ended with exit code 1",
            "unchecked waits for plain, which has no health check",
            "web waits for api, which waits for db, which ended with exit code 1",
        ]
    );
    assert_eq!(rig.inspect("offspot-follows-1", "{{.State.Status}}"), "running");
    assert_eq!(rig.inspect("offspot-optional-1", "{{.State.Status}}"), "running");
    assert_eq!(rig.inspect("offspot-web-1", "{{.State.Status}}"), "created");
}

#[test]
fn compose_by_hand_works_on_what_we_made() {
    let rig = Rig::of(Some(Release::Trixie), "hand");
    let file = FILE.replace("  job: {image: tiny:1, command: 'true'}\n", "");
    std::fs::create_dir_all(rig.root().join("etc/docker")).unwrap();
    let path = rig.root().join("etc/docker/compose.yml");
    std::fs::write(&path, &file).unwrap();
    for (release, with_file) in
        [(Release::Trixie, false), (Release::Sid, false), (Release::Trixie, true), (Release::Sid, true)]
    {
        let mut project = vec!["-p", "offspot"];
        if with_file {
            project.extend(["-f", path.to_str().unwrap()]);
        }
        let compose = |words: &[&str]| rig.compose(release, &[&project[..], words].concat());
        rig.up(&file).all_well();
        let said = compose(&["ps", "--format", "{{.Name}} {{.Service}} {{.State}}"]);
        let mut lines: Vec<&str> = said.lines().filter(|line| line.starts_with("offspot-")).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["offspot-a-1 a running", "offspot-b-1 b running", "offspot-c-1 c running"], "{release:?}");
        compose(&["logs"]);
        let before = containers(&rig);
        compose(&["restart", "-t", "0", "b"]);
        let after = containers(&rig);
        assert!(after[1] != before[1] && after[1][..76] == before[1][..76] && after[0] == before[0], "{release:?}");
        compose(&["stop", "-t", "0"]);
        compose(&["start"]);
        assert_eq!(rig.inspect("offspot-c-1", "{{.State.Status}}"), "running");
        compose(&["down", "-t", "0"]);
        assert_eq!(rig.names(), [""; 0], "{release:?}");
        let networks = rig.engine().docker(&["network", "ls", "-q", "--filter", "name=offspot_"]);
        assert_eq!(networks, "", "{release:?}");
        assert!(rig.engine().docker(&["volume", "ls", "-q"]).contains("offspot_kept"), "{release:?}");
    }
}

#[test]
fn what_cannot_start_is_not_made_anew_each_time() {
    let rig = Rig::of(Some(Release::Trixie), "cannot");
    rig.engine().docker(&["network", "create", "outside"]);
    let yaml = "
services:
  a: {image: tiny:1, command: /no/such/program, networks: [outer]}
networks: {outer: {name: outside, external: true}}
";
    let first = rig.up(yaml);
    assert!(first.sentences()[0].starts_with("a could not be started: "), "{:?}", first.sentences());
    let id = rig.inspect("offspot-a-1", "{{.Id}}");
    let second = rig.again(yaml);
    assert_eq!(second.sentences(), first.sentences());
    assert_eq!(rig.inspect("offspot-a-1", "{{.Id}}"), id);
    // What was in its way is gone.
    rig.image("tiny:1", &["LABEL x=y"]);
    rig.again(&yaml.replace("/no/such/program", "sleep 1000")).all_well();
}

#[test]
fn an_image_that_is_loaded_again_costs_no_volume() {
    let rig = Rig::of(Some(Release::Trixie), "reload");
    rig.image("store:1", &["VOLUME /data"]);
    let tarball = rig.root().join("boot/firmware/offspot/images/store.tar");
    std::fs::create_dir_all(tarball.parent().unwrap()).unwrap();
    rig.engine().docker(&["save", "-o", tarball.to_str().unwrap(), "store:1"]);
    rig.engine().docker(&["rmi", "store:1"]);
    let yaml = "services: {a: {image: store:1, volumes: ['/cache'], scale: 2}}";
    rig.up(yaml).all_well();
    for name in ["offspot-a-1", "offspot-a-2"] {
        rig.exec(&[name, "sh", "-c", &format!("echo {name} > /data/mine; echo {name} > /cache/mine")]);
    }
    let receipts = rig.root().join("data/.offspot/receipts");
    let flip = || {
        let mut text = std::fs::read(&receipts).unwrap();
        // In the last record: what was recorded before it is doubtful then.
        let at = text.len() - 20;
        text[at] ^= 1;
        std::fs::write(&receipts, text).unwrap();
    };
    let ids = || ["offspot-a-1", "offspot-a-2"].map(|name| rig.inspect(name, "{{.Id}}"));
    let all_there = || {
        for name in ["offspot-a-1", "offspot-a-2"] {
            assert_eq!(rig.exec(&[name, "cat", "/data/mine", "/cache/mine"]), format!("{name}\n{name}"));
        }
    };
    let before = ids();
    flip();
    rig.up(yaml).all_well();
    assert!(ids().iter().all(|id| !before.contains(id)));
    all_there();
    // Nothing is left to be remembered.
    let kept = || Receipts::open(&rig.root().join("data/.offspot")).unwrap().0.volumes().remove("offspot");
    assert_eq!(kept().unwrap_or_default().len(), 0);
    // Cut off after the load, before a container is made.
    std::fs::write(&receipts, "").unwrap();
    rig.cut(yaml, 0);
    assert_eq!(rig.names(), [""; 0]);
    assert_eq!(kept().unwrap_or_default().len(), 2);
    rig.up(yaml).all_well();
    all_there();
}

#[test]
fn a_network_that_cannot_be_made_anew_stays_as_it_was() {
    let rig = Rig::of(Some(Release::Trixie), "overlap");
    rig.engine().docker(&["network", "create", "--subnet", "10.99.0.0/16", "other"]);
    let yaml = "
services:
  a: {image: tiny:1, networks: [one], restart: unless-stopped}
  b: {image: tiny:1, networks: [one]}
networks:
  one: {ipam: {config: [{subnet: 10.98.0.0/24}]}}
";
    rig.up(yaml).all_well();
    rig.engine().docker(&["run", "-d", "--name", "guest", "--network", "offspot_one", "tiny:1"]);
    let ids = || ["offspot-a-1", "offspot-b-1"].map(|name| rig.inspect(name, "{{.Id}} {{.State.Status}}"));
    let before = ids();
    let run = rig.up(&yaml.replace("10.98", "10.99"));
    let sentences = run.sentences();
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(sentences[0].starts_with("a could not be started: its network one could not be made: "), "{sentences:?}");
    assert!(sentences[0].contains("overlaps"), "{sentences:?}");
    assert!(run.notes.iter().any(|note| note == "the network one stays as it was"), "{:?}", run.notes);
    assert_eq!(ids(), before);
    let subnet = |rig: &Rig| {
        let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
        rig.engine().docker(&["network", "inspect", "-f", format, "offspot_one"]).trim().to_owned()
    };
    assert_eq!(subnet(&rig), "10.98.0.0/24");
    rig.exec(&["offspot-a-1", "ping", "-c1", "b"]);
    rig.exec(&["guest", "ping", "-c1", "a"]);
    // Nothing has changed, and then one that can be made.
    rig.up(yaml).all_well();
    assert_eq!(ids(), before);
    rig.up(&yaml.replace("10.98", "10.97")).all_well();
    assert_eq!((ids(), subnet(&rig)), (before, "10.97.0.0/24".to_owned()));
    rig.exec(&["offspot-a-1", "ping", "-c1", "b"]);
}

#[test]
fn a_name_moves_from_one_service_to_another() {
    let rig = Rig::of(Some(Release::Trixie), "name");
    let service = |name: &str| rig.inspect(name, "{{index .Config.Labels \"com.docker.compose.service\"}}");
    rig.up("services: {a: {image: tiny:1, container_name: xx}, b: {image: tiny:1}}").all_well();
    rig.up("services: {a: {image: tiny:1}, b: {image: tiny:1, container_name: xx}}").all_well();
    assert_eq!(rig.names(), ["offspot-a-1", "xx"]);
    assert_eq!(service("xx"), "b");
    // They change names.
    rig.up("services: {a: {image: tiny:1, container_name: yy}, b: {image: tiny:1, container_name: xx}}").all_well();
    rig.up("services: {a: {image: tiny:1, container_name: xx}, b: {image: tiny:1, container_name: yy}}").all_well();
    assert_eq!((rig.names(), service("xx"), service("yy")), (vec!["xx".into(), "yy".into()], "a".into(), "b".into()));
    // None is wanted of the one that has the name.
    rig.up("services: {a: {image: tiny:1, scale: 0}, b: {image: tiny:1, container_name: xx}}").all_well();
    assert_eq!((rig.names(), service("xx")), (vec!["xx".to_owned()], "b".into()));
    // The new one cannot be made: the old one stays, with its name.
    let id = rig.inspect("xx", "{{.Id}}");
    let run = rig.up("services: {b: {image: tiny:1, container_name: xx, volumes: ['/data/x.yaml:/y.yaml']}}");
    assert_eq!(run.sentences(), ["b could not be started: its bind source /data/x.yaml does not exist"]);
    assert_eq!(rig.inspect("xx", "{{.Id}}"), id);
    // About the one that has the name nothing can be done.
    let run = rig.up("services: {b: {image: 'no/such:1'}, c: {image: tiny:1, container_name: xx}}");
    let said = "c could not be started: its name xx is that of a container of b, which stays";
    assert_eq!(run.sentences(), ["b was not started: its image no/such:1 is not on the card", said]);
    assert_eq!(rig.inspect("xx", "{{.Id}}"), id);
}
