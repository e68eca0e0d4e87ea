//! `$NAME` and `${NAME…}` in texts, as compose replaces them.

/// Deepest nesting of defaults.
const DEEPEST: usize = 32;

/// Most variables without value that are named.
const MOST_UNSET: usize = 8;

/// A text with its variables replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub text: String,
    /// The first variables without value and without default: empty in the text.
    pub unset: Vec<String>,
}

/// Why a text cannot be filled, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// Characters before the place.
    pub at: usize,
    pub reason: String,
}

/// The value of a variable, if it has one.
pub(super) type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Replaces the variables of `text`; `$$` is `$`, and a dollar sign that begins no name stays.
pub(super) fn fill(text: &str, lookup: Lookup<'_>) -> Result<Filled, Invalid> {
    let mut filling = Filling { lookup, filled: Filled::default() };
    filling.take(text, 0, 0).map_err(|(bytes, reason)| {
        let at = text.get(..bytes).map_or(0, |before| before.chars().count());
        Invalid { at, reason }
    })?;
    Ok(filling.filled)
}

/// Bytes before the place, and what is wrong there.
type Wrong = (usize, String);

struct Filling<'l> {
    lookup: Lookup<'l>,
    filled: Filled,
}

impl Filling<'_> {
    /// Appends `text`, which begins `start` bytes into the whole.
    fn take(&mut self, text: &str, start: usize, depth: usize) -> Result<(), Wrong> {
        if depth > DEEPEST {
            return Err((start, format!("defaults are nested more than {DEEPEST} deep")));
        }
        let mut line = Line::default();
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
            self.filled.text.push_str(&text[at..dollar]);
            let after = &text[dollar + 1..];
            at = dollar + 1;
            if after.starts_with('$') {
                self.filled.text.push('$');
                at += 1;
            } else if let Some(inner) = after.strip_prefix('{') {
                at = self.braced(text, inner, start, &mut line, depth)?;
            } else {
                match name(after) {
                    "" => self.filled.text.push('$'),
                    name => {
                        self.plain(name);
                        at += name.len();
                    }
                }
            }
        }
        self.filled.text.push_str(&text[at..]);
        Ok(())
    }

    fn plain(&mut self, name: &str) {
        match (self.lookup)(name) {
            Some(value) => self.filled.text.push_str(&value),
            None if self.filled.unset.len() < MOST_UNSET => self.filled.unset.push(name.to_owned()),
            None => {}
        }
    }

    /// Takes what follows `${` in `text`; gives where to go on.
    fn braced(&mut self, text: &str, inner: &str, start: usize, line: &mut Line, depth: usize) -> Result<usize, Wrong> {
        let open = text.len() - inner.len();
        let wrong = |reason: &str| (start + open - 2, reason.to_owned());
        let name = name(inner);
        if name.is_empty() {
            return Err(wrong("a name must follow ${"));
        }
        let after = open + name.len();
        if text[after..].starts_with('}') {
            self.plain(name);
            return Ok(after + 1);
        }
        let Some((word, length)) = Word::of(&text[after..]) else {
            return Err(wrong("after ${NAME must come }, :-, -, :?, ?, :+ or +"));
        };
        let body = after + length;
        let close = line.closing(text, open - 1, body).ok_or_else(|| wrong("the brace is not closed on its line"))?;
        self.choose(name, word, &text[body..close], start + body, depth)?;
        Ok(close + 1)
    }

    /// The value or what stands for it. What is nested is filled, and must be sound, even where it is not used.
    fn choose(&mut self, name: &str, word: Word, body: &str, start: usize, depth: usize) -> Result<(), Wrong> {
        let before = self.filled.text.len();
        self.take(body, start, depth + 1)?;
        let value = (self.lookup)(name).filter(|value| !(word.unless_empty && value.is_empty()));
        match (word.sign, value) {
            ('-', None) | ('+', Some(_)) => return Ok(()),
            ('?', None) => {
                let message = self.filled.text.split_off(before);
                let colon = if message.is_empty() { "" } else { ": " };
                return Err((start, format!("the variable {name} has no value, and must have one{colon}{message}")));
            }
            (sign, value) => {
                self.filled.text.truncate(before);
                self.filled.text.push_str(value.as_deref().filter(|_| sign != '+').unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// What to do with a variable that has, or has no, value.
#[derive(Clone, Copy)]
struct Word {
    sign: char,
    /// An empty value is none.
    unless_empty: bool,
}

impl Word {
    fn of(text: &str) -> Option<(Word, usize)> {
        let unless_empty = text.starts_with(':');
        let length = usize::from(unless_empty);
        let sign = text[length..].chars().next().filter(|sign| matches!(sign, '-' | '?' | '+'))?;
        Some((Word { sign, unless_empty }, length + 1))
    }
}

/// The last closing brace of the line that is being read; looked for once a line.
#[derive(Default)]
struct Line {
    end: usize,
    last: Option<usize>,
}

impl Line {
    /// The brace that closes the one at `open`, or else the last one of the line. As in compose, the character after an opening brace
    /// never counts.
    fn closing(&mut self, text: &str, open: usize, body: usize) -> Option<usize> {
        if body >= self.end {
            self.end = text[body..].find('\n').map_or(text.len(), |offset| body + offset);
            self.last = text[body..self.end].rfind('}').map(|offset| body + offset);
        }
        let last = self.last.filter(|last| *last >= body)?;
        let bytes = text.as_bytes();
        let (mut depth, mut at) = (0usize, open);
        while at <= last {
            match bytes.get(at) {
                Some(b'{') => {
                    depth += 1;
                    at += 1;
                }
                Some(b'}') if depth <= 1 => return Some(at),
                Some(b'}') => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        Some(last)
    }
}

/// The name at the beginning of a text, or nothing.
fn name(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c: char| !part(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, (usize, String)> {
        let lookup = |name: &str| match name {
            "SET" => Some("v".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        fill(text, &lookup).map(|filled| filled.text).map_err(|invalid| (invalid.at, invalid.reason))
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, expected) in [
            ("5$ and $1 {fqdn} $", "5$ and $1 {fqdn} $"),
            ("$$SET $$$SET $$${SET}", "$SET $v $v"),
            ("$SET.x ${SET}y $A-b ${A}c", "v.x vy -b c"),
            ("${A:-d} ${A-d} ${A:-} ${EMPTY:-d} ${EMPTY-d}|", "d d  d |"),
            ("${SET:+r} ${SET+r} ${EMPTY:+r} ${EMPTY+r} ${A+r}|", "r r  r |"),
            ("${SET:?e} ${EMPTY?e}|", "v |"),
            ("${A:-${B:-${SET}}} ${A:-$$x} ${A:-b-c} ${A-b:-c}", "v $x b-c b:-c"),
            (r#"${A:-{"k":"v"}} ${A:-b}c}"#, r#"{"k":"v"} bc}"#),
            ("${A:-{}} $B }", "{}}  "),
            ("${A:-{{b}} ${B:-x}", "{{b} x"),
            ("${A:-{b}\n} ${C:-d}", "{b\n} d"),
            ("é${A:-ü}ß", "éüß"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_invalid_and_where() {
        for (text, at) in [
            ("é ${}", 2),
            ("${1}", 0),
            ("${A", 0),
            ("${A!x}", 0),
            ("${A:x}", 0),
            ("a ${A:-x\ny}", 2),
            ("${A:-${B}", 5),
            ("x ${A?why}", 6),
            ("${EMPTY:?}", 9),
            ("${SET:+${B:?}}", 12),
            ("${A:-{}} ${B:-x}", 9),
        ] {
            assert_eq!(filled(text).map_err(|(at, _)| at), Err(at), "{text}");
        }
        let deep = "${A:-".repeat(10_000) + &"}".repeat(10_000);
        assert!(filled(&deep).is_err_and(|(_, reason)| reason.contains("nested")));
        assert!(filled(&"${A:-".repeat(100_000)).is_err());
        assert_eq!(filled(&"${A-}".repeat(200_000)).as_deref(), Ok(""));
    }

    #[test]
    fn unset_variables_are_named() {
        let filled = fill("$A ${B} ${C:-$D} ${E:+$F}", &|_| None);
        assert_eq!(filled.map(|filled| filled.unset.join(" ")).as_deref(), Ok("A B D F"));
    }
}
