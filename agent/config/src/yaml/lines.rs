//! What people and word processors do to lines of YAML: tabs, no-break spaces, typographic quotes. Undone outside literal text only.

/// A line put right, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Repairs {
    /// Lines (from 0) whose indentation had tabs, and how many columns their repair added.
    pub tabs: Vec<(usize, usize)>,
    /// Lines whose value stood in typographic quotes.
    pub quotes: Vec<usize>,
    /// Lines with a no-break space where a space belongs.
    pub spaces: Vec<usize>,
}

/// Which lines are the content of a `|` or `>` text: what they hold is nobody's business.
#[derive(Default)]
pub(super) struct Literal {
    parent_indent: Option<usize>,
}

impl Literal {
    /// Whether this line, the next of the text, is such content.
    pub(super) fn holds(&mut self, line: &str) -> bool {
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        if self.parent_indent.is_some_and(|parent| body.is_empty() || indent > parent) {
            return true;
        }
        self.parent_indent = opens_literal(body).then_some(indent);
        false
    }
}

fn opens_literal(body: &str) -> bool {
    let code = body.split(" #").next().unwrap_or(body).trim_end();
    let head = code.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-'));
    head.strip_suffix(['|', '>']).is_some_and(|before| before.ends_with([' ', '\t']) || before.is_empty())
}

/// Spaces for no-break spaces in indentation, after the colon of a key, and at the end of a line.
pub fn without_nbsp(text: &str, repairs: &mut Repairs) -> Option<String> {
    text.contains('\u{a0}')
        .then(|| rewrite(text, |number, line| nbsp_to_space(line).inspect(|_| repairs.spaces.push(number))))
}

/// `width` spaces for each tab of an indentation; straight quotes for typographic ones around a value.
pub fn straightened(text: &str, width: usize, repairs: &mut Repairs) -> String {
    rewrite(text, |number, line| {
        let untabbed = tabs_to_spaces(line, width)
            .inspect(|fixed| repairs.tabs.push((number, fixed.chars().count() - line.chars().count())));
        let quoted = straight_quotes(untabbed.as_deref().unwrap_or(line)).inspect(|_| repairs.quotes.push(number));
        quoted.or(untabbed)
    })
}

fn rewrite(text: &str, mut fix: impl FnMut(usize, &str) -> Option<String>) -> String {
    let mut literal = Literal::default();
    let mut fixed = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            fixed.push('\n');
        }
        let repaired = if literal.holds(line) { None } else { fix(number, line) };
        fixed.push_str(repaired.as_deref().unwrap_or(line));
    }
    fixed
}

fn is_nbsp(letter: char) -> bool {
    matches!(letter, '\u{a0}' | '\u{202f}' | '\u{2007}')
}

fn nbsp_to_space(line: &str) -> Option<String> {
    if !line.contains(is_nbsp) || line.trim_start_matches(|letter: char| letter.is_whitespace()).starts_with('#') {
        return None;
    }
    let body = line.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '-');
    let key =
        body.find(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '_' | '.')).unwrap_or(body.len());
    let after = &body[key..];
    let colon = after.trim_start_matches(|letter: char| letter.is_whitespace()).starts_with(':');
    let gap = if colon {
        after.find(|letter: char| letter != ':' && !letter.is_whitespace()).unwrap_or(after.len())
    } else {
        0
    };
    let head = line.len() - body.len() + key + gap;
    let tail = line.trim_end().len().max(head);
    let spaced = |part: &str| part.replace(is_nbsp, " ");
    let fixed = spaced(&line[..head]) + &line[head..tail] + &spaced(&line[tail..]);
    (fixed != line).then_some(fixed)
}

fn tabs_to_spaces(line: &str, width: usize) -> Option<String> {
    let body = line.trim_start_matches([' ', '\t']);
    let indent = &line[..line.len() - body.len()];
    let matters = indent.contains('\t') && !body.is_empty() && !body.starts_with('#');
    matters.then(|| indent.replace('\t', &" ".repeat(width)) + body)
}

/// The value of `key: “value”` or `- “value”` in straight quotes, column for column.
fn straight_quotes(line: &str) -> Option<String> {
    let body = line.trim_start_matches([' ', '-']);
    let key_end = body
        .find(": ")
        .filter(|_| !body.starts_with(|first| is_double(first) || is_single(first)))
        .map_or(0, |colon| colon + 2);
    let start = line.len() - body[key_end..].trim_start().len();
    let value = line[start..].trim_end();
    let inner = inside_quotes(value)?;
    let straight = ['"', '\''].into_iter().find(|quote| !inner.contains([*quote, '\\']))?;
    Some(format!("{}{straight}{inner}{straight}{}", &line[..start], &line[start + value.len()..]))
}

/// What stands between typographic quotes, one of which may be straight; none where the text is not quoted as a whole.
fn inside_quotes(value: &str) -> Option<&str> {
    let mut letters = value.chars();
    let (first, last) = (letters.next()?, letters.next_back()?);
    let pair = [first, last];
    let is_pair = |kind: fn(char) -> bool| pair.into_iter().all(kind);
    let inner = letters.as_str();
    let typographic = !matches!(pair, ['"', '"'] | ['\'', '\'']);
    let whole = is_pair(is_double) && !inner.contains(is_double) || is_pair(is_single) && !inner.contains(is_single);
    (typographic && whole).then_some(inner)
}

fn is_double(letter: char) -> bool {
    matches!(letter, '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '＂')
}

fn is_single(letter: char) -> bool {
    matches!(letter, '\'' | '‘' | '’' | '‚' | '‛' | '‹' | '›' | '＇')
}

/// The text without the typographic quotes around it, if there are any: `“My box”` is `My box`.
pub fn unquoted(text: &str) -> Option<&str> {
    let inner = inside_quotes(text).filter(|_| !text.starts_with(['"', '\'']))?;
    let spaced = text.starts_with(['«', '‹', '»', '›']);
    Some(if spaced { inner.trim() } else { inner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_break_spaces_around_keys_are_spaces() {
        let mut repairs = Repairs::default();
        let fixed =
            without_nbsp("ap:\n\u{a0}\u{a0}ssid:\u{a0}My\u{a0}box\u{a0}\n  content: |\n   \u{a0}x\n", &mut repairs)
                .unwrap();
        assert_eq!(fixed, "ap:\n  ssid: My\u{a0}box \n  content: |\n   \u{a0}x\n");
        assert_eq!(repairs.spaces, [1]);
        assert!(without_nbsp("plain", &mut repairs).is_none());
    }

    #[test]
    fn tabs_and_quotes_outside_literal_text() {
        let mut repairs = Repairs::default();
        let fixed =
            straightened("a:\n\tb: “x: y”\n\tc: |\n\t\tkept\n  d: |\n\n   \t“kept”\n  - ‘e: f’", 2, &mut repairs);
        assert_eq!(fixed, "a:\n  b: \"x: y\"\n  c: |\n    kept\n  d: |\n\n   \t“kept”\n  - \"e: f\"");
        assert_eq!((repairs.tabs.len(), repairs.quotes), (3, vec![1, 7]));
    }

    #[test]
    fn whole_texts_in_typographic_quotes_lose_them() {
        for (quoted, bare) in [
            ("“My box”", Some("My box")),
            ("«\u{a0}My box\u{a0}»", Some("My box")),
            ("‘x’", Some("x")),
            ("“a” and “b”", None),
            ("“", None),
            ("“”", Some("")),
            ("it’s", None),
        ] {
            assert_eq!(unquoted(quoted), bare, "{quoted}");
        }
    }
}
