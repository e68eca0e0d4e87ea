//! Writing a lock: one way only, so that a comparison shows what changed and nothing else.

use std::fmt::Write;

use super::read::KEPT;
use super::{Lock, Locked, timestamp};

impl Lock {
    /// The whole file. The same lock always gives the same bytes.
    pub fn print(&self) -> String {
        let mut packages: Vec<&Locked> = self.packages.iter().collect();
        packages.sort_by(|one, other| one.package.cmp(&other.package));
        let mut text = String::new();
        for (index, locked) in packages.into_iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            stanza(&mut text, locked);
            if index == 0 {
                let dates = self.dates.iter().map(|(suite, date)| format!("{suite}={}", timestamp(*date)));
                field(&mut text, "X-Suite-Dates", &dates.collect::<Vec<_>>().join(" "));
            }
        }
        text
    }
}

fn stanza(text: &mut String, locked: &Locked) {
    field(text, "Package", &locked.package);
    field(text, "Version", &locked.version);
    field(text, "Architecture", &locked.architecture);
    let others = locked.fields.keys().map(String::as_str).filter(|name| !KEPT.contains(name));
    for name in KEPT.into_iter().chain(others) {
        if let Some(value) = locked.fields.get(name) {
            field(text, name, value);
        }
    }
    field(text, "Filename", &locked.filename);
    field(text, "Size", &locked.size.to_string());
    field(text, "SHA256", &locked.sha256);
    field(text, "X-Suite", &locked.suite);
    field(text, "X-Configure-Order", &locked.order.to_string());
}

fn field(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name}: {value}");
}
