//! `cargo suite`: everything that must hold, in one command. `cargo suite demo`: only the stages whose heading has that word.

use std::process::ExitCode;

use offspot_tests::ahead;
use offspot_tests::suite;

fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    match if only == ahead::WORD { ahead::build() } else { suite::run(&only) } {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            println!("{failure}\n0 passed, 1 failed");
            ExitCode::from(1)
        }
    }
}
