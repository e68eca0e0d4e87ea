//! Unpacks a zip.

use std::io::{self, Read, Seek};

use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{DateTime, ZipArchive};

use super::tree::{Meta, Tree, refused};

/// Longest text of a link.
const LINK: u64 = 4096;

/// Unpacks all members of `source` into `tree`, in the order of its directory.
pub fn unzip(source: impl Read + Seek, tree: &mut Tree<'_>) -> io::Result<()> {
    let mut archive = ZipArchive::new(source).map_err(broken)?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(broken)?;
        member(&mut file, tree)?;
    }
    Ok(())
}

fn member<R: Read>(file: &mut ZipFile<'_, R>, tree: &mut Tree<'_>) -> io::Result<()> {
    let name = file.name().map_err(broken)?.into_owned();
    let mode = file.unix_mode();
    let mtime = file.last_modified().map_or(0, seconds);
    let meta = |else_mode| Meta { mode: mode.unwrap_or(else_mode), owner: None, mtime };
    if file.is_dir() {
        return tree.folder(&name, meta(0o755));
    }
    if file.is_symlink() {
        let mut target = String::new();
        file.take(LINK).read_to_string(&mut target)?;
        return tree.symlink(&name, meta(0o777), &target);
    }
    const KIND: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    if mode.is_some_and(|mode| mode & KIND != 0 && mode & KIND != REGULAR) {
        return Err(refused(format!("{name} is a device")));
    }
    tree.file(&name, meta(0o644), file.size(), file)?;
    // The reader checks the CRC only once it is asked for what lies behind the last byte.
    match file.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(refused(format!("{name} is longer than its header says"))),
    }
}

fn broken(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => refused(other.to_string()),
    }
}

/// Seconds since 1970, taking the zip's zoneless time for UTC.
fn seconds(time: DateTime) -> i64 {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), i64::from(time.day()));
    // Years begin in March, so that the leap day is the last of them.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let of_day = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    days * 86_400 + of_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |year, month, day| seconds(DateTime::from_date_and_time(year, month, day, 1, 2, 4).unwrap());
        assert_eq!(at(1980, 1, 1), 315_532_800 + 3724);
        assert_eq!(at(2024, 2, 29), 1_709_164_800 + 3724);
        assert_eq!(at(2024, 3, 1), 1_709_251_200 + 3724);
    }
}
