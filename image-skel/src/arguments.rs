//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::tool::{Doing, Failure, Outcome};

/// How to call it.
pub const USAGE: &str = "\
image-skel lock [--check | --update [PACKAGE…]]   resolve skel.toml into Packages.lock, from signed metadata
image-skel lock diff OLD NEW                      what was added, removed, upgraded, and which of it is security
image-skel fetch [--export FOLDER]                bring every deb of the lock into the store; keep them for ever in FOLDER
image-skel build                                  make the image from the lock
image-skel boards                                 which part of which board is driven by what in the image

  --skel FILE          default image-skel/skel.toml
  --lock FILE          default Packages.lock beside it
  --store FOLDER       the store of debs (default ~/.cache/offspot/image-skel)
  --offline            never reach for a mirror
  --json               print JSON (lock diff, lock --check, build --report, boards)
  --check              lock: is the lock what skel.toml wants, and what would be newer; changes nothing; exit 1 if not
  --update             lock: go to the newest; with packages, only these and what they force
  --allow-downgrade    lock: take metadata that is older than the lock's
  --keyring FILE       lock: trust the keys of this file instead of Debian's
  --out FOLDER         build: where the image goes (default target/image-skel)
  --agent FILE         build: this agent instead of building one
  --if-needed          build: only where the image is older than what it is made from
  --pack               build: .img.zst, .img.xz, .bmap and SHA256SUMS too
  --report             build: print what takes the room
  --sbom               build: an SPDX document too
  --help, --version

Exit codes: 0 done, 1 failed or something is wrong with the lock, 64 wrong call.
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make the lock, or bring it to the newest.
    Lock,
    /// Look at the lock.
    Check,
    /// Compare two locks.
    Diff(PathBuf, PathBuf),
    /// Bring the debs.
    Fetch,
    /// Make the image.
    Build,
    /// Show the table of boards.
    Boards,
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
}

/// The command line, read.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// What to do.
    pub command: Command,
    /// `skel.toml`.
    pub skel: PathBuf,
    /// `Packages.lock`.
    pub lock: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Output folder; `None` for the default.
    pub out: Option<PathBuf>,
    /// The agent; `None` to build it.
    pub agent: Option<PathBuf>,
    /// Keys to trust instead of Debian's.
    pub keyring: Option<PathBuf>,
    /// Where the debs are kept.
    pub export: Option<PathBuf>,
    /// Packages to update; `None` without `--update`.
    pub update: Option<Vec<String>>,
    /// Never reach for a mirror.
    pub offline: bool,
    /// Print JSON.
    pub json: bool,
    /// Take older metadata.
    pub allow_downgrade: bool,
    /// Leave an image that is up to date.
    pub if_needed: bool,
    /// Compress too.
    pub pack: bool,
    /// Print the report.
    pub report: bool,
    /// SPDX too.
    pub sbom: bool,
}

impl Arguments {
    /// Reads the command line; what is wrong with it is said in one line.
    pub fn read(parser: lexopt::Parser) -> Outcome<Arguments> {
        let (mut words, mut given) = (Vec::new(), Arguments::new());
        let (mut check, mut lock) = (false, None);
        let mut parser = parser;
        while let Some(argument) = parser.next().doing("arguments")? {
            match argument {
                Value(word) if given.update.is_some() => {
                    let package = word.string().doing("a package's name")?;
                    given.update.get_or_insert_default().push(package);
                }
                Value(word) => words.push(word.string().doing("arguments")?),
                Long("check") => check = true,
                Long("update") => given.update = Some(Vec::new()),
                Long("lock") => lock = Some(path(&mut parser)?),
                Long("skel") => given.skel = path(&mut parser)?,
                Long("store") => given.store = path(&mut parser)?,
                Long("out") => given.out = Some(path(&mut parser)?),
                Long("agent") => given.agent = Some(path(&mut parser)?),
                Long("keyring") => given.keyring = Some(path(&mut parser)?),
                Long("export") => given.export = Some(path(&mut parser)?),
                Long("offline") => given.offline = true,
                Long("json") => given.json = true,
                Long("allow-downgrade") => given.allow_downgrade = true,
                Long("if-needed") => given.if_needed = true,
                Long("pack") => given.pack = true,
                Long("report") => given.report = true,
                Long("sbom") => given.sbom = true,
                Long("help") | Short('h') => return Ok(Arguments { command: Command::Help, ..given }),
                Long("version") => return Ok(Arguments { command: Command::Version, ..given }),
                other => return Err(Failure::new(other.unexpected().to_string())),
            }
        }
        given.lock = lock.unwrap_or_else(|| given.skel.with_file_name("Packages.lock"));
        given.command = command(&words, check)?;
        given.fits()?;
        Ok(given)
    }

    fn new() -> Arguments {
        let skel = PathBuf::from("image-skel/skel.toml");
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        // Nobody's home is nowhere: the store's own message then asks for --store.
        let cache = cache.or(home).unwrap_or_default();
        Arguments {
            command: Command::Help,
            lock: PathBuf::new(),
            skel,
            store: cache.join("offspot/image-skel"),
            out: None,
            agent: None,
            keyring: None,
            export: None,
            update: None,
            offline: false,
            json: false,
            allow_downgrade: false,
            if_needed: false,
            pack: false,
            report: false,
            sbom: false,
        }
    }

    /// An option that the command does not know is a mistake, not to be passed over.
    fn fits(&self) -> Outcome<()> {
        use Command::{Build, Check, Diff, Fetch, Help, Lock, Version};
        let only = |given: bool, option: &str, fits: bool| match given && !fits {
            true => Err(Failure::new(format!("{option} does not go with this command"))),
            false => Ok(()),
        };
        if matches!(self.command, Help | Version) {
            return Ok(());
        }
        let (lock, build) = (matches!(self.command, Lock | Check), self.command == Build);
        only(self.update.is_some(), "--update", self.command == Lock)?;
        only(self.allow_downgrade, "--allow-downgrade", lock)?;
        only(self.keyring.is_some(), "--keyring", lock)?;
        only(self.offline, "--offline", !matches!(self.command, Lock | Diff(..)))?;
        only(self.export.is_some(), "--export", self.command == Fetch)?;
        only(self.out.is_some(), "--out", build)?;
        only(self.if_needed, "--if-needed", build && !self.report)?;
        only(self.pack, "--pack", build)?;
        only(self.report, "--report", build)?;
        only(self.sbom, "--sbom", build)?;
        only(self.json, "--json", build || lock || matches!(self.command, Diff(..) | Command::Boards))
    }
}

fn path(parser: &mut lexopt::Parser) -> Outcome<PathBuf> {
    Ok(PathBuf::from(parser.value().doing("arguments")?))
}

fn command(words: &[String], check: bool) -> Outcome<Command> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["lock"] => Ok(if check { Command::Check } else { Command::Lock }),
        _ if check => Err(Failure::new("--check goes with `lock`")),
        ["lock", "diff", old, new] => Ok(Command::Diff(old.into(), new.into())),
        ["lock", "diff", ..] => Err(Failure::new("lock diff wants two files: OLD NEW")),
        ["fetch"] => Ok(Command::Fetch),
        ["build"] => Ok(Command::Build),
        ["boards"] => Ok(Command::Boards),
        ["help"] => Ok(Command::Help),
        ["version"] => Ok(Command::Version),
        [] => Err(Failure::new("what is to be done? See --help")),
        other => Err(Failure::new(format!("unknown: {}. See --help", other.join(" ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Outcome<Arguments> {
        Arguments::read(lexopt::Parser::from_args(words))
    }

    #[test]
    fn commands_and_the_options_that_go_with_them() {
        assert_eq!(read(&["lock", "--check"]).unwrap().command, Command::Check);
        let update = read(&["lock", "--update", "docker.io", "runc"]).unwrap();
        assert_eq!(update.update, Some(vec!["docker.io".to_owned(), "runc".to_owned()]));
        assert_eq!(read(&["lock", "--skel", "a/skel.toml"]).unwrap().lock, PathBuf::from("a/Packages.lock"));
        for wrong in [&["build", "--check"][..], &["lock", "--sbom"], &["fetch", "--update"], &["nonsense"], &[]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
