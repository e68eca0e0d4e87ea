//! What a container may, and what it takes of the box.

use std::collections::HashMap;

use bollard::models::{
    DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, PortBinding,
    ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum as Policy, ThrottleDevice,
};
use offspot_config::compose::{self, Limits, Restart, Service, VolumesFrom, VolumesSource};

use super::super::references::{self, Ids};
use super::{Surroundings, endpoints, map, mounts, some, some_map};

/// Everything but the limits.
pub(super) fn config(service: &Service, around: &Surroundings<'_>) -> HostConfig {
    let (isolation, security) = (&service.isolation, &around.looked.security);
    let mode = |mode: &Option<String>| mode.as_deref().map(|mode| references::mode(mode, around.ids));
    HostConfig {
        network_mode: Some(endpoints::mode(service, around)),
        restart_policy: Some(restart(service.restart)),
        port_bindings: Some(bindings(service)),
        mounts: some(mounts::all(service, around)),
        binds: some(mounts::binds(service, around)),
        volumes_from: some(service.volumes_from.iter().map(|from| volumes_from(from, around.ids)).collect()),
        tmpfs: some_map(&isolation.tmpfs),
        privileged: Some(isolation.privileged),
        readonly_rootfs: Some(isolation.read_only),
        cap_add: some(isolation.cap_add.clone()),
        cap_drop: some(isolation.cap_drop.clone()),
        security_opt: some(security.options.clone()),
        masked_paths: security.all_paths.then(Vec::new),
        readonly_paths: security.all_paths.then(Vec::new),
        group_add: some(service.process.group_add.clone()),
        pid_mode: mode(&isolation.pid),
        ipc_mode: mode(&isolation.ipc),
        uts_mode: isolation.uts.clone(),
        userns_mode: isolation.userns_mode.clone(),
        cgroupns_mode: isolation.cgroup.as_deref().and_then(cgroup),
        cgroup_parent: isolation.cgroup_parent.clone(),
        runtime: isolation.runtime.clone(),
        dns: some(isolation.dns.clone()),
        dns_search: some(isolation.dns_search.clone()),
        dns_options: some(isolation.dns_opt.clone()),
        extra_hosts: Some(isolation.extra_hosts.clone()),
        devices: some(isolation.devices.iter().map(device).collect()),
        device_cgroup_rules: some(isolation.device_cgroup_rules.clone()),
        storage_opt: some_map(&isolation.storage_opt),
        sysctls: some_map(&isolation.sysctls),
        annotations: some_map(&service.annotations),
        log_config: service.logging.as_ref().map(logging),
        init: service.process.init,
        ..limited(&service.limits)
    }
}

fn limited(limits: &Limits) -> HostConfig {
    let none = compose::Blkio::default();
    let blkio = limits.blkio.as_ref().unwrap_or(&none);
    let rates = |devices: &[(String, u64)]| some(devices.iter().map(throttle).collect());
    HostConfig {
        memory: limits.mem_limit,
        memory_reservation: limits.mem_reservation,
        memory_swap: limits.memswap_limit,
        memory_swappiness: limits.mem_swappiness,
        oom_kill_disable: Some(limits.oom_kill_disable),
        oom_score_adj: limits.oom_score_adj,
        shm_size: limits.shm_size,
        nano_cpus: limits.cpus,
        cpu_shares: limits.cpu_shares,
        cpuset_cpus: limits.cpuset.clone(),
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpu_count: limits.cpu_count,
        cpu_percent: limits.cpu_percent,
        pids_limit: limits.pids_limit,
        ulimits: some(limits.ulimits.iter().map(ulimit).collect()),
        blkio_weight: blkio.weight,
        blkio_weight_device: some(blkio.weight_device.iter().map(weight).collect()),
        blkio_device_read_bps: rates(&blkio.device_read_bps),
        blkio_device_read_iops: rates(&blkio.device_read_iops),
        blkio_device_write_bps: rates(&blkio.device_write_bps),
        blkio_device_write_iops: rates(&blkio.device_write_iops),
        ..Default::default()
    }
}

fn restart(restart: Restart) -> RestartPolicy {
    let (name, count) = match restart {
        Restart::No => (Policy::NO, None),
        Restart::Always => (Policy::ALWAYS, None),
        Restart::UnlessStopped => (Policy::UNLESS_STOPPED, None),
        Restart::OnFailure(count) => (Policy::ON_FAILURE, count.map(i64::from)),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: count }
}

fn cgroup(word: &str) -> Option<HostConfigCgroupnsModeEnum> {
    word.parse().ok()
}

/// Compose forgets `:ro` of a service's volumes; here it is kept.
fn volumes_from(from: &VolumesFrom, ids: &Ids) -> String {
    let container = match &from.source {
        VolumesSource::Service(name) => ids.get(name).unwrap_or(name),
        VolumesSource::Container(name) => name,
    };
    let rights = if from.read_only { ":ro" } else { "" };
    format!("{container}{rights}")
}

fn bindings(service: &Service) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut all: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding { host_ip: Some(port.host_ip.clone()), host_port: Some(port.published.clone()) };
        let target = format!("{}/{}", port.target, port.protocol);
        all.entry(target).or_default().get_or_insert_default().push(binding);
    }
    all
}

fn device((host, inside, rights): &(String, String, String)) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(host.clone()),
        path_in_container: Some(inside.clone()),
        cgroup_permissions: Some(rights.clone()),
    }
}

fn throttle((path, rate): &(String, u64)) -> ThrottleDevice {
    ThrottleDevice { path: Some(path.clone()), rate: i64::try_from(*rate).ok() }
}

fn weight((path, weight): &(String, u64)) -> ResourcesBlkioWeightDevice {
    ResourcesBlkioWeightDevice { path: Some(path.clone()), weight: usize::try_from(*weight).ok() }
}

fn logging(logging: &compose::Logging) -> HostConfigLogConfig {
    HostConfigLogConfig { typ: logging.driver.clone(), config: Some(map(&logging.options)) }
}

fn ulimit((name, soft, hard): &(String, i64, i64)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(*soft), hard: Some(*hard) }
}
