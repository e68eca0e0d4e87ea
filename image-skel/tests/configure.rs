//! The files of this crate that lie on the card, put together with packages that are made here: only what the code asks of Debian's.

use std::path::{Path, PathBuf};

use image_skel::configure::configure;
use image_skel::skel::Skel;
use image_skel::tree::{Kind, Owner, Tree};
use image_skel::{boards, boot_partition, initramfs};

const KERNEL: &str = "/usr/lib/modules/7.2-test";

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The `skel.toml` of the card, without modules: those are another test's.
fn skel() -> Skel {
    let mut skel = Skel::read(&here("skel.toml")).unwrap();
    skel.initramfs_modules.clear();
    skel
}

fn packages(skel: &Skel) -> Tree {
    let mut tree = Tree::default();
    let masters = [("passwd", "root:*:0:0:root:/root:/bin/bash\n"), ("group", "root:*:0:\nmail:*:8:\nshadow:*:42:\n")];
    for (name, text) in masters {
        tree.file(format!("/usr/share/base-passwd/{name}.master"), 0o644, text);
    }
    for name in ["dot.bashrc", "dot.profile", "profile"] {
        tree.file(format!("/usr/share/base-files/{name}"), 0o644, name);
    }
    tree.file("/usr/share/libc-bin/nsswitch.conf", 0o644, "hosts: files dns\n");
    tree.file("/usr/share/ca-certificates/mozilla/a.crt", 0o644, "A\n");
    tree.file("/usr/share/pam-configs/unix", 0o644, "Auth-Type: Primary\nAuth:\n\trequired\tpam_unix.so\n");
    for name in ["account", "auth", "password", "session", "session-noninteractive"] {
        tree.file(format!("/usr/share/pam/common-{name}"), 0o644, "# none\n");
    }
    for program in ["arptables", "ebtables", "ip6tables", "iptables"] {
        for what in ["", "-restore", "-save"] {
            tree.file(format!("/usr/sbin/{program}-nft{what}"), 0o755, "");
        }
    }
    for file in ["/usr/bin/mawk", "/usr/bin/busybox", "/usr/sbin/e2fsck.static"] {
        tree.file(file, 0o755, file);
    }
    for file in ["regulatory.db-debian", "regulatory.db.p7s-debian"] {
        tree.file(format!("/usr/lib/firmware/{file}"), 0o644, "");
    }
    for unit in skel.units.enable.iter().chain(&skel.units.mask).filter(|unit| !unit.starts_with("offspot")) {
        tree.file(format!("/usr/lib/systemd/system/{unit}"), 0o644, "[Install]\nWantedBy=multi-user.target\n");
    }
    tree.file("/usr/lib/systemd/system/multi-user.target", 0o644, "");
    tree.folder("/var/run", 0o755);
    tree.folder("/var/lock", 0o755);
    kernel(&mut tree);
    tree
}

fn kernel(tree: &mut Tree) {
    let mut image = vec![0; 4096];
    image[56..60].copy_from_slice(b"ARM\x64");
    tree.file(format!("{KERNEL}/vmlinuz"), 0o644, image);
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        tree.file(format!("{KERNEL}/{list}"), 0o644, "");
    }
    let boards = ["2711-rpi-4-b", "2711-rpi-400", "2712-d-rpi-5-b", "2712-rpi-5-b"];
    for board in boards.iter().chain(&["2837-rpi-3-b-plus", "2837-rpi-3-b", "2837-rpi-zero-2-w"]) {
        tree.file(format!("{KERNEL}/dtb/broadcom/bcm{board}.dtb"), 0o644, *board);
    }
    for name in ["bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"] {
        tree.file(format!("/usr/lib/raspi-firmware/{name}"), 0o644, name);
    }
}

fn target(tree: &Tree, path: &str) -> String {
    match &tree.get(path).unwrap_or_else(|| panic!("no {path}")).kind {
        Kind::Symlink(target) => target.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn the_overlay_and_skel_toml_make_a_system() {
    let skel = skel();
    let mut tree = packages(&skel);
    let done = configure(&mut tree, &skel, &here("overlay"), 1_795_235_000).unwrap();
    assert!(done.iter().any(|line| line.starts_with("ca-certificates: 1 certificates")), "{done:#?}");
    assert_eq!(tree.read("/etc/machine-id").unwrap(), b"");
    assert_eq!(target(&tree, "/var/run"), "/run");
    assert_eq!(target(&tree, "/usr/sbin/iptables"), "iptables-nft");
    assert_eq!(target(&tree, "/etc/systemd/system/emergency.service"), "/dev/null");
    for unit in ["offspot-agent.service", "offspot-watch.service"] {
        let wanted = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
        assert_eq!(target(&tree, &wanted), format!("/etc/systemd/system/{unit}"));
    }
    assert!(tree.get("/boot/firmware/config.txt").is_none(), "the boot partition's files are not the root's");
    let passwd = String::from_utf8(tree.read("/etc/shadow").unwrap()).unwrap();
    assert!(passwd.lines().all(|line| line.contains(":*:")), "{passwd}");
    let again = {
        let mut tree = packages(&skel);
        configure(&mut tree, &skel, &here("overlay"), 1_795_235_000).unwrap();
        tree
    };
    assert_eq!(tree, again);
}

#[test]
fn an_overlay_that_overwrites_a_package_is_refused() {
    let skel = skel();
    let mut tree = packages(&skel);
    tree.file("/etc/docker/daemon.json", 0o644, "{}");
    tree.get_mut("/etc/docker/daemon.json").unwrap().owner = Owner::Package("docker.io".into());
    let why = configure(&mut tree, &skel, &here("overlay"), 0).unwrap_err().to_string();
    assert!(why.contains("/etc/docker/daemon.json belongs to docker.io"), "{why}");
}

#[test]
fn the_boot_partition_has_what_every_board_asks_for() {
    let skel = skel();
    let full = packages(&skel);
    let disk = initramfs::make(&full, &skel).unwrap();
    assert_eq!(disk, initramfs::make(&full, &skel).unwrap());
    let boot = boot_partition::assemble(&full, &skel, &here("overlay"), &disk).unwrap();
    for board in &skel.boards {
        assert!(boot.get(format!("/{}", board.device_tree)).is_some(), "{}", board.name);
    }
    assert_eq!(boot.read("/kernel8.img").unwrap()[..4], [0x1f, 0x8b, 8, 0]);
    assert!(boot.iter().all(|(_, node)| !matches!(node.kind, Kind::Symlink(_))), "FAT has no links");
    let mut other = skel.clone();
    other.partitions.disk_id += 1;
    let why = boot_partition::assemble(&full, &other, &here("overlay"), &disk).unwrap_err().to_string();
    assert!(why.contains("cmdline.txt does not say root=PARTUUID=0ff59075-02"), "{why}");
}

#[test]
fn the_table_of_boards_names_what_is_missing() {
    let skel = skel();
    let full = packages(&skel);
    let boot = boot_partition::assemble(&full, &skel, &here("overlay"), b"").unwrap();
    let why = boards::table(&full, &boot, &skel).unwrap_err().to_string();
    for part in ["Raspberry Pi 4 Model B, ethernet: no module genet", "Raspberry Pi 5, ethernet: no module macb"] {
        assert!(why.contains(part), "{why}");
    }
    for board in &skel.boards {
        let parts: Vec<&str> = board.parts.keys().map(String::as_str).collect();
        assert_eq!(parts, ["boot", "ethernet", "led", "sd", "usb", "watchdog", "wifi_ap"], "{}", board.name);
    }
}

#[test]
fn the_example_settings_are_harmless_and_right_when_uncommented() {
    let file = here("overlay/boot/firmware/offspot.yaml");
    assert_eq!(offspot_agent::commands::check(&file, false), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')));
    // Prose has one blank after the sign; keys have none, what is below them at least two.
    let is_prose = |line: &str| line.starts_with("# ") && !line.starts_with("#  ");
    let keys: String =
        text.lines().filter(|line| !is_prose(line)).map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
    let uncommented = std::env::temp_dir().join(format!("offspot-example-{}.yaml", std::process::id()));
    std::fs::write(&uncommented, &keys).unwrap();
    assert_eq!(offspot_agent::commands::check(&uncommented, false), 0, "{keys}");
    assert!(keys.contains("containers:") && keys.contains("ap:"));
    std::fs::remove_file(uncommented).unwrap();
}

#[test]
fn init_is_a_script_that_the_shell_of_the_ram_disk_reads() {
    let checked = std::process::Command::new("sh").arg("-n").arg(here("src/initramfs/init")).status().unwrap();
    assert!(checked.success());
    let text = std::fs::read_to_string(here("src/initramfs/init")).unwrap();
    assert!(text.lines().count() <= 60);
}
