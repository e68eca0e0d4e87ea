//! Services as they are meant: variables replaced, and each on top of the one that it extends.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::combine;
use super::place::Place;
use super::{tags, template};
use crate::node::{Node, Scalar, Value};
use crate::{Finding, Position, Severity, code, path};

/// Most values of all services that extend others, together.
const MOST_VALUES: usize = 400_000;

/// Longest chain of services that extend each other.
const LONGEST: usize = 100;

/// The services of a file, and what was made of them.
pub(super) struct Services<'a> {
    given: HashMap<&'a str, &'a Place<'a>>,
    project: String,
    made: HashMap<String, Rc<Made>>,
    /// What was found while the variables of each were replaced.
    noted: HashMap<String, Vec<Finding>>,
    left: usize,
}

/// A service with all that it extends.
pub(super) struct Made {
    pub node: Node,
    /// The names of those that it extends.
    pub chain: Vec<String>,
}

impl<'a> Services<'a> {
    pub fn new(entries: &'a [(String, Place<'a>)], project: &str) -> Self {
        let given = entries.iter().map(|(name, place)| (name.as_str(), place)).collect();
        Services { given, project: project.to_owned(), made: HashMap::new(), noted: HashMap::new(), left: MOST_VALUES }
    }

    /// The names of the services that this one, already made, extends.
    pub fn chain(&self, name: &str) -> &[String] {
        self.made.get(name).map_or(&[], |made| &made.chain)
    }

    /// What was found in the service itself, whoever asked for it first; given once.
    pub fn noted(&mut self, name: &str) -> Vec<Finding> {
        self.noted.remove(name).unwrap_or_default()
    }

    fn filled(&mut self, name: &str, place: &Place<'_>) -> Node {
        let before = place.notes.take();
        let node = filled(&place.instead(&place.node.settled()), &self.project);
        self.noted.insert(name.to_owned(), place.notes.take());
        place.notes.put(before);
        node
    }

    /// The whole of a service; what is wrong is noted at its place, but for what [`Services::noted`] gives. None: it extends what is not
    /// there, or itself.
    pub fn make(&mut self, name: &str) -> Option<Rc<Made>> {
        let place = *self.given.get(name)?;
        if let Some(made) = self.made.get(name) {
            return Some(Rc::clone(made));
        }
        let mut seen: HashSet<String> = HashSet::from([name.to_owned()]);
        // Down to one that is made already, or extends none.
        let mut stack = vec![(name.to_owned(), self.filled(name, place))];
        let mut lower = None;
        while let Some((above, node)) = stack.last() {
            let at = place.node.at;
            let given = *self.given.get(above.as_str())?;
            let Some(base) = base(given, node, place)? else { break };
            let Some(next) = self.given.get(base.as_str()).copied() else {
                return refused(place, at, &format!("it extends {base}, and there is no such service"));
            };
            if !seen.insert(base.clone()) || stack.len() > LONGEST {
                return refused(place, at, &format!("it extends {base}, which leads back to it or on without end"));
            }
            lower = self.made.get(&base).map(|made| (base.clone(), Rc::clone(made)));
            if lower.is_some() {
                break;
            }
            let node = self.filled(&base, next);
            stack.push((base, node));
        }
        self.pile(place, stack, lower)
    }

    /// Puts the services of the stack, the last one first, on each other and on the lower one.
    fn pile(
        &mut self,
        place: &Place<'_>,
        mut stack: Vec<(String, Node)>,
        lower: Option<(String, Rc<Made>)>,
    ) -> Option<Rc<Made>> {
        let (mut below, mut whole) = match lower {
            Some(lower) => lower,
            None => {
                let (name, node) = stack.pop()?;
                let made = Rc::new(Made { node, chain: Vec::new() });
                self.made.insert(name.clone(), Rc::clone(&made));
                (name, made)
            }
        };
        while let Some((name, upper)) = stack.pop() {
            let size = size(&whole.node) + size(&upper);
            self.left = match self.left.checked_sub(size) {
                Some(left) => left,
                None => return refused(place, place.node.at, "what services extend makes the file too large"),
            };
            let left = match self.given.get(name.as_str()) {
                Some(given) => &tags::left(&whole.node, given.node),
                None => &whole.node,
            };
            let node = match combine::service(left, &upper) {
                Ok(node) => without_extends(node),
                Err(conflict) => return refused(place, conflict.at, &conflict.message),
            };
            let mut chain = whole.chain.clone();
            chain.push(std::mem::replace(&mut below, name.clone()));
            whole = Rc::new(Made { node, chain });
            self.made.insert(name, Rc::clone(&whole));
        }
        Some(whole)
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
    Node::at(value, place.node.at)
}

fn fill(place: &Place<'_>, scalar: &Scalar, project: &str) -> Scalar {
    let lookup = |name: &str| (name == "COMPOSE_PROJECT_NAME").then(|| project.to_owned());
    match template::fill(&scalar.text, &lookup) {
        Ok(filled) => {
            if !filled.unset.is_empty() {
                let names = filled.unset.join(", ");
                let message = format!("nothing sets {names} on a box: it is empty");
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
