//! The agent: what runs on the card. [`boot`] tells the story of one boot; every other module is a room of it.
//!
//! ```text
//!  offspot.yaml ─ settings ─ Settings ─┐
//!  card ─ Grown ─ receipts ────────────┼─ survey ─ Plan ─┬─ content ─ Placed ─┐
//!                                      │                 └─ images ── Loaded ─┴─ services ─ verdict
//!                                      └ every step writes the Status ─ report ─ files, LED, journal, systemd
//! ```

pub mod arguments;
pub mod boot;
pub mod card;
pub mod commands;
pub mod content;
pub mod engine;
pub mod fetch;
pub mod ground;
pub mod host;
pub mod images;
pub mod interrupt;
pub mod lock;
pub mod look;
pub mod plan;
pub mod problem;
pub mod receipts;
pub mod report;
pub mod services;
pub mod settings;
pub mod stream;
pub mod survey;
pub mod watch;
