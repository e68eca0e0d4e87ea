//! The agent: what runs on the card. `boot` tells the story, every other module is a room of it.

pub mod arguments;
pub mod card;
pub mod content;
pub mod engine;
pub mod host;
pub mod images;
pub mod lock;
pub mod plan;
pub mod problem;
pub mod receipts;
pub mod report;
pub mod services;
pub mod stream;
