//! `cross-check`: does `cross build` work for the target that is shipped, with this workspace's Dockerfiles, apt and network included?
//! In place of a registry's `debian:bookworm-slim` an image made by mmdebstrap is used; everything else is as on a machine with Docker.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use offspot_tests::elf;
use offspot_tests::packages::{Package, install_missing, program};
use offspot_tests::tool::{self, Doing, Failure, Outcome, text};

const HELP: &str = "\
cross-check        build the agent with cross for aarch64-unknown-linux-musl, and look at the result
cross-check --gnu  the same for aarch64-unknown-linux-gnu";
const PACKAGES: &[Package] = &[
    program("docker.io", "dockerd"),
    program("mmdebstrap", "mmdebstrap"),
    program("qemu-user-static", "qemu-aarch64-static"),
    program("util-linux", "unshare"),
];
const CROSS: &str = "0.2.5";
const BASE: &str = "debian:bookworm-slim";
const PATIENCE: Duration = Duration::from_secs(30);
/// The engine has no bridge, so that the host's firewall stays as it is: its containers use the host's network.
const DOCKER: &str = "#!/bin/sh
verb=$1
shift
case $verb in
build | run) exec docker \"$verb\" --network host \"$@\" ;;
*) exec docker \"$verb\" \"$@\" ;;
esac
";

fn main() -> ExitCode {
    let target = match std::env::args().nth(1).as_deref() {
        None => "aarch64-unknown-linux-musl",
        Some("--gnu") => "aarch64-unknown-linux-gnu",
        Some(_) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
    };
    match check(target) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("cross-check: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn check(target: &str) -> Outcome<String> {
    install_missing(PACKAGES)?;
    let folder = std::path::absolute("target/cross-check").doing("target/cross-check")?;
    fs::create_dir_all(&folder).doing(folder.display())?;
    install_cross(&folder)?;
    let compiler = tool::run("rustc", &["-vV"])?;
    let toolchain = pin_toolchain(&folder, &compiler)?;
    let engine = Engine::start(&folder)?;
    base_image(&engine)?;
    let begun = Instant::now();
    build(&folder, &engine, &toolchain, target)?;
    let seconds = begun.elapsed().as_secs();
    if tool::run("rustc", &["-vV"])? != compiler {
        return Err(Failure::new("the host's Rust toolchain is another one than before"));
    }
    look(&folder, target).map(|said| format!("{said}, in {seconds} s"))
}

fn install_cross(folder: &Path) -> Outcome<()> {
    if folder.join("bin/cross").exists() {
        return Ok(());
    }
    let root = text(folder)?;
    tool::run("cargo", &["install", "--locked", "--root", root, "--version", CROSS, "cross"]).map(drop)
}

/// A copy of the toolchain that this was built with, in a `RUSTUP_HOME` of its own; gives its name.
///
/// cross reinstalls a toolchain that it does not find in `rustup toolchain list`, and there the default one has a mark behind its name
/// that cross 0.2.5 cannot read (cross-rs/cross#1678). So the default is a second name of the same toolchain.
fn pin_toolchain(folder: &Path, compiler: &str) -> Outcome<String> {
    let field = |name: &str| {
        let value = compiler.lines().find_map(|line| line.strip_prefix(name));
        value.ok_or_else(|| Failure::new(format!("rustc -vV says no `{name}`")))
    };
    let (release, host) = (field("release: ")?, field("host: ")?);
    let home = folder.join("rustup");
    let (pinned, name) = (home.join("toolchains").join(format!("{release}-{host}")), home.join("toolchains/host"));
    if !pinned.exists() {
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("toolchains")).doing(home.display())?;
        let from = tool::run("rustc", &["--print", "sysroot"])?;
        tool::run("cp", &["-a", from.trim(), text(&pinned)?])?;
        std::os::unix::fs::symlink(&pinned, &name).doing(name.display())?;
    }
    let settings =
        "version = \"12\"\ndefault_toolchain = \"host\"\nprofile = \"minimal\"\nauto_self_update = \"disable\"\n";
    fs::write(home.join("settings.toml"), settings).doing(home.display())?;
    Ok(format!("+{release}"))
}

/// A Docker engine of our own, ended with this value.
struct Engine {
    process: Child,
    host: String,
}

impl Engine {
    fn start(folder: &Path) -> Outcome<Engine> {
        let path = |name: &str| folder.join(name);
        let host = format!("unix://{}", path("docker.sock").display());
        let log = File::create(path("engine.log")).doing("engine.log")?;
        let mut command = tool::program("unshare");
        command.args(["--mount", "dockerd", "-H", &host, "--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command
            .arg("--data-root")
            .arg(path("engine"))
            .arg("--exec-root")
            .arg(path("run"))
            .arg("-p")
            .arg(path("engine.pid"));
        command.stdin(Stdio::null()).stdout(log.try_clone().doing("engine.log")?).stderr(log);
        let engine = Engine { process: command.spawn().doing("dockerd")?, host };
        let begun = Instant::now();
        while engine.docker(&["version"]).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(format!("the engine does not come up: {}", path("engine.log").display())));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(engine)
    }

    fn docker(&self, arguments: &[&str]) -> Outcome<String> {
        tool::run("docker", &[&["-H", &self.host], arguments].concat())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn base_image(engine: &Engine) -> Outcome<()> {
    if engine.docker(&["image", "inspect", BASE]).is_ok() {
        return Ok(());
    }
    let import = format!(
        "set -o pipefail; mmdebstrap --quiet --variant=minbase bookworm - | docker -H {} import - {BASE}",
        engine.host
    );
    tool::run("bash", &["-c", &import]).map(drop)
}

fn build(folder: &Path, engine: &Engine, toolchain: &str, target: &str) -> Outcome<()> {
    let docker = folder.join("docker");
    fs::write(&docker, DOCKER).doing(docker.display())?;
    tool::run("chmod", &["755", text(&docker)?])?;
    let mut command: Command = tool::program(folder.join("bin/cross"));
    command.args([toolchain, "build", "--locked", "--release", "--package", "offspot-agent", "--target", target]);
    // What `cargo run` told us of its own toolchain is not for this one.
    command.env("RUSTUP_HOME", folder.join("rustup")).env_remove("RUSTUP_TOOLCHAIN").env_remove("LD_LIBRARY_PATH");
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("DOCKER_HOST", &engine.host).env("CROSS_CONTAINER_ENGINE", &docker);
    let status = command.status().doing("cross")?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("cross build --target {target}: {status}"))) }
}

/// What kind of program came out, and whether it runs; the gnu one wants Debian's C library for arm64 beside it.
fn look(folder: &Path, target: &str) -> Outcome<String> {
    let binary: PathBuf = folder.join("target").join(target).join("release/offspot-agent");
    let bytes = fs::read(&binary).doing(binary.display())?;
    let elf = elf::look(&bytes)?;
    let is_static = target.ends_with("musl");
    if !elf.is_aarch64 || elf.is_static != is_static {
        return Err(Failure::new(format!("{}: {elf:?}", binary.display())));
    }
    let said =
        if is_static { tool::run("qemu-aarch64-static", &[text(&binary)?, "--version"])? } else { String::new() };
    Ok(format!("{}: {} bytes, static: {is_static} {}", binary.display(), bytes.len(), said.trim()))
}
