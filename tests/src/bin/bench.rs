//! `cargo card-bench`: what the agent costs.

use std::process::ExitCode;

fn main() -> ExitCode {
    match offspot_tests::bench::run() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::from(1)
        }
    }
}
