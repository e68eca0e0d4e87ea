//! Services as they are meant: variables replaced, and each on top of the one that it extends.

use std::collections::{HashMap, HashSet};

use super::combine;
use super::place::Place;
use super::template;
use crate::node::{Node, Scalar, Value};
use crate::{Position, Severity, code, path};

/// Most values of all services that extend others, together.
const MOST_VALUES: usize = 400_000;

/// Longest chain of services that extend each other.
const LONGEST: usize = 100;

/// The services of a file, and what was made of them.
pub(super) struct Services<'a> {
    given: HashMap<&'a str, &'a Place<'a>>,
    project: String,
    made: HashMap<String, Made>,
    left: usize,
}

/// A service with all that it extends.
#[derive(Clone)]
struct Made {
    node: Node,
    chain: Vec<String>,
}

impl<'a> Services<'a> {
    pub fn new(entries: &'a [(String, Place<'a>)], project: &str) -> Self {
        let given = entries.iter().map(|(name, place)| (name.as_str(), place)).collect();
        Services { given, project: project.to_owned(), made: HashMap::new(), left: MOST_VALUES }
    }

    /// The names of the services that this one, already made, extends.
    pub fn chain(&self, name: &str) -> &[String] {
        self.made.get(name).map_or(&[], |made| &made.chain)
    }

    /// The whole of a service; what is wrong is noted at its place. None: it extends what is not there, or itself.
    pub fn make(&mut self, name: &str) -> Option<Node> {
        let place = *self.given.get(name)?;
        let mut names = vec![name.to_owned()];
        let mut seen: HashSet<String> = names.iter().cloned().collect();
        // Down to one that is made already, or extends none.
        let mut stack = vec![(place, filled(place, &self.project))];
        let mut lower: Option<Made> = None;
        while let Some((above, node)) = stack.last() {
            let (above, at) = (*above, place.node.at);
            let Some(base) = base(above, node, place)? else { break };
            let Some(next) = self.given.get(base.as_str()) else {
                return refused(place, at, &format!("it extends {base}, and there is no such service"));
            };
            if !seen.insert(base.clone()) || names.len() > LONGEST {
                return refused(place, at, &format!("it extends {base}, which leads back to it or on without end"));
            }
            if let Some(made) = self.made.get(&base) {
                names.push(base);
                lower = Some(made.clone());
                break;
            }
            let below = filled(next, &self.project);
            names.push(base);
            stack.push((next, below));
        }
        self.pile(place, stack, names, lower)
    }

    /// Puts the services of the stack, the last one first, on each other.
    fn pile(
        &mut self,
        place: &Place<'_>,
        mut stack: Vec<(&Place<'_>, Node)>,
        names: Vec<String>,
        lower: Option<Made>,
    ) -> Option<Node> {
        let mut whole = match lower {
            Some(made) => made,
            None => Made { node: stack.pop()?.1, chain: Vec::new() },
        };
        let mut at = names.len() - 1;
        while let Some((_, upper)) = stack.pop() {
            match combine::service(&whole.node, &upper) {
                Ok(node) => whole.node = without_extends(node),
                Err(conflict) => return refused(place, conflict.at, &conflict.message),
            }
            whole.chain.push(names[at].clone());
            at -= 1;
            self.left = match self.left.checked_sub(size(&whole.node)) {
                Some(left) => left,
                None => return refused(place, place.node.at, "what services extend makes the file too large"),
            };
        }
        self.made.insert(names[0].clone(), whole.clone());
        Some(whole.node)
    }
}

fn refused<T>(place: &Place<'_>, at: Position, message: &str) -> Option<T> {
    let advice = "correct extends, or write the keys into the service itself";
    let node = Node { at, ..Node::word("") };
    place.under("extends", &node).note(code::COMPOSE_VALUE, Severity::Error, message, advice);
    None
}

/// What the service at `place` extends, or nothing; none of both if it cannot be told. Noted for `asking`.
fn base(place: &Place<'_>, node: &Node, asking: &Place<'_>) -> Option<Option<String>> {
    let Some((key, extends)) = node.entry("extends") else {
        return Some(None);
    };
    let asked = Place { key: path::below(&asking.key, "extends"), node: extends, notes: place.notes };
    let service = match &extends.value {
        Value::Scalar(_) => extends.as_text(),
        Value::Mapping(_) => {
            if extends.get("file").is_some_and(|file| !file.is_null()) {
                asked.refuse_known("a service of another file cannot be extended: there is but one on the box");
                return None;
            }
            extends.get("service").and_then(Node::as_text)
        }
        Value::Sequence(_) => None,
    };
    match service.filter(|name| !name.is_empty()) {
        Some(name) => Some(Some(name.to_owned())),
        None => refused(asking, key.at, "extends must name a service"),
    }
}

fn without_extends(mut node: Node) -> Node {
    if let Value::Mapping(entries) = &mut node.value {
        entries.retain(|(key, _)| key.key_text() != "extends");
    }
    node
}

/// How many values; recursion is safe, for no document is deep.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 1,
        Value::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Mapping(entries) => 1 + entries.iter().map(|(_, value)| 1 + size(value)).sum::<usize>(),
    }
}

/// A value with its variables replaced, as compose does it where nothing is set but the name of the project. Keys stay as they are.
pub(super) fn filled(place: &Place<'_>, project: &str) -> Node {
    let value = match &place.node.value {
        Value::Scalar(scalar) if scalar.text.contains('$') => Value::Scalar(fill(place, scalar, project)),
        Value::Scalar(scalar) => Value::Scalar(scalar.clone()),
        Value::Sequence(_) => Value::Sequence(place.items().iter().map(|item| filled(item, project)).collect()),
        Value::Mapping(entries) => {
            let one = |(key, node): &(Node, Node)| (key.clone(), filled(&place.under(key.key_text(), node), project));
            Value::Mapping(entries.iter().map(one).collect())
        }
    };
    Node { value, at: place.node.at }
}

fn fill(place: &Place<'_>, scalar: &Scalar, project: &str) -> Scalar {
    let lookup = |name: &str| (name == "COMPOSE_PROJECT_NAME").then(|| project.to_owned());
    match template::fill(&scalar.text, &lookup) {
        Ok(filled) => {
            for name in filled.unset.iter().take(1) {
                let message = format!("the variable {name} is not set on a box, and is empty");
                place.warn(code::COMPOSE_VARIABLE, message, "write its value, or $$ for a dollar sign");
            }
            let plain = scalar.plain && filled.text == scalar.text;
            Scalar { text: filled.text, plain }
        }
        Err(invalid) => {
            let message = format!("{}, {} characters into the text", invalid.reason, invalid.at);
            place.note(code::COMPOSE_VALUE, Severity::Error, message, "write $$ for a dollar sign");
            Scalar { text: scalar.text.clone(), plain: false }
        }
    }
}
