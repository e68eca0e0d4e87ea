//! What is mounted into containers, and what is given to them as files.

use std::collections::BTreeMap;

use serde::Serialize;

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
