//! Containers.

use super::{Area, Facts};

/// Containers.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the sentence of each stands in `facts`")]
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
    Waits { item: String, on: String },
}

impl ServiceProblem {
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

    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        Facts { item: Some(self.item().to_owned()), ..self.words() }
    }

    fn words(&self) -> Facts {
        match self {
            ServiceProblem::NoEngine { item } => Facts::new(
                "E-SERVICE-NO-ENGINE",
                Area::Service,
                format!("{item} was not started because there is no container engine"),
                "see the problem of the engine",
            ),
            ServiceProblem::Refused { item, why } => Facts::new(
                "E-SERVICE-REFUSED",
                Area::Service,
                format!("{item} was not started: {why}"),
                "correct it in offspot.yaml",
            ),
            ServiceProblem::NoImage { item, image } => Facts::new(
                "E-SERVICE-NO-IMAGE",
                Area::Service,
                format!("{item} was not started: its image {image} is not on the card"),
                format!("put the tarball of {image} into offspot/images on the boot partition or /data/images"),
            ),
            ServiceProblem::ImageFailed { item, image } => Facts::new(
                "E-SERVICE-IMAGE",
                Area::Service,
                format!("{item} was not started: its image {image} could not be loaded"),
                format!("see the problem of {image}"),
            ),
            ServiceProblem::NameTaken { item, name } => Facts::new(
                "E-SERVICE-NAME",
                Area::Service,
                format!("{item} was not started: another container, which is not of this project, has the name {name}"),
                format!("remove that container, or give {item} another container_name in offspot.yaml"),
            ),
            ServiceProblem::NotStarted { item, why } => Facts::new(
                "E-SERVICE-START",
                Area::Service,
                format!("{item} could not be started: {why}"),
                "correct it in offspot.yaml",
            ),
            ServiceProblem::Unhealthy { item, seconds } => Facts::new(
                "E-SERVICE-UNHEALTHY",
                Area::Service,
                format!("{item} is not healthy after {seconds} s"),
                "look at its log; its image or its settings may be wrong",
            ),
            ServiceProblem::Looping { item, exit_code, restarts } => Facts::new(
                "E-SERVICE-LOOPING",
                Area::Service,
                format!("{item} ends again and again (exit code {exit_code}, restarted {restarts} times)"),
                "look at its log; its image or its settings may be wrong",
            ),
            ServiceProblem::Ended { item, exit_code } => Facts::new(
                "E-SERVICE-ENDED",
                Area::Service,
                format!("{item} ended with exit code {exit_code}"),
                "look at its log; its image or its settings may be wrong",
            ),
            ServiceProblem::Waits { item, on } => Facts::new(
                "E-SERVICE-WAITS",
                Area::Service,
                format!("{item} was not started because {on}, which it depends on, is not up"),
                format!("see the problem of {on}"),
            ),
        }
    }
}
