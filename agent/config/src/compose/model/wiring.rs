//! Networks, ports, and how a service is connected.

use std::collections::BTreeMap;

use serde::Serialize;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Port inside the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address of the host; empty: all.
    pub host_ip: String,
    /// Port of the host, a range to choose from, or empty: any.
    pub published: String,
}

/// How a service is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Wiring {
    /// `network_mode`: `host`, `none`, `bridge`, `container:NAME`, or the name of a network of the engine.
    Mode(String),
    /// `network_mode: service:NAME`: the network of that service's container.
    Service(String),
    /// Networks of the project, the first one first.
    Joined(Vec<Joined>),
}

impl Default for Wiring {
    fn default() -> Self {
        Wiring::Joined(Vec::new())
    }
}

/// A service in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Key below the top level's `networks`.
    pub network: String,
    /// Names it has there beside those of service and container.
    pub aliases: Vec<String>,
    /// Its fixed address there.
    pub ipv4_address: Option<String>,
    /// Its fixed address of the other kind.
    pub ipv6_address: Option<String>,
    /// Its link-local addresses.
    pub link_local_ips: Vec<String>,
    /// Its hardware address there.
    pub mac_address: Option<String>,
    /// Options of this one connection.
    pub driver_opts: BTreeMap<String, String>,
    /// The network with the highest gives the default route.
    pub gw_priority: Option<i64>,
}

/// A network of the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Network {
    /// Key below `networks`.
    pub key: String,
    /// Name in the engine.
    pub name: String,
    /// Not ours: neither made nor changed.
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv6: bool,
    pub labels: BTreeMap<String, String>,
    /// `false`: the network has no IPv4.
    pub enable_ipv4: Option<bool>,
    pub ipam_driver: Option<String>,
    pub subnets: Vec<Subnet>,
}

/// One entry of a network's `ipam.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Subnet {
    pub subnet: Option<String>,
    pub gateway: Option<String>,
    pub ip_range: Option<String>,
    pub aux_addresses: BTreeMap<String, String>,
}
