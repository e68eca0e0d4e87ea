//! Small languages inside compose values: shell words, times, sizes, port ranges.

/// A command line as words, as a POSIX shell would split it: quotes and backslashes, nothing expanded. None: a quote is left open.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => single(&mut chars, word.get_or_insert_default())?,
            '"' => double(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next()?),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn single(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

fn double(chars: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => match chars.next()? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
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

/// A size such as `64m` or `1.5GiB` in bytes; units are powers of 1024, as in compose.
pub fn bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.trim();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit) {
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
    fn lines_are_split_as_a_shell_does() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        for (line, expected) in [
            (r#"/bin/sh -c "kiwix-serve --port 80 /data/*.zim""#, Some("/bin/sh|-c|kiwix-serve --port 80 /data/*.zim")),
            ("a  b\tc\n", Some("a|b|c")),
            (r"a\ b 'c d'e", Some("a b|c de")),
            (r#""a\"b\n" ''"#, Some(r#"a"b\n|"#)),
            ("", Some("")),
            ("echo 'open", None),
            ("\"", None),
            ("\\", None),
        ] {
            assert_eq!(words(line).as_deref(), expected, "{line}");
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
            ("100", Some(100)),
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
