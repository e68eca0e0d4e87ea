//! Brings bytes over bad links: one core for content, image tarballs, registries and image-skel.
//!
//! [`Fetcher`] asks one server once. [`Stream`] is a body that goes on where it stood when the link drops, at another mirror if need be.
//! [`Part`](part::Part) is a file in the making that outlives a power cut.

pub mod address;
pub mod answer;
pub mod bring;
pub mod client;
pub mod clock;
mod forward;
pub mod link;
pub mod metalink;
pub mod pace;
pub mod part;
pub mod patience;
pub mod proof;
pub mod proxy;
pub mod stream;
pub mod tls;

pub use address::{is_remote, shown};
pub use answer::{Answer, Found, Unanswered};
pub use bring::{Brought, Event, Failure, bring};
pub use client::{Fetcher, Request};
pub use proof::Expected;
pub use stream::{Keys, Mark, Stream, Wanted};
