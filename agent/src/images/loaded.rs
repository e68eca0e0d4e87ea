//! The token of the step: which images can be used.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{ImageName, is_hex};
use crate::engine::{Engine, HeldImage};
use crate::problem::Problem;
use crate::services::Volumes;

/// Images were loaded as far as they could be: what the engine now has, and what failed.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    names: BTreeMap<ImageName, String>,
    ids: BTreeSet<String>,
    failed: BTreeMap<ImageName, Problem>,
    volumes: BTreeMap<String, Volumes>,
}

impl Loaded {
    pub(super) fn of(held: &[HeldImage], failed: BTreeMap<ImageName, Problem>) -> Loaded {
        let names = names(held);
        let ids = held.iter().map(|image| image.id.clone()).collect();
        Loaded { names, ids, failed, volumes: BTreeMap::new() }
    }

    /// With the nameless volumes of containers that were removed, by project.
    pub(super) fn with_volumes(self, volumes: BTreeMap<String, Volumes>) -> Loaded {
        Loaded { volumes, ..self }
    }

    /// What the engine has, where nothing is to be loaded. An engine that does not answer says so at the next call.
    pub async fn held(engine: &Engine) -> Loaded {
        Loaded::of(&engine.images().await.unwrap_or_default(), BTreeMap::new())
    }

    /// The engine's id (`sha256:…`) of the image that a service calls `image`: a name in any spelling, by tag or digest, or an id.
    pub fn id(&self, image: &str) -> Option<&str> {
        let hex = image.strip_prefix("sha256:").unwrap_or(image);
        if is_hex(hex) {
            return self.ids.get(&format!("sha256:{hex}")).map(String::as_str);
        }
        self.names.get(&ImageName::parse(image)?).map(String::as_str)
    }

    /// The nameless volumes of the containers of a project that were removed for the sake of their images.
    pub fn volumes(&self, project: &str) -> Volumes {
        self.volumes.get(project).cloned().unwrap_or_default()
    }

    /// Why the tarball that should have brought this image did not.
    pub fn failure(&self, image: &str) -> Option<&Problem> {
        self.failed.get(&ImageName::parse(image)?)
    }
}

/// Every name the engine knows, those by digest that are kept as tags included.
pub(super) fn names(held: &[HeldImage]) -> BTreeMap<ImageName, String> {
    let mut names = BTreeMap::new();
    for image in held {
        for name in image.names.iter().filter_map(|name| ImageName::parse(name)) {
            names.extend(name.kept_digest().map(|kept| (kept, image.id.clone())));
            names.insert(name, image.id.clone());
        }
    }
    names
}
