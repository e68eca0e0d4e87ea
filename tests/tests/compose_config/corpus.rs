//! What both readers are given.

use offspot_tests::other_release::Release;

/// The file around the keys of one service, which stand for `@`.
pub const AROUND: &str = "name: offspot
services:
  a: {@}
  other: {image: o, healthcheck: {test: [CMD, x]}}
  asleep: {profiles: [x], build: .}
networks: {n1: , n2: }
volumes: {vol: , wol: }
configs: {c: {content: 'a $$x ${Y:-z} {fqdn}'}, cf: {file: /data/x}}
secrets: {s: {file: /data/x}}
";

/// Keys of a service that compose takes.
pub const SERVICES: &[&str] = &[
    "image: a",
    "image: ${IMAGE:-a:1}",
    "image: registry.example.org:5000/a/b:1@sha256:0123456789012345678901234567890123456789012345678901234567890123",
    "image: a, build: .",
    "image: a, x-mine: {a: [1]}",
    "image: a, develop: {watch: [{path: x, action: rebuild}]}",
    "image: a, platform: linux/arm64/v8",
    "image: a, container_name: foo.bar_1",
    "image: a, attach: false",
    "image: a, command: sh -c \"echo 'a b' $$HOME {fqdn} \\\"x\\\" && b\"",
    "image: a, command: 'a && b; c'",
    "image: a, command: [a, 'b c', $$d, {fqdn}]",
    "image: a, command: []",
    "image: a, command: ''",
    "image: a, command: ",
    "image: a, entrypoint: 'a b'",
    "image: a, entrypoint: []",
    "image: a, entrypoint: ''",
    "image: a, entrypoint: ['']",
    "image: a, environment: {A: 1, B: x, C: , D: '', E: true, F: 0755, G: 1.10, H: 1e3, I: '1e3', J: no, K: 22:22}",
    "image: a, environment: [A=1, B=x=y, C, D=, 'E= x ', F=0755, A=2]",
    "image: a, environment: {A: ${X:-0755}, B: $X, C: ${X}, D: $$X, E: ${X:-$$}}",
    "image: a, environment: {BIG: 123456789012345678901, M: -0, P: +5, HEX: 0x1F, O: 0o17, U: 1_000, T: True, N: null}",
    "image: a, environment: {COMPOSE: $COMPOSE_PROJECT_NAME}",
    "image: a, environment: {}",
    "image: a, environment: ",
    "image: a, labels: {a: 1, b: x, c: , d: true, e: 1.0}",
    "image: a, labels: [a=1, b, c=, a=2]",
    "image: a, annotations: {a: 1, b: x}",
    "image: a, annotations: [a=1, b=x]",
    "image: a, restart: 'no'",
    "image: a, restart: no",
    "image: a, restart: always",
    "image: a, restart: unless-stopped",
    "image: a, restart: on-failure",
    "image: a, restart: on-failure:5",
    "image: a, restart: ''",
    "image: a, restart: ${X}",
    "image: a, pull_policy: always",
    "image: a, pull_policy: never",
    "image: a, pull_policy: missing",
    "image: a, pull_policy: if_not_present",
    "image: a, pull_policy: every_12h",
    "image: a, expose: [80, '81/udp', '90-92', 80]",
    "image: a, ports: [80, '8080:80', '8081:81/udp', '127.0.0.1:90:90', '[::1]:91:91', '0.0.0.0::92']",
    "image: a, ports: ['90-92:90-92', '3000-3005:3000', '127.0.0.1:5000-5001:5000-5001/udp', '6000-6001']",
    "image: a, ports: [{target: 80}, {target: 81, published: 8081}, {target: 82, published: '8082', protocol: udp, host_ip: 127.0.0.1, mode: host}]",
    "image: a, ports: [{target: 80, published: '8080-8090'}]",
    "image: a, ports: [{target: 80, name: web, app_protocol: http}]",
    "image: a, ports: ['80:80', '80:80', '80:80/tcp']",
    "image: a, ports: ['80:80', {target: 80, published: 80}]",
    "image: a, ports: ['${PORT:-8080}:80']",
    "image: a, ports: ['80:80/TCP']",
    "image: a, volumes: ['/a:/b', '/c:/d:ro', '/e:/f:rw', '/g:/h:z', '/i:/j:Z,ro', '/k:/l:rslave', '/m:/n:ro,rshared']",
    "image: a, volumes: ['vol:/b', 'wol:/c:ro', '/anonymous', 'vol:/d:nocopy']",
    "image: a, volumes: ['/a/../b//c:/x/']",
    "image: a, volumes: ['/a:/b', '/c:/b', '/x:/y', '/z:/b/']",
    "image: a, volumes: [{type: bind, source: /a, target: /b}]",
    "image: a, volumes: [{type: bind, source: /a, target: /b, read_only: true, bind: {create_host_path: true, propagation: rprivate, selinux: z}}]",
    "image: a, volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: false}}]",
    "image: a, volumes: [{type: volume, source: vol, target: /b, volume: {nocopy: true, subpath: x/y}}, {type: volume, target: /c}]",
    "image: a, volumes: [{type: tmpfs, target: /t}, {type: tmpfs, target: /u, tmpfs: {size: 10m, mode: 0o1777}}, {type: tmpfs, target: /v, tmpfs: {size: 1024}}]",
    "image: a, volumes: [{type: bind, source: '${DATA:-/data}/x', target: /b, consistency: cached}]",
    "image: a, volumes: ['v:/v']",
    "image: a, volumes: ['${DATA:-/data}/a:/b:${MODE:-ro}']",
    "image: a, volumes_from: [other, 'container:x:ro']",
    "image: a, volumes_from: ['other:ro']",
    "image: a, tmpfs: /run",
    "image: a, tmpfs: [/run, '/tmp:size=1m,mode=1777', /run]",
    "image: a, depends_on: [other]",
    "image: a, depends_on: {other: {condition: service_started}}",
    "image: a, depends_on: {other: {condition: service_healthy, restart: true}}",
    "image: a, depends_on: {other: {condition: service_completed_successfully, required: false}}",
    "image: a, depends_on: {asleep: {condition: service_started, required: false}}",
    "image: a, depends_on: {absent: {condition: service_started, required: false}}",
    "image: a, links: [other, 'other:x', other]",
    "image: a, links: [other], depends_on: {other: {condition: service_healthy}}",
    "image: a, external_links: [x, 'x:y']",
    "image: a, healthcheck: {test: echo $$x, interval: 1m30s, timeout: 1.5s, retries: 3, start_period: 0s}",
    "image: a, healthcheck: {test: [CMD, a, 'b c'], start_interval: 5s}",
    "image: a, healthcheck: {test: [CMD-SHELL, 'a b']}",
    "image: a, healthcheck: {test: [NONE]}",
    "image: a, healthcheck: {disable: true}",
    "image: a, healthcheck: {disable: true, test: x, interval: 1s}",
    "image: a, healthcheck: {disable: false, test: x}",
    "image: a, healthcheck: {disable: 'yes'}",
    "image: a, healthcheck: {test: []}",
    "image: a, healthcheck: {test: ''}",
    "image: a, healthcheck: {}",
    "image: a, healthcheck: {retries: '3'}",
    "image: a, healthcheck: {interval: 100ms, timeout: 1h2m3s, start_period: 500us}",
    "image: a, network_mode: host",
    "image: a, network_mode: none",
    "image: a, network_mode: bridge",
    "image: a, network_mode: 'service:other'",
    "image: a, network_mode: 'container:x'",
    "image: a, networks: [n1, default]",
    "image: a, networks: {n1: , n2: {aliases: [x, y, x]}}",
    "image: a, networks: {n1: {ipv4_address: 10.0.0.5, ipv6_address: 'fd00::5', priority: 5, link_local_ips: [169.254.1.1]}, n2: {priority: 7}}",
    "image: a, networks: {n1: {mac_address: '02:42:ac:11:00:02', driver_opts: {a: 1, b: x}}}",
    "image: a, networks: {n1: {gw_priority: 5}}",
    "image: a, networks: {}",
    "image: a, networks: []",
    "image: a, cap_add: [NET_ADMIN, ALL, NET_ADMIN], cap_drop: [MKNOD]",
    "image: a, privileged: true, read_only: true",
    "image: a, privileged: yes, read_only: 'on', tty: 'true', stdin_open: y",
    "image: a, privileged: '${P:-true}'",
    "image: a, init: true",
    "image: a, init: false",
    "image: a, devices: [/dev/a, '/dev/a:/dev/b', '/dev/a:/dev/b:r', '/dev/c:/dev/d:rwm']",
    "image: a, devices: [{source: /dev/a, target: /dev/b, permissions: r}]",
    "image: a, device_cgroup_rules: ['c 1:3 mr', 'a 7:* rmw']",
    "image: a, user: '1000:1000'",
    "image: a, user: nobody",
    "image: a, user: ''",
    "image: a, user: '${UID}'",
    "image: a, group_add: [mail, '5']",
    "image: a, working_dir: /x/../y",
    "image: a, hostname: h, domainname: d.org",
    "image: a, extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::1]', 'd:host-gateway', 'a:1.2.3.5']",
    "image: a, extra_hosts: {a: 1.2.3.4, b: '::1'}",
    "image: a, dns: 1.1.1.1",
    "image: a, dns: [1.1.1.1, '::1', 1.1.1.1], dns_search: example.org, dns_opt: [use-vc, 'ndots:2']",
    "image: a, logging: {driver: json-file, options: {max-size: 10m, max-file: 3, tag: '{{.Name}}'}}",
    "image: a, logging: {driver: none}",
    "image: a, sysctls: {net.core.somaxconn: 1024, a: b}",
    "image: a, sysctls: [net.core.somaxconn=1024, a=b]",
    "image: a, ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}, core: -1}",
    "image: a, ulimits: {nofile: '${N:-5}', nproc: {soft: '1', hard: 2}}",
    "image: a, stop_signal: SIGUSR1, stop_grace_period: 1m30s",
    "image: a, stop_grace_period: 500ms",
    "image: a, stop_grace_period: 0s",
    "image: a, shm_size: 64m",
    "image: a, shm_size: 67108864",
    "image: a, shm_size: 1.5gb",
    "image: a, security_opt: ['no-new-privileges:true', 'seccomp:unconfined']",
    "image: a, ipc: host",
    "image: a, ipc: shareable",
    "image: a, ipc: 'service:other', pid: 'service:other'",
    "image: a, ipc: 'container:x', pid: 'container:x'",
    "image: a, pid: host, uts: host, cgroup: host, userns_mode: host",
    "image: a, cgroup: private, cgroup_parent: x, runtime: runc",
    "image: a, pid: '', ipc: '', uts: ''",
    "image: a, mem_limit: 10m, mem_reservation: 5M, memswap_limit: 20mb, mem_swappiness: 5",
    "image: a, memswap_limit: -1",
    "image: a, mem_limit: 10000000",
    "image: a, mem_limit: '${M:-1g}'",
    "image: a, mem_limit: 1GiB",
    "image: a, cpus: 0.5",
    "image: a, cpus: '1.75'",
    "image: a, cpus: 0.3, cpu_shares: 512, cpuset: '0,1', cpu_period: 100000, cpu_quota: 50000",
    "image: a, cpu_rt_period: 1000, cpu_rt_runtime: 400, cpu_count: 2, cpu_percent: 50",
    "image: a, pids_limit: 100",
    "image: a, pids_limit: -1",
    "image: a, oom_kill_disable: true, oom_score_adj: -500",
    "image: a, blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 400}], device_read_bps: [{path: /dev/a, rate: 1mb}], device_write_iops: [{path: /dev/a, rate: 30}]}",
    "image: a, storage_opt: {size: 1G}",
    "image: a, mac_address: '02:42:ac:11:00:02'",
    "image: a, deploy: {resources: {limits: {cpus: '0.5', memory: 10m, pids: 5}, reservations: {memory: 5m, cpus: '0.1'}}}",
    "image: a, deploy: {resources: {limits: {cpus: 0.25}}}",
    "image: a, mem_limit: 10m, deploy: {resources: {limits: {memory: 10240k}}}",
    "image: a, deploy: {replicas: 3}",
    "image: a, deploy: {replicas: 0}",
    "image: a, deploy: {replicas: '${N:-2}'}",
    "image: a, scale: 2",
    "image: a, scale: 0",
    "image: a, scale: 2, deploy: {replicas: 2}",
    "image: a, deploy: {restart_policy: {condition: on-failure, max_attempts: 4, delay: 5s, window: 1m}}",
    "image: a, deploy: {restart_policy: {condition: any}}, restart: 'no'",
    "image: a, deploy: {restart_policy: {condition: none}}, restart: always",
    "image: a, deploy: {restart_policy: {}}, restart: always",
    "image: a, deploy: {mode: replicated, endpoint_mode: vip, labels: {a: 1}, update_config: {parallelism: 1}, placement: {constraints: [a]}}",
    "image: a, deploy: {mode: global}",
    "image: a, deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
    "image: a, deploy: ",
    "image: a, profiles: []",
    "image: a, profiles: [x]",
    "image: a, profiles: ['']",
    "image: a, profiles: ['', x]",
    "profiles: [x], labels: {a: 1}",
    "image: a, configs: [c, cf]",
    "image: a, configs: [{source: c, target: /etc/x, uid: '1', gid: '2', mode: 0440}, {source: cf}]",
    "image: a, configs: [{source: c, target: rel}]",
    "image: a, configs: [c, {source: c}]",
    "image: a, secrets: [s]",
    "image: a, secrets: [{source: s, target: x, mode: 0o400}, {source: s, target: /abs/y}]",
    "image: a, secrets: [{source: s, target: x, mode: 256}]",
    "image: a, secrets: [{source: s, target: x, mode: '0400'}]",
    "extends: other",
    "extends: {service: other}",
    "extends: {service: other}, image: a, healthcheck: {interval: 5s}",
    "image: a, comand: x",
    "image: a, gpus: all",
    "image: a, label_file: /dev/null",
    "image: a, post_start: [{command: x}]",
    "image: a, credential_spec: {file: x}",
    "image: a, isolation: default",
    "image: 'A B'",
    "image: a, restart: sometimes",
    "image: a, mac_address: x",
    "image: a, userns_mode: keep-id",
    "image: a, volumes: ['~/a:/b']",
];

/// Keys of a service that compose refuses.
pub const BAD: &[&str] = &[
    "build_: x",
    "image: ",
    "image: ''",
    "image: ${IMAGE}",
    "image: [a]",
    "image: a, command: {a: b}",
    "image: a, command: \"echo 'x\"",
    "image: a, environment: x",
    "image: a, environment: {A: [1]}",
    "image: a, environment: {A: '${'}",
    "image: a, environment: {A: '${X:?needed}'}",
    "image: a, environment: {A: 2001-01-01}",
    "image: a, x-mine: '${'",
    "image: a, user: 1000",
    "image: a, hostname: 5",
    "image: a, restart: false",
    "image: a, labels: [[a]]",
    "image: a, ports: '80:80'",
    "image: a, ports: [x]",
    "image: a, ports: ['80:x']",
    "image: a, ports: ['8000-8002:80-81']",
    "image: a, ports: [{published: 80}]",
    "image: a, ports: ['300.1.1.1:80:80']",
    "image: a, ports: ['80/icmp']",
    "image: a, ports: ['70000:80']",
    "image: a, ports: ['0:80']",
    "image: a, expose: [x]",
    "image: a, volumes: /a",
    "image: a, volumes: ['absent:/x']",
    "image: a, volumes: ['']",
    "image: a, volumes: [{type: bind, source: /a}]",
    "image: a, volumes: [{type: bind, target: /a}]",
    "image: a, volumes: [{source: /a, target: /b}]",
    "image: a, volumes: [{type: volume, source: absent, target: /b}]",
    "image: a, volumes: ['/a:/b:ro:x']",
    "image: a, depends_on: [absent]",
    "image: a, depends_on: [asleep]",
    "image: a, depends_on: [a]",
    "image: a, depends_on: [other, other]",
    "image: a, depends_on: {other: {condition: x}}",
    "image: a, depends_on: {other: {restart: true}}",
    "image: a, depends_on: {other: }",
    "image: a, links: [absent]",
    "image: a, external_links: [x, x]",
    "image: a, network_mode: host, networks: [n1]",
    "image: a, network_mode: host, ports: ['80:80']",
    "image: a, network_mode: 'service:absent'",
    "image: a, network_mode: 'service:asleep'",
    "image: a, networks: [absent]",
    "image: a, networks: [n1, n1]",
    "image: a, volumes_from: [absent]",
    "image: a, volumes_from: [other, other]",
    "image: a, pid: 'service:absent'",
    "image: a, ipc: 'service:absent'",
    "image: a, healthcheck: {test: [x]}",
    "image: a, healthcheck: {interval: 30}",
    "image: a, healthcheck: {interval: '30'}",
    "image: a, healthcheck: {retries: x}",
    "image: a, healthcheck: {disable: perhaps}",
    "image: a, stop_grace_period: 10",
    "image: a, stop_grace_period: '10'",
    "image: a, privileged: perhaps",
    "image: a, init: perhaps",
    "image: a, group_add: ['2', '2']",
    "image: a, security_opt: [a, a]",
    "image: a, device_cgroup_rules: ['c 1:3 mr', 'c 1:3 mr']",
    "image: a, device_cgroup_rules: x",
    "image: a, extra_hosts: ['a:1.1.1.1', 'a:1.1.1.1']",
    "image: a, extra_hosts: [a]",
    "image: a, dns_opt: a",
    "image: a, cap_add: a",
    "image: a, sysctls: x",
    "image: a, ulimits: {nofile: {soft: 1}}",
    "image: a, ulimits: {nofile: x}",
    "image: a, mem_limit: much",
    "image: a, shm_size: much",
    "image: a, cpus: many",
    "image: a, cpu_quota: 20ms",
    "image: a, cgroup: x",
    "image: a, blkio_config: {weight_device: [{path: /dev/a, x: 1}]}",
    "image: a, deploy: {replicas: x}",
    "image: a, scale: x",
    "image: a, scale: -1",
    "image: a, scale: 2, deploy: {replicas: 3}",
    "image: a, container_name: foo, scale: 2",
    "image: a, container_name: foo, deploy: {replicas: 2}",
    "image: a, container_name: 'a b'",
    "image: a, mem_limit: 10m, deploy: {resources: {limits: {memory: 20m}}}",
    "image: a, mem_reservation: 10m, deploy: {resources: {reservations: {memory: 20m}}}",
    "image: a, cpus: 1, deploy: {resources: {limits: {cpus: 2}}}",
    "image: a, pids_limit: 1, deploy: {resources: {limits: {pids: 2}}}",
    "image: a, profiles: x",
    "image: a, configs: [absent]",
    "image: a, secrets: [absent]",
    "image: a, secrets: x",
    "image: a, env_file: /absent/file",
    "image: a, env_file: {format: raw}",
    "image: a, pull_policy: sometimes",
    "extends: absent",
    "extends: a",
    "extends: , image: a",
    "extends: {}, image: a",
    "extends: {service: other, file: absent.yml}",
    "extends: asleep, depends_on: [asleep], profiles: []",
    "image: a, extends: other, healthcheck: x",
    "image: a, logging: {driver: [x]}",
];

/// Whole files: a name, and what stands below `name: offspot`.
pub const FILES: &[(&str, &str)] = &[
    (
        "every list and mapping on top of another",
        "services:
  dep: {image: d}
  dep2: {image: d}
  base:
    image: b
    command: [a, b]
    entrypoint: x y
    environment: [A=1, B=x, N, 'C=c=d']
    labels: {a: 1, b: 2}
    annotations: {a: b}
    ports: ['80:80', '81:81']
    expose: [1, '2']
    volumes: ['/a:/c:ro', '/b:/d']
    tmpfs: /run
    depends_on: [dep]
    links: [dep]
    external_links: [x]
    volumes_from: [dep]
    devices: ['/dev/a:/dev/b']
    device_cgroup_rules: ['c 1:3 mr']
    ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}, core: {soft: 1, hard: 2}}
    healthcheck: {test: echo x, interval: 1m30s}
    logging: {driver: json-file, options: {a: 1, max-size: 10m}}
    sysctls: [a=b, c=1]
    extra_hosts: ['a:1.2.3.4', 'b=::1']
    networks: [default, n1]
    configs: [c1]
    secrets: [s1]
    dns: 1.1.1.1
    dns_search: [a, b]
    dns_opt: [a, b]
    cap_add: [A, B]
    group_add: ['1', '2']
    security_opt: [a, b]
    blkio_config: {weight: 5, weight_device: [{path: /dev/a, weight: 3}]}
    deploy: {resources: {limits: {cpus: '0.5', memory: 10m}}, replicas: 2}
    storage_opt: {size: 1g}
    user: a
    restart: always
  a:
    extends: base
    command: [c]
    environment: {A: 2, D: 3, C: , N: 4}
    labels: [a=5, c=6]
    annotations: [a=c, d=e]
    ports: ['80:80', '82:82']
    expose: [2, 3]
    volumes: ['/e:/c', '/g:/f']
    tmpfs: [/run, /x]
    depends_on: {dep2: {condition: service_started, required: false}}
    links: [dep2]
    external_links: [y]
    volumes_from: [dep2]
    devices: ['/dev/c:/dev/b', /dev/x]
    device_cgroup_rules: ['c 1:4 mr']
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 6, core: {soft: 3, hard: 4}}
    healthcheck: {test: [CMD, y], timeout: 1s}
    logging: {driver: local, options: {b: 1}}
    sysctls: {a: d, e: 1}
    extra_hosts: ['a:1.2.3.5', 'c=::1']
    networks: {n1: {aliases: [z]}, n2: }
    configs: [{source: c1, target: /t}, c1]
    secrets: [s1, {source: s1, target: s2}]
    dns: [1.1.1.1, 2.2.2.2]
    dns_search: a
    dns_opt: [b, c]
    cap_add: [B, C]
    group_add: ['3']
    security_opt: [c]
    blkio_config: {weight_device: [{path: /dev/a, weight: 4}]}
    deploy: {resources: {limits: {memory: 11m}}}
    storage_opt: {size: 2g}
    user:
networks: {n1: , n2: }
configs: {c1: {content: x}}
secrets: {s1: {file: /data/x}}
",
    ),
    (
        "nothing on top of something",
        "services:
  b: {image: b, command: x, entrypoint: y, labels: {a: 1}, ports: [80], user: x, deploy: {replicas: 2}, healthcheck: {test: x}, depends_on: [c], networks: [default], restart: always, volumes: ['/a:/b'], environment: {A: 1}}
  a: {extends: b, command: , entrypoint: , labels: , ports: , user: , deploy: , healthcheck: , depends_on: , networks: , restart: , volumes: , environment: }
  c: {image: c}
",
    ),
    (
        "something on top of nothing",
        "services:
  b: {image: b, command: , labels: , ports: , user: , deploy: , healthcheck: , environment: {A: }}
  a: {extends: b, command: x, labels: {a: 1}, ports: [80], user: x, deploy: {replicas: 2}, healthcheck: {test: x}, environment: [A=1]}
",
    ),
    ("a chain of services", "services: {a: {extends: b, labels: {x: a}}, b: {extends: {service: c}, labels: {x: b, y: b}}, c: {image: c, labels: {x: c, y: c, z: c}}}"),
    ("profiles are inherited", "services: {b: {image: b, profiles: [x]}, a: {extends: b}, c: {image: c}}"),
    ("a service without image, asleep, is extended", "services: {b: {profiles: [x], labels: [a=1]}, a: {image: a, extends: b, profiles: ['']}}"),
    ("health is taken away", "services: {b: {image: b, healthcheck: {test: x}}, a: {extends: b, healthcheck: {disable: true}}}"),
    ("health is given back", "services: {b: {image: b, healthcheck: {disable: true}}, a: {extends: b, healthcheck: {disable: false, test: y}}}"),
    ("options of the same driver", "services: {b: {image: b, logging: {driver: local, options: {a: 1, b: 1}}}, a: {extends: b, logging: {driver: local, options: {b: 2}}}}"),
    ("options without driver", "services: {b: {image: b, logging: {driver: local, options: {a: 1, b: 1}}}, a: {extends: b, logging: {options: {b: 2}}}}"),
    ("a driver over none", "services: {b: {image: b, logging: {options: {a: 1}}}, a: {extends: b, logging: {driver: local, options: {b: 2}}}}"),
    ("a network's options on a list", "services: {b: {image: b, networks: {n: {aliases: [a], ipv4_address: 10.0.0.5}}}, a: {extends: b, networks: [n]}}\nnetworks: {n: }"),
    ("aliases on aliases", "services: {b: {image: b, networks: {n: {aliases: [a], priority: 3}}}, a: {extends: b, networks: {n: {aliases: [b, a]}}}}\nnetworks: {n: }"),
    ("a dependency on another kind of it", "services: {c: {image: c}, b: {image: b, depends_on: {c: {condition: service_healthy, restart: true}}}, a: {extends: b, depends_on: [c]}}"),
    ("hosts as mapping and list", "services: {b: {image: b, extra_hosts: {a: 1.1.1.1, b: 1.1.1.2}}, a: {extends: b, extra_hosts: ['a:1.1.1.3', 'b=1.1.1.2']}}"),
    ("ports on ports", "services: {b: {image: b, ports: ['80:80', {target: 81, published: '81'}]}, a: {extends: b, ports: ['80:80', '8080:80', {target: 81, published: '81'}]}}"),
    ("variables in what is extended", "services: {b: {image: 'b:${TAG:-1}', labels: {a: $$x}, environment: ['A=${X:-$$y}']}, a: {extends: b, environment: {B: $$z}}}"),
    ("numbers in what is extended", "services: {b: {image: b, environment: {A: 0755, B: 1.10}}, a: {extends: b, environment: [C=1]}}"),
    ("a mapping on a list", "services: {b: {image: b, ports: [80]}, a: {extends: b, ports: '80'}}"),
    ("a list on a mapping", "services: {b: {image: b, logging: {driver: local}}, a: {extends: b, logging: [x]}}"),
    ("a circle of services", "services: {a: {image: a, extends: b}, b: {extends: {service: a}}}"),
    ("extends of an empty service", "services: {a: {extends: b, image: a}, b: }"),
    ("the same group twice", "services: {b: {image: b, group_add: ['1']}, a: {extends: b, group_add: ['1']}}"),
    ("an asleep service of others", "services: {b: {image: b, profiles: [x], depends_on: [q], networks: [absent]}, a: {image: a}}"),
    ("an asleep service with a bad port", "services: {b: {image: b, profiles: [x], ports: [x]}, a: {image: a}}"),
    ("a circle of dependencies", "services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [a]}}"),
    (
        "anchors and merge keys",
        "x-base: &base {image: b, restart: always, labels: {a: 1, b: 2}, environment: &env {A: 1, B: 2}}
x-more: &more {restart: 'no', user: u}
services:
  a: {<<: *base, image: a}
  b: *base
  c: {<<: [*base, *more], labels: {c: 3}}
  d: {<<: [*more, *base], environment: {<<: *env, B: 3}}
  e:
    <<: *base
    <<: *more
",
    ),
    (
        "anchors and merge keys, one each",
        "x-base: &base {image: b, restart: always, labels: {a: 1, b: 2}, environment: &env {A: 1, B: 2}}
x-more: &more {restart: 'no', user: u}
services:
  a: {<<: *base, image: a}
  b: *base
  c: {<<: [*base, *more], labels: {c: 3}}
  d: {<<: [*more, *base], environment: {<<: *env, B: 3}}
",
    ),
    ("variables through an anchor", "x-base: &base {image: 'a:${TAG:-1}', labels: {x: '${Y}$$'}}\nservices: {a: *base, b: {<<: *base}}"),
    ("a template nobody reads", "x-base: '${'\nservices: {a: {image: a}}"),
    ("keys are not filled", "services: {a: {image: a, labels: {'$X': '$X'}, environment: {'A$$B': x}}}"),
    ("a version", "version: '3.8'\nservices: {a: {image: a}}"),
    (
        "networks",
        "services: {a: {image: a, networks: [n1, n2, n3, n4, default]}}
networks:
  default: {driver: bridge, driver_opts: {a: 1, b: x}, labels: [a=1]}
  n1: {internal: true, attachable: true, enable_ipv6: true, labels: {a: 1}, name: other}
  n2: {external: true}
  n3: {external: true, name: real}
  n4: {ipam: {driver: default, options: {a: b}, config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1, ip_range: 10.1.2.0/24, aux_addresses: {h: 10.1.0.9}}]}, x-mine: 1}
",
    ),
    ("external by name", "services: {a: {image: a, networks: [n], volumes: ['vol:/x']}}\nnetworks: {n: {external: {name: real}}}\nvolumes: {vol: {external: {name: really}}}"),
    ("no IPv4", "services: {a: {image: a, networks: [n]}}\nnetworks: {n: {enable_ipv4: false, enable_ipv6: true}}"),
    ("names from variables", "services: {a: {image: a, networks: [n], volumes: ['vol:/x']}}\nnetworks: {n: {name: '${N:-real}'}}\nvolumes: {vol: {name: '$COMPOSE_PROJECT_NAME-x', external: '${E:-false}'}}"),
    (
        "volumes",
        "services: {a: {image: a, volumes: ['v1:/1', 'v2:/2', 'v3:/3', 'v4:/4']}}
volumes:
  v1:
  v2: {driver: local, driver_opts: {type: none, o: bind, device: /data/x}, labels: {a: 1}}
  v3: {external: true, name: real}
  v4: {name: other, x-mine: 1}
",
    ),
    (
        "configs and secrets",
        "services: {a: {image: a, configs: [c1, c2, c3], secrets: [s1]}}
configs: {c1: {content: 'a: ${X:-b} $$c {d}'}, c2: {file: /data/c2}, c3: {content: ''}}
secrets: {s1: {file: /data/../data/s1}}
",
    ),
    ("a config of nothing", "services: {a: {image: a, configs: [c]}}\nconfigs: {c: {}}"),
    ("a config of two", "services: {a: {image: a, configs: [c]}}\nconfigs: {c: {content: a, file: /x}}"),
    ("a secret with content", "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {content: a}}"),
    ("an external secret", "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {external: true}}"),
    ("a secret of the environment", "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {environment: HOME}}"),
    ("a network without mapping", "services: {a: {image: a, networks: [n]}}\nnetworks: {n: x}"),
    ("an unknown top key", "services: {a: {image: a}}\nservice: {b: {image: b}}"),
    ("an include", "include: [x.yml]\nservices: {a: {image: a}}"),
    ("a key twice", "services: {a: {image: a, image: b}}"),
    ("no services", "volumes: {v: }"),
    ("a service as list", "services: {a: [image]}"),
    ("services as list", "services: [a]"),
    ("a service with a bad name", "services: {'a b': {image: a}}"),
];

/// Files of variables.
pub const ENV_FILES: &[&str] = &[
    "A=1\nB=x y # c\nC=x#y\nD= z \nexport E=5\nF:6\nG: 7\n",
    "FOO\nA=1",
    "FOO",
    "A=\"x\\ny\" B=z\nC=\"a\\$b $A ${Q:-d} $$ \\\" \\t \\q \\\\ \\0101\"\n",
    "A='x\\ny $B' # comment\nB='it\\'s'\n",
    "A=\"multi\nline\"\nB=$A\n",
    "A=\"open\nB=1\n",
    "A B=1\n",
    "A B\nC=1\n",
    "A!=1\n",
    "A=${B:?no}\n",
    "A=${\n",
    "1A=1\nA.b-c[0]=2\n",
    "\u{feff}A=1\r\nB=2\r\n",
    "=1\n",
    "A=\nB=\"\"\nC\n",
    "A = 1\nB =2\n  C=3\n\n# x\n#y=1\n",
    "export A\nexportB=1\nexport\tC=1\n",
    "export export A=1\n",
    "A=1\nA=2\nB=$A\n",
    "A=\"x\"y\nB=1\n",
    "A=x\"y\"\nB= \"q\"\n",
    "A=a\\nb\\$c\n",
    "A={\"k\": \"v\"}\n",
    "A=b#c #d\nB=#x\nC= #x\nD=\"a #b\" #c\n",
    "A=\tq\t#x\n",
    "A=1 B=2\n",
    "é=1\n",
    "A:b:c\nB=c:d=e\n",
    "A=\"\\a\\b\\c\\f\\v\\r\\$x \\0 \\07 \\0777 \\01234|\"\n",
    "A=\"\\\\n \\\\$X\"\n",
    "A='\\'\nB=1'\n",
    "A=\nB\n= 3\n",
    "A\n",
    "\n\n  \n",
    "A\t=1\n",
    "A=1\rB=2\r\n",
    "A=a  \nB=\"a  \"\n",
    "A=\"x\nB=\"y\"\n",
    "A,B=1\n",
    "\"A\"=1\n",
    "A=\"a\\\nb\"\n",
    "A=\"${B:-x y}\"\nD=${B:-#y}\nE=${D:+z}\n",
    "C=${B:-x #y}\n",
];

/// How several files of variables stand together.
pub const SEVERAL_FILES: &[&str] = &[
    "two",
    "in other order",
    "one twice",
    "one that may be absent",
    "an absent one",
    "under environment",
    "not for variables of the file",
    "a name of both",
];

/// Texts with variables.
pub const TEMPLATES: &[&str] = &[
    "5$ and $1",
    "$",
    "a$",
    "$$$A",
    "${}",
    "${",
    "${A",
    "${1}",
    "${A:-${B:-c}}",
    "${A:-{\"k\":\"v\"}}",
    "${A:-{}}",
    "${A:-{a}}x",
    "${A-b}c}",
    "${A:-b}c}",
    "${A:?msg ${B}}",
    "${A?msg}",
    "${A:+x}y",
    "${A+x}y",
    "${A!x}",
    "${A:x}",
    "${A:}",
    "${A }",
    "${ A}",
    "$A-b",
    "$Ab.c",
    "$é",
    "${é}",
    "${A:-x\ny}",
    "${A:-b-c}",
    "${A-b:-c}",
    "${A-b?c}",
    "${A:-b?c}",
    "${A:-b:?c}",
    "${A?b-c}",
    "${A:-$$x}",
    "${A:-$}",
    "${A:-$1}",
    "${A:-${}}",
    "${A:-b} ${C:-d}",
    "${A:-b} $$ ${C}",
    "${A}}",
    "${A:-}",
    "${A-}",
    "${A:-b",
    "${A:-${B}",
    "$${A:-b}",
    "$$$${A}",
    "{fqdn} ${A:-{fqdn}}",
    "${A:-{fqdn}} ${B:-{x}}",
    "${a_B9-q}",
    "$_",
    "$A$B",
    "${A:-x}${B?}",
    "${A:-${B:?m}}",
    "${A:+${B:?m}}",
    "${A+${B:?m}}",
    "${A:-'x'}",
    "${A:-\\}}",
    "${A:-a}b${C:-d}e}",
    "{${A:-b}}",
    "{$A}",
    "{{${A:-b}}}",
    "}${A:-b}",
    "${A:-{}} ${B:-x}",
    "${A:-{}} $B }",
    "${A:-{b} ${B:-x}}",
    "${A:-b}$}",
    "${A:-b}$$}",
    "${A:-b} ${C} }",
    "${A:-b} \n${C:-d}",
    "${A:-b\n} ${C:-d}",
    "${A:-{b}\n} ${C:-d}",
    "${A:-{{b}} ${B:-x}",
    "${A:-${B:-${C:-${D:-e}}}}",
    "$COMPOSE_PROJECT_NAME",
    "${COMPOSE_PROJECT_NAME:+x}${COMPOSE_PROJECT_NAME?}",
    "//x.{fqdn}/{y}",
    "{A} {{.Name}} %{x} #{y}",
];

/// Command lines.
pub const COMMANDS: &[&str] = &[
    "/bin/sh -c \"kiwix-serve --port 80 /data/*.zim\"",
    "a  b\tc\n",
    "a\\ b 'c d'e",
    "\"a\\\"b\\n\" ''",
    "echo 'open",
    "\"",
    "\\",
    "echo a && b",
    "a;b",
    "a|b",
    "a>b",
    "echo 2>x",
    "echo 2a>x",
    "a2>x",
    "echo $(date +%s) `x y`",
    "echo (a)",
    "echo $(a",
    "a)b)",
    "\"(a)\" '`'",
    "a=\"b c\"",
    "{fqdn} //x.{fqdn}/{y}",
    "a \\; b",
    "a\\tb",
    "'a\\tb'",
    "a\\\nb",
    "é ü",
];

/// Where the two differ, and shall: the case, the release if it is only one, a part of what is said, the reason.
pub const DIFFERENCES: &[(&str, Option<Release>, &str, &str)] = &[
    // Keys.
    ("image: a, environment: ", None, "theirs refuses", EMPTY),
    ("something on top of nothing", None, "theirs refuses", EMPTY),
    ("image: a, pull_policy: every_12h", Some(Release::Trixie), "theirs refuses", NEWER),
    ("image: a, networks: {n1: {gw_priority: 5}}", Some(Release::Trixie), "gw_priority", NEWER),
    ("image: a, gpus: all", None, "ours refuses", MEANINGLESS),
    (
        "image: a, label_file: /dev/null",
        None,
        "ours refuses",
        "labels are read before the files of the data partition are there",
    ),
    (
        "image: a, post_start: [{command: x}]",
        None,
        "ours refuses",
        "the engine, which restarts containers by itself, knows no hooks",
    ),
    ("image: a, credential_spec: {file: x}", None, "ours refuses", MEANINGLESS),
    ("image: a, deploy: {mode: global}", None, "ours refuses", MEANINGLESS),
    (
        "image: a, deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
        None,
        "ours refuses",
        MEANINGLESS,
    ),
    ("an external secret", None, "ours refuses", "compose refuses it only when the container is made"),
    ("a secret of the environment", None, "ours refuses", "the environment is empty"),
    ("image: a, comand: x", None, "theirs refuses", MENTIONED),
    ("an unknown top key", None, "theirs refuses", MENTIONED),
    // Values.
    (
        "image: a, ports: ['80:80', {target: 80, published: 80}]",
        None,
        "services",
        "the same port twice is the same port",
    ),
    ("image: a, volumes: ['v:/v']", None, "ours refuses", "a name of one letter is no drive of Windows"),
    ("image: a, volumes: ['~/a:/b']", None, "ours refuses", "no home folder is meant on a box"),
    (
        "image: a, secrets: [{source: s, target: x, mode: '0400'}]",
        Some(Release::Trixie),
        ".secrets",
        "a defect: octal digits read as decimal",
    ),
    ("image: 'A B'", None, "ours refuses", ENGINE),
    ("image: a, restart: sometimes", None, "ours refuses", ENGINE),
    ("image: a, mac_address: x", None, "ours refuses", ENGINE),
    ("image: a, userns_mode: keep-id", None, "ours refuses", ENGINE),
    ("image: a, expose: [x]", None, "ours refuses", ENGINE),
    ("image: a, container_name: 'a b'", Some(Release::Trixie), "ours refuses", ENGINE),
    ("image: a, scale: -1", Some(Release::Trixie), "ours refuses", "no number of containers is below none"),
    ("image: a, ports: ['0:80']", None, "ours refuses", "any port is a port without a number"),
    ("image: a, network_mode: host, ports: ['80:80']", None, "ours refuses", "the ports would not be published"),
    ("image: a, environment: {A: 2001-01-01}", Some(Release::Trixie), "environment", DATE),
    ("image: a, environment: {A: 2001-01-01}", Some(Release::Sid), "theirs refuses", DATE),
    ("image: a, user: 1000", None, "theirs refuses", KINDS),
    ("image: a, hostname: 5", None, "theirs refuses", KINDS),
    ("image: a, restart: false", None, "theirs refuses", "writers of YAML 1.1 turn an unquoted no into it"),
    // Files.
    ("anchors and merge keys", None, "theirs refuses", "two merge keys of one mapping say nothing unclear"),
    ("a template nobody reads", None, "theirs refuses", "what nobody reads costs no service"),
    // Files of variables.
    ("FOO", None, "environment", "a name at the end of the file is a name too"),
    ("=1\n", None, "ours refuses", "a variable needs a name: the engine refuses it"),
    ("A=\nB\n= 3\n", None, "ours refuses", "a variable needs a name: the engine refuses it"),
    ("a name of both", Some(Release::Sid), "environment.B", "the card's compose looks into the files before first"),
    ("in other order", Some(Release::Sid), "environment.C", "the card's compose does not look into environment"),
];

const EMPTY: &str = "a key without value is an absent key, as everywhere in the settings";
const NEWER: &str = "this release does not know it yet";
const MEANINGLESS: &str = "it has no meaning on a box, and is not dropped in silence";
const MENTIONED: &str = "unknown keys are mentioned, and cost nothing";
const ENGINE: &str = "the engine refuses it later";
const DATE: &str = "a date is the text that was written";
const KINDS: &str = "a number is taken as the text that was written";
