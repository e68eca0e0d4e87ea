//! What the engine tells by itself, and what is asked of it in between.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{EventMessage, Network};
use bollard::query_parameters::{EventsOptions, ListNetworksOptions};
use futures_util::stream::{Stream, StreamExt};

use super::{Engine, Refusal};
use crate::problem::EngineProblem;

/// What happens to containers and networks and can end a service. Not `exec_…`, which every health check is; `health_status` comes when
/// it changes.
const ACTIONS: [&str; 10] =
    ["start", "kill", "die", "stop", "destroy", "pause", "unpause", "rename", "health_status", "disconnect"];

impl Engine {
    /// One try to reach the engine, which may start it, within `limit`.
    pub async fn once(socket: &str, limit: Duration) -> Result<Engine, EngineProblem> {
        match tokio::time::timeout(limit, Engine::reach(socket)).await {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(error)) => Err(EngineProblem::Silent { why: error.to_string() }),
            Err(_) => {
                let why = format!("no answer on {socket} within {} s", limit.as_secs());
                Err(EngineProblem::Silent { why })
            }
        }
    }

    /// What happens to containers and networks: first what the engine remembers of the time since (the last 256 events of all kinds in its
    /// own life, seconds since 1970), then each as it comes, for as long as the engine lives. Those of networks carry no label, so that one filter cannot be for both.
    pub fn events(&self, since: u64) -> impl Stream<Item = Result<EventMessage, Refusal>> + Unpin + use<> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let filters = HashMap::from([
            ("type".to_owned(), words(&["container", "network"])),
            ("event".to_owned(), words(&ACTIONS)),
        ]);
        let options = EventsOptions { since: Some(since.to_string()), until: None, filters: Some(filters) };
        let docker = self.docker.clone();
        Box::pin(docker.events(Some(options)).map(|event| event.map_err(Refusal::from)))
    }

    /// The networks with this label, `NAME=VALUE`.
    pub async fn labelled_networks(&self, label: &str) -> Result<Vec<Network>, Refusal> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        Ok(self.docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await?)
    }
}
