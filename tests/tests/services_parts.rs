//! What services are given and what they share: configs, secrets, numbers of containers, the network of another; with the card's engine.

use offspot_agent::services::ServiceState;
use offspot_tests::other_release::Release;
use offspot_tests::rig::Rig;

/// `docker inspect` of one label.
fn label(rig: &Rig, container: &str, name: &str) -> String {
    rig.inspect(container, &format!("{{{{index .Config.Labels \"com.docker.compose.{name}\"}}}}"))
}

/// Name, id and state of each container, by name.
fn listed(rig: &Rig) -> Vec<String> {
    let listed = rig.engine().docker(&["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}} {{.State}}"]);
    let mut all: Vec<String> = listed.lines().map(str::to_owned).collect();
    all.sort();
    all
}

#[test]
fn configs_and_secrets_reach_containers_as_with_compose() {
    let rig = Rig::of(Some(Release::Trixie), "given");
    std::fs::create_dir_all(rig.root().join("data")).unwrap();
    std::fs::write(rig.root().join("data/conf"), "from a file").unwrap();
    let file = |content: &str| {
        let yaml = "
services:
  a:
    image: tiny:1
    user: '33:34'
    volumes: ['kept:/kept']
    configs:
      - text
      - file
      - {source: text, target: /etc/owned, uid: '7', gid: '8', mode: 0640}
      - {source: text, target: /kept/text}
    secrets: [word]
  ro: {image: tiny:1, read_only: true, configs: [text]}
  lost: {image: tiny:1, configs: [gone]}
configs:
  text: {content: CONTENT}
  file: {file: /data/conf}
  gone: {file: /data/gone}
secrets:
  word: {file: /data/conf}
volumes: {kept: }
";
        yaml.replace("CONTENT", content)
    };
    let run = rig.up(&file("one"));
    assert_eq!(
        run.sentences(),
        [
            "lost could not be started: its config gone, the file /data/gone: No such file or directory (os error 2)",
            "ro could not be started: text cannot be put into a container that is read_only: give it as a file",
        ]
    );
    assert_eq!(rig.names(), ["offspot-a-1"]);
    let stat = |path: &str| rig.exec(&["offspot-a-1", "stat", "-c", "%u %g %a", path]);
    let cat = |path: &str| rig.exec(&["offspot-a-1", "cat", path]);
    assert_eq!((stat("/text"), cat("/text")), ("0 0 444".to_owned(), "one".to_owned()));
    assert_eq!(stat("/etc/owned"), "7 8 640");
    assert_eq!((cat("/kept/text"), cat("/file"), cat("/run/secrets/word")), {
        ("one".to_owned(), "from a file".to_owned(), "from a file".to_owned())
    });
    let mounts = rig.inspect("offspot-a-1", "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}\n{{end}}");
    let mut mounts: Vec<&str> = mounts.lines().collect();
    mounts.sort_unstable();
    assert_eq!(mounts, ["bind /file false", "bind /run/secrets/word false", "volume /kept true"]);
    // Nothing changed: nothing is done. Then the content changed, then the file.
    let first = rig.id("offspot-a-1");
    rig.up(&file("one"));
    assert_eq!(rig.id("offspot-a-1"), first);
    rig.up(&file("two"));
    assert_eq!(rig.exec(&["offspot-a-1", "cat", "/text"]), "two");
    let second = rig.id("offspot-a-1");
    assert_ne!(second, first);
    std::fs::write(rig.root().join("data/conf.new"), "from another file").unwrap();
    std::fs::rename(rig.root().join("data/conf.new"), rig.root().join("data/conf")).unwrap();
    rig.up(&file("two"));
    assert_eq!(rig.exec(&["offspot-a-1", "cat", "/file"]), "from another file");
    assert_ne!(rig.id("offspot-a-1"), second);
}

#[test]
fn a_cut_between_making_and_giving_is_made_good() {
    let rig = Rig::of(Some(Release::Trixie), "giving");
    let file = |command: &str| {
        let yaml = "
services:
  db: {image: tiny:1, command: COMMAND}
  a:
    image: tiny:1
    networks: [one, two]
    configs: [text]
    depends_on: {db: {condition: service_completed_successfully}}
configs: {text: {content: text}}
networks: {one: , two: }
";
        yaml.replace("COMMAND", command)
    };
    let run = rig.up(&file("'false'"));
    let sentence = "a waits for db, which ended with exit code 1";
    assert_eq!(run.sentences(), [sentence, "db ended with exit code 1"]);
    let made = rig.inspect("offspot-a-1", "{{.Id}} {{.State.Status}}");
    assert!(made.ends_with("created"), "{made}");
    // As a cut leaves it that came before the second network and the config.
    rig.engine().docker(&["network", "disconnect", "offspot_two", "offspot-a-1"]);
    let empty = rig.root().join("empty");
    std::fs::write(&empty, "").unwrap();
    rig.engine().docker(&["cp", empty.to_str().unwrap(), "offspot-a-1:/text"]);
    // While it waits for nothing, nothing is made anew.
    rig.up(&file("'false'"));
    assert_eq!(rig.inspect("offspot-a-1", "{{.Id}} {{.State.Status}}"), made);
    rig.up(&file("'true'")).all_well();
    assert_eq!(rig.inspect("offspot-a-1", "{{.Id}}"), made.split(' ').next().unwrap());
    assert_eq!(rig.exec(&["offspot-a-1", "cat", "/text"]), "text");
    assert_eq!(rig.inspect("offspot-a-1", "{{len .NetworkSettings.Networks}}"), "2");
}

#[test]
fn more_and_fewer_containers_of_a_service() {
    let rig = Rig::of(Some(Release::Trixie), "scale");
    let file = |number: u32, host: &str| {
        format!(
            "
services:
  a: {{image: tiny:1, restart: unless-stopped, hostname: {host}, scale: {number}}}
  b: {{image: tiny:1, links: [a]}}
"
        )
    };
    rig.up(&file(3, "one")).all_well();
    assert_eq!(rig.names(), ["offspot-a-1", "offspot-a-2", "offspot-a-3", "offspot-b-1"]);
    assert_eq!(label(&rig, "offspot-a-3", "container-number"), "3");
    for name in ["offspot-a-1", "offspot-a-3", "a"] {
        rig.exec(&["offspot-b-1", "ping", "-c1", name]);
    }
    let three = listed(&rig);
    rig.up(&file(3, "one")).all_well();
    assert_eq!(listed(&rig), three);
    rig.up(&file(2, "one")).all_well();
    assert_eq!(listed(&rig), [&three[0..2], &three[3..]].concat());
    // A gap is not filled, as with compose.
    rig.engine().docker(&["rm", "-f", "offspot-a-1"]);
    rig.up(&file(2, "one")).all_well();
    assert_eq!(rig.names(), ["offspot-a-2", "offspot-a-3", "offspot-b-1"]);
    assert!(listed(&rig).contains(&three[1]));
    // Changed, all are made anew under their numbers.
    rig.up(&file(2, "two")).all_well();
    assert_eq!(rig.names(), ["offspot-a-2", "offspot-a-3", "offspot-b-1"]);
    assert!(!listed(&rig).contains(&three[1]));
    assert_eq!(label(&rig, "offspot-a-2", "replace"), three[1].split(' ').nth(1).unwrap());
    let run = rig.up(&file(0, "two")).all_well();
    assert_eq!(rig.names(), ["offspot-b-1"]);
    assert_eq!(run.state("b"), ServiceState::Running);
}

#[test]
fn what_is_made_upon_another_container_follows_it() {
    let rig = Rig::of(Some(Release::Trixie), "shared");
    rig.engine().docker(&["run", "-d", "--name", "foreign", "--network", "bridge", "tiny:1"]);
    let file = |host: &str| {
        let yaml = "
services:
  net: {image: tiny:1, restart: unless-stopped, network_mode: 'service:x', pid: 'service:x', ipc: 'service:x'}
  vols: {image: tiny:1, restart: unless-stopped, volumes_from: ['x:ro', 'container:foreign']}
  x: {image: tiny:1, restart: unless-stopped, ipc: shareable, volumes: ['/shared'], hostname: HOST}
";
        yaml.replace("HOST", host)
    };
    rig.up(&file("one")).all_well();
    let x = |rig: &Rig| rig.inspect("offspot-x-1", "{{.Id}}");
    let modes = |rig: &Rig| {
        let of = "{{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}";
        (rig.inspect("offspot-net-1", of), rig.inspect("offspot-vols-1", "{{.HostConfig.VolumesFrom}}"))
    };
    let expected = |x: &str| (format!("container:{x} container:{x} container:{x}"), format!("[{x}:ro foreign]"));
    assert_eq!(modes(&rig), expected(&x(&rig)));
    rig.exec(&["offspot-x-1", "touch", "/shared/here"]);
    rig.exec(&["offspot-vols-1", "ls", "/shared/here"]);
    let before = (listed(&rig), x(&rig));
    rig.up(&file("one")).all_well();
    assert_eq!(listed(&rig), before.0);
    // It is made anew, and so are those.
    rig.up(&file("two")).all_well();
    assert_ne!(x(&rig), before.1);
    assert_eq!(modes(&rig), expected(&x(&rig)));
    rig.exec(&["offspot-vols-1", "ls", "/shared/here"]);
    assert_eq!(rig.exec(&["offspot-net-1", "cat", "/etc/hostname"]), "two");
    // It ended and is started again: who shares its network is started after it.
    let started = |rig: &Rig| rig.inspect("offspot-net-1", "{{.State.StartedAt}}");
    let earlier = started(&rig);
    rig.stop("offspot-x-1");
    rig.up(&file("two")).all_well();
    assert_ne!(started(&rig), earlier);
    let net = |rig: &Rig, name: &str| rig.exec(&[name, "ls", "/sys/class/net"]);
    assert_eq!(net(&rig, "offspot-net-1"), net(&rig, "offspot-x-1"));
    // Without it, it is named.
    let run = rig.up(&file("two").replace("x: {image: tiny:1", "x: {image: 'no/such:1'"));
    assert_eq!(
        run.sentences(),
        [
            "net waits for x, which was not started: its image no/such:1 is not on the card",
            "vols waits for x, which was not started: its image no/such:1 is not on the card",
            "x was not started: its image no/such:1 is not on the card",
        ]
    );
}

#[test]
fn variables_come_from_files_of_the_box() {
    let rig = Rig::of(Some(Release::Trixie), "variables");
    std::fs::create_dir_all(rig.root().join("data")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(rig.root().join("data").join(name), text).unwrap();
    write("one.env", "A=1\nB=\"two $A\"\nC=one\n");
    write("two.env", "C=two\nD='$A'\nE=${A}${C}\n");
    let yaml = "
services:
  a:
    image: tiny:1
    environment: {B: own}
    env_file: [/data/one.env, /data/two.env, {path: /data/none.env, required: false}]
  b: {image: tiny:1, env_file: /data/none.env}
  c: {image: tiny:1, env_file: /data/pipe}
";
    let pipe = rig.root().join("data/pipe");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let run = rig.up(yaml);
    assert_eq!(
        run.sentences(),
        [
            "b could not be started: its env_file /data/none.env does not exist",
            "c could not be started: its env_file /data/pipe is no file",
        ]
    );
    let variables = || {
        let text = rig.inspect("offspot-a-1", "{{range .Config.Env}}{{println .}}{{end}}");
        let mut all: Vec<String> = text.lines().map(str::to_owned).filter(|line| !line.starts_with("PATH")).collect();
        all.sort();
        all.join(" ")
    };
    assert_eq!(variables(), "A=1 B=own C=two D=$A E=1one");
    let first = rig.id("offspot-a-1");
    rig.up(yaml);
    assert_eq!(rig.id("offspot-a-1"), first);
    write("two.env", "C=three\n");
    rig.up(yaml);
    assert_eq!(variables(), "A=1 B=own C=three");
}

#[test]
fn an_owner_that_is_a_name_is_refused_as_by_compose() {
    let rig = Rig::of(Some(Release::Trixie), "owner");
    let yaml = "
services:
  a: {image: tiny:1, configs: [{source: text, uid: www-data}]}
configs:
  text: {content: text}
";
    let run = rig.up(yaml);
    let said = run.sentences();
    assert!(said.len() == 1 && said[0].contains("uid must be a number"), "{said:?}");
    let path = rig.root().join("compose.yml");
    std::fs::write(&path, yaml).unwrap();
    let by_hand = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rig.compose(Release::Trixie, &["-p", "hand", "-f", path.to_str().unwrap(), "up", "-d"])
    }));
    let said = by_hand.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("www-data"), "{said}");
}

#[test]
fn an_engine_that_goes_away_meanwhile_is_what_is_named() {
    let mut rig = Rig::of(Some(Release::Trixie), "gone");
    let file = "services: {a: {image: 'tiny:1', healthcheck: {test: 'false', interval: 1s, retries: 100}}}";
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| rig.up_within(file, 10));
        while rig.names().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let engine = rig.engine().pid().to_string();
        assert!(std::process::Command::new("kill").args(["-KILL", &engine]).status().unwrap().success());
        run.join().unwrap()
    });
    let said = run.sentences();
    assert!(
        said.iter().any(|said| said.contains("the container engine failed while bringing up services")),
        "{said:#?}"
    );
    assert!(said.iter().all(|said| !said.contains("unhealthy")), "{said:#?}");
    rig.engine.as_mut().expect("an engine").kill_and_restart();
}
