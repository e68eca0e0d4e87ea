//! The bench itself: a board with a slow card, and Debian trixie's engine on that card, as the image has it.

use std::fmt::{self, Display};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use offspot_agent::host::Host;
use serde_json::Value;

use super::interrupt;
use super::slow_card::{SlowCard, Traffic};
use crate::agent_run::{AgentRun, high_water};
use crate::board::{Board, mounts_below};
use crate::card::{self, Sizes};
use crate::lab_engine::LabEngine;
use crate::library::Library;
use crate::other_release::{Programs, Release};
use crate::tool::{self, Doing, Failure, Outcome, text};

const MIB: u64 = 1 << 20;
/// What a Pi of 1 GB says of its memory, with the engine running.
const MEMORY: &str = "MemTotal:         948304 kB\nMemAvailable:     655360 kB\n";
/// The memory in which its engine unpacks, half of that, in bytes.
const UNPACK: u64 = 320 << 20;
/// Least bytes of the data partition: it has an inode for each 64 KiB, and that of a card of 16 GB is no smaller.
const LEAST: u64 = 12 << 30;
/// Where the engine unpacks on the data partition.
const ON_CARD: &str = ".offspot/engine";
/// How often status and counters are looked at.
const LOOK: Duration = Duration::from_millis(4);
/// Longest that an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Board, engine, and the agent that runs on it.
#[derive(Debug)]
pub struct Bed {
    folder: PathBuf,
    board: Board,
    engine: LabEngine,
    programs: Programs,
    agent: PathBuf,
}

/// A card in the board. Dropping it ends the engine, unmounts everything and unplugs the card.
#[derive(Debug)]
pub struct Session<'a> {
    bed: &'a Bed,
    /// The card.
    pub card: SlowCard,
    device: String,
}

/// A phase of the agent's story, as its own clock measured it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in the status.
    pub name: String,
    /// After the agent was started.
    pub began: Duration,
    /// How long it lasted.
    pub lasted: Duration,
    /// What went over the card in it.
    pub went: Traffic,
}

/// What a run of the agent was like.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The phases in order.
    pub phases: Vec<Step>,
    /// Largest resident size in bytes (VmHWM).
    pub peak: u64,
    /// From start to end.
    pub wall: Duration,
    /// Its log.
    pub said: String,
}

impl Told {
    /// Time and traffic of some phases together.
    pub fn of(&self, phases: &[&str]) -> (Duration, Traffic) {
        let (mut time, mut traffic) = (Duration::ZERO, Traffic::default());
        for step in self.phases.iter().filter(|step| phases.contains(&step.name.as_str())) {
            time += step.lasted;
            traffic += step.went;
        }
        (time, traffic)
    }

    /// When a phase began, after the agent was started.
    pub fn began(&self, phase: &str) -> Option<Duration> {
        self.phases.iter().find(|step| step.name == phase).map(|step| step.began)
    }
}

impl Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s, {:.1} MB", self.wall.as_secs_f64(), self.peak as f64 / 1e6)?;
        let matters = |step: &&Step| step.lasted.as_millis() > 100 || step.went.written + step.went.read > 1_000_000;
        for step in self.phases.iter().filter(matters) {
            write!(f, "; {} {:.2} s, {}", step.name, step.lasted.as_secs_f64(), step.went)?;
        }
        Ok(())
    }
}

impl Bed {
    /// The bed in `folder`; what an earlier run left there is taken away.
    pub fn new(folder: &Path, agent: &Path) -> Outcome<Bed> {
        let programs = Programs::of(Release::Trixie)?;
        let demo = std::env::current_exe().doing("looking for this program")?.with_file_name("demo");
        let board = Board::new(folder.join("board"));
        let engine = LabEngine::new(board.folder(), &board.root(), &demo).of(programs.clone());
        let bed = Bed { folder: folder.to_owned(), board, engine, programs, agent: agent.to_owned() };
        bed.clear()?;
        fs::create_dir_all(bed.board.folder()).doing(bed.board.folder().display())?;
        Ok(bed)
    }

    /// Where files of a measurement may lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes everything away that is mounted, attached or running.
    pub fn clear(&self) -> Outcome<()> {
        self.engine.cut()?;
        self.board.power_off()?;
        for device in card::attached_below(&self.folder) {
            card::detach(&device)?;
        }
        for mount in mounts_below(&self.folder).iter().rev() {
            tool::run("umount", &[mount])?;
        }
        Ok(())
    }

    /// A fresh card with these files in `/data/FOLDER`, and `room` bytes beside them. The settings are `offspot.yaml`.
    pub fn make_card(&self, folder: &str, files: &[PathBuf], room: u64, settings: &str) -> Outcome<()> {
        interrupt::check()?;
        let work = self.folder.join("work");
        let _ = fs::remove_dir_all(&work);
        let library = Library::folders(&work)?;
        let to = library.data.join(folder);
        fs::create_dir_all(&to).doing(to.display())?;
        let mut size = room;
        for file in files {
            size += fs::metadata(file).doing(file.display())?.len();
            let name = to.join(file.file_name().unwrap_or_default());
            fs::hard_link(file, &name).doing(name.display())?;
        }
        let memory = library.root.join("proc/meminfo");
        fs::create_dir_all(library.root.join("proc")).doing(memory.display())?;
        fs::create_dir_all(library.data.join(ON_CARD)).doing(ON_CARD)?;
        fs::write(&memory, MEMORY).doing(memory.display())?;
        let yaml = library.boot.join("offspot.yaml");
        fs::write(&yaml, settings).doing(yaml.display())?;
        let (boot, root, data) = (96 * MIB, 40 * MIB, (size.next_multiple_of(MIB) + 64 * MIB).max(LEAST));
        let sizes = Sizes { boot, root, data, card: 8 * MIB + boot + root + data };
        card::make(&self.card(), sizes, &library)?;
        fs::remove_dir_all(&work).doing(work.display())
    }

    fn card(&self) -> PathBuf {
        self.folder.join("card.img")
    }

    /// Puts the card in and switches on: boot and root partition are mounted, the data partition is not.
    pub fn power_on(&self) -> Outcome<Session<'_>> {
        self.power_on_for(0)
    }

    /// The same for loads with a layer of so many bytes. With another root than the live one the agent mounts nothing, so what it would do on a
    /// board is done here: the engine unpacks in memory, or on the card where the layer is larger than that.
    pub fn power_on_for(&self, layer: u64) -> Outcome<Session<'_>> {
        let card = SlowCard::plug_in(&self.card(), &self.folder)?;
        let device = card.device.clone();
        let session = Session { bed: self, card, device };
        self.board.power_on_with(session.device.clone())?;
        let folder = Host::new(session.root()).engine_folder();
        if layer > UNPACK {
            let above = folder.parent().unwrap_or(&folder);
            fs::create_dir_all(above).doing(above.display())?;
            symlink(session.root().join("data").join(ON_CARD), &folder).doing(folder.display())?;
        } else {
            fs::create_dir_all(&folder).doing(folder.display())?;
            let options = format!("mode=700,size={UNPACK}");
            tool::run("mount", &["-t", "tmpfs", "-o", &options, "offspot", text(&folder)?])?;
        }
        Ok(session)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("{error}");
        }
        let _ = fs::remove_file(self.card());
        let _ = fs::remove_dir_all(self.board.folder());
    }
}

impl Session<'_> {
    /// The root of the board.
    pub fn root(&self) -> PathBuf {
        self.bed.board.root()
    }

    /// The boot partition's settings, for the agent's next run.
    pub fn settings(&self, yaml: &str) -> Outcome<()> {
        let boot = self.bed.board.boot();
        // The agent leaves a real FAT mounted read-only; a copy in memory stays as it is.
        tool::run("mount", &["-o", "remount,rw", text(&boot)?])?;
        let file = boot.join("offspot.yaml");
        fs::write(&file, yaml).doing(file.display())
    }

    /// Mounts the data partition as the agent does.
    pub fn mount_data(&self) -> Outcome<PathBuf> {
        let at = self.root().join("data");
        tool::run("mount", &["-t", "ext4", "-o", "noatime", &self.card.data(), text(&at)?])?;
        Ok(at)
    }

    /// Opens the engine's door: it starts with the first connection.
    pub fn open_engine(&self) -> Outcome<()> {
        self.bed.engine.start().map(drop)
    }

    /// Knocks, and waits until the engine answers.
    pub fn await_engine(&self) -> Outcome<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            interrupt::check()?;
            if self.docker(&["version"]).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.bed.engine.log()).unwrap_or_default();
        Err(Failure::new(format!("the engine does not answer: {log}")))
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.bed.engine.socket()
    }

    /// Trixie's docker against the engine.
    pub fn docker(&self, arguments: &[&str]) -> Outcome<String> {
        let host = format!("unix://{}", self.socket().display());
        tool::run(text(&self.bed.programs.program("docker"))?, &[&["-H", &host], arguments].concat())
    }

    /// Words that call Trixie's Compose against the engine.
    pub fn compose(&self, file: &Path, project: &str) -> Outcome<Vec<String>> {
        let host = format!("DOCKER_HOST=unix://{}", self.socket().display());
        let compose = self.bed.programs.program("docker-compose");
        let words = ["env", &host, text(&compose)?, "-p", project, "-f", text(file)?];
        Ok(words.map(str::to_owned).to_vec())
    }

    /// Runs the agent to its end, behind these words. It must end with 0.
    pub fn agent(&self, wrapper: &[String]) -> Outcome<Told> {
        let run = AgentRun {
            binary: self.bed.agent.clone(),
            wrapper: wrapper.to_vec(),
            root: self.root(),
            device: self.device.clone(),
            socket: self.socket(),
        };
        let mut looks = Looks::new(self.card.traffic()?)?;
        let mut child = run.spawn()?;
        let said = drain(&mut child);
        let status = loop {
            looks.at(self, child.id())?;
            if let Some(status) = child.try_wait().doing("waiting for the agent")? {
                break status;
            }
            if let Err(pressed) = interrupt::check() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(pressed);
            }
            std::thread::sleep(LOOK);
        };
        let said = said.join().unwrap_or_default();
        if !status.success() {
            return Err(Failure::new(format!("the agent ended with {status}:\n{said}")));
        }
        Ok(Told { said, ..looks.end(self.card.traffic()?, &status_file(&self.root())) })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        for result in [self.bed.engine.cut(), self.bed.board.power_off()] {
            if let Err(error) = result {
                eprintln!("{error}");
            }
        }
    }
}

fn drain(child: &mut Child) -> std::thread::JoinHandle<String> {
    let pipe = child.stderr.take();
    std::thread::spawn(move || {
        let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines().map_while(Result::ok));
        lines.map(|line| line + "\n").collect()
    })
}

fn status_file(root: &Path) -> Value {
    let bytes = fs::read(root.join("run/offspot/status.json")).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The looks at a running agent: what had gone over the card when. The agent's own clock says afterwards which phase that was.
struct Looks {
    /// Since the kernel's start, by the clock that the agent's timeline counts from.
    spawned: Duration,
    begun: Instant,
    seen: Vec<(Duration, Traffic)>,
    peak: u64,
}

impl Looks {
    fn new(first: Traffic) -> Outcome<Looks> {
        let spawned = clock_gettime(ClockId::CLOCK_BOOTTIME).doing("the clock")?.into();
        Ok(Looks { spawned, begun: Instant::now(), seen: vec![(Duration::ZERO, first)], peak: 0 })
    }

    fn at(&mut self, session: &Session<'_>, pid: u32) -> Outcome<()> {
        self.peak = self.peak.max(high_water(pid));
        let now = (self.begun.elapsed(), session.card.traffic()?);
        match self.seen.last() {
            Some((_, last)) if *last == now.1 => {}
            _ => self.seen.push(now),
        }
        Ok(())
    }

    /// What had gone over the card by then, after the agent's spawn.
    fn by(&self, time: Duration) -> Traffic {
        let after = self.seen.partition_point(|(at, _)| *at <= time);
        self.seen[after.saturating_sub(1)].1
    }

    fn end(mut self, last: Traffic, status: &Value) -> Told {
        let wall = self.begun.elapsed();
        self.seen.push((wall, last));
        let time = |value: &Value| Duration::from_millis(value.as_u64().unwrap_or(0));
        let late = time(&status["timeline"]["started_ms"]).saturating_sub(self.spawned);
        let steps = status["timeline"]["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ends = steps.iter().skip(1).map(|step| late + time(&step["start_ms"])).chain([wall]);
        let phases = steps.iter().zip(ends).map(|(step, end)| {
            let name = step["phase"].as_str().unwrap_or_default().to_owned();
            let began = late + time(&step["start_ms"]);
            Step { name, began, lasted: end.saturating_sub(began), went: self.by(end) - self.by(began) }
        });
        Told { phases: phases.collect(), peak: self.peak, wall, said: String::new() }
    }
}
