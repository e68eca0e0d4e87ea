//! What other readers of YAML take and ours does not: lines within brackets or quotes that stand no further right than their key, a tab behind
//! a colon, a lone dash within brackets. They are put as the specification has them; no value changes by it.

use super::lines::Literal;

/// The text as it should be, and how many columns were put before which lines (from 0). None where nothing is to be done, or brackets or
/// quotes do not end.
pub fn put_right(text: &str) -> Option<(String, Vec<(usize, usize)>)> {
    let mut scan = Scan::default();
    let (mut literal, mut shifted) = (Literal::default(), Vec::new());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            scan.fixed.push('\n');
        }
        if scan.is_inside() {
            let added = scan.go_on(line);
            shifted.extend((added > 0).then_some((number, added)));
        } else if literal.holds(line) {
            scan.fixed.push_str(line);
        } else {
            scan.begin(line);
            if scan.is_inside() {
                literal = Literal::default();
            }
        }
    }
    (!scan.is_inside() && scan.fixed != text).then_some((scan.fixed, shifted))
}

/// How far a text was read, as a reader of YAML sees it.
#[derive(Default)]
struct Scan {
    fixed: String,
    /// Open brackets and braces.
    depth: usize,
    /// The quotes that are open.
    quote: Option<char>,
    /// Column of the key on whose line the first of them was opened.
    column: usize,
    /// A value or key may begin here.
    fresh: bool,
    behind_colon: bool,
}

impl Scan {
    fn is_inside(&self) -> bool {
        self.depth > 0 || self.quote.is_some()
    }

    fn begin(&mut self, line: &str) {
        let mut body = line.trim_start_matches(' ');
        while let Some(item) = body.strip_prefix("- ") {
            body = item.trim_start_matches(' ');
        }
        self.column = line.len() - body.len();
        self.fixed.push_str(&line[..self.column]);
        (self.fresh, self.behind_colon) = (true, false);
        self.read(body);
    }

    /// Reads a line within brackets or quotes; gives the columns that were put before it.
    fn go_on(&mut self, line: &str) -> usize {
        let body = line.trim_start_matches([' ', '\t']);
        if body.is_empty() {
            self.fixed.push_str(line);
            return 0;
        }
        let indent = line.len() - body.len();
        let added = (self.column + 1).saturating_sub(indent);
        self.fixed.extend(std::iter::repeat_n(' ', indent + added));
        self.read(body);
        added
    }

    fn read(&mut self, body: &str) {
        let mut letters = body.char_indices();
        let mut before = ' ';
        while let Some((at, letter)) = letters.next() {
            let rest = &body[at + letter.len_utf8()..];
            if self.quote.is_none() && letter == '#' && before.is_whitespace() {
                self.fixed.push_str(&body[at..]);
                return;
            }
            // What the quotes' own escape stands for ends nothing.
            let escapes = match self.quote {
                Some('"') => letter == '\\',
                Some('\'') => letter == '\'' && rest.starts_with('\''),
                _ => false,
            };
            if escapes {
                self.fixed.push(letter);
                self.fixed.extend(letters.next().map(|(_, escaped)| escaped));
            } else if self.quote.is_some() {
                self.fixed.push(letter);
                self.quote = self.quote.filter(|open| *open != letter);
            } else {
                self.outside(letter, rest);
            }
            before = letter;
        }
    }

    /// A letter outside of quotes.
    fn outside(&mut self, letter: char, rest: &str) {
        let ends = rest.is_empty() || rest.starts_with([' ', '\t']);
        if letter.is_whitespace() {
            self.fixed.push(if letter == '\t' && self.behind_colon { ' ' } else { letter });
            return;
        }
        let lone = letter == '-' && self.fresh && self.depth > 0 && rest.trim_start().starts_with([',', ']', '}']);
        self.fixed.push_str(if lone { "\"-\"" } else { "" });
        self.fixed.extend((!lone).then_some(letter));
        self.behind_colon = letter == ':' && (ends || self.depth > 0);
        self.fresh = match letter {
            '[' | '{' if self.fresh || self.depth > 0 => {
                self.depth += 1;
                true
            }
            ']' | '}' if self.depth > 0 => {
                self.depth -= 1;
                false
            }
            '"' | '\'' if self.fresh => {
                self.quote = Some(letter);
                false
            }
            ',' => self.depth > 0,
            ':' => self.behind_colon,
            '-' => self.fresh && ends,
            _ => false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> Option<String> {
        put_right(text).map(|(fixed, _)| fixed)
    }

    #[test]
    fn lines_within_brackets_and_quotes_stand_behind_their_key() {
        let text = "a:\n  - ports: [\n    \"80:80\", # one\n\n  ]\n    x: \"one\n  two\"\n  y: 'it''s\nthree'\n";
        let wanted =
            "a:\n  - ports: [\n     \"80:80\", # one\n\n     ]\n    x: \"one\n     two\"\n  y: 'it''s\n   three'\n";
        let (fixed, shifted) = put_right(text).unwrap();
        assert_eq!(fixed, wanted);
        assert_eq!(shifted, [(2, 1), (4, 3), (6, 3), (8, 3)]);
    }

    #[test]
    fn tabs_behind_colons_and_within_brackets_and_lone_dashes() {
        assert_eq!(
            fixed("a:\tx\nb: [\n\t- ,\tc: -, -]\n").as_deref(),
            Some("a: x\nb: [\n \"-\" ,\tc: \"-\", \"-\"]\n")
        );
        assert_eq!(fixed("a: [x]\ncommand: [tar, xf, -]").as_deref(), Some("a: [x]\ncommand: [tar, xf, \"-\"]"));
    }

    #[test]
    fn what_is_right_or_has_no_end_is_left() {
        for text in [
            "a: it's [b\nc: d\"e\n",
            "a: |\n  [ \"\n  x:\ty\nb: c\n",
            "a: x # [ \"\nb: 'c # d'\n",
            "a: [\nb: c\n",
            "a: \"\nb: c\n",
            "- -1\n- a-b: [-1, a-b, x: y]\n",
            "a: \"\\\"\"\nb: c",
        ] {
            assert_eq!(fixed(text), None, "{text}");
        }
    }
}
