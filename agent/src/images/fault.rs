//! What is wrong with a tarball, before it is said of which.

use std::io;

use crate::problem::{ImageProblem, Problem, SpaceProblem};

/// Why a tarball, or an image of it, is of no use.
#[derive(Debug)]
pub enum Fault {
    /// Of no length.
    Empty,
    /// Not what it should be.
    NotArchive(String),
    /// Its end is missing.
    Truncated(String),
    /// This part is not what its digest says.
    Digest(String),
    /// For another board.
    WrongArch {
        /// Platform of the image.
        is: String,
        /// Architecture of the engine.
        wants: String,
    },
    /// The card did not give it.
    Unreadable(io::Error),
    /// As its registry has it, it is of no use.
    Registry(String),
    /// The network did not give it.
    Network(String),
    /// It unpacks to more than there is room for.
    Full,
    /// The receiving end went away; it knows why.
    Unheard,
    /// The engine unpacks where we do not see it.
    Unseen,
}

impl Fault {
    /// The problem of the tarball that the user knows as `item`.
    pub fn of(self, item: &str) -> Problem {
        let item = item.to_owned();
        match self {
            Fault::Empty => ImageProblem::Empty { item },
            Fault::NotArchive(why) => ImageProblem::NotArchive { item, why },
            Fault::Truncated(why) => ImageProblem::Truncated { item, why },
            Fault::Digest(part) => ImageProblem::Digest { item, part },
            Fault::WrongArch { is, wants } => ImageProblem::WrongArch { item, is, wants },
            Fault::Unreadable(error) => ImageProblem::Unreadable { item, why: error.to_string() },
            Fault::Unseen => ImageProblem::Refused { item, why: "it unpacks in an unknown folder".into() },
            Fault::Registry(why) => ImageProblem::Registry { item, why },
            Fault::Network(why) => ImageProblem::Fetch { item, why },
            Fault::Full => return SpaceProblem::Full { item }.into(),
            Fault::Unheard => ImageProblem::Refused { item, why: "it stopped listening".into() },
        }
        .into()
    }

    /// The problem of the image `item` that a registry has.
    pub fn of_pulled(self, item: &str) -> Problem {
        let item = item.to_owned();
        match self {
            Fault::Digest(part) => ImageProblem::PulledDigest { item, part }.into(),
            Fault::NotArchive(why) => ImageProblem::Registry { item, why }.into(),
            Fault::Truncated(why) => ImageProblem::Fetch { item, why }.into(),
            Fault::Unreadable(error) => ImageProblem::Fetch { item, why: error.to_string() }.into(),
            fault => fault.of(&item),
        }
    }

    /// A tarball that is not as it should be.
    pub fn not_archive(why: impl Into<String>) -> Fault {
        Fault::NotArchive(why.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated("its last bytes are missing".into()),
            _ if error.raw_os_error().is_some() => Fault::Unreadable(error),
            _ => Fault::NotArchive(format!("it is damaged ({error})")),
        }
    }
}
