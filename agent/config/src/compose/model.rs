//! A compose project as types: every value resolved, nothing left to guess for whoever talks to the engine.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Finding;

/// A compose file, read.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// `name`, else the name of the folder of `/etc/docker/compose.yml`, as compose would take it.
    pub name: String,
    /// The services to run, each after those it depends on.
    pub services: Vec<Service>,
    /// The networks that services may join, `default` among them.
    pub networks: Vec<Network>,
    /// The named volumes.
    pub volumes: Vec<Volume>,
    /// `configs` of the top level.
    pub configs: Vec<FileObject>,
    /// `secrets` of the top level.
    pub secrets: Vec<FileObject>,
    /// Services that are in no profile that is on: neither run nor removed.
    pub dormant: Vec<String>,
    /// The services that are not run; the others are.
    pub refused: Vec<Refused>,
}

/// A service that is not run.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its key below `services`.
    pub name: String,
    /// The first error found in it.
    pub finding: Finding,
}

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

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Port inside the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address of the host; empty: all.
    pub host_ip: String,
    /// Port of the host, a range to choose from, or empty: any.
    pub published: String,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Absolute path inside the container.
    pub target: String,
    /// Not writable from inside.
    pub read_only: bool,
    /// What is mounted.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountKind {
    /// A path of the box.
    Bind {
        /// Absolute, lexically normal.
        source: String,
        /// Make a folder there when nothing is.
        create: bool,
        /// As the engine names it: `rslave`…
        propagation: Option<String>,
    },
    /// A volume of the engine.
    Volume {
        /// Key below the top level's `volumes`; none: a nameless one.
        source: Option<String>,
        /// Do not copy what the image has there.
        nocopy: bool,
        /// Folder within the volume that is mounted; none: the whole.
        subpath: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<i64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// How a service is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Wiring {
    /// `network_mode`: `host`, `none`, `bridge`, `container:NAME`, or the name of a network of the engine.
    Mode(String),
    /// `network_mode: service:NAME`: the network of that service's container.
    Service(String),
    /// Networks of the project, the first one first.
    Joined(Vec<Joined>),
}

impl Default for Wiring {
    fn default() -> Self {
        Wiring::Joined(Vec::new())
    }
}

/// A service in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// Key below the top level's `networks`.
    pub network: String,
    /// Names it has there beside those of service and container.
    pub aliases: Vec<String>,
    /// Its fixed address there.
    pub ipv4_address: Option<String>,
    /// Its fixed address of the other kind.
    pub ipv6_address: Option<String>,
    /// Its link-local addresses.
    pub link_local_ips: Vec<String>,
    /// Its hardware address there.
    pub mac_address: Option<String>,
    /// Options of this one connection.
    pub driver_opts: BTreeMap<String, String>,
    /// The network with the highest gives the default route.
    pub gw_priority: Option<i64>,
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

/// Rights and separation from the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Isolation {
    pub privileged: bool,
    pub read_only: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    /// `host`, `container:NAME` or `service:NAME`.
    pub pid: Option<String>,
    /// `host`, `private`, `shareable`, `none`, `container:NAME` or `service:NAME`.
    pub ipc: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub userns_mode: Option<String>,
    pub runtime: Option<String>,
    pub mac_address: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_opt: Vec<String>,
    /// `host:address`.
    pub extra_hosts: Vec<String>,
    /// Path on the host, path inside, rights.
    pub devices: Vec<(String, String, String)>,
    pub device_cgroup_rules: Vec<String>,
    pub storage_opt: BTreeMap<String, String>,
    pub sysctls: BTreeMap<String, String>,
    /// Path and options.
    pub tmpfs: BTreeMap<String, String>,
}

/// Memory, processors and the like.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose; bytes where it is memory")]
pub struct Limits {
    pub mem_limit: Option<i64>,
    pub mem_reservation: Option<i64>,
    pub memswap_limit: Option<i64>,
    pub shm_size: Option<i64>,
    /// Billionths of a processor.
    pub cpus: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpuset: Option<String>,
    /// Microseconds.
    pub cpu_period: Option<i64>,
    /// Microseconds.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Microseconds.
    pub cpu_rt_runtime: Option<i64>,
    pub cpu_count: Option<i64>,
    pub cpu_percent: Option<i64>,
    pub mem_swappiness: Option<i64>,
    pub oom_kill_disable: bool,
    pub blkio: Option<Blkio>,
    pub pids_limit: Option<i64>,
    pub oom_score_adj: Option<i64>,
    /// Name, soft, hard.
    pub ulimits: Vec<(String, i64, i64)>,
}

/// `blkio_config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose; devices as path and value, bytes or operations a second")]
pub struct Blkio {
    pub weight: Option<u16>,
    pub weight_device: Vec<(String, u64)>,
    pub device_read_bps: Vec<(String, u64)>,
    pub device_read_iops: Vec<(String, u64)>,
    pub device_write_bps: Vec<(String, u64)>,
    pub device_write_iops: Vec<(String, u64)>,
}

/// One entry of `volumes_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumesFrom {
    /// Whose volumes.
    pub source: VolumesSource,
    /// Not writable from inside.
    pub read_only: bool,
}

/// Whose volumes a service shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum VolumesSource {
    /// Another service of the project.
    Service(String),
    /// A container of another hand.
    Container(String),
}

/// A file that `configs` or `secrets` of the top level defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileObject {
    /// Key below `configs` or `secrets`.
    pub key: String,
    /// Where its content is.
    pub from: FileSource,
}

/// Where the content of a config or secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum FileSource {
    /// A path of the box, absolute, lexically normal.
    File(String),
    /// Here.
    Content(String),
}

/// A config or secret as a service uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenFile {
    /// Key below the top level's `configs` or `secrets`.
    pub source: String,
    /// Absolute path inside the container.
    pub target: String,
    /// Owner inside, as given.
    pub uid: Option<String>,
    /// Group inside, as given.
    pub gid: Option<String>,
    /// Permission bits; none: 0444.
    pub mode: Option<u32>,
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

/// A network of the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Network {
    /// Key below `networks`.
    pub key: String,
    /// Name in the engine.
    pub name: String,
    /// Not ours: neither made nor changed.
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv6: bool,
    pub labels: BTreeMap<String, String>,
    /// `false`: the network has no IPv4.
    pub enable_ipv4: Option<bool>,
    pub ipam_driver: Option<String>,
    pub ipam_options: BTreeMap<String, String>,
    pub subnets: Vec<Subnet>,
}

/// One entry of a network's `ipam.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Subnet {
    pub subnet: Option<String>,
    pub gateway: Option<String>,
    pub ip_range: Option<String>,
    pub aux_addresses: BTreeMap<String, String>,
}

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as in compose")]
pub struct Volume {
    /// Key below `volumes`.
    pub key: String,
    /// Name in the engine.
    pub name: String,
    /// Not ours: never made.
    pub external: bool,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

impl Project {
    /// Whether some service publishes this TCP port on the host.
    pub fn publishes(&self, port: u16) -> bool {
        let holds = |published: &str| match published.split_once('-') {
            Some((first, last)) => match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(first), Ok(last)) => (first..=last).contains(&port),
                _ => false,
            },
            None => published.parse() == Ok(port),
        };
        let mut ports = self.services.iter().flat_map(|service| &service.ports);
        ports.any(|given| given.protocol == "tcp" && holds(&given.published))
    }
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
