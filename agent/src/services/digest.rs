//! What a container, network or volume was made from, as a digest: another one means that it has changed. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use offspot_config::compose::{Project, Service};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::create;
use super::look::Looked;
use super::references::Ids;

/// Raised when the same settings lead to another container than before.
const FORMAT: u32 = 3;

/// Everything that makes a container of a service what it is, its image and the number of its kind apart.
#[derive(Serialize)]
struct Whole<'a> {
    format: u32,
    root: &'a Path,
    service: &'a Service,
    /// Names in the engine of what the service calls by key. How these are made is not ours: networks are made anew around their
    /// containers, and volumes never.
    networks: Vec<&'a str>,
    volumes: Vec<&'a str>,
    environment: &'a BTreeMap<String, Option<String>>,
    /// Of the files given to it, and its profiles of seccomp.
    contents: Vec<&'a str>,
    containers: BTreeMap<&'a str, &'a str>,
    /// A label that `docker compose` goes by; the order of the dependencies says nothing.
    depends_on: Vec<String>,
}

/// Digest of everything that makes a container of this service what it is; `ids` are the containers that it is made upon.
pub(super) fn of_service(service: &Service, project: &Project, root: &Path, looked: &Looked<'_>, ids: &Ids) -> String {
    let networks = create::joined(service).iter().filter_map(|joined| create::network(project, &joined.network));
    let volumes = service.mounts.iter().filter_map(|mount| create::volume(project, mount));
    let containers =
        super::references::of(service).into_iter().filter_map(|name| Some((name, ids.get(name)?.as_str())));
    let mut depends_on: Vec<String> = create::depends_on(service, project).split(',').map(str::to_owned).collect();
    depends_on.sort_unstable();
    let contents = looked.given.iter().map(|given| given.digest.as_str());
    of(&Whole {
        format: FORMAT,
        root,
        service,
        networks: networks.map(|network| network.name.as_str()).collect(),
        volumes: volumes.map(|volume| volume.name.as_str()).collect(),
        environment: &looked.environment,
        contents: contents.chain(looked.security.profiles.iter().map(String::as_str)).collect(),
        containers: containers.collect(),
        depends_on,
    })
}

/// Digest of a value by its canonical JSON.
pub(super) fn of(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex(&Sha256::digest(json))
}

/// Lower-case hex digits.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use offspot_config::compose::{Joined, Network, Replicas, Wiring};

    use super::*;

    #[test]
    fn what_makes_no_other_container_is_not_in_the_digest() {
        let mut service = Service { name: "a".to_owned(), ..Service::default() };
        service.wiring = Wiring::Joined(vec![Joined { network: "default".to_owned(), ..Joined::default() }]);
        let network = Network { key: "default".to_owned(), name: "p_default".to_owned(), ..Network::default() };
        let mut project = Project { networks: vec![network], ..Project::default() };
        let (mut looked, mut ids) = (Looked::default(), Ids::new());
        let of = |service: &Service, project: &Project, looked: &Looked<'_>, ids: &Ids| {
            of_service(service, project, Path::new("/"), looked, ids)
        };
        let first = of(&service, &project, &looked, &ids);
        service.replicas = Replicas(3);
        project.networks[0].internal = true;
        ids.insert("other".to_owned(), "1".to_owned());
        assert_eq!(of(&service, &project, &looked, &ids), first);
        project.networks[0].name = "q_default".to_owned();
        let second = of(&service, &project, &looked, &ids);
        assert_ne!(second, first);
        looked.environment.insert("A".to_owned(), Some("1".to_owned()));
        let third = of(&service, &project, &looked, &ids);
        assert_ne!(third, second);
        looked.security.profiles.push("{}".to_owned());
        assert_ne!(of(&service, &project, &looked, &ids), third);
        service.isolation.pid = Some("service:other".to_owned());
        let fourth = of(&service, &project, &looked, &ids);
        ids.insert("other".to_owned(), "2".to_owned());
        assert_ne!(of(&service, &project, &looked, &ids), fourth);
    }
}
