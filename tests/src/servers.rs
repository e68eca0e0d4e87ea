//! Real servers on loopback, for whatever fetches: a good one ([`nginx`]), one that misbehaves as it is told ([`misbehaving`]), one that
//! resolves names badly ([`names`]), and a [`proxy`] on the way.

mod answer;
pub mod certificate;
pub mod misbehaving;
mod misdeed;
pub mod names;
pub mod nginx;
pub mod proxy;
mod request;
pub mod seeded;

use std::net::{SocketAddr, TcpListener};

use crate::tool::{Doing, Outcome};

/// A port of this address that was free a moment ago. Another program may take it first: who serves on it tries again.
fn free_port(address: &str) -> Outcome<u16> {
    let listener = TcpListener::bind((address, 0)).doing("looking for a free port")?;
    listener.local_addr().as_ref().map(SocketAddr::port).doing("looking for a free port")
}
