//! The networks of the project: made before the containers that join them, and made anew around their containers when they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use offspot_config::compose::{Network, Project, Service, Subnet};

use super::found::Found;
use super::slots::{Slot, Step};
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
    /// Makes the networks that are to be joined. Where that fails, so do the services that would join them. Gives the containers that
    /// were stopped for it.
    pub(super) async fn ensure_networks(
        &self,
        networks: &Networks,
        jobs: &mut [Job<'_>],
        names: &Names<'_>,
    ) -> BTreeSet<String> {
        let mut stopped = BTreeSet::new();
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
                Need::Remake => self.remake(network, jobs, names, &mut stopped).await,
                Need::Missing => self.find(network).await,
            };
            if let Err(refusal) = done {
                for job in jobs.iter_mut().filter(|job| joins(job)) {
                    let why = format!("its network {} could not be made: {}", network.key, refusal.why);
                    job.failed = Some(self.not_started(job.service, &why));
                }
            }
        }
        stopped
    }

    /// Starts what was stopped of services about which nothing is done after all.
    pub(super) async fn start_stopped(&self, jobs: &[Job<'_>], stopped: &BTreeSet<String>) {
        for job in jobs.iter().filter(|job| job.failed.is_some()) {
            for id in job.slots.iter().filter_map(Slot::id).filter(|id| stopped.contains(*id)) {
                if let Err(refusal) = self.engine.start(id).await {
                    let name = &job.service.name;
                    self.report.note(format!("the container of {name} could not be started again: {}", refusal.why));
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
    /// services that are refused now, too) are moved as they run. Where it cannot be made, all is put back as it was. Cut off in between,
    /// the next run finds containers that are in no network, and makes them anew.
    async fn remake(
        &self,
        network: &Network,
        jobs: &mut [Job<'_>],
        names: &Names<'_>,
        stopped: &mut BTreeSet<String>,
    ) -> Result<(), Refusal> {
        let mut moving = Moving::default();
        let outcome = self.make_anew(network, jobs, names, (&mut moving, stopped)).await;
        if outcome.is_err() {
            self.put_back(network, &moving).await;
        }
        outcome
    }

    async fn make_anew(
        &self,
        network: &Network,
        jobs: &mut [Job<'_>],
        names: &Names<'_>,
        (moving, stopped): (&mut Moving, &mut BTreeSet<String>),
    ) -> Result<(), Refusal> {
        moving.old = self.engine.network(&network.name).await?;
        for job in jobs.iter_mut().filter(|job| job.failed.is_none()) {
            let mut joined = create::joined(job.service).iter();
            let Some(joined) = joined.find(|joined| joined.network == network.key) else { continue };
            for slot in &mut job.slots {
                let name = job.service.container_numbered(&self.project.name, slot.number);
                let seat = create::Seat { project: self.project, number: slot.number, name: &name, names };
                if let Step::Keep(found) = &mut slot.step
                    && !found.is_new()
                {
                    if found.is_running() {
                        stopped.insert(found.id.clone());
                        self.engine.stop(&found.id, None).await?;
                        found.has_stopped();
                    }
                    self.engine.disconnect(&network.name, &found.id).await?;
                    moving.own.push((found.id.clone(), create::endpoint(job.service, joined, &seat)));
                }
            }
        }
        self.move_out(network, &mut moving.others).await?;
        self.engine.remove_network(&network.name).await?;
        self.engine.create_network(body(&self.project.name, network)).await?;
        for (id, endpoint) in &moving.own {
            self.engine.connect(&network.name, id, endpoint.clone()).await?;
        }
        self.report.note(format!("made the network {} anew: its settings have changed", network.key));
        self.connect_all(network, &moving.others).await;
        Ok(())
    }

    /// The network could not be made anew: it is made as it was, and its containers are connected again.
    async fn put_back(&self, network: &Network, moving: &Moving) {
        match self.restore(network, moving).await {
            Ok(()) => self.report.note(format!("the network {} stays as it was", network.key)),
            Err(refusal) => {
                self.report.note(format!("the network {} could not be put back: {}", network.key, refusal.why));
            }
        }
        self.connect_all(network, &moving.own).await;
        self.connect_all(network, &moving.others).await;
    }

    async fn restore(&self, network: &Network, moving: &Moving) -> Result<(), Refusal> {
        let Some(old) = &moving.old else { return Ok(()) };
        if let Some(there) = self.engine.network(&network.name).await? {
            if there.id == old.id {
                return Ok(());
            }
            for (id, _) in &moving.own {
                // Not all of them are in it.
                let _ = self.engine.disconnect(&network.name, id).await;
            }
            self.engine.remove_network(&network.name).await?;
        }
        self.engine.create_network(as_it_was(&network.name, old.clone())).await
    }

    async fn connect_all(&self, network: &Network, containers: &[(String, EndpointSettings)]) {
        for (id, endpoint) in containers {
            if let Err(refusal) = self.engine.connect(&network.name, id, endpoint.clone()).await {
                self.report.note(format!("a container is no longer in the network {}: {}", network.key, refusal.why));
            }
        }
    }

    /// Takes the containers out of a network that are still in it; adds how each was connected.
    async fn move_out(&self, network: &Network, all: &mut Vec<(String, EndpointSettings)>) -> Result<(), Refusal> {
        let there = self.engine.network(&network.name).await?;
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
        Ok(())
    }
}

/// What is on its way from a network to the one that takes its place.
#[derive(Debug, Default)]
struct Moving {
    old: Option<NetworkInspect>,
    /// Those of its services that were taken out, and how they are connected.
    own: Vec<(String, EndpointSettings)>,
    /// The same of others.
    others: Vec<(String, EndpointSettings)>,
}

/// A network as the engine told of it.
fn as_it_was(name: &str, old: NetworkInspect) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: old.driver,
        internal: old.internal,
        attachable: old.attachable,
        enable_ipv4: old.enable_ipv4,
        enable_ipv6: old.enable_ipv6,
        ipam: old.ipam,
        options: old.options,
        labels: old.labels,
        ..Default::default()
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
