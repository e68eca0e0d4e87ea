//! Two snapshots field by field, against the table.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::snapshot::Snapshot;
use super::table::{Entry, Excuse, TABLE};

/// Most of a value that is told, in characters.
const MOST: usize = 600;

/// A field that is not the same.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Of which container, network or volume: its name.
    pub object: String,
    /// Kind and keys, from the outside in; the items of a list as `[]`.
    pub path: Vec<String>,
    /// With docker-compose; none: it is not there.
    pub theirs: Option<Value>,
    /// With us.
    pub ours: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(Value::Object(_)) if self.path.len() == 1 => "has it".to_owned(),
            Some(value) => value.to_string().chars().take(MOST).collect(),
        };
        let path = self.path.join("/");
        write!(f, "{path} of {}: compose {}, ours {}", self.object, said(&self.theirs), said(&self.ours))
    }
}

/// The table, and which of its entries were needed.
#[derive(Debug)]
pub struct Judge {
    table: &'static [Entry],
    needed: Vec<AtomicBool>,
}

impl Default for Judge {
    fn default() -> Self {
        Judge { table: TABLE, needed: TABLE.iter().map(|_| AtomicBool::new(false)).collect() }
    }
}

impl Judge {
    /// Every difference of two snapshots that the table does not know.
    pub fn compare(&self, case: &str, theirs: &Snapshot, ours: &Snapshot) -> Vec<Difference> {
        let mut found = Vec::new();
        let keys: BTreeSet<_> = theirs.objects.keys().chain(ours.objects.keys()).collect();
        for key in keys {
            let mut walk =
                Walk { judge: self, case, object: &key.1, path: vec![key.0.word().to_owned()], found: &mut found };
            walk.at(theirs.objects.get(key), ours.objects.get(key));
        }
        found
    }

    /// A difference that is no field of an object, unless the table knows it.
    pub fn other(&self, case: &str, path: &str, object: &str, theirs: Value, ours: Value) -> Option<Difference> {
        let mut found = Vec::new();
        let path = path.split('/').map(str::to_owned).collect();
        Walk { judge: self, case, object, path, found: &mut found }.at(Some(&theirs), Some(&ours));
        found.pop()
    }

    /// Entries of the table that nothing needed.
    pub fn needless(&self) -> Vec<&'static Entry> {
        let all = self.table.iter().zip(&self.needed);
        all.filter(|(_, needed)| !needed.load(Ordering::Relaxed)).map(|(entry, _)| entry).collect()
    }

    /// The entries for a path.
    fn entries(&self, case: &str, path: &[String]) -> impl Iterator<Item = (usize, &'static Entry)> {
        let all = self.table.iter().enumerate();
        all.filter(move |(_, entry)| entry.is_for(case, path))
    }

    fn need(&self, at: usize) {
        self.needed[at].store(true, Ordering::Relaxed);
    }
}

struct Walk<'a> {
    judge: &'a Judge,
    case: &'a str,
    object: &'a str,
    path: Vec<String>,
    found: &'a mut Vec<Difference>,
}

impl Walk<'_> {
    fn at(&mut self, theirs: Option<&Value>, ours: Option<&Value>) {
        if self.is_excused(theirs, ours) {
            return;
        }
        match (theirs, ours) {
            (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
                let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
                for key in keys {
                    self.below(key, theirs.get(key), ours.get(key));
                }
            }
            (Some(Value::Array(theirs)), Some(Value::Array(ours)))
                if theirs.len() == ours.len() && theirs.iter().chain(ours).all(Value::is_object) =>
            {
                let (theirs, ours) = self.in_order(theirs, ours);
                for (theirs, ours) in theirs.iter().zip(&ours) {
                    self.below("[]", Some(theirs), Some(ours));
                }
            }
            _ if theirs == ours => {}
            _ => self.found.push(Difference {
                object: self.object.to_owned(),
                path: self.path.clone(),
                theirs: theirs.cloned(),
                ours: ours.cloned(),
            }),
        }
    }

    fn below(&mut self, key: &str, theirs: Option<&Value>, ours: Option<&Value>) {
        self.path.push(key.to_owned());
        self.at(theirs, ours);
        self.path.pop();
    }

    /// What is left out is needed where it is there, an order that says nothing where there are several: by chance they may be the same.
    fn is_excused(&self, theirs: Option<&Value>, ours: Option<&Value>) -> bool {
        let excuses = |(at, entry): (usize, &Entry)| {
            let (needed, excused) = match entry.excuse {
                Excuse::LeftOut => (true, true),
                Excuse::Unordered => unordered(theirs, ours),
                Excuse::Differs(first, second) => {
                    let known = theirs != ours && is(first, theirs) && is(second, ours);
                    (known, known)
                }
            };
            if needed {
                self.judge.need(at);
            }
            excused
        };
        // All of them: each is to be seen as needed.
        self.judge.entries(self.case, &self.path).map(excuses).fold(false, |all, one| all | one)
    }

    /// Sorted where the order says nothing.
    fn in_order(&self, theirs: &[Value], ours: &[Value]) -> (Vec<Value>, Vec<Value>) {
        let mut entries = self.judge.entries(self.case, &self.path);
        match entries.any(|(_, entry)| entry.excuse == Excuse::Unordered) {
            true => (sorted(theirs), sorted(ours)),
            false => (theirs.to_vec(), ours.to_vec()),
        }
    }
}

/// Whether there are several, and whether they are the same but for their order.
fn unordered(theirs: Option<&Value>, ours: Option<&Value>) -> (bool, bool) {
    match (theirs, ours) {
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => (theirs.len() > 1, sorted(theirs) == sorted(ours)),
        (Some(Value::String(theirs)), Some(Value::String(ours))) => {
            (theirs.contains(','), words(theirs) == words(ours))
        }
        _ => (false, false),
    }
}

fn sorted(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    // Where they go names them best: another field may differ.
    let name = |item: &Value| {
        let names = ["Target", "Destination", "Path", "path", "Name"];
        names.iter().find_map(|key| item.get(key)).unwrap_or(item).to_string()
    };
    list.sort_by_key(name);
    list
}

fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split(',').collect();
    words.sort_unstable();
    words
}

/// Whether a value is the one that is meant: JSON, `*` for any, nothing for none.
fn is(meant: &str, value: Option<&Value>) -> bool {
    match meant {
        "*" => true,
        "" => value.is_none(),
        json => value == Some(&serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))),
    }
}
