//! `containers`: a compose file as a project. Pure: gets the mapping as it was read, gives what to run and what was found.
//!
//! A service with an error is refused by name, and no other. Keys that compose does not know are only mentioned. Variables are not
//! replaced (nothing on a card could set them): `$NAME` stays and is mentioned, `$$` is `$` as everywhere in compose.

use crate::{Finding, Node};

mod health;
mod keys;
mod limits;
mod model;
mod mounts;
mod networks;
mod order;
mod place;
mod ports;
mod reader;
mod service;
mod words;

pub use model::{
    Condition, Dependency, Health, Isolation, Joined, Limits, Logging, Mount, MountKind, Network, Port, Process,
    Project, Refused, Restart, Service, Subnet, Volume, Wiring,
};

/// Name of a project without `name`: that of the folder of `/etc/docker/compose.yml`, as compose would take it.
pub const NAME: &str = "docker";

/// Reads the value of `containers`. All findings are given, those that refuse a service as errors.
pub fn read(given: &Node) -> (Project, Vec<Finding>) {
    let notes = place::Notes::default();
    let root = place::Place {
        key: "containers".to_owned(),
        node: given,
        notes: &notes,
    };
    reader::read(&root)
}
