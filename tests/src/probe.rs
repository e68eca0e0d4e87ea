//! Questions put to a booted card from the inside, without a login and without touching the image.
//!
//! A unit comes with the kernel's command line as a systemd credential (systemd.extra-unit.*, systemd-debug-generator(8)); its script
//! lies on a second disk, the answers go onto that disk, and a word there switches the machine off.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::qemu::{Guest, Mailbox};
use crate::tool::{Failure, Outcome};

/// What the console says when the answers are there.
const DONE: &str = "offspot-probe: answered";
/// The disk: script, then the word that switches off, then the answers.
const SIZE: u64 = 64 << 20;
const WORD_AT: u64 = 60 << 10;
const ANSWERS_AT: u64 = 1 << 20;
const OFF_LIMIT: Duration = Duration::from_secs(300);

const SCRIPT: &str = r#"
disk=/dev/disk/by-id/virtio-probe
ask() { echo "=== $1"; shift; "$@" 2>&1; }
state=$(systemctl is-system-running --wait)
journalctl -b -o short-monotonic --no-pager > /run/offspot-probe.journal
{
ask state echo "$state"
ask failed systemctl list-units --failed --plain --no-legend --no-pager
ask emergency systemctl is-active emergency.target rescue.target
ask status cat /run/offspot/status.json
ask mounts cat /proc/mounts
ask controllers cat /sys/fs/cgroup/cgroup.controllers
ask swaps cat /proc/swaps
ask units systemctl list-units --plain --no-legend --no-pager --state=active --type=service
ask cycles grep -i "ordering cycle" /run/offspot-probe.journal
ask journal cat /run/offspot-probe.journal
if [ "$times" = yes ]; then
ask time systemd-analyze time --no-pager
ask blame systemd-analyze blame --no-pager
ask chain systemd-analyze critical-chain --no-pager
ask security systemd-analyze security --no-pager offspot-agent.service
fi
echo "=== end"
} > /run/offspot-probe.answers
dd if=/run/offspot-probe.answers of=$disk bs=1M seek=1 conv=notrunc,fsync 2>/dev/null
echo "offspot-probe: answered" > /dev/console
until dd if=$disk bs=4096 skip=15 count=1 iflag=direct 2>/dev/null | grep -q off; do sleep 1; done
systemctl poweroff
"#;

/// The answers of one boot, by question.
pub type Answers = BTreeMap<String, String>;

/// A probe that is not asked yet.
#[derive(Debug)]
pub struct Probe {
    mailbox: Mailbox,
}

impl Probe {
    /// Makes the disk at `path`; `times`: also ask systemd-analyze, which takes a slow machine half a minute.
    pub fn new(path: &Path, times: bool) -> Outcome<Probe> {
        let mailbox = Mailbox::new(path, SIZE)?;
        let times = if times { "times=yes" } else { "times=not" };
        mailbox.put(0, times.as_bytes())?;
        mailbox.put(times.len() as u64, SCRIPT.as_bytes())?;
        Ok(Probe { mailbox })
    }

    /// Words for the kernel that bring the unit in, and the journal to the console.
    pub fn words() -> Vec<String> {
        let unit = format!(
            "[Unit]\nDefaultDependencies=no\nAfter=multi-user.target\n[Service]\n\
             ExecStart=/bin/sh -c 'head -c {} /dev/disk/by-id/virtio-probe >/run/offspot-probe; exec /bin/sh /run/offspot-probe'\n",
            SCRIPT.len() + "times=yes".len()
        );
        let unit = BASE64_STANDARD.encode(unit);
        vec![
            format!("systemd.set_credential_binary=systemd.extra-unit.offspot-probe.service:{unit}"),
            "systemd.wants=offspot-probe.service".to_owned(),
            "systemd.journald.forward_to_console=1".to_owned(),
            "systemd.journald.max_level_console=info".to_owned(),
        ]
    }

    /// Waits for the answers.
    pub fn answers(&mut self, guest: &mut Guest, limit: Duration) -> Outcome<Answers> {
        guest.wait_for(DONE, limit)?;
        let answers = sections(&self.mailbox.get(ANSWERS_AT)?);
        if answers.contains_key("end") {
            return Ok(answers);
        }
        Err(guest.failure("the answers from inside are torn"))
    }

    /// Has the machine switch itself off, and waits for it.
    pub fn switch_off(&self, guest: &mut Guest) -> Outcome<()> {
        self.mailbox.put(WORD_AT, b"off\n")?;
        guest.wait_off(OFF_LIMIT)
    }
}

/// The answer to a question; one that was not asked is a failure.
pub fn answer<'a>(answers: &'a Answers, question: &str) -> Outcome<&'a str> {
    answers.get(question).map(|text| text.trim()).ok_or_else(|| Failure::new(format!("{question} was not asked")))
}

fn sections(text: &str) -> Answers {
    let mut answers = Answers::new();
    let mut current = String::new();
    for line in text.lines() {
        match line.strip_prefix("=== ") {
            Some(name) => current = name.to_owned(),
            None => answers.entry(current.clone()).or_default().extend([line, "\n"]),
        }
        answers.entry(current.clone()).or_default();
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_and_an_empty_one_is_an_answer() {
        let answers = sections("=== failed\n=== time\na\nb\n=== end\n");
        assert_eq!(answer(&answers, "failed").unwrap(), "");
        assert_eq!(answer(&answers, "time").unwrap(), "a\nb");
        assert!(answer(&answers, "other").is_err());
        assert!(answers.contains_key("end"));
    }

    #[test]
    fn the_script_and_the_command_line_fit() {
        assert!((SCRIPT.len() as u64) < WORD_AT);
        // COMMAND_LINE_SIZE of arm64 is 2048, and the card's own words want room.
        let length: usize = Probe::words().iter().map(|word| word.len() + 1).sum();
        assert!(length < 1200, "{length}");
    }
}
