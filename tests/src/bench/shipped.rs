//! The agent as it is shipped, but for this machine: static, with the profile and the flags of the card's target.

use std::path::{Path, PathBuf};

use crate::tool::{self, Doing, Failure, Outcome};

/// Builds it in `workspace`, whose target folder is `target`; gives its path. Installs the Rust target that is missing.
pub fn build(workspace: &Path, target: &Path) -> Outcome<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    if tool::exists("rustup") && !tool::run("rustup", &["target", "list", "--installed"])?.lines().any(|l| l == triple)
    {
        eprintln!("installing what is missing: rustup target add {triple}");
        tool::run("rustup", &["target", "add", &triple])?;
    }
    eprintln!("building the agent as it is shipped, for this machine");
    let name = triple.replace('-', "_");
    let flags = r#"rustflags=["-C","force-unwind-tables=no","-C","link-arg=--icf=all"]"#;
    let status = cargo()
        .args(["build", "--quiet", "--release", "--locked", "--package", "offspot-agent", "--target", &triple])
        .args(["--config", &format!("target.{triple}.{flags}")])
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target)
        // Symbols are not loaded: they cost nothing in what is measured, and a profile can name its functions.
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), "rust-lld")
        .env(format!("CC_{name}"), "gcc")
        .env(format!("CFLAGS_{name}"), "-U_FORTIFY_SOURCE -fno-asynchronous-unwind-tables -fno-unwind-tables")
        .status()
        .doing("cargo build")?;
    if !status.success() {
        return Err(Failure::new(format!("building the agent for {triple}: {status}")));
    }
    Ok(target.join(triple).join("release/offspot-agent"))
}

/// Builds the program that starts the engine with the first connection: `demo`, beside this one.
pub fn activator(workspace: &Path) -> Outcome<()> {
    let arguments = ["build", "--quiet", "--package", "offspot-tests", "--bin", "demo"];
    let status = cargo().args(arguments).current_dir(workspace).status().doing("cargo build")?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("building demo: {status}"))) }
}

fn cargo() -> std::process::Command {
    tool::program(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
}
