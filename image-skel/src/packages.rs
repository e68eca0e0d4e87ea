//! Debian packages that the build and the laboratory need: only what is missing is installed, and it is said first.

use std::process::Stdio;

use nix::unistd::Uid;

use crate::tool::{self, Doing, Failure, Outcome};

/// A package, and how to see that it is there.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Debian's name of it.
    pub name: &'static str,
    /// How to see it.
    pub seen: Seen,
}

/// How to see that a package is there.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// By a program in the search path, whoever installed it.
    Program(&'static str),
    /// By a Python module that can be imported.
    Module(&'static str),
    /// By dpkg alone, because another package has a program of that name.
    Dpkg,
}

/// A package that is seen by its program.
pub const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, seen: Seen::Program(program) }
}

/// Installs those of `wanted` that are missing. Says what it does on standard error.
pub fn install_missing(wanted: &[Package]) -> Outcome<()> {
    let missing: Vec<&str> = wanted.iter().filter(|package| !is_there(package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        return Err(Failure::new(format!(
            "missing on this machine: as root, run `apt-get install --no-install-recommends {}`",
            missing.join(" ")
        )));
    }
    eprintln!("installing what is missing: apt-get install -y --no-install-recommends {}", missing.join(" "));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())
}

fn is_there(package: &Package) -> bool {
    match package.seen {
        Seen::Program(name) => tool::exists(name),
        Seen::Module(name) => tool::succeeds("/usr/bin/python3", &["-c", &format!("import {name}")]),
        Seen::Dpkg => tool::run("dpkg-query", &["-W", "-f=${db:Status-Status}", package.name])
            .is_ok_and(|status| status == "installed"),
    }
}

/// `SYSTEMD_OFFLINE` keeps the packages' services from being started: the laboratory brings engines of its own.
fn apt(arguments: &[&str]) -> Outcome<()> {
    let status = tool::program("apt-get")
        .args(["-q"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("SYSTEMD_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .doing("apt-get")?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("apt-get {}: {status}", arguments.join(" "))))
}
