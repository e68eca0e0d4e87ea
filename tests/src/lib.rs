//! Test harness: the real things around the agent.

pub mod engine;
pub mod image_tarball;
pub mod rig;
