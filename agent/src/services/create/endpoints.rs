//! How a container is connected.

use std::collections::HashMap;

use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use offspot_config::compose::{Joined, Service, Wiring};

use super::super::references;
use super::{Seat, Surroundings, joined, network, some, some_map};

/// The name of the first network, or the mode.
pub(super) fn mode(service: &Service, around: &Surroundings<'_>) -> String {
    match &service.wiring {
        Wiring::Mode(mode) => mode.clone(),
        Wiring::Service(name) => references::mode(&format!("service:{name}"), around.ids),
        Wiring::Joined(joined) => {
            let first = joined.first().and_then(|joined| network(around.seat.project, &joined.network));
            first.map(|network| network.name.clone()).unwrap_or_default()
        }
    }
}

/// The first network alone stands in the create body: older engines take no more there.
pub(super) fn first(service: &Service, around: &Surroundings<'_>) -> Option<NetworkingConfig> {
    let (name, endpoint) = match (joined(service).first(), &service.isolation.mac_address) {
        (Some(first), _) => {
            (network(around.seat.project, &first.network)?.name.clone(), endpoint(service, first, &around.seat))
        }
        // Without a network of its own it has an address in the engine's only.
        (None, Some(address)) if matches!(&service.wiring, Wiring::Mode(mode) if mode == "bridge") => {
            let settings = EndpointSettings { mac_address: Some(address.clone()), ..Default::default() };
            ("bridge".to_owned(), settings)
        }
        (None, _) => return None,
    };
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(name, endpoint)])) })
}

/// How a container appears in one of its networks: under its own name, that of its service, and its aliases.
pub(in super::super) fn endpoint(service: &Service, here: &Joined, seat: &Seat<'_>) -> EndpointSettings {
    let mut aliases = vec![seat.name.to_owned(), service.name.clone()];
    aliases.extend(here.aliases.iter().cloned());
    let first = joined(service).first().is_some_and(|first| first.network == here.network);
    let of_service = service.isolation.mac_address.clone().filter(|_| first);
    EndpointSettings {
        aliases: Some(aliases),
        links: some(links(service, seat)),
        ipam_config: addresses(here),
        mac_address: here.mac_address.clone().or(of_service),
        driver_opts: some_map(&here.driver_opts),
        gw_priority: here.gw_priority,
        ..Default::default()
    }
}

fn addresses(here: &Joined) -> Option<EndpointIpamConfig> {
    let given = here.ipv4_address.is_some() || here.ipv6_address.is_some() || !here.link_local_ips.is_empty();
    given.then(|| EndpointIpamConfig {
        ipv4_address: here.ipv4_address.clone(),
        ipv6_address: here.ipv6_address.clone(),
        link_local_ips: some(here.link_local_ips.clone()),
    })
}

/// Each container of a linked service, under the alias and under two names that compose makes up from the number of this container.
fn links(service: &Service, seat: &Seat<'_>) -> Vec<String> {
    let (project, number) = (&seat.project.name, seat.number);
    let mut links = Vec::new();
    for (linked, alias) in &service.links {
        for container in seat.names.get(linked.as_str()).into_iter().flatten() {
            links.push(format!("{container}:{alias}"));
            links.push(format!("{container}:{linked}-{number}"));
            links.push(format!("{container}:{project}-{linked}-{number}"));
        }
    }
    links.extend(service.external_links.iter().map(|(container, alias)| format!("{container}:{alias}")));
    links
}
