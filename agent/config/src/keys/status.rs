//! `status`: how the agent reports, and what it keeps.

use super::{Form, Key, Takes};
use crate::node::Node;
use crate::rules::{Verdict, amounts, shown};
use crate::settings::StatusOptions;

/// The keys of `status`; each stands for itself.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "led", takes: Takes::Text(led, Form::Schema(|| serde_json::json!({"type": ["string", "boolean"]}))), about: "Name of the LED below /sys/class/leds, or false for none; ACT unless given." },
    Key { name: "page", takes: Takes::Flag, about: "Serve a page about the progress while working; true unless given." },
    Key { name: "keep_tarballs", takes: Takes::Flag, about: "Keep image tarballs once they are loaded; false unless given." },
    Key { name: "health_limit", takes: Takes::Text(|text| amounts::seconds(text).map(drop), Form::Schema(|| serde_json::json!({"type": ["integer", "string"], "pattern": "^[0-9]+[smh]?$"}))), about: "Longest wait for the services to be healthy: seconds, or 3m; 3m unless given." },
];

/// The name of a folder of `/sys/class/leds`.
fn led(text: &str) -> Verdict {
    let word = |letter: char| letter.is_ascii_alphanumeric() || ":_-.".contains(letter);
    if !text.starts_with('.') && text.len() <= 64 && text.chars().all(word) {
        return Ok(());
    }
    Err(crate::finding::Complaint::value(
        format!("{} is not the name of an LED", shown(text)),
        "Use ACT, another folder of /sys/class/leds, or false.",
    ))
}

/// What a checked mapping means.
pub fn resolve(node: &Node) -> StatusOptions {
    let standard = StatusOptions::default();
    let flag = |key: &str, default| node.get(key).and_then(Node::as_bool).unwrap_or(default);
    let led = node.get("led").and_then(Node::as_text);
    let word = led.and_then(crate::scalar::boolean);
    let limit = node.get("health_limit").and_then(Node::as_text).and_then(|text| amounts::seconds(text).ok());
    StatusOptions {
        led: led.filter(|_| word.is_none()).map(String::from),
        use_led: word.unwrap_or(true),
        page: flag("page", standard.page),
        keep_tarballs: flag("keep_tarballs", standard.keep_tarballs),
        health_limit: limit.unwrap_or(standard.health_limit),
    }
}
