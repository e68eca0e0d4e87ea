//! The same compose file through `docker-compose` and through us, and what the engine says of both.

use std::process::Command;

use offspot_tests::rig::Rig;
use serde_json::{Value, json};

/// Every honoured key at least once, without what the reference (1.29) does not know. `@` is the root of the box.
const ALL: &str = r#"
services:
  words:
    image: tiny:1
    command: sh -c "echo 'a b' $$HOME {fqdn}; sleep 1000"
    entrypoint: ["env", "X=1"]
    environment: [A=1, "B=two words", C=]
    restart: "no"
  shapes:
    image: tiny:1
    container_name: shapes
    entrypoint: env Y=1
    command: [sleep, "1000"]
    environment: {A: 1, B: "true",  D: "", MULTI: "one\ntwo", LONG: "a  b"}
    restart: always
    user: "1:1"
    working_dir: /tmp
    hostname: shaped
    domainname: example.org
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    tty: true
    stdin_open: true
    labels: {org.a: b, org.n: 1}
    logging: {driver: json-file, options: {max-size: 1m}}
    group_add: ["44"]
  ports:
    image: tiny:1
    restart: on-failure:3
    expose: ["9000", "9001/udp"]
    ports:
      - "18080:80"
      - "127.0.0.1:18081:81/udp"
      - "18090-18091:90-91"
      - "95"
      - {target: 96, published: 18096, protocol: tcp}
    labels: [a=b, c]
  mounts:
    image: tiny:1
    restart: on-failure
    volumes:
      - "@/data/short:/short"
      - "@/data/ro:/ro:ro"
      - "@/data/z:/z:rw,z"
      - named:/named
      - named:/named-ro:ro
      - {type: bind, source: "@/data/long", target: /long, read_only: true}
      - {type: bind, source: "@/data/slave", target: /slave, bind: {propagation: rslave}}
      - {type: volume, source: named, target: /nocopy, volume: {nocopy: true}}
      - {type: tmpfs, target: /memory, tmpfs: {size: 1048576}}
    tmpfs: ["/scratch:size=64k"]
    read_only: true
  rights:
    image: tiny:1
    cap_add: [NET_ADMIN, SYS_TIME]
    cap_drop: [MKNOD]
    security_opt: ["no-new-privileges:true"]
    pid: host
    ipc: host
    devices: ["/dev/null:/dev/nothing:r", /dev/zero]
    sysctls: {net.ipv4.ip_forward: 1}
    dns: 9.9.9.9
    dns_search: [example.org]
    extra_hosts: ["a:1.2.3.4"]
  limits:
    image: tiny:1
    mem_limit: 64m
    mem_reservation: 32m
    shm_size: 16mb
    cpus: 0.5
    cpu_shares: 512
    pids_limit: 50
    ulimits: {nproc: 100, nofile: {soft: 100, hard: 200}}
    oom_score_adj: 100
    init: true
  host:
    image: tiny:1
    network_mode: host
    expose: ["2080", "2443"]
    privileged: true
  alone:
    image: tiny:1
    network_mode: none
  health:
    image: tiny:1
    healthcheck: {test: "true", interval: 1m30s, timeout: 5s, retries: 4, start_period: 20s}
    depends_on: [words]
  healthlist:
    image: tiny:1
    healthcheck: {test: [CMD, "true"], interval: 1s}
    networks: [back]
  unhealthy:
    image: tiny:1
    healthcheck: {disable: true}
    networks:
      back: {aliases: [other, name], ipv4_address: 10.99.0.77}
  joined:
    image: tiny:1
    links: ["ports:fqdn", health]
    networks:
      default: {aliases: [def]}
      front: {priority: 100}
networks:
  back:
    driver: bridge
    internal: true
    ipam: {config: [{subnet: 10.99.0.0/24, gateway: 10.99.0.1}]}
    labels: {a: b}
  front: {}
volumes:
  named: {labels: {a: b}}
"#;

const CONFIG: [&str; 13] = [
    "Cmd",
    "Domainname",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Image",
    "OpenStdin",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "User",
    "WorkingDir",
];
const HOST: [&str; 34] = [
    "AutoRemove",
    "CapAdd",
    "CapDrop",
    "CpuShares",
    "CpusetCpus",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "IpcMode",
    "LogConfig",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "NetworkMode",
    "OomScoreAdj",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "RestartPolicy",
    "SecurityOpt",
    "ShmSize",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "UsernsMode",
];

/// What must be equal, with the words of each program taken out.
fn comparable(container: &Value, project: &str) -> Value {
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let mut all = json!({});
    for key in CONFIG {
        all[key] = bare(&config[key]);
    }
    for key in HOST {
        all[key] = bare(&host[key]);
    }
    let id = container["Id"].as_str().unwrap();
    if config["Hostname"].as_str() != id.get(..12) {
        all["Hostname"] = config["Hostname"].clone();
    }
    let labels = config["Labels"].as_object().unwrap().iter();
    all["Labels"] = labels
        .filter(|(name, _)| !name.starts_with("com.docker.compose"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for label in ["project", "service", "container-number", "oneoff"] {
        all[format!("label {label}")] = config["Labels"][format!("com.docker.compose.{label}")].clone();
    }
    all["Mounts"] = mounts(container);
    all["Networks"] = networks(container, id);
    // Compose 2 joins project, service and number with dashes where 1.29 has underscores.
    all["Name"] = container["Name"].as_str().unwrap().replace('_', "-").into();
    // The rig has all containers end at once.
    all["StopSignal"] = bare(&config["StopSignal"].as_str().filter(|signal| *signal != "SIGKILL").into());
    if host["RestartPolicy"]["Name"] == "" {
        all["RestartPolicy"]["Name"] = "no".into();
    }
    serde_json::from_str(&all.to_string().replace(project, "P")).unwrap()
}

/// Null, empty and `false` say the same here; lists without order are sorted.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Object(entries) if entries.is_empty() => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Bool(false) => Value::Null,
        Value::Array(items) if items.iter().all(|item| item.is_object()) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Array(items) if items.iter().all(|item| item.as_str().is_some_and(|text| text.contains('='))) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn mounts(container: &Value) -> Value {
    let mounts = container["Mounts"].as_array().unwrap().iter();
    let one = |mount: &Value| {
        let propagation = if mount["Type"] == "bind" { mount["Propagation"].clone() } else { Value::Null };
        let nameless = mount["Name"].as_str().is_some_and(|name| name.len() == 64);
        let source = match mount["Type"].as_str() {
            Some("bind") => mount["Source"].clone(),
            _ if nameless => Value::Null,
            _ => mount["Name"].clone(),
        };
        let target = mount["Destination"].as_str().unwrap().to_owned();
        (target, json!([mount["Type"], source, mount["RW"], propagation]))
    };
    mounts.map(one).collect()
}

fn networks(container: &Value, id: &str) -> Value {
    let networks = container["NetworkSettings"]["Networks"].as_object().unwrap().iter();
    let one = |(name, network): (&String, &Value)| {
        let list = |key: &str| network[key].as_array().cloned().unwrap_or_default();
        let ours = container["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
        let hostname = container["Config"]["Hostname"].as_str().unwrap();
        // The engine adds short id and host name when it starts; compose 1.29 gives the service, compose 2 the name of the container too.
        let mut aliases: Vec<String> =
            list("Aliases").iter().filter_map(|alias| Some(alias.as_str()?.to_owned())).collect();
        aliases.retain(|alias| !id.starts_with(alias.as_str()) && *alias != ours && alias != hostname);
        aliases.sort();
        aliases.dedup();
        let links = !list("Links").is_empty();
        (name.clone(), json!([aliases, links, network["IPAMConfig"]["IPv4Address"]]))
    };
    networks.map(one).collect()
}

fn inspect_all(rig: &Rig, project: &str) -> Vec<(String, Value)> {
    let filter = format!("label=com.docker.compose.project={project}");
    let ids = rig.engine().docker(&["ps", "-aq", "--filter", &filter]);
    let ids: Vec<&str> = ids.lines().collect();
    let text = rig.engine().docker(&[&["inspect"], &ids[..]].concat());
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut all: Vec<(String, Value)> = all
        .iter()
        .map(|container| {
            let service = container["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap();
            (service.to_owned(), comparable(container, project))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn compose(rig: &Rig, project: &str, file: &std::path::Path, arguments: &[&str]) {
    let output = Command::new("docker-compose")
        .env("DOCKER_HOST", format!("unix://{}", rig.engine().socket().display()))
        .args(["-p", project, "-f"])
        .arg(file)
        .args(arguments)
        .output()
        .expect("apt-get install docker-compose");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Both programs on the same file, one after the other, with the same project name.
fn both(rig: &Rig, ours: &str, theirs: &str, project: &str, start: &[&str]) {
    let file = rig.root().join("compose.yml");
    std::fs::write(&file, theirs).unwrap();
    compose(rig, project, &file, &["up", "--no-start"]);
    // 1.29 makes the links, and joins further networks, when it starts a container.
    if !start.is_empty() {
        compose(rig, project, &file, &[&["up", "-d"], start].concat());
    }
    let expected = inspect_all(rig, project);
    compose(rig, project, &file, &["down", "-t", "0"]);
    let run = rig.up_within(ours, 1);
    for problem in &run.problems {
        eprintln!("{problem}");
    }
    let found = inspect_all(rig, project);
    let names = |all: &[(String, Value)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    let mut differences = Vec::new();
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        for (key, value) in expected.as_object().unwrap() {
            if found[key] != *value {
                differences.push(format!("{name} {key}: compose {value}, we {}", found[key]));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_key_as_compose_has_it() {
    let rig = Rig::new("parity");
    let root = rig.root().display().to_string();
    for folder in ["short", "ro", "z", "long", "slave"] {
        std::fs::create_dir_all(rig.root().join("data").join(folder)).unwrap();
    }
    both(
        &rig,
        &format!("name: par\n{}", ALL.replace('@', "")),
        &ALL.replace('@', &root),
        "par",
        &["ports", "health", "joined"],
    );
}

#[test]
fn a_real_recipe_as_compose_has_it() {
    let rig = Rig::new("recipe");
    let recipe = include_str!("../data/compose/tuto.offspot.yaml");
    let images: std::collections::BTreeSet<&str> =
        recipe.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert_eq!(images.len(), 8);
    for image in images {
        rig.engine().docker(&["tag", "tiny:1", image]);
    }
    // The value of `containers`, one level up.
    let start = recipe.find("containers:").unwrap();
    let end = recipe.find("ethernet:").unwrap();
    let containers: String = recipe[start..end].lines().skip(1).map(|line| format!("{}\n", &line[2..])).collect();
    let root = rig.root().display().to_string();
    let theirs = containers
        .replace("name: offspot\n", "")
        .replace("        restart: true\n", "")
        .replace("source: /", &format!("source: {root}/"));
    // 1.29 does not make the folders of the long form.
    for line in containers.lines() {
        if let Some(source) =
            line.trim().strip_prefix("source: /").filter(|path| !path.contains('.') || path.ends_with(".org"))
        {
            std::fs::create_dir_all(rig.root().join(source)).unwrap();
        }
    }
    std::fs::remove_dir_all(rig.root().join("var/run")).unwrap();
    std::fs::write(rig.root().join("data/contents/dashboard.yaml"), "").unwrap();
    std::fs::create_dir_all(rig.root().join("run")).unwrap();
    std::fs::write(rig.root().join("run/internet"), "online\n").unwrap();
    // The link is read below the root, so the reference gets the file itself.
    std::os::unix::fs::symlink("/run", rig.root().join("var/run")).unwrap();
    let theirs = theirs.replace(&format!("{root}/var/run/internet"), &format!("{root}/run/internet"));
    both(&rig, &containers, &theirs, "offspot", &[]);
}
