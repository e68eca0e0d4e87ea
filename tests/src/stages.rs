//! The stages of `cargo suite`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use image_skel::card_binary;
use serde_json::Value;

use crate::agent_run::{target_folder, workspace};
use crate::library::{self, WELCOME};
use crate::suite::{Count, ensure};
use crate::tool::{self, Doing, Failure, Outcome};
use crate::zim::ARTICLES;
use crate::{elf, http, snapshot};

/// A second boot has nothing to do; the agent's share of it, in seconds.
const SECOND_BOOT: f64 = 1.0;
const ANSWER: Duration = Duration::from_secs(20);

const GOOD: &str = "ap:\n  ssid: Village library\nhostname: village\n";
const BROKEN: &str = "ap:\n  ssid: Village library\n  channel_24: 99\nhostname: [1\n";

/// `cargo fmt --check`.
pub fn formatting() -> Outcome<Count> {
    cargo(&["fmt", "--all", "--check"])
}

/// `cargo clippy`, warnings denied.
pub fn clippy() -> Outcome<Count> {
    cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// `cargo test`, counted test by test; three at a time: engines and cards are heavy, and much of the time they are waited for.
pub fn tests() -> Outcome<Count> {
    let mut command = cargo_command(&["test", "--workspace", "--no-fail-fast", "--", "--test-threads=3"]);
    let mut child = command.stdout(Stdio::piped()).spawn().doing("cargo test")?;
    let mut count = Count { passed: 0, failed: 0 };
    let pipe = child.stdout.take().ok_or_else(|| Failure::new("cargo test has no output"))?;
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result:") {
            count.passed += number_before(result, " passed");
            count.failed += number_before(result, " failed");
        }
    }
    let status = child.wait().doing("cargo test")?;
    if !status.success() && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// The settings must build where there is no system at all.
pub fn wasm() -> Outcome<Count> {
    cargo(&["build", "--quiet", "--package", "offspot-config", "--target", "wasm32-unknown-unknown"])
}

/// The binary that is shipped: static, and how large.
pub fn card_binary() -> Outcome<Count> {
    let bytes = fs::read(shipped()?).doing("the shipped binary")?;
    let elf = elf::look(&bytes)?;
    println!("{} bytes, {}", bytes.len(), if elf.is_static { "static" } else { "not static" });
    ensure(elf.is_aarch64, "the binary is not for aarch64")?;
    ensure(elf.is_static, "the binary wants a dynamic loader")?;
    Ok(Count::ONE)
}

/// The shipped binary runs: a good file is accepted and a broken one refused.
pub fn check_under_qemu() -> Outcome<Count> {
    for (name, settings, code) in [("good", GOOD, 0), ("broken", BROKEN, 2)] {
        let file = target_folder()?.join(format!("{name}.offspot.yaml"));
        fs::write(&file, settings).doing(file.display())?;
        let mut command = tool::program("qemu-aarch64-static");
        let status = command.arg(shipped()?).arg("check").arg(&file).status().doing("qemu-aarch64-static")?;
        ensure(status.code() == Some(code), format!("check of a {name} file: {status}, expected exit code {code}"))?;
        fs::remove_file(&file).doing(file.display())?;
    }
    Ok(Count { passed: 2, failed: 0 })
}

/// Built only where it is out of date.
fn shipped() -> Outcome<PathBuf> {
    card_binary::build(&workspace(), &target_folder()?)
}

/// A fresh card becomes a served library.
pub fn first_boot() -> Outcome<Count> {
    cargo(&["demo", "--down"])?;
    snapshot::take()?.keep(&before()?)?;
    cargo(&["demo"])?;
    ensure(ran()?["exit_code"] == 0, "the agent did not end with 0")?;
    Ok(Count::ONE)
}

/// What a browser would see: the home page, and an article of the ZIM, word for word.
pub fn pages() -> Outcome<Count> {
    let address = ran()?["address"].as_str().unwrap_or_default().to_owned();
    let home = http::wait_for(&format!("{address}:80"), "/", ANSWER)?;
    ensure(home.contains(WELCOME), "the home page is not ours")?;
    let library = format!("{address}:8080");
    for article in ARTICLES {
        let paths = library::article_paths(article);
        let page = paths.iter().find_map(|path| http::get(&library, path).ok());
        let page = page.ok_or_else(|| Failure::new(format!("the library has no {}", article.path)))?;
        for line in article.text.lines() {
            ensure(page.contains(line), format!("{} lacks: {line}", article.path))?;
        }
    }
    println!("home page and {} articles, as written", ARTICLES.len());
    Ok(Count { passed: 2, failed: 0 })
}

/// Nothing to do: READY again, and quickly.
pub fn second_boot() -> Outcome<Count> {
    cargo(&["demo"])?;
    let ran = ran()?;
    let seconds = ran["processor_seconds"].as_f64().unwrap_or(f64::MAX);
    ensure(ran["exit_code"] == 0, "the agent did not end with 0")?;
    ensure(seconds < SECOND_BOOT, format!("the agent took {seconds} s of processor time with nothing to do"))?;
    pages()
}

/// `--down`, and the machine is as it was before the first boot.
pub fn nothing_left() -> Outcome<Count> {
    cargo(&["demo", "--down"])?;
    let file = before()?;
    let kept = fs::read_to_string(&file).doing(file.display())?;
    fs::remove_file(&file).doing(file.display())?;
    let differences = snapshot::take()?.differences(&kept);
    differences.iter().for_each(|line| println!("{line}"));
    ensure(differences.is_empty(), "the machine is not as it was before the demo")?;
    Ok(Count::ONE)
}

fn before() -> Outcome<PathBuf> {
    Ok(target_folder()?.join("before-the-demo.txt"))
}

fn ran() -> Outcome<Value> {
    let file = target_folder()?.join("demo/ran.json");
    let text = fs::read(&file).doing(file.display())?;
    serde_json::from_slice(&text).doing(file.display())
}

fn cargo(arguments: &[&str]) -> Outcome<Count> {
    std::io::stdout().flush().doing("standard output")?;
    let status = cargo_command(arguments).status().doing("cargo")?;
    ensure(status.success(), format!("cargo {}: {status}", arguments.join(" ")))?;
    Ok(Count::ONE)
}

fn cargo_command(arguments: &[&str]) -> std::process::Command {
    let mut command = tool::program(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(workspace()).stdin(Stdio::null());
    command
}

fn number_before(line: &str, word: &str) -> u32 {
    let before = line.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::number_before;

    #[test]
    fn results_of_cargo_test_are_read() {
        let line = " FAILED. 12 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!((number_before(line, " passed"), number_before(line, " failed")), (12, 3));
    }
}
