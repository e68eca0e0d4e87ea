//! The LED as someone sees it who stands before the box: sampled from outside, and read as what README's table says of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::qmp::Qmp;
use crate::tool::{Doing, Outcome};

/// Time between two samples; the shortest flash lasts 250 ms.
const SAMPLE: Duration = Duration::from_millis(80);
const CONNECT: Duration = Duration::from_secs(20);

/// The register and the bit that the LED hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Physical address of a 32 bit register.
    pub address: u64,
    /// Its bit.
    pub bit: u32,
}

/// One look: seconds since the power came on, and whether it was lit.
pub type Sample = (f64, bool);

/// What the LED said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Even slow blinking: one second on, one off.
    Working,
    /// Lit, without a break.
    Steady,
    /// One long flash and so many short ones, seen at least twice in a row.
    Code(u8),
}

/// A signal, and when it was first seen, in seconds since the power came on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// Begin of it.
    pub at: f64,
    /// What it was.
    pub signal: Signal,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = match self.signal {
            Signal::Working => "slow even blinking".to_owned(),
            Signal::Steady => "steady".to_owned(),
            Signal::Code(count) => format!("one long flash and {count} short"),
        };
        write!(f, "{signal} from {:.0} s", self.at)
    }
}

/// A time during which the LED did not change.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    lit: bool,
    at: f64,
    length: f64,
}

/// The shortest time lit that is no flash.
const STEADY: f64 = 5.0;
/// A code's pause is 2.35 s long; every other dark time of a code, and of the slow blinking, is shorter than this.
const PAUSE: f64 = 1.75;
/// Half a period of the slow blinking is 1 s.
const HALF: std::ops::RangeInclusive<f64> = 0.6..=1.5;
/// So many halves make it a blinking: three periods.
const HALVES: usize = 6;

/// Reads samples in order of time. The machine is noisy, so lengths are taken coarsely, and what fits nothing is passed over.
pub fn decode(samples: &[Sample]) -> Vec<Shown> {
    let runs = runs(samples);
    let (mut shown, mut at): (Vec<Shown>, usize) = (Vec::new(), 0);
    while at < runs.len() {
        let (signal, length) = match signal_at(&runs[at..]) {
            Some(found) => found,
            None => {
                at += 1;
                continue;
            }
        };
        if shown.last().is_none_or(|last| last.signal != signal) {
            shown.push(Shown { at: runs[at].at, signal });
        }
        at += length;
    }
    shown
}

/// The signal that begins with the first of these, and how many runs it takes.
fn signal_at(runs: &[Run]) -> Option<(Signal, usize)> {
    if runs.first().is_none_or(|run| !run.lit) {
        return None;
    }
    if runs[0].length >= STEADY {
        return Some((Signal::Steady, 1));
    }
    let halves = runs.iter().take_while(|run| HALF.contains(&run.length)).count();
    if halves >= HALVES {
        return Some((Signal::Working, halves));
    }
    let (first, length) = code(runs)?;
    let (second, _) = code(&runs[length..])?;
    (first == second).then_some((Signal::Code(first), length))
}

/// One round of a code: a flash, shorter ones, a pause; how many shorter ones, and how many runs.
fn code(runs: &[Run]) -> Option<(u8, usize)> {
    let pause = runs.iter().position(|run| !run.lit && run.length >= PAUSE)?;
    let flashes: Vec<f64> = runs[..pause].iter().filter(|run| run.lit).map(|run| run.length).collect();
    let (long, short) = flashes.split_first()?;
    let is_code = !short.is_empty() && *long < STEADY && short.iter().all(|short| short * 2.0 < *long);
    if is_code { Some((u8::try_from(short.len()).ok()?, pause + 1)) } else { None }
}

fn runs(samples: &[Sample]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &(at, lit) in samples {
        if let Some(last) = runs.last_mut() {
            last.length = at - last.at;
            if last.lit == lit {
                continue;
            }
        }
        runs.push(Run { lit, at, length: 0.0 });
    }
    runs
}

/// A watch on the LED of a running machine; ends with the machine, or when it is dropped.
#[derive(Debug)]
pub struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Samples `wire` over the QMP socket from now on.
    pub fn start(socket: &Path, wire: Wire) -> Outcome<Watch> {
        let (samples, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, end, socket) = (samples.clone(), ended.clone(), PathBuf::from(socket));
        let begun = Instant::now();
        let thread = std::thread::Builder::new().spawn(move || {
            // A machine that has ended answers no more: what was seen until then is what there is.
            let _ = look(&socket, wire, begun, &seen, &end);
        });
        Ok(Watch { samples, ended, thread: Some(thread.doing("watching the LED")?) })
    }

    /// What was seen so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the LED has shown `signal`; false when `limit` is over first.
    pub fn wait_for(&self, signal: Signal, limit: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if decode(&self.samples()).iter().any(|shown| shown.signal == signal) {
                return true;
            }
            if begun.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(socket: &Path, wire: Wire, begun: Instant, seen: &Mutex<Vec<Sample>>, ended: &AtomicBool) -> Outcome<()> {
    let mut qmp = Qmp::connect(socket, CONNECT)?;
    while !ended.load(Ordering::Relaxed) {
        let lit = qmp.memory(wire.address, 1)?[0] >> wire.bit & 1 == 1;
        let sample = (begun.elapsed().as_secs_f64(), lit);
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        std::thread::sleep(SAMPLE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples every 100 ms, each up to `late` of a second late, of times lit (even places) and dark (odd places).
    fn sampled(lengths: &[f64], late: f64) -> Vec<Sample> {
        let mut edges = vec![0.0];
        lengths.iter().for_each(|length| edges.push(edges[edges.len() - 1] + length));
        let end = edges[edges.len() - 1];
        let times = (0..).map(|n| f64::from(n) * 0.1 + f64::from(n * 7 % 11) / 11.0 * late).take_while(|at| *at < end);
        times.map(|at| (at, edges.iter().filter(|edge| **edge <= at).count() % 2 == 1)).collect()
    }

    fn signals(lengths: &[f64], late: f64) -> Vec<Signal> {
        decode(&sampled(lengths, late)).iter().map(|shown| shown.signal).collect()
    }

    fn round(count: usize) -> Vec<f64> {
        let mut lengths = vec![1.5, 0.35];
        (0..count).for_each(|_| lengths.extend([0.25, 0.35]));
        lengths[count * 2 + 1] += 2.0;
        lengths
    }

    #[test]
    fn a_boot_that_works_and_is_ready() {
        let mut lengths = vec![0.0, 4.0];
        lengths.extend([1.0; 20]);
        lengths.push(60.0);
        for late in [0.0, 0.09, 0.3] {
            assert_eq!(signals(&lengths, late), [Signal::Working, Signal::Steady], "late by {late}");
        }
    }

    #[test]
    fn every_code_is_read_as_itself() {
        for count in 1..=9 {
            let mut lengths = vec![1.0; 10];
            lengths.extend(round(count).repeat(4));
            let code = Signal::Code(u8::try_from(count).unwrap());
            assert_eq!(signals(&lengths, 0.08), [Signal::Working, code], "{count}");
        }
    }

    #[test]
    fn what_is_no_signal_is_not_read_as_one() {
        assert_eq!(signals(&[0.0, 60.0], 0.0), []);
        assert_eq!(signals(&[0.2, 0.3, 0.1, 0.5, 0.2, 3.0, 0.1, 9.0], 0.0), []);
        assert_eq!(signals(&round(3), 0.0), [], "a single round may be a fault");
        assert_eq!(signals(&[1.0, 1.0, 1.0, 1.0], 0.0), [], "two periods may be chance");
        assert_eq!(signals(&[0.5; 40], 0.0), [], "twice as fast is another signal");
        assert_eq!(signals(&[2.0; 40], 0.0), []);
    }

    #[test]
    fn the_time_of_a_signal_is_where_it_begins() {
        let mut lengths = vec![0.0, 3.0];
        lengths.extend([1.0; 8]);
        let shown = decode(&sampled(&lengths, 0.0));
        assert!((shown[0].at - 3.0).abs() < 0.2, "{shown:?}");
    }
}
