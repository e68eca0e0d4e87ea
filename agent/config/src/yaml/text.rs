//! From bytes to text: which encoding, and what the ends of lines and of the file look like.

use crate::code;
use crate::finding::Complaint;

/// Text with `\n` as its only line end, or why there is none.
pub struct Text {
    /// The decoded text.
    pub text: String,
    /// Bytes that are not text were replaced by U+FFFD.
    pub lossy: bool,
    /// The file ended in zero bytes.
    pub nuls: bool,
}

/// Decodes UTF-8 and UTF-16, with or without byte order mark.
pub fn decode(bytes: &[u8]) -> Result<Text, Complaint> {
    let trimmed = without_trailing_nuls(bytes);
    let nuls = trimmed.len() < bytes.len();
    let (text, lossy) = match encoding(trimmed) {
        Encoding::Utf8(body) => match std::str::from_utf8(body) {
            Ok(text) => (text.to_string(), false),
            Err(_) => (String::from_utf8_lossy(body).into_owned(), true),
        },
        Encoding::Utf16(body, unit) => utf_16(body, unit),
    };
    if looks_binary(&text) {
        let advice = "Save the file as plain text (UTF-8) with a text editor, not a word processor.";
        return Err(Complaint::new(code::ENCODING, "this is not a text file", advice));
    }
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    Ok(Text { text, lossy, nuls })
}

/// A cut write leaves zero bytes; in UTF-16 the last one may be half of a letter.
fn without_trailing_nuls(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let half = matches!(encoding(bytes), Encoding::Utf16(..)) && end % 2 == 1 && end < bytes.len();
    &bytes[..end + usize::from(half)]
}

enum Encoding<'b> {
    Utf8(&'b [u8]),
    Utf16(&'b [u8], fn(&[u8]) -> u16),
}

fn encoding(bytes: &[u8]) -> Encoding<'_> {
    let little: fn(&[u8]) -> u16 = |unit| u16::from_le_bytes([unit[0], unit[1]]);
    let big: fn(&[u8]) -> u16 = |unit| u16::from_be_bytes([unit[0], unit[1]]);
    match bytes {
        [0xEF, 0xBB, 0xBF, body @ ..] => Encoding::Utf8(body),
        [0xFF, 0xFE, body @ ..] => Encoding::Utf16(body, little),
        [0xFE, 0xFF, body @ ..] => Encoding::Utf16(body, big),
        [1..=0x7F, 0, 1..=0x7F, 0, ..] => Encoding::Utf16(bytes, little),
        [0, 1..=0x7F, 0, 1..=0x7F, ..] => Encoding::Utf16(bytes, big),
        _ => Encoding::Utf8(bytes),
    }
}

fn utf_16(body: &[u8], unit: fn(&[u8]) -> u16) -> (String, bool) {
    let whole = body.chunks_exact(2);
    let mut lossy = !whole.remainder().is_empty();
    let letters = char::decode_utf16(whole.map(unit)).map(|letter| {
        letter.unwrap_or_else(|_| {
            lossy = true;
            char::REPLACEMENT_CHARACTER
        })
    });
    let text: String = letters.collect();
    (text.trim_end_matches('\0').to_string(), lossy)
}

/// Zero bytes inside, or as many control or undecodable characters as no text has.
fn looks_binary(text: &str) -> bool {
    let odd = |letter: &char| {
        *letter == char::REPLACEMENT_CHARACTER
            || letter.is_control() && !matches!(letter, '\n' | '\r' | '\t' | '\u{85}')
    };
    text.contains('\0') || text.chars().filter(odd).count() > 3 + text.len() / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        decode(bytes).ok().map(|text| text.text)
    }

    #[test]
    fn every_encoding_of_notepad() {
        let wanted = Some("a: é\nb: 😀".to_string());
        let utf_16: Vec<u16> = "a: é\r\nb: 😀".encode_utf16().collect();
        let little: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf_16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        assert_eq!(text("a: é\r\nb: 😀".as_bytes()), wanted);
        assert_eq!(text("\u{feff}a: é\rb: 😀".as_bytes()), wanted);
        assert_eq!((text(&little), text(&big)), (wanted.clone(), wanted.clone()));
        assert_eq!(text(&[&[0xFF, 0xFE], &little[..]].concat()), wanted);
        assert_eq!(text(&[&[0xFE, 0xFF], &big[..]].concat()), wanted);
        assert_eq!(text(&[&[0xFF, 0xFE], &little[..], &[0; 6]].concat()), wanted);
    }

    #[test]
    fn cut_writes_and_garbage() {
        assert_eq!(text(b"a: 1\0\0\0"), Some("a: 1".into()));
        assert_eq!(text(&[0; 4096]), Some(String::new()));
        assert_eq!(text(b""), Some(String::new()));
        assert_eq!(text(b"\x7fELF\x02\x01\x01\0\0\0\x01"), None);
        assert_eq!(text(&[0xFF, 0xFE, b'a', 0, b'b']).as_deref(), Some("a"));
        assert!(decode(b"ssid: caf\xe9").is_ok_and(|text| text.lossy && text.text == "ssid: caf\u{fffd}"));
    }
}
