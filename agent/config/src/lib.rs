//! offspot.yaml and image.yaml as types and rules: no I/O, no async, builds for any target.

pub mod compose;
pub mod finding;
pub mod node;
pub mod settings;

pub use finding::{Finding, Severity};
pub use node::{Node, Position};
pub use settings::Settings;
