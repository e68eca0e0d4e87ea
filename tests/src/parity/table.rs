//! The one table of what is left out of the comparison or differs, with the reason. An entry that nothing needs fails the test.

/// One field, or several alike.
#[derive(Debug)]
pub struct Entry {
    /// Case it is for; none: all.
    pub case: Option<&'static str>,
    /// Kind and keys; `*` stands for one key, `[]` for the items of a list. What is left out is so with all that is below.
    pub path: &'static str,
    /// How it may differ.
    pub excuse: Excuse,
    /// Why.
    pub reason: &'static str,
}

const ENDED: (&str, &str) = (
    "[]",
    "[\"E-SERVICE-ENDED: fails ended with exit code 1; look at its log; its image or its settings may be wrong\"]",
);

/// How a field may differ.
#[derive(Debug, PartialEq, Eq)]
pub enum Excuse {
    /// In any way.
    LeftOut,
    /// In the order of its items alone, or of its words with commas between.
    Unordered,
    /// Compose's value and ours, as JSON; `*` is any, an empty text is none.
    Differs(&'static str, &'static str),
}

impl Entry {
    /// Whether it is for this field.
    pub fn is_for(&self, case: &str, path: &[String]) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        let long_enough = match self.excuse {
            Excuse::LeftOut => path.len() >= parts.len(),
            _ => path.len() == parts.len(),
        };
        let mut pairs = parts.iter().zip(path);
        self.case.is_none_or(|only| only == case)
            && long_enough
            && pairs.all(|(part, key)| *part == "*" || *part == key)
    }
}

const fn left_out(path: &'static str, reason: &'static str) -> Entry {
    Entry { case: None, path, excuse: Excuse::LeftOut, reason }
}

const fn unordered(path: &'static str, reason: &'static str) -> Entry {
    Entry { case: None, path, excuse: Excuse::Unordered, reason }
}

const fn differs(path: &'static str, theirs: &'static str, ours: &'static str, reason: &'static str) -> Entry {
    Entry { case: None, path, excuse: Excuse::Differs(theirs, ours), reason }
}

const fn left_out_in(case: &'static str, path: &'static str, reason: &'static str) -> Entry {
    Entry { case: Some(case), path, excuse: Excuse::LeftOut, reason }
}

const fn only(
    case: &'static str,
    path: &'static str,
    (theirs, ours): (&'static str, &'static str),
    reason: &'static str,
) -> Entry {
    Entry { case: Some(case), path, excuse: Excuse::Differs(theirs, ours), reason }
}

const CLOCKS: &str = "two clocks";
const RANDOM: &str = "compose gives them in a random order";
const ENGINES: &str = "the engine makes it up";
const LISTED: &str = "the engine lists them in a random order";
const MAKER: &str = "who made it";
const CHANGED: &str = "by it we see later that it was changed";
const NOTHING: &str = "an empty one says what none says";
const RIGHTS: &str = "compose takes the rights of /dev/random:r for a path; we read them as docker run does";
const DATE: &str = "compose makes a time of a date without quotes and prints that; we keep what is written";
const LOST_MAC: &str = "compose 2.26 loses mac_address of a service";
const DEPENDENT: &str =
    "compose 2.26 makes all dependents anew; later ones start again those that ask for restart, as we do";
const CONTENT: &str = "compose leaves a program with the content that it has read; we make it anew";
const NETWORK: &str = "compose 2.26 does not see that a network was changed; later ones do";
const VOLUME: &str = "compose 2.26 does not see that a volume has another name; later ones do";
const POLICY: &str = "compose 2.26 makes a container anew for keys that do not concern it; later ones do not";

/// The table.
pub const TABLE: &[Entry] = &[
    left_out("container/Created", CLOCKS),
    left_out("container/State/StartedAt", CLOCKS),
    left_out("container/State/FinishedAt", CLOCKS),
    left_out("container/State/Health/Log", "times, and how often by now"),
    left_out("container/State/Health/Status", "on a slow machine the one has passed its check before the other"),
    left_out("container/State/Pid", "the kernel gives it"),
    left_out("container/ExecIDs", "health checks that are under way"),
    left_out("container/GraphDriver/Data", ENGINES),
    left_out("container/NetworkSettings/SandboxID", ENGINES),
    left_out("container/NetworkSettings/SandboxKey", ENGINES),
    left_out("container/NetworkSettings/EndpointID", ENGINES),
    left_out("container/NetworkSettings/Networks/*/EndpointID", ENGINES),
    left_out(
        "container/Config/Labels/com.docker.compose.replace",
        "id of one that is gone; that it was made anew is compared as its fate",
    ),
    left_out("network/Containers/*/EndpointID", ENGINES),
    left_out("network/Created", CLOCKS),
    left_out("volume/CreatedAt", CLOCKS),
    unordered("container/Changes", LISTED),
    unordered("container/Files", LISTED),
    unordered("container/Mounts", LISTED),
    unordered("container/Config/Env", RANDOM),
    unordered("container/Config/Labels/com.docker.compose.depends_on", RANDOM),
    unordered("container/HostConfig/Mounts", RANDOM),
    unordered("container/HostConfig/Binds", RANDOM),
    unordered("container/HostConfig/Ulimits", RANDOM),
    unordered("container/HostConfig/ExtraHosts", RANDOM),
    unordered("container/NetworkSettings/Networks/*/Links", "compose takes the newest container first, we the first"),
    differs("container/Config/Labels/com.docker.compose.config-hash", "*", "*", "each has a digest of its own"),
    differs("container/Config/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", MAKER),
    differs("network/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", MAKER),
    differs("network/Labels/com.docker.compose.config-hash", "", "*", CHANGED),
    differs("volume/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", MAKER),
    differs("volume/Labels/com.docker.compose.config-hash", "", "*", CHANGED),
    differs(
        "container/HostConfig/Binds",
        "*",
        "null",
        "we give them as Mounts, with which the engine makes no folder where a file is missing; compared there",
    ),
    differs(
        "container/Mounts/[]/Mode",
        "*",
        "\"\"",
        "the options of a bind as compose wrote them; compared in HostConfig",
    ),
    differs("container/HostConfig/Mounts/[]/BindOptions", "{}", "", NOTHING),
    differs("container/HostConfig/Mounts/[]/VolumeOptions", "{}", "", NOTHING),
    differs("container/NetworkSettings/Networks/*/IPAMConfig", "{}", "null", NOTHING),
    differs("container/HostConfig/CapAdd", "[]", "null", NOTHING),
    only(
        "key-external",
        "container/HostConfig/NetworkMode",
        ("\"{id of outside}\"", "\"outside\""),
        "by its name it is found again when another hand makes it anew",
    ),
    differs("container/Config/Healthcheck", "{}", "", NOTHING),
    left_out_in(
        "key-scale",
        "container/NetworkSettings/Ports/*/[]/HostPort",
        "which container gets which port of a range is chance; the range is compared in HostConfig.PortBindings",
    ),
    only("key-devices", "container/HostConfig/Devices/[]/CgroupPermissions", ("\"rwm\"", "\"r\""), RIGHTS),
    only("key-devices", "container/HostConfig/Devices/[]/PathInContainer", ("\"r\"", "\"/dev/random\""), RIGHTS),
    only("key-devices", "container/Changes", ("[{\"Kind\":1,\"Path\":\"/r\"}]", "null"), RIGHTS),
    only("key-dates", "container/Config/Labels/d", ("\"2024-02-08 00:00:00 +0000 UTC\"", "\"2024-02-08\""), DATE),
    differs("container/Config/MacAddress", "", "*", LOST_MAC),
    only(
        "key-mac",
        "container/NetworkSettings/Networks/key-mac_default/MacAddress",
        ("\"{MAC in key-mac_default}\"", "\"02:42:ac:11:65:43\""),
        LOST_MAC,
    ),
    only(
        "key-mac",
        "network/Containers/{id of key-mac-service-1}/MacAddress",
        ("\"{MAC in key-mac_default}\"", "\"02:42:ac:11:65:43\""),
        LOST_MAC,
    ),
    only("key-mac", "container/NetworkSettings/MacAddress", ("\"{MAC in bridge}\"", "\"02:42:ac:11:65:45\""), LOST_MAC),
    only(
        "key-mac",
        "container/NetworkSettings/Networks/bridge/MacAddress",
        ("\"{MAC in bridge}\"", "\"02:42:ac:11:65:45\""),
        LOST_MAC,
    ),
    only(
        "key-mac",
        "network/Containers/{id of key-mac-old-1}/MacAddress",
        ("\"{MAC in bridge}\"", "\"02:42:ac:11:65:45\""),
        LOST_MAC,
    ),
    left_out_in(
        "changes/volumes",
        "down",
        "of two volumes of one key, the old and the new, compose removes whichever the engine lists last",
    ),
    only("key-one-shot", "up", ENDED, "compose does not look whether a program that it started goes on; we say so"),
    only("key-one-shot", "second up", ENDED, "compose starts it once more, and does not look either"),
    only(
        "key-volumes-from",
        "container/HostConfig/VolumesFrom",
        (
            "[\"{id of key-volumes-from-source-1}\",\"outside\"]",
            "[\"{id of key-volumes-from-source-1}:ro\",\"outside\"]",
        ),
        "compose 2.26 loses :ro of a service",
    ),
    only("key-volumes-from", "container/Mounts/[]/RW", ("true", "false"), "compose 2.26 loses :ro of a service"),
    only("changes/dependencies 2", "fate/c-dependencies-plain-1", ("\"made anew\"", "\"left alone\""), DEPENDENT),
    only("changes/dependencies 2", "fate/c-dependencies-further-1", ("\"made anew\"", "\"left alone\""), DEPENDENT),
    only("changes/dependencies 2", "fate/c-dependencies-linked-1", ("\"made anew\"", "\"started again\""), DEPENDENT),
    only(
        "changes/dependencies 2",
        "fate/c-dependencies-restarting-1",
        ("\"made anew\"", "\"started again\""),
        DEPENDENT,
    ),
    only("changes/files 2", "fate/c-files-config-1", ("\"left alone\"", "\"made anew\""), CONTENT),
    only("changes/files 2", "fate/c-files-secret-1", ("\"left alone\"", "\"made anew\""), CONTENT),
    only("changes/files 2", "fate/c-files-inline-1", ("\"left alone\"", "\"made anew\""), CONTENT),
    only("changes/files 2", "container/Files/[]/content", ("\"one\"", "\"two\""), CONTENT),
    only("changes/keys 2", "fate/c-keys-policy-1", ("\"made anew\"", "\"left alone\""), POLICY),
    only("changes/networks 2", "fate/c-networks-one-1", ("\"left alone\"", "\"started again\""), NETWORK),
    only("changes/networks 2", "fate/c-networks-two-1", ("\"left alone\"", "\"started again\""), NETWORK),
    only("changes/networks 2", "network/Labels/a", ("\"b\"", "\"c\""), NETWORK),
    only("changes/networks 2", "network/IPAM/Config/[]/Subnet", ("\"10.97.0.0/24\"", "\"10.96.0.0/24\""), NETWORK),
    only(
        "changes/networks 2",
        "network/Containers/{id of c-networks-two-1}/IPv4Address",
        ("\"10.97.0.2/24\"", "\"10.96.0.2/24\""),
        NETWORK,
    ),
    only(
        "changes/networks 2",
        "network/Containers/{id of c-networks-two-1}/MacAddress",
        ("\"02:42:0a:61:00:02\"", "\"02:42:0a:60:00:02\""),
        NETWORK,
    ),
    only(
        "changes/networks 2",
        "container/NetworkSettings/Networks/c-networks_addressed/Gateway",
        ("\"10.97.0.1\"", "\"10.96.0.1\""),
        NETWORK,
    ),
    only(
        "changes/networks 2",
        "container/NetworkSettings/Networks/c-networks_addressed/IPAddress",
        ("\"10.97.0.2\"", "\"10.96.0.2\""),
        NETWORK,
    ),
    only(
        "changes/networks 2",
        "container/NetworkSettings/Networks/c-networks_addressed/MacAddress",
        ("\"02:42:0a:61:00:02\"", "\"02:42:0a:60:00:02\""),
        NETWORK,
    ),
    only("changes/volumes 2", "fate/c-volumes-two-1", ("\"left alone\"", "\"made anew\""), VOLUME),
    only(
        "changes/volumes 2",
        "container/HostConfig/Mounts/[]/Source",
        ("\"c-volumes-first\"", "\"c-volumes-second\""),
        VOLUME,
    ),
    only("changes/volumes 2", "container/Mounts/[]/Name", ("\"c-volumes-first\"", "\"c-volumes-second\""), VOLUME),
    only(
        "changes/volumes 2",
        "container/Mounts/[]/Source",
        ("\"{store}/volumes/c-volumes-first/_data\"", "\"{store}/volumes/c-volumes-second/_data\""),
        VOLUME,
    ),
];
