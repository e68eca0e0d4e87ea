//! Dotted names of places in a document: `ap.ssid`, `files[2].to`, `containers.services."a b"`.

/// Longest part of a key that is repeated in messages.
const KEY_CHARS: usize = 40;

/// The path of `key` below `parent`.
pub fn below(parent: &str, key: &str) -> String {
    let name =
        if is_simple(key) { key.to_string() } else { format!("{:?}", key.chars().take(KEY_CHARS).collect::<String>()) };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

/// The path of item `index` of the list at `parent`.
pub fn item(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// Whether `path` is `root` or lies below it.
pub fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn is_simple(key: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '/' | '<');
    !key.is_empty() && key.chars().count() <= KEY_CHARS && key.chars().all(plain)
}
