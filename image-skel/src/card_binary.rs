//! The agent as the card gets it: static, for 64-bit ARM, the same bytes whichever folder it was built in.

use std::path::{Path, PathBuf};

use crate::packages::{self, Package, Seen};
use crate::tool::{self, Doing, Failure, Outcome};

/// What it is built for.
pub const TARGET: &str = "aarch64-unknown-linux-musl";

const NEEDED: &[Package] = &[
    packages::program("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    Package { name: "libc6-dev-arm64-cross", seen: Seen::Dpkg },
    packages::program("gcc", "gcc"),
];

/// Installs the compiler and the Rust target that are missing.
pub fn install_missing() -> Outcome<()> {
    packages::install_missing(NEEDED)?;
    if tool::exists("rustup") && !tool::run("rustup", &["target", "list", "--installed"])?.lines().any(|l| l == TARGET)
    {
        eprintln!("installing what is missing: rustup target add {TARGET}");
        tool::run("rustup", &["target", "add", TARGET])?;
    }
    Ok(())
}

/// Builds it in `workspace`, whose target folder is `target`; gives its path. Installs what is missing for that.
pub fn build(workspace: &Path, target: &Path) -> Outcome<PathBuf> {
    install_missing()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = tool::program(&cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "offspot-agent",
            "--target",
            TARGET,
            "--config",
        ])
        .arg(flags()?)
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .doing("cargo build")?;
    if !status.success() {
        return Err(Failure::new(format!("building the agent for {TARGET}: {status}")));
    }
    Ok(target.join(TARGET).join("release/offspot-agent"))
}

/// The folder of Rust's registry is in the messages of a panic: on every machine it is called the same.
fn flags() -> Outcome<String> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
    };
    let home = tool::text(&home)?.to_owned();
    Ok(format!("target.{TARGET}.rustflags=[\"--remap-path-prefix={home}=/cargo\"]"))
}
