//! Addresses, networks, ranges and interfaces.

use std::net::Ipv4Addr;

use super::{Verdict, shown};
use crate::finding::Complaint;

/// A dotted quad, without leading zeros.
pub fn ipv4(text: &str) -> Verdict<Ipv4Addr> {
    text.parse().map_err(|_| {
        Complaint::value(
            format!("{} is not an IPv4 address", shown(text)),
            "Write four numbers from 0 to 255 with dots, as in 192.168.144.1.",
        )
    })
}

/// An address that a device can have: not the first or last of its /24, not of a special range.
pub fn usable_ipv4(text: &str) -> Verdict<Ipv4Addr> {
    let address = ipv4(text)?;
    let last = address.octets()[3];
    let special = is_special(address);
    if matches!(last, 0 | 255) || special {
        let why = if special { "it belongs to a special range" } else { "its last number is 0 or 255" };
        return Err(Complaint::value(
            format!("{text} cannot be the address of a device: {why}"),
            "Use an address such as 192.168.144.1 or 10.0.0.1.",
        ));
    }
    Ok(address)
}

fn is_special(address: Ipv4Addr) -> bool {
    let reserved = address.octets()[0] >= 240;
    address.is_link_local() || address.is_loopback() || address.is_multicast() || reserved || address.is_unspecified()
}

/// An IPv4 network: its first address and its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The address with all host bits zero.
    pub base: Ipv4Addr,
    /// The bits that all its addresses share.
    pub mask: u32,
}

impl Network {
    /// Whether the address belongs to it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask == u32::from(self.base)
    }
}

/// `192.168.144.0/24` or `192.168.144.0/255.255.255.0`, of at least two addresses and of no special range.
pub fn network(text: &str) -> Verdict<Network> {
    let wrong = |why: &str| {
        Complaint::value(format!("{} is not a network: {why}", shown(text)), "Write it as in 192.168.144.0/24.")
    };
    let (base, size) = text.split_once('/').ok_or_else(|| wrong("it has no /"))?;
    let base = ipv4(base).map_err(|_| wrong("what stands before the / is not an address"))?;
    let mask = prefix(size)
        .or_else(|| netmask(size))
        .ok_or_else(|| wrong("what stands after the / is not a prefix length or mask"))?;
    if u32::from(base) & !mask != 0 {
        return Err(wrong("its address has bits beyond the mask"));
    } else if mask == u32::MAX {
        return Err(wrong("it has one address only"));
    } else if is_special(base) {
        return Err(wrong("it is a special range"));
    }
    Ok(Network { base, mask })
}

/// A network that holds this address.
pub fn network_of(text: &str, address: &str) -> Verdict<Network> {
    let network = network(text)?;
    let address = usable_ipv4(address)?;
    if network.contains(address) {
        return Ok(network);
    }
    Err(Complaint::new(
        crate::code::CONFLICT,
        format!("the address {address} is not in the network {text}"),
        "Change `network` or `address` so that they agree.",
    ))
}

fn prefix(text: &str) -> Option<u32> {
    let length: u32 =
        text.parse().ok().filter(|_| text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    (length <= 32).then(|| u32::MAX.checked_shl(32 - length).unwrap_or(0))
}

fn netmask(text: &str) -> Option<u32> {
    let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
    (mask.leading_ones() + mask.trailing_zeros() == 32).then_some(mask)
}

/// `start,end,netmask,lease`: what addresses DHCP gives, and for how long. With an address, it must be a neighbour and not given away.
pub fn dhcp_range(text: &str, address: Option<&str>) -> Verdict {
    let wrong = |why: &str| {
        Complaint::value(
            format!("{} is not a DHCP range: {why}", shown(text)),
            "Write it as in 192.168.144.129,192.168.144.254,255.255.255.0,1h, without spaces.",
        )
    };
    let parts: Vec<&str> = text.split(',').collect();
    let [start, end, mask, lease] = parts[..] else {
        return Err(wrong("it needs four parts with commas between"));
    };
    let (first, last) = (usable_ipv4(start)?, usable_ipv4(end)?);
    let mask = netmask(mask).filter(|mask| *mask != 0).ok_or_else(|| wrong("its third part is not a netmask"))?;
    let network = Network { base: Ipv4Addr::from(u32::from(first) & mask), mask };
    if first >= last {
        return Err(wrong("its first address must come before its last"));
    } else if !network.contains(last) {
        return Err(wrong("its addresses are not in one network"));
    } else if !is_lease(lease) {
        return Err(wrong("its last part is not a time such as 1h, 30m or infinite"));
    }
    let Some(address) = address else {
        return Ok(());
    };
    let own = usable_ipv4(address)?;
    let clash = |message: String| {
        Err(Complaint::new(crate::code::CONFLICT, message, "Change `dhcp-range` or `address` so that they agree."))
    };
    if own == first || own == last {
        return clash(format!("the DHCP range gives away the access point's own address {own}"));
    } else if !network.contains(own) {
        return clash(format!("the DHCP range and the access point's address {own} are not in one network"));
    }
    Ok(())
}

fn is_lease(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or_default();
    text == "infinite" || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `wlan0`, `eth0`, `enp0s5`: a lower-case letter, more of them or digits, a digit at the end.
pub fn interface(text: &str) -> Verdict {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 3
        && bytes.len() <= 15
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1].is_ascii_digit();
    if shape && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(Complaint::value(
        format!("{} is not the name of an interface", shown(text)),
        "Use a name such as wlan0 or eth0.",
    ))
}
