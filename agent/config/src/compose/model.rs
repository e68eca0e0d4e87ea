//! A compose project as types: every value resolved, nothing left to guess for whoever talks to the engine.

mod project;
mod rights;
mod service;
mod storage;
mod wiring;

pub use project::{Project, Refused};
pub use rights::{Blkio, Isolation, Limits};
pub use service::{Condition, Dependency, EnvFile, Health, Logging, Process, Replicas, Restart, Service};
pub use storage::{FileObject, FileSource, GivenFile, Mount, MountKind, Volume, VolumesFrom, VolumesSource};
pub use wiring::{Joined, Network, Port, Subnet, Wiring};
