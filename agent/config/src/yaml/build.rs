//! From the parser's events to a tree, without recursion and within limits.

use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Span, Tag as Written};

use super::lines;
use crate::finding::{Complaint, Findings};
use crate::node::{Node, Position, Scalar, Tag, Value};
use crate::{code, compose, path};

/// Deepest nesting, aliases followed.
pub const MAX_DEPTH: usize = 64;
/// Most values in a document, aliases followed.
pub const MAX_NODES: usize = 200_000;
/// Most bytes of text in a document, aliases followed.
const MAX_TEXT: usize = 16 << 20;

/// Why a document cannot be a tree.
pub struct Overflow(pub &'static str);

/// What is left of the limits.
#[derive(Debug, Clone)]
pub struct Budget {
    nodes: usize,
    text: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { nodes: MAX_NODES, text: MAX_TEXT }
    }
}

impl Budget {
    fn spend(&mut self, nodes: usize, text: usize) -> Result<(), Overflow> {
        self.nodes = self.nodes.checked_sub(nodes).ok_or(Overflow("it holds more than 200000 values"))?;
        self.text = self.text.checked_sub(text).ok_or(Overflow("its aliases expand to more than 16 MiB"))?;
        Ok(())
    }
}

/// How large a tree is.
#[derive(Debug, Clone, Copy)]
struct Size {
    nodes: usize,
    text: usize,
    depth: usize,
}

/// A sequence or mapping whose end has not been seen.
struct Open {
    at: Position,
    anchor: usize,
    tag: Tag,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    /// `seen`: where each key is among the entries.
    Mapping {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
        seen: HashMap<String, usize>,
        merged: Vec<Node>,
    },
}

/// Builds one document.
pub struct Builder<'f, 't> {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    budget: &'f mut Budget,
    findings: &'f mut Findings<'t>,
    place: &'f dyn Fn(usize, usize) -> Position,
    lossy: bool,
    root: Option<Node>,
}

impl<'f, 't> Builder<'f, 't> {
    /// `place` tells where a line and column of the parsed text stand in the file.
    pub fn new(
        budget: &'f mut Budget,
        findings: &'f mut Findings<'t>,
        place: &'f dyn Fn(usize, usize) -> Position,
        lossy: bool,
    ) -> Self {
        Builder { open: Vec::new(), anchors: HashMap::new(), budget, findings, place, lossy, root: None }
    }

    /// The document, once its end has been seen.
    pub fn finish(self) -> Option<Node> {
        self.root
    }

    /// Takes one event of the document.
    pub fn take(&mut self, event: Event, span: Span) -> Result<(), Overflow> {
        let at = (self.place)(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.spend(1, text.len())?;
                let scalar = self.scalar(&text, style, tag.as_deref(), at);
                let tag = tag.as_deref().map_or(Tag::None, asked);
                self.complete(Node { tag, ..Node::at(Value::Scalar(scalar), at) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.begin(at, anchor, Kind::Sequence(Vec::new()), tag.as_deref()),
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Mapping { entries: Vec::new(), key: None, seen: HashMap::new(), merged: Vec::new() };
                self.begin(at, anchor, kind, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, anchor: usize, kind: Kind, tag: Option<&Written>) -> Result<(), Overflow> {
        self.budget.spend(1, 0)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Overflow("it is nested more than 64 levels deep"));
        }
        let asked = tag.map_or(Tag::None, asked);
        let plain = |tag: &Written| tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "map" | "seq");
        if let Some(tag) = tag.filter(|tag| asked == Tag::None && !plain(tag)) {
            self.ignore(&tag.suffix, at);
        }
        self.open.push(Open { at, anchor, tag: asked, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Overflow> {
        let Some(Open { at, anchor, tag, kind }) = self.open.pop() else {
            return Ok(());
        };
        let tags_count = tag == Tag::None && self.tags_count();
        let value = match kind {
            Kind::Sequence(items) => Value::Sequence(items),
            Kind::Mapping { mut entries, mut seen, merged, .. } => {
                for (key, value) in merged.into_iter().flat_map(|merged| self.merge_entries(merged)) {
                    match seen.get(key.key_text()) {
                        Some(place) if tags_count => merge_below(&mut entries[*place].1, value),
                        Some(_) => {}
                        None => {
                            seen.insert(key.key_text().to_string(), entries.len());
                            entries.push((key, value));
                        }
                    }
                }
                Value::Mapping(entries)
            }
        };
        self.complete(Node { tag, ..Node::at(value, at) }, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Overflow> {
        let Some(target) = self.anchors.get(&anchor) else {
            let advice = "Write the value out instead of using an alias.";
            let key = self.path();
            self.findings.error(
                &key,
                Some(at),
                Complaint::new(code::ALIAS, "this alias refers to the value it is part of", advice),
            );
            return self.complete(Node { at, ..Node::word("") }, 0);
        };
        let size = size(target);
        self.budget.spend(size.nodes, size.text)?;
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(Overflow("its aliases nest more than 64 levels deep"));
        }
        let copy = target.clone();
        self.complete(copy, 0)
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Overflow> {
        let at = node.at;
        if anchor > 0 {
            let size = size(&node);
            self.budget.spend(size.nodes, size.text)?;
            // Compose takes a reset out of the document where it first comes by: it is not there for those who refer to what held it.
            let kept = if self.tags_count() { node.without_resets() } else { node.clone() };
            self.anchors.insert(anchor, kept);
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::Sequence(items)) => items.push(node),
            Some(Kind::Mapping { key, .. }) if key.is_none() => {
                let tag = node.tag.word();
                *key = Some(Node { tag: Tag::None, ..node });
                if let Some(tag) = tag {
                    self.ignore(tag, at);
                }
            }
            Some(Kind::Mapping { .. }) => self.enter(node),
        }
        Ok(())
    }

    /// Enters key and value into the innermost mapping: the first of a repeated key stands, and the key is refused.
    fn enter(&mut self, node: Node) {
        let Some(Open { kind: Kind::Mapping { entries, key, seen, merged }, .. }) = self.open.last_mut() else {
            return;
        };
        let Some(name) = key.take() else { return };
        let at = Some(name.at);
        let Value::Scalar(scalar) = &name.value else {
            let complaint = Complaint::new(
                code::TYPE,
                "a key must be a single word or text",
                "Check for stray brackets, braces or `?`.",
            );
            let parent = self.path();
            return self.findings.error(&parent, at, complaint);
        };
        if self.lossy && scalar.text.contains(char::REPLACEMENT_CHARACTER) {
            // Reported where it was read; nobody knows which key was meant.
            return;
        }
        if scalar.plain && scalar.text == "<<" {
            let tag = node.tag.word();
            merged.push(node);
            if let Some(tag) = tag {
                self.ignore(tag, name.at);
            }
        } else if let Some(first) = seen.get(&scalar.text).map(|place| entries[*place].0.at.line) {
            let here = path::below(&self.path(), &scalar.text);
            let message = format!("this key is given twice, first on line {first}");
            self.findings.error(&here, at, Complaint::new(code::DUPLICATE, message, "Keep one of the two."));
        } else {
            seen.insert(scalar.text.clone(), entries.len());
            entries.push((name, node));
        }
    }

    /// What `<<` brings in: the mapping, or those of the list, the first one winning.
    fn merge_entries(&mut self, merged: Node) -> Vec<(Node, Node)> {
        match merged.value {
            Value::Mapping(entries) => entries,
            Value::Sequence(items) if items.iter().all(|item| item.as_mapping().is_some()) => items
                .into_iter()
                // In a list compose does not find what its tags are about.
                .flat_map(|item| if let Value::Mapping(entries) = item.settled().value { entries } else { Vec::new() })
                .collect(),
            _ => {
                let key = self.path();
                let complaint = Complaint::new(
                    code::MERGE,
                    "`<<` needs a mapping, or a list of mappings",
                    "Give it an alias of a mapping, as in `<<: *name`.",
                );
                self.findings.error(&key, Some(merged.at), complaint);
                Vec::new()
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Written>, at: Position) -> Scalar {
        if self.lossy && text.contains(char::REPLACEMENT_CHARACTER) {
            let key = self.path();
            let complaint =
                Complaint::new(code::ENCODING, "this text holds bytes that are not UTF-8", "Save the file as UTF-8.");
            self.findings.error(&key, Some(at), complaint);
        }
        let plain = match tag.map(|tag| (tag, tag.is_yaml_core_schema(), tag.suffix.as_str())) {
            None => style == ScalarStyle::Plain,
            Some((_, true, "str")) => false,
            Some((tag, false, "")) if tag.handle == "!" => false,
            Some((_, true, "int" | "float" | "bool" | "null")) => true,
            Some((tag, ..)) => {
                if asked(tag) == Tag::None {
                    self.ignore(&tag.suffix, at);
                }
                style == ScalarStyle::Plain
            }
        };
        match lines::unquoted(text).filter(|_| style == ScalarStyle::Plain && !self.is_of_compose()) {
            None => Scalar { text: text.to_string(), plain },
            Some(bare) => {
                let key = self.path();
                self.findings.warning(&key, Some(at), quotes());
                Scalar { text: bare.to_string(), plain: false }
            }
        }
    }

    /// Whether this is the compose file's: to compose typographic quotes are letters like others.
    fn is_of_compose(&self) -> bool {
        let Some(Kind::Mapping { key: Some(key), .. }) = self.open.first().map(|open| &open.kind) else { return false };
        key.key_text() == compose::KEY
    }

    /// Whether compose looks for tags here: it does not below one.
    fn tags_count(&self) -> bool {
        self.open.iter().all(|open| open.tag == Tag::None)
    }

    fn ignore(&mut self, tag: &str, at: Position) {
        let key = self.path();
        self.findings.warning(&key, Some(at), ignored_tag(tag));
    }

    /// The dotted name of the value that is being read.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |parent, open| match &open.kind {
            Kind::Sequence(items) => path::item(&parent, items.len()),
            Kind::Mapping { key: Some(key), .. } => path::below(&parent, key.key_text()),
            Kind::Mapping { .. } => parent,
        })
    }
}

/// What a tag asks for.
fn asked(tag: &Written) -> Tag {
    match format!("{}{}", tag.handle, tag.suffix).as_str() {
        "!reset" => Tag::Reset,
        "!override" => Tag::Override,
        _ => Tag::None,
    }
}

/// What `<<` brings in for a key that is there: that one stands, unless it is taken back, and a tag of either counts.
fn merge_below(own: &mut Node, merged: Node) {
    let stands = match (own.tag, merged.tag) {
        (Tag::Reset, Tag::None | Tag::Override) => &merged,
        (Tag::None, Tag::Reset | Tag::Override) => own,
        _ => return,
    };
    *own = Node { tag: Tag::Override, ..stands.without_resets() };
}

/// What is said of a tag that nobody honours.
pub fn ignored_tag(tag: &str) -> Complaint {
    let tag: String = tag.trim_start_matches('!').chars().filter(|letter| !letter.is_control()).take(40).collect();
    Complaint::new(code::TAG, format!("the tag `{tag}` means nothing here"), "Remove the tag.")
}

/// What is said of typographic quotes, wherever they are found.
pub fn quotes() -> Complaint {
    Complaint::new(
        code::QUOTES,
        "typographic quotes were taken as plain ones",
        "Use straight quotes (\") and a plain text editor.",
    )
}

/// Recursion is safe here: a finished tree is never deeper than `MAX_DEPTH`.
fn size(node: &Node) -> Size {
    let children = |sizes: &mut dyn Iterator<Item = Size>| {
        let none = Size { nodes: 1, text: 0, depth: 0 };
        let all = sizes.fold(none, |all, one| Size {
            nodes: all.nodes + one.nodes,
            text: all.text + one.text,
            depth: all.depth.max(one.depth),
        });
        Size { depth: all.depth + 1, ..all }
    };
    match &node.value {
        Value::Scalar(scalar) => Size { nodes: 1, text: scalar.text.len(), depth: 0 },
        Value::Sequence(items) => children(&mut items.iter().map(size)),
        Value::Mapping(entries) => children(&mut entries.iter().flat_map(|(key, value)| [size(key), size(value)])),
    }
}
