//! offspot.yaml and image.yaml as types and rules: no I/O, no async, builds for any target.
//!
//! The way through: bytes → [`yaml::read`] (a tree that remembers places) → [`check`] (every problem at once, what can be used) →
//! [`in_force`] (the last good settings changed by what the file names) → [`Settings`], and [`to_yaml`] to record them.

pub mod check;
pub mod choose;
pub mod code;
pub mod compose;
pub mod emit;
mod excerpt;
pub mod finding;
pub mod keys;
pub mod merge;
pub mod near;
pub mod node;
pub mod path;
pub mod render;
pub mod rules;
pub mod scalar;
pub mod schema;
pub mod settings;
pub mod yaml;

pub use check::{Checked, CheckedImage, check, check_image};
pub use choose::choose_file;
pub use emit::{to_compose_yaml, to_yaml};
pub use finding::{Complaint, Finding, Findings, Refused, Severity};
pub use merge::{InForce, in_force};
pub use node::{Node, Position};
pub use render::render;
pub use schema::{image_schema, schema};
pub use settings::{Recipe, Settings, Tree};
