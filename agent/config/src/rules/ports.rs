//! Which host port an entry of `ports` publishes.

use crate::node::Node;

/// Whether `80` or `8000-8100` covers this port.
pub fn port_in_range(port_or_range: &str, port: u16) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    match port_or_range.split_once('-') {
        None => number(port_or_range) == Some(port),
        Some((first, last)) => {
            number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&port))
        }
    }
}

/// Whether this entry of `ports` (`[ip:]host:container[/tcp]`, or the long form) publishes the TCP port on the host.
pub fn publishes(entry: &Node, port: u16) -> bool {
    if entry.as_mapping().is_some() {
        let named = |protocol: &Node| protocol.as_text().is_some_and(|text| text.eq_ignore_ascii_case("tcp"));
        let tcp = entry.get("protocol").is_none_or(|protocol| protocol.is_null() || named(protocol));
        return tcp
            && entry.get("published").and_then(Node::as_text).is_some_and(|published| port_in_range(published, port));
    }
    let text = entry.as_text().unwrap_or_default();
    let (mapping, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let host = mapping.rsplit_once(':').map(|(host, _)| host.rsplit_once(':').map_or(host, |(_, host)| host));
    protocol.eq_ignore_ascii_case("tcp") && host.is_some_and(|host| port_in_range(host, port))
}
