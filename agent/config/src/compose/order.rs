//! The order of services: each after those it depends on.

use std::collections::{HashMap, HashSet};

use super::model::Service;

/// Sorts, and takes out the services that wait for themselves; gives their names. Services that are absent are waited for by nobody here.
pub(super) fn sort(services: &mut Vec<Service>) -> Vec<String> {
    let mut waiting = std::mem::take(services);
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) = {
            let names: HashSet<String> = waiting.iter().map(|service| service.name.clone()).collect();
            let free = |service: &Service| service.depends_on.iter().all(|on| !names.contains(&on.service));
            waiting.into_iter().partition(free)
        };
        if ready.is_empty() {
            return split(rest, services);
        }
        services.extend(ready);
        waiting = rest;
    }
}

/// The rest holds circles and what depends on them; only the members of circles are named, the others come last and will wait in vain.
fn split(rest: Vec<Service>, services: &mut Vec<Service>) -> Vec<String> {
    let waits_for = dependencies(&rest);
    let circles: Vec<bool> = (0..rest.len()).map(|index| reaches_itself(index, &waits_for)).collect();
    let mut names = Vec::new();
    for (service, circle) in rest.into_iter().zip(circles) {
        match circle {
            true => names.push(service.name),
            false => services.push(service),
        }
    }
    names
}

/// For each service, where those it depends on stand in the list.
fn dependencies(services: &[Service]) -> Vec<Vec<usize>> {
    let places: HashMap<&str, usize> =
        services.iter().enumerate().map(|(index, service)| (service.name.as_str(), index)).collect();
    let of = |service: &Service| {
        service.depends_on.iter().filter_map(|on| places.get(on.service.as_str()).copied()).collect()
    };
    services.iter().map(of).collect()
}

fn reaches_itself(start: usize, waits_for: &[Vec<usize>]) -> bool {
    let mut seen = vec![false; waits_for.len()];
    let mut next = waits_for[start].clone();
    while let Some(index) = next.pop() {
        if index == start {
            return true;
        }
        if !std::mem::replace(&mut seen[index], true) {
            next.extend(&waits_for[index]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::service::started;

    fn service(name: &str, on: &[&str]) -> Service {
        Service {
            name: name.to_owned(),
            depends_on: on.iter().map(|on| started((*on).to_owned())).collect(),
            ..Service::default()
        }
    }

    #[test]
    fn dependencies_come_first_and_circles_are_named() {
        let mut services = vec![
            service("late", &["a"]),
            service("a", &["b"]),
            service("b", &["a"]),
            service("self", &["self"]),
            service("web", &["db", "absent"]),
            service("db", &[]),
        ];
        let circles = sort(&mut services);
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(circles, ["a", "b", "self"]);
        assert_eq!(names, ["db", "web", "late"]);
    }
}
