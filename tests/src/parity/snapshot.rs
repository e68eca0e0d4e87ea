//! All that an engine says of all that it holds, with what is different by nature replaced by words: ids, names that the engine made
//! up, folders of this test, subnets from the pool.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::pair::POOL;
use crate::engine::PrivateEngine;

/// Longest wait for health checks and programs on their way.
const SETTLE: Duration = Duration::from_secs(30);

/// Most of an answer that is read, in bytes.
const LONGEST: u64 = 4 << 20;

/// The holdings of an engine.
#[derive(Debug)]
pub struct Snapshot {
    /// What it says of each, by kind and name: `container web-1`.
    pub objects: BTreeMap<(Kind, String), Value>,
    /// Id and start of each container by its name.
    pub lives: BTreeMap<String, (String, String)>,
}

/// Kinds of things in an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the engine's words")]
pub enum Kind {
    Container,
    Network,
    Volume,
}

impl Kind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Container => "container",
            Kind::Network => "network",
            Kind::Volume => "volume",
        }
    }
}

impl Snapshot {
    /// Waits until nothing is starting any more, and takes everything. `root`: of the box.
    pub fn take(engine: &PrivateEngine, root: &Path) -> Snapshot {
        let begun = Instant::now();
        let containers = loop {
            let containers = containers(engine);
            if !containers.iter().any(is_on_its_way) || begun.elapsed() > SETTLE {
                break containers;
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        let networks: Vec<Value> =
            list(&ask(engine, "/networks")).map(|one| ask(engine, &format!("/networks/{}", text(one, "Id")))).collect();
        let volumes: Vec<Value> = list(&ask(engine, "/volumes")["Volumes"])
            .map(|one| ask(engine, &format!("/volumes/{}", text(one, "Name"))))
            .collect();
        let lives = containers
            .iter()
            .map(|one| (name(one), (text(one, "Id").to_owned(), text(&one["State"], "StartedAt").to_owned())));
        let lives = lives.collect();
        let words = words(engine, root, &containers, &networks, &volumes);
        let mut objects = BTreeMap::new();
        for (kind, all) in [(Kind::Container, containers), (Kind::Network, networks), (Kind::Volume, volumes)] {
            for object in all {
                let object = replaced(&object, &words);
                objects.insert((kind, name(&object)), object);
            }
        }
        Snapshot { objects, lives }
    }
}

fn containers(engine: &PrivateEngine) -> Vec<Value> {
    let listed = ask(engine, "/containers/json?all=1");
    let inspected = list(&listed).map(|one| {
        let path = format!("/containers/{}", text(one, "Id"));
        let mut container = ask(engine, &format!("{path}/json"));
        let changes = ask(engine, &format!("{path}/changes"));
        container["Files"] = list(&changes).filter_map(|change| file(engine, &path, change)).collect();
        container["Changes"] = changes;
        bound(&mut container["HostConfig"]);
        container
    });
    inspected.collect()
}

/// Adds to the mounts what stands in the older form, `SOURCE:TARGET:OPTIONS`.
fn bound(host_config: &mut Value) {
    let binds: Vec<Value> = list(&host_config["Binds"]).filter_map(Value::as_str).map(mount).collect();
    if !binds.is_empty() {
        let mounts = list(&host_config["Mounts"]).cloned().chain(binds);
        host_config["Mounts"] = mounts.collect();
    }
}

fn mount(bind: &str) -> Value {
    let parts: Vec<&str> = bind.split(':').collect();
    let (source, target) = (parts[0], parts[1]);
    let typ = if source.starts_with('/') { "bind" } else { "volume" };
    let mut mount = json!({"Type": typ, "Source": source, "Target": target});
    for option in parts.get(2).copied().unwrap_or("rw").split(',') {
        match option {
            "ro" => mount["ReadOnly"] = true.into(),
            "rw" | "z" | "Z" => {}
            propagation => mount["BindOptions"] = json!({"Propagation": propagation}),
        }
    }
    mount
}

/// A file that was put into a container: its path, what the archive says of it, and what is in it.
fn file(engine: &PrivateEngine, container: &str, change: &Value) -> Option<Value> {
    // 1: added. A folder may be a mount's, and of any size.
    if change["Kind"] != 1 {
        return None;
    }
    let path = text(change, "Path");
    let body = get(engine, &format!("{container}/archive?path={path}")).ok()?;
    let mut archive = tar::Archive::new(&body[..]);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    let header = entry.header().clone();
    if !header.entry_type().is_file() {
        return None;
    }
    let mut content = String::new();
    entry.read_to_string(&mut content).ok()?;
    let (mode, uid, gid) = (header.mode().ok()?, header.uid().ok()?, header.gid().ok()?);
    Some(json!({"path": path, "mode": format!("{mode:o}"), "uid": uid, "gid": gid, "content": content}))
}

fn is_on_its_way(container: &Value) -> bool {
    container["State"]["Health"]["Status"] == "starting" || container["State"]["Restarting"] == true
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn name(object: &Value) -> String {
    text(object, "Name").trim_start_matches('/').to_owned()
}

/// What stands for what, the longest first.
fn words(
    engine: &PrivateEngine,
    root: &Path,
    containers: &[Value],
    networks: &[Value],
    volumes: &[Value],
) -> Vec<(String, String)> {
    let (exec, store) = (engine.socket().with_file_name("exec"), engine.data_root());
    let mut words = vec![
        (format!("{}/", root.display()), "/".to_owned()),
        (root.display().to_string(), "/".to_owned()),
        (exec.display().to_string(), "{exec}".to_owned()),
        (store.display().to_string(), "{store}".to_owned()),
    ];
    let mut nameless: Vec<&str> =
        volumes.iter().map(|volume| text(volume, "Name")).filter(|name| is_id(name)).collect();
    for container in containers {
        let (id, name) = (text(container, "Id"), name(container));
        words.push((id.to_owned(), format!("{{id of {name}}}")));
        words.push((id[..12].to_owned(), format!("{{short id of {name}}}")));
        for mount in list(&container["Mounts"]) {
            if is_id(text(mount, "Name")) {
                let word = format!("{{volume of {name} at {}}}", text(mount, "Destination"));
                words.push((text(mount, "Name").to_owned(), word));
                nameless.retain(|volume| *volume != text(mount, "Name"));
            }
        }
    }
    words.extend(nameless.iter().enumerate().map(|(i, name)| ((*name).to_owned(), format!("{{unused volume {i}}}"))));
    for network in networks {
        words.push((text(network, "Id").to_owned(), format!("{{id of {}}}", name(network))));
        let subnet = text(&network["IPAM"]["Config"][0], "Subnet");
        if let (true, Some((prefix, _))) = (subnet.starts_with(POOL), subnet.rsplit_once('.')) {
            words.extend(addresses(prefix, &name(network)));
        }
    }
    words.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    words
}

/// The addresses of a network from the pool: its own, and those that its containers get in the order of their start.
fn addresses(prefix: &str, network: &str) -> Vec<(String, String)> {
    let third = prefix.rsplit('.').next().and_then(|number| number.parse::<u8>().ok()).unwrap_or_default();
    let second = POOL.split('.').nth(1).and_then(|number| number.parse::<u8>().ok()).unwrap_or_default();
    let mut words = vec![(format!("{prefix}."), format!("{{pool of {network}}}."))];
    for last in 2..64 {
        words.push((format!("{prefix}.{last}"), format!("{{address in {network}}}")));
        words.push((format!("02:42:0a:{second:02x}:{third:02x}:{last:02x}"), format!("{{MAC in {network}}}")));
    }
    words
}

/// Whether a volume has no name but the one that the engine made up.
pub(super) fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn replaced(value: &Value, words: &[(String, String)]) -> Value {
    let word = |text: &str| words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    match value {
        Value::String(text) => Value::String(word(text)),
        Value::Array(items) => items.iter().map(|item| replaced(item, words)).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (word(key), replaced(value, words))).collect(),
        other => other.clone(),
    }
}

/// The engine's answer, whole: what `docker inspect` prints.
fn ask(engine: &PrivateEngine, path: &str) -> Value {
    let body = get(engine, path).unwrap_or_else(|answer| panic!("{path}: {answer}"));
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The body of an answer, or the whole answer where it is none.
fn get(engine: &PrivateEngine, path: &str) -> Result<Vec<u8>, String> {
    let mut stream = UnixStream::connect(engine.socket()).expect("the engine's socket");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The files that are looked at are small, answers are smaller; what else is asked for is not read to its end.
    stream.take(LONGEST).read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&answer[..end.unwrap_or(answer.len())]).into_owned();
    match end {
        Some(end) if head.contains(" 200 ") => Ok(answer.split_off(end + 4)),
        _ => Err(String::from_utf8_lossy(&answer).into_owned()),
    }
}
