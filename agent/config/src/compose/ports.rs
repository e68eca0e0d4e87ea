//! `ports` and `expose` of a service.

use std::collections::HashSet;

use super::model::Port;
use super::place::Place;
use super::{keys, words};

/// Most ports of one service: the engine starts a process for each published one.
const MOST: usize = 1000;
/// Longest range.
const LONGEST: u16 = 1000;

/// All entries of `ports`, ranges taken apart, each port once.
pub(super) fn read(place: &Place<'_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for item in place.items() {
        let read = if item.is_mapping() { long(&item) } else { short(&item) };
        ports.extend(read.unwrap_or_default());
        if ports.len() > MOST {
            too_many(&item);
            return Vec::new();
        }
    }
    let mut seen = HashSet::new();
    ports
        .retain(|port| seen.insert((port.target, port.protocol.clone(), port.host_ip.clone(), port.published.clone())));
    ports
}

/// All entries of `expose`, as `80/tcp`.
pub(super) fn exposed(place: &Place<'_>) -> Vec<String> {
    let mut ports = Vec::new();
    for item in place.items() {
        ports.extend(unless_long(&item, exposed_range, "must be PORT or PORT/PROTOCOL").unwrap_or_default());
        if ports.len() > MOST {
            too_many(&item);
            return Vec::new();
        }
    }
    let mut seen = HashSet::new();
    ports.retain(|port: &String| seen.insert(port.clone()));
    ports
}

fn too_many(place: &Place<'_>) {
    place.refuse(format!("there are more than {MOST} ports"));
}

/// The value through `parse`; a range that is too long is told apart from what is none.
fn unless_long<T>(place: &Place<'_>, parse: impl FnOnce(&str) -> Option<T>, message: &str) -> Option<T> {
    let container = |text: &str| {
        let (rest, _) = text.split_once('/').unwrap_or((text, ""));
        words::ports(rest.rsplit_once(':').map_or(rest, |(_, target)| target))
    };
    if place.node.as_text().and_then(container).is_some_and(is_long) {
        too_many(place);
        return None;
    }
    place.parsed_whole(parse, message)
}

fn is_long((first, last): (u16, u16)) -> bool {
    last - first >= LONGEST
}

fn exposed_range(text: &str) -> Option<Vec<String>> {
    let (range, protocol) = protocol(text)?;
    let (first, last) = words::ports(range)?;
    if first == last {
        // Passed on as compose does: the engine reads `80` as `80/tcp`.
        return Some(vec![text.to_owned()]);
    }
    Some((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol(text: &str) -> Option<(&str, &'static str)> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((rest, known_protocol(protocol)?))
}

/// Nothing is `tcp`: a variable that is not set may have stood there.
fn known_protocol(text: &str) -> Option<&'static str> {
    let text = if text.is_empty() { "tcp" } else { text };
    ["tcp", "udp", "sctp"].into_iter().find(|known| known.eq_ignore_ascii_case(text))
}

fn short(place: &Place<'_>) -> Option<Vec<Port>> {
    let message = "must be [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL] with ports or ranges of the same length";
    unless_long(place, parse_short, message)
}

fn parse_short(text: &str) -> Option<Vec<Port>> {
    let (rest, protocol) = protocol(text)?;
    let (front, target) = match rest.rsplit_once(':') {
        Some((front, target)) => (Some(front), target),
        None => (None, rest),
    };
    let (host_ip, published) = match front {
        None => ("", ""),
        Some(front) => match front.rsplit_once(':') {
            Some((address, published)) => (address, published),
            None => ("", front),
        },
    };
    let host_ip = host_ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host_ip);
    // What is empty is not said: a variable that is not set may have stood there.
    if !host_ip.is_empty() {
        host_ip.parse::<std::net::IpAddr>().ok()?;
    }
    ranged(words::ports(target)?, published, protocol, host_ip)
}

/// One port for each of `targets`. One target may choose from a range of the host.
fn ranged(targets: (u16, u16), published: &str, protocol: &str, host_ip: &str) -> Option<Vec<Port>> {
    let (first, last) = targets;
    let port = |target: u16, published: String| Port {
        target,
        protocol: protocol.to_owned(),
        host_ip: host_ip.to_owned(),
        published,
    };
    if published.is_empty() {
        return Some((first..=last).map(|target| port(target, String::new())).collect());
    }
    let host = words::ports(published)?;
    if first == last {
        return Some(vec![port(first, published.to_owned())]);
    }
    let pairs = (first..=last).zip(host.0..=host.1);
    (last - first == host.1 - host.0).then(|| pairs.map(|(target, host)| port(target, host.to_string())).collect())
}

fn long(place: &Place<'_>) -> Option<Vec<Port>> {
    let (mut target, mut published) = (None, String::new());
    let (mut protocol, mut host_ip) = ("tcp".to_owned(), String::new());
    for (name, value) in place.entries() {
        match name.as_str() {
            _ if value.is_null() => {}
            "target" => target = Some(long_target(&value)?),
            "published" => {
                let known = |text: &str| match text {
                    "" => Some(String::new()),
                    _ => words::ports(text).map(|_| text.to_owned()),
                };
                published = value.parsed_whole(known, "must be a port or a range")?;
            }
            "protocol" => {
                protocol = value.parsed(known_protocol, "must be tcp, udp or sctp")?.to_owned();
            }
            "host_ip" => {
                let known = |text: &str| match text {
                    "" => Some(String::new()),
                    _ => text.parse::<std::net::IpAddr>().ok().map(|address| address.to_string()),
                };
                host_ip = value.parsed(known, "must be an address")?;
            }
            "mode" | "name" | "app_protocol" => {}
            _ => keys::not_honoured(&name, &value, "a port"),
        }
    }
    let Some(target) = target else {
        place.refuse("target is missing");
        return None;
    };
    let ports = ranged(target, &published, &protocol, &host_ip);
    if ports.is_none() {
        place.refuse("target and published are ranges of different length");
    }
    ports
}

/// A range stands in quotes.
fn long_target(place: &Place<'_>) -> Option<(u16, u16)> {
    let range = place.node.as_text().and_then(words::ports);
    match range.filter(|(first, last)| first < last) {
        Some(range) if is_long(range) => {
            too_many(place);
            None
        }
        Some(range) => Some(range),
        None => {
            let port = place.whole_number::<u16>("must be a port")?;
            place.or_refused((port > 0).then_some((port, port)), "must be a port")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{exposed_range, parse_short};

    #[test]
    fn short_ports() {
        let ports = |text: &str| {
            let one =
                |port: super::Port| format!("{}:{}:{}/{}", port.host_ip, port.published, port.target, port.protocol);
            parse_short(text).map(|ports| ports.into_iter().map(one).collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [
            ("80", Some("::80/tcp")),
            ("80:80", Some(":80:80/tcp")),
            ("80:80/TCP", Some(":80:80/tcp")),
            ("127.0.0.1:8080:80/udp", Some("127.0.0.1:8080:80/udp")),
            ("127.0.0.1::80", Some("127.0.0.1::80/tcp")),
            ("[::1]:81:80", Some("::1:81:80/tcp")),
            ("8000-8001:80-81", Some(":8000:80/tcp :8001:81/tcp")),
            ("8000-8009:80", Some(":8000-8009:80/tcp")),
            ("80-81", Some("::80/tcp ::81/tcp")),
            ("8000-8002:80-81", None),
            (":80", Some("::80/tcp")),
            (":80:80", Some(":80:80/tcp")),
            ("127.0.0.1::80/", Some("127.0.0.1::80/tcp")),
            ("80:", None),
            ("a:80", None),
            ("300.1.1.1:80:80", None),
            ("80/icmp", None),
        ] {
            assert_eq!(ports(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        assert_eq!(exposed_range("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert_eq!(exposed_range("80").unwrap(), ["80"]);
        assert!(exposed_range("x").is_none());
    }
}
