//! The real compose, asked what it makes of a file.

use std::path::PathBuf;
use std::process::Command;

use offspot_tests::other_release::{Programs, Release};
use serde_json::Value;

use crate::Outcome;

/// The releases whose compose is asked: the card's, and what comes.
pub const RELEASES: [Release; 2] = [Release::Trixie, Release::Sid];

/// One compose of the real ones, and a folder of its own.
pub struct Real {
    pub release: Release,
    program: PathBuf,
    pub folder: PathBuf,
}

impl Real {
    /// That of a release, for one test.
    pub fn of(release: Release, test: &str) -> Real {
        let program = Programs::of(release).expect("programs").program("docker-compose");
        let folder = std::env::temp_dir().join(format!("compose-config-{test}-{release:?}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Real { release, program, folder }
    }

    /// What compose makes of a file, or its last word. A name at its beginning is the project's.
    pub fn config(&self, text: &str) -> Outcome<Value> {
        let file = self.folder.join("compose.yml");
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.program);
        command.env_clear();
        if !text.starts_with("name:") {
            command.args(["-p", "offspot"]);
        }
        command.arg("-f").arg(&file).args(["config", "--format", "json"]);
        let output = command.output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
            return Err(said);
        }
        let printed = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(unescaped(printed))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What is printed is a compose file again: its dollar signs are doubled.
fn unescaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("$$", "$")),
        Value::Array(items) => items.into_iter().map(unescaped).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key.replace("$$", "$"), unescaped(value))).collect()
        }
        other => other,
    }
}
