//! `containers`: a compose file as a project. Pure: gets the mapping as it was read, gives what to run and what was found.
//!
//! A service with an error is refused by name, and no other. Keys that compose does not know are only mentioned. Everything else means
//! what it means to compose with an empty environment: `$NAME` and `${NAME:-default}` are replaced, `$$` is `$`, services extend each other.

use crate::finding::{Complaint, Findings};
use crate::node::Scalar;
use crate::{Finding, Node, Severity};

mod combine;
mod deploy;
mod devices;
pub mod dotenv;
mod extends;
mod given;
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
mod tags;
mod template;
mod words;

pub use model::{
    Blkio, Condition, Dependency, EnvFile, FileObject, FileSource, GivenFile, Health, Isolation, Joined, Limits,
    Logging, Mount, MountKind, Network, Port, Process, Project, Refused, Replicas, Restart, Service, Subnet, Volume,
    VolumesFrom, VolumesSource, Wiring,
};

/// Name of a project without `name`: what people call it by, as in `docker compose -p offspot ps`.
pub const NAME: &str = "offspot";

/// Folder that compose resolves relative paths against: that of `/etc/docker/compose.yml`.
pub const FOLDER: &str = "/etc/docker";

/// The key of the whole mapping.
pub(crate) const KEY: &str = "containers";

/// Whether compose makes something else of this scalar than the text that was written: `022` is 18 to it, and `'022'` is not.
pub(crate) fn means_another_text(scalar: &Scalar) -> bool {
    words::meaning(scalar) != scalar.text
}

/// Reads the value of `containers`. All findings are given, those that refuse a service as errors.
pub fn read(given: &Node) -> (Project, Vec<Finding>) {
    let notes = place::Notes::default();
    let root = place::Place { key: KEY.to_owned(), node: given, notes: &notes };
    reader::read(&root)
}

/// Puts what is found in the mapping, which stands at `place`, among the findings of its file; gives the project, and whether an error
/// refuses the whole.
pub fn check(given: &Node, place: &str, findings: &mut Findings<'_>) -> (Project, bool) {
    let (project, found) = read(given);
    let mut whole = false;
    for finding in found {
        whole |= finding.severity == Severity::Error && !concerns_one_entry(&finding.key);
        let key = finding.key.strip_prefix(KEY).unwrap_or_default();
        let complaint = Complaint::new(finding.code, finding.message, finding.advice);
        match finding.severity {
            Severity::Error => findings.error(&format!("{place}{key}"), finding.at, complaint),
            Severity::Warning => findings.warning(&format!("{place}{key}"), finding.at, complaint),
        }
    }
    (project, whole)
}

/// Whether a key lies in one service, network, volume, config or secret: only services that use it are refused.
fn concerns_one_entry(key: &str) -> bool {
    let rest = key.strip_prefix(KEY).unwrap_or_default();
    [".services.", ".networks.", ".volumes.", ".configs.", ".secrets."].iter().any(|list| rest.starts_with(list))
}
