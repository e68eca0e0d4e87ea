//! Lines 1, 2, 6 and 15: what loading images writes, reads and takes; ours, `docker load` for each, and `tar -x` of each layer once (F).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::bed::{Bed, Session};
use super::interrupt;
use super::made::Made;
use super::results::{Row, megabytes, ratio, seconds};
use super::sets::Packing;
use super::slow_card::{Traffic, cold};
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Phases of the agent in which it reads or loads tarballs. The engine's start is not among them, nor among what a peer does.
pub(super) const PHASES: &[&str] = &["plan", "images", "services", "done"];

/// One way to bring the images in, and what it cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Until it was done and synced.
    pub wall: Duration,
    /// What went over the card.
    pub traffic: Traffic,
    /// Largest resident size in bytes, where it was looked at.
    pub peak: u64,
}

/// The samples of the three ways.
#[derive(Debug, Default)]
struct Samples {
    floor: Vec<Sample>,
    peer: Vec<Sample>,
    ours: Vec<Sample>,
}

/// Measures one set, packed in one way: floor, peer, ours, ours, peer, floor, as often as wanted; `quick`: each once.
pub fn measure(bed: &Bed, made: &Made, packing: Packing, rounds: usize, quick: bool) -> Outcome<Vec<Row>> {
    let mut samples = Samples::default();
    for _ in 0..rounds {
        samples.floor.push(floor(bed, made, packing)?);
        samples.peer.push(peer(bed, made, packing)?);
        samples.ours.push(ours(bed, made, packing)?);
        if !quick {
            samples.ours.push(ours(bed, made, packing)?);
            samples.peer.push(peer(bed, made, packing)?);
            samples.floor.push(floor(bed, made, packing)?);
        }
    }
    Ok(rows(packing, &median(&samples.floor), &median(&samples.peer), &median(&samples.ours)))
}

fn rows(packing: Packing, floor: &Sample, peer: &Sample, ours: &Sample) -> Vec<Row> {
    let of_floor = |bytes: u64| bytes as f64 / floor.traffic.written as f64;
    let moved = |sample: &Sample| sample.traffic.read + sample.traffic.written;
    let wall = |sample: &Sample| sample.wall.as_secs_f64() / floor.wall.as_secs_f64();
    let most = if packing == Packing::Zst { 1.35 } else { 2.0 };
    let shown = |bytes: u64| format!("{} ({})", ratio(of_floor(bytes)), megabytes(bytes));
    vec![
        Row::new(1, "written / F")
            .at_most(1.05, of_floor(ours.traffic.written))
            .say(&shown(peer.traffic.written), &shown(ours.traffic.written)),
        Row::new(2, "read and written / F")
            .at_most(most, of_floor(moved(ours)))
            .say(&shown(moved(peer)), &shown(moved(ours))),
        Row::new(6, "wall / wall of F").at_most(1.10, wall(ours)).say(
            &format!("{} ({})", ratio(wall(peer)), seconds(peer.wall)),
            &format!("{} ({})", ratio(wall(ours)), seconds(ours.wall)),
        ),
        Row::new(10, "largest resident size, MB")
            .at_most(6.0, ours.peak as f64 / 1e6)
            .say("-", &format!("{:.1}", ours.peak as f64 / 1e6)),
        Row::new(15, "flushes, the engine's with them")
            .say(&peer.traffic.flushes.to_string(), &ours.traffic.flushes.to_string()),
        Row::new(0, "F itself: written, read, wall").say(
            &format!("{} MB, {} MB", floor.traffic.written / 1_000_000, floor.traffic.read / 1_000_000),
            &seconds(floor.wall),
        ),
    ]
}

/// `tar -x` of each layer once, from the card onto the card.
fn floor(bed: &Bed, made: &Made, packing: Packing) -> Outcome<Sample> {
    bed.make_card("layers", &made.layers(packing), 2 * made.unique()?, "")?;
    let session = bed.power_on()?;
    let data = session.mount_data()?;
    cold()?;
    unpack(&session, &files(&data.join("layers"))?, packing)
}

/// `tar -x` of these layers onto the card.
pub(super) fn unpack(session: &Session<'_>, layers: &[PathBuf], packing: Packing) -> Outcome<Sample> {
    let data = session.root().join("data");
    let (before, begun) = (session.card.traffic()?, Instant::now());
    for (number, file) in layers.iter().enumerate() {
        interrupt::check()?;
        let to = data.join(format!("layer-{number}"));
        fs::create_dir(&to).doing(to.display())?;
        let mut words = vec!["--extract", "--numeric-owner", "--file", text(file)?, "--directory", text(&to)?];
        words.extend(packing.tar_option());
        tool::run("tar", &words)?;
    }
    tool::run("sync", &["-f", text(&data)?])?;
    let sample = Sample { wall: begun.elapsed(), traffic: session.card.traffic()? - before, peak: 0 };
    eprintln!("  tar -x: {:.2} s, {}", sample.wall.as_secs_f64(), sample.traffic);
    Ok(sample)
}

/// `docker load` for each tarball, the engine's temporary files on the card.
fn peer(bed: &Bed, made: &Made, packing: Packing) -> Outcome<Sample> {
    bed.make_card("images", &made.tarballs(packing), room(made)?, "")?;
    let session = bed.power_on()?;
    let data = session.mount_data()?;
    session.open_engine()?;
    session.await_engine()?;
    cold()?;
    let (before, begun) = (session.card.traffic()?, Instant::now());
    for file in files(&data.join("images"))? {
        interrupt::check()?;
        session.docker(&["load", "--quiet", "--input", text(&file)?])?;
    }
    tool::run("sync", &["-f", text(&data)?])?;
    let sample = Sample { wall: begun.elapsed(), traffic: session.card.traffic()? - before, peak: 0 };
    loaded(made, &session.docker(&["images", "--quiet"])?)?;
    eprintln!("  docker load: {:.2} s, {}", sample.wall.as_secs_f64(), sample.traffic);
    Ok(sample)
}

/// The agent's first boot, with nothing to do but to load them.
fn ours(bed: &Bed, made: &Made, packing: Packing) -> Outcome<Sample> {
    bed.make_card("images", &made.tarballs(packing), room(made)?, "timezone: UTC\n")?;
    let session = bed.power_on_for(made.largest()?)?;
    session.open_engine()?;
    cold()?;
    let told = session.agent(&[])?;
    loaded(made, &session.docker(&["images", "--quiet"])?)?;
    let (wall, traffic) = told.of(PHASES);
    eprintln!("  ours: {told}");
    Ok(Sample { wall, traffic, peak: told.peak })
}

/// Bytes beside the tarballs: the store, and a whole tarball unpacked once more for the engine.
fn room(made: &Made) -> Outcome<u64> {
    Ok(4 * made.unique()?)
}

pub(super) fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).doing(folder.display())?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

pub(super) fn loaded(made: &Made, listed: &str) -> Outcome<()> {
    let (found, wanted) = (listed.lines().count(), made.set.images.len());
    if found == wanted { Ok(()) } else { Err(Failure::new(format!("the engine has {found} images of {wanted}"))) }
}

pub(super) fn median(samples: &[Sample]) -> Sample {
    let middle = |of: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(of).collect();
        values.sort_unstable();
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        values.get(low).zip(values.get(high)).map_or(0, |(low, high)| low.midpoint(*high))
    };
    Sample {
        wall: Duration::from_micros(middle(|sample| u64::try_from(sample.wall.as_micros()).unwrap_or(u64::MAX))),
        traffic: Traffic {
            read: middle(|sample| sample.traffic.read),
            written: middle(|sample| sample.traffic.written),
            writes: middle(|sample| sample.traffic.writes),
            flushes: middle(|sample| sample.traffic.flushes),
        },
        peak: middle(|sample| sample.peak),
    }
}
