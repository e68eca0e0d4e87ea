//! What can go wrong, one variant a way to fail. This folder alone knows code, sentence, advice, exit code and LED count.

use std::fmt;

mod card;
mod content;
mod engine;
mod image;
mod service;
mod settings;
mod space;

pub use card::CardProblem;
pub use content::ContentProblem;
pub use engine::EngineProblem;
pub use image::ImageProblem;
pub use service::ServiceProblem;
pub use settings::SettingsProblem;
pub use space::SpaceProblem;

/// The subject of a problem, in the order in which exit code and LED name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The card itself, its table or a filesystem on it.
    Card,
    /// The container engine.
    Engine,
    /// Bytes, inodes or memory.
    Space,
    /// `offspot.yaml`.
    Settings,
    /// A checksum or digest of an image.
    ImageTrust,
    /// A checksum of content.
    ContentTrust,
    /// An image tarball.
    Image,
    /// A file or archive of `files`.
    Content,
    /// A container.
    Service,
}

impl Area {
    /// Exit code of `run` where this is the gravest; 0 is ready.
    pub fn exit_code(self) -> u8 {
        match self {
            Area::Card => 3,
            Area::Engine => 5,
            Area::Space => 4,
            Area::Settings => 2,
            Area::ImageTrust | Area::ContentTrust => 6,
            Area::Image | Area::Content | Area::Service => 1,
        }
    }

    /// Short flashes of the LED after the long one, as the README tells the technician.
    pub fn led_count(self) -> u8 {
        match self {
            Area::Settings => 2,
            Area::Card => 3,
            Area::Space => 4,
            Area::Image | Area::ImageTrust => 5,
            Area::Content | Area::ContentTrust => 6,
            Area::Service => 7,
            Area::Engine => 8,
        }
    }
}

/// A way to fail, by its subject.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant holds the ways of its subject")]
pub enum Problem {
    Card(CardProblem),
    Engine(EngineProblem),
    Space(SpaceProblem),
    Settings(SettingsProblem),
    Image(ImageProblem),
    Content(ContentProblem),
    Service(ServiceProblem),
    /// As it was told before in this boot, or came after its verdict.
    Told(Facts),
}

/// What a report says of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Stable code, `E-…`.
    pub code: &'static str,
    /// Its subject.
    pub area: Area,
    /// The service that it is of.
    pub item: Option<String>,
    /// Came after the boot's verdict: it goes again when it is over.
    pub later: bool,
    /// What happened, one sentence without full stop.
    pub sentence: String,
    /// What to do, one sentence without full stop.
    pub advice: String,
}

impl Facts {
    fn new(code: &'static str, area: Area, sentence: String, advice: impl Into<String>) -> Self {
        Facts { code, area, item: None, later: false, sentence, advice: advice.into() }
    }
}

impl Problem {
    /// Code, subject, sentence and advice.
    pub fn facts(&self) -> Facts {
        match self {
            Problem::Card(problem) => problem.facts(),
            Problem::Engine(problem) => problem.facts(),
            Problem::Space(problem) => problem.facts(),
            Problem::Settings(problem) => problem.facts(),
            Problem::Image(problem) => problem.facts(),
            Problem::Content(problem) => problem.facts(),
            Problem::Service(problem) => problem.facts(),
            Problem::Told(facts) => facts.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.facts();
        write!(f, "{}: {}; {}", facts.code, facts.sentence, facts.advice)
    }
}

impl std::error::Error for Problem {}

macro_rules! from_subject {
    ($($variant:ident($inner:ident)),*) => {
        $(impl From<$inner> for Problem {
            fn from(problem: $inner) -> Self {
                Problem::$variant(problem)
            }
        })*
    };
}

from_subject!(
    Card(CardProblem),
    Engine(EngineProblem),
    Space(SpaceProblem),
    Settings(SettingsProblem),
    Image(ImageProblem),
    Content(ContentProblem),
    Service(ServiceProblem)
);

/// The problem that exit code and LED name: the first by [`Area`], then the oldest.
pub fn foremost(problems: &[Problem]) -> Option<&Problem> {
    problems.iter().min_by_key(|problem| problem.facts().area)
}
