//! offspot.yaml and image.yaml as types and rules: no I/O, no async, builds for any target.

pub mod code;
pub mod compose;
mod excerpt;
pub mod finding;
pub mod node;
pub mod path;
pub mod scalar;
pub mod settings;
pub mod yaml;

pub use finding::{Complaint, Finding, Findings, Refused, Severity};
pub use node::{Node, Position};
pub use settings::Settings;
