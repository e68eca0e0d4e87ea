//! What lies on the card that the suite boots: settings, one file of content, and a web server as an image tarball.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::boot_card::{BootCard, loaded_by_firmware};
use crate::card::fat_put;
use crate::image_tarball::{Sample, docker, gnu, hex, layer};
use crate::tool::{self, Doing, Failure, Outcome, text};

const NAME: &str = "offspot.test/web:1";
const CONTENT: &str = "placed from the boot partition\n";
const ON_STICK: &str = "from the stick\n";
/// What the suite asks the container for.
pub const PAGES: &[&str] = &["/name", "/content/hello.txt", "/content/stick.txt"];
/// What it must answer: a file of the image, and files that the agent placed, one of which a stick saved it from fetching.
pub const ANSWERS: [&str; 3] = [NAME, CONTENT, ON_STICK];

/// Lays all of it.
pub fn lay(card: &BootCard, folder: &Path) -> Outcome<()> {
    let lay = folder.join("lay");
    let _ = fs::remove_dir_all(&lay);
    fs::create_dir_all(&lay).doing(lay.display())?;
    let web = Sample {
        names: vec![NAME.to_owned()],
        layers: vec![layer(&[("bin/busybox", &busybox(card)?)]), layer(&[("name", NAME.as_bytes())])],
        arch: "arm64".to_owned(),
        blobs: None,
    };
    fs::write(lay.join("web.tar"), gnu(&docker(&[&web]))).doing("web.tar")?;
    fs::write(lay.join("hello.txt"), CONTENT).doing("hello.txt")?;
    card.lay_folder(&lay)?;
    let file = folder.join("offspot.yaml");
    fs::write(&file, settings()).doing(file.display())?;
    card.lay_settings(&file)
}

/// A USB stick as shops sell them, one FAT from end to end, with a folder for us.
pub fn stick(folder: &Path) -> Outcome<PathBuf> {
    let (content, file) = (folder.join("stick"), folder.join("stick.img"));
    let _ = fs::remove_dir_all(&content);
    let _ = fs::remove_file(&file);
    fs::create_dir_all(content.join("offspot/files")).doing("stick")?;
    fs::write(content.join("offspot/files/stick.txt"), ON_STICK).doing("stick")?;
    tool::run("mkfs.vfat", &["-F", "32", "-C", "-n", "STICK", text(&file)?, "65536"])?;
    fat_put(text(&file)?, &content)?;
    Ok(file)
}

fn settings() -> String {
    format!(
        "hostname: village\n\
         files:\n\
         - to: /data/content/hello.txt\n  \
           url: file:///boot/firmware/offspot/files/hello.txt\n  \
           checksum: {{algo: sha-256, value: {}}}\n\
         - to: /data/content/stick.txt\n  \
           url: https://content.example/library/stick.txt\n  \
           checksum: {{algo: sha-256, value: {}}}\n\
         containers:\n  \
           services:\n    \
             web:\n      \
               image: {NAME}\n      \
               command: [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/\"]\n      \
               ports: [\"80:80\"]\n      \
               stop_signal: SIGKILL\n      \
               volumes: [\"/data/content:/content:ro\"]\n      \
               restart: unless-stopped\n",
        hex(CONTENT.as_bytes()),
        hex(ON_STICK.as_bytes())
    )
}

/// The static arm64 busybox of the card's initial RAM disk: Debian's, and at hand without a network.
fn busybox(card: &BootCard) -> Outcome<Vec<u8>> {
    let (_, initramfs) = loaded_by_firmware(&card.boot_text("config.txt")?)?;
    let packed = card.boot_file(&initramfs)?;
    let mut archive = Vec::new();
    match packed.as_slice() {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut archive),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::stream::copy_decode(packed.as_slice(), &mut archive).map(|()| 0),
        _ => packed.as_slice().read_to_end(&mut archive),
    }
    .doing(&initramfs)?;
    member(&archive, "bin/busybox").ok_or_else(|| Failure::new(format!("{initramfs} has no bin/busybox")))
}

/// A member of a cpio archive in the "newc" format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).
fn member(archive: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut at = 0;
    loop {
        let head = archive.get(at..at + 110)?;
        let field = |number: usize| usize::from_str_radix(str::from_utf8(&head[6 + number * 8..][..8]).ok()?, 16).ok();
        let (size, name_size) = (field(6)?, field(11)?);
        let name = archive.get(at + 110..at + 110 + name_size.checked_sub(1)?)?;
        let data = (at + 110 + name_size).next_multiple_of(4);
        if name == b"TRAILER!!!" {
            return None;
        }
        if name.strip_prefix(b"./").unwrap_or(name) == wanted.as_bytes() {
            return archive.get(data..data + size).map(<[u8]>::to_vec);
        }
        at = (data + size).next_multiple_of(4);
    }
}

/// The receipts on the card's data partition, a line each.
pub fn receipts(card: &BootCard) -> Outcome<Vec<String>> {
    Ok(card.debugfs(3, "cat /.offspot/receipts")?.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_cpio_archive() {
        let mut archive = Vec::new();
        for (name, data) in [("./etc", ""), ("bin/busybox", "program"), ("TRAILER!!!", "")] {
            let fields = [1, 0o100_755, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
            let fields: String = fields.iter().map(|field| format!("{field:08X}")).collect();
            archive.extend(format!("070701{fields}{name}\0").into_bytes());
            archive.resize(archive.len().next_multiple_of(4), 0);
            archive.extend(data.as_bytes());
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
        assert_eq!(member(&archive, "bin/busybox").unwrap(), b"program");
        assert!(member(&archive, "bin/sh").is_none());
        assert!(member(&archive[..150], "bin/busybox").is_none());
    }

    #[test]
    fn the_settings_have_no_mistake() {
        let file = std::env::temp_dir().join(format!("offspot-booted-{}.yaml", std::process::id()));
        fs::write(&file, settings()).unwrap();
        let agent = crate::agent_run::built().unwrap();
        let checked = std::process::Command::new(agent).arg("check").arg(&file).output().unwrap();
        fs::remove_file(file).unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}
