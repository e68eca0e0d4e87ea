//! A card for a booted machine: the image in a larger file, with what a user lays on it, and read again from outside.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tool::{self, Doing, Failure, Outcome, text};

const SECTOR: u64 = 512;

/// A card in a file.
#[derive(Debug, Clone)]
pub struct BootCard {
    path: PathBuf,
    parts: [Part; 3],
}

/// Where a partition lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// First byte.
    pub start: u64,
    /// Length.
    pub length: u64,
}

impl Part {
    /// The first byte behind it.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl BootCard {
    /// Copies `image`, without its holes, into a card of `size` bytes at `path`.
    pub fn flash(image: &Path, path: &Path, size: u64) -> Outcome<BootCard> {
        let length = fs::metadata(image).doing(image.display())?.len();
        if size < length {
            let mib = length.div_ceil(1 << 20);
            return Err(Failure::new(format!("a card of {size} bytes is smaller than the image: give {mib}M or more")));
        }
        let _ = fs::remove_file(path);
        tool::run("cp", &["--sparse=always", text(image)?, text(path)?])?;
        let file = OpenOptions::new().write(true).open(path).doing(path.display())?;
        file.set_len(size).doing(path.display())?;
        BootCard::open(path)
    }

    /// A card that is there; its table is read anew.
    pub fn open(path: &Path) -> Outcome<BootCard> {
        let said = tool::run("sfdisk", &["--json", text(path)?])?;
        let table: Value = serde_json::from_str(&said).doing("sfdisk --json")?;
        let found = table["partitiontable"]["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let part = |entry: &Value| {
            let sectors = |field: &str| entry[field].as_u64().unwrap_or(0) * SECTOR;
            Part { start: sectors("start"), length: sectors("size") }
        };
        match found {
            [boot, root, data] => Ok(BootCard { path: path.to_owned(), parts: [part(boot), part(root), part(data)] }),
            _ => Err(Failure::new(format!("{} has {} partitions, not three", path.display(), found.len()))),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Partition 1, 2 or 3.
    pub fn part(&self, number: usize) -> Part {
        self.parts[number - 1]
    }

    /// The boot partition as mtools name it.
    pub fn fat(&self) -> Outcome<String> {
        Ok(format!("{}@@{}", text(&self.path)?, self.parts[0].start))
    }

    /// Partition 2 or 3 as the ext4 tools name it.
    pub fn ext4(&self, number: usize) -> Outcome<String> {
        Ok(format!("{}?offset={}", text(&self.path)?, self.part(number).start))
    }

    /// A file of the boot partition.
    pub fn boot_file(&self, name: &str) -> Outcome<Vec<u8>> {
        let output = tool::program("mcopy").args(["-n", "-i", &self.fat()?, &format!("::/{name}"), "-"]).output();
        let output = output.doing("mcopy")?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Failure::new(format!("{name} on the boot partition: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// A file of the boot partition that is text.
    pub fn boot_text(&self, name: &str) -> Outcome<String> {
        String::from_utf8(self.boot_file(name)?).doing(name)
    }

    /// Names of the boot partition's top folder.
    pub fn boot_names(&self) -> Outcome<Vec<String>> {
        let said = tool::run("mdir", &["-b", "-i", &self.fat()?, "::/"])?;
        Ok(said.lines().map(|line| line.trim_start_matches("::/").trim_end_matches('/').to_owned()).collect())
    }

    /// One debugfs command on partition 2 or 3, read only. It ends with 0 whatever happens, so what it prints must be looked at.
    pub fn debugfs(&self, number: usize, command: &str) -> Outcome<String> {
        tool::run("debugfs", &["-R", command, &self.ext4(number)?])
    }

    /// A field of partition 2 or 3's superblock, as dumpe2fs prints it.
    pub fn superblock(&self, number: usize, field: &str) -> Outcome<String> {
        let said = tool::run("dumpe2fs", &["-h", &self.ext4(number)?])?;
        let value = said.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned()).ok_or_else(|| Failure::new(format!("dumpe2fs names no {field}")))
    }

    /// Makes a whole partition read as zeros.
    pub fn wipe(&self, number: usize) -> Outcome<()> {
        let part = self.part(number);
        let (start, length) = (part.start.to_string(), part.length.to_string());
        tool::run("fallocate", &["--punch-hole", "--offset", &start, "--length", &length, text(&self.path)?]).map(drop)
    }

    /// Puts the mark of a FAT32 that was not unmounted (bit 0 of this byte: fatgen103; the kernel's fat_set_state).
    pub fn soil(&self) -> Outcome<()> {
        let file = fs::OpenOptions::new().write(true).open(&self.path).doing(self.path.display())?;
        file.write_all_at(&[1], self.part(1).start + 65).doing(self.path.display())
    }

    /// Whether that mark is there.
    pub fn is_soiled(&self) -> Outcome<bool> {
        Ok(self.bytes(self.part(1).start + 65, 1)?[0] & 1 == 1)
    }

    /// `length` bytes from `start`.
    pub fn bytes(&self, start: u64, length: usize) -> Outcome<Vec<u8>> {
        let file = fs::File::open(&self.path).doing(self.path.display())?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, start).doing(self.path.display())?;
        Ok(bytes)
    }

    /// Puts a settings file in its place.
    pub fn lay_settings(&self, file: &Path) -> Outcome<()> {
        tool::run("mcopy", &["-o", "-i", &self.fat()?, text(file)?, "::/offspot.yaml"]).map(drop)
    }

    /// Lays the files of a folder on the card: image tarballs to load, and all others as content. Gives a line for each.
    pub fn lay_folder(&self, folder: &Path) -> Outcome<Vec<String>> {
        let entries = fs::read_dir(folder).doing(folder.display())?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        files.iter().map(|file| self.lay_file(file)).collect()
    }

    fn lay_file(&self, file: &Path) -> Outcome<String> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Failure::new(format!("{} has a name that is not UTF-8", file.display())))?;
        let below = if is_tarball(name) { "images" } else { "files" };
        let size = fs::metadata(file).doing(file.display())?.len();
        if size < self.boot_free()? {
            let fat = self.fat()?;
            for folder in ["::/offspot", &format!("::/offspot/{below}")] {
                if !tool::succeeds("mdir", &["-b", "-i", &fat, folder]) {
                    tool::run("mmd", &["-i", &fat, folder])?;
                }
            }
            let target = format!("::/offspot/{below}/{name}");
            tool::run("mcopy", &["-o", "-i", &fat, text(file)?, &target])?;
            return Ok(format!("{name} lies at /boot/firmware/offspot/{below}/{name}"));
        }
        self.lay_on_data(file, below, name, size)
    }

    /// What the boot partition has no room for goes on the data partition, as far as that has room before it has grown.
    fn lay_on_data(&self, file: &Path, below: &str, name: &str, size: u64) -> Outcome<String> {
        let number = |field: &str| self.superblock(3, field)?.parse::<u64>().doing(field);
        let free = number("Free blocks")?.saturating_sub(number("Reserved block count")?) * number("Block size")?;
        if size >= free {
            return Err(Failure::new(format!(
                "{name} takes {size} bytes; the boot partition has {} free and the data partition, before it grows on the card, {free}: \
                 leave it out, and bring it over the network or a USB stick once the card runs",
                self.boot_free()?
            )));
        }
        let (target, script) = (format!("/{below}/{name}"), self.path.with_extension("debugfs"));
        let commands = format!("mkdir /{below}\nwrite \"{}\" \"{target}\"\n", file.display());
        fs::write(&script, commands).doing(script.display())?;
        let done = tool::run("debugfs", &["-w", "-f", text(&script)?, &self.ext4(3)?]);
        fs::remove_file(&script).doing(script.display())?;
        done?;
        let laid = self.debugfs(3, &format!("stat \"{target}\""))?;
        if !laid.contains(&format!("Size: {size}")) {
            return Err(Failure::new(format!("{name} did not get onto the data partition")));
        }
        Ok(format!("{name} lies at /data{target}"))
    }

    /// Free bytes of the boot partition.
    fn boot_free(&self) -> Outcome<u64> {
        let said = tool::run("mdir", &["-i", &self.fat()?, "::/"])?;
        let line = said.lines().find_map(|line| line.trim().strip_suffix(" bytes free"));
        let digits = line.map(|line| line.chars().filter(char::is_ascii_digit).collect::<String>());
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| Failure::new("mdir names no free bytes"))
    }
}

fn is_tarball(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".tar", ".tgz"].iter().any(|end| name.ends_with(end)) || name.contains(".tar.")
}

/// What config.txt has the Pi's firmware load on every board: the kernel and the initial RAM disk, names on the boot partition.
pub fn loaded_by_firmware(config: &str) -> Outcome<(String, String)> {
    let (mut kernel, mut initramfs, mut for_all) = (None, None, true);
    for line in config.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            for_all = section == "all";
        } else if let (true, Some(name)) = (for_all, line.strip_prefix("kernel=")) {
            kernel = Some(name.to_owned());
        } else if let (true, Some(rest)) = (for_all, line.strip_prefix("initramfs ")) {
            initramfs = rest.split_whitespace().next().map(str::to_owned);
        } else if for_all && line == "auto_initramfs=1" {
            initramfs = initramfs.or_else(|| Some("initramfs8".to_owned()));
        }
    }
    let initramfs = initramfs.ok_or_else(|| Failure::new("config.txt names no initramfs"))?;
    Ok((kernel.unwrap_or_else(|| "kernel8.img".to_owned()), initramfs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_initramfs_of_config_txt() {
        let config = "# x\n[pi5]\nkernel=kernel_2712.img\n[all]\nkernel=vmlinuz\ninitramfs initrd.img followkernel\n";
        assert_eq!(loaded_by_firmware(config).unwrap(), ("vmlinuz".into(), "initrd.img".into()));
        let automatic = "arm_64bit=1\nauto_initramfs=1\n";
        assert_eq!(loaded_by_firmware(automatic).unwrap(), ("kernel8.img".into(), "initramfs8".into()));
        assert!(loaded_by_firmware("kernel=a\n").is_err());
    }

    #[test]
    fn tarballs_are_told_by_their_names() {
        let kinds = ["a.tar", "a.tar.gz", "A.TAR.ZST", "a.tgz", "a.zim", "tar.zim"].map(is_tarball);
        assert_eq!(kinds, [true, true, true, true, false, false]);
    }

    #[test]
    fn an_image_becomes_a_larger_card_and_takes_what_is_laid_on_it() {
        let folder = std::env::temp_dir().join(format!("offspot-boot-card-{}", std::process::id()));
        let laid = folder.join("laid");
        fs::create_dir_all(&laid).unwrap();
        let (image, card) = (folder.join("image"), folder.join("card"));
        fs::File::create(&image).unwrap().set_len(120 << 20).unwrap();
        let table = "label: dos\nstart=16384, size=81920, type=c\nstart=98304, size=16384, type=83\nstart=114688, size=131072\n";
        tool::run_with_input("sfdisk", &["-q", text(&image).unwrap()], table.as_bytes()).unwrap();
        tool::run("mkfs.vfat", &["-F", "32", "-s", "1", "--offset", "16384", text(&image).unwrap(), "40960"]).unwrap();
        let offset = format!("offset={}", 114_688 * 512);
        tool::run("mke2fs", &["-q", "-F", "-t", "ext4", "-E", &offset, text(&image).unwrap(), "64m"]).unwrap();

        let refused = BootCard::flash(&image, &card, 60 << 20).unwrap_err().to_string();
        assert!(refused.contains("120M"), "{refused}");
        let card = BootCard::flash(&image, &card, 256 << 20).unwrap();
        assert_eq!(card.part(2), Part { start: 98_304 * 512, length: 16_384 * 512 });
        fs::write(laid.join("a.tar"), "image").unwrap();
        fs::write(laid.join("small.zim"), "content").unwrap();
        fs::write(laid.join("large.zim"), vec![7; 45 << 20]).unwrap();
        let told = card.lay_folder(&laid).unwrap();
        assert_eq!(told.len(), 3);
        assert!(told.contains(&"large.zim lies at /data/files/large.zim".to_owned()), "{told:?}");
        assert_eq!(card.boot_text("offspot/images/a.tar").unwrap(), "image");
        assert_eq!(card.boot_text("offspot/files/small.zim").unwrap(), "content");
        assert!(card.boot_text("offspot/files/large.zim").is_err());
        let refused = card.lay_file(&laid.join("large.zim")).unwrap_err().to_string();
        assert!(refused.contains("large.zim takes 47185920 bytes"), "{refused}");
        card.wipe(3).unwrap();
        assert!(card.superblock(3, "Block size").is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
