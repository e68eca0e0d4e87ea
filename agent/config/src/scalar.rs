//! What an unquoted word of YAML can mean, to readers of YAML 1.2 and of YAML 1.1.

/// What a plain scalar is to a YAML 1.2 (core schema) reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: empty, `~`, `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Any other number.
    Float,
    /// Text.
    Text,
}

/// What YAML 1.2 makes of this unquoted text.
pub fn kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        // YAML 1.1 reads it as octal: taken as the text that it is to the engine, both kinds of reader agree.
        _ if has_leading_zero(text) => Kind::Text,
        _ if is_int(text) => Kind::Int,
        _ if is_float(text) => Kind::Float,
        _ => Kind::Text,
    }
}

/// The boolean that a YAML 1.1 reader sees in this word, in lower, upper or title case.
pub fn boolean(text: &str) -> Option<bool> {
    let one_case = text == text.to_ascii_lowercase() || text == text.to_ascii_uppercase() || is_title(text);
    match text.to_ascii_lowercase().as_str() {
        _ if !one_case => None,
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

fn is_title(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_uppercase()) && letters.all(|letter| letter.is_ascii_lowercase())
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether these are digits with a zero in front that says nothing.
fn has_leading_zero(text: &str) -> bool {
    let body = unsigned(text);
    body.len() > 1 && body.starts_with('0') && digits(body)
}

fn is_int(text: &str) -> bool {
    let prefixed = |prefix: &str, radix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|digit| digit.is_digit(radix)))
    };
    digits(unsigned(text)) || prefixed("0o", 8) || prefixed("0x", 16)
}

fn is_float(text: &str) -> bool {
    let body = unsigned(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let number = match mantissa.split_once('.') {
        None => digits(mantissa),
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
    };
    number && exponent.is_none_or(|exponent| digits(unsigned(exponent)))
}

/// Whether a YAML 1.1 reader might see something else than text in this word, which YAML 1.2 reads as text: `NO`, `22:22`, `0b1`, `1_000`, a date, `=`, `<<`.
pub fn surprises_yaml_11(text: &str) -> bool {
    if boolean(text).is_some() || matches!(text, "=" | "<<") {
        return true;
    }
    let number_like = unsigned(text).trim_start_matches('.').starts_with(|first: char| first.is_ascii_digit());
    let stranger = |letter: char| !letter.is_ascii_hexdigit() && !"_+-.: oOxXtTzZ".contains(letter);
    let dotted = text.matches('.').count() >= 2 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number_like && !dotted && !text.contains(stranger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_mean_what_yaml_12_says() {
        for (text, meaning) in [
            ("", Kind::Null),
            ("~", Kind::Null),
            ("nULL", Kind::Text),
            ("true", Kind::Bool),
            ("yes", Kind::Text),
            ("NO", Kind::Text),
            ("1234", Kind::Int),
            ("-1", Kind::Int),
            ("0o17", Kind::Int),
            ("0x1F", Kind::Int),
            ("0b1", Kind::Text),
            ("1_000", Kind::Text),
            ("1.10", Kind::Float),
            (".5", Kind::Float),
            ("5.", Kind::Float),
            (".", Kind::Text),
            ("1e3", Kind::Float),
            ("-.inf", Kind::Float),
            ("22:22", Kind::Text),
            ("2001-01-01", Kind::Text),
            ("1.2.3", Kind::Text),
            ("e3", Kind::Text),
            ("+", Kind::Text),
        ] {
            assert_eq!(kind(text), meaning, "{text:?}");
        }
    }

    #[test]
    fn words_that_yaml_11_reads_otherwise() {
        for text in [
            "NO",
            "yes",
            "On",
            "y",
            "22:22",
            "8080:22",
            "0b1",
            "1_000",
            "2001-01-01",
            "2001-12-14t21:59:43.10-05:00",
            "190:20:30.15",
            "=",
            "<<",
            "1:2",
        ] {
            assert!(surprises_yaml_11(text), "{text:?}");
        }
        for text in ["nO", "kiwix", "192.168.1.1", "1h", "10.0.0.0/8", "v1.2", "80:80/tcp", "noo"] {
            assert!(!surprises_yaml_11(text), "{text:?}");
        }
    }
}
