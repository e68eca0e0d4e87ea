//! The laboratory: the real things around the agent. Cards, boards, engines and libraries, for the demo, the suite, the kill loop and
//! the benchmarks.

pub mod activator;
pub mod agent_run;
pub mod bench;
pub mod board;
pub mod boot;
pub mod boot_card;
pub mod booted;
pub mod booted_card;
pub mod card;
pub mod checks;
pub mod demo;
pub mod elf;
pub mod engine;
pub mod figures;
pub mod http;
pub mod image_build;
pub mod image_card;
pub mod image_tarball;
pub mod lab_engine;
pub mod led_watch;
pub mod library;
pub mod loop_card;
pub mod packages;
pub mod probe;
pub mod progress;
pub mod qemu;
pub mod qmp;
pub mod rig;
pub mod snapshot;
pub mod stages;
pub mod suite;
pub mod write_log;
pub mod zim;

pub use image_skel::tool;
