//! What each command of the program does.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::arguments::{Arguments, Command, USAGE};
use crate::boards;
use crate::build::{self, Built};
use crate::card_binary;
use crate::lock::Lock;
use crate::lock::diff::diff;
use crate::lock_command::{self, Update};
use crate::packages::{self, Package};
use crate::skel::Skel;
use crate::store::{self, Store};
use crate::tool::{Doing, Outcome};

/// What makes the file systems and the modules' indexes.
const TOOLS: &[Package] = &[
    packages::program("dosfstools", "mkfs.vfat"),
    packages::program("e2fsprogs", "mke2fs"),
    packages::program("kmod", "depmod"),
    packages::program("mtools", "mcopy"),
];

/// Does what was asked; the exit code.
pub fn perform(arguments: &Arguments) -> Outcome<u8> {
    match &arguments.command {
        Command::Lock => lock(arguments),
        Command::Check => check(arguments),
        Command::Diff(old, new) => compare(arguments, old, new),
        Command::Fetch => fetch(arguments),
        Command::Build => make(arguments),
        Command::Boards => boards(arguments),
        Command::Help => {
            print!("{USAGE}");
            Ok(0)
        }
        Command::Version => {
            println!("image-skel {}", env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
    }
}

fn lock(arguments: &Arguments) -> Outcome<u8> {
    let skel = Skel::read(&arguments.skel)?;
    let old = arguments.lock.exists().then(|| Lock::read(&arguments.lock)).transpose()?.unwrap_or_default();
    let wanted = match &arguments.update {
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Packages(names.clone()),
        // A lock that is there moves only where skel.toml demands it.
        None => Update::Packages(Vec::new()),
    };
    let new = lock_command::lock(&skel, &arguments.lock, &wanted, &options(arguments))?;
    let changes = diff(&old, &new, &lock_command::security_suites(&skel));
    match arguments.json {
        true => println!("{}", changes.json()),
        false => println!("{changes}"),
    }
    eprintln!("{}: {} packages", arguments.lock.display(), new.packages.len());
    Ok(0)
}

/// What is wrong with the lock makes the exit code; that there is something newer does not, it is only told.
fn check(arguments: &Arguments) -> Outcome<u8> {
    let skel = Skel::read(&arguments.skel)?;
    let wrong = lock_command::check(&skel, &arguments.lock)?;
    let news = match arguments.offline {
        true => Vec::new(),
        false => lock_command::news(&skel, &arguments.lock, &options(arguments))?,
    };
    if arguments.json {
        println!("{}", serde_json::json!({ "wrong": wrong, "news": news }));
    } else {
        wrong.iter().for_each(|wrong| println!("wrong: {wrong}"));
        news.iter().for_each(|news| println!("{news}"));
        let verdict = if wrong.is_empty() {
            "is what skel.toml wants"
        } else {
            "is not what skel.toml wants: run `image-skel lock`"
        };
        println!("{} {verdict}", arguments.lock.display());
    }
    Ok(u8::from(!wrong.is_empty()))
}

fn options(arguments: &Arguments) -> lock_command::Options {
    lock_command::Options {
        allow_downgrade: arguments.allow_downgrade,
        now: SystemTime::now(),
        keyring: arguments.keyring.clone(),
    }
}

fn compare(arguments: &Arguments, old: &Path, new: &Path) -> Outcome<u8> {
    let skel = Skel::read(&arguments.skel)?;
    let changes = diff(&Lock::read(old)?, &Lock::read(new)?, &lock_command::security_suites(&skel));
    match arguments.json {
        true => println!("{}", changes.json()),
        false => println!("{changes}"),
    }
    Ok(0)
}

fn fetch(arguments: &Arguments) -> Outcome<u8> {
    let (skel, lock) = (Skel::read(&arguments.skel)?, Lock::read(&arguments.lock)?);
    let store = Store::open(&arguments.store)?;
    store.bring(&skel, &lock, &store::Options { offline: arguments.offline, ..store::Options::default() })?;
    println!("{} packages in {}", lock.packages.len(), arguments.store.display());
    if let Some(folder) = &arguments.export {
        let folder = &std::path::absolute(folder).doing(folder.display())?;
        store.export(&lock, folder)?;
        lock.write(&folder.join("Packages.lock"))?;
        println!("kept in {}: name file://{} as a mirror in skel.toml", folder.display(), folder.display());
    }
    Ok(0)
}

fn make(arguments: &Arguments) -> Outcome<u8> {
    packages::install_missing(TOOLS)?;
    let options = build_options(arguments)?;
    let Some(built) = (match arguments.if_needed {
        true => build::build_if_needed(&options)?,
        false => Some(build::build(&options)?),
    }) else {
        eprintln!("{}: up to date", options.out.join(build::IMAGE).display());
        return Ok(0);
    };
    match (arguments.json, arguments.report) {
        (true, _) => println!("{}", built.report.json()?),
        (false, true) => tell(&built),
        (false, false) => {}
    }
    eprintln!("{}", built.image.display());
    for (file, bytes) in built.outputs.iter().flat_map(|outputs| &outputs.files) {
        eprintln!("{bytes:>12} {}", file.display());
    }
    Ok(0)
}

fn tell(built: &Built) {
    println!("In place of maintainer scripts:");
    built.done.iter().for_each(|done| println!("  {done}"));
    println!("\nOf the packages {} paths are left out (image-skel/skel.toml, leave_out).", built.left_out.len());
    println!("\n{}\n{}", boards::text(&built.boards), built.report.text());
}

fn boards(arguments: &Arguments) -> Outcome<u8> {
    let rows = build::look(&build_options(arguments)?)?;
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&rows).doing("the table of boards")?),
        false => println!("{}", boards::text(&rows)),
    }
    Ok(0)
}

/// Everything that a build takes, from the command line or from this workspace.
pub fn build_options(arguments: &Arguments) -> Outcome<build::Options> {
    let folder = std::path::absolute(&arguments.skel).doing(arguments.skel.display())?;
    let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
    let workspace = folder.parent().unwrap_or(Path::new("/"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let agent = match &arguments.agent {
        Some(agent) => agent.clone(),
        None => card_binary::build(workspace, &target)?,
    };
    Ok(build::Options {
        skel: arguments.skel.clone(),
        lock: arguments.lock.clone(),
        overlay: folder.join("overlay"),
        store: arguments.store.clone(),
        agent,
        out: arguments.out.clone().unwrap_or_else(|| target.join("image-skel")),
        offline: arguments.offline,
        pack: arguments.pack,
        sbom: arguments.sbom,
    })
}
