//! Which key a line of the file belongs to.

use crate::node::{Node, Position, Value};
use crate::path;

/// The dotted name of the innermost value that starts on or before the end of this line.
pub fn key_at(root: Option<&Node>, at: Position) -> String {
    let mut key = String::new();
    let mut node = root;
    while let Some(inside) = node {
        node = match &inside.value {
            Value::Scalar(_) => None,
            Value::Sequence(items) => before(items, at, |item| item.at).map(|index| {
                key = path::item(&key, index);
                &items[index]
            }),
            Value::Mapping(entries) => before(entries, at, |(name, _)| name.at).map(|index| {
                key = path::below(&key, entries[index].0.key_text());
                &entries[index].1
            }),
        };
    }
    key
}

/// The last of these, in the order of the file, that does not start below this line.
fn before<T>(entries: &[T], at: Position, place: impl Fn(&T) -> Position) -> Option<usize> {
    entries.partition_point(|entry| place(entry).line <= at.line).checked_sub(1)
}

/// The part of a document that stands or falls together: a top-level key, a service or an entry of a list.
pub fn part(key: &str) -> &str {
    let depth = match key.split(['.', '[']).next() {
        Some("containers") => 2,
        Some("files" | "oci_images") => 1,
        _ => 0,
    };
    let mut ends = key.match_indices(['.', '[']).map(|(at, _)| at);
    ends.nth(depth).map_or(key, |end| &key[..end])
}
