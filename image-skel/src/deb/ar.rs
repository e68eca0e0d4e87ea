//! The outer archive of a deb: ar(5) with short names only, as dpkg writes it.

use std::io::{self, Read};

use super::refused;

const MAGIC: &[u8; 8] = b"!<arch>\n";
/// name 16, date 12, uid 6, gid 6, mode 8, size 10, end 2.
const HEADER: usize = 60;

/// One member; its bytes follow in the source, padded to an even number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the blanks or the slash that end it.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
}

/// Reads the magic.
pub fn begin(source: &mut dyn Read) -> io::Result<()> {
    let mut magic = [0; MAGIC.len()];
    match source.read_exact(&mut magic) {
        Ok(()) if &magic == MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Err(refused("it is not a deb")),
    }
}

/// The header of the next member; none at the end of the source. Long names of GNU (`/12`) and BSD (`#1/12`) are refused, as dpkg does.
pub fn next(source: &mut dyn Read) -> io::Result<Option<Member>> {
    let mut header = Vec::with_capacity(HEADER);
    source.take(HEADER as u64).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(None);
    }
    let (Some(name), Some(size), Some(b"`\n")) = (header.get(..16), header.get(48..58), header.get(58..)) else {
        return Err(refused("a member of the archive has no proper header"));
    };
    let name = std::str::from_utf8(name).map(|name| name.trim_end_matches(' ')).unwrap_or_default();
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || name.contains('/') {
        return Err(refused("a member of the archive has a long or strange name"));
    }
    let digits = std::str::from_utf8(size).unwrap_or_default().trim_end_matches(' ');
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let size = digits.and_then(|digits| digits.parse().ok());
    let size = size.ok_or_else(|| refused(format!("the archive's member {name} has a bad length")))?;
    Ok(Some(Member { name: name.to_owned(), size }))
}

/// Reads past `length` bytes, all of which must be there.
pub fn skip(source: &mut dyn Read, length: u64) -> io::Result<()> {
    if io::copy(&mut source.take(length), &mut io::sink())? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, size: &str) -> Vec<u8> {
        format!("{name:16}{:12}{:6}{:6}{:8}{size:10}`\n", 0, 0, 0, 100644).into_bytes()
    }

    #[test]
    fn names_and_lengths() {
        let member = |name: &str, size: &str| next(&mut header(name, size).as_slice());
        let right = Some(Member { name: "debian-binary".into(), size: 4 });
        assert_eq!(member("debian-binary", "4").unwrap(), right);
        assert_eq!(member("debian-binary/", "4").unwrap(), right);
        for (name, size) in [("/12", "4"), ("#1/12", "4"), ("//", "4"), ("", "4"), ("a", "-4"), ("a", "+4"), ("a", "")]
        {
            assert!(member(name, size).is_err(), "{name} {size}");
        }
        assert!(next(&mut b"".as_slice()).unwrap().is_none());
        assert!(next(&mut &header("a", "4")[..40]).is_err());
    }
}
