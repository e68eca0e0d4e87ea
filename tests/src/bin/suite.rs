//! `cargo suite`: everything that must hold, in one command. `cargo suite demo`: only the stages whose heading has that word.

use std::process::ExitCode;

fn main() -> ExitCode {
    match offspot_tests::suite::run(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            println!("{failure}\n0 passed, 1 failed");
            ExitCode::from(1)
        }
    }
}
