//! The networks and volumes of the project: made before the containers that use them.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use offspot_config::compose::{Network, Project, Service, Subnet, Volume};

use super::create;
use super::labels;
use crate::engine::{Engine, Refusal};

/// Makes what these services use and is not there. Gives the keys of networks and of volumes that could not be made, each with the reason.
pub async fn ensure(engine: &Engine, project: &Project, services: &[&Service]) -> Lacking {
    let mut lacking = Lacking::default();
    let joins = |key: &str| {
        let mut joined = services.iter().flat_map(|service| create::joined(service));
        joined.any(|joined| joined.network == key)
    };
    for network in project.networks.iter().filter(|network| joins(&network.key)) {
        if let Err(refusal) = ensure_network(engine, &project.name, network).await {
            lacking.networks.insert(network.key.clone(), refusal.why);
        }
    }
    let mounts = || services.iter().flat_map(|service| &service.mounts);
    for volume in &project.volumes {
        let uses = |mount| create::volume(project, mount) == Some(volume);
        if mounts().any(uses)
            && let Err(refusal) = ensure_volume(engine, &project.name, volume).await
        {
            lacking.volumes.insert(volume.key.clone(), refusal.why);
        }
    }
    lacking
}

/// Networks and volumes that could not be made: key and reason.
#[derive(Debug, Default)]
pub struct Lacking {
    networks: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
}

impl Lacking {
    /// Why this service cannot be made, if it cannot.
    pub fn of(&self, project: &Project, service: &Service) -> Option<String> {
        let mut joined = create::joined(service).iter();
        let network = joined.find_map(|joined| Some((&joined.network, self.networks.get(&joined.network)?)));
        if let Some((key, why)) = network {
            return Some(format!("its network {key} could not be made: {why}"));
        }
        let mut volumes = service.mounts.iter().filter_map(|mount| create::volume(project, mount));
        let volume = volumes.find_map(|volume| Some((&volume.key, self.volumes.get(&volume.key)?)));
        volume.map(|(key, why)| format!("its volume {key} could not be made: {why}"))
    }
}

fn missing(what: &str, name: &str) -> Refusal {
    Refusal { status: 404, why: format!("the {what} {name} is external and does not exist") }
}

async fn ensure_network(engine: &Engine, project: &str, network: &Network) -> Result<(), Refusal> {
    let there = engine.network(&network.name).await?;
    if network.external {
        return there.map(drop).ok_or_else(|| missing("network", &network.name));
    }
    let hash = create::digest(network);
    if let Some(there) = there {
        let labels = there.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
        // One that is not ours, or was made by compose itself, is used as it is.
        let changed = label(labels::VERSION).is_some_and(|by| by.starts_with(labels::MAKER))
            && label(labels::HASH) != Some(&hash);
        if !(changed && label(labels::PROJECT) == Some(project)) {
            return Ok(());
        }
        engine.remove_network(&there).await?;
    }
    engine.create_network(network_body(project, network, hash)).await
}

fn network_body(project: &str, network: &Network, hash: String) -> NetworkCreateRequest {
    let mut labels = own(project, &network.labels);
    labels.insert(labels::NETWORK.to_owned(), network.key.clone());
    labels.insert(labels::HASH.to_owned(), hash);
    let ipam = Ipam {
        driver: network.ipam_driver.clone(),
        config: Some(network.subnets.iter().map(subnet).collect()),
        options: None,
    };
    let plain = network.ipam_driver.is_none() && network.subnets.is_empty();
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: Some(network.driver.clone().unwrap_or("bridge".to_owned())),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.enable_ipv6),
        ipam: (!plain).then_some(ipam),
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(labels),
        ..Default::default()
    }
}

fn own(project: &str, given: &BTreeMap<String, String>) -> HashMap<String, String> {
    let ours = [(labels::PROJECT, project), (labels::VERSION, labels::US)];
    let given = given.clone().into_iter();
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    given.chain(ours).collect()
}

fn subnet(subnet: &Subnet) -> IpamConfig {
    let others = &subnet.aux_addresses;
    IpamConfig {
        subnet: subnet.subnet.clone(),
        gateway: subnet.gateway.clone(),
        ip_range: subnet.ip_range.clone(),
        auxiliary_addresses: (!others.is_empty()).then(|| others.clone().into_iter().collect()),
    }
}

async fn ensure_volume(engine: &Engine, project: &str, volume: &Volume) -> Result<(), Refusal> {
    if engine.has_volume(&volume.name).await? {
        return Ok(());
    }
    if volume.external {
        return Err(missing("volume", &volume.name));
    }
    let mut labels = own(project, &volume.labels);
    labels.insert(labels::VOLUME.to_owned(), volume.key.clone());
    let body = VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: volume.driver.clone(),
        driver_opts: Some(volume.driver_opts.clone().into_iter().collect()),
        labels: Some(labels),
        ..Default::default()
    };
    engine.create_volume(body).await
}
