//! The order of services: each after those it depends on.

use super::model::Service;

/// Sorts, and takes out the services that wait for themselves; gives their names. Services that are absent are waited for by nobody here.
pub(super) fn sort(services: &mut Vec<Service>) -> Vec<String> {
    let mut waiting = std::mem::take(services);
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) = {
            let names: Vec<String> = waiting.iter().map(|service| service.name.clone()).collect();
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
    let on = |name: &str| {
        let found = rest.iter().find(|service| service.name == name);
        found.map(|service| &service.depends_on[..]).unwrap_or_default()
    };
    let in_circle = |service: &Service| {
        let mut seen: Vec<&str> = Vec::new();
        let mut next: Vec<&str> = service.depends_on.iter().map(|on| on.service.as_str()).collect();
        while let Some(name) = next.pop() {
            if !seen.contains(&name) {
                seen.push(name);
                next.extend(on(name).iter().map(|on| on.service.as_str()));
            }
        }
        seen.contains(&service.name.as_str())
    };
    let circles: Vec<bool> = rest.iter().map(in_circle).collect();
    let mut names = Vec::new();
    for (service, circle) in rest.into_iter().zip(circles) {
        match circle {
            true => names.push(service.name),
            false => services.push(service),
        }
    }
    names
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
