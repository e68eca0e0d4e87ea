//! What the engine already has of the project.

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
}

impl Found {
    /// None for what is no service: one-off containers, and those without service.
    pub fn read(summary: ContainerSummary) -> Option<Found> {
        let labels = summary.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        if label(labels::ONEOFF).eq_ignore_ascii_case("true") {
            return None;
        }
        let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        Some(Found {
            id: summary.id?,
            name: name.trim_start_matches('/').to_owned(),
            service: labels.get(labels::SERVICE)?.clone(),
            hash: label(labels::HASH),
            image: summary.image_id.unwrap_or_default(),
            created: summary.created.unwrap_or_default(),
            state: summary.state.unwrap_or(State::EMPTY),
            status: summary.status.unwrap_or_default(),
        })
    }

    /// Whether its program runs.
    pub fn is_running(&self) -> bool {
        self.state == State::RUNNING
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

/// What to do about the containers of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The one that is as it should be; none: one is to be made.
    pub keep: Option<Found>,
    /// The others, newest first: to be removed once the right one is there.
    pub old: Vec<Found>,
}

/// Sorts the containers of one service by what is to happen to them.
pub fn decide(mut found: Vec<Found>, hash: &str, image: &str) -> Decision {
    found.sort_by_key(|container| (!container.is_running(), -container.created));
    let fits = |container: &Found| {
        // One that was made and never started may lack networks: the maker was cut off.
        let whole = matches!(container.state, State::RUNNING | State::RESTARTING | State::EXITED);
        whole && container.hash == hash && container.image == image
    };
    let keep = found.iter().position(fits).map(|at| found.remove(at));
    found.sort_by_key(|container| -container.created);
    Decision { keep, old: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, hash: &str, state: State, created: i64) -> Found {
        Found {
            id: id.to_owned(),
            name: id.to_owned(),
            service: "web".to_owned(),
            hash: hash.to_owned(),
            image: "i".to_owned(),
            created,
            state,
            status: String::new(),
        }
    }

    fn ids(decision: &Decision) -> (Option<&str>, Vec<&str>) {
        let old = decision.old.iter().map(|found| found.id.as_str());
        (decision.keep.as_ref().map(|found| found.id.as_str()), old.collect())
    }

    #[test]
    fn the_running_one_that_fits_is_kept() {
        let all = vec![
            found("exited", "h", State::EXITED, 3),
            found("running", "h", State::RUNNING, 1),
            found("changed", "other", State::RUNNING, 2),
        ];
        assert_eq!(ids(&decide(all, "h", "i")), (Some("running"), vec!["exited", "changed"]));
    }

    #[test]
    fn half_made_and_changed_ones_are_made_anew() {
        let all = vec![found("half", "h", State::CREATED, 2), found("paused", "h", State::PAUSED, 1)];
        assert_eq!(ids(&decide(all, "h", "i")), (None, vec!["half", "paused"]));
        let image = vec![found("a", "h", State::RUNNING, 2)];
        assert_eq!(ids(&decide(image, "h", "newer")), (None, vec!["a"]));
    }

    #[test]
    fn ages_and_health_in_words() {
        let mut container = found("a", "h", State::RUNNING, 1);
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
