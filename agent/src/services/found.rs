//! What the engine already has of the project.

use std::collections::BTreeMap;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};

use super::labels;

/// A container of the project as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its name, without slash.
    pub name: String,
    /// The service it was made for.
    pub service: String,
    /// Which of that service's containers, from 1.
    pub number: u32,
    /// What it was made from.
    pub hash: String,
    /// Id of its image.
    pub image: String,
    /// Seconds since 1970, by the clock of its making.
    pub created: i64,
    /// How it is.
    pub state: State,
    /// The same in words, with age and health.
    pub status: String,
    /// The networks it is in: name and id, which is empty before the first start.
    pub networks: BTreeMap<String, String>,
}

impl Found {
    /// None for what is no service: one-off containers, and those without service.
    pub fn read(summary: ContainerSummary) -> Option<Found> {
        let labels = summary.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        if label(labels::ONEOFF).eq_ignore_ascii_case("true") {
            return None;
        }
        let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        Some(Found {
            id: summary.id?,
            name: name.trim_start_matches('/').to_owned(),
            service: labels.get(labels::SERVICE)?.clone(),
            number: label(labels::NUMBER).parse().unwrap_or(1),
            hash: label(labels::HASH),
            image: summary.image_id.unwrap_or_default(),
            created: summary.created.unwrap_or_default(),
            state: summary.state.unwrap_or(State::EMPTY),
            status: summary.status.unwrap_or_default(),
            networks: networks
                .into_iter()
                .map(|(name, joined)| (name, joined.network_id.unwrap_or_default()))
                .collect(),
        })
    }

    /// Whether its program runs.
    pub fn is_running(&self) -> bool {
        self.state == State::RUNNING
    }

    /// Whether it can be started as it is, or runs; not so when another hand paused it, or its removal was cut off.
    pub fn is_whole(&self) -> bool {
        matches!(self.state, State::CREATED | State::RUNNING | State::RESTARTING | State::EXITED)
    }

    /// Was made and never started: the maker may have been cut off before it had all it needs.
    pub fn is_new(&self) -> bool {
        self.state == State::CREATED
    }

    /// Notes that it was stopped just now.
    pub fn has_stopped(&mut self) {
        (self.state, self.status) = (State::EXITED, String::new());
    }

    /// Has ended, and well.
    pub fn is_done(&self) -> bool {
        self.state == State::EXITED && self.status.starts_with("Exited (0)")
    }

    /// What its health check says; none: it has none.
    pub fn health(&self) -> Option<Health> {
        let says = |word: &str| self.status.contains(word);
        if says("(healthy)") {
            Some(Health::Healthy)
        } else if says("(unhealthy)") || says("(health: starting)") {
            Some(Health::Not)
        } else {
            None
        }
    }

    /// Runs well and has for a while: nothing to wait for. Ages below a minute are told in seconds.
    pub fn is_settled(&self) -> bool {
        let age = || self.status.split(' ').find_map(|word| word.parse::<u32>().ok());
        let young = self.status.contains("second") && age().is_none_or(|age| age < 10);
        self.is_running()
            && match self.health() {
                Some(health) => health == Health::Healthy,
                None => !young,
            }
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It passed.
    Healthy,
    /// It has not passed yet, or no longer does.
    Not,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn found(id: &str, number: u32, hash: &str, state: State, created: i64) -> Found {
        Found {
            id: id.to_owned(),
            name: id.to_owned(),
            service: "web".to_owned(),
            number,
            hash: hash.to_owned(),
            image: "i".to_owned(),
            created,
            state,
            status: String::new(),
            networks: BTreeMap::new(),
        }
    }

    #[test]
    fn ages_and_health_in_words() {
        let mut container = found("a", 1, "h", State::RUNNING, 1);
        for (status, settled) in [
            ("Up 2 seconds", false),
            ("Up 1 second", false),
            ("Up Less than a second", false),
            ("Up 12 seconds", true),
            ("Up About a minute", true),
            ("Up 3 months", true),
            ("Up 3 minutes (health: starting)", false),
            ("Up 3 minutes (unhealthy)", false),
            ("Up 1 second (healthy)", true),
        ] {
            container.status = status.to_owned();
            assert_eq!(container.is_settled(), settled, "{status}");
        }
    }
}
