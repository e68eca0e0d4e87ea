//! Test harness.
pub mod loop_card;
