//! Lines 1, 2, 6 and 10 of images that come from a registry: ours, and `skopeo copy` to a tarball with `docker load` after it; F is `tar -x` of
//! each layer once, packed as the registry has it, from elsewhere.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::bed::{Bed, Session};
use super::fetch::cost_of_children;
use super::images::{PHASES, Sample, files, loaded, median, unpack};
use super::interrupt;
use super::made::Made;
use super::results::{Row, megabytes, ratio, seconds};
use super::sets::Packing;
use super::slow_card::cold;
use crate::registry::Registry;
use crate::tool::{self, Doing, Outcome, text};

/// How the registry has the layers: as nearly all of them are.
const PACKING: Packing = Packing::Gz;

/// Measures one set: floor, peer, ours, ours, peer, floor, as often as wanted; `quick`: each once.
pub fn measure(bed: &Bed, made: &Made, rounds: usize, quick: bool) -> Outcome<Vec<Row>> {
    let registry = Registry::start();
    for (tarball, reference) in made.tarballs(Packing::Plain).iter().zip(references(&registry, made)) {
        let (from, to) = (format!("docker-archive:{}", text(tarball)?), format!("docker://{reference}"));
        tool::run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", &from, &to])?;
    }
    let (mut floors, mut peers, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.push(floor(bed, made)?);
        peers.push(peer(bed, made, &registry)?);
        own.push(ours(bed, made, &registry)?);
        if !quick {
            own.push(ours(bed, made, &registry)?);
            peers.push(peer(bed, made, &registry)?);
            floors.push(floor(bed, made)?);
        }
    }
    Ok(rows(&median(&floors), &median(&peers), &median(&own)))
}

fn rows(floor: &Sample, peer: &Sample, ours: &Sample) -> Vec<Row> {
    let of_floor = |sample: &Sample| sample.traffic.written as f64 / floor.traffic.written as f64;
    let wall = |sample: &Sample| sample.wall.as_secs_f64() / floor.wall.as_secs_f64();
    let written = |sample: &Sample| format!("{} ({})", ratio(of_floor(sample)), megabytes(sample.traffic.written));
    let read = |sample: &Sample| megabytes(sample.traffic.read);
    let took = |sample: &Sample| format!("{} ({})", ratio(wall(sample)), seconds(sample.wall));
    let peak = |sample: &Sample| format!("{:.1}", sample.peak as f64 / 1e6);
    vec![
        Row::new(1, "written / F").at_most(1.05, of_floor(ours)).say(&written(peer), &written(ours)),
        Row::new(2, "read back, MB").say(&read(peer), &read(ours)),
        Row::new(6, "wall / wall of F").at_most(1.10, wall(ours)).say(&took(peer), &took(ours)),
        Row::new(10, "largest resident size, MB (peer: skopeo)")
            .at_most(6.0, ours.peak as f64 / 1e6)
            .say(&peak(peer), &peak(ours)),
        Row::new(0, "F itself: written, wall").say(&megabytes(floor.traffic.written), &seconds(floor.wall)),
    ]
}

/// What the images of a set are called in the registry.
fn references(registry: &Registry, made: &Made) -> Vec<String> {
    let name = |image: &str| format!("{}/bench/{image}:1", registry.host);
    made.set.images.iter().map(|(image, _)| name(image)).collect()
}

/// A fresh card that has been booted once: grown and checked, for all ways alike. Everything that is not on it is warm, as a server's would be.
fn session<'b>(bed: &'b Bed, made: &Made) -> Outcome<Session<'b>> {
    bed.make_card("images", &[], 4 * made.unique()?, "timezone: UTC\n")?;
    let session = bed.power_on_for(made.largest()?)?;
    session.agent(&[])?;
    tool::run("sync", &["-f", text(&session.root().join("data"))?])?;
    cold()?;
    Ok(session)
}

fn floor(bed: &Bed, made: &Made) -> Outcome<Sample> {
    unpack(&session(bed, made)?, &made.layers(PACKING), PACKING)
}

/// Each image as a tarball on the card, then into the engine, then away with it.
fn peer(bed: &Bed, made: &Made, registry: &Registry) -> Outcome<Sample> {
    let session = session(bed, made)?;
    let data = session.root().join("data");
    session.open_engine()?;
    session.await_engine()?;
    let (before, begun, mut peak) = (session.card.traffic()?, Instant::now(), 0);
    for reference in references(registry, made) {
        interrupt::check()?;
        let file = data.join("images/image.tar");
        let (from, to) = (format!("docker://{reference}"), format!("docker-archive:{}:{reference}", text(&file)?));
        let words = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", &from, &to].map(str::to_owned);
        peak = peak.max(cost_of_children(&words)?);
        session.docker(&["load", "--quiet", "--input", text(&file)?])?;
        fs::remove_file(&file).doing(file.display())?;
    }
    tool::run("sync", &["-f", text(&data)?])?;
    let sample = Sample { wall: begun.elapsed(), traffic: session.card.traffic()? - before, peak };
    loaded(made, &session.docker(&["images", "--quiet"])?)?;
    eprintln!("  skopeo and docker load: {:.2} s, {}", sample.wall.as_secs_f64(), sample.traffic);
    Ok(sample)
}

/// The agent, with nothing to do but to bring them.
fn ours(bed: &Bed, made: &Made, registry: &Registry) -> Outcome<Sample> {
    let session = session(bed, made)?;
    let (images, host) = (references(registry, made), &registry.host);
    let settings = json!({"timezone": "UTC", "oci_images": images, "registries": {host: {"insecure": true}}});
    session.settings(&settings.to_string())?;
    session.open_engine()?;
    let told = session.agent(&[])?;
    loaded(made, &session.docker(&["images", "--quiet"])?)?;
    let left = files(&session.root().join("data/images"))?;
    assert!(left.is_empty(), "a tarball was written: {left:?}");
    let (wall, traffic): (Duration, _) = told.of(PHASES);
    eprintln!("  ours: {told}");
    Ok(Sample { wall, traffic, peak: told.peak })
}
