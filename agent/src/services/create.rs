//! A service as the engine's create body. Pure.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, HealthConfig};
use offspot_config::compose::{
    self, Condition, Dependency, Joined, MountKind, Network, Project, Service, Volume, Wiring,
};

use super::labels;
use super::look::Looked;
use super::references::Ids;

mod endpoints;
mod host;
mod mounts;

pub(super) use endpoints::endpoint;

/// Where a container stands among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat<'a> {
    /// The whole project.
    pub project: &'a Project,
    /// Which of the containers of its service, from 1.
    pub number: u32,
    pub name: &'a str,
    /// The names of the containers of each service.
    pub names: &'a BTreeMap<&'a str, Vec<String>>,
}

/// What a container is made from besides its service.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub seat: Seat<'a>,
    /// Digest of what it is made from.
    pub hash: &'a str,
    /// Id of the image.
    pub image: &'a str,
    /// Where each bind source lies for the engine.
    pub sources: &'a BTreeMap<String, PathBuf>,
    /// What its settings point at.
    pub looked: &'a Looked<'a>,
    /// The containers it is made upon.
    pub ids: &'a Ids,
    /// Nameless volumes of the container it replaces: target and name.
    pub inherited: &'a [(String, String)],
    /// Id of the container it replaces.
    pub replaces: Option<&'a str>,
}

/// The networks of a service; none with `network_mode`.
pub(super) fn joined(service: &Service) -> &[Joined] {
    match &service.wiring {
        Wiring::Joined(joined) => joined,
        Wiring::Mode(_) | Wiring::Service(_) => &[],
    }
}

/// A network of the project by its key.
pub(super) fn network<'a>(project: &'a Project, key: &str) -> Option<&'a Network> {
    project.networks.iter().find(|network| network.key == key)
}

/// The named volume that a mount uses.
pub(super) fn volume<'a>(project: &'a Project, mount: &compose::Mount) -> Option<&'a Volume> {
    let MountKind::Volume { source: Some(key), .. } = &mount.kind else {
        return None;
    };
    project.volumes.iter().find(|volume| volume.key == *key)
}

/// The create body of a service, in the first of its networks.
pub(super) fn body(service: &Service, around: &Surroundings<'_>) -> ContainerCreateBody {
    let process = &service.process;
    let ports = service.ports.iter().map(|port| format!("{}/{}", port.target, port.protocol));
    let mut exposed: Vec<String> = service.expose.iter().cloned().chain(ports).collect();
    exposed.sort();
    exposed.dedup();
    let environment = around.looked.environment.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    ContainerCreateBody {
        image: Some(reference(service, around.image).to_owned()),
        hostname: service.isolation.hostname.clone(),
        domainname: service.isolation.domainname.clone(),
        user: process.user.clone(),
        working_dir: process.working_dir.clone(),
        tty: Some(process.tty),
        open_stdin: Some(process.stdin_open),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: some(exposed),
        env: some(environment.collect()),
        cmd: process.command.clone(),
        entrypoint: process.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(health),
        stop_signal: process.stop_signal.clone(),
        stop_timeout: process.stop_grace_period,
        labels: Some(all_labels(service, around)),
        host_config: Some(host::config(service, around)),
        networking_config: endpoints::first(service, around),
        ..Default::default()
    }
}

/// The engine finds an image by the digest of its registry only where it came from there.
fn reference<'a>(service: &'a Service, id: &'a str) -> &'a str {
    match service.image.contains('@') {
        true => id,
        false => &service.image,
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn map(pairs: &BTreeMap<String, String>) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn some_map(pairs: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!pairs.is_empty()).then(|| map(pairs))
}

fn health(health: &compose::Health) -> HealthConfig {
    HealthConfig {
        test: health.test.clone(),
        interval: health.interval,
        timeout: health.timeout,
        retries: health.retries,
        start_period: health.start_period,
        start_interval: health.start_interval,
    }
}

/// Dependencies in the words of compose's label. Those that do not run are left out: `docker compose down` by hand would look for them.
pub(super) fn depends_on(service: &Service, project: &Project) -> String {
    let runs = |on: &&Dependency| project.services.iter().any(|other| other.name == on.service);
    let words = service.depends_on.iter().filter(runs).map(|on| {
        let condition = match on.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        format!("{}:{condition}:{}", on.service, on.restart)
    });
    words.collect::<Vec<_>>().join(",")
}

fn all_labels(service: &Service, around: &Surroundings<'_>) -> HashMap<String, String> {
    let mut all = map(&service.labels);
    let ours = [
        (labels::PROJECT, around.seat.project.name.clone()),
        (labels::SERVICE, service.name.clone()),
        (labels::NUMBER, around.seat.number.to_string()),
        (labels::ONEOFF, "False".to_owned()),
        (labels::HASH, around.hash.to_owned()),
        (labels::IMAGE, around.image.to_owned()),
        (labels::FILES, "/etc/docker/compose.yml".to_owned()),
        (labels::FOLDER, compose::FOLDER.to_owned()),
        (labels::VERSION, labels::US.to_owned()),
        (labels::DEPENDS_ON, depends_on(service, around.seat.project)),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    all.extend(around.replaces.map(|id| (labels::REPLACE.to_owned(), id.to_owned())));
    all
}
