//! Compose's own labels: by them `docker compose` and we find what belongs to a project.

use std::collections::{BTreeMap, HashMap};

/// Name of the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Key of the service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Digest of what the container, network or volume was made from.
pub const HASH: &str = "com.docker.compose.config-hash";
/// `True` for containers of `docker compose run`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// Which of the containers of a service, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// The compose file.
pub const FILES: &str = "com.docker.compose.project.config_files";
/// The folder of the compose file.
pub const FOLDER: &str = "com.docker.compose.project.working_dir";
/// Who made it.
pub const VERSION: &str = "com.docker.compose.version";
/// Id of the image.
pub const IMAGE: &str = "com.docker.compose.image";
/// Id of the container that this one was made for, in its place.
pub const REPLACE: &str = "com.docker.compose.replace";
/// `SERVICE:CONDITION:RESTART`, comma between.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Key of the network.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of the volume.
pub const VOLUME: &str = "com.docker.compose.volume";

/// The value of [`VERSION`].
pub const US: &str = concat!("offspot-", env!("CARGO_PKG_VERSION"));
/// How the value of [`VERSION`] begins on everything we made.
pub const MAKER: &str = "offspot-";

/// The labels that are given, and those of everything that belongs to this project.
pub(super) fn own(project: &str, given: &BTreeMap<String, String>) -> HashMap<String, String> {
    let ours = [(PROJECT, project), (VERSION, US)];
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    given.clone().into_iter().chain(ours).collect()
}
