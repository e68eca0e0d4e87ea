//! What a long lossy line makes of a fetch: 200 ms there and back, 2 % of the packets lost each way, connections that share as most do (cubic).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::interrupt;
use super::results::{Row, ratio};
use crate::fetch_box::{FetchBox, entry, summed};
use crate::netns::{Line, Network, SERVER};
use crate::servers::nginx::{Nginx, Serving};
use crate::servers::seeded::Seeded;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Long enough for the beginning of a connection not to matter.
const BYTES: u64 = 4_000_000;
const LINE: Line = Line { delay: Duration::from_millis(100), lost: 20, rate: Some(2_000_000) };
/// aria2 with the incumbent's options has one connection for a file of this size; with five it shows what those could give.
const WAYS: [&str; 4] = ["curl", "aria2c", "aria2c, five connections", "ours"];

/// Bytes a second of each way over the same line, in turn and back.
pub fn measure(work: &Path, agent: &Path, rounds: usize, quick: bool) -> Outcome<Vec<Row>> {
    let served = work.join("line");
    fs::create_dir_all(&served).doing(served.display())?;
    Seeded::new(51, BYTES).write(&served.join("x"))?;
    let network = Network::new(LINE)?;
    network.congestion("cubic")?;
    let place = Some((network.server.name.clone(), SERVER.to_owned()));
    let nginx = Nginx::start(&Serving { place, ..Serving::files(&served) }, &work.join("line-nginx"))?;
    let mut took = [Duration::ZERO; WAYS.len()];
    for _ in 0..rounds {
        let back = (0..WAYS.len()).rev().filter(|_| !quick);
        for way in (0..WAYS.len()).chain(back) {
            interrupt::check()?;
            let one = one(way, &network, &nginx.url("/x"), agent, work)?;
            eprintln!("  200 ms, 2 % lost, {}: {:.1} s", WAYS[way], one.as_secs_f64());
            took[way] += one;
        }
    }
    let runs = (rounds * if quick { 1 } else { 2 }) as f64;
    let rate = |way: usize| format!("{:.0} kB/s", BYTES as f64 * runs / took[way].as_secs_f64() / 1e3);
    let of_curl = |way: usize| took[0].as_secs_f64() / took[way].as_secs_f64();
    let shown = |way: usize| format!("{} ({})", ratio(of_curl(way)), rate(way));
    let peers = format!("curl 1.00 ({}), aria2c {}, with five connections {}", rate(0), shown(1), shown(2));
    Ok(vec![Row::new(0, "200 ms and 2 % lost: throughput / curl's").say(&peers, &shown(3))])
}

fn one(way: usize, network: &Network, url: &str, agent: &Path, work: &Path) -> Outcome<Duration> {
    let to = work.join("line-out");
    let _ = fs::remove_file(&to);
    let inside = network.client.words();
    let mut words: Vec<&str> = inside.iter().skip(1).map(String::as_str).collect();
    let (folder, file) = (format!("--dir={}", work.display()), "--out=line-out");
    let aria2 = ["aria2c", "-q", "--allow-overwrite=true", "--split=5", &folder, file];
    match way {
        0 => words.extend(["curl", "-sSf", "-o", text(&to)?, url]),
        1 => words.extend(aria2.into_iter().chain(["--min-split-size=20M", url])),
        2 => words.extend(aria2.into_iter().chain(["--min-split-size=1M", "--max-connection-per-server=5", url])),
        _ => return ours(network, url, agent),
    }
    let begun = Instant::now();
    tool::run("ip", &words)?;
    let took = begun.elapsed();
    match fs::metadata(&to).map_or(0, |meta| meta.len()) {
        BYTES => Ok(took),
        other => Err(Failure::new(format!("{other} bytes came over the line, not {BYTES}"))),
    }
}

/// The agent's whole run, of which the rest is some tens of milliseconds.
fn ours(network: &Network, url: &str, agent: &Path) -> Outcome<Duration> {
    let mut this = FetchBox::with_agent("line", agent)?;
    this.words = network.client.words();
    // In real time.
    this.environment.push(("OFFSPOT_FETCH_PACE", "1".into()));
    this.wants(&[summed(entry("x", url), "sha-256", &Seeded::new(51, BYTES).sha256())])?;
    let begun = Instant::now();
    let fetched = this.run()?;
    let took = begun.elapsed();
    if fetched.code == 0 { Ok(took) } else { Err(Failure::new(fetched.said)) }
}
