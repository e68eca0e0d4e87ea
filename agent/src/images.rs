//! Image tarballs: read, verified, streamed into the engine, recorded.
//!
//! [`survey`](survey::survey) looks at them without an engine, [`load`](load::load) brings those that were admitted into it.

pub mod archive;
mod bring;
mod claims;
mod contents;
mod deliver;
mod durable;
mod fault;
mod fetch;
#[cfg(test)]
mod hostile;
pub mod load;
pub mod loaded;
mod members;
pub mod name;
mod oci;
mod parcel;
mod send;
mod source;
pub mod survey;
pub(crate) mod thin;

pub use load::load;
pub use loaded::Loaded;
pub use name::ImageName;
pub use survey::{Tarball, TarballState, survey};

use crate::report::{Kind, Reporter, State};

/// Says what a card without an engine cannot have, and which tarballs would have been of no use anyway.
pub fn give_up(tarballs: &[Tarball], report: &Reporter) {
    for tarball in tarballs {
        if let TarballState::Bad(problem) = &tarball.state {
            report.problem(problem.clone());
        }
        report.item(Kind::Image, &tarball.path, State::Failed, "there is no engine");
    }
}
