//! `deploy` of a service, as far as one box has a meaning for it, and `scale`.

use super::keys;
use super::limits;
use super::model::{Replicas, Restart, Service};
use super::place::Place;
use crate::code;

/// Most containers of one service.
const MOST: u32 = 100;

/// `scale` or `deploy.replicas`.
pub(super) fn replicas(place: &Place<'_>) -> Option<Replicas> {
    let message = format!("must be a number of containers up to {MOST}");
    let number = place.whole_number::<u32>(&message)?;
    place.or_refused((number <= MOST).then_some(Replicas(number)), &message)
}

/// What `deploy` says, taken after all other keys: it must not say another thing than they do.
pub(super) fn read(service: &mut Service, place: &Place<'_>, has: &dyn Fn(&str) -> bool) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "replicas" => {
                let Some(given) = replicas(&value) else { continue };
                if has("scale") && service.replicas != given {
                    distinct(&value, "scale");
                }
                service.replicas = given;
            }
            "resources" => resources(service, &value, has),
            "restart_policy" => service.restart = restart(&value),
            "mode" => mode(&value),
            "endpoint_mode" | "labels" | "placement" | "rollback_config" | "update_config" => {
                let message = format!("{name} of deploy means nothing on one box, and is ignored");
                value.warn(code::COMPOSE_IGNORED, message, "leave it out");
            }
            _ => keys::unknown(&name, &value),
        }
    }
}

fn mode(place: &Place<'_>) {
    match place.filled_text().as_deref() {
        None | Some("replicated") => {}
        Some(mode) => place.refuse_known(format!("mode {mode} of deploy is for swarms")),
    }
}

fn distinct(place: &Place<'_>, key: &str) {
    let message = format!("{key} of the service says another thing");
    place.note(code::COMPOSE_CLASH, crate::Severity::Error, message, "leave one of the two out");
}

fn resources(service: &mut Service, place: &Place<'_>, has: &dyn Fn(&str) -> bool) {
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "limits" | "reservations" => {
                for (key, value) in value.entries() {
                    if !value.is_null() {
                        resource(service, &name, &key, &value, has);
                    }
                }
            }
            _ => keys::unknown(&name, &value),
        }
    }
}

fn resource(service: &mut Service, list: &str, key: &str, place: &Place<'_>, has: &dyn Fn(&str) -> bool) {
    let limits = &mut service.limits;
    match (list, key) {
        ("limits", "cpus") => settle(&mut limits.cpus, limits::processors(place), place, "cpus", has),
        ("limits", "memory") => settle(&mut limits.mem_limit, limits::size(place), place, "mem_limit", has),
        ("limits", "pids") => settle(&mut limits.pids_limit, place.number(), place, "pids_limit", has),
        ("reservations", "memory") => {
            settle(&mut limits.mem_reservation, limits::size(place), place, "mem_reservation", has);
        }
        ("reservations", "cpus") => {
            let message = "processors are reserved in swarms only: it is ignored";
            place.warn(code::COMPOSE_IGNORED, message, "leave it out");
        }
        (_, "devices" | "generic_resources") if place.node.is_empty() => {}
        (_, "devices") => place.refuse_known("no device is reserved on a box: name it with devices"),
        (_, "generic_resources") => place.refuse_known("generic_resources are for swarms"),
        _ => keys::unknown(key, place),
    }
}

fn settle(known: &mut Option<i64>, given: Option<i64>, place: &Place<'_>, key: &str, has: &dyn Fn(&str) -> bool) {
    if has(key) && given.is_some() && *known != given {
        distinct(place, key);
    }
    *known = given.or(*known);
}

/// `restart_policy`, which stands over `restart`; without condition there is no restart, as in compose.
fn restart(place: &Place<'_>) -> Restart {
    let (mut condition, mut attempts) = (String::new(), None);
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "condition" => condition = value.text().unwrap_or_default(),
            "max_attempts" => attempts = value.number::<u32>(),
            "delay" | "window" => {
                let message = format!("{name} is for swarms: the engine has its own, and it is ignored");
                value.warn(code::COMPOSE_IGNORED, message, "leave it out");
            }
            _ => keys::unknown(&name, &value),
        }
    }
    let restart = match condition.as_str() {
        "" | "none" | "no" => Restart::No,
        "on-failure" => Restart::OnFailure(attempts.take()),
        "any" | "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        _ => {
            place.refuse("condition must be none, on-failure or any");
            Restart::No
        }
    };
    let attempts = attempts.is_some_and(|attempts| attempts > 0);
    if attempts && condition.is_empty() {
        let message = "restart_policy without condition means that nothing is started again: max_attempts is ignored";
        place.warn(code::COMPOSE_IGNORED, message, "give it condition: on-failure");
    } else if attempts {
        place.refuse("max_attempts goes with condition: on-failure only");
    }
    restart
}
