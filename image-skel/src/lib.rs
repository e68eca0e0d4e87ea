//! The minimal pre-baked image: from `skel.toml` and `Packages.lock` to one file that is flashed.
//!
//! `skel.toml` (written by hand) → lock → `Packages.lock` → fetch → debs in the store → [`tree::Tree`] of the root partition →
//! partitions → image. Nothing of Debian is run: what its maintainer scripts would have done is done by `configure`, and listed.

pub mod arguments;
pub mod boards;
pub mod boot_partition;
pub mod build;
pub mod card_binary;
pub mod commands;
pub mod configure;
pub mod control;
pub mod deb;
pub mod fetch;
pub mod image;
pub mod index;
pub mod initramfs;
pub mod inputs;
pub mod lock;
pub mod lock_command;
pub mod mirror;
pub mod modules;
pub mod outputs;
pub mod packages;
pub mod relation;
pub mod release;
pub mod report;
pub mod resolve;
pub mod root;
pub mod sbom;
pub mod skel;
pub mod store;
pub mod tool;
pub mod tree;
pub mod trust;
pub mod version;
