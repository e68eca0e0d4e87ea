//! `cargo fuzz-all [SECONDS] [TARGET…]`: every fuzz target of `tests/fuzz` for so long (600 s where nothing is said), two at a time.

use std::process::ExitCode;

use offspot_tests::fuzz;

fn main() -> ExitCode {
    match fuzz::run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("fuzz: {failure}");
            ExitCode::from(1)
        }
    }
}
