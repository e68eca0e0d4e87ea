//! Bytes into a tree, as tolerantly as can be done without guessing, and never at the cost of memory, time or the process.
//!
//! What cannot be read costs the top-level key that holds it; the others are still read. No limit is left to the parser: size, depth,
//! number of values and expansion of aliases are bounded here, and nothing recurses over what a file nests.

mod build;
mod flow;
mod lines;
mod locate;
mod salvage;
mod text;

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

use crate::code;
use crate::finding::{Complaint, Finding, Findings, Refused};
use crate::node::{Node, Position};
pub(crate) use build::ignored_tag;
use build::{Budget, Builder, Overflow};
use lines::Repairs;
use salvage::Lost;

/// Largest file that is looked at.
pub const MAX_BYTES: usize = 4 << 20;

/// Most brackets, braces, commas, quotes and the like: the parser holds the tokens of a flow collection in memory until it ends.
const MAX_INDICATORS: usize = 400_000;

/// A file that was read, as far as that was possible.
pub struct Reading {
    /// The document; none for an empty file, or one that cannot be read at all.
    pub root: Option<Node>,
    /// What is wrong or odd.
    pub findings: Vec<Finding>,
    /// What the errors among them refuse.
    pub refused: Refused,
    /// The text as decoded, for excerpts.
    pub text: String,
}

/// Shows the findings only: the rest may hold secrets.
impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Reading").field("findings", &self.findings).finish_non_exhaustive()
    }
}

/// Reads a YAML document. Where a key stands twice, the first is in the tree and an error refuses it.
pub fn read(bytes: &[u8]) -> Reading {
    let decoded = if bytes.len() > MAX_BYTES { Err(too_big("it is larger than 4 MiB")) } else { text::decode(bytes) };
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(complaint) => {
            let mut findings = Findings::new("");
            findings.error("", None, complaint);
            let (findings, refused) = findings.finish();
            return Reading { root: None, findings, refused, text: String::new() };
        }
    };
    let mut findings = Findings::new(&decoded.text);
    if decoded.nuls {
        let advice = "Copy the file onto the card again and eject the card before pulling it.";
        findings.warning(
            "",
            None,
            Complaint::new(code::NULS, "the file ends in zero bytes, as after a cut write", advice),
        );
    }
    let root = read_text(&decoded.text, decoded.lossy, &mut findings).filter(|root| !root.is_null());
    let (findings, refused) = findings.finish();
    Reading { root, findings, refused, text: decoded.text }
}

fn read_text(text: &str, lossy: bool, findings: &mut Findings) -> Option<Node> {
    if text.bytes().filter(|byte| b",[]{}?*&!\"':".contains(byte)).count() > MAX_INDICATORS {
        findings.error("", None, too_big("it holds more than 400000 brackets, commas, quotes and colons"));
        return None;
    }
    let mut repairs = Repairs::default();
    let spaced = lines::without_nbsp(text, &mut repairs);
    let text = spaced.as_deref().unwrap_or(text);
    let source = Source { text, first_line: 0, widened: &[], lossy };
    let mut trial = findings.fork();
    let mut lost = Vec::new();
    let root = match parse(&source, &mut Budget::default(), &mut trial) {
        Ok(root) => {
            findings.adopt(trial);
            root
        }
        Err(Trouble::Overflow(Overflow(why))) => {
            findings.error("", None, too_big(why));
            return None;
        }
        Err(Trouble::Syntax(..)) => read_broken(text, lossy, findings, &mut repairs, &mut lost),
    };
    report_repairs(root.as_ref(), &repairs, &lost, findings);
    root
}

/// Tries again with what other readers take put right, then with tabs and typographic quotes too; what is still broken costs only its own part
/// of the file.
fn read_broken(
    text: &str,
    lossy: bool,
    findings: &mut Findings,
    repairs: &mut Repairs,
    lost: &mut Vec<Lost>,
) -> Option<Node> {
    let spaces = std::mem::take(&mut repairs.spaces);
    let righted = flow::put_right(text);
    let (text, shifted) = righted.as_ref().map_or((text, &[][..]), |(text, shifted)| (text, shifted));
    if righted.is_some()
        && let Some(root) = whole(&Source { text, first_line: 0, widened: shifted, lossy }, findings)
    {
        *repairs = Repairs { spaces, ..Repairs::default() };
        return root;
    }
    for width in [2, 4, 8, 1] {
        *repairs = Repairs { spaces: spaces.clone(), ..Repairs::default() };
        let straight = lines::straightened(text, width, repairs);
        if repairs.tabs.is_empty() && repairs.quotes.is_empty() {
            break;
        }
        let source = Source { text: &straight, first_line: 0, widened: &widened(&repairs.tabs, shifted), lossy };
        if let Some(root) = whole(&source, findings) {
            return root;
        }
    }
    *repairs = Repairs { spaces, ..Repairs::default() };
    let straight = lines::straightened(text, 2, repairs);
    let widened = widened(&repairs.tabs, shifted);
    salvage::read_parts(&Source { text: &straight, first_line: 0, widened: &widened, lossy }, findings, lost)
}

/// The document, with what is found in it; none where the text cannot be read as a whole.
fn whole(source: &Source, findings: &mut Findings) -> Option<Option<Node>> {
    let mut trial = findings.fork();
    let root = parse(source, &mut Budget::default(), &mut trial).ok()?;
    findings.adopt(trial);
    Some(root)
}

/// What both put before the lines, by line.
fn widened(tabs: &[(usize, usize)], shifted: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut columns = BTreeMap::new();
    tabs.iter().chain(shifted).for_each(|(line, added)| *columns.entry(*line).or_default() += added);
    columns.into_iter().collect()
}

/// A text to parse, and where it stands in the file.
struct Source<'s> {
    text: &'s str,
    /// Lines of the file before it.
    first_line: usize,
    /// Lines (of the file, from 0) that were widened, and by how many columns.
    widened: &'s [(usize, usize)],
    lossy: bool,
}

impl Source<'_> {
    /// Where a line (from 1) and column (from 0) of the parser stand in the file.
    fn place(&self, line: usize, column: usize) -> Position {
        let line = self.first_line + line;
        let widened =
            self.widened.binary_search_by_key(&line, |(wide, _)| wide + 1).map_or(0, |found| self.widened[found].1);
        Position { line, column: (column + 1).saturating_sub(widened).max(1) }
    }
}

/// Why a text is not a document.
enum Trouble {
    Overflow(Overflow),
    Syntax(Position, Complaint),
}

/// The first document of the text that holds something; a second one is reported and not read.
fn parse(source: &Source, budget: &mut Budget, findings: &mut Findings) -> Result<Option<Node>, Trouble> {
    let place = |line, column| source.place(line, column);
    let mut parser = Parser::new_from_str(source.text);
    let mut first = None;
    loop {
        let Some(document) = next_document(&mut parser, source, &place, budget, findings)? else {
            return Ok(first);
        };
        match (document.is_null(), &first) {
            (true, _) => {}
            (false, None) => first = Some(document),
            (false, Some(_)) => {
                let complaint = Complaint::new(
                    code::DOCUMENTS,
                    "the file holds a second document, which is not read",
                    "Remove the `---` line before it.",
                );
                findings.error("", Some(document.at), complaint);
                return Ok(first);
            }
        }
    }
}

fn next_document(
    parser: &mut Parser<saphyr_parser::StrInput>,
    source: &Source,
    place: &dyn Fn(usize, usize) -> Position,
    budget: &mut Budget,
    findings: &mut Findings,
) -> Result<Option<Node>, Trouble> {
    let mut builder = Builder::new(budget, findings, place, source.lossy);
    while let Some(event) = parser.next_event() {
        match event {
            Err(error) => {
                let at = source.place(error.marker().line(), error.marker().col());
                return Err(Trouble::Syntax(at, salvage::explain(error.info())));
            }
            Ok((Event::StreamEnd, _)) => return Ok(None),
            Ok((Event::DocumentEnd, _)) => {
                return Ok(Some(builder.finish().unwrap_or_else(|| Node::word(""))));
            }
            Ok((event, span)) => builder.take(event, span).map_err(Trouble::Overflow)?,
        }
    }
    Ok(None)
}

fn too_big(why: &str) -> Complaint {
    Complaint::new(
        code::TOO_BIG,
        format!("the file is refused: {why}"),
        "Is this the right file? A real one has some hundred lines.",
    )
}

/// Says what was put right, once for each part of the document; a tab refuses its part, because its width is a guess.
fn report_repairs(root: Option<&Node>, repairs: &Repairs, lost: &[Lost], findings: &mut Findings) {
    let start = |line: usize| Position { line: line + 1, column: 1 };
    let key_at = |line: usize| match lost.iter().find(|part| part.lines.contains(&line)) {
        Some(part) => part.key.clone(),
        None => locate::key_at(root, start(line)),
    };
    let mut told = Refused::default();
    for &(line, _) in &repairs.tabs {
        let key = key_at(line);
        if told.insert(locate::part(&key)) {
            let complaint =
                Complaint::new(code::TAB, "a tab is used for indentation", "Indent with spaces, two a level.");
            findings.error(&key, Some(start(line)), complaint);
        }
    }
    for &line in &repairs.quotes {
        findings.warning(&key_at(line), Some(start(line)), build::quotes());
    }
    let mut told = Refused::default();
    for &line in &repairs.spaces {
        let key = key_at(line);
        if told.insert(locate::part(&key)) {
            let complaint = Complaint::new(
                code::NBSP,
                "a no-break space was taken as a space",
                "Use plain spaces and a plain text editor.",
            );
            findings.warning(&key, Some(start(line)), complaint);
        }
    }
}
