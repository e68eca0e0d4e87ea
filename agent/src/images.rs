//! Image tarballs: read, verified, streamed into the engine, recorded.
//!
//! [`survey`](survey::survey) looks at them without an engine, [`load`](load::load) brings those that were admitted into it.

pub mod archive;
mod bring;
mod claims;
mod contents;
mod deliver;
mod durable;
mod early;
mod fault;
mod fetch;
mod freight;
#[cfg(test)]
mod hostile;
mod layout;
pub mod load;
pub mod loaded;
mod members;
pub mod name;
mod oci;
mod orphans;
mod parcel;
mod parts;
mod piece;
mod pipes;
mod platform;
pub mod price;
mod registry;
mod send;
mod source;
pub mod staging;
pub mod survey;
pub(crate) mod thin;
#[doc(hidden)]
pub mod trial;

use std::iter;

pub use load::load;
pub use loaded::Loaded;
pub use name::ImageName;
pub use price::{Price, Standing};
pub use survey::{Tarball, TarballState, count, survey};

use crate::ground::blocking;
use crate::host::Host;
use crate::receipts::Receipts;
use crate::report::{Kind, Reporter, State};
use staging::Need;

/// What the loads of these tarballs need where the engine unpacks what it is sent.
pub fn need<'t>(tarballs: impl IntoIterator<Item = &'t Tarball>, receipts: &Receipts) -> Need {
    let mut standing = Standing::new();
    let needs = tarballs.into_iter().map(|tarball| tarball.price(&mut standing, receipts).need);
    let needs: Vec<Need> = needs.filter(|need| need.load > 0).collect();
    let before = iter::once(0).chain(needs.iter().map(|need| need.load));
    needs.iter().zip(before).fold(Need::default(), |all, (one, before)| all.or(one.beside(before)))
}

/// Readies what the engine is to be told before it starts. What cannot be had costs time on the card, no more.
pub async fn prepare(host: &Host, tarballs: &[Tarball], receipts: &Receipts, report: &Reporter) {
    let need = need(tarballs, receipts);
    let host = host.clone();
    match blocking(move || staging::prepare(&host, need)).await {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            tracing::info!("the engine unpacks in {bytes} bytes of memory; the largest load needs {}", need.load);
        }
        Err(error) => report.note(format!("the engine could not be given memory to unpack in: {error}")),
    }
}

/// Says what a card without an engine cannot have, and which tarballs would have been of no use anyway.
pub fn give_up(tarballs: &[Tarball], report: &Reporter) {
    for tarball in tarballs {
        if let TarballState::Bad(problem) = &tarball.state {
            report.problem(problem.clone());
        }
        report.item(Kind::Image, &tarball.path, State::Failed, "there is no engine");
    }
}
