//! Debian packages that the laboratory needs: only what is missing is installed, and it is said first.

use std::process::Stdio;

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

const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, seen: Seen::Program(program) }
}

/// What `demo` needs.
pub const DEMO: &[Package] = &[
    program("docker.io", "dockerd"),
    program("iptables", "iptables"),
    program("iproute2", "ip"),
    program("kiwix-tools", "kiwix-serve"),
    program("zim-tools", "zimwriterfs"),
    Package { name: "busybox-static", seen: Seen::Dpkg },
    program("dosfstools", "mkfs.vfat"),
    program("mtools", "mcopy"),
    program("e2fsprogs", "mke2fs"),
    program("fdisk", "sfdisk"),
    program("util-linux", "unshare"),
    program("mount", "losetup"),
    program("libc-bin", "ldd"),
];

/// What `suite` needs beside [`DEMO`].
pub const SUITE: &[Package] = &[
    program("docker-compose", "docker-compose"),
    program("skopeo", "skopeo"),
    program("strace", "strace"),
    program("gdisk", "sgdisk"),
    program("qemu-user-static", "qemu-aarch64-static"),
    program("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    Package { name: "libc6-dev-arm64-cross", seen: Seen::Dpkg },
    program("gcc", "gcc"),
    program("xz-utils", "xz"),
    program("zstd", "zstd"),
    program("bzip2", "bzip2"),
    program("python3", "python3"),
    Package { name: "python3-yaml", seen: Seen::Module("yaml") },
    Package { name: "python3-jsonschema", seen: Seen::Module("jsonschema") },
];

/// What `bench` needs beside [`DEMO`] and [`SUITE`].
pub const BENCH: &[Package] = &[program("valgrind", "valgrind"), program("strace", "strace")];

/// Installs those of `wanted` that are missing. Says what it does on standard error.
pub fn install_missing(wanted: &[Package]) -> Outcome<()> {
    let missing: Vec<&str> = wanted.iter().filter(|package| !is_there(package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
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
