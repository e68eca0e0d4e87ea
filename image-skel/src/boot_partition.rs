//! The boot partition: what the Pi's own firmware reads, the kernel with its RAM disk and device trees, and what people read.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use offspot_agent::report::files::{JSON_SIZE, SLOTS, TEXT_SIZE};

use crate::configure::{overlay, partition_id};
use crate::modules::{self, Modules};
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

const FIRMWARE: &str = "/usr/lib/raspi-firmware";
/// What the boards before the Pi 5 start from: for the 3 and the Zero 2 W, then for the 4. The Pi 5 has its firmware in a chip.
const FIRMWARE_FILES: [&str; 5] = ["bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"];

/// Name on the boot partition, name in Debian's kernel. The firmware asks for the first name that it knows of a board; Debian names device
/// trees as the kernel's source does (Raspberry Pi documentation, config.txt, `upstream_kernel`). The newer stepping of the Pi 5's chip is
/// asked for by either name, as the age of the firmware is.
const DEVICE_TREES: [(&str, &str); 8] = [
    ("bcm2711-rpi-4-b.dtb", "bcm2711-rpi-4-b.dtb"),
    ("bcm2711-rpi-400.dtb", "bcm2711-rpi-400.dtb"),
    ("bcm2712-d-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb"),
    ("bcm2712-rpi-5-b.dtb", "bcm2712-rpi-5-b.dtb"),
    ("bcm2712d0-rpi-5-b.dtb", "bcm2712-d-rpi-5-b.dtb"),
    ("bcm2837-rpi-3-b-plus.dtb", "bcm2837-rpi-3-b-plus.dtb"),
    ("bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b.dtb"),
    ("bcm2837-rpi-zero-2-w.dtb", "bcm2837-rpi-zero-2-w.dtb"),
];

/// Name of the kernel, as `config.txt` says it.
const KERNEL: &str = "/kernel8.img";
/// Name of the initial RAM disk.
const INITRAMFS: &str = "/initramfs8";

/// Gathers it. `full`: everything that the packages brought, before anything was left out; `overlay`: its `boot/firmware` is taken.
/// Paths of the tree that comes back are from the partition's own root.
pub fn assemble(full: &Tree, skel: &Skel, overlay: &Path, initramfs: &[u8]) -> Outcome<Tree> {
    let mut boot = Tree::default();
    for name in FIRMWARE_FILES {
        copy(full, &mut boot, &format!("{FIRMWARE}/{name}"), &format!("/{name}"))?;
    }
    let kernel = format!("{}/{}", modules::FOLDER, Modules::find(full)?.kernel);
    for (name, source) in DEVICE_TREES {
        copy(full, &mut boot, &format!("{kernel}/dtb/broadcom/{source}"), &format!("/{name}"))?;
    }
    boot.file(KERNEL, 0o644, packed(full, &format!("{kernel}/vmlinuz"))?);
    boot.file(INITRAMFS, 0o644, initramfs);
    overlay::lay(&mut boot, &overlay.join(overlay::BOOT), |_| false)?;
    // Where a laptop can put tarballs and content.
    boot.folder("/offspot/images", 0o755);
    boot.folder("/offspot/files", 0o755);
    status_files(&mut boot);
    check(&boot, skel)?;
    Ok(boot)
}

fn copy(full: &Tree, boot: &mut Tree, from: &str, to: &str) -> Outcome<()> {
    boot.file(to, 0o644, full.read(from).doing("the boot partition")?);
    Ok(())
}

/// Debian's arm64 kernel is a bare image; the firmware unpacks gzip, and a third of the bytes is read sooner from a card.
fn packed(full: &Tree, path: &str) -> Outcome<Vec<u8>> {
    let image = full.read(path).doing("the kernel")?;
    if image.get(56..60) != Some(b"ARM\x64") {
        return Err(Failure::new(format!("{path} is no arm64 kernel image")));
    }
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&image).and_then(|()| gzip.finish()).doing(path)
}

/// The status files at their full size, so that the agent never makes FAT longer.
fn status_files(boot: &mut Tree) {
    let text = "WAITING: this card has not been started yet.\r\n\r\n\
        Put your offspot.yaml on this partition, put the card into the Pi, and plug it in.\r\n\
        This file then says how far it is and what is missing.\r\n\
        If this computer offers to format or repair a disk of this card, say no.\r\n";
    boot.file("/OFFSPOT-STATUS.txt", 0o644, padded(text.as_bytes(), TEXT_SIZE, b"\r\n"));
    for slot in SLOTS {
        boot.file(format!("/{slot}"), 0o644, padded(b"{}", JSON_SIZE, b" "));
    }
}

fn padded(text: &[u8], size: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    while bytes.len() + with.len() <= size {
        bytes.extend_from_slice(with);
    }
    bytes.resize(size, b' ');
    bytes
}

/// What the files of the overlay must agree on with what was made here.
fn check(boot: &Tree, skel: &Skel) -> Outcome<()> {
    let root = partition_id(skel, 2);
    for (path, needed) in [
        ("/cmdline.txt", format!("root={root} ")),
        ("/config.txt", format!("kernel={}\n", &KERNEL[1..])),
        ("/config.txt", format!("initramfs {} followkernel\n", &INITRAMFS[1..])),
        ("/config.txt", "upstream_kernel=1\n".to_owned()),
    ] {
        let text = String::from_utf8(boot.read(path).doing("the overlay's boot/firmware")?).doing(path)?;
        if !text.contains(&needed) {
            return Err(Failure::new(format!("the overlay's boot/firmware{path} does not say {}", needed.trim_end())));
        }
        if path == "/cmdline.txt" && text.trim_end().contains('\n') {
            return Err(Failure::new("the overlay's boot/firmware/cmdline.txt: the firmware reads one line only"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_files_have_the_size_that_the_agent_overwrites() {
        let mut boot = Tree::default();
        status_files(&mut boot);
        let text = boot.read("/OFFSPOT-STATUS.txt").unwrap();
        assert_eq!(text.len(), TEXT_SIZE);
        assert!(text.is_ascii() && text.starts_with(b"WAITING"));
        assert_eq!(
            text.iter().filter(|byte| **byte == b'\n').count(),
            text.iter().filter(|byte| **byte == b'\r').count()
        );
        for slot in SLOTS {
            let json = boot.read(format!("/{slot}")).unwrap();
            assert_eq!(json.len(), JSON_SIZE);
            assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
        }
    }
}
