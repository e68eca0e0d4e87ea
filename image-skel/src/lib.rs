//! The minimal pre-baked image: from `skel.toml` and `Packages.lock` to one file that is flashed.
//!
//! `skel.toml` (written by hand) → lock → `Packages.lock` → fetch → debs in the store → [`tree::Tree`] of the root partition →
//! partitions → image. Nothing of Debian is run: what its maintainer scripts would have done is done by `configure`, and listed.

pub mod control;
pub mod image;
pub mod lock;
pub mod outputs;
pub mod packages;
pub mod skel;
pub mod tool;
pub mod tree;
