//! Lines 3 and 10 of what is fetched: an archive that is laid out while it comes, and a plain file; ours beside curl in a pipe and aria2 with
//! everything after it. [`fetch_work`] has lines 12 and 13, [`bad_line`] what a long lossy line makes of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bad_line;
use super::bed::Bed;
use super::fetch_work;
use super::fetched::{Kind, Made};
use super::interrupt;
use super::results::{Row, megabytes, ratio, seconds};
use super::slow_card::{Traffic, cold};
use crate::servers::nginx::{Nginx, Serving};
use crate::tool::{self, Doing, Outcome, text};

const MIB: u64 = 1 << 20;
/// The phases in which the agent fetches and ends.
const PHASES: &[&str] = &["content", "done"];
/// As the image creator calls it.
const ARIA2: &str = "aria2c -q --split=5 --min-split-size=20M --file-allocation=falloc --allow-overwrite=true";

/// One way to bring something, measured.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    wall: Duration,
    traffic: Traffic,
    peak: u64,
}

/// The ways that are compared. Another peer is a line more here and in [`Measuring::script`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `tar -x` or `cp` of what lies elsewhere already: F.
    Floor,
    /// curl, and whatever reads it, in one pipe.
    Pipe,
    /// aria2 to a file, and everything else after it.
    Aria2,
    /// The agent.
    Ours,
}

const WAYS: [Way; 4] = [Way::Floor, Way::Pipe, Way::Aria2, Way::Ours];

/// Measures all of it: each way in turn and back, as often as wanted; `quick`: each once.
pub fn measure(bed: &Bed, agent: &Path, rounds: usize, quick: bool) -> Outcome<Vec<Row>> {
    let work = bed.folder().join("fetch");
    fs::create_dir_all(&work).doing(work.display())?;
    let made = Made::make(&work)?;
    let nginx = Nginx::start(&Serving::files(&work), &work.join("nginx"))?;
    let measuring = Measuring { bed, nginx: &nginx, made: &made };
    let mut rows = Vec::new();
    for kind in [Kind::Archive, Kind::Plain] {
        let mut samples: Vec<(Way, Sample)> = Vec::new();
        for _ in 0..rounds {
            let there = WAYS.into_iter();
            let back = WAYS.into_iter().rev().filter(|_| !quick);
            for way in there.chain(back) {
                samples.push((way, measuring.one(way, kind)?));
            }
        }
        rows.extend(lines(kind, &made, |way| median(&samples, way)));
    }
    rows.extend(fetch_work::measure(bed, &work, &nginx, &made)?);
    rows.extend(bad_line::measure(&work, agent, rounds, quick)?);
    drop(nginx);
    fs::remove_dir_all(&work).doing(work.display())?;
    Ok(rows)
}

fn lines(kind: Kind, made: &Made, of: impl Fn(Way) -> Sample) -> Vec<Row> {
    let [floor, pipe, aria2, ours] = WAYS.map(of);
    let of_floor = |sample: &Sample| sample.traffic.written as f64 / floor.traffic.written as f64;
    let written = |sample: &Sample| format!("{} ({})", ratio(of_floor(sample)), megabytes(sample.traffic.written));
    let wall = |sample: &Sample| sample.wall.as_secs_f64() / pipe.wall.as_secs_f64();
    let both = |show: &dyn Fn(&Sample) -> String| format!("curl {}, aria2 {}", show(&pipe), show(&aria2));
    let read = |sample: &Sample| megabytes(sample.traffic.read);
    let what = |measure: &str| format!("{}: {measure}", kind.name());
    vec![
        Row::new(3, &what("written / F")).at_most(1.02, of_floor(&ours)).say(&both(&written), &written(&ours)),
        Row::new(3, &what("read back, MB"))
            .at_most(1.0, ours.traffic.read as f64 / 1e6)
            .say(&both(&read), &read(&ours)),
        Row::new(0, &what("wall / wall of curl in a pipe")).say(
            &format!("aria2 {} ({})", ratio(wall(&aria2)), seconds(aria2.wall)),
            &format!("{} ({})", ratio(wall(&ours)), seconds(ours.wall)),
        ),
        Row::new(10, &what("largest resident size, MB"))
            .at_most(6.0, ours.peak as f64 / 1e6)
            .say(&format!("aria2c {:.1}", aria2.peak as f64 / 1e6), &format!("{:.1}", ours.peak as f64 / 1e6)),
        Row::new(0, &what("F itself: written, wall; fetched")).say(
            &format!("{}, {}", megabytes(floor.traffic.written), seconds(floor.wall)),
            &megabytes(made.length(kind)),
        ),
    ]
}

struct Measuring<'a> {
    bed: &'a Bed,
    nginx: &'a Nginx,
    made: &'a Made,
}

impl Measuring<'_> {
    /// One way, on a fresh card with a cold cache; what is served is warm, as a server's would be.
    fn one(&self, way: Way, kind: Kind) -> Outcome<Sample> {
        interrupt::check()?;
        self.bed.make_card("contents", &[], 512 * MIB, "timezone: UTC\n")?;
        let session = self.bed.power_on()?;
        // Grown, checked and mounted before, for all of them alike.
        session.agent(&[])?;
        let data = session.root().join("data");
        if way == Way::Ours {
            session.settings(&self.entry(kind, true)?.to_string())?;
        }
        tool::run("sync", &["-f", text(&data)?])?;
        cold()?;
        tool::run("cat", &[text(&self.made.file(kind))?])?;
        let before = session.card.traffic()?;
        let sample = match way {
            Way::Ours => {
                let told = session.agent(&[])?;
                let (wall, _) = told.of(PHASES);
                Sample { wall, peak: told.peak, ..Sample::default() }
            }
            _ => {
                let begun = Instant::now();
                let words = ["bash", "-c", &self.script(way, kind, &data)?].map(str::to_owned);
                let peak = cost_of_children(&words)?;
                Sample { wall: begun.elapsed(), peak, ..Sample::default() }
            }
        };
        let synced = Instant::now();
        tool::run("sync", &["-f", text(&data)?])?;
        let sample =
            Sample { wall: sample.wall + synced.elapsed(), traffic: session.card.traffic()? - before, ..sample };
        self.made.is_at(kind, &data.join("contents/x"))?;
        eprintln!("  {} {way:?}: {:.2} s, {}", kind.name(), sample.wall.as_secs_f64(), sample.traffic);
        Ok(sample)
    }

    /// What a peer does, as one types it.
    fn script(&self, way: Way, kind: Kind, data: &Path) -> Outcome<String> {
        let (url, file) = (self.nginx.url(&format!("/{}", kind.file())), self.made.file(kind));
        let (to, sum, from) = (data.join("contents/x"), self.made.sum(kind), text(&file)?);
        let to = text(&to)?;
        let begin = format!("set -e -o pipefail; rm -f {from}.sum; ");
        Ok(begin
            + &match (way, kind) {
                (Way::Floor, Kind::Archive) => format!("mkdir {to}; zstd -dcq {from} | tar -x -C {to}"),
                (Way::Floor, Kind::Plain) => format!("cp {from} {to}"),
                (Way::Pipe, Kind::Archive) => format!(
                    "mkdir {to}; curl -sSf {url} | tee >(sha256sum > {from}.sum) | zstd -dcq | tar -x -C {to}; \
                     while ! grep -q {sum} {from}.sum; do sleep 0.01; done"
                ),
                (Way::Pipe, Kind::Plain) => format!(
                    "curl -sSf {url} | tee >(sha256sum > {from}.sum) > {to}; \
                     while ! grep -q {sum} {from}.sum; do sleep 0.01; done"
                ),
                (_, Kind::Archive) => format!(
                    "{ARIA2} -d {to}.d -o a {url}; echo {sum} {to}.d/a | sha256sum -c --quiet; \
                     mkdir {to}; zstd -dcq {to}.d/a | tar -x -C {to}; rm -r {to}.d"
                ),
                (_, Kind::Plain) => {
                    format!("{ARIA2} --checksum=sha-256={sum} -d {} -o x {url}", text(&data.join("contents"))?)
                }
            })
    }

    fn entry(&self, kind: Kind, with_digest: bool) -> Outcome<Value> {
        let url = self.nginx.url(&format!("/{}", kind.file()));
        let mut entry = json!({"to": "/data/contents/x", "url": url, "via": kind.via()});
        if with_digest {
            entry["checksum"] = json!({"algo": "sha-256", "value": self.made.sum(kind)});
        }
        Ok(json!({"timezone": "UTC", "files": [entry]}))
    }
}

/// Runs the words; the largest resident size of any program that they start.
pub(super) fn cost_of_children(words: &[String]) -> Outcome<u64> {
    let out = std::env::temp_dir().join(format!("offspot-peak-{}", std::process::id()));
    let time = ["/usr/bin/env", "time", "-f", "%M", "-o", text(&out)?].map(str::to_owned);
    let run = tool::run(&time[0], &time[1..].iter().chain(words).map(String::as_str).collect::<Vec<_>>());
    let said = fs::read_to_string(&out).unwrap_or_default();
    let _ = fs::remove_file(&out);
    run?;
    let kilobytes: u64 = said.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    Ok(kilobytes * 1024)
}

fn median(samples: &[(Way, Sample)], way: Way) -> Sample {
    let of: Vec<Sample> = samples.iter().filter(|(of, _)| *of == way).map(|(_, sample)| *sample).collect();
    let middle = |value: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = of.iter().map(value).collect();
        values.sort_unstable();
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        values.get(low).zip(values.get(high)).map_or(0, |(low, high)| low.midpoint(*high))
    };
    let traffic = Traffic {
        read: middle(|sample| sample.traffic.read),
        written: middle(|sample| sample.traffic.written),
        writes: middle(|sample| sample.traffic.writes),
        flushes: middle(|sample| sample.traffic.flushes),
    };
    let wall = Duration::from_micros(middle(|sample| u64::try_from(sample.wall.as_micros()).unwrap_or(u64::MAX)));
    Sample { wall, traffic, peak: middle(|sample| sample.peak) }
}
