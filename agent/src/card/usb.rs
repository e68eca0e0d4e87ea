//! Disks on USB, which come later than the agent: the kernel knows at once that something keeps data, but what makes a disk of it may be loaded
//! late, and asks it for its size and partitions first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::host::Host;

/// What has not become a disk by then will not: a reader of a kind that no driver is for.
const LIMIT: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);
/// From the disk's folder to those of its partitions.
const PARTITIONS: Duration = Duration::from_millis(500);
/// What an interface is that keeps data (USB: Defined Class Codes).
const MASS_STORAGE: &str = "08";

/// Waits until there is a disk for everything on USB that keeps data. On the live host; blocking.
pub(super) fn await_disks(host: &Host) {
    let devices = Path::new("/sys/bus/usb/devices");
    if !host.is_live() || !lacks_disk(devices) {
        return;
    }
    let begun = Instant::now();
    while lacks_disk(devices) && begun.elapsed() < LIMIT {
        std::thread::sleep(LOOK);
    }
    std::thread::sleep(PARTITIONS);
    tracing::info!("waited {} ms for a disk on USB", begun.elapsed().as_millis());
}

/// Whether one of these devices keeps data, and no disk stands below it, where the kernel's SCSI layer puts one: `host0/target0:0:0/0:0:0:0/block`.
fn lacks_disk(devices: &Path) -> bool {
    below(devices, "").iter().any(|device| {
        let class = fs::read_to_string(device.join("bInterfaceClass")).unwrap_or_default();
        class.trim() == MASS_STORAGE && !has_disk(device)
    })
}

fn has_disk(device: &Path) -> bool {
    let targets = below(device, "host").into_iter().flat_map(|host| below(&host, "target"));
    let units = targets.flat_map(|target| below(&target, ""));
    units.flat_map(|unit| below(&unit.join("block"), "")).next().is_some()
}

fn below(folder: &Path, begin: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begin));
    named.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_data_lacks_a_disk_until_there_is_one() {
        let devices = std::env::temp_dir().join(format!("offspot-usb-{}", std::process::id()));
        let _ = fs::remove_dir_all(&devices);
        assert!(!lacks_disk(&devices), "no USB at all");
        for (name, class) in [("1-1:1.0", "03\n"), ("2-1:1.0", "08\n")] {
            fs::create_dir_all(devices.join(name)).unwrap();
            fs::write(devices.join(name).join("bInterfaceClass"), class).unwrap();
        }
        assert!(lacks_disk(&devices));
        let unit = devices.join("2-1:1.0/host0/target0:0:0/0:0:0:0");
        fs::create_dir_all(unit.join("scsi_generic/sg0")).unwrap();
        assert!(lacks_disk(&devices), "nothing has made a disk of it yet");
        fs::create_dir_all(unit.join("block/sda")).unwrap();
        assert!(!lacks_disk(&devices));
        fs::remove_dir_all(devices).unwrap();
    }
}
