//! What is mounted where, as the kernel says it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// `major:minor` of the device.
    pub device: String,
    /// Where.
    pub point: PathBuf,
    /// Options of the mount, by comma: `rw,noatime`.
    pub options: String,
    /// Options of the filesystem: `rw,noinit_itable`.
    pub filesystem_options: String,
}

impl Mounted {
    /// Whether the mount or its filesystem has this option.
    pub fn has(&self, option: &str) -> bool {
        [&self.options, &self.filesystem_options].iter().any(|all| all.split(',').any(|one| one == option))
    }

    /// How it is mounted, for whoever mounts it anew and is to keep that; read-only is not among it.
    pub fn flags(&self) -> MsFlags {
        let known = [
            ("noatime", MsFlags::MS_NOATIME),
            ("relatime", MsFlags::MS_RELATIME),
            ("nodev", MsFlags::MS_NODEV),
            ("nosuid", MsFlags::MS_NOSUID),
            ("noexec", MsFlags::MS_NOEXEC),
        ];
        let kept = known.iter().filter(|(name, _)| self.has(name)).map(|(_, flag)| *flag);
        kept.fold(MsFlags::empty(), |all, flag| all | flag)
    }
}

/// All mounts, oldest first.
pub(crate) fn all() -> io::Result<Vec<Mounted>> {
    let mut text = Vec::with_capacity(16 << 10);
    std::fs::File::open("/proc/self/mountinfo")?.read_to_end(&mut text)?;
    Ok(parse(&text))
}

/// The mount that is seen at this folder, if one is made just there.
pub(crate) fn at(folder: &Path) -> io::Result<Option<Mounted>> {
    let folder = match folder.canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(all()?.into_iter().rfind(|mount| mount.point == folder))
}

fn parse(text: &[u8]) -> Vec<Mounted> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mounted> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let dash = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
    Some(Mounted {
        device: text(fields[2]),
        point: PathBuf::from(OsString::from_vec(unescape(fields[4]))),
        options: text(fields[5]),
        filesystem_options: text(fields.get(dash + 3)?),
    })
}

/// Blanks and backslashes stand as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_optional_fields() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
            37 35 7:3 / /with\\040blank ro - ext4 /dev/loop3 rw,noinit_itable\ncut short\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].device.as_str(), mounts[0].options.as_str()), ("98:0", "rw,noatime"));
        assert_eq!(mounts[1].point, Path::new("/with blank"));
        assert!(mounts[1].has("noinit_itable") && mounts[1].has("ro") && !mounts[1].has("noatime"));
        assert_eq!((mounts[0].flags(), mounts[1].flags()), (MsFlags::MS_NOATIME, MsFlags::empty()));
    }
}
