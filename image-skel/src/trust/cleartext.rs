//! The cleartext signature framework (RFC 9580, section 7), read strictly: one block, and nothing around it.

use super::Refusal;

const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A document taken apart.
pub(super) struct Parts<'a> {
    lines: Vec<&'a str>,
    /// The block of signatures.
    pub armor: Vec<u8>,
}

impl Parts<'_> {
    /// What the signature is over.
    pub fn signed(&self) -> String {
        self.lines.join("\r\n")
    }

    /// The same, for a reader.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

/// Takes a document apart; nothing of it is believed yet.
pub(super) fn split(document: &[u8]) -> Result<Parts<'_>, Refusal> {
    let text = std::str::from_utf8(document).map_err(|_| malformed("it is not UTF-8"))?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    if lines.next().map(str::trim_end) != Some(MESSAGE) {
        let inside = text.lines().any(|line| line.trim_end() == MESSAGE);
        return Err(if inside { malformed("text stands before what is signed") } else { Refusal::Unsigned });
    }
    for header in lines.by_ref().take_while(|line| !line.trim_end().is_empty()) {
        if !header.starts_with("Hash: ") {
            return Err(malformed("a header other than Hash"));
        }
    }
    let lines_signed = signed_lines(&mut lines)?;
    let mut armor = format!("{BEGIN}\n");
    loop {
        let line = lines.next().ok_or_else(|| malformed("it ends within the signature"))?;
        armor.extend([line, "\n"]);
        if line.trim_end() == END {
            break;
        }
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(malformed("text stands after the signature"));
    }
    Ok(Parts { lines: lines_signed, armor: armor.into_bytes() })
}

/// The lines up to the signature, dash-escaping undone. A line that begins with an unescaped dash is none of the text.
fn signed_lines<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>, Refusal> {
    let mut signed = Vec::new();
    for line in lines {
        if line.trim_end() == BEGIN {
            return Ok(signed);
        }
        if line.contains(['\r', '\0']) {
            return Err(malformed("a carriage return or zero byte within a line"));
        }
        let line = match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            None if line.starts_with('-') => return Err(malformed("a dash that is not escaped")),
            None => line,
        };
        signed.push(line.trim_end_matches([' ', '\t']));
    }
    Err(malformed("it has no signature at its end"))
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn what_is_signed_is_what_is_read() {
        let document = format!("{MESSAGE}\r\nHash: SHA256\r\n\r\nA: 1 \t\r\n- - dash\n- -----BEGIN\n\n{TAIL}\n\n");
        let parts = split(document.as_bytes()).unwrap();
        assert_eq!(parts.signed(), "A: 1\r\n- dash\r\n-----BEGIN\r\n");
        assert_eq!(parts.text(), "A: 1\n- dash\n-----BEGIN\n\n");
    }

    #[test]
    fn nothing_stands_around_it() {
        for (document, why) in [
            (format!("Evil: 1\n{MESSAGE}\n\nA: 1\n{TAIL}"), "before"),
            (format!("\n{MESSAGE}\n\nA: 1\n{TAIL}"), "before"),
            (format!("{MESSAGE}\nEvil: 1\n\nA: 1\n{TAIL}"), "header"),
            (format!("{MESSAGE}\nHash: SHA256\nA: 1\n{TAIL}"), "header"),
            (format!("{MESSAGE}\n\nA: 1\n{TAIL}Evil: 1\n"), "after"),
            (format!("{MESSAGE}\n\nA: 1\n{TAIL}{MESSAGE}\n\nEvil: 1\n{TAIL}"), "after"),
            (format!("{MESSAGE}\n\n{MESSAGE}\n\nA: 1\n{TAIL}"), "dash"),
            (format!("{MESSAGE}\n\nA: 1\rEvil: 1\n{TAIL}"), "carriage"),
            (format!("{MESSAGE}\n\nA: 1\n"), "no signature"),
            (format!("{MESSAGE}\n\nA: 1\n{BEGIN}\n\nabcd\n"), "within"),
        ] {
            let refusal = split(document.as_bytes()).err().unwrap().to_string();
            assert!(
                refusal.starts_with("malformed") && refusal.contains(why),
                "{refusal}, not {why}, for {document:?}"
            );
        }
        assert_eq!(split(b"Suite: trixie\n").err(), Some(Refusal::Unsigned));
        assert_eq!(split(b"").err(), Some(Refusal::Unsigned));
    }
}
