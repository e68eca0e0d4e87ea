//! Services that are made upon the container of another one: its network, processes, memory or volumes. Pure.

use std::collections::BTreeMap;

use offspot_config::compose::{Service, VolumesSource, Wiring};

/// The containers that stand for services in the settings of others: name and id.
pub(super) type Ids = BTreeMap<String, String>;

/// The services whose containers this one is made upon, each once.
pub(crate) fn of(service: &Service) -> Vec<&str> {
    let mut all = shared(service);
    all.extend(service.volumes_from.iter().filter_map(|from| match &from.source {
        VolumesSource::Service(name) => Some(name.as_str()),
        VolumesSource::Container(_) => None,
    }));
    all.sort_unstable();
    all.dedup();
    all
}

/// Those of them whose network, processes or memory it shares: it has to be started again after them.
pub(super) fn shared(service: &Service) -> Vec<&str> {
    let network = match &service.wiring {
        Wiring::Service(name) => Some(name.as_str()),
        Wiring::Mode(_) | Wiring::Joined(_) => None,
    };
    let isolation = &service.isolation;
    let modes = [&isolation.pid, &isolation.ipc].into_iter().flatten();
    network.into_iter().chain(modes.filter_map(|mode| mode.strip_prefix("service:"))).collect()
}

/// A mode as the engine takes it: `service:NAME` becomes `container:ID`.
pub(super) fn mode(mode: &str, ids: &Ids) -> String {
    let container = mode.strip_prefix("service:").and_then(|name| ids.get(name));
    container.map_or_else(|| mode.to_owned(), |id| format!("container:{id}"))
}

/// The services, each after those it is made upon; those in a circle come last.
pub(super) fn order(services: &[Service]) -> Vec<&Service> {
    let (mut sorted, mut waiting): (Vec<&Service>, Vec<&Service>) = (Vec::new(), services.iter().collect());
    loop {
        let names: Vec<&str> = waiting.iter().map(|service| service.name.as_str()).collect();
        let free = |service: &&Service| of(service).iter().all(|name| !names.contains(name));
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(free);
        if ready.is_empty() {
            sorted.extend(rest);
            return sorted;
        }
        sorted.extend(ready);
        waiting = rest;
    }
}

#[cfg(test)]
mod tests {
    use offspot_config::compose::VolumesFrom;

    use super::*;

    #[test]
    fn services_come_after_those_they_are_made_upon() {
        let service = |name: &str| Service { name: name.to_owned(), ..Service::default() };
        let mut net = service("net");
        net.wiring = Wiring::Service("x".to_owned());
        net.isolation.pid = Some("service:y".to_owned());
        let mut x = service("x");
        x.volumes_from = vec![VolumesFrom { source: VolumesSource::Service("y".to_owned()), read_only: false }];
        assert_eq!(of(&net), ["x", "y"]);
        let all = [net, x, service("y")];
        let names: Vec<&str> = order(&all).into_iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["y", "x", "net"]);
        let ids = Ids::from([("y".to_owned(), "12".to_owned())]);
        assert_eq!((mode("service:y", &ids).as_str(), mode("host", &ids).as_str()), ("container:12", "host"));
    }
}
