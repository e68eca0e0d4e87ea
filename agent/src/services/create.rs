//! A service as the engine's create body. Pure.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig,
    PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum as Policy,
};
use offspot_config::compose::{self, Condition, Joined, MountKind, Network, Project, Restart, Service, Volume, Wiring};
use sha2::{Digest, Sha256};

use super::labels;

/// Raised when the same settings lead to another container than before.
const FORMAT: u32 = 1;

/// What a container is made from besides its service.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The whole project.
    pub project: &'a Project,
    /// Root of the paths of the box.
    pub root: &'a Path,
    /// Where each bind source lies for the engine.
    pub sources: &'a BTreeMap<String, PathBuf>,
    /// Id of the image.
    pub image: &'a str,
    /// Nameless volumes of the container it replaces: target and name.
    pub inherited: &'a [(String, String)],
}

/// Digest of everything that makes a container of this service what it is, its image apart.
pub fn hash(service: &Service, project: &Project, root: &Path) -> String {
    let networks: Vec<&Network> =
        joined(service).iter().filter_map(|joined| network(project, &joined.network)).collect();
    let volumes: Vec<&Volume> = service.mounts.iter().filter_map(|mount| volume(project, mount)).collect();
    digest(&(FORMAT, root, service, networks, volumes))
}

/// Digest of a value by its canonical JSON.
pub fn digest(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let digest = Sha256::digest(json);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The networks of a service; none with `network_mode`.
pub fn joined(service: &Service) -> &[Joined] {
    match &service.wiring {
        Wiring::Joined(joined) => joined,
        Wiring::Mode(_) | Wiring::Service(_) => &[],
    }
}

/// A network of the project by its key.
pub fn network<'a>(project: &'a Project, key: &str) -> Option<&'a Network> {
    project.networks.iter().find(|network| network.key == key)
}

/// The named volume that a mount uses.
pub fn volume<'a>(project: &'a Project, mount: &compose::Mount) -> Option<&'a Volume> {
    let MountKind::Volume { source: Some(key), .. } = &mount.kind else {
        return None;
    };
    project.volumes.iter().find(|volume| volume.key == *key)
}

/// The create body of a service, in the first of its networks.
pub fn body(service: &Service, around: &Surroundings<'_>) -> ContainerCreateBody {
    let process = &service.process;
    let ports = service.ports.iter().map(|port| format!("{}/{}", port.target, port.protocol));
    let mut exposed: Vec<String> = service.expose.iter().cloned().chain(ports).collect();
    exposed.sort();
    exposed.dedup();
    let environment = process.environment.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    ContainerCreateBody {
        image: Some(reference(service, around.image).to_owned()),
        hostname: service.isolation.hostname.clone(),
        domainname: service.isolation.domainname.clone(),
        user: process.user.clone(),
        working_dir: process.working_dir.clone(),
        tty: Some(process.tty),
        open_stdin: Some(process.stdin_open),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: some(exposed),
        env: some(environment.collect()),
        cmd: process.command.clone(),
        entrypoint: process.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(health),
        stop_signal: process.stop_signal.clone(),
        stop_timeout: process.stop_grace_period,
        labels: Some(labels(service, around)),
        host_config: Some(host_config(service, around)),
        networking_config: first_network(service, around.project),
        ..Default::default()
    }
}

/// The engine finds an image by the digest of its registry only where it came from there.
fn reference<'a>(service: &'a Service, id: &'a str) -> &'a str {
    match service.image.contains('@') {
        true => id,
        false => &service.image,
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn map(pairs: &BTreeMap<String, String>) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn health(health: &compose::Health) -> HealthConfig {
    HealthConfig {
        test: health.test.clone(),
        interval: health.interval,
        timeout: health.timeout,
        retries: health.retries,
        start_period: health.start_period,
        start_interval: health.start_interval,
    }
}

fn labels(service: &Service, around: &Surroundings<'_>) -> HashMap<String, String> {
    let mut all = map(&service.labels);
    let depends_on = service.depends_on.iter().map(|on| {
        let condition = match on.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        format!("{}:{condition}:{}", on.service, on.restart)
    });
    let ours = [
        (labels::PROJECT, around.project.name.clone()),
        (labels::SERVICE, service.name.clone()),
        (labels::NUMBER, "1".to_owned()),
        (labels::ONEOFF, "False".to_owned()),
        (labels::HASH, hash(service, around.project, around.root)),
        (labels::IMAGE, around.image.to_owned()),
        (labels::FILES, "/etc/docker/compose.yml".to_owned()),
        (labels::FOLDER, "/etc/docker".to_owned()),
        (labels::VERSION, labels::US.to_owned()),
        (labels::DEPENDS_ON, depends_on.collect::<Vec<_>>().join(",")),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    all
}

fn host_config(service: &Service, around: &Surroundings<'_>) -> HostConfig {
    let (isolation, limits) = (&service.isolation, &service.limits);
    HostConfig {
        network_mode: Some(network_mode(service, around.project)),
        restart_policy: Some(restart(service.restart)),
        port_bindings: bindings(service),
        mounts: some(mounts(service, around)),
        tmpfs: (!isolation.tmpfs.is_empty()).then(|| map(&isolation.tmpfs)),
        privileged: Some(isolation.privileged),
        readonly_rootfs: Some(isolation.read_only),
        cap_add: some(isolation.cap_add.clone()),
        cap_drop: some(isolation.cap_drop.clone()),
        security_opt: some(isolation.security_opt.clone()),
        group_add: some(service.process.group_add.clone()),
        pid_mode: isolation.pid.clone(),
        ipc_mode: isolation.ipc.clone(),
        dns: some(isolation.dns.clone()),
        dns_search: some(isolation.dns_search.clone()),
        dns_options: some(isolation.dns_opt.clone()),
        extra_hosts: some(isolation.extra_hosts.clone()),
        devices: some(isolation.devices.iter().map(device).collect()),
        sysctls: (!isolation.sysctls.is_empty()).then(|| map(&isolation.sysctls)),
        log_config: service.logging.as_ref().map(logging),
        init: service.process.init,
        memory: limits.mem_limit,
        memory_reservation: limits.mem_reservation,
        memory_swap: limits.memswap_limit,
        shm_size: limits.shm_size,
        nano_cpus: limits.cpus,
        cpu_shares: limits.cpu_shares,
        cpuset_cpus: limits.cpuset.clone(),
        pids_limit: limits.pids_limit,
        oom_score_adj: limits.oom_score_adj,
        ulimits: some(limits.ulimits.iter().map(ulimit).collect()),
        ..Default::default()
    }
}

fn network_mode(service: &Service, project: &Project) -> String {
    match &service.wiring {
        Wiring::Mode(mode) | Wiring::Service(mode) => mode.clone(),
        Wiring::Joined(joined) => {
            let first = joined.first().and_then(|joined| network(project, &joined.network));
            first.map(|network| network.name.clone()).unwrap_or_default()
        }
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

fn bindings(service: &Service) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut all: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding { host_ip: Some(port.host_ip.clone()), host_port: Some(port.published.clone()) };
        let target = format!("{}/{}", port.target, port.protocol);
        all.entry(target).or_default().get_or_insert_default().push(binding);
    }
    (!all.is_empty()).then_some(all)
}

fn device((host, inside, rights): &(String, String, String)) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(host.clone()),
        path_in_container: Some(inside.clone()),
        cgroup_permissions: Some(rights.clone()),
    }
}

fn logging(logging: &compose::Logging) -> HostConfigLogConfig {
    HostConfigLogConfig { typ: logging.driver.clone(), config: Some(map(&logging.options)) }
}

fn ulimit((name, soft, hard): &(String, i64, i64)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(*soft), hard: Some(*hard) }
}

fn mounts(service: &Service, around: &Surroundings<'_>) -> Vec<Mount> {
    let inherited = |target: &str| around.inherited.iter().find(|(known, _)| known == target);
    let mut all: Vec<Mount> = service.mounts.iter().map(|given| mount(given, around)).collect();
    for mount in &mut all {
        let nameless = mount.typ == Some(MountType::VOLUME) && mount.source.is_none();
        if let (true, Some((_, name))) = (nameless, inherited(mount.target.as_deref().unwrap_or_default())) {
            mount.source = Some(name.clone());
        }
    }
    // Volumes that the image declares are not in the settings.
    for (target, name) in around.inherited {
        if all.iter().all(|mount| mount.target.as_ref() != Some(target))
            && !service.isolation.tmpfs.contains_key(target)
        {
            all.push(Mount {
                target: Some(target.clone()),
                source: Some(name.clone()),
                typ: Some(MountType::VOLUME),
                ..Default::default()
            });
        }
    }
    all
}

fn mount(given: &compose::Mount, around: &Surroundings<'_>) -> Mount {
    let mut mount =
        Mount { target: Some(given.target.clone()), read_only: Some(given.read_only), ..Default::default() };
    match &given.kind {
        MountKind::Bind { source, propagation, .. } => {
            let path = around.sources.get(source).map(|path| path.display().to_string());
            mount.typ = Some(MountType::BIND);
            mount.source = Some(path.unwrap_or(source.clone()));
            mount.bind_options = propagation
                .as_ref()
                .map(|word| MountBindOptions { propagation: word.parse().ok(), ..Default::default() });
        }
        MountKind::Volume { nocopy, .. } => {
            mount.typ = Some(MountType::VOLUME);
            mount.source = volume(around.project, given).map(|volume| volume.name.clone());
            mount.volume_options = nocopy.then(|| MountVolumeOptions { no_copy: Some(true), ..Default::default() });
        }
        MountKind::Tmpfs { size, mode } => {
            mount.typ = Some(MountType::TMPFS);
            mount.tmpfs_options =
                Some(MountTmpfsOptions { size_bytes: *size, mode: mode.map(i64::from), ..Default::default() });
        }
    }
    mount
}

fn first_network(service: &Service, project: &Project) -> Option<NetworkingConfig> {
    let first = joined(service).first()?;
    let network = network(project, &first.network)?;
    let endpoint = endpoint(service, first, project);
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network.name.clone(), endpoint)])) })
}

/// How a service appears in one of its networks: under the names of container and service, and its aliases.
pub fn endpoint(service: &Service, joined: &Joined, project: &Project) -> EndpointSettings {
    let mut aliases = vec![service.container(&project.name), service.name.clone()];
    aliases.extend(joined.aliases.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    aliases.retain(|alias| seen.insert(alias.clone()));
    EndpointSettings {
        aliases: Some(aliases),
        links: some(links(service, project)),
        ipam_config: joined
            .ipv4_address
            .clone()
            .map(|address| EndpointIpamConfig { ipv4_address: Some(address), ..Default::default() }),
        ..Default::default()
    }
}

fn links(service: &Service, project: &Project) -> Vec<String> {
    let target = |name: &str| project.services.iter().find(|other| other.name == name);
    let one = |(name, alias): &(String, String)| {
        let container = target(name)?.container(&project.name);
        Some(format!("{container}:{alias}"))
    };
    service.links.iter().filter_map(one).collect()
}
