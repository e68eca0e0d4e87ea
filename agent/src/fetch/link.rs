//! A way out of the box: at power-on there is none yet, and whoever asks too early gives up for the whole boot.

use std::thread::sleep;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long after power-on a link may take: a switch that learns, a server that leases addresses.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until there is a route to anywhere, or the box has been on for so long that none is to be expected.
pub fn wait() {
    while !has_route() && since_power_on() < PATIENCE {
        sleep(LOOK);
    }
}

fn since_power_on() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(PATIENCE, Duration::from)
}

/// Whether the kernel knows a way (proc_net(5): a line a route, behind one of titles; of IPv6 those of `lo` are always there).
fn has_route() -> bool {
    let lines = |path| std::fs::read_to_string(path).unwrap_or_default();
    let four = lines("/proc/net/route").lines().skip(1).any(|line| !line.starts_with("lo\t"));
    // Addresses of one link (fe80) lead nowhere.
    let is_way = |line: &str| !line.ends_with(" lo") && !line.starts_with("fe80") && !line.starts_with("ff");
    four || lines("/proc/net/ipv6_route").lines().any(|line| is_way(line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_waited_for_long_after_power_on() {
        assert!(since_power_on() > Duration::ZERO);
        wait();
    }
}
