//! The variables of a container: those of its files, and over them its own.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use offspot_config::compose::{EnvFile, Service, dotenv};

use super::sources;
use crate::host::Host;

/// Reads the files below the root of the box, a later one over an earlier one. Fails with words where one that is required is missing, or
/// one cannot be read.
pub(super) fn read(host: &Host, service: &Service) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut known = BTreeMap::new();
    for file in &service.process.env_file {
        let Some(text) = text(host, file)? else { continue };
        let read = if file.raw { dotenv::read_raw(&text) } else { dotenv::read_after(&text, &known) };
        let variables =
            read.map_err(|bad| format!("line {} of its env_file {}: {}", bad.line, file.path, bad.reason))?;
        // A name that stands alone takes its value from what nothing sets on a box.
        known.extend(variables.into_iter().filter_map(|(name, value)| Some((name, value?))));
    }
    let mut all: BTreeMap<String, Option<String>> =
        known.into_iter().map(|(name, value)| (name, Some(value))).collect();
    all.extend(service.process.environment.clone());
    Ok(all)
}

fn text(host: &Host, file: &EnvFile) -> Result<Option<String>, String> {
    let path = &file.path;
    match sources::below(host, path).and_then(std::fs::read_to_string) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound && !file.required => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!("its env_file {path} does not exist")),
        Err(error) => Err(format!("its env_file {path}: {error}")),
    }
}
