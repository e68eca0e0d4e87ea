//! Proof that our services mean what docker compose means: the same compose files through the real `docker-compose` and through us,
//! into two engines of the release that the card ships, and everything that the engines say compared.
//!
//! The way through: [`case`] (files of the corpus) → [`pair`] (two engines) → [`snapshot`] (all that an engine holds) → [`compare`]
//! (every field) against [`table`] (every field that is left out or differs, with the reason).

pub mod case;
pub mod compare;
pub mod fates;
pub mod features;
pub mod keys;
pub mod pair;
pub mod run;
pub mod snapshot;
pub mod stock;
pub mod table;

/// Whose engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// That of docker-compose.
    Theirs,
    /// Ours.
    Ours,
}
