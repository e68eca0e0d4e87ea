//! `cargo demo`: from a fresh clone to a served library.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use offspot_tests::activator::{self, Activation};
use offspot_tests::demo;
use offspot_tests::lab_engine::ACTIVATOR;
use offspot_tests::tool::{self, Doing, Failure, Outcome};

const HELP: &str = "\
cargo demo              make a library on a card, set it up, serve it; again: a second boot
cargo demo --down       take everything away again
cargo demo --agent BIN  use this agent instead of building one";

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::from(1)
        }
    }
}

fn run() -> Outcome<i32> {
    let (mut down, mut agent) = (false, None);
    let mut arguments = tool::arguments();
    while let Some(argument) = arguments.next().doing("arguments")? {
        match argument {
            Value(word) if word == ACTIVATOR => return activate(&mut arguments),
            Long("down") => down = true,
            Long("agent") => agent = Some(PathBuf::from(arguments.value().doing("--agent")?)),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(0);
            }
            other => return Err(Failure::new(other.unexpected().to_string())),
        }
    }
    if down { demo::down() } else { demo::up(agent) }
}

fn activate(arguments: &mut lexopt::Parser) -> Outcome<i32> {
    let mut next = || arguments.value().doing(ACTIVATOR);
    let activation = Activation {
        socket: next()?.into(),
        root: next()?.into(),
        took: next()?.into(),
        group: next()?.to_string_lossy().into_owned(),
    };
    activator::run(&activation).map(|()| 0)
}
