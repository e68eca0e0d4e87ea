//! The LED, through `/sys/class/leds` (kernel: Documentation/leds/leds-class.rst).
//!
//! The kernel blinks: it goes on while the agent is busy. Where it has no `pattern` trigger the code is blinked from here.

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

/// One LED of the board.
#[derive(Debug, Clone)]
pub struct Led {
    folder: PathBuf,
    /// The trigger to give back.
    own: String,
    /// All triggers the kernel offers for it.
    triggers: Vec<String>,
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
        Some(Led { folder: folder.to_owned(), own: own.unwrap_or("none").to_owned(), triggers })
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(file), value)
    }

    /// Slow even blink.
    pub fn working(&self) -> io::Result<()> {
        self.set("trigger", "timer")?;
        self.set("delay_on", &SLOW.to_string())?;
        self.set("delay_off", &SLOW.to_string())
    }

    /// Steady.
    fn steady(&self) -> io::Result<()> {
        self.set("trigger", "none")?;
        self.set("brightness", &self.brightest())
    }

    /// One long flash and `count` short ones for as long as `hold` lasts, or until the next boot where the kernel can.
    async fn code(&self, count: u8, hold: Duration) -> io::Result<()> {
        if self.triggers.iter().any(|trigger| trigger == "pattern") {
            self.set("trigger", "pattern")?;
            return self.set("pattern", &pattern(count, &self.brightest()));
        }
        self.set("trigger", "none")?;
        let brightest = self.brightest();
        let end = tokio::time::Instant::now() + hold;
        while tokio::time::Instant::now() < end {
            for (on, milliseconds) in flashes(count) {
                self.set("brightness", if on { &brightest } else { "0" })?;
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            }
        }
        self.give_back()
    }

    fn brightest(&self) -> String {
        let read = std::fs::read_to_string(self.folder.join("max_brightness")).unwrap_or_default();
        if read.trim().is_empty() { "1".into() } else { read.trim().to_owned() }
    }

    /// The LED's own trigger again.
    pub fn give_back(&self) -> io::Result<()> {
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

/// Follows the status; after the verdict it holds the LED for `hold`, then gives it back unless it tells a problem.
pub async fn follow(led: Led, mut status: watch::Receiver<Status>, hold: Duration) {
    let Ok(told) = status.wait_for(|status| status.verdict != Verdict::Working).await.map(|status| status.clone())
    else {
        return;
    };
    let result = match told.verdict {
        Verdict::Ready => {
            let steady = led.steady();
            tokio::time::sleep(hold).await;
            steady.and_then(|()| led.give_back())
        }
        _ => led.code(told.foremost().map_or(1, |facts| facts.area.led_count()), hold).await,
    };
    if let Err(error) = result {
        tracing::warn!("setting the LED: {error}");
    }
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

    #[test]
    fn gives_back_the_trigger_it_found() {
        let (host, folder) = led("found", "none timer [mmc0] pattern\n");
        let led = Led::find(&host, None).unwrap();
        led.working().unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "timer");
        led.give_back().unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "mmc0");
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
