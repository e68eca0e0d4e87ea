//! `ap`: the Wi-Fi access point.

use super::{Form, Key, Takes, texts};
use crate::finding::Complaint;
use crate::node::Node;
use crate::rules::{Verdict, names, network, wifi};
use crate::settings::{AccessPoint, Profile, Spoof};

const IPV4: Form = Form::Pattern(r"^\d{1,3}(\.\d{1,3}){3}$");
const HOSTNAME: Form = Form::Pattern(r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$");

/// The keys of `ap`.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "ssid", takes: Takes::Text(wifi::ssid, Form::Pattern(r#"^[^!#;+\]/"\t\r\n][^+\]/"\t\r\n]{0,31}$"#)), about: "Name of the network, 1 to 32 bytes." },
    Key { name: "passphrase", takes: Takes::Text(wifi::passphrase, Form::Pattern(r"^$|^[\x20-\x7e]{8,63}$")), about: "8 to 63 ASCII characters; empty for an open network." },
    Key { name: "profile", takes: Takes::Text(wifi::profile, Form::Words(|| wifi::PROFILES.to_vec())), about: "perf (fast, 5 GHz) or coverage (far, 2.4 GHz)." },
    Key { name: "hide", takes: Takes::Flag, about: "Do not broadcast the name." },
    Key { name: "address", takes: Takes::Text(|text| network::usable_ipv4(text).map(drop), IPV4), about: "The box's own address on Wi-Fi; 192.168.144.1 unless given." },
    Key { name: "channel_24", takes: Takes::Number(wifi::channel_24, wifi::CHANNELS_24), about: "Channel of the 2.4 GHz band; 11 unless given." },
    Key { name: "channel_5", takes: Takes::Number(wifi::channel_5, wifi::CHANNELS_5), about: "Channel of the 5 GHz band; 36 unless given." },
    Key { name: "country", takes: Takes::Text(names::country, Form::Words(|| names::countries().collect())), about: "Two capital letters: which radio rules apply; US unless given." },
    Key { name: "interface", takes: Takes::Text(network::interface, Form::Free), about: "Wi-Fi interface; wlan0 unless given." },
    Key { name: "dhcp-range", takes: Takes::Text(|text| network::dhcp_range(text, None), Form::Free), about: "start,end,netmask,lease: the addresses given to devices." },
    Key { name: "network", takes: Takes::Text(|text| network::network(text).map(drop), Form::Free), about: "The network the address is in, as in 192.168.144.0/24." },
    Key { name: "dns", takes: Takes::List(|text| network::usable_ipv4(text).map(drop)), about: "Name servers asked when online; 8.8.8.8 and 1.1.1.1 unless given." },
    Key { name: "captured-address", takes: Takes::Text(|text| network::usable_ipv4(text).map(drop), IPV4), about: "Answer to every name while offline; 198.51.100.1 unless given." },
    Key { name: "as-gateway", takes: Takes::Flag, about: "Let devices use the box's internet connection." },
    Key { name: "tld", takes: Takes::Text(names::tld, Form::Pattern("^[A-Za-z][A-Za-z0-9-]*$")), about: "Last part of the box's names; offspot unless given." },
    Key { name: "domain", takes: Takes::Text(names::hostname, HOSTNAME), about: "Name of the box in front of the tld; generic unless given." },
    Key { name: "welcome", takes: Takes::Text(names::hostname, HOSTNAME), about: "A second name of the box; goto.generic unless given." },
    Key { name: "spoof", takes: Takes::FlagOrAuto, about: "Answer every name with the captured address: auto (while offline), true or false." },
    Key { name: "other-interfaces", takes: Takes::List(network::interface), about: "Interfaces that get names and addresses too." },
    Key { name: "except-interfaces", takes: Takes::List(network::interface), about: "Interfaces never to listen on." },
    Key { name: "nodhcp-interfaces", takes: Takes::List(network::interface), about: "Interfaces that get names but no addresses." },
];

/// What cannot hold together, and the key to blame. Without `address` in the mapping, `default` is its address, if any.
pub fn conflicts(ap: &Node, default: Option<&str>) -> Vec<(&'static str, Complaint)> {
    let text = |key: &str| ap.get(key).and_then(Node::as_text);
    let Some(address) = text("address").or(default) else {
        return Vec::new();
    };
    let check = |key, rule: fn(&str, &str) -> Verdict| {
        text(key).and_then(|value| rule(value, address).err()).map(|complaint| (key, complaint))
    };
    let range = check("dhcp-range", |range, address| network::dhcp_range(range, Some(address)));
    let within = check("network", |network, address| network::network_of(network, address).map(drop));
    range.into_iter().chain(within).collect()
}

/// The address where none is given.
pub const ADDRESS: &str = "192.168.144.1";

/// The access point that a checked mapping means; none without an SSID.
pub fn resolve(ap: &Node) -> Option<AccessPoint> {
    let given = |key: &str| ap.get(key).and_then(Node::as_text).map(String::from);
    let text = |key: &str, default: &str| given(key).unwrap_or_else(|| default.into());
    let flag = |key: &str| ap.get(key).and_then(Node::as_bool).unwrap_or(false);
    let channel = |key: &str, default| {
        ap.get(key).and_then(Node::as_int).and_then(|number| u8::try_from(number).ok()).unwrap_or(default)
    };
    let list = |key: &str| texts(ap.get(key));
    let dns = list("dns");
    Some(AccessPoint {
        ssid: given("ssid")?,
        profile: if given("profile").as_deref() == Some("coverage") { Profile::Coverage } else { Profile::Perf },
        passphrase: given("passphrase"),
        hide: flag("hide"),
        address: text("address", ADDRESS),
        channel_24: channel("channel_24", 11),
        channel_5: channel("channel_5", 36),
        country: text("country", "US"),
        interface: text("interface", "wlan0"),
        dhcp_range: given("dhcp-range"),
        network: given("network"),
        dns: if dns.is_empty() { vec!["8.8.8.8".into(), "1.1.1.1".into()] } else { dns },
        captured_address: text("captured-address", "198.51.100.1"),
        as_gateway: flag("as-gateway"),
        tld: text("tld", "offspot"),
        domain: text("domain", "generic"),
        welcome: text("welcome", "goto.generic"),
        spoof: match ap.get("spoof").and_then(Node::as_bool) {
            None => Spoof::Auto,
            Some(true) => Spoof::On,
            Some(false) => Spoof::Off,
        },
        other_interfaces: list("other-interfaces"),
        except_interfaces: list("except-interfaces"),
        nodhcp_interfaces: list("nodhcp-interfaces"),
    })
}
