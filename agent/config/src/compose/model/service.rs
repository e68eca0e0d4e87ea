//! One service: what runs in it, and when.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{GivenFile, Isolation, Limits, Mount, Port, VolumesFrom, Wiring};

/// One service. Serialised, it says whether a container was made from the same settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Service {
    /// Its key below `services`.
    pub name: String,
    /// Image name as given.
    pub image: String,
    /// `container_name`; none: `PROJECT-SERVICE-NUMBER`.
    pub container_name: Option<String>,
    /// `scale` or `deploy.replicas`: how many containers. Not in the digest: another number leaves those that are there alone.
    #[serde(skip)]
    pub replicas: Replicas,
    /// `platform`, as given.
    pub platform: Option<String>,
    /// When the engine starts it again.
    pub restart: Restart,
    /// Program and arguments of the container.
    pub process: Process,
    /// Ports that are only declared, as `80/tcp`.
    pub expose: Vec<String>,
    /// Ports published on the host.
    pub ports: Vec<Port>,
    /// Everything mounted into it.
    pub mounts: Vec<Mount>,
    /// How it is connected.
    pub wiring: Wiring,
    /// Other services under another name: (service, alias).
    pub links: Vec<(String, String)>,
    /// Containers of another hand under another name: (container, alias).
    pub external_links: Vec<(String, String)>,
    /// `volumes_from`.
    pub volumes_from: Vec<VolumesFrom>,
    /// `configs`: files given into the container.
    pub configs: Vec<GivenFile>,
    /// `secrets`: files given into the container.
    pub secrets: Vec<GivenFile>,
    /// `healthcheck`; none: that of the image.
    pub healthcheck: Option<Health>,
    /// Rights and separation.
    pub isolation: Isolation,
    /// Memory, processors and the like.
    pub limits: Limits,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `annotations`, for the OCI runtime.
    pub annotations: BTreeMap<String, String>,
    /// `logging`.
    pub logging: Option<Logging>,
    /// What must be there before it starts. Order only: no reason to make the container anew.
    #[serde(skip)]
    pub depends_on: Vec<Dependency>,
}

/// How many containers of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas(pub u32);

impl Default for Replicas {
    fn default() -> Self {
        Replicas(1)
    }
}

/// `restart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "compose's words")]
pub enum Restart {
    #[default]
    No,
    Always,
    UnlessStopped,
    /// At most this often; none: for ever.
    OnFailure(Option<u32>),
}

/// Program, arguments and their surroundings.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Process {
    pub command: Option<Vec<String>>,
    /// An empty list takes away that of the image.
    pub entrypoint: Option<Vec<String>>,
    /// A name without value takes the variable of the image away.
    pub environment: BTreeMap<String, Option<String>>,
    /// Files of variables, a later one over an earlier one, `environment` over all.
    pub env_file: Vec<EnvFile>,
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub working_dir: Option<String>,
    pub tty: bool,
    pub stdin_open: bool,
    pub init: Option<bool>,
    pub stop_signal: Option<String>,
    /// Seconds.
    pub stop_grace_period: Option<i64>,
}

/// One entry of `env_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvFile {
    /// Absolute path on the box, lexically normal.
    pub path: String,
    /// Without it the service is not started.
    pub required: bool,
    /// `format: raw`: values are taken as they stand, without quotes or variables.
    pub raw: bool,
}

/// `healthcheck`. Times in nanoseconds, as the engine takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Health {
    /// `NONE`, or `CMD`/`CMD-SHELL` and what to run; none: that of the image.
    pub test: Option<Vec<String>>,
    pub interval: Option<i64>,
    pub timeout: Option<i64>,
    pub start_period: Option<i64>,
    pub start_interval: Option<i64>,
    pub retries: Option<i64>,
}

/// `logging`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Logging {
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// What must be there before a service starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Which service.
    pub service: String,
    /// What of it.
    pub condition: Condition,
    /// Start this service again when that one was made anew.
    pub restart: bool,
    /// Without it this service is not started.
    pub required: bool,
}

/// What a service must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "compose's words")]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

impl Service {
    /// Name of its first container in this project.
    pub fn container(&self, project: &str) -> String {
        self.container_numbered(project, 1)
    }

    /// Name of its container of this number, from 1. With `container_name` there is but one.
    pub fn container_numbered(&self, project: &str, number: u32) -> String {
        match &self.container_name {
            Some(name) => name.clone(),
            None => format!("{project}-{}-{number}", self.name),
        }
    }
}
