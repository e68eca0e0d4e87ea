//! The whole file: top level, then each service, then what ties services together.

use std::collections::{HashMap, HashSet};

use super::extends::{self, Services};
use super::given::{self, Kind};
use super::model::{FileSource, Project, Refused, Service, Wiring};
use super::place::{Notes, Place};
use super::{MountKind, NAME, keys, networks, order, service, tags};
use crate::{Finding, Node, Severity, code};

/// Most services that are read; the others are refused. A Pi runs a few dozen.
const MOST: usize = 200;

/// Most errors that are listed beyond the most findings.
const MOST_LATE: usize = 100;

/// Most findings worth listing.
const MOST_FINDINGS: usize = 1000;

/// The project and everything that was found.
pub(super) fn read(root: &Place<'_>) -> (Project, Vec<Finding>) {
    let file = tags::top(root.node);
    let entries = root.instead(&file).entries();
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
    reader.tell_of_nowhere();
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
    objects: HashMap<(Kind, String), Health>,
    /// What is wrong with configs and secrets that lie where a box has nothing: it matters where a service uses them.
    nowhere: HashMap<(Kind, String), Vec<Finding>>,
    /// The configs and secrets that services use.
    used: HashSet<(Kind, String)>,
}

fn project_name(entries: &[(String, Place<'_>)]) -> String {
    let given = entries.iter().find(|(key, place)| key == "name" && !place.is_null());
    let name = given.and_then(|(_, place)| {
        let node = extends::filled(place, NAME);
        let place = place.instead(&node);
        let name = place.parsed_filled(normal_name, "must hold a letter of a to z or a digit")?;
        if place.node.as_text() != Some(&name) {
            let message =
                format!("the project is called {name}: lower-case letters, digits, - and _ alone make a name");
            place.warn(code::COMPOSE_IGNORED, message, "write the name so");
        }
        Some(name)
    });
    name.unwrap_or(NAME.to_owned())
}

/// The name of a project as compose makes it from any text.
fn normal_name(text: &str) -> Option<String> {
    let stays = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = text.to_lowercase().chars().filter(stays).collect();
    let name = name.trim_start_matches(['_', '-']);
    (!name.is_empty()).then(|| name.to_owned())
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
            objects: HashMap::new(),
            nowhere: HashMap::new(),
            used: HashSet::new(),
        }
    }

    fn top(&mut self, key: &str, place: &Place<'a>) {
        match key {
            "name" | "services" => {}
            // Compose itself ignores it.
            "version" => {}
            "networks" => place.entries().iter().for_each(|(key, place)| self.network(key, place)),
            "volumes" => place.entries().iter().for_each(|(key, place)| self.volume(key, place)),
            "configs" => place.entries().iter().for_each(|(key, place)| self.object(Kind::Config, key, place)),
            "secrets" => place.entries().iter().for_each(|(key, place)| self.object(Kind::Secret, key, place)),
            // Only services that name a model use it.
            "models" => {}
            "include" if place.node.is_empty() => {}
            "include" => place.refuse_known("include is not honoured: there is but one file on the box"),
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
        let node = extends::filled(place, &self.project.name);
        let network = networks::network(&self.project.name, key, &place.instead(&node));
        let health = self.health();
        // Keys are given once, but `default` is there without being given.
        if self.networks.insert(key.to_owned(), health).is_some() {
            self.project.networks.retain(|known| known.key != key);
        }
        self.project.networks.push(network);
    }

    fn volume(&mut self, key: &str, place: &Place<'a>) {
        let node = extends::filled(place, &self.project.name);
        let volume = networks::volume(&self.project.name, key, &place.instead(&node));
        let health = self.health();
        self.volumes.insert(key.to_owned(), health);
        self.project.volumes.push(volume);
    }

    fn object(&mut self, kind: Kind, key: &str, place: &Place<'a>) {
        let node = extends::filled(place, &self.project.name);
        let object = given::object(kind, key, &place.instead(&node));
        let entry = (kind, key.to_owned());
        let of_nowhere = |finding: &Finding| finding.code == code::COMPOSE_KEY;
        let (nowhere, rest): (Vec<Finding>, Vec<Finding>) = self.notes.take().into_iter().partition(of_nowhere);
        self.notes.put(rest);
        let mut health = self.health();
        if !nowhere.is_empty() {
            health = Health::Bad;
            if self.nowhere.len() < MOST_FINDINGS {
                self.nowhere.insert(entry.clone(), nowhere);
            }
        }
        self.objects.insert(entry, health);
        match kind {
            Kind::Config => self.project.configs.extend(object),
            Kind::Secret => self.project.secrets.extend(object),
        }
    }

    fn services(&mut self, entries: &[(String, Place<'a>)]) {
        let mut whole = Services::new(entries, &self.project.name);
        let mut made = Vec::new();
        for (i, (name, place)) in entries.iter().enumerate() {
            if i >= MOST {
                place.refuse(format!("there are more than {MOST} services"));
            }
            let node = if i < MOST { whole.make(name) } else { None };
            let noted = [whole.noted(name), self.notes.take()].concat();
            if node.as_ref().is_some_and(|made| sleeps(&made.node)) {
                self.project.dormant.push(name.clone());
            } else {
                self.names.insert(name.clone());
            }
            made.push((name, place, node, noted));
        }
        for (name, place, node, noted) in made {
            self.notes.put(noted);
            self.service(name, place, node.as_ref().map(|made| &made.node));
        }
        for name in order::sort(&mut self.project.services) {
            self.circle(&name, entries);
        }
        self.follow(&whole, entries);
    }

    /// What lies where a box has nothing is only mentioned where no service uses it.
    fn tell_of_nowhere(&mut self) {
        let mut left: Vec<Finding> = Vec::new();
        for (entry, found) in std::mem::take(&mut self.nowhere) {
            let severity = if self.used.contains(&entry) { Severity::Error } else { Severity::Warning };
            left.extend(found.into_iter().map(|finding| Finding { severity, ..finding }));
        }
        left.sort_by_key(|finding| (finding.severity == Severity::Warning, finding.at));
        left.truncate(MOST_FINDINGS.saturating_sub(self.findings.len()));
        self.findings.extend(left);
    }

    fn service(&mut self, name: &str, place: &Place<'a>, node: Option<&Node>) {
        let dormant = self.project.dormant.iter().any(|dormant| dormant == name);
        let mut service = Service::default();
        if let Some(node) = node {
            let place = place.instead(node);
            service = service::read(name, &place);
            if dormant {
                // What is not run may be unfit to run here; only what is no compose at all is refused.
                self.notes.retain(|found| found.severity == Severity::Error && found.code == code::COMPOSE_VALUE);
            } else {
                for (kind, files) in [(Kind::Config, &service.configs), (Kind::Secret, &service.secrets)] {
                    self.used.extend(files.iter().map(|file| (kind, file.source.clone())));
                }
                self.tie(&mut service, &place);
            }
        }
        match self.error() {
            Some(finding) => self.refuse(name, finding),
            None if dormant => {}
            None => self.project.services.push(service),
        }
    }

    /// Refuses what extends a service that is refused: without that one it could not be read again.
    fn follow(&mut self, whole: &Services<'_>, entries: &[(String, Place<'a>)]) {
        let refused: HashSet<String> = self.project.refused.iter().map(|refused| refused.name.clone()).collect();
        for (name, place) in entries {
            let lost = whole.chain(name).iter().find(|base| refused.contains(*base));
            if let Some(base) = lost.filter(|_| !refused.contains(name)) {
                place.refuse(format!("it extends {base}, which has an error"));
                self.project.services.retain(|service| service.name != *name);
                if let Some(finding) = self.error() {
                    self.refuse(name, finding);
                }
            }
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
        self.project.dormant.retain(|dormant| *dormant != name);
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
        for dependency in &service.depends_on {
            let spared = !dependency.required && self.project.dormant.contains(&dependency.service);
            if !self.names.contains(&dependency.service) && !spared {
                let why = match self.project.dormant.contains(&dependency.service) {
                    true => "which is in no profile that is on",
                    false => "and there is no such service",
                };
                place.refuse(format!("it depends on {}, {why}", dependency.service));
            }
        }
        self.tie_networks(service, place);
        self.tie_volumes(service, place);
        self.tie_objects(service, place);
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
    }

    fn tie_objects(&self, service: &Service, place: &Place<'_>) {
        let is_put = |source: &str| {
            let mut configs = self.project.configs.iter();
            configs.any(|config| config.key == source && matches!(config.from, FileSource::Content(_)))
        };
        given::owners(Kind::Config, place, is_put);
        for (kind, files) in [(Kind::Config, &service.configs), (Kind::Secret, &service.secrets)] {
            for file in files {
                let (key, source) = (kind.key(), &file.source);
                match self.objects.get(&(kind, source.clone())) {
                    None => place.refuse(format!("{source} is not below the top level's {key}")),
                    Some(Health::Bad) => place.refuse(format!("{source} of {key} has an error")),
                    Some(Health::Sound) => {}
                }
            }
        }
    }
}

/// Whether a service is in profiles only, and so not run: nothing switches one on here. The nameless profile is always on.
fn sleeps(node: &Node) -> bool {
    let profiles = node.get("profiles").and_then(Node::as_sequence).unwrap_or_default();
    !profiles.is_empty() && profiles.iter().all(|profile| !profile.key_text().is_empty())
}

fn clash(place: &Place<'_>, message: &str, advice: &str) {
    place.note(code::COMPOSE_CLASH, Severity::Error, message, advice);
}

fn valid_key(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !name.is_empty() && name.bytes().all(valid)
}
