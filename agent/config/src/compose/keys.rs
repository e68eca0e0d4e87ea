//! The keys that are not honoured: known ones refuse, others are only mentioned.

use super::place::Place;
use crate::{Severity, code};

/// Keys of the compose specification, and of its ancestors, that have no meaning on one box without network: each with the reason.
const REFUSED: [(&str, &str); 14] = [
    ("credential_spec", "it is for Windows"),
    ("develop", "nothing is developed on a box"),
    ("gpus", "no box has one for containers"),
    ("isolation", "it is for Windows"),
    ("label_file", "labels of a file are not read: write them with labels"),
    ("log_driver", "it is old: use logging"),
    ("log_opt", "it is old: use logging"),
    ("models", "no model is served on a box"),
    ("net", "it is old: use network_mode"),
    ("post_start", "nobody would run it when the engine starts the container again"),
    ("pre_stop", "nobody would run it when the engine stops the container"),
    ("provider", "nothing else than containers is run"),
    ("use_api_socket", "the engine is not given away: bind its socket with volumes if need be"),
    ("volume_driver", "it is old: use driver of the volume"),
];

/// A key of a service that nobody took.
pub(super) fn not_taken(key: &str, value: &Place<'_>, has_image: bool) {
    let reason = REFUSED.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason);
    match (key, reason) {
        ("build", _) if has_image => value.warn(
            code::COMPOSE_BUILD,
            "build is ignored: nothing is built on the box, the image is used",
            "leave it out",
        ),
        ("build", _) => value.note(
            code::COMPOSE_BUILD,
            Severity::Error,
            "nothing is built on the box",
            "build the image elsewhere, put its tarball on the card and name it with image",
        ),
        (_, Some(_)) if asks_nothing(key, value) => {}
        (_, Some(reason)) => value.refuse_known(format!("{key} is not honoured: {reason}")),
        (_, None) => unknown(key, value),
    }
}

/// Whether this is what a service is without the key: an empty value, or a switch that is off.
fn asks_nothing(key: &str, value: &Place<'_>) -> bool {
    let off = key == "use_api_socket" && value.node.as_bool() == Some(false);
    off || key == "isolation" && value.node.as_text() == Some("default") || value.node.is_empty()
}

/// A key of a mapping in which nothing else than what is honoured may stand, but for those that begin with `x-`.
pub(super) fn not_honoured(key: &str, value: &Place<'_>, what: &str) {
    if !key.starts_with("x-") {
        value.refuse_known(format!("{key} of {what} is not honoured"));
    }
}

/// A key that compose does not know either; those that begin with `x-` are nobody's business.
pub(super) fn unknown(key: &str, value: &Place<'_>) {
    if key.starts_with("x-") {
        return;
    }
    if key == "<<" {
        // Plain ones were taken when the file was read.
        return value.refuse("in quotes << merges nothing: write it without quotes");
    }
    let message = format!("{key} is not a key of compose, and ignored");
    value.warn(code::COMPOSE_UNKNOWN, message, "correct its spelling or leave it out");
}
