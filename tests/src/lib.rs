//! Test harness: the real things around the agent.

pub mod engine;
