//! Whole compose files.

/// Every whole file.
pub fn all() -> impl Iterator<Item = (&'static str, String)> {
    let chain: String = (1..=LONGEST).map(|link| format!("s{}: {{extends: s{link}}}, ", link - 1)).collect();
    let chain = (A_LONG_CHAIN, format!("services: {{{chain}s{LONGEST}: {{image: a}}}}"));
    FILES.iter().map(|(name, text)| (*name, text.to_string())).chain([chain])
}

/// The name of a file with more services that extend each other than we follow.
pub const A_LONG_CHAIN: &str = "a chain too long";

const LONGEST: usize = 101;

/// Whole files: a name, and what stands below `name: offspot`.
const FILES: &[(&str, &str)] = &[
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
    ("reset", "services: {b: {image: b, ports: ['80:80'], user: x, labels: {a: b}, environment: [A=1]}, a: {extends: b, ports: !reset [], user: !reset null, labels: !reset , environment: !reset {B: 2}}}"),
    ("override", "services: {b: {image: b, ports: ['80:80'], user: x, labels: {a: b}, environment: [A=1], command: x}, a: {extends: b, ports: !override ['81:81'], user: !override y, labels: !override {c: d}, environment: !override [B=2], command: !override [z]}}"),
    ("tags in a chain of services", "services: {b: {image: b, ports: ['80:80'], user: x, labels: {a: b}}, a: {extends: b, ports: !reset [], user: !override y, labels: !override {c: d}}, c: {extends: a, ports: ['81:81'], labels: {e: f}}, d: {extends: c, user: !reset , labels: {c: !reset }}}"),
    ("tags without extends", "services: {a: {image: a, ports: !reset ['80:80'], user: !reset y, labels: !override {x: 1}, environment: {A: !reset x, B: !override 1.10, C: !override null, D: !override }, command: [!reset x, y], init: !override true, scale: !override 2, expose: [!override 80]}}"),
    ("tags of keys in keys", "services: {b: {image: b, environment: {A: 1, B: 2}, extra_hosts: {h: 1.1.1.1, i: 1.1.1.2}, ulimits: {core: 1, nofile: {soft: 1, hard: 2}}, healthcheck: {test: x, interval: 5s}, logging: {driver: local, options: {a: 1}}, deploy: {resources: {limits: {cpus: '0.5', memory: 10m}}}, blkio_config: {weight: 5, weight_device: [{path: /dev/a, weight: 3}]}, networks: {n: {aliases: [x]}, m: }, depends_on: {c: {condition: service_started}, d: {condition: service_started}}}, c: {image: c}, d: {image: d}, a: {extends: b, environment: {A: !reset 5, B: !override 7}, extra_hosts: {h: !reset , j: 1.1.1.3}, ulimits: {core: !reset 1, nofile: !override {soft: 4, hard: 5}}, healthcheck: {interval: !reset 5s}, logging: {options: !override {b: 2}}, deploy: {resources: {limits: {memory: !reset }}}, blkio_config: {weight: !reset , weight_device: !override [{path: /dev/b, weight: 3}]}, networks: {n: {aliases: !override [y]}, m: !reset }, depends_on: {c: !reset }}}\nnetworks: {n: , m: }"),
    ("tags of keys in lists", "services: {b: {image: b, environment: [A=1], labels: [a=1], networks: [n, m], depends_on: [c], ports: ['80:80', '81:81'], volumes: ['/a:/b']}, c: {image: c}, a: {extends: b, environment: {A: !reset }, labels: {a: !reset , b: !override 2}, networks: {n: !reset }, depends_on: {c: !reset }, ports: [!reset '80:80', !override '82:82'], volumes: [{type: bind, source: /c, target: /b, bind: !reset {propagation: shared}}]}}\nnetworks: {n: , m: }"),
    ("tags of keys in what was put together", "services: {c: {image: c, environment: {A: 1}, labels: {A: 1}, annotations: {A: 1}, sysctls: {A: 1}, extra_hosts: {A: 1.1.1.1}, ulimits: {core: 1}, deploy: {labels: {A: 1}}}, b: {extends: c, environment: {B: 0x10, N: }, labels: {B: 1.10, N: }, annotations: {B: 2}, sysctls: {B: 2}, extra_hosts: {B: 1.1.1.2}, ulimits: {nproc: 2}, deploy: {labels: {B: 2}}}, a: {extends: b, environment: {A: !reset }, labels: {A: !reset }, annotations: {A: !reset }, sysctls: {A: !reset }, extra_hosts: {A: !reset }, ulimits: {core: !reset }, deploy: {labels: {A: !reset }}}}"),
    ("tags in what overrides", "services: {b: {image: b, labels: {a: x, b: y}, ports: ['80:80']}, a: {extends: b, labels: !override {a: !reset null, c: !override 5}, ports: !override [!reset '81:81', '82:82']}}"),
    ("a tag on a list in a label", "services: {b: {image: b, labels: {a: x}}, a: {extends: b, labels: !override {a: !override [], c: d}}}"),
    ("a reset service", "services: {b: {image: b}, a: !reset {image: a, user: 5, ports: 7}}"),
    ("a reset service that another waits for", "services: {a: {image: a, depends_on: [c]}, c: !reset {image: a}}"),
    ("a service that overrides", "services: {b: {image: b, user: x, labels: {a: b}, ports: ['80:80']}, a: !override {extends: b, user: y, ports: !override ['81:81'], labels: {a: !reset z}}}"),
    ("services that override", "services: !override {b: {image: b, user: x, ports: ['80:80']}, a: {extends: b, user: !reset z, ports: !override ['81:81']}}"),
    ("reset extends", "services: {b: {image: b, user: x}, a: {image: a, extends: !reset b, labels: {x: y}}, c: {extends: !override {service: b}}}"),
    ("reset service of extends", "services: {b: {image: b}, a: {extends: {service: !reset b}, image: x}}"),
    ("a reset image", "services: {b: {image: b}, a: {image: !reset a, user: x}}"),
    ("profiles are reset", "services: {b: {image: b, profiles: [x]}, a: {extends: b, profiles: !reset []}}"),
    ("a template that is reset", "services: {b: {image: b, user: '${A:-x}'}, a: {extends: b, user: !reset '${'}, c: {extends: b, user: !override '${U:-y}'}}"),
    ("a reset of every key", "services: {b: {image: b, labels: {a: x, b: y}, ulimits: {nofile: {soft: 1, hard: 2}, core: 1}}, a: {extends: b, labels: {'*': !reset }, ulimits: {'*': !reset }}}"),
    ("nothing overrides a list", "services: {b: {image: b, ports: [80]}, a: {extends: b, ports: !override }}"),
    ("nothing overrides a mapping", "services: {b: {image: b, environment: {A: 1}}, a: {extends: b, environment: !override }}"),
    ("nothing overrides a command", "services: {b: {image: b, command: x}, a: {extends: b, command: !override , user: !override }}"),
    ("ports instead of the host's network", "services: {b: {image: b, network_mode: host}, a: {extends: b, network_mode: !reset , ports: ['80:80']}}"),
    ("tags in networks and volumes", "services: {a: {image: a, networks: [n], volumes: ['vv:/x']}}\nnetworks: {n: {driver: !reset x, labels: !override {a: b}, internal: !reset true, driver_opts: {a: !reset x, b: c}}, m: !override {internal: !reset true}}\nvolumes: {vv: {name: !reset x, labels: {a: !reset x, b: !override 5}}, w: !reset }"),
    ("a reset network", "services: {a: {image: a, networks: [n]}}\nnetworks: {n: !reset {driver: x}}"),
    ("reset networks", "services: {a: {image: a}}\nnetworks: !reset {n: 5}\nvolumes: !override {v: }"),
    ("tags in configs and secrets", "services: {a: {image: a, configs: [c], secrets: [s]}}\nconfigs: {c: {content: x, file: !reset /x}}\nsecrets: {s: {file: !override /data/x}}"),
    ("a reset include", "include: !reset [x.yml]\nversion: !reset 3\nservices: {a: {image: a}}"),
    ("tags by alias", "x-p: &p !reset []\nx-o: &o !override ['81:81']\nservices: {b: {image: b, ports: ['80:80'], expose: [1]}, a: {extends: b, ports: *p, expose: *p}, c: {extends: b, ports: *o}, d: {extends: b, ports: &q !reset [], expose: *q}}"),
    ("tags in what an alias repeats", "x-e: &e {A: !reset }\nx-f: &f {A: !override 3}\nservices: {z: {image: z, ports: ['80:80'], environment: {A: 1}, labels: {A: 1}}, b: &b {extends: z, ports: !reset [], environment: *e, labels: *f}, a: *b, c: {<<: *b, user: x}, d: {extends: z, ports: !override &l ['81'], environment: !override &g {A: !reset x}, labels: *g, expose: *l}}"),
    ("tags by merge key", "x-r: &r {ports: !reset []}\nx-o: &o {ports: !override ['81:81']}\nx-m: &m {ports: ['82:82'], user: x}\nservices:\n  b: {image: b, ports: ['80:80'], environment: {A: 1, B: 2}}\n  a: {extends: b, <<: *r}\n  c: {extends: b, <<: *o}\n  d: {extends: b, <<: [*o]}\n  e: {extends: b, <<: *m, ports: !reset []}\n  f: {extends: b, <<: *m, ports: !override ['83:83']}\n  g: {extends: b, <<: *r, ports: ['84:84']}\n  h: {extends: b, <<: *o, ports: ['85:85']}\n  i: {extends: b, <<: {ports: !reset [], environment: {A: !reset }}}\n  j: {extends: b, environment: {<<: {A: !reset , B: !override 7}, A: 5}}\n  k: {extends: b, <<: {ports: !reset []}, ports: ['86:86']}\n  l: {image: l, <<: *m, ports: !reset []}"),
    ("a tag on a merge key", "services: {b: {image: b, environment: {A: 1, B: 2}}, a: {extends: b, environment: {<<: !override {A: 3}, C: 5}}}"),
    ("a tag on a merge key, nothing below", "services: {a: {image: a, environment: {<<: !override {A: 3}, C: 5}}}"),
    ("a tag on a key", "services: {b: {image: b, user: x}, a: {extends: b, !reset user: y}}"),
    ("a tag written out", "services: {b: {image: b, user: x, labels: {a: b}}, a: {extends: b, user: !<!reset> y, labels: !<!override> {c: d}}}"),
    ("tags that are no tags of compose", "services: {b: {image: b, user: x, labels: {a: b}}, a: {extends: b, user: !Reset y, labels: !replace {c: d}, hostname: !!reset z}}"),
    ("a name of mixed case", "name: MyStack\nservices: {a: {image: a, labels: {n: $COMPOSE_PROJECT_NAME}}}"),
    ("a name with a low line", "name: My_Project\nservices: {a: {image: a}}"),
    ("a name with a space", "name: Library 1\nservices: {a: {image: a}}"),
    ("a name that begins with signs", "name: -_Stack.X\nservices: {a: {image: a}}"),
    ("a name from a variable", "name: '${A:-My X}'\nservices: {a: {image: a}}"),
    ("a name with no letter", "name: '___'\nservices: {a: {image: a}}"),
    ("secrets that nobody uses", "services: {a: {image: a, secrets: []}}\nsecrets: {s: {external: true}, t: {environment: X}}\nconfigs: {c: {external: true}, d: {environment: X}}"),
    ("a secret of an asleep service", "services: {a: {image: a}, b: {image: b, profiles: [x], secrets: [s]}}\nsecrets: {s: {external: true}}"),
    ("a secret of nothing", "services: {a: {image: a}}\nsecrets: {s: {}}"),
    ("an asleep service with ports on the host's network", "services: {a: {image: a}, b: {image: b, profiles: [x], network_mode: host, ports: ['80:80']}}"),
    ("an asleep service without image", "services: {a: {image: a}, b: {image: '', profiles: [x]}}"),
    ("an asleep service with a list for an image", "services: {a: {image: a}, b: {image: [b], profiles: [x]}}"),
    ("an external volume with options", "services: {a: {image: a, volumes: ['vv:/x']}}\nvolumes: {vv: {external: true, driver_opts: {a: b}}}"),
    ("an external volume with labels", "services: {a: {image: a, volumes: ['vv:/x']}}\nvolumes: {vv: {external: true, labels: {a: b}}}"),
    ("a service that is to be built is extended", "services: {a: {extends: b, image: x}, b: {build: .}}"),
    ("a quoted merge key", "x-e: &e {user: b}\nservices: {a: {image: a, \"<<\": *e}}"),
    ("numbers in networks and volumes", "services: {a: {image: a, networks: [n], volumes: ['vv:/x']}}\nnetworks: {n: {driver_opts: {a: 022, b: 0b101}, labels: {c: 1_000}}}\nvolumes: {vv: {driver_opts: {a: 0X1F}, labels: {b: -0x1F}}}"),
];
