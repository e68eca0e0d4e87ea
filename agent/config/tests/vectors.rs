//! Upstream's own 303 pairs of input and outcome, through the rules; where we differ, the table says why.

use offspot_config::finding::Complaint;
use offspot_config::rules::{firmware, names, network, ports, wifi};
use offspot_config::{Node, check, to_yaml};
use serde_json::Value;

/// Group, input, our outcome, and the reason.
#[rustfmt::skip]
const DEVIATIONS: &[(&str, &str, bool, &str)] = &[
    ("test_hostnames", r#"{"hostname":1}"#, true, "a number is the text it is written as"),
    ("test_is_valid_ssid", r#"{"ssid":1}"#, true, "a number is the text it is written as"),
    ("test_is_valid_domain", r#"{"domain":1}"#, true, "a number is the text it is written as"),
];

fn passes<T>(verdict: Result<T, Complaint>) -> bool {
    verdict.is_ok()
}

/// The text that a key's rule sees: any scalar's.
fn text(input: &Value, key: &str) -> String {
    Node::from_json(&input[key]).as_text().unwrap_or_default().to_string()
}

fn number(input: &Value, rule: fn(i64) -> Result<(), Complaint>) -> bool {
    Node::from_json(&input["channel"]).as_int().is_some_and(|channel| passes(rule(channel)))
}

fn ethernet(input: &Value) -> bool {
    let keys = [("type", "network_type"), ("address", "address"), ("routers", "routers"), ("dns", "dns")];
    let mapping = Node::mapping(keys.map(|(ours, theirs)| (ours, Node::from_json(&input[theirs]))));
    let checked = check(to_yaml(&Node::mapping([("ethernet", mapping)])).as_bytes());
    assert_eq!(checked.has_errors(), checked.settings.ethernet.is_none(), "{input}");
    !checked.has_errors()
}

fn compose_ports(input: &Value) -> bool {
    let entry = Node::from_json(&input["port"]);
    input["required_ports"]
        .as_array()
        .unwrap()
        .iter()
        .all(|port| ports::publishes(&entry, port.as_u64().unwrap() as u16))
}

fn outcome(group: &str, input: &Value) -> bool {
    let of = |key: &str| text(input, key);
    match group {
        "test_timezones" => passes(names::timezone(&of("timezone"))),
        "test_hostnames" => passes(names::hostname(&of("hostname"))),
        "test_firmwares" => passes(firmware::firmware(&of("chipset"), &of("firmware"))),
        "test_ipv4" if input["usable"] == true => passes(network::usable_ipv4(&of("address"))),
        "test_ipv4" => passes(network::ipv4(&of("address"))),
        "test_is_valid_ethernet_config" => ethernet(input),
        "test_is_valid_dhcp_range" => passes(network::dhcp_range(&of("range_str"), Some(&of("with_address")))),
        "test_is_valid_network" => passes(network::network_of(&of("network"), &of("with_address"))),
        "test_is_valid_interface_name" => passes(network::interface(&of("name"))),
        "test_is_valid_ssid" => passes(wifi::ssid(&of("ssid"))),
        "test_is_valid_coverage" => passes(wifi::profile(&of("profile"))),
        "test_is_valid_wpa2_passphrase" => passes(wifi::passphrase(&of("passphrase"))),
        "test_is_valid_24ghz_wifi_channel" => number(input, wifi::channel_24),
        "test_is_valid_5ghz_wifi_channel" => number(input, wifi::channel_5),
        "test_is_valid_tld" => passes(names::tld(&of("tld"))),
        "test_is_valid_domain" => passes(names::hostname(&of("domain"))),
        "test_is_valid_wifi_country_code" => passes(names::country(&of("country_code"))),
        "test_port_in_range" => ports::port_in_range(&of("range_or_port"), input["expected"].as_u64().unwrap() as u16),
        "test_is_valid_compose_ports" => compose_ports(input),
        other => panic!("{other} is not known here"),
    }
}

#[test]
fn all_303_pairs() {
    let groups: Value = serde_json::from_str(include_str!("data/validation_vectors.json")).unwrap();
    let (mut seen, mut deviated, mut wrong) = (0, 0, Vec::new());
    for (group, pairs) in groups.as_object().unwrap() {
        for pair in pairs.as_array().unwrap() {
            let mut input = pair.as_object().unwrap().clone();
            let theirs = input.remove("should_pass").unwrap().as_bool().unwrap();
            let input = Value::Object(input);
            let written = input.to_string();
            let deviation = DEVIATIONS.iter().find(|(in_group, of, ..)| in_group == group && *of == written);
            let ours = outcome(group, &input);
            seen += 1;
            deviated += usize::from(deviation.is_some());
            if ours != deviation.map_or(theirs, |(_, _, ours, _)| *ours)
                || deviation.is_some_and(|(_, _, ours, _)| *ours == theirs)
            {
                wrong.push(format!("{group} {input}: {ours}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((seen, deviated), (303, DEVIATIONS.len()));
}
