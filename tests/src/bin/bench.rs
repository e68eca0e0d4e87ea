//! `cargo bench-card`: what the agent costs, beside what others use.

use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use offspot_tests::bench::{self, options};
use offspot_tests::tool::{Doing, Outcome};

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::from(1)
        }
    }
}

fn run() -> Outcome<i32> {
    let options = options::Options::read()?;
    if options.help {
        println!("{}", options::HELP);
        return Ok(0);
    }
    own_mounts()?;
    bench::run(&options)
}

/// A mount namespace of its own: no engine that someone else starts meanwhile holds our card, and whatever ends us takes our mounts along.
fn own_mounts() -> Outcome<()> {
    unshare(CloneFlags::CLONE_NEWNS).doing("a mount namespace (this needs root)")?;
    let (none, flags) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    mount(none, "/", none, flags, none).doing("keeping mounts apart")
}
