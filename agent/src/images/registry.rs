//! Container images from a registry, by the OCI distribution specification: read as they come, and never a tarball of ours.
//!
//! [`Pull::find`](pull::Pull::find) reads what the registry says of an image; its layers are then fetched one by one, when the engine wants them.

mod auth;
mod manifest;
pub(super) mod pull;
mod reference;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use offspot_config::settings::Registry;

use crate::fetch::Fetcher;
use crate::host::Host;
use crate::report::Reporter;

/// The way to all registries for one run: it remembers tokens, and its fetcher which hosts did not answer.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    registries: BTreeMap<String, Registry>,
    fetcher: Fetcher,
    /// What was last sent to be let in, by host and repository.
    keys: Mutex<BTreeMap<(String, String), String>>,
    /// The mounted data partition.
    data: PathBuf,
    report: Reporter,
}

/// Without what lets us in.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("registries", &self.registries).finish_non_exhaustive()
    }
}

impl Network {
    /// Nothing is asked yet.
    pub fn new(host: &Host, registries: &BTreeMap<String, Registry>, data: &Path, report: &Reporter) -> Network {
        let inner = Inner {
            registries: registries.clone(),
            fetcher: Fetcher::new().on(host),
            keys: Mutex::default(),
            data: data.to_owned(),
            report: report.clone(),
        };
        Network { inner: Arc::new(inner) }
    }

    /// Who asks.
    pub fn fetcher(&self) -> &Fetcher {
        &self.inner.fetcher
    }
}
