//! One service: every key that is honoured, and a word on every one that is not.

use super::given::{self, Kind};
use super::model::{Condition, Dependency, EnvFile, Logging, Restart, Service, VolumesSource, Wiring};
use super::place::Place;
use super::{deploy, health, keys, limits, mounts, networks, ports, words};
use crate::rules::content;
use crate::{Node, code};

/// The service as far as it could be read; whether it may run is for the errors noted to say.
pub(super) fn read(name: &str, place: &Place<'_>) -> Service {
    let mut service = Service { name: name.to_owned(), ..Service::default() };
    let entries = place.entries();
    let has = |key: &str| entries.iter().any(|(name, value)| name == key && !value.is_null());
    for (key, value) in &entries {
        // A key without value is an absent key.
        if value.is_null() {
            continue;
        }
        let taken = about(&mut service, key, value)
            || files(&mut service, key, value)
            || process(&mut service, key, value)
            || wiring(&mut service, key, value)
            || limits::isolation(&mut service.isolation, key, value)
            || limits::limits(&mut service.limits, key, value);
        if !taken {
            keys::not_taken(key, value, has("image"));
        }
    }
    if let Some((_, value)) = entries.iter().find(|(name, value)| name == "deploy" && !value.is_null()) {
        deploy::read(&mut service, value, &has);
    }
    if (place.is_mapping() || place.is_null()) && service.image.is_empty() && !has("build") {
        let advice = "name the image of its tarball";
        place.note(code::COMPOSE_IMAGE, crate::Severity::Error, "image is missing", advice);
    }
    clashes(place, &service);
    imply(&mut service);
    service
}

fn clashes(place: &Place<'_>, service: &Service) {
    let refuse = |message: &str| {
        let advice = "leave one of the two out";
        place.note(code::COMPOSE_CLASH, crate::Severity::Error, message, advice);
    };
    let says = |key: &str| place.node.get(key).is_some_and(|value| !value.is_empty());
    if says("network_mode") && says("networks") {
        refuse("network_mode and networks exclude each other");
    }
    if service.wiring == Wiring::Mode("host".to_owned()) && !service.ports.is_empty() {
        refuse("network_mode: host and ports exclude each other");
    }
    if service.container_name.is_some() && service.replicas.0 > 1 {
        refuse("container_name and more than one container exclude each other");
    }
}

/// What a service uses of another makes it depend on that one.
fn imply(service: &mut Service) {
    let shared = [&service.isolation.pid, &service.isolation.ipc];
    let mut others: Vec<(String, bool)> = service.links.iter().map(|(other, _)| (other.clone(), true)).collect();
    let named = |mode: &String| Some((mode.strip_prefix("service:")?.to_owned(), true));
    others.extend(shared.into_iter().flatten().filter_map(named));
    if let Wiring::Service(other) = &service.wiring {
        others.push((other.clone(), true));
    }
    for from in &service.volumes_from {
        if let VolumesSource::Service(other) = &from.source {
            others.push((other.clone(), false));
        }
    }
    for (other, restart) in others {
        if service.depends_on.iter().all(|known| known.service != other) {
            service.depends_on.push(Dependency { restart, ..started(other) });
        }
    }
}

fn about(service: &mut Service, key: &str, value: &Place<'_>) -> bool {
    match key {
        "image" => service.image = image(value).unwrap_or_default(),
        "container_name" => {
            let message = "must be two or more letters, digits, _ . or -, the first a letter or digit";
            service.container_name = value.parsed_filled(container_name, message);
        }
        "platform" => service.platform = value.filled_text(),
        "restart" => service.restart = restart(value).unwrap_or_default(),
        "pull_policy" => pull_policy(value),
        "scale" => service.replicas = deploy::replicas(value).unwrap_or_default(),
        "labels" => service.labels = value.filled(),
        "annotations" => service.annotations = value.filled(),
        "logging" => service.logging = Some(logging(value)),
        "healthcheck" => service.healthcheck = health::read(value),
        // Only says whether `compose up` shows the output.
        "attach" => {}
        // Read before, or after, all other keys.
        "extends" | "deploy" => {}
        "profiles" => drop(value.list()),
        _ => return false,
    }
    true
}

fn files(service: &mut Service, key: &str, value: &Place<'_>) -> bool {
    match key {
        "volumes" => service.mounts = mounts::read(value),
        "volumes_from" => service.volumes_from = mounts::volumes_from(value),
        "configs" => service.configs = given::given(Kind::Config, value),
        "secrets" => service.secrets = given::given(Kind::Secret, value),
        "env_file" => service.process.env_file = env_files(value),
        _ => return false,
    }
    true
}

fn env_files(place: &Place<'_>) -> Vec<EnvFile> {
    let items = if place.is_sequence() { place.items() } else { vec![place.clone()] };
    let mut files: Vec<EnvFile> = items.iter().filter_map(env_file).collect();
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.path.clone()));
    files
}

fn env_file(place: &Place<'_>) -> Option<EnvFile> {
    if !place.is_mapping() {
        let path = mounts::host_path(place, &place.text()?)?;
        return Some(EnvFile { path, required: true, raw: false });
    }
    let (mut path, mut required, mut raw) = (None, true, false);
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "path" => path = Some(mounts::host_path(&value, &value.text()?)?),
            "required" => required = value.flag()?,
            "format" => {
                let known = |text: &str| matches!(text, "" | "raw").then_some(text == "raw");
                raw = value.parsed(known, "must be raw, or left out")?;
            }
            _ => keys::unknown(&name, &value),
        }
    }
    if path.is_none() {
        place.refuse("path is missing");
    }
    Some(EnvFile { path: path?, required, raw })
}

/// The name as it stands, whatever is wrong with it: the service is refused then, but does have an image.
fn image(place: &Place<'_>) -> Option<String> {
    let name = place.text()?;
    if let Some(complaint) = content::image_name(&name).err().filter(|_| !name.is_empty()) {
        place.note(code::COMPOSE_IMAGE, crate::Severity::Error, complaint.message, &complaint.advice);
    }
    Some(name)
}

fn container_name(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (first && text.len() > 1 && bytes.all(rest)).then(|| text.to_owned())
}

fn restart(place: &Place<'_>) -> Option<Restart> {
    let parse = |text: &str| {
        Some(match text.split_once(':').unwrap_or((text, "")) {
            // YAML 1.1 reads an unquoted `no` as false, and so do files that were written by its dumpers.
            ("no" | "false" | "", "") => Restart::No,
            ("always", "") => Restart::Always,
            ("unless-stopped", "") => Restart::UnlessStopped,
            ("on-failure", "") => Restart::OnFailure(None),
            ("on-failure", count) => Restart::OnFailure(Some(count.parse().ok()?)),
            _ => return None,
        })
    };
    place.parsed(parse, "must be no, always, unless-stopped, on-failure or on-failure:N")
}

/// Nothing is ever pulled on a card: with every policy the image that is there is used.
fn pull_policy(place: &Place<'_>) {
    let Some(policy) = place.text() else { return };
    let word = policy.split_once('_').map_or(policy.as_str(), |(word, _)| word);
    match (policy.as_str(), word) {
        ("never" | "missing" | "if_not_present", _) => {}
        ("always" | "build" | "daily" | "weekly" | "refresh", _) | (_, "every") => place.warn(
            code::COMPOSE_PULL,
            format!("pull_policy {policy} is not followed: images are never pulled, the one on the card is used"),
            "write never",
        ),
        _ => place.refuse("must be never, missing, if_not_present or always"),
    }
}

fn logging(place: &Place<'_>) -> Logging {
    let mut logging = Logging::default();
    for (name, value) in place.entries() {
        match name.as_str() {
            "driver" => logging.driver = value.text(),
            "options" => logging.options = value.filled(),
            _ => keys::unknown(&name, &value),
        }
    }
    logging
}

fn process(service: &mut Service, key: &str, value: &Place<'_>) -> bool {
    let process = &mut service.process;
    match key {
        "command" => process.command = command(value),
        "entrypoint" => process.entrypoint = command(value),
        "environment" => process.environment = value.pairs(),
        "user" => process.user = value.filled_text(),
        "group_add" => process.group_add = value.distinct(),
        "working_dir" => process.working_dir = value.filled_text(),
        "tty" => process.tty = value.flag().unwrap_or_default(),
        "stdin_open" => process.stdin_open = value.flag().unwrap_or_default(),
        "init" => process.init = value.flag(),
        "stop_signal" => process.stop_signal = value.filled_text(),
        "stop_grace_period" => {
            let time = value.parsed(words::nanoseconds, "must be a time such as 30s or 1m30s");
            process.stop_grace_period = time.map(|nanoseconds| nanoseconds / 1_000_000_000);
        }
        _ => return false,
    }
    true
}

fn command(place: &Place<'_>) -> Option<Vec<String>> {
    if place.is_sequence() {
        return Some(place.list());
    }
    place.parsed(words::split, "a quote is not closed")
}

fn wiring(service: &mut Service, key: &str, value: &Place<'_>) -> bool {
    match key {
        "network_mode" => {
            if let Some(mode) = networks::mode(value) {
                service.wiring = mode;
            }
        }
        // Without one it says nothing, and may stand beside network_mode.
        "networks" if value.is_list_of_nothing() => {}
        "networks" => service.wiring = networks::joined(value),
        "ports" => service.ports = ports::read(value),
        "expose" => service.expose = ports::exposed(value),
        "links" => service.links = links(value, value.names()),
        "external_links" => service.external_links = links(value, value.distinct()),
        "depends_on" => service.depends_on = depends_on(value),
        _ => return false,
    }
    true
}

/// `NAME:ALIAS`; a name may stand alone.
fn links(place: &Place<'_>, texts: Vec<String>) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for text in texts {
        let (name, alias) = text.split_once(':').unwrap_or((&text, &text));
        if name.is_empty() || alias.is_empty() {
            place.refuse("must be NAME or NAME:ALIAS");
            continue;
        }
        links.push((name.to_owned(), alias.to_owned()));
    }
    links
}

fn depends_on(place: &Place<'_>) -> Vec<Dependency> {
    if place.is_sequence() {
        return place.distinct().into_iter().map(started).collect();
    }
    let entries = place.entries();
    entries.iter().map(|(name, value)| dependency(name, value)).collect()
}

/// The plain dependency: started first.
pub(super) fn started(service: String) -> Dependency {
    Dependency { service, condition: Condition::Started, restart: false, required: true }
}

fn dependency(name: &str, place: &Place<'_>) -> Dependency {
    let mut dependency = started(name.to_owned());
    if place.node.get("condition").is_none_or(Node::is_null) {
        place.refuse("condition is missing");
    }
    for (key, value) in place.entries() {
        match key.as_str() {
            "condition" => {
                let message = "must be service_started, service_healthy or service_completed_successfully";
                dependency.condition = value.parsed(condition, message).unwrap_or(Condition::Started);
            }
            "restart" => dependency.restart = value.flag().unwrap_or_default(),
            "required" => dependency.required = value.flag().unwrap_or(true),
            _ => keys::unknown(&key, &value),
        }
    }
    dependency
}

fn condition(text: &str) -> Option<Condition> {
    Some(match text {
        "service_started" => Condition::Started,
        "service_healthy" => Condition::Healthy,
        "service_completed_successfully" => Condition::Completed,
        _ => return None,
    })
}
