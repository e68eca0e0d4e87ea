//! What a client asks: one request read from its connection.

use std::io::{self, BufRead};

/// Longest head of a request that is taken.
const MOST: usize = 32 << 10;

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// As it was asked for, with its query.
    pub target: String,
    fields: Vec<(String, String)>,
}

impl Request {
    /// The next request of a connection; `None` where it was closed instead.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
        let (mut request, mut size) = (Request::default(), 0);
        loop {
            let mut line = String::new();
            let length = reader.read_line(&mut line)?;
            size += length;
            if length == 0 || size > MOST {
                return Ok(None);
            }
            let line = line.trim_end();
            if request.method.is_empty() {
                let mut words = line.split(' ');
                request.method = words.next().unwrap_or_default().to_owned();
                request.target = words.next().unwrap_or_default().to_owned();
            } else if line.is_empty() {
                return Ok(Some(request));
            } else if let Some((name, value)) = line.split_once(':') {
                request.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }

    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first and, where it is named, the last byte of the one range asked for.
    pub(super) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_ranges_are_read() {
        let mut text =
            &b"GET /a?b HTTP/1.1\r\nHost: x\r\nRANGE: bytes=7-\r\n\r\nGET /c HTTP/1.1\r\nrange: bytes=1-2\r\n\r\n"[..];
        let first = Request::read(&mut text).unwrap().unwrap();
        assert_eq!((first.path(), first.range(), first.header("host")), ("/a", Some((7, None)), Some("x")));
        assert_eq!(Request::read(&mut text).unwrap().unwrap().range(), Some((1, Some(2))));
        assert!(Request::read(&mut text).unwrap().is_none());
    }
}
