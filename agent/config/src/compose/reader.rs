//! The whole file: top level, then each service, then what ties services together.

use std::collections::{HashMap, HashSet};

use super::model::{Project, Refused, Service, Wiring};
use super::place::{Notes, Place};
use super::{MountKind, NAME, keys, networks, order, service};
use crate::{Finding, Severity, code};

/// Most services that are read; the others are refused. A Pi runs a few dozen.
const MOST: usize = 200;

/// Most errors that are listed beyond the most findings.
const MOST_LATE: usize = 100;

/// Most findings worth listing.
const MOST_FINDINGS: usize = 1000;

/// The project and everything that was found.
pub(super) fn read(root: &Place<'_>) -> (Project, Vec<Finding>) {
    let entries = root.entries();
    let mut reader = Reader::new(root.notes, project_name(&entries));
    for (key, place) in &entries {
        reader.top(key, place);
    }
    reader.findings.extend(root.notes.take());
    for (key, place) in &entries {
        if key == "services" {
            reader.services(&place.entries());
        }
    }
    reader.findings.extend(root.notes.take());
    (reader.project, reader.findings)
}

/// Whether an entry of `networks` or `volumes` can be used.
#[derive(Clone, Copy, PartialEq)]
enum Health {
    Sound,
    Bad,
}

/// What grows while reading.
struct Reader<'a> {
    notes: &'a Notes,
    findings: Vec<Finding>,
    late_errors: usize,
    project: Project,
    names: HashSet<String>,
    networks: HashMap<String, Health>,
    volumes: HashMap<String, Health>,
}

fn project_name(entries: &[(String, Place<'_>)]) -> String {
    let valid = |text: &str| {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        (first && text.bytes().all(rest)).then(|| text.to_owned())
    };
    let given = entries.iter().find(|(key, place)| key == "name" && !place.is_null());
    let message = "must be lower-case letters, digits, - and _";
    let name = given.and_then(|(_, place)| place.parsed(valid, message));
    name.unwrap_or(NAME.to_owned())
}

impl<'a> Reader<'a> {
    fn new(notes: &'a Notes, name: String) -> Self {
        let project = Project { networks: vec![networks::named(&name, "default")], name, ..Project::default() };
        Reader {
            notes,
            findings: notes.take(),
            late_errors: 0,
            project,
            names: HashSet::new(),
            networks: HashMap::from([("default".to_owned(), Health::Sound)]),
            volumes: HashMap::new(),
        }
    }

    fn top(&mut self, key: &str, place: &Place<'a>) {
        match key {
            "name" | "services" => {}
            // Compose itself ignores it.
            "version" => {}
            "networks" => place.entries().iter().for_each(|(key, place)| self.network(key, place)),
            "volumes" => place.entries().iter().for_each(|(key, place)| self.volume(key, place)),
            "secrets" | "configs" => place.warn(
                code::COMPOSE_IGNORED,
                format!("{key} are not honoured: a service that uses them is refused"),
                "bind a file with volumes",
            ),
            "include" | "models" => place.refuse_known(format!("{key} is not honoured")),
            _ => keys::unknown(key, place),
        }
    }

    /// Moves what was noted to the findings; gives the first error among it.
    fn error(&mut self) -> Option<Finding> {
        let noted = self.notes.take();
        let error = noted.iter().find(|found| found.severity == Severity::Error).cloned();
        if self.findings.len() < MOST_FINDINGS {
            self.findings.extend(noted);
        } else if self.late_errors < MOST_LATE && error.is_some() {
            self.late_errors += 1;
            self.findings.extend(error.clone());
        }
        error
    }

    fn health(&mut self) -> Health {
        if self.error().is_some() { Health::Bad } else { Health::Sound }
    }

    fn network(&mut self, key: &str, place: &Place<'a>) {
        let network = networks::network(&self.project.name, key, place);
        let health = self.health();
        // Keys are given once, but `default` is there without being given.
        if self.networks.insert(key.to_owned(), health).is_some() {
            self.project.networks.retain(|known| known.key != key);
        }
        self.project.networks.push(network);
    }

    fn volume(&mut self, key: &str, place: &Place<'a>) {
        let volume = networks::volume(&self.project.name, key, place);
        let health = self.health();
        self.volumes.insert(key.to_owned(), health);
        self.project.volumes.push(volume);
    }

    fn services(&mut self, entries: &[(String, Place<'a>)]) {
        self.names = entries.iter().map(|(name, _)| name.clone()).collect();
        for (i, (name, place)) in entries.iter().enumerate() {
            let mut service = Service::default();
            if i < MOST {
                service = service::read(name, place);
                self.tie(&mut service, place);
            } else {
                place.refuse(format!("there are more than {MOST} services"));
            }
            match self.error() {
                Some(finding) => self.refuse(name, finding),
                None => self.project.services.push(service),
            }
        }
        for name in order::sort(&mut self.project.services) {
            self.circle(&name, entries);
        }
    }

    fn circle(&mut self, name: &str, entries: &[(String, Place<'a>)]) {
        if let Some((_, place)) = entries.iter().find(|(known, _)| known == name) {
            clash(place, "it waits for itself through depends_on or links", "break the circle");
        }
        if let Some(finding) = self.error() {
            self.refuse(name, finding);
        }
    }

    fn refuse(&mut self, name: &str, finding: Finding) {
        let name = name.to_owned();
        self.project.refused.push(Refused { name, finding });
    }

    /// What a service says of others, of networks and of volumes must exist.
    fn tie(&self, service: &mut Service, place: &Place<'a>) {
        if !valid_key(&service.name) {
            place.refuse("the name of a service must be letters, digits, . _ and -");
        }
        if service.depends_on.len() + service.links.len() > MOST {
            return place.refuse(format!("it has more than {MOST} depends_on and links"));
        }
        for (other, _) in &service.links {
            if service.depends_on.iter().all(|known| known.service != *other) {
                service.depends_on.push(service::started(other.clone()));
            }
        }
        for dependency in service.depends_on.iter().filter(|dependency| dependency.required) {
            if !self.names.contains(&dependency.service) {
                let message = format!("it depends on {}, and there is no such service", dependency.service);
                place.refuse(message);
            }
        }
        self.tie_networks(service, place);
        self.tie_volumes(service, place);
        let twin =
            |other: &&Service| service.container_name.is_some() && other.container_name == service.container_name;
        if let Some(other) = self.project.services.iter().find(twin) {
            let message = format!("{} has the same container_name", other.name);
            clash(place, &message, "give it another container_name");
        }
    }

    fn tie_networks(&self, service: &mut Service, place: &Place<'a>) {
        let Wiring::Joined(joined) = &mut service.wiring else {
            return;
        };
        if joined.is_empty() {
            joined.push(networks::join("default"));
        }
        for network in joined {
            match self.networks.get(&network.network) {
                None => place.refuse(format!("its network {} is not below networks", network.network)),
                Some(Health::Bad) => place.refuse(format!("its network {} has an error", network.network)),
                Some(Health::Sound) => {}
            }
        }
    }

    fn tie_volumes(&self, service: &Service, place: &Place<'a>) {
        for mount in &service.mounts {
            let MountKind::Volume { source: Some(name), .. } = &mount.kind else {
                continue;
            };
            match self.volumes.get(name) {
                None => place.refuse(format!("its volume {name} is not below the top level's volumes")),
                Some(Health::Bad) => place.refuse(format!("its volume {name} has an error")),
                Some(Health::Sound) => {}
            }
        }
        let mut targets: Vec<&str> = service.mounts.iter().map(|mount| mount.target.as_str()).collect();
        targets.sort_unstable();
        if let Some([target, ..]) = targets.windows(2).find(|pair| pair.first() == pair.last()) {
            clash(place, &format!("two volumes have the target {target}"), "leave one out");
        }
    }
}

fn clash(place: &Place<'_>, message: &str, advice: &str) {
    place.note(code::COMPOSE_CLASH, Severity::Error, message, advice);
}

fn valid_key(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(valid)
}
