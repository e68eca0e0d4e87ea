//! Records of a PAX extended header: `length key=value\n`, the length counting itself. A value may hold any byte, even the end of a line.

/// Key and value of one after another; none where one is malformed, and then no more. Zeros may stand behind the last.
pub fn records(data: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.first().is_none_or(|first| *first == 0) {
            return None;
        }
        let split = split(rest);
        rest = split.map_or(&[], |(_, behind)| behind);
        Some(split.map(|(record, _)| record))
    })
}

/// Key and value.
type Record<'a> = (&'a [u8], &'a [u8]);

/// The first record, and what stands behind it.
fn split(data: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(data.get(..space)?).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some(((record.get(..equals)?, record.get(equals + 1..)?), data.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_their_length_says() {
        let all = records(b"8 a=b\nc\n9 path=x\n6 d==\n\0\0").collect::<Option<Vec<_>>>().unwrap();
        assert_eq!(all, [(b"a".as_slice(), b"b\nc".as_slice()), (b"path", b"x"), (b"d", b"=")]);
        assert_eq!(records(b"").count() + records(b"\0\0").count(), 0);
        let long = format!("{} a=b\n", u64::MAX);
        for bad in
            ["7 a=b\nc\n", "6 a=bc\n", "9 a=b\n", "4 a\n", "0 a=b\n", "1 a=b\n", "x a=b\n", "6", "-6 a=b\n", &long]
        {
            let mut records = records(bad.as_bytes());
            assert_eq!((records.next(), records.next()), (Some(None), None), "{bad:?}");
        }
    }
}
