//! The LED, through `/sys/class/leds` (kernel: Documentation/leds/leds-class.rst).
//!
//! The kernel blinks: it goes on while the agent is busy. Where it has no `timer` or `pattern` trigger (both are modules, and loading
//! one is not for a service without that capability) the agent blinks itself.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::{Status, Verdict};
use crate::host::Host;

/// Half a period of "waiting or working".
const SLOW: u64 = 1000;
const LONG: u64 = 1500;
const SHORT: u64 = 250;
const GAP: u64 = 350;
const PAUSE: u64 = 2000;
/// How long the LED tells the verdict.
const HOLD: Duration = Duration::from_secs(60);
/// Longest wait for the LED: its driver may be a module that is loaded while the agent starts.
const PATIENCE: Duration = Duration::from_secs(20);

/// One LED of the board.
#[derive(Debug, Clone)]
pub struct Led {
    folder: PathBuf,
    /// The trigger to give back.
    own: String,
    /// All triggers the kernel offers for it.
    triggers: Vec<String>,
    /// What it takes to light it in full.
    brightest: String,
}

impl Led {
    /// The LED `named`, else `ACT`, else `led0`; `None` where the board has none of them.
    pub fn find(host: &Host, named: Option<&str>) -> Option<Led> {
        let names: &[&str] = if let Some(name) = &named { std::slice::from_ref(name) } else { &["ACT", "led0"] };
        names.iter().find_map(|name| Led::open(&host.leds().join(name)))
    }

    fn open(folder: &Path) -> Option<Led> {
        let offered = std::fs::read_to_string(folder.join("trigger")).ok()?;
        let triggers: Vec<String> = offered.split_whitespace().map(|t| t.trim_matches(['[', ']']).to_owned()).collect();
        let current = offered.split_whitespace().find_map(|t| t.strip_prefix('[')?.strip_suffix(']')).unwrap_or("none");
        // A boot that died left our trigger behind: then the board's usual one is given back.
        let own = match current {
            "timer" | "pattern" | "none" => {
                ["actpwr", "mmc0", "default-on"].into_iter().find(|t| triggers.iter().any(|offered| offered == t))
            }
            other => Some(other),
        };
        let brightest = std::fs::read_to_string(folder.join("max_brightness")).unwrap_or_default();
        let brightest = if brightest.trim().is_empty() { "1" } else { brightest.trim() }.to_owned();
        Some(Led { folder: folder.to_owned(), own: own.unwrap_or("none").to_owned(), triggers, brightest })
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(file), value)
    }

    fn offers(&self, trigger: &str) -> bool {
        self.triggers.iter().any(|offered| offered == trigger)
    }

    /// Slow even blink for as long as this is awaited.
    async fn working(&self) -> io::Result<()> {
        if self.offers("timer") {
            self.set("trigger", "timer")?;
            self.set("delay_on", &SLOW.to_string())?;
            self.set("delay_off", &SLOW.to_string())?;
            return std::future::pending().await;
        }
        self.set("trigger", "none")?;
        loop {
            self.blink(&[(true, SLOW), (false, SLOW)]).await?;
        }
    }

    async fn blink(&self, flashes: &[(bool, u64)]) -> io::Result<()> {
        for (on, milliseconds) in flashes {
            self.set("brightness", if *on { &self.brightest } else { "0" })?;
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
        }
        Ok(())
    }

    /// Steady.
    fn steady(&self) -> io::Result<()> {
        self.set("trigger", "none")?;
        self.set("brightness", &self.brightest)
    }

    /// One long flash and `count` short ones for as long as `hold` lasts, or until the next boot where the kernel can.
    async fn code(&self, count: u8, hold: Duration) -> io::Result<()> {
        if self.offers("pattern") {
            self.set("trigger", "pattern")?;
            return self.set("pattern", &pattern(count, &self.brightest));
        }
        self.set("trigger", "none")?;
        let end = tokio::time::Instant::now() + hold;
        while tokio::time::Instant::now() < end {
            self.blink(&flashes(count)).await?;
        }
        self.give_back()
    }

    /// The LED's own trigger again.
    fn give_back(&self) -> io::Result<()> {
        self.set("trigger", &self.own)
    }
}

/// One round of a code: (on, milliseconds).
fn flashes(count: u8) -> Vec<(bool, u64)> {
    let mut flashes = vec![(true, LONG), (false, GAP)];
    for _ in 0..count {
        flashes.extend([(true, SHORT), (false, GAP)]);
    }
    flashes.push((false, PAUSE));
    flashes
}

/// A round for the `pattern` trigger: each step doubled with 0 ms, since the kernel dims gradually between steps.
fn pattern(count: u8, brightest: &str) -> String {
    let steps = flashes(count).into_iter().map(|(on, milliseconds)| {
        let level = if on { brightest } else { "0" };
        format!("{level} {milliseconds} {level} 0")
    });
    steps.collect::<Vec<_>>().join(" ")
}

/// How long the LED tells the verdict where nothing else is asked for: not on a development machine, whose LED is not ours.
pub fn hold(host: &Host, asked: Option<u64>) -> Duration {
    asked.map_or(if host.is_live() { HOLD } else { Duration::ZERO }, Duration::from_secs)
}

/// Follows the status on the LED `named`; after the verdict it holds it for `hold`, then gives it back unless it tells a problem.
pub async fn follow(host: Host, named: Option<String>, mut status: watch::Receiver<Status>, hold: Duration) {
    let Some(led) = appeared(&host, named.as_deref()).await else { return };
    let told = tokio::select! {
        told = verdict(&mut status) => told,
        // It ends with an error only.
        failed = led.working() => {
            failed.unwrap_or_else(warn);
            verdict(&mut status).await
        }
    };
    let Some(told) = told else { return };
    let result = match told.verdict {
        Verdict::Ready => {
            let steady = led.steady();
            tokio::time::sleep(hold).await;
            steady.and_then(|()| led.give_back())
        }
        Verdict::Interrupted => led.give_back(),
        _ => led.code(told.foremost().map_or(1, |facts| facts.area.led_count()), hold).await,
    };
    result.unwrap_or_else(warn);
}

async fn verdict(status: &mut watch::Receiver<Status>) -> Option<Status> {
    Some(status.wait_for(|status| status.verdict != Verdict::Working).await.ok()?.clone())
}

/// The LED, waited for on a live host.
async fn appeared(host: &Host, named: Option<&str>) -> Option<Led> {
    let end = tokio::time::Instant::now() + if host.is_live() { PATIENCE } else { Duration::ZERO };
    loop {
        match Led::find(host, named) {
            Some(led) => return Some(led),
            None if tokio::time::Instant::now() >= end => return None,
            None => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}

fn warn(error: io::Error) {
    tracing::warn!("setting the LED: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(name: &str, trigger: &str) -> (Host, PathBuf) {
        let root = std::env::temp_dir().join(format!("offspot-led-{name}-{}", std::process::id()));
        let folder = root.join("sys/class/leds/ACT");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("trigger"), trigger).unwrap();
        std::fs::write(folder.join("max_brightness"), "255\n").unwrap();
        (Host::new(root), folder)
    }

    fn on_a_runtime(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), work).await.expect("in time") });
    }

    /// From `WORKING`, once `file` holds `sign` of it, to `READY`.
    fn followed(host: &Host, file: PathBuf, sign: &'static str) {
        on_a_runtime(async {
            let (report, status) = crate::report::Reporter::new();
            let following = tokio::spawn(follow(host.clone(), None, status, Duration::ZERO));
            while std::fs::read_to_string(&file).unwrap_or_default() != sign {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            report.verdict(Verdict::Ready);
            following.await.unwrap();
        });
    }

    #[test]
    fn the_kernel_blinks_and_its_trigger_is_given_back() {
        let (host, folder) = led("found", "none timer [mmc0] pattern\n");
        followed(&host, folder.join("delay_off"), "1000");
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "mmc0");
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn without_the_kernels_triggers_the_agent_blinks() {
        let (host, folder) = led("own", "none [mmc0]\n");
        followed(&host, folder.join("brightness"), "0");
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "mmc0");
        on_a_runtime(async {
            let led = Led::find(&host, None).unwrap();
            led.code(0, Duration::from_millis(1)).await.unwrap();
        });
        assert_eq!(std::fs::read_to_string(folder.join("brightness")).unwrap(), "0", "a round ends dark");
        assert!(!folder.join("pattern").exists());
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn after_a_boot_that_died_the_boards_usual_trigger_is_given_back() {
        let (host, _) = led("died", "none [timer] mmc0 actpwr\n");
        assert_eq!(Led::find(&host, None).unwrap().own, "actpwr");
        std::fs::remove_dir_all(host.root()).unwrap();
    }

    #[test]
    fn a_code_is_one_long_flash_and_n_short() {
        assert_eq!(flashes(3).iter().filter(|(on, _)| *on).count(), 4);
        assert_eq!(pattern(1, "255"), "255 1500 255 0 0 350 0 0 255 250 255 0 0 350 0 0 0 2000 0 0");
    }
}
