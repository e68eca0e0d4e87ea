//! The whole of a compose file.

use super::{FileObject, Network, Service, Volume};
use crate::Finding;

/// A compose file, read.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// `name`, else the name of the folder of `/etc/docker/compose.yml`, as compose would take it.
    pub name: String,
    /// The services to run, each after those it depends on.
    pub services: Vec<Service>,
    /// The networks that services may join, `default` among them.
    pub networks: Vec<Network>,
    /// The named volumes.
    pub volumes: Vec<Volume>,
    /// `configs` of the top level.
    pub configs: Vec<FileObject>,
    /// `secrets` of the top level.
    pub secrets: Vec<FileObject>,
    /// Services that are in no profile that is on: neither run nor removed.
    pub dormant: Vec<String>,
    /// The services that are not run; the others are.
    pub refused: Vec<Refused>,
}

/// A service that is not run.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its key below `services`.
    pub name: String,
    /// The first error found in it.
    pub finding: Finding,
}

impl Project {
    /// Whether some service publishes this TCP port on the host.
    pub fn publishes(&self, port: u16) -> bool {
        let holds = |published: &str| match published.split_once('-') {
            Some((first, last)) => match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) => (first..=last).contains(&port),
                _ => false,
            },
            None => published.parse() == Ok(port),
        };
        let mut ports = self.services.iter().flat_map(|service| &service.ports);
        ports.any(|given| given.protocol == "tcp" && holds(&given.published))
    }
}
