//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// How to call the agent.
pub const USAGE: &str = "\
offspot-agent run            set the card up from its offspot.yaml (safe at any time)
offspot-agent watch          keep what the last run brought up: what vanishes or falls is brought back
offspot-agent plan           print what a run would do; changes nothing
offspot-agent status         print the status of the last or running boot
offspot-agent check FILE     validate an offspot.yaml or image.yaml
offspot-agent schema         print the JSON Schema of offspot.yaml

  --root DIR                 prefix of every system path (default /)
  --card DEVICE              the disk that holds the card; with another root the only way to a block device
  --stick DEVICE             run: the stick to look for content and images on (a folder does as well); with another root the only
                             way to one. Without this all that are plugged in
  --docker-host unix://PATH  the engine's socket (default unix://ROOT/run/docker.sock)
  --replace PATH             run: place PATH of `files` again, whatever lies there; may be repeated
  --hold SECONDS             run: how long the LED tells the verdict before the program ends (default 60, 0 with another root)
  --json                     print JSON
  --watch                    status: follow until the verdict
  --help, --version

Exit codes: 0 ready or nothing wrong, 1 degraded, 2 settings refused, 3 card, 4 space, 5 engine, 6 trust, 64 wrong call,
75 another run holds the lock, 130 interrupted.
";

/// Longest that the LED may tell a verdict, in seconds: a day.
const LONGEST_HOLD: u64 = 86_400;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The story.
    Run,
    /// Keep the services up after the story.
    Watch,
    /// What a run would do.
    Plan,
    /// How the last boot went.
    Status,
    /// Validate a file.
    Check(PathBuf),
    /// Print the schema.
    Schema,
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
    /// Root of the host.
    pub root: PathBuf,
    /// The card's disk.
    pub card: Option<PathBuf>,
    /// The stick: a block device, or a folder.
    pub stick: Option<PathBuf>,
    /// Path of the engine's socket.
    pub socket: String,
    /// Targets of `files` to place again.
    pub replace: Vec<String>,
    /// Seconds the LED tells the verdict.
    pub hold: Option<u64>,
    /// JSON instead of text.
    pub json: bool,
    /// Follow the status.
    pub watch: bool,
}

impl Arguments {
    /// Reads the arguments behind the program's name. The error is a sentence.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
        Self::parse(lexopt::Parser::from_args(arguments)).map_err(|error| error.to_string())
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Arguments, lexopt::Error> {
        let mut word: Option<String> = None;
        let mut file = None;
        let mut read = Arguments {
            command: Command::Help,
            root: PathBuf::from("/"),
            card: None,
            stick: None,
            socket: String::new(),
            replace: Vec::new(),
            hold: None,
            json: false,
            watch: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("root") => read.root = std::path::absolute(PathBuf::from(parser.value()?)).map_err(custom)?,
                Long("card") => read.card = Some(parser.value()?.into()),
                Long("stick") => {
                    read.stick = Some(std::path::absolute(PathBuf::from(parser.value()?)).map_err(custom)?);
                }
                Long("docker-host") => read.socket = socket(&parser.value()?.string()?)?,
                Long("replace") => read.replace.push(parser.value()?.string()?),
                Long("hold") => read.hold = Some(parser.value()?.parse::<u64>()?.min(LONGEST_HOLD)),
                Long("json") => read.json = true,
                Long("watch") => read.watch = true,
                Long("help") | Short('h') => word = Some("help".into()),
                Long("version") | Short('V') => word = Some("version".into()),
                Value(value) if word.is_none() => word = Some(value.string()?),
                Value(value) if word.as_deref() == Some("check") && file.is_none() => file = Some(value.into()),
                other => return Err(other.unexpected()),
            }
        }
        if read.socket.is_empty() {
            // Another root has an engine of its own, or none: never the one of this machine.
            read.socket = read.root.join("run/docker.sock").to_string_lossy().into_owned();
        }
        read.command = match (word.as_deref(), file) {
            (Some("run"), None) => Command::Run,
            (Some("watch"), None) => Command::Watch,
            (Some("plan"), None) => Command::Plan,
            (Some("status"), None) => Command::Status,
            (Some("schema"), None) => Command::Schema,
            (Some("check"), Some(file)) => Command::Check(file),
            (Some("check"), None) => return Err("check needs a FILE".into()),
            (Some("version"), None) => Command::Version,
            (Some("help") | None, None) => Command::Help,
            (Some(other), _) => return Err(format!("there is no command {other:?}").into()),
            (None, Some(_)) => return Err("a command is missing".into()),
        };
        Ok(read)
    }
}

fn socket(host: &str) -> Result<String, lexopt::Error> {
    match host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        _ => Err(format!("--docker-host takes unix:///PATH, not {host:?}").into()),
    }
}

fn custom(error: std::io::Error) -> lexopt::Error {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_options_on_either_side_of_the_command() {
        let read =
            read("--root /x run --card /dev/loop3 --docker-host unix:///y.sock --replace /data/a --replace /data/b")
                .unwrap();
        assert_eq!((read.command, read.root, read.card), (Command::Run, "/x".into(), Some("/dev/loop3".into())));
        assert_eq!((read.socket.as_str(), read.replace.len(), read.stick), ("/y.sock", 2, None));
        let read = self::read("run --stick /dev/sdb1").unwrap();
        assert_eq!(read.stick, Some("/dev/sdb1".into()));
    }

    #[test]
    fn a_wrong_call_is_a_sentence() {
        for (line, says) in [
            ("bake", "no command \"bake\""),
            ("check", "needs a FILE"),
            ("run now", "unexpected argument"),
            ("run --docker-host tcp://1", "unix:///PATH"),
        ] {
            assert!(read(line).unwrap_err().contains(says), "{line}");
        }
    }
}
