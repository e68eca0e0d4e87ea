//! What the settings of a service only point at, looked up on the box: files of variables, configs and secrets, profiles of seccomp.
//!
//! Configs and secrets reach a container as with compose: a file is bound read-only as it lies on the box, with its own owner and
//! rights; content that stands in the settings is put into the container before its first start, with those that are asked for. Other
//! than with compose, what is changed there is a reason to make the container anew.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use offspot_config::compose::{FileObject, FileSource, GivenFile, Project, Service};
use sha2::{Digest, Sha256};

use super::security::{self, Security};
use super::{digest, environment, sources};
use crate::ground::blocking;
use crate::host::Host;

/// Rights of content where none are asked for.
const READABLE: u32 = 0o444;
/// Of a file its length and this much of it are compared.
const COMPARED: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Looked<'a> {
    /// `environment` over the files of variables.
    pub environment: BTreeMap<String, Option<String>>,
    /// `configs`, then `secrets`.
    pub given: Vec<Given<'a>>,
    /// `security_opt` with its profiles read.
    pub security: Security,
}

/// A file that a container is given.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// Where, and with which owner and rights.
    pub file: &'a GivenFile,
    /// Of its content.
    pub digest: String,
    pub from: Origin<'a>,
}

/// Where the content of a file comes from.
#[derive(Debug)]
pub(super) enum Origin<'a> {
    /// The path for the engine.
    Path(PathBuf),
    Content(&'a str),
}

/// Looks everything up. Fails with words that name what is missing.
pub(super) async fn look<'a>(host: &Host, project: &'a Project, service: &'a Service) -> Result<Looked<'a>, String> {
    let mut given = Vec::new();
    for file in &service.configs {
        given.push(one(host, "config", &project.configs, file).await?);
    }
    for file in &service.secrets {
        given.push(one(host, "secret", &project.secrets, file).await?);
    }
    let content = |given: &&Given<'_>| matches!(given.from, Origin::Content(_));
    match given.iter().find(content) {
        // The engine takes nothing into such a container, and compose refuses it too.
        Some(given) if service.isolation.read_only => {
            Err(format!("{} cannot be put into a container that is read_only: give it as a file", given.file.source))
        }
        _ => {
            let environment = environment::read(host, service).await?;
            Ok(Looked { environment, given, security: security::read(host, service).await? })
        }
    }
}

async fn one<'a>(host: &Host, what: &str, all: &'a [FileObject], file: &'a GivenFile) -> Result<Given<'a>, String> {
    let name = &file.source;
    let object = all.iter().find(|object| object.key == *name);
    match &object.ok_or_else(|| format!("its {what} {name} is not defined"))?.from {
        FileSource::Content(text) => {
            let digest = digest::hex(&Sha256::digest(text));
            Ok(Given { file, digest, from: Origin::Content(text) })
        }
        FileSource::File(path) => {
            let said = |error: io::Error| format!("its {what} {name}, the file {path}: {error}");
            let (host, inside) = (host.clone(), path.clone());
            let found = blocking(move || {
                let below = sources::below(&host, &inside)?;
                Ok((compared(&below)?, below))
            });
            let (digest, below) = found.await.map_err(said)?;
            Ok(Given { file, digest, from: Origin::Path(below) })
        }
    }
}

/// Digest of a file; of a folder it says only that it is there.
fn compared(path: &Path) -> io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    let mut digest = Sha256::new();
    if let Some(start) = environment::beginning(path, COMPARED)? {
        digest.update(length.to_le_bytes());
        digest.update(start);
    }
    Ok(digest::hex(&digest.finalize()))
}

impl Looked<'_> {
    /// Whether something has to be put into the container.
    pub fn has_content(&self) -> bool {
        self.given.iter().any(|given| matches!(given.from, Origin::Content(_)))
    }

    /// What has to be put into the container, as a tar of its root.
    pub fn tar(&self) -> io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for given in &self.given {
            let Origin::Content(content) = given.from else { continue };
            let id = |name: &Option<String>| name.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0);
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(given.file.mode.unwrap_or(READABLE));
            header.set_uid(id(&given.file.uid));
            header.set_gid(id(&given.file.gid));
            header.set_mtime(now);
            tar.append_data(&mut header, given.file.target.trim_start_matches('/'), content.as_bytes())?;
        }
        tar.into_inner()
    }
}
