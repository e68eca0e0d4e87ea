//! The offending line as a person may see it: secrets masked, control characters shown as dots, long lines cut, a caret below.

use crate::node::Position;
use crate::path;

const MASK: &str = "********";
const BEFORE_CARET: usize = 70;
const WIDTH: usize = 110;
/// No person writes longer lines than this; what stands further right is not shown.
const LONGEST: usize = 8192;
/// How many lines up a key is looked for.
const FAR: usize = 2000;

/// What of a line must not be shown, beside what looks secret in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Nothing more.
    Nothing,
    /// All of it, unless it names the secret.
    Line,
    /// Everything behind the key it starts with.
    Values,
}

/// Keys of a service whose values may hold anything, secrets under any name included.
const OPAQUE: [&str; 6] = ["environment", "command", "entrypoint", "healthcheck", "build", "labels"];

/// What the line of a finding at this dotted key must not show.
pub fn hidden(key: &str) -> Hidden {
    if lies_in_opaque(key) {
        Hidden::Values
    } else if key.rsplit('.').next().is_some_and(is_secret) {
        Hidden::Line
    } else {
        Hidden::Nothing
    }
}

fn lies_in_opaque(key: &str) -> bool {
    let key = key.strip_prefix("offspot.").unwrap_or(key);
    let below = |service: &str| Some(service[end_of_name(service)..].strip_prefix('.')?.to_string());
    let rest = key.strip_prefix("containers.services.").and_then(below);
    rest.is_some_and(|rest| OPAQUE.iter().any(|word| path::is_within(&rest, word)))
}

/// Where the first name of a dotted key ends; names with dots in them are quoted.
fn end_of_name(key: &str) -> usize {
    let Some(quoted) = key.strip_prefix('"') else {
        return key.find('.').unwrap_or(key.len());
    };
    let mut escaped = false;
    let end = quoted.find(|letter: char| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes
    });
    end.map_or(key.len(), |end| end + 2)
}

/// The line at this place and a caret below it.
pub fn excerpt(text: &str, at: Position, hidden: Hidden) -> Option<String> {
    let number = at.line.checked_sub(1)?;
    let start = if number == 0 { 0 } else { text.match_indices('\n').nth(number - 1)?.0 + 1 };
    let line = text[start..].split('\n').next()?;
    let line = if line.len() > LONGEST { line.get(..LONGEST).filter(|_| at.column < LONGEST / 4)? } else { line };
    let inside = lies_below(&text[..start], line, secret_value);
    let opaque = hidden == Hidden::Values || lies_below(&text[..start], line, environment);
    let named = secret_value(line).is_some();
    let shown = match hidden {
        _ if inside => mask_all(line),
        _ if opaque => mask_values(line),
        Hidden::Line if !named => mask_all(line),
        _ => mask(line),
    };
    let shown: Vec<char> = shown.chars().map(visible).collect();
    let column = at.column.clamp(1, shown.len() + 1);
    let first = column.saturating_sub(BEFORE_CARET);
    let last = shown.len().min(first + WIDTH);
    let window: String = shown[first..last].iter().collect();
    let (lead, tail) = (if first > 0 { "…" } else { "" }, if last < shown.len() { "…" } else { "" });
    let indent = column - 1 - first + lead.chars().count();
    Some(format!("{lead}{window}{tail}\n{}^", " ".repeat(indent)))
}

/// Whether a key of this name holds something that must not be shown.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "pwd", "psk", "apikey", "_key", "-key", "credential"]
        .iter()
        .any(|word| key.contains(word))
}

fn visible(letter: char) -> char {
    match letter {
        '\t' => '→',
        letter if letter.is_control() || is_direction_mark(letter) => '·',
        letter => letter,
    }
}

fn is_direction_mark(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn mask_all(line: &str) -> String {
    let indent: String = line.chars().take_while(|letter| letter.is_whitespace()).collect();
    format!("{indent}{MASK}")
}

/// Only the key that the line starts with is shown.
fn mask_values(line: &str) -> String {
    let is_name = |letter: char| letter.is_alphanumeric() || "_-. \"'".contains(letter);
    let key = line.find(':').filter(|at| line[at + 1..].is_empty() || line[at + 1..].starts_with([' ', '\t', '\r']));
    match key.filter(|at| line[..*at].chars().all(is_name) && !line.trim_start().starts_with('-')) {
        Some(at) => format!("{}: {MASK}", &line[..at]),
        None => mask_all(line),
    }
}

/// Everything behind the first secret name and its `:` or `=` is hidden, and what stands before the `@` of an address.
fn mask(line: &str) -> String {
    match secret_value(line).into_iter().chain(environment(line)).min() {
        Some(at) => format!("{} {MASK}", line[..at].trim_end()),
        None => mask_user_info(line),
    }
}

/// Where the value of a secret key starts, if the line holds one.
fn secret_value(line: &str) -> Option<usize> {
    value_of(line, is_secret)
}

/// Where the variables of a service start, if the line holds them.
fn environment(line: &str) -> Option<usize> {
    value_of(line, |name| name == "environment")
}

fn value_of(line: &str, is_meant: fn(&str) -> bool) -> Option<usize> {
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    line.match_indices([':', '=']).find_map(|(at, _)| {
        let before = line[..at].trim_end_matches(|letter: char| {
            letter.is_whitespace() || !letter.is_ascii() || matches!(letter, '"' | '\'')
        });
        let name = before.rfind(|letter| !is_name(letter)).map_or(before, |end| &before[end..]);
        is_meant(name.trim_start_matches(|letter| !is_name(letter))).then_some(at + 1)
    })
}

/// Whether the line goes on with the value of a key that `value_of` finds: the nearest key above that is indented less, beyond list items, or the
/// line just above, has such a name.
fn lies_below(before: &str, line: &str, value_of: fn(&str) -> Option<usize>) -> bool {
    let mut above = before
        .rsplit('\n')
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.get(..LONGEST).unwrap_or(line))
        .take(FAR)
        .peekable();
    let opens = |rest: &str| rest.is_empty() || rest.starts_with(['|', '>', '&', '!', '#']);
    let last = above.peek().copied().unwrap_or_default();
    if value_of(last).is_some_and(|at| opens(last[at..].trim())) {
        return true;
    }
    let mut inner = depth(line);
    let parents = above.filter(|above| {
        let outer = depth(above) < inner;
        inner = inner.min(depth(above));
        outer
    });
    let mut keys = parents.filter(|parent| value_of(parent).is_some() || !parent.trim_start().starts_with('-'));
    keys.next().is_some_and(|key| value_of(key).is_some())
}

/// How deep a line is nested; an item is deeper than the key above it, even where it is indented alike.
fn depth(line: &str) -> usize {
    let body = line.trim_start();
    2 * (line.len() - body.len()) + usize::from(body.starts_with('-'))
}

/// The text with what stands before the last `@` of an address hidden: a password may hold `/` and `@`.
pub fn mask_user_info(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let (word, behind) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        shown.push_str(before);
        match word.rfind('@') {
            Some(end) => shown.extend([MASK, &word[end..]]),
            None => shown.push_str(word),
        }
        rest = behind;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: usize, column: usize) -> String {
        excerpt(text, Position { line, column }, Hidden::Nothing).unwrap()
    }

    #[test]
    fn the_caret_stands_below_its_column() {
        assert_eq!(shown("a: 1\nbé: 2", 2, 2), "bé: 2\n ^");
        assert_eq!(shown("\tx", 1, 2), "→x\n ^");
        assert!(excerpt("a", Position { line: 9, column: 1 }, Hidden::Nothing).is_none());
        let long = shown(&"x".repeat(1000), 1, 500);
        assert!(long.lines().next().unwrap().chars().count() < 120, "{long}");
        assert_eq!(long.lines().nth(1).unwrap().chars().count(), 71);
    }

    #[test]
    fn secrets_are_masked() {
        for line in [
            "passphrase: hunter2hunter2",
            "ap: {ssid: x, passphrase: hunter2}",
            "- ADMIN_PASSWORD=hunter2",
            "\"Wifi-Password\" : hunter2",
            "url: https://me:hunter2@host/x",
            "x: http://me:hunter2@a ftp://hunter2@b",
            "“passphrase”: hunter2",
            "url: http://me:hun/hunter2@host/x",
        ] {
            let masked = shown(line, 1, 1);
            assert!(!masked.contains("hunter2") && masked.contains(MASK), "{masked}");
        }
        assert!(!shown("passphrase: >\n  hunter2", 2, 3).contains("hunter2"));
        assert_eq!(shown("passphrase: >\n  one\n  hunter2\nssid: x", 3, 3), "  ********\n  ^");
        assert_eq!(shown("passphrase: >\n  one\n  hunter2\nssid: x", 4, 1), "ssid: x\n^");
        assert_eq!(shown("ssid: pass the salt", 1, 1), "ssid: pass the salt\n^");
    }

    #[test]
    fn values_of_a_service_are_hidden() {
        for (key, wanted) in [
            ("containers.services.a.environment.DB", Hidden::Values),
            ("containers.services.\"a.\\\".b\".command", Hidden::Values),
            ("offspot.containers.services.a.labels[0]", Hidden::Values),
            ("containers.services.environment", Hidden::Nothing),
            ("containers.services.a.ports[0]", Hidden::Nothing),
            ("ap.passphrase", Hidden::Line),
        ] {
            assert_eq!(hidden(key), wanted, "{key}");
        }
        assert_eq!(mask_values("  DB: $x"), format!("  DB: {MASK}"));
        assert_eq!(mask_values("  - DB: x"), format!("  {MASK}"));
        assert_eq!(mask_values("  a: {b: $x}"), format!("  a: {MASK}"));
    }
}
