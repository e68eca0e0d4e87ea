//! The variables of a container: those of its files, and over them its own.

use std::collections::BTreeMap;

use offspot_config::compose::{EnvFile, Service};

use super::sources;
use crate::host::Host;

/// Reads the files below the root of the box. Fails with words where one that is required is missing or cannot be read.
pub(super) fn read(host: &Host, service: &Service) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut all = BTreeMap::new();
    for file in &service.process.env_file {
        if let Some(text) = text(host, file)? {
            all.extend(parse(file, &text)?);
        }
    }
    all.extend(service.process.environment.clone());
    Ok(all)
}

fn text(host: &Host, file: &EnvFile) -> Result<Option<String>, String> {
    let path = &file.path;
    let read = sources::below(host, path).and_then(std::fs::read_to_string);
    match read {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !file.required => Ok(None),
        Err(error) => Err(format!("its env_file {path}: {error}")),
    }
}

fn parse(file: &EnvFile, _text: &str) -> Result<BTreeMap<String, Option<String>>, String> {
    Err(format!("its env_file {} is of a form that is not read yet", file.path))
}
