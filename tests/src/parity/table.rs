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

const CLOCKS: &str = "two clocks";
const RANDOM: &str = "compose gives them in a random order";
const ENGINES: &str = "the engine makes it up";

/// The table.
pub const TABLE: &[Entry] = &[
    left_out("container/Created", CLOCKS),
    left_out("container/State/StartedAt", CLOCKS),
    left_out("container/State/FinishedAt", CLOCKS),
    left_out("container/State/Health/Log", "times, and how often by now"),
    left_out("container/State/Pid", "the kernel gives it"),
    left_out("container/GraphDriver/Data", ENGINES),
    left_out("container/NetworkSettings/SandboxID", ENGINES),
    left_out("container/NetworkSettings/SandboxKey", ENGINES),
    left_out("container/NetworkSettings/EndpointID", ENGINES),
    left_out("container/NetworkSettings/Networks/*/EndpointID", ENGINES),
    left_out("network/Containers/*/EndpointID", ENGINES),
    left_out("network/Created", CLOCKS),
    left_out("volume/CreatedAt", CLOCKS),
    left_out(
        "container/NetworkSettings/Ports/*/[]/HostPort",
        "the engine chooses where none or a range is given; what was asked for is compared in HostConfig.PortBindings",
    ),
    differs("container/Config/Labels/com.docker.compose.config-hash", "*", "*", "each has a digest of its own"),
    differs("container/Config/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", "who made it"),
    differs("network/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", "who made it"),
    differs("volume/Labels/com.docker.compose.version", "\"2.26.1\"", "\"offspot-0.1.0\"", "who made it"),
    differs(
        "network/Labels/com.docker.compose.config-hash",
        "",
        "*",
        "by it we see later that the network was changed",
    ),
    left_out("container/ExecIDs", "health checks that are under way"),
    unordered("container/Config/Env", RANDOM),
    unordered("container/Config/Labels/com.docker.compose.depends_on", RANDOM),
    unordered("container/Mounts", "the engine lists them in a random order"),
    unordered("container/HostConfig/Mounts", RANDOM),
    unordered("container/HostConfig/Binds", RANDOM),
    unordered("container/HostConfig/Ulimits", RANDOM),
    unordered("container/HostConfig/ExtraHosts", RANDOM),
];
