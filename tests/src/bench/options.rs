//! What `cargo bench-card` is told.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::sets::{Packing, SETS};
use crate::tool::{self, Doing, Failure, Outcome};

/// How to call it.
pub const HELP: &str = "\
cargo bench-card                      every line, every set of images; writes tests/bench/RESULTS.md
cargo bench-card --set three          only this set of images (three, nine, large); may be repeated
                 --packing zst        only tarballs packed this way (plain, gz, zst)
                 --part services      only this part; may be repeated (images, services, content, fetch, pull, second-boot)
                 --line 9             only this line; may be repeated; RESULTS.md stays as it is
                 --rounds 3           peers in turn this often (A/B/B/A; default 1)
                 --quick              each peer once, plain tarballs alone; RESULTS.md stays as it is
                 --agent FILE         measure this agent instead of building one";

/// What can be measured alone.
const PARTS: &[&str] = &["images", "services", "content", "fetch", "pull", "second-boot"];

/// The command line, read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only help is wanted.
    pub help: bool,
    /// Sets by name; none: all.
    pub sets: Vec<&'static str>,
    /// Parts; none: all, or the images where a set or a packing is named.
    pub parts: Vec<&'static str>,
    /// Lines; none: all.
    pub lines: Vec<u8>,
    /// One packing; none: all.
    pub packing: Option<Packing>,
    /// How often the peers take turns.
    pub rounds: usize,
    /// Each peer once.
    pub quick: bool,
    /// The agent to measure; none: one is built.
    pub agent: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments of this process.
    pub fn read() -> Outcome<Options> {
        let mut options = Options { rounds: 1, ..Options::default() };
        let mut arguments = tool::arguments();
        while let Some(argument) = arguments.next().doing("arguments")? {
            match argument {
                Long("set") => options.sets.push(set(&text(&mut arguments)?)?),
                Long("part") => options.parts.push(part(&text(&mut arguments)?)?),
                Long("packing") => options.packing = Some(packing(&text(&mut arguments)?)?),
                Long("line") => options.lines.push(text(&mut arguments)?.parse().doing("--line")?),
                Long("rounds") => options.rounds = text(&mut arguments)?.parse().doing("--rounds")?,
                Long("quick") => options.quick = true,
                Long("agent") => options.agent = Some(arguments.value().doing("--agent")?.into()),
                Long("help") | Short('h') => options.help = true,
                other => return Err(Failure::new(other.unexpected().to_string())),
            }
        }
        Ok(options)
    }

    /// Whether this part is wanted.
    pub fn wants_part(&self, part: &str) -> bool {
        match (self.parts.is_empty(), self.sets.is_empty() && self.packing.is_none()) {
            (false, _) => self.parts.contains(&part),
            (true, all) => all || part == "images",
        }
    }

    /// Whether one of these lines is wanted.
    pub fn wants(&self, lines: &[u8]) -> bool {
        self.lines.is_empty() || lines.iter().any(|line| self.lines.contains(line))
    }
}

fn text(arguments: &mut lexopt::Parser) -> Outcome<String> {
    arguments.value().and_then(|value| value.string()).doing("arguments")
}

fn set(name: &str) -> Outcome<&'static str> {
    let found = SETS.iter().find(|set| set.name == name);
    found.map(|set| set.name).ok_or_else(|| Failure::new(format!("there is no set {name}")))
}

fn part(name: &str) -> Outcome<&'static str> {
    let known = PARTS.iter().find(|part| **part == name);
    known.copied().ok_or_else(|| Failure::new(format!("--part: {name} is none of {}", PARTS.join(", "))))
}

fn packing(name: &str) -> Outcome<Packing> {
    let found = Packing::ALL.into_iter().find(|packing| packing.name() == name);
    found.ok_or_else(|| Failure::new(format!("there is no packing {name}")))
}
