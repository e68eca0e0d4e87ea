//! Test harness: the real things around the agent.

pub mod engine;
pub mod image_card;
pub mod image_tarball;
