//! The lines of the benchmark: printed, and kept in `tests/bench/RESULTS.md`, a section a set.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::tool::{Doing, Outcome};

/// One line: what was measured, what it must be, what others need, what ours needs.
#[derive(Debug, Clone)]
pub struct Row {
    number: u8,
    what: String,
    target: String,
    peer: String,
    ours: String,
    verdict: &'static str,
}

impl Row {
    /// One of the numbered lines that we hold ourselves to; 0 where it is none of them.
    pub fn new(number: u8, what: &str) -> Row {
        Row { number, what: what.into(), target: String::new(), peer: String::new(), ours: String::new(), verdict: "" }
    }

    /// It must be at most `most`, and is `found`.
    pub fn at_most(self, most: f64, found: f64) -> Row {
        let target = if most < 100.0 { format!("≤ {most:.2}") } else { format!("≤ {most:.0}") };
        Row { target, verdict: if found <= most { "ok" } else { "missed" }, ..self }
    }

    /// What is shown of the peer and of ours.
    pub fn say(self, peer: &str, ours: &str) -> Row {
        Row { peer: peer.into(), ours: ours.into(), ..self }
    }

    /// Which line it is.
    pub fn number(&self) -> u8 {
        self.number
    }

    fn cells(&self) -> [String; 6] {
        let number = if self.number == 0 { String::new() } else { self.number.to_string() };
        [number, self.what.clone(), self.target.clone(), self.peer.clone(), self.ours.clone(), self.verdict.into()]
    }
}

const HEAD: [&str; 6] = ["line", "measure", "target", "peer", "ours", ""];

/// Prints a table.
pub fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    let cells: Vec<[String; 6]> = std::iter::once(HEAD.map(String::from)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    for row in &cells {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            let blank = " ".repeat(width - cell.chars().count());
            format!("{cell}{blank}")
        });
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Puts a section into the file, in place of the one of the same heading; what else stands there stays.
pub fn keep(file: &Path, title: &str, rows: &[Row]) -> Outcome<()> {
    let before = fs::read_to_string(file).unwrap_or_default();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).doing(folder.display())?;
    }
    fs::write(file, with_section(&before, title, &table(rows))).doing(file.display())
}

fn table(rows: &[Row]) -> String {
    let line = |cells: [String; 6]| format!("| {} |\n", cells.join(" | "));
    let head = line(HEAD.map(String::from)) + &line(HEAD.map(|_| "--".to_owned()));
    head + &rows.iter().map(|row| line(row.cells())).collect::<String>()
}

fn with_section(text: &str, title: &str, body: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{body}");
    let Some(at) = text.find(&heading) else {
        let blank = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
        return format!("{text}{blank}{section}");
    };
    let rest = &text[at + heading.len()..];
    let next = rest.find("\n## ").map_or("", |next| &rest[next..]);
    format!("{}{section}{next}", &text[..at])
}

/// Two decimals.
pub fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// Bytes as megabytes with one decimal.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Seconds with two decimals.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let text = "# Results\n\n## a\n\nold\n\n## b\n\nkept\n";
        assert_eq!(with_section(text, "a", "new\n"), "# Results\n\n## a\n\nnew\n\n## b\n\nkept\n");
        assert_eq!(with_section(text, "b", "new\n"), "# Results\n\n## a\n\nold\n\n## b\n\nnew\n");
        assert_eq!(with_section(text, "c", "new\n"), format!("{text}\n## c\n\nnew\n"));
    }

    #[test]
    fn a_bar_is_kept_or_missed() {
        assert!(Row::new(1, "x").at_most(1.05, 1.05).cells()[5] == "ok");
        assert!(Row::new(1, "x").at_most(1.05, 1.06).cells()[5] == "missed");
    }
}
