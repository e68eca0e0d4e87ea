//! The boot sector of a FAT filesystem, as far as the agent reads it: label, and whether it was unmounted.
//!
//! Layout and clean-shutdown bits: Microsoft, FAT32 File System Specification; the state byte: linux/msdos_fs.h, `FAT_STATE_DIRTY`.

use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a boot sector that are looked at.
const SECTOR: usize = 512;
/// FAT[1] of FAT32: bit 27 is set on an orderly unmount, bit 26 while no read or write has failed.
const CLEAN: u32 = 0b11 << 26;

/// What a boot sector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fat {
    /// Volume label of the boot sector, without the blanks behind it.
    pub label: String,
    /// Whether it was not unmounted, or an error was seen on it.
    pub dirty: bool,
}

impl Fat {
    /// Reads it; `None` where there is no FAT16 or FAT32. A mounted one is read through the kernel's cache: the bits are true.
    pub fn read(device: &impl FileExt) -> io::Result<Option<Fat>> {
        let mut sector = [0; SECTOR];
        match device.read_exact_at(&mut sector, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let Some(table) = table_at(&sector) else { return Ok(None) };
        let is_32 = u16_at(&sector, 22) == 0;
        let (state, label) = if is_32 { (65, 71) } else { (37, 43) };
        let mut dirty = sector[state] & 1 != 0;
        if is_32 {
            let mut second = [0; 4];
            device.read_exact_at(&mut second, table + 4)?;
            dirty |= u32::from_le_bytes(second) & CLEAN != CLEAN;
        }
        let label = String::from_utf8_lossy(&sector[label..label + 11]).trim_end().to_owned();
        Ok(Some(Fat { label, dirty }))
    }
}

/// Where the first table starts, in bytes; `None` where the sector is not that of a FAT.
fn table_at(sector: &[u8; SECTOR]) -> Option<u64> {
    let (bytes, reserved, tables) = (u16_at(sector, 11), u16_at(sector, 14), sector[16]);
    let has_tables = u16_at(sector, 22) != 0 || u16_at(sector, 36) != 0 || u16_at(sector, 38) != 0;
    let sound = sector[510..] == [0x55, 0xaa]
        && (512..=4096).contains(&bytes)
        && bytes.is_power_of_two()
        && sector[13].is_power_of_two()
        && reserved != 0
        && (1..=2).contains(&tables)
        && has_tables;
    sound.then(|| u64::from(bytes) * u64::from(reserved))
}

fn u16_at(sector: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([sector[at], sector[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// What mkfs.vfat makes of `kind`, with one byte of it changed.
    fn made(name: &str, kind: &str, change: Option<(u64, u8)>) -> Option<Fat> {
        let path = std::env::temp_dir().join(format!("offspot-fat-{name}-{}", std::process::id()));
        File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let mut mkfs = std::process::Command::new("/usr/sbin/mkfs.vfat");
        let made = mkfs.args(["-F", kind, "-n", "BOOTFS"]).arg(&path).output().expect("apt-get install dosfstools");
        assert!(made.status.success());
        let file = File::options().read(true).write(true).open(&path).unwrap();
        if let Some((at, byte)) = change {
            file.write_all_at(&[byte], at).unwrap();
        }
        std::fs::remove_file(path).unwrap();
        Fat::read(&file).unwrap()
    }

    fn clean(dirty: bool) -> Option<Fat> {
        Some(Fat { label: "BOOTFS".into(), dirty })
    }

    #[test]
    fn either_mark_of_a_cut_is_seen() {
        assert_eq!(made("clean", "32", None), clean(false));
        assert_eq!(made("state", "32", Some((65, 1))), clean(true));
        // 32 reserved sectors; bits 26 and 27 lie in the last byte of FAT[1].
        assert_eq!(made("shutdown", "32", Some((32 * 512 + 7, 0x07))), clean(true));
        assert_eq!(made("error", "32", Some((32 * 512 + 7, 0x0b))), clean(true));
        assert_eq!(made("clean16", "16", None), clean(false));
        assert_eq!(made("state16", "16", Some((37, 1))), clean(true));
    }

    #[test]
    fn what_is_no_fat_is_none() {
        for (name, at, byte) in [("signature", 510, 0), ("sector", 12, 0x11), ("cluster", 13, 3), ("tables", 16, 0)] {
            assert_eq!(made(name, "32", Some((at, byte))), None, "{name}");
        }
    }
}
