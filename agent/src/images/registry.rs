//! Container images from a registry, by the OCI distribution specification: read as they come, and never a tarball of ours.
//!
//! [`Pull::find`](pull::Pull::find) reads what the registry says of an image; its layers are then fetched one by one, when the engine wants them.

mod auth;
mod manifest;
pub(super) mod pull;
mod reference;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use offspot_config::settings::Registry;

use crate::report::Reporter;
use transport::Fetcher;

/// The way to all registries for one run: it remembers tokens, and which hosts did not answer.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registries: BTreeMap<String, Registry>,
    fetcher: Fetcher,
    /// What was last sent to be let in, by host and repository.
    keys: Mutex<BTreeMap<(String, String), String>>,
    /// The mounted data partition.
    data: PathBuf,
    report: Reporter,
}

impl Network {
    /// Nothing is asked yet.
    pub fn new(registries: &BTreeMap<String, Registry>, data: &Path, report: &Reporter) -> Network {
        let inner = Inner {
            registries: registries.clone(),
            fetcher: Fetcher::new(),
            keys: Mutex::default(),
            data: data.to_owned(),
            report: report.clone(),
        };
        Network { inner: Arc::new(inner) }
    }
}

/// What is not to be asked again, and not to be shown.
type Hosts = BTreeSet<String>;
