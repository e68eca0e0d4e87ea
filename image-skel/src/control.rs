//! Debian's control syntax: stanzas of `Name: value` lines, continued by lines that begin with white space (deb822(5)).

use crate::tool::{Failure, Outcome};

/// One stanza: fields in the order in which they stand. Names are matched without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// The value of a field, without white space around it; continuation lines are in it as they stand.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Every field in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }
}

/// Reads the stanza that `text` is; a line that is no field, and a field that comes twice, are errors.
pub fn stanza(text: &str) -> Outcome<Stanza<'_>> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let mut end = line_end(text, at);
        while text[end..].starts_with([' ', '\t']) {
            end = line_end(text, end);
        }
        let line = &text[at..end];
        let (name, value) =
            line.split_once(':').ok_or_else(|| Failure::new(format!("no field: {}", line.trim_end())))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Failure::new(format!("no field: {}", line.trim_end())));
        }
        if fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name)) {
            return Err(Failure::new(format!("{name} stands there twice")));
        }
        fields.push((name, value.trim()));
        at = end;
    }
    Ok(Stanza { fields })
}

/// The stanzas of a file as text, each with the number of its first line.
pub fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut at, mut line) = (0, 1);
    std::iter::from_fn(move || {
        while at < text.len() && text[at..line_end(text, at)].trim().is_empty() {
            (at, line) = (line_end(text, at), line + 1);
        }
        let (begin, first) = (at, line);
        while at < text.len() && !text[at..line_end(text, at)].trim().is_empty() {
            (at, line) = (line_end(text, at), line + 1);
        }
        (begin < at).then(|| (first, &text[begin..at]))
    })
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |end| from + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_fields_and_continued_lines() {
        let text = "\nPackage: a\nDescription: one\n two\n .\n three\n\n\nPackage: b\nVersion: 1";
        let read: Vec<_> = split(text).map(|(line, text)| (line, stanza(text).unwrap())).collect();
        assert_eq!(read.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 9]);
        assert_eq!(read[0].1.get("description"), Some("one\n two\n .\n three"));
        assert_eq!(read[1].1.get("Version"), Some("1"));
        assert!(stanza("Package: a\npackage: b\n").is_err());
        assert!(stanza("nonsense\n").is_err());
    }
}
