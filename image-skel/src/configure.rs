//! What Debian's maintainer scripts would have done, done on the tree without running one: each thing is listed for the report.
//!
//! `/etc/machine-id` is empty: systemd then takes this for a system that has been started before (no presets, no questions), makes an id
//! at the first start and keeps it, as it makes the folders of its tmpfiles.d. A card starts without either; later starts change no file.
//! There is no `/etc/ld.so.cache`: every library lies where the loader looks anyway.

mod accounts;
pub(crate) mod overlay;
mod pam;
mod units;

use std::path::Path;

use crate::modules::{self, Modules};
use crate::skel::Skel;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

/// Links that update-alternatives(1) would have made: link, program. Without the detour by `/etc/alternatives`, since nothing here changes.
const ALTERNATIVES: [(&str, &str); 16] = [
    ("/usr/bin/awk", "mawk"),
    ("/usr/bin/nawk", "mawk"),
    ("/usr/sbin/arptables", "arptables-nft"),
    ("/usr/sbin/arptables-restore", "arptables-nft-restore"),
    ("/usr/sbin/arptables-save", "arptables-nft-save"),
    ("/usr/sbin/ebtables", "ebtables-nft"),
    ("/usr/sbin/ebtables-restore", "ebtables-nft-restore"),
    ("/usr/sbin/ebtables-save", "ebtables-nft-save"),
    ("/usr/sbin/ip6tables", "ip6tables-nft"),
    ("/usr/sbin/ip6tables-restore", "ip6tables-nft-restore"),
    ("/usr/sbin/ip6tables-save", "ip6tables-nft-save"),
    ("/usr/sbin/iptables", "iptables-nft"),
    ("/usr/sbin/iptables-restore", "iptables-nft-restore"),
    ("/usr/sbin/iptables-save", "iptables-nft-save"),
    ("/usr/lib/firmware/regulatory.db", "regulatory.db-debian"),
    ("/usr/lib/firmware/regulatory.db.p7s", "regulatory.db.p7s-debian"),
];

/// Files that packages bring below `/usr/share` for their scripts to copy: from, to, mode.
const COPIES: [(&str, &str, u32); 4] = [
    ("/usr/share/base-files/dot.bashrc", "/root/.bashrc", 0o644),
    ("/usr/share/base-files/dot.profile", "/root/.profile", 0o644),
    ("/usr/share/base-files/profile", "/etc/profile", 0o644),
    ("/usr/share/libc-bin/nsswitch.conf", "/etc/nsswitch.conf", 0o644),
];

/// Folders of base-files' script, then ours: mount points, and what containers bind.
const FOLDERS: [&str; 16] = [
    "/etc/opt",
    "/media",
    "/mnt",
    "/opt",
    "/srv",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/var/opt",
    "/boot/firmware",
    "/data",
    "/etc/docker",
    "/etc/hostapd",
    "/etc/offspot",
];

const CERTIFICATES: &str = "/usr/share/ca-certificates/mozilla";

/// Turns unpacked packages into a system that starts. `overlay`: files as they lie on the card; `epoch`: date of the image, seconds since
/// 1970. Returns what was done in place of maintainer scripts, a line each.
pub fn configure(tree: &mut Tree, skel: &Skel, overlay: &Path, epoch: i64) -> Outcome<Vec<String>> {
    let mut done = Vec::new();
    let mut did = |what: String| done.push(what);
    let (users, groups) = accounts::write(tree, skel, epoch)?;
    did(format!("base-passwd, systemd, docker.io: {users} users, {groups} groups, nobody with a password"));
    folders(tree)?;
    did("base-files: folders of /usr/local, /var/run and /var/lock into /run".into());
    copies(tree)?;
    did("base-files, libc-bin: /etc/profile, /etc/nsswitch.conf, root's .profile and .bashrc".into());
    pam::write(tree)?;
    did("libpam-runtime: /etc/pam.d/common-*".into());
    alternatives(tree)?;
    did(format!("update-alternatives: {} links (iptables is iptables-nft)", ALTERNATIVES.len()));
    did(format!("ca-certificates: {} certificates in /etc/ssl/certs/ca-certificates.crt", certificates(tree)?));
    let laid = overlay::lay(tree, overlay, |path| path.starts_with(overlay::BOOT))?;
    did(format!("our own configuration: {laid} files of the overlay"));
    let started = units::link(tree, &skel.units)?;
    did(format!("deb-systemd-helper: {started} units enabled, {} masked", skel.units.mask.len()));
    did(format!("kmod: indexes of {} modules", index_modules(tree)?));
    up_to_date(tree);
    did("systemd: /etc/machine-id empty, /etc/.updated and /var/.updated, no hardware database, no ld.so.cache".into());
    fstab(tree, skel)?;
    Ok(done)
}

fn folders(tree: &mut Tree) -> Outcome<()> {
    for folder in FOLDERS {
        tree.folder(folder, 0o755);
    }
    tree.folder("/var/mail", 0o2775);
    if let Some(mail) = tree.get_mut("/var/mail") {
        mail.gid = 8;
    }
    for (link, target) in [("/var/run", "/run"), ("/var/lock", "/run/lock")] {
        if let Some((inside, _)) = tree.iter().find(|(path, _)| path.parent() == Some(Path::new(link))) {
            return Err(Failure::new(format!(
                "{} is in a package, but {link} is a link: leave it out",
                inside.display()
            )));
        }
        tree.remove(link);
        tree.symlink(link, target);
    }
    Ok(())
}

fn copies(tree: &mut Tree) -> Outcome<()> {
    for (from, to, mode) in COPIES {
        let bytes = tree.read(from).doing(to)?;
        tree.file(to, mode, bytes);
    }
    Ok(())
}

fn alternatives(tree: &mut Tree) -> Outcome<()> {
    for (link, program) in ALTERNATIVES {
        let target = Path::new(link).with_file_name(program);
        if tree.get(&target).is_none() || tree.get(link).is_some() {
            return Err(Failure::new(format!("the alternative {link} → {program} no longer suits the packages")));
        }
        tree.symlink(link, program);
    }
    Ok(())
}

/// One file of all of Mozilla's authorities; the single ones are not linked by hash, since every program here reads the one.
fn certificates(tree: &mut Tree) -> Outcome<usize> {
    let files: Vec<_> =
        tree.iter().map(|(path, _)| path.to_owned()).filter(|path| path.starts_with(CERTIFICATES)).collect();
    let mut bundle = Vec::new();
    let mut count = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "crt")) {
        bundle.extend(tree.read(path).doing(path.display())?);
        if bundle.last() != Some(&b'\n') {
            bundle.push(b'\n');
        }
        count += 1;
    }
    if count == 0 {
        return Err(Failure::new(format!(
            "{CERTIFICATES}: no certificate: name ca-certificates in skel.toml, packages"
        )));
    }
    tree.file("/etc/ssl/certs/ca-certificates.crt", 0o644, bundle);
    Ok(count)
}

/// Every module that stays has what it needs, and `modprobe` finds it.
fn index_modules(tree: &mut Tree) -> Outcome<usize> {
    let modules = Modules::find(tree)?;
    modules.check(tree)?;
    let folder = format!("{}/{}", modules::FOLDER, modules.kernel);
    let made = modules::indexes(&modules.kernel, tree.iter().filter(|(path, _)| path.starts_with(&folder)))?;
    for (name, bytes) in made {
        tree.file(format!("{folder}/{name}"), 0o644, bytes);
    }
    Ok(modules.files.len())
}

/// systemd compares the time of these with that of `/usr`, and does work of minutes where they are older or missing.
fn up_to_date(tree: &mut Tree) {
    tree.file("/etc/.updated", 0o644, "");
    tree.file("/var/.updated", 0o644, "");
    tree.file("/etc/machine-id", 0o444, "");
}

/// The partitions are found by the disk's id: another card in a reader has the same labels.
fn fstab(tree: &Tree, skel: &Skel) -> Outcome<()> {
    let text = String::from_utf8(tree.read("/etc/fstab").doing("the overlay's etc/fstab")?).doing("/etc/fstab")?;
    for number in 1..=2 {
        let id = partition_id(skel, number);
        if !text.contains(&id) {
            return Err(Failure::new(format!(
                "the overlay's etc/fstab does not name {id}, which skel.toml's disk_id makes"
            )));
        }
    }
    Ok(())
}

/// `PARTUUID=0ff59074-02`
pub(crate) fn partition_id(skel: &Skel, number: u32) -> String {
    format!("PARTUUID={:08x}-{number:02x}", skel.partitions.disk_id)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tree::Kind;

    /// A small `skel.toml`, with `more` at its end.
    pub(crate) fn skel(more: &str) -> Skel {
        let partitions = "partitions = { disk_id = 0x0ff59074, boot_mib = 1, root_mib = 1, data_mib = 1, root_uuid = '', data_uuid = '', boot_id = 1 }";
        let text = format!("architecture = 'arm64'\narchives = []\npackages = []\n{partitions}\n{more}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn folders_of_base_files_become_links_unless_something_is_in_them() {
        let mut tree = Tree::default();
        tree.folder("/var/run", 0o755);
        tree.folder("/var/lock", 0o755);
        folders(&mut tree).unwrap();
        assert_eq!(tree.get("/var/run").unwrap().kind, Kind::Symlink("/run".into()));
        assert_eq!(tree.get("/usr/local/bin").unwrap().mode, 0o755);
        let mut tree = Tree::default();
        tree.file("/var/run/x", 0o644, "");
        assert!(folders(&mut tree).unwrap_err().to_string().contains("/var/run/x is in a package"));
    }

    #[test]
    fn certificates_are_joined_with_an_end_of_line_each() {
        let mut tree = Tree::default();
        tree.file(format!("{CERTIFICATES}/b.crt"), 0o644, "B\n");
        tree.file(format!("{CERTIFICATES}/a.crt"), 0o644, "A");
        tree.file(format!("{CERTIFICATES}/README"), 0o644, "no");
        assert_eq!(certificates(&mut tree).unwrap(), 2);
        assert_eq!(tree.read("/etc/ssl/certs/ca-certificates.crt").unwrap(), b"A\nB\n");
        assert!(certificates(&mut Tree::default()).is_err());
    }

    #[test]
    fn fstab_must_name_the_partitions_of_this_disk() {
        let mut tree = Tree::default();
        tree.file("/etc/fstab", 0o644, "PARTUUID=0ff59074-02 /\nPARTUUID=0ff59074-01 /boot/firmware\n");
        fstab(&tree, &skel("")).unwrap();
        tree.file("/etc/fstab", 0o644, "PARTUUID=0ff59074-02 /\nPARTUUID=1ff59074-01 /boot/firmware\n");
        assert!(fstab(&tree, &skel("")).unwrap_err().to_string().contains("PARTUUID=0ff59074-01"));
    }
}
