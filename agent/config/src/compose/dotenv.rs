//! Files of variables, as `env_file` names them: compose's dialect of dotenv. Pure: gets the text.

use std::collections::BTreeMap;

use super::template;

/// A line that is none of a file of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it; never holds a value.
    pub reason: String,
}

/// A name and its value. A name that stands alone has none: compose takes its value from its own environment, and where that has none, as
/// on a box, leaves the variable out.
pub type Variable = (String, Option<String>);

/// The variables in the order of the file, each name once, the last value. Values are filled from names above them in the file.
pub fn read(text: &str) -> Result<Vec<Variable>, BadLine> {
    read_after(text, &BTreeMap::new())
}

/// As [`read`], where values are filled first from `known`: what files named before this one have set.
pub fn read_after(text: &str, known: &BTreeMap<String, String>) -> Result<Vec<Variable>, BadLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading { text, at: 0, counted: (0, 1), found: Found::default() };
    while let Some((name, value)) = reading.statement(known)? {
        reading.found.set(name, value);
    }
    Ok(reading.found.list)
}

/// With `format: raw`: every line is `NAME=VALUE` as it stands, but for empty ones and those that begin with `#`.
pub fn read_raw(text: &str) -> Result<Vec<Variable>, BadLine> {
    let mut found = Found::default();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let reason = "a name without white space must stand before the =".to_owned();
            return Err(BadLine { line: index + 1, reason });
        }
        found.set(name.to_owned(), value);
    }
    Ok(found.list)
}

/// What was read so far.
#[derive(Default)]
struct Found {
    list: Vec<Variable>,
    places: BTreeMap<String, usize>,
}

impl Found {
    fn set(&mut self, name: String, value: Option<String>) {
        match self.places.get(&name) {
            // A name that stands alone changes nothing.
            Some(_) if value.is_none() => {}
            Some(place) => self.list[*place].1 = value,
            None => {
                self.places.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        self.list[*self.places.get(name)?].1.clone()
    }
}

struct Reading<'t> {
    text: &'t str,
    at: usize,
    /// How far lines have been counted, and the line there.
    counted: (usize, usize),
    found: Found,
}

impl<'t> Reading<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn wrong(&mut self, at: usize, reason: impl Into<String>) -> BadLine {
        let (from, line) = self.counted;
        self.counted = (at, line + self.text[from..at].matches('\n').count());
        BadLine { line: self.counted.1, reason: reason.into() }
    }

    /// The next name and its value; none at the end.
    fn statement(&mut self, known: &BTreeMap<String, String>) -> Result<Option<Variable>, BadLine> {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            match self.rest().strip_prefix('#') {
                Some(comment) => self.at = self.text.len() - comment.find('\n').map_or(0, |end| comment.len() - end),
                None => break,
            }
        }
        if self.rest().is_empty() {
            return Ok(None);
        }
        let start = self.at;
        let (name, alone) = self.name()?;
        if alone {
            return Ok(Some((name, None)));
        }
        self.at += self.rest().len() - self.rest().trim_start_matches(is_blank).len();
        let value = self.value()?;
        let filled = match value {
            Value::Literal(text) => text,
            Value::Template(text) => {
                let lookup = |name: &str| known.get(name).cloned().or_else(|| self.found.value(name));
                let filled = template::fill(&text, &lookup);
                filled.map_err(|invalid| self.wrong(start, invalid.reason))?.text
            }
        };
        Ok(Some((name, Some(filled))))
    }

    /// The name, and whether it stands alone; goes on behind its sign.
    fn name(&mut self) -> Result<(String, bool), BadLine> {
        let start = self.at;
        if let Some(after) = self.rest().strip_prefix("export").filter(|after| after.starts_with(is_blank)) {
            self.at = self.text.len() - after.trim_start_matches(is_blank).len();
        }
        let rest = self.rest();
        let end = rest.find(|c: char| !(is_blank(c) || is_of_name(c))).unwrap_or(rest.len());
        let name = rest[..end].trim_end().to_owned();
        let sign = rest[end..].chars().next();
        self.at += end + sign.map_or(0, char::len_utf8);
        if name.contains(char::is_whitespace) {
            return Err(self.wrong(start, "there is white space in a name"));
        }
        match sign {
            Some('=' | ':') if name.is_empty() => Err(self.wrong(start, "a name is missing before the =")),
            Some('=' | ':') => Ok((name, false)),
            Some('\n') | None => Ok((name, true)),
            Some(letter) => Err(self.wrong(start, format!("{letter:?} cannot be in a name"))),
        }
    }

    fn value(&mut self) -> Result<Value, BadLine> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
            let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
            self.at += (line.len() + 1).min(rest.len());
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            return Ok(Value::Template(value.trim_end().to_owned()));
        };
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += offset + 1;
                    return Ok(if quote == '"' { Value::Template(unescaped(&value)) } else { Value::Literal(value) });
                }
                '\\' => match chars.next() {
                    Some((_, c)) if c == quote => value.push(c),
                    Some((_, c)) => value.extend(['\\', c]),
                    None => {}
                },
                c => value.push(c),
            }
        }
        Err(self.wrong(self.at, "a quote is not closed"))
    }
}

enum Value {
    Literal(String),
    Template(String),
}

/// White space within a line.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{a0}')
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')
}

/// A text in double quotes with its escapes undone; `\$` becomes `$$`, for it is filled afterwards. Unknown escapes stay.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        let plain = match chars.next() {
            Some('a') => "\u{7}",
            Some('b') => "\u{8}",
            Some('f') => "\u{c}",
            Some('n') => "\n",
            Some('r') => "\r",
            Some('t') => "\t",
            Some('v') => "\u{b}",
            Some('$') => "$$",
            Some('\\') => "\\",
            Some('"') => "\"",
            Some('0') => {
                rest = octal(chars.as_str(), &mut out);
                continue;
            }
            _ => {
                out.push('\\');
                rest = after;
                continue;
            }
        };
        out.push_str(plain);
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// What follows `\0`: three digits of a character, else the escape loses its zero; gives the rest.
fn octal<'t>(text: &'t str, out: &mut String) -> &'t str {
    let length = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    match u8::from_str_radix(digits, 8).ok().filter(|_| length == 3) {
        Some(letter) => out.push(char::from(letter)),
        None => {
            out.push('\\');
            out.push_str(digits);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<String, usize> {
        let one = |(name, value): Variable| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        };
        let list = read(text).map_err(|bad| bad.line)?;
        Ok(list.into_iter().map(one).collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn what_compose_reads() {
        for (text, expected) in [
            ("A=1\nB=x y # c\nC=x#y\nD= z \nexport E=5\nF:6\nG: 7\n", "A=1|B=x y|C=x#y|D=z|E=5|F=6|G=7"),
            ("FOO\nA=1\nexport B", "FOO|A=1|B"),
            (
                "A=\"x\\ny\" B=z\nC=\"a\\$b $A ${Q:-d} $$ \\\" \\t \\q \\\\ \\0101\"",
                "A=x\ny|B=z|C=a$b x\ny d $ \" \t \\q \\ A",
            ),
            ("A='x\\ny $B' # c\nB='it\\'s'\n", "A=x\\ny $B|B=it's"),
            ("A=\"multi\nline\"\nB=$A\n", "A=multi\nline|B=multi\nline"),
            ("\u{feff}A=1\r\nB=2\r\n\n \n", "A=1|B=2"),
            ("A=\nB=\"\"\nC\n", "A=|B=|C"),
            ("A=1\nA=2\nB=$A\nA\n", "A=2|B=2"),
            ("A=\"x\"y\nB=1\n", "A=x|y|B=1"),
            ("A=b#c #d\nB=#x\nC= #x\nD=\"a #b\"#c\n", "A=b#c|B=#x|C=#x|D=a #b"),
            ("A=\"\\a\\c\\0 \\07 \\0777 \\01234|\"", "A=\u{7}\\c\\ \\7 \\777 S4|"),
            ("A='\\'\nB=1'\n", "A='\nB=1"),
            ("exportB=1\n1A=1\nA.b-c[0]=2\n", "exportB=1|1A=1|A.b-c[0]=2"),
            ("", ""),
            ("# only\n#comments", ""),
        ] {
            assert_eq!(read_all(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_lines_are_counted() {
        for (text, line) in [
            ("A=1\nA B=1\n", 2),
            ("A!=1\n", 1),
            ("\n\nA=${B:?no}\n", 3),
            ("A=1\nB=${\n", 2),
            ("A=\"x\nB=\"y\"\n", 2),
            ("A=1\n# c\nB='open\nC=1\n", 3),
            ("=1\n", 1),
        ] {
            assert_eq!(read_all(text), Err(line), "{text}");
        }
    }

    #[test]
    fn raw_files_and_files_before() {
        let raw = read_raw("A=\"x\" # $B\n# c\n\nB\nA=' y '\n").unwrap();
        assert_eq!(raw, [("A".to_owned(), Some("' y '".to_owned())), ("B".to_owned(), None)]);
        assert_eq!(read_raw("A=1\nb c=1").map_err(|bad| bad.line), Err(2));
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(read_after("B=$A", &known).unwrap(), [("B".to_owned(), Some("1".to_owned()))]);
    }
}
