//! Rights, separation from the host and limits of a service.

use std::collections::BTreeMap;

use serde::Serialize;

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
