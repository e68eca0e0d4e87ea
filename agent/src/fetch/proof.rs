//! What tells that the bytes of a file are the right ones, taken in while they pass.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offspot_config::settings::Algorithm;

use crate::stream::digest::Digest;
use crate::stream::zim::{Mismatch, ZimCheck};

/// What is known of the bytes beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Their digest, in lower-case hex.
    Digest(Algorithm, String),
    /// Nothing; but if they are a ZIM it says itself whether it is whole. Its name.
    Itself(String),
}

impl Expected {
    /// By which one expectation is told from another: `algorithm:hex`; empty where there is none.
    pub fn name(&self) -> String {
        match self {
            Expected::Digest(algorithm, digest) => format!("{algorithm:?}:{digest}").to_ascii_lowercase(),
            Expected::Itself(_) => String::new(),
        }
    }
}

/// The proof in the making.
#[derive(Debug)]
pub enum Proof {
    /// A digest.
    Digest(Digest),
    /// A ZIM's own checksum.
    Zim(ZimCheck),
}

impl Proof {
    /// Of nothing yet.
    pub fn new(expected: &Expected) -> Proof {
        match expected {
            Expected::Digest(algorithm, _) => Proof::Digest(Digest::new(*algorithm)),
            Expected::Itself(name) => Proof::Zim(ZimCheck::new(name)),
        }
    }

    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Proof::Digest(digest) => digest.update(bytes),
            Proof::Zim(zim) => zim.update(bytes),
        }
    }

    /// What [`Proof::restore`] goes on from.
    pub fn save(&self) -> String {
        STANDARD.encode(match self {
            Proof::Digest(digest) => digest.save(),
            Proof::Zim(zim) => zim.save(),
        })
    }

    /// A proof as it was when it was saved; none of another kind.
    pub fn restore(expected: &Expected, saved: &str) -> Option<Proof> {
        let state = STANDARD.decode(saved).ok()?;
        match expected {
            Expected::Digest(algorithm, _) => Digest::restore(*algorithm, &state).map(Proof::Digest),
            Expected::Itself(_) => ZimCheck::restore(&state).map(Proof::Zim),
        }
    }

    /// Whether all bytes that passed are what was expected.
    pub fn verdict(self, expected: &Expected) -> Result<(), Mismatch> {
        match (self, expected) {
            (Proof::Digest(digest), Expected::Digest(_, wanted)) => match digest.hex() {
                found if found == *wanted => Ok(()),
                found => Err((wanted.clone(), found)),
            },
            (Proof::Zim(zim), _) => zim.verdict().unwrap_or(Ok(())),
            (Proof::Digest(_), Expected::Itself(_)) => Ok(()),
        }
    }
}
