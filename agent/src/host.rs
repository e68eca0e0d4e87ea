//! The host as a folder: a root, and every fixed path below it. Tests give another root.

use std::io;
use std::path::{Path, PathBuf};

/// The system the agent works on.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// A host whose paths all start at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into() }
    }

    /// Whether this is the running system itself: only then may an external program act on the host.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An absolute path of the system, below our root.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// With another root, its links must not lead out of it: nothing outside is ever changed.
    pub fn contained(&self) -> io::Result<()> {
        if self.is_live() || !self.root.exists() {
            return Ok(());
        }
        let root = self.root.canonicalize()?;
        let fixed = [
            self.boot(),
            self.data(),
            self.state(),
            self.images(),
            self.path("/etc/offspot"),
            self.path("/etc/docker"),
        ];
        for path in fixed.into_iter().chain([self.run(), self.leds()]) {
            let Some(there) = path.ancestors().find(|there| there.exists()) else { continue };
            if !there.canonicalize()?.starts_with(&root) {
                let why = format!("{} is a link that leads out of {}", there.display(), self.root.display());
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }

    /// The boot partition, where the user's `offspot.yaml` lies.
    pub fn boot(&self) -> PathBuf {
        self.path("/boot/firmware")
    }

    /// The data partition.
    pub fn data(&self) -> PathBuf {
        self.path("/data")
    }

    /// Receipts and fetch state, on the data partition.
    pub fn state(&self) -> PathBuf {
        self.path("/data/.offspot")
    }

    /// Image tarballs on the data partition: removed once loaded.
    pub fn images(&self) -> PathBuf {
        self.path("/data/images")
    }

    /// Image tarballs that a laptop put on the boot partition: read only to us.
    pub fn boot_images(&self) -> PathBuf {
        self.path("/boot/firmware/offspot/images")
    }

    /// The settings in force.
    pub fn latest(&self) -> PathBuf {
        self.path("/etc/offspot/latest.yaml")
    }

    /// The `containers` value as given; other containers read it.
    pub fn compose(&self) -> PathBuf {
        self.path("/etc/docker/compose.yml")
    }

    /// Live status and lock.
    pub fn run(&self) -> PathBuf {
        self.path("/run/offspot")
    }

    /// Where the engine unpacks what it is sent, if it is told to.
    pub fn engine_folder(&self) -> PathBuf {
        self.run().join("tmp")
    }

    /// What the engine's unit reads its environment from.
    pub fn engine_environment(&self) -> PathBuf {
        self.run().join("engine.env")
    }

    /// LEDs of the kernel.
    pub fn leds(&self) -> PathBuf {
        self.path("/sys/class/leds")
    }
}
