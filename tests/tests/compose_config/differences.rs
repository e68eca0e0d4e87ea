//! Where our reader and compose differ, and why.

use offspot_tests::other_release::Release;

use super::files::A_LONG_CHAIN;

/// Where the two differ, and shall: the case, the release if it is only one, a part of what is said, the reason.
pub const DIFFERENCES: &[(&str, Option<Release>, &str, &str)] = &[
    // Keys.
    ("image: a, environment: ", None, "theirs refuses", EMPTY),
    ("something on top of nothing", None, "theirs refuses", EMPTY),
    ("image: a, pull_policy: every_12h", Some(Release::Trixie), "theirs refuses", NEWER),
    ("image: a, networks: {n1: {gw_priority: 5}}", Some(Release::Trixie), "gw_priority", NEWER),
    ("image: a, gpus: all", None, "ours refuses", MEANINGLESS),
    ("image: a, develop: {watch: [{path: x, action: rebuild}]}", None, "ours refuses", MEANINGLESS),
    ("image: a, build: ., develop: {watch: [{path: x, action: rebuild}]}", None, "ours refuses", MEANINGLESS),
    ("build: ., develop: {watch: [{path: x, action: rebuild}]}", None, "ours refuses", BUILT),
    ("a service that is to be built is extended", None, "ours refuses", BUILT),
    ("image: a, deploy: {replicas: 101}", None, "ours refuses", ENOUGH),
    ("image: a, scale: 101", None, "ours refuses", ENOUGH),
    (
        "image: a, labels: {x: '${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-x}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}'}",
        None,
        "ours refuses",
        "a hostile text must not take the stack: no real one nests deeper than a few",
    ),
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
    ("image: a, deploy: {mode: replicated-job}", None, "ours refuses", MEANINGLESS),
    ("image: a, deploy: {restart_policy: {condition: any, max_attempts: 3}}", None, "ours refuses", ENGINE),
    ("image: a, ports: ['1-1001']", None, "ours refuses", PORTS),
    ("image: a, expose: ['1-1001']", None, "ours refuses", PORTS),
    ("image: a, network_mode: host, networks: ", None, "theirs refuses", EMPTY),
    ("an external volume with options", None, "theirs refuses", IDLE),
    ("an external volume with labels", None, "theirs refuses", IDLE),
    ("image: a, container_name: ''", Some(Release::Sid), "theirs refuses", OLDER),
    ("image: a, container_name: '${X}'", Some(Release::Sid), "theirs refuses", OLDER),
    (
        "image: a, ports: [{target: 80, host_ip: '', published: '', protocol: ''}]",
        Some(Release::Sid),
        "theirs refuses",
        OLDER,
    ),
    ("image: a, mem_limit: 512Mi", Some(Release::Sid), "theirs refuses", OLDER),
    ("image: a, mem_limit: 2Gi, mem_reservation: 1.5Gi", Some(Release::Sid), "theirs refuses", OLDER),
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
    (A_LONG_CHAIN, None, "ours refuses", "a hostile file must not take the time: no real chain is longer than a few"),
    ("a template nobody reads", None, "theirs refuses", "what nobody reads costs no service"),
    ("tags in a chain of services", Some(Release::Sid), "services", CHANCE),
    (
        "a tag on a merge key",
        None,
        "environment",
        "it is mentioned, and takes nothing: that compose takes it for one of the mapping is an accident",
    ),
    // Files of variables.
    ("FOO", None, "environment", "a name at the end of the file is a name too"),
    ("=1\n", None, "ours refuses", "a variable needs a name: the engine refuses it"),
    ("A=\nB\n= 3\n", None, "ours refuses", "a variable needs a name: the engine refuses it"),
    ("a name of both", Some(Release::Sid), "environment.B", "the card's compose looks into the files before first"),
    ("in other order", Some(Release::Sid), "environment.C", "the card's compose does not look into environment"),
];

/// What differs in some runs and in others not.
pub const CHANCE: &str =
    "this release goes through services in random order, and forgets tags of one that it meets below another first";
const BUILT: &str = "nothing is built on a box";
const PORTS: &str = "a box publishes no thousand ports of a service: each takes a process of the engine, or memory";
const IDLE: &str = "it is mentioned, and costs nothing: the volume is there already";
const OLDER: &str = "this release does not take it any more";
const EMPTY: &str = "a key without value is an absent key, as everywhere in the settings";
const ENOUGH: &str = "a box runs no hundred containers of a service: it is a mistake that would take its memory";
const NEWER: &str = "this release does not know it yet";
const MEANINGLESS: &str = "it has no meaning on a box, and is not dropped in silence";
const MENTIONED: &str = "unknown keys are mentioned, and cost nothing";
const ENGINE: &str = "the engine refuses it later";
const DATE: &str = "a date is the text that was written";
const KINDS: &str = "a number is taken as the text that was written";
