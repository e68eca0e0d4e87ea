//! Where the engine unpacks the whole of what it is sent, before it takes the layers out: in memory where there is enough, else on the card,
//! where everything would be written twice.
//!
//! The engine learns the folder from its environment when it starts, which the first call on its socket does. So the file that its unit
//! reads is written before, and names a folder that is ours: what lies under it, memory or the card, can then be changed while it runs.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::time::{ClockId, clock_gettime};

use super::durable;
use crate::card::mounted;
use crate::host::Host;

/// Configurations, manifest, folders, and what rounding to pages adds.
const SLACK: u64 = 4 << 20;
/// The share of the memory that is to be had which a load may take, as its divisor.
const SHARE: u64 = 2;
/// How the engine names the folder that it makes for each load.
pub(super) const IMPORT: &str = "docker-import-";
/// Where a live host's engine leaves its pid.
const PID_FILE: &str = "/run/docker.pid";

/// Where the engine unpacks, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staging {
    /// Below its own store, on the data partition.
    Card,
    /// In this folder, in memory.
    Memory {
        /// The folder, ours.
        folder: PathBuf,
        /// Whether we may change its size, and put the card in its place.
        ours: bool,
    },
}

/// What loads need: bytes of the largest one, of the largest with the one before it, which is still unpacked when its layers come, and of the
/// largest layer of all, which is the least that can be sent at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes of the largest load.
    pub load: u64,
    /// Bytes of the largest load and the one before it.
    pub both: u64,
    /// Bytes of the largest layer.
    pub layer: u64,
}

impl Need {
    /// The same after a load of so many bytes.
    pub fn beside(self, before: u64) -> Need {
        Need { both: self.load.saturating_add(before), ..self }
    }

    /// What either needs.
    pub fn or(self, other: Need) -> Need {
        Need { load: self.load.max(other.load), both: self.both.max(other.both), layer: self.layer.max(other.layer) }
    }
}

/// The most bytes that a load may have in memory; none where the engine unpacks on the card. Looks only.
pub fn foresee(host: &Host) -> Option<u64> {
    match Staging::of(host) {
        Staging::Memory { folder, .. } => Some(size_of(&folder).saturating_sub(SLACK)),
        Staging::Card if host.is_live() && listens(host) => Some(to_be_had(host)),
        Staging::Card => None,
    }
}

/// Makes the folder and tells the engine of it, before that starts; answers bytes in memory, none where the card is used. On a live host the
/// folder is memory for the largest load and the one before it, or as much as is to be had, if that is enough for the largest layer. With
/// another root nothing is mounted.
pub fn prepare(host: &Host, need: Need) -> io::Result<Option<u64>> {
    let folder = host.engine_folder();
    if !host.is_live() {
        if need.load > 0 {
            fs::create_dir_all(&folder)?;
            tell(host)?;
        }
        return Ok(None);
    }
    let most = to_be_had(host);
    let fits = need.layer > 0 && need.layer <= most;
    if !fits || !listens(host) {
        return if runs(host).is_some() { Ok(None) } else { forget(host).map(|()| None) };
    }
    let size = need.both.max(need.load).min(most) + SLACK;
    fs::create_dir_all(&folder)?;
    clear(&folder)?;
    mount_memory(&folder, size, MsFlags::empty())?;
    if runs(host).is_none() {
        tell(host)?;
    }
    Ok(Some(size))
}

impl Staging {
    /// What lies under the folder now.
    pub fn of(host: &Host) -> Staging {
        let folder = host.engine_folder();
        let mounted = matches!(mounted::at(&folder), Ok(Some(_)));
        let memory = statfs(&folder).is_ok_and(|about| about.filesystem_type() == TMPFS_MAGIC);
        match mounted && memory && listens(host) {
            true => Staging::Memory { folder, ours: host.is_live() },
            false => Staging::Card,
        }
    }

    /// Removes from our memory what an engine left there that was cut off within a load. On the card it does so itself when it starts.
    pub fn sweep(&self) -> io::Result<()> {
        self.imports()?.iter().try_for_each(fs::remove_dir_all)
    }

    /// Whether our memory holds something of a load.
    pub fn is_in_use(&self) -> bool {
        self.imports().is_ok_and(|imports| !imports.is_empty())
    }

    fn imports(&self) -> io::Result<Vec<PathBuf>> {
        let Staging::Memory { folder, .. } = self else { return Ok(Vec::new()) };
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        let imports = entries.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with(IMPORT));
        Ok(imports.map(fs::DirEntry::path).collect())
    }

    /// The most bytes that a load may have; `card`: what is to be had there.
    pub fn room(&self, card: u64) -> u64 {
        match self {
            Staging::Card => card,
            Staging::Memory { folder, .. } => durable::available(folder).saturating_sub(SLACK / 2),
        }
    }

    /// Makes room for a load of so many bytes, if it may: more memory, or the card in its place.
    pub fn make_room(&mut self, bytes: u64, host: &Host) -> io::Result<()> {
        let Staging::Memory { folder, ours: true } = self else { return Ok(()) };
        if bytes <= to_be_had(host) {
            // What it holds of another load stays.
            let used = size_of(folder).saturating_sub(durable::available(folder));
            return mount_memory(folder, used + bytes + SLACK, MsFlags::MS_REMOUNT);
        }
        self.move_to_card(host)
    }

    /// Puts a folder on the card in the place of the memory, if that is ours: there is no limit but the card's, and whatever else the engine
    /// is asked to unpack does not fill the memory.
    pub fn move_to_card(&mut self, host: &Host) -> io::Result<()> {
        let Staging::Memory { folder, ours: true } = self else { return Ok(()) };
        let below = host.state().join("engine");
        // What an engine that was cut left there.
        let _ = fs::remove_dir_all(&below);
        fs::create_dir_all(&below)?;
        clear(folder)?;
        mount(Some(&below), folder.as_path(), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        *self = Staging::Card;
        Ok(())
    }
}

/// Half of the memory that is to be had (`MemAvailable`), in bytes.
fn to_be_had(host: &Host) -> u64 {
    let text = fs::read_to_string(host.path("/proc/meminfo")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    (kib.unwrap_or(0).saturating_mul(1024) / SHARE).saturating_sub(SLACK)
}

fn mount_memory(folder: &Path, size: u64, more: MsFlags) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | more;
    let options = format!("mode=0700,size={size}");
    Ok(mount(Some("offspot"), folder, Some("tmpfs"), flags, Some(options.as_str()))?)
}

/// Takes away what an earlier run mounted there.
fn clear(folder: &Path) -> io::Result<()> {
    while mounted::at(folder)?.is_some() {
        umount2(folder, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

fn size_of(folder: &Path) -> u64 {
    statfs(folder).map_or(0, |about| about.blocks().saturating_mul(u64::try_from(about.block_size()).unwrap_or(0)))
}

/// Writes the file that the engine's unit reads, and when it was written: an engine that has started before does not know of it.
fn tell(host: &Host) -> io::Result<()> {
    let file = host.engine_environment();
    let text = format!(
        "# Written {} ms after the start of the kernel, before the engine was called.\nDOCKER_TMPDIR={}\n",
        now()?,
        host.engine_folder().display()
    );
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

fn forget(host: &Host) -> io::Result<()> {
    match fs::remove_file(host.engine_environment()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Milliseconds since the kernel's start; they never jump, as the time of a board without a clock does.
fn now() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    Ok(u64::try_from(now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000).unwrap_or(0))
}

/// Whether the engine unpacks in our folder, or will once it starts.
fn listens(host: &Host) -> bool {
    match runs(host) {
        Some(started) => told(host).is_some_and(|told| told <= started),
        None => host.is_live() || told(host).is_some(),
    }
}

/// When the file was written, in milliseconds since the kernel's start.
fn told(host: &Host) -> Option<u64> {
    let text = fs::read_to_string(host.engine_environment()).ok()?;
    text.split(' ').nth(2)?.parse().ok()
}

/// When a live host's engine started, in milliseconds since the kernel did; none where none runs, or that cannot be told.
fn runs(host: &Host) -> Option<u64> {
    if !host.is_live() {
        return None;
    }
    let mut pid = String::new();
    fs::File::open(host.path(PID_FILE)).ok()?.take(20).read_to_string(&mut pid).ok()?;
    let stat = fs::read_to_string(host.path(format!("/proc/{}/stat", pid.trim()))).ok()?;
    start(&stat)
}

/// The 22nd field of `/proc/PID/stat`, in hundredths of a second on every Linux, in milliseconds; none of another program than dockerd.
fn start(stat: &str) -> Option<u64> {
    let (name, rest) = stat.rsplit_once(") ")?;
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    // Hundredths are cut off, not rounded: one that has just started has not started before.
    name.ends_with("(dockerd").then_some(ticks * 10 + 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_known_by_its_name_and_start() {
        let stat = "812 (dockerd) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 4711 99 77 0";
        assert_eq!(start(stat), Some(47_119));
        assert_eq!(start(&stat.replace("dockerd", "sh) (x")), None);
    }

    #[test]
    fn with_another_root_nothing_is_mounted_and_the_engine_is_told() {
        let root = std::env::temp_dir().join(format!("offspot-staging-{}", std::process::id()));
        let host = Host::new(&root);
        assert_eq!((foresee(&host), prepare(&host, Need { load: 9, both: 9, layer: 9 }).unwrap()), (None, None));
        let text = fs::read_to_string(host.engine_environment()).unwrap();
        assert!(text.ends_with(&format!("\nDOCKER_TMPDIR={}\n", host.engine_folder().display())), "{text}");
        assert!(told(&host).is_some_and(|told| told <= now().unwrap()));
        assert_eq!((Staging::of(&host), host.engine_folder().is_dir()), (Staging::Card, true));
        fs::remove_dir_all(root).unwrap();
    }
}
