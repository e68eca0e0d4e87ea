//! Small languages inside compose values: shell words, times, sizes, numbers, port ranges.

use crate::node::Scalar;

/// A command line as words, as compose splits it: quotes and backslashes, nothing expanded. At a bare `;`, `&`, `|`, `<` or `>` it ends, for no
/// shell reads it. None: a quote, a back quote or a bracket is not closed.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut splitter = Splitter::default();
    for c in line.chars() {
        if !splitter.take(c)? {
            break;
        }
    }
    splitter.finish()
}

/// What the characters before have opened.
#[derive(Clone, Copy, Default, PartialEq)]
enum Inside {
    #[default]
    Nothing,
    Single,
    Double,
    /// Between back quotes: kept as it stands.
    Back,
    /// In `$(`…`)`: kept as it stands.
    Brackets,
}

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    word: Option<String>,
    inside: Inside,
    escaped: bool,
}

impl Splitter {
    /// Takes one character; false: the line ends here. None: it is none.
    fn take(&mut self, c: char) -> Option<bool> {
        if std::mem::take(&mut self.escaped) {
            self.escape(c);
            return Some(true);
        }
        match (c, self.inside) {
            ('\\', Inside::Single) => self.push(c),
            ('\\', _) => self.escaped = true,
            (' ' | '\t' | '\r' | '\n', Inside::Nothing) => self.words.extend(self.word.take()),
            ('`', Inside::Nothing) => self.open(c, Inside::Back),
            ('`', Inside::Back) | (')', Inside::Brackets) => self.open(c, Inside::Nothing),
            (')', Inside::Nothing) => self.open(c, Inside::Brackets),
            ('(', Inside::Nothing) if self.word.as_ref().is_some_and(|word| word.ends_with('$')) => {
                self.open(c, Inside::Brackets);
            }
            ('(', Inside::Nothing | Inside::Brackets) => return None,
            ('"', Inside::Nothing) => self.inside = Inside::Double,
            ('\'', Inside::Nothing) => self.inside = Inside::Single,
            ('"', Inside::Double) | ('\'', Inside::Single) => {
                self.inside = Inside::Nothing;
                self.word.get_or_insert_default();
            }
            (';' | '&' | '|' | '<' | '>', Inside::Nothing) => {
                // A number before it, as in `2>`, belongs to it.
                if c == '>' && self.word.as_ref().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
                    self.word = None;
                }
                return Some(false);
            }
            _ => self.push(c),
        }
        Some(true)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn open(&mut self, c: char, inside: Inside) {
        self.push(c);
        self.inside = inside;
    }

    fn escape(&mut self, c: char) {
        match (c, self.inside) {
            (_, Inside::Back | Inside::Brackets) => self.word.get_or_insert_default().extend(['\\', c]),
            _ => self.push(c),
        }
    }

    fn finish(mut self) -> Option<Vec<String>> {
        self.words.extend(self.word.take());
        (self.inside == Inside::Nothing && !self.escaped).then_some(self.words)
    }
}

/// A time such as `1m30s` in nanoseconds. A number needs its unit, save `0`.
pub fn nanoseconds(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut sum = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        sum += number.parse::<f64>().ok()? * unit_nanoseconds(unit)?;
        rest = after;
    }
    (!text.is_empty() && sum < i64::MAX as f64).then_some(sum as i64)
}

fn unit_nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "d" => 86_400e9,
        "w" => 604_800e9,
        _ => return None,
    })
}

/// A size such as `64m`, `1.5GiB` or `2Gi` in bytes; units are powers of 1024, as in compose. A number needs digits on both sides of its
/// point, and no more than one space may stand behind it.
pub fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let unit = unit.strip_prefix(' ').filter(|unit| !unit.is_empty()).unwrap_or(unit);
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * 1024f64.powi(power);
    (value < i64::MAX as f64).then_some(value as i64)
}

/// What compose, which reads YAML as Go does and knows texts only, makes of a scalar where it wants a text.
pub fn meaning(scalar: &Scalar) -> String {
    let text = scalar.text.as_str();
    match text {
        _ if !scalar.plain => text.to_owned(),
        "True" | "TRUE" => "true".to_owned(),
        "False" | "FALSE" => "false".to_owned(),
        _ if is_number_like(text) => number(text).unwrap_or_else(|| text.to_owned()),
        _ => text.to_owned(),
    }
}

/// The text of a whole number in decimal, or the text as it stands: what compose makes of a scalar where it wants a whole number or a text,
/// but no other number.
pub fn whole_meaning(scalar: &Scalar) -> String {
    let whole = if scalar.plain { whole(&scalar.text.replace('_', "")) } else { None };
    whole.filter(|_| is_number_like(&scalar.text)).map_or(scalar.text.clone(), |whole| whole.to_string())
}

/// What compose makes of a scalar where it wants a whole number: without quotes it is a number of YAML, cut at its point; in quotes it is
/// decimal.
pub fn whole_number(scalar: &Scalar) -> Option<i128> {
    if !scalar.plain {
        return scalar.text.parse::<i64>().ok().map(i128::from);
    }
    let bare = Some(scalar.text.replace('_', "")).filter(|_| is_number_like(&scalar.text))?;
    whole(&bare).or_else(|| decimal(&bare).map(|number| number as i128))
}

/// A number is one only if it begins like one: `_1` is a text.
fn is_number_like(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

/// A number with point or exponent.
fn decimal(bare: &str) -> Option<f64> {
    let digits = bare.strip_prefix(['+', '-']).unwrap_or(bare);
    let float = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    bare.parse::<f64>().ok().filter(|value| float && value.is_finite())
}

fn number(text: &str) -> Option<String> {
    let bare = text.replace('_', "");
    if let Some(whole) = whole(&bare) {
        return Some(whole.to_string());
    }
    let value = decimal(&bare)?;
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if value == 0.0 || (-4..6).contains(&exponent) {
        return Some(value.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.abs()))
}

/// A whole number in any of the notations: `0b1`, `0o7`, `07`, `0x1F`.
fn whole(text: &str) -> Option<i128> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)];
    let (digits, radix) = radix
        .iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix).filter(|rest| !rest.is_empty())?, *radix)))
        .unwrap_or((lower.as_str(), 10));
    let value = i128::from(u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?);
    let value = if negative { -value } else { value };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// An absolute path without `.`, `..` and doubled slashes.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `80` or `80-90`, both ends included. Zero is no port.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_compose_does() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        for (line, expected) in [
            (r#"/bin/sh -c "kiwix-serve --port 80 /data/*.zim""#, Some("/bin/sh|-c|kiwix-serve --port 80 /data/*.zim")),
            ("a  b\tc\n", Some("a|b|c")),
            (r"a\ b 'c d'e", Some("a b|c de")),
            (r#""a\"b\n" ''"#, Some("a\"bn|")),
            ("", Some("")),
            ("echo a && b", Some("echo|a")),
            ("echo 2>x", Some("echo")),
            ("a;b", Some("a")),
            ("echo $(date +%s) `x y`", Some("echo|$(date +%s)|`x y`")),
            ("echo (a)", None),
            ("echo 'open", None),
            ("\"", None),
            ("\\", None),
        ] {
            assert_eq!(words(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn numbers_are_what_they_mean() {
        for (text, expected) in [
            ("0755", "493"),
            ("0x1F", "31"),
            ("0b1", "1"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-0", "0"),
            ("1.10", "1.1"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1e5", "100000"),
            ("1234567.0", "1.234567e+06"),
            ("0o9", "0o9"),
            ("1e400", "1e400"),
            ("1000000.0", "1e+06"),
            ("12345678.9", "1.23456789e+07"),
            ("0.00001", "1e-05"),
            ("0.0001", "0.0001"),
            ("123456789012345678901", "1.2345678901234568e+20"),
            ("True", "true"),
            ("yes", "yes"),
            ("22:22", "22:22"),
            ("1.2.3", "1.2.3"),
            ("0089", "89"),
            ("-x", "-x"),
        ] {
            assert_eq!(meaning(&Scalar { text: text.to_owned(), plain: true }), expected, "{text}");
        }
        assert_eq!(meaning(&Scalar { text: "0755".to_owned(), plain: false }), "0755");
    }

    #[test]
    fn whole_numbers() {
        for (text, plain, expected) in [
            ("0100", true, Some(64)),
            ("0100", false, Some(100)),
            ("65_536", true, Some(65_536)),
            ("65_536", false, None),
            ("-0x10", true, Some(-16)),
            ("3.0", true, Some(3)),
            ("1e3", true, Some(1000)),
            ("1e3", false, None),
            ("_1", true, None),
            ("x", true, None),
            ("", true, None),
        ] {
            assert_eq!(whole_number(&Scalar { text: text.to_owned(), plain }), expected, "{text}");
        }
        for (text, expected) in [("0120", "80"), ("8_080", "8080"), ("80.0", "80.0"), ("22:22", "22:22")] {
            assert_eq!(whole_meaning(&Scalar { text: text.to_owned(), plain: true }), expected);
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("500ms", Some(500_000_000)),
            ("0", Some(0)),
            ("10", None),
            ("", None),
            ("s", None),
            ("99999999999h", None),
            ("1é", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64m", Some(64 << 20)),
            ("1gb", Some(1 << 30)),
            ("1.5GiB", Some(3 << 29)),
            ("1.5Gi", Some(3 << 29)),
            ("2 kb", Some(2048)),
            ("100", Some(100)),
            ("", None),
            ("2 ", None),
            ("2  k", None),
            (" 2k", None),
            (".5g", None),
            ("5.g", None),
            ("x", None),
            ("-1", None),
            ("9e9g", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn port_ranges() {
        for (text, expected) in [
            ("80", Some((80, 80))),
            ("80-82", Some((80, 82))),
            ("82-80", None),
            ("0", None),
            ("+80", None),
            ("70000", None),
            ("", None),
        ] {
            assert_eq!(ports(text), expected, "{text}");
        }
    }
}
