//! QEMU's machine protocol over its socket (QMP, docs/interop/qmp-spec in QEMU): commands in, answers out.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::tool::{Doing, Failure, Outcome};

/// Longest wait for one answer: an emulator on a busy machine may be slow.
const ANSWER: Duration = Duration::from_secs(30);

/// One connection; QEMU takes one client at a time.
#[derive(Debug)]
pub struct Qmp {
    answers: BufReader<UnixStream>,
    commands: UnixStream,
}

impl Qmp {
    /// Connects as soon as the socket is there, and agrees on capabilities.
    pub fn connect(socket: &Path, limit: Duration) -> Outcome<Qmp> {
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Err(_) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
                stream => break stream.doing(format!("QEMU's socket {}", socket.display()))?,
            }
        };
        stream.set_read_timeout(Some(ANSWER)).doing("QEMU's socket")?;
        let commands = stream.try_clone().doing("QEMU's socket")?;
        let mut qmp = Qmp { answers: BufReader::new(stream), commands };
        qmp.read()?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and gives its `return`.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Outcome<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.commands.write_all(line.as_bytes()).doing(command)?;
        loop {
            let mut said = self.read()?;
            if said.get("event").is_some() {
                continue;
            }
            return match said.get_mut("return") {
                Some(value) => Ok(value.take()),
                None => Err(Failure::new(format!("QEMU refuses {command}: {said}"))),
            };
        }
    }

    /// Words of physical memory, by the monitor's `xp`.
    pub fn memory(&mut self, address: u64, words: usize) -> Outcome<Vec<u32>> {
        let command = format!("xp /{words}wx {address:#x}");
        let said = self.execute("human-monitor-command", &json!({ "command-line": command }))?;
        let values = words_of(said.as_str().unwrap_or_default());
        let enough = values.len() == words;
        if enough { Ok(values) } else { Err(Failure::new(format!("QEMU's {command} says: {said}"))) }
    }

    fn read(&mut self) -> Outcome<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).doing("QEMU's socket")? == 0 {
            return Err(Failure::new("QEMU has ended"));
        }
        serde_json::from_str(&line).doing("QEMU's answer")
    }
}

/// Lines such as `3f200034: 0x00000000 0x00008000`.
fn words_of(said: &str) -> Vec<u32> {
    let behind = |line: &str| line.split_once(':').map(|(_, values)| values.to_owned());
    let values: Vec<String> = said.lines().filter_map(behind).collect();
    let hex = |word: &str| u32::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    values.iter().flat_map(|line| line.split_whitespace()).filter_map(hex).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_memory_dump() {
        assert_eq!(words_of("000000003f200034: 0x00000000 0x00008000\r\n"), [0, 0x8000]);
        assert!(words_of("Cannot access memory\r\n").is_empty());
    }
}
