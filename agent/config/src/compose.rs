//! `containers`: a compose file as a project. Pure: gets the mapping as it was read, gives what to run and what was found.
//!
//! A service with an error is refused by name, and no other. Keys that compose does not know are only mentioned. Variables are not
//! replaced (nothing on a card could set them): `$NAME` stays and is mentioned, `$$` is `$` as everywhere in compose.

use crate::finding::{Complaint, Findings};
use crate::{Finding, Node, Severity};

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

/// The key of the whole mapping.
const KEY: &str = "containers";

/// Reads the value of `containers`. All findings are given, those that refuse a service as errors.
pub fn read(given: &Node) -> (Project, Vec<Finding>) {
    let notes = place::Notes::default();
    let root = place::Place { key: KEY.to_owned(), node: given, notes: &notes };
    reader::read(&root)
}

/// Puts what is found in the mapping, which stands at `place`, among the findings of its file; gives the services that are refused.
pub fn check(given: &Node, place: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let (project, found) = read(given);
    for finding in found {
        let key = finding.key.strip_prefix(KEY).unwrap_or_default();
        let complaint = Complaint::new(finding.code, finding.message, finding.advice);
        match finding.severity {
            Severity::Error => findings.error(&format!("{place}{key}"), finding.at, complaint),
            Severity::Warning => findings.warning(&format!("{place}{key}"), finding.at, complaint),
        }
    }
    project.refused.into_iter().map(|refused| refused.name).collect()
}
