//! The commands that change nothing: `check`, `plan`, `status`, `schema`. Each prints and gives an exit code.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use offspot_config::{Finding, Node, Severity};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::host::Host;
use crate::report::{json as sealed, live};

/// Prints; a reader that went away (`| head`) is no error.
pub fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Every problem of a file at once: 0 or 2.
pub fn check(file: &Path, as_json: bool) -> u8 {
    let name = file.display().to_string();
    let bytes = match crate::settings::bounded(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = format!("reading {name}: {error}");
            if as_json {
                say(&format!("{:#}\n", json!({ "file": name, "ok": false, "error": why, "findings": [] })));
            } else {
                eprintln!("{why}");
            }
            return 2;
        }
    };
    let findings = match is_recipe(file, &bytes) {
        true => offspot_config::check_image(&bytes).findings,
        false => offspot_config::check(&bytes).findings,
    };
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    say(&if as_json { listing(&name, &findings, refused) } else { prose(&name, &findings) });
    if refused { 2 } else { 0 }
}

/// An image.yaml, by its name or by the keys that only it has.
fn is_recipe(file: &Path, bytes: &[u8]) -> bool {
    let named = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with("image.yaml"));
    let has = |root: &Node| root.get("base").is_some() || root.get("output").is_some();
    named || offspot_config::yaml::read(bytes).root.as_ref().is_some_and(has)
}

fn listing(name: &str, findings: &[Finding], refused: bool) -> String {
    format!("{:#}\n", json!({ "file": name, "ok": !refused, "findings": findings }))
}

fn prose(name: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("{name}: nothing wrong\n");
    }
    offspot_config::render(findings, name)
}

/// The JSON Schema of `offspot.yaml`.
pub fn schema() -> u8 {
    say(&format!("{:#}\n", offspot_config::schema()));
    0
}

/// What a run would do: 0, or the exit code of what stands in its way.
pub async fn plan(host: &Host, arguments: &Arguments) -> u8 {
    let (host, named, replace) = (host.clone(), arguments.card.clone(), arguments.replace.clone());
    match crate::ground::blocking(move || crate::look::take(&host, named.as_deref(), &replace)).await {
        Ok(look) => {
            say(&if arguments.json { format!("{:#}\n", look.to_json()) } else { look.to_text() });
            look.exit_code()
        }
        Err(problem) => {
            eprintln!("{problem}");
            problem.facts().area.exit_code()
        }
    }
}

/// How the running or last boot went: its exit code.
pub async fn status(host: &Host, arguments: &Arguments) -> u8 {
    let mut said = String::new();
    loop {
        let Some(status) = newest(host) else {
            eprintln!("there is no status yet: neither in {} nor on the boot partition", host.run().display());
            return 1;
        };
        let dead = status["verdict"] == "WORKING" && !crate::lock::is_held(&host.run());
        let text = if arguments.json { format!("{status}\n") } else { lines(&status) };
        if text != said {
            say(&text);
            said = text;
        }
        if dead {
            eprintln!("the run that wrote this has died; the next one goes on from there");
            return 1;
        }
        if !arguments.watch || status["verdict"] != "WORKING" {
            return status["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(0);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The live status, else the newest whole slot on the boot partition.
fn newest(host: &Host) -> Option<Value> {
    let read = |path: &Path| sealed::unseal(std::str::from_utf8(&crate::settings::bounded(path).ok()?).ok()?);
    if let Some(status) = read(&live::path(&host.run())) {
        return Some(status);
    }
    let slots = crate::report::files::SLOTS.map(|name| read(&host.boot().join(name)));
    slots.into_iter().flatten().max_by_key(|slot| slot["seq"].as_u64())
}

fn lines(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}  step {}", text(&status["verdict"]), text(&status["phase"]))];
    if let (Some(done), Some(total @ 1..)) = (status["done"].as_u64(), status["total"].as_u64()) {
        lines[0] += &format!(", {} of {}", crate::plan::size(done), crate::plan::size(total));
    }
    for problem in status["problems"].as_array().into_iter().flatten() {
        lines.push(format!("  {}: {}", text(&problem["code"]), text(&problem["sentence"])));
        lines.push(format!("    what to do: {}", text(&problem["advice"])));
    }
    for item in status["items"].as_array().into_iter().flatten() {
        let fields = ["kind", "name", "state", "detail"].map(|field| text(&item[field]));
        lines.push(format!("  {} {}: {} {}", fields[0], fields[1], fields[2], fields[3]).trim_end().to_owned());
    }
    for note in status["notes"].as_array().into_iter().flatten() {
        lines.push(format!("  note: {}", text(note)));
    }
    lines.join("\n") + "\n"
}
