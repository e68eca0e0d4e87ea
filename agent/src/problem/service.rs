//! Containers.

use super::{Area, Facts};

/// Containers.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts` and `clause`")]
pub enum ServiceProblem {
    NoEngine { item: String },
    Refused { item: String, why: String },
    NoImage { item: String, image: String },
    ImageFailed { item: String, image: String },
    NameTaken { item: String, name: String },
    NotStarted { item: String, why: String },
    Unhealthy { item: String, seconds: u64 },
    Looping { item: String, exit_code: i64, restarts: u64 },
    Ended { item: String, exit_code: i64 },
    Waits { item: String, on: String, why: String, root: String },
}

impl ServiceProblem {
    /// `item` waits for a service that will not be what it has to be; `why` goes on after "which".
    pub fn waits(item: &str, on: &str, why: &str) -> ServiceProblem {
        let (item, on, why) = (item.to_owned(), on.to_owned(), why.to_owned());
        ServiceProblem::Waits { item, root: on.clone(), on, why }
    }

    /// `item` waits for a service that has this problem.
    pub fn waits_after(item: &str, problem: &ServiceProblem) -> ServiceProblem {
        let on = problem.item().to_owned();
        let root = match problem {
            ServiceProblem::Waits { root, .. } => root.clone(),
            _ => on.clone(),
        };
        ServiceProblem::Waits { item: item.to_owned(), on, why: problem.clause(), root }
    }

    /// The service.
    pub fn item(&self) -> &str {
        match self {
            ServiceProblem::NoEngine { item }
            | ServiceProblem::Refused { item, .. }
            | ServiceProblem::NoImage { item, .. }
            | ServiceProblem::ImageFailed { item, .. }
            | ServiceProblem::NameTaken { item, .. }
            | ServiceProblem::NotStarted { item, .. }
            | ServiceProblem::Unhealthy { item, .. }
            | ServiceProblem::Looping { item, .. }
            | ServiceProblem::Ended { item, .. }
            | ServiceProblem::Waits { item, .. } => item,
        }
    }

    /// What happened, to be read after the name of the service or after "which".
    fn clause(&self) -> String {
        match self {
            ServiceProblem::NoEngine { .. } => "was not started because there is no container engine".to_owned(),
            ServiceProblem::Refused { why, .. } => format!("was not started: {why}"),
            ServiceProblem::NoImage { image, .. } => {
                format!("was not started: its image {image} is not on the card")
            }
            ServiceProblem::ImageFailed { image, .. } => {
                format!("was not started: its image {image} could not be loaded")
            }
            ServiceProblem::NameTaken { name, .. } => {
                format!("was not started: another container, which is not of this project, has the name {name}")
            }
            ServiceProblem::NotStarted { why, .. } => format!("could not be started: {why}"),
            ServiceProblem::Unhealthy { seconds, .. } => format!("is not healthy after {seconds} s"),
            ServiceProblem::Looping { exit_code, restarts, .. } => {
                format!("ends again and again (exit code {exit_code}, restarted {restarts} times)")
            }
            ServiceProblem::Ended { exit_code, .. } => format!("ended with exit code {exit_code}"),
            ServiceProblem::Waits { on, why, .. } => format!("waits for {on}, which {why}"),
        }
    }

    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        let log = "look at its log; its image or its settings may be wrong";
        let correct = "correct it in offspot.yaml";
        let (code, advice) = match self {
            ServiceProblem::NoEngine { .. } => ("E-SERVICE-NO-ENGINE", "see the problem of the engine".to_owned()),
            ServiceProblem::Refused { .. } => ("E-SERVICE-REFUSED", correct.to_owned()),
            ServiceProblem::NoImage { image, .. } => (
                "E-SERVICE-NO-IMAGE",
                format!("put the tarball of {image} into offspot/images on the boot partition or /data/images"),
            ),
            ServiceProblem::ImageFailed { image, .. } => ("E-SERVICE-IMAGE", format!("see the problem of {image}")),
            ServiceProblem::NameTaken { item, .. } => (
                "E-SERVICE-NAME",
                format!("remove that container, or give {item} another container_name in offspot.yaml"),
            ),
            ServiceProblem::NotStarted { .. } => ("E-SERVICE-START", correct.to_owned()),
            ServiceProblem::Unhealthy { .. } => ("E-SERVICE-UNHEALTHY", log.to_owned()),
            ServiceProblem::Looping { .. } => ("E-SERVICE-LOOPING", log.to_owned()),
            ServiceProblem::Ended { .. } => ("E-SERVICE-ENDED", log.to_owned()),
            ServiceProblem::Waits { root, .. } => ("E-SERVICE-WAITS", format!("see the problem of {root}")),
        };
        let facts = Facts::new(code, Area::Service, format!("{} {}", self.item(), self.clause()), advice);
        Facts { item: Some(self.item().to_owned()), ..facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_with_the_chain() {
        let db = ServiceProblem::Ended { item: "db".to_owned(), exit_code: 1 };
        let web = ServiceProblem::waits_after("web", &ServiceProblem::waits_after("api", &db));
        let facts = web.facts();
        assert_eq!(facts.sentence, "web waits for api, which waits for db, which ended with exit code 1");
        assert_eq!(facts.advice, "see the problem of db");
        let lone = ServiceProblem::waits("a", "b", "has no health check").facts();
        assert_eq!(
            (lone.sentence.as_str(), lone.advice.as_str()),
            ("a waits for b, which has no health check", "see the problem of b")
        );
    }
}
