//! The keys that are not honoured: known ones refuse, others are only mentioned.

use super::place::Place;
use crate::{Severity, code};

/// Keys of the compose specification that change what a service is and that we do not honour yet.
const KNOWN: [&str; 38] = [
    "annotations",
    "blkio_config",
    "cgroup",
    "cgroup_parent",
    "configs",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "credential_spec",
    "device_cgroup_rules",
    "env_file",
    "extends",
    "external_links",
    "gpus",
    "isolation",
    "label_file",
    "mac_address",
    "mem_swappiness",
    "models",
    "oom_kill_disable",
    "post_start",
    "pre_stop",
    "profiles",
    "provider",
    "runtime",
    "secrets",
    "storage_opt",
    "use_api_socket",
    "userns_mode",
    "uts",
    "volumes_from",
    "volume_driver",
    "net",
    "log_driver",
    "log_opt",
];

/// Keys of `deploy` that mean nothing on one box.
const SWARM: [&str; 7] =
    ["endpoint_mode", "labels", "mode", "placement", "replicas", "rollback_config", "update_config"];

/// A key of a service that nobody took.
pub(super) fn not_taken(key: &str, value: &Place<'_>, has_image: bool) {
    match key {
        "build" if has_image => value.warn(
            code::COMPOSE_BUILD,
            "build is ignored: nothing is built on the box, the image is used",
            "leave it out",
        ),
        "build" => value.note(
            code::COMPOSE_BUILD,
            Severity::Error,
            "nothing is built on the box",
            "build the image elsewhere, put its tarball on the card and name it with image",
        ),
        "scale" if value.number() == Some(1) => {}
        "scale" => value.refuse_known("a service runs once here"),
        "deploy" => deploy(value),
        "develop" => {
            value.warn(code::COMPOSE_IGNORED, "develop means nothing on a box, and is ignored", "leave it out")
        }
        _ if KNOWN.contains(&key) && asks_nothing(key, value) => {}
        _ if KNOWN.contains(&key) => value.refuse_known(format!("{key} is not honoured")),
        _ => unknown(key, value),
    }
}

/// Whether this is what a service is without the key: an empty value, or a switch that is off.
fn asks_nothing(key: &str, value: &Place<'_>) -> bool {
    let switch = matches!(key, "oom_kill_disable" | "use_api_socket");
    value.node.is_empty() || switch && value.node.as_bool() == Some(false)
}

fn deploy(place: &Place<'_>) {
    for (key, value) in place.entries() {
        let several = key == "replicas" && value.number() != Some(1);
        if several || !SWARM.contains(&key.as_str()) {
            value.refuse_known(format!("{key} of deploy is not honoured"));
        } else {
            let message = format!("{key} of deploy means nothing on one box, and is ignored");
            value.warn(code::COMPOSE_IGNORED, message, "leave it out");
        }
    }
}

/// A key that compose does not know either, or that begins with `x-`.
pub(super) fn unknown(key: &str, value: &Place<'_>) {
    let message = format!("{key} is not a key of compose, and ignored");
    value.warn(code::COMPOSE_UNKNOWN, message, "correct its spelling or leave it out");
}
