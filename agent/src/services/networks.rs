//! The networks of the project: made before the containers that join them, and made anew around their containers when they change.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest};
use offspot_config::compose::{Network, Project, Service, Subnet};

use super::found::Found;
use super::slots::Step;
use super::up::{Job, Names, Up};
use super::{create, digest, labels};
use crate::engine::{Engine, Refusal};

/// The networks that the engine has, by name: id and labels.
#[derive(Debug, Default)]
pub(super) struct Networks(BTreeMap<String, (String, HashMap<String, String>)>);

/// What is to be done about a network.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Make,
    /// It is there, with other settings.
    Remake,
    /// It is another's, and not there.
    Missing,
}

impl Networks {
    pub async fn of(engine: &Engine) -> Result<Networks, Refusal> {
        let all = engine.networks().await?.into_iter().filter_map(|network| {
            let labels = network.labels.unwrap_or_default();
            Some((network.name?, (network.id?, labels)))
        });
        Ok(Networks(all.collect()))
    }

    /// Whether a container is in all networks of its service as they are now.
    pub fn hold(&self, project: &Project, service: &Service, found: &Found) -> bool {
        let mut joined = create::joined(service).iter();
        joined.all(|joined| match create::network(project, &joined.network) {
            // One that was never started is joined to what it lacks before it is.
            _ if found.is_new() => true,
            Some(network) => match (self.0.get(&network.name), found.networks.get(&network.name)) {
                (Some((id, _)), Some(joined)) => id == joined,
                // It may be called by its id.
                (None, _) => network.external,
                (Some(_), None) => false,
            },
            None => false,
        })
    }

    fn need(&self, project: &str, network: &Network) -> Need {
        let Some((_, labels)) = self.0.get(&network.name) else {
            return if network.external { Need::Missing } else { Need::Make };
        };
        let label = |name: &str| labels.get(name).map(String::as_str);
        // One that is not ours, or was made by compose itself, is used as it is.
        let ours = label(labels::VERSION).is_some_and(|by| by.starts_with(labels::MAKER))
            && label(labels::PROJECT) == Some(project);
        match ours && !network.external && label(labels::HASH) != Some(&digest::of(network)) {
            true => Need::Remake,
            false => Need::Nothing,
        }
    }
}

impl Up<'_> {
    /// Makes the networks that are to be joined. Where that fails, so do the services that would join them.
    pub(super) async fn ensure_networks(&self, networks: &Networks, jobs: &mut [Job<'_>], names: &Names<'_>) {
        for network in &self.project.networks {
            let joins = |job: &Job<'_>| {
                job.failed.is_none()
                    && !job.slots.is_empty()
                    && create::joined(job.service).iter().any(|joined| joined.network == network.key)
            };
            if !jobs.iter().any(joins) {
                continue;
            }
            let done = match networks.need(&self.project.name, network) {
                Need::Nothing => Ok(()),
                Need::Make => self.engine.create_network(body(&self.project.name, network)).await,
                Need::Remake => self.remake(network, jobs, names).await,
                Need::Missing => self.find(network).await,
            };
            if let Err(refusal) = done {
                for job in jobs.iter_mut().filter(|job| joins(job)) {
                    let why = format!("its network {} could not be made: {}", network.key, refusal.why);
                    job.failed = Some(self.not_started(job.service, &why));
                }
            }
        }
    }

    async fn find(&self, network: &Network) -> Result<(), Refusal> {
        let missing =
            || Refusal { status: 404, why: format!("the network {} is external and does not exist", network.name) };
        self.engine.network(&network.name).await?.map(drop).ok_or_else(missing)
    }

    /// Stops the containers of these services that are in the network, makes it anew, and puts them into it again. Those of others (of
    /// services that are refused now, too) are moved as they run. Cut off in between, the next run finds containers that are in no
    /// network, and makes them anew.
    async fn remake(&self, network: &Network, jobs: &mut [Job<'_>], names: &Names<'_>) -> Result<(), Refusal> {
        let mut moved: Vec<(&Service, u32, String)> = Vec::new();
        for job in jobs.iter_mut().filter(|job| job.failed.is_none()) {
            if create::joined(job.service).iter().any(|joined| joined.network == network.key) {
                for slot in &mut job.slots {
                    if let Step::Keep(found) = &mut slot.step
                        && !found.is_new()
                    {
                        self.stop_for_a_while(found).await?;
                        self.engine.disconnect(&network.name, &found.id).await?;
                        moved.push((job.service, slot.number, found.id.clone()));
                    }
                }
            }
        }
        let others = self.move_out(network).await?;
        self.engine.remove_network(&network.name).await?;
        self.engine.create_network(body(&self.project.name, network)).await?;
        self.report.note(format!("made the network {} anew: its settings have changed", network.key));
        for (service, number, id) in moved {
            let name = service.container_numbered(&self.project.name, number);
            let seat = create::Seat { project: self.project, number, name: &name, names };
            let mut joined = create::joined(service).iter();
            if let Some(joined) = joined.find(|joined| joined.network == network.key) {
                self.engine.connect(&network.name, &id, create::endpoint(service, joined, &seat)).await?;
            }
        }
        for (id, endpoint) in others {
            if let Err(refusal) = self.engine.connect(&network.name, &id, endpoint).await {
                self.report.note(format!("a container is no longer in the network {}: {}", network.key, refusal.why));
            }
        }
        Ok(())
    }

    async fn stop_for_a_while(&self, found: &mut Found) -> Result<(), Refusal> {
        if found.is_running() {
            self.engine.stop(&found.id, None).await?;
            found.has_stopped();
        }
        Ok(())
    }

    /// Takes the containers out of a network that are still in it; gives how each was connected.
    async fn move_out(&self, network: &Network) -> Result<Vec<(String, EndpointSettings)>, Refusal> {
        let there = self.engine.network(&network.name).await?;
        let mut all = Vec::new();
        for id in there.and_then(|there| there.containers).unwrap_or_default().into_keys() {
            let container = self.engine.container(&id).await?;
            let settings = container.and_then(|container| container.network_settings);
            let endpoint = settings.and_then(|settings| settings.networks?.remove(&network.name)).unwrap_or_default();
            self.engine.disconnect(&network.name, &id).await?;
            let asked = EndpointSettings {
                aliases: endpoint.aliases,
                links: endpoint.links,
                ipam_config: endpoint.ipam_config,
                driver_opts: endpoint.driver_opts,
                ..Default::default()
            };
            all.push((id, asked));
        }
        Ok(all)
    }
}

fn body(project: &str, network: &Network) -> NetworkCreateRequest {
    let mut labels = labels::own(project, &network.labels);
    labels.insert(labels::NETWORK.to_owned(), network.key.clone());
    labels.insert(labels::HASH.to_owned(), digest::of(network));
    let ipam = Ipam {
        driver: network.ipam_driver.clone(),
        config: Some(network.subnets.iter().map(subnet).collect()),
        // Compose sends none either, whatever the file says.
        options: None,
    };
    let plain = network.ipam_driver.is_none() && network.subnets.is_empty();
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: Some(network.driver.clone().unwrap_or("bridge".to_owned())),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: Some(network.enable_ipv6),
        ipam: (!plain).then_some(ipam),
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(labels),
        ..Default::default()
    }
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
