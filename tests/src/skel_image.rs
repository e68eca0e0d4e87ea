//! The image that is flashed, built as a person would: by the program, from the lock. Then once more by another user in another place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image_skel::build::IMAGE;
use image_skel::card_binary;
use nix::unistd::Uid;

use crate::agent_run::{target_folder, workspace};
use crate::suite::Count;
use crate::tool::{self, Doing, Outcome, text};

/// Nobody in particular (Debian's `nobody`).
const NOBODY: &str = "65534";
/// Where the lock is, once the first one could not be fetched.
static RELOCKED: OnceLock<PathBuf> = OnceLock::new();

/// Builds the image where it is out of date, and gives it.
pub fn up_to_date() -> Outcome<PathBuf> {
    let words = ["build", "--if-needed"].map(str::to_owned).to_vec();
    skel(words)?;
    Ok(folder()?.join(IMAGE))
}

/// The image as it was built last.
pub fn made() -> Outcome<PathBuf> {
    let image = folder()?.join(IMAGE);
    crate::suite::ensure(image.exists(), format!("{} is not there: run `cargo skel build`", image.display()))?;
    Ok(image)
}

/// The lock that the image was built from.
pub fn lock_used() -> PathBuf {
    RELOCKED.get().cloned().unwrap_or_else(|| workspace().join("image-skel/Packages.lock"))
}

/// The lock says what `skel.toml` wants; nothing is asked of the network.
pub fn lock() -> Outcome<Count> {
    skel(vec!["lock".into(), "--check".into(), "--offline".into()])?;
    Ok(Count::ONE)
}

/// Builds the image; where a locked deb has vanished from the mirrors, from a fresh lock, and says so.
pub fn image() -> Outcome<Count> {
    if let Err(gone) = skel(vec!["fetch".into()]) {
        let scratch = folder()?.join("Packages.lock");
        println!("{gone}\nThe lock can no longer be fetched: going on with a fresh one, {}", scratch.display());
        fs::copy(lock_used(), &scratch).doing(scratch.display())?;
        let _ = RELOCKED.set(scratch);
        skel(with_lock(&["lock", "--update"])?)?;
    }
    skel(with_lock(&["build", "--report"])?)?;
    Ok(Count::ONE)
}

/// The same image again, byte for byte: other folder, user, umask, time zone and language, a store of its own, the debs from an export.
pub fn image_again() -> Outcome<Count> {
    let place = std::env::temp_dir().join(format!("offspot-again-{}", std::process::id()));
    let own = place.join("image-skel");
    fs::create_dir_all(&own).doing(own.display())?;
    let export = place.join("export");
    let mut words = with_lock(&["fetch", "--export"])?;
    words.insert(2, text(&export)?.to_owned());
    skel(words)?;
    elsewhere(&export, &own)?;
    tool::run("chmod", &["-R", "a+rwX", text(&place)?])?;

    let mut command = tool::program("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]);
    if Uid::effective().is_root() {
        command.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.arg(own.join("program")).args(["build", "--skel", "skel.toml", "--agent", "agent", "--out", "../out"]);
    command.args(["--store", "../store"]).current_dir(&own);
    command.envs([("TZ", "Pacific/Chatham"), ("LC_ALL", "tr_TR.UTF-8"), ("HOME", text(&place)?)]);
    let status = command.status().doing("image-skel build")?;
    crate::suite::ensure(status.success(), format!("building once more: {status}"))?;
    tool::run("cmp", &[text(&folder()?.join(IMAGE))?, text(&place.join("out").join(IMAGE))?])?;
    println!("{}", tool::run("sha256sum", &[text(&folder()?.join(IMAGE))?])?.trim());
    fs::remove_dir_all(&place).doing(place.display())?;
    Ok(Count::ONE)
}

/// Lays program, agent, lock, overlay and a `skel.toml` whose only mirror is `export` into `own`.
fn elsewhere(export: &Path, own: &Path) -> Outcome<()> {
    let product = workspace().join("image-skel");
    let given = fs::read_to_string(product.join("skel.toml")).doing("skel.toml")?;
    let mirror = format!("mirrors = [\"file://{}\"]", text(export)?);
    let lines = given.lines().map(|line| if line.starts_with("mirrors = ") { mirror.as_str() } else { line });
    fs::write(own.join("skel.toml"), lines.collect::<Vec<_>>().join("\n")).doing("skel.toml")?;
    for (from, to) in [(program()?, "program"), (agent()?, "agent"), (lock_used(), "Packages.lock")] {
        fs::copy(&from, own.join(to)).doing(from.display())?;
    }
    tool::run("cp", &["-r", text(&product.join("overlay"))?, text(own)?])?;
    Ok(())
}

fn with_lock(words: &[&str]) -> Outcome<Vec<String>> {
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["--lock".to_owned(), text(&lock_used())?.to_owned()]);
    Ok(words)
}

/// Runs the program as `cargo skel` does; it talks to the terminal itself.
fn skel(words: Vec<String>) -> Outcome<()> {
    let status = tool::program(program()?)
        .args(&words)
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_folder()?)
        .status()
        .doing("image-skel")?;
    crate::suite::ensure(status.success(), format!("image-skel {}: {status}", words.join(" ")))
}

fn program() -> Outcome<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = tool::program(cargo)
        .args(["build", "--quiet", "--package", "image-skel"])
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_folder()?)
        .status()
        .doing("cargo build")?;
    crate::suite::ensure(status.success(), format!("building image-skel: {status}"))?;
    Ok(target_folder()?.join("debug/image-skel"))
}

fn agent() -> Outcome<PathBuf> {
    card_binary::build(&workspace(), &target_folder()?)
}

fn folder() -> Outcome<PathBuf> {
    let folder = target_folder()?.join("image-skel");
    fs::create_dir_all(&folder).doing(folder.display())?;
    Ok(folder)
}
