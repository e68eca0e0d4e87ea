//! Running the field's own programs, and saying plainly what went wrong when one fails.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::io::Write;
use std::process::{Command, Stdio};

/// Why something of the laboratory did not work, in words.
#[derive(Debug)]
pub struct Failure(String);

/// What most functions of the laboratory give back.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure that says `why`.
    pub fn new(why: impl Into<String>) -> Failure {
        Failure(why.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Adds to an error what was being done.
pub trait Doing<T> {
    /// `what` reads after "while": `writing the card`.
    fn doing(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

/// What this program was called with. A `--` in front is passed over: our cargo aliases end with one, and many type another.
pub fn arguments() -> lexopt::Parser {
    let mut words = std::env::args_os().skip(1).peekable();
    words.next_if(|word| word == "--");
    lexopt::Parser::from_args(words)
}

/// A program of the host, found in the usual folders even where `su` gave root a user's search path.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8");
    command
}

/// Whether a program of that name is in the search path.
pub fn exists(name: &str) -> bool {
    search_path().split(':').any(|folder| std::path::Path::new(folder).join(name).is_file())
}

fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Runs a program to its end and gives what it printed; its exit code must be 0.
pub fn run(name: &str, arguments: &[&str]) -> Outcome<String> {
    finish(program(name).args(arguments).stdin(Stdio::null()), b"")
}

/// Like [`run`], with something to read on its standard input.
pub fn run_with_input(name: &str, arguments: &[&str], input: &[u8]) -> Outcome<String> {
    finish(program(name).args(arguments).stdin(Stdio::piped()), input)
}

/// Whether a program ends with 0; what it prints is dropped.
pub fn succeeds(name: &str, arguments: &[&str]) -> bool {
    run(name, arguments).is_ok()
}

fn finish(command: &mut Command, input: &[u8]) -> Outcome<String> {
    let shown = show(command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().doing(&shown)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input).doing(&shown)?;
    }
    let output = child.wait_with_output().doing(&shown)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure(format!("{shown}: {}: {}", output.status, said.trim())))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A path as an argument; the laboratory's own folders are always UTF-8.
pub fn text(path: &std::path::Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| Failure(format!("{} is not UTF-8", path.display())))
}
