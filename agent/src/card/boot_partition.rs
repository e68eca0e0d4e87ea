//! The boot partition before the first word is written on it: mounted, and repaired where it was not unmounted last time.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::check::missing;
use super::fat::Fat;
use super::find::{self, Disk, Partition};
use super::mounted::{self, Mounted};
use super::tool;
use crate::host::Host;
use crate::problem::CardProblem;
use crate::report::Reporter;

/// Number of the boot partition.
const BOOT: u32 = 1;
/// Its label, in any case: FAT has only capitals by the letter of its specification.
const LABEL: &str = "bootfs";
/// Half a gigabyte of FAT takes a second; a card that fails takes its time.
const CHECK: Duration = Duration::from_secs(120);
/// What the image's own mount has: the same bytes whatever the umask of whoever mounts.
const OPTIONS: &str = "fmask=0022,dmask=0022";

/// Sees to it that the boot partition is mounted (on a live host) and not dirty before it is written. Blocking.
/// One that is mounted writable is left alone: the kernel marks it dirty itself for as long.
///
/// # Errors
/// It is not there, cannot be mounted or cannot be repaired: the story goes on without it.
pub fn make_ready(host: &Host, named: Option<&Path>, report: &Reporter) -> Result<(), CardProblem> {
    // A card that is not found is told by the card's step.
    let Ok(Some(disk)) = find::find(host, named) else { return Ok(()) };
    let folder = host.boot();
    let mount = mounted::at(&folder).map_err(|error| not_mounted(&disk.name, &error))?;
    match (mount, partition(&disk)?) {
        (Some(mount), Some(partition)) if mount.device == partition.device && is_read_only(&mount) => {
            repair_mounted(&partition, &folder, &mount, report)
        }
        (None, Some(partition)) if host.is_live() => mount_anew(&partition, &folder, report),
        (None, None) if host.is_live() => {
            Err(not_mounted(&format!("partition {BOOT} of {}", disk.name), &"it is gone"))
        }
        _ => Ok(()),
    }
}

/// The filesystem itself, not just this view of it.
fn is_read_only(mount: &Mounted) -> bool {
    mount.filesystem_options.split(',').any(|option| option == "ro")
}

fn partition(disk: &Disk) -> Result<Option<Partition>, CardProblem> {
    disk.partition(BOOT).map_err(|error| CardProblem::of_io(&disk.name, "looking for its partitions", &error))
}

/// fsck.fat reads and writes past the mounted filesystem: it is unmounted for as long, and mounted again just as it was.
fn repair_mounted(partition: &Partition, folder: &Path, mount: &Mounted, report: &Reporter) -> Result<(), CardProblem> {
    if partition.read_only || !is_dirty(partition)? {
        return Ok(());
    }
    if let Err(error) = umount2(folder, MntFlags::empty()) {
        report.note(in_use(error.desc()));
        return Ok(());
    }
    let repaired = repair_unused(partition, report);
    let options = mount.filesystem_options.split(',').filter(|option| !["rw", "ro"].contains(option));
    let options = options.collect::<Vec<_>>().join(",");
    mount_fat(partition, folder, mount.flags() | MsFlags::MS_RDONLY, &options)
        .or_else(|_| mount_fat(partition, folder, MsFlags::MS_RDONLY | MsFlags::MS_NOATIME, OPTIONS))
        .map_err(|error| not_mounted(&partition.name, &error.desc()))?;
    repaired
}

/// Nothing has mounted it: the card's own is, read-only, so that the status is not written on the root partition where nobody looks.
fn mount_anew(partition: &Partition, folder: &Path, report: &Reporter) -> Result<(), CardProblem> {
    let named = |why: &dyn ToString| not_mounted(&partition.name, why);
    match read(partition).map_err(|error| named(&error))? {
        Some(fat) if fat.label.eq_ignore_ascii_case(LABEL) => {}
        Some(fat) => return Err(named(&format!("its label is {:?}, not {LABEL}", fat.label))),
        None => return Err(named(&"there is no FAT on it")),
    }
    let repaired = match !partition.read_only && is_dirty(partition)? {
        true => repair_unused(partition, report),
        false => Ok(()),
    };
    fs::create_dir_all(folder).map_err(|error| named(&error))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount_fat(partition, folder, flags, OPTIONS).map_err(|error| named(&error.desc()))?;
    report.note("the boot partition was not mounted by the system, and has been by the agent");
    repaired
}

/// Repairs one that is mounted nowhere in this namespace; in another one it may be, and then it is left alone.
fn repair_unused(partition: &Partition, report: &Reporter) -> Result<(), CardProblem> {
    if partition.in_use() {
        report.note(in_use("something else has it mounted"));
        return Ok(());
    }
    repair(&partition.node(), &partition.name, report)
}

/// `fsck.fat -a`: it clears the marks, and puts what hangs in the air into files.
fn repair(node: &Path, name: &str, report: &Reporter) -> Result<(), CardProblem> {
    let ended = tool::run("fsck.fat", &["-a".as_ref(), node.as_os_str()], CHECK);
    let ended = ended.map_err(|why| missing("fsck.fat", &why))?;
    // Its exit code is 1 when it has repaired and when it has given up: the partition itself says which.
    match File::open(node).and_then(|device| Fat::read(&device)) {
        Ok(Some(fat)) if !fat.dirty => {}
        Ok(_) => return Err(CardProblem::Filesystem { partition: name.to_owned(), why: ended.gist() }),
        Err(error) => return Err(CardProblem::of_io(name, "checking the boot partition", &error)),
    }
    tracing::info!("fsck.fat on {name}: {}", ended.gist());
    let salvaged = match ended.said.contains("Reclaimed") {
        true => "; pieces of lost files are in FSCK0000.REC and following, which may be deleted",
        false => "",
    };
    report.note(format!("the boot partition was not unmounted last time (power cut?) and has been repaired{salvaged}"));
    Ok(())
}

fn read(partition: &Partition) -> io::Result<Option<Fat>> {
    Fat::read(&File::open(partition.node())?)
}

fn is_dirty(partition: &Partition) -> Result<bool, CardProblem> {
    match read(partition) {
        Ok(fat) => Ok(fat.is_some_and(|fat| fat.dirty)),
        Err(error) => Err(CardProblem::of_io(&partition.name, "reading the boot partition", &error)),
    }
}

fn mount_fat(partition: &Partition, folder: &Path, flags: MsFlags, options: &str) -> Result<(), Errno> {
    mount(Some(&partition.node()), folder, Some("vfat"), flags, Some(options))
}

fn in_use(why: &str) -> String {
    format!("the boot partition was not unmounted last time (power cut?), and could not be checked: {why}")
}

fn not_mounted(partition: &str, why: &dyn ToString) -> CardProblem {
    CardProblem::NotMounted { partition: partition.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;
    use std::process::Command;

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; apt-get install dosfstools mtools"));
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A FAT32 in a file that holds a copy of this source.
    fn fat(name: &str) -> (PathBuf, String) {
        let path = std::env::temp_dir().join(format!("offspot-p1-{name}-{}", std::process::id()));
        File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let text = path.to_string_lossy().into_owned();
        run("/usr/sbin/mkfs.vfat", &["-F", "32", "-s", "1", "-n", "BOOTFS", &text]);
        run("mcopy", &["-i", &text, concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "::/FILE.TXT"]);
        (path, text)
    }

    fn poke(path: &Path, at: u64, bytes: &[u8]) {
        File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    }

    #[test]
    fn a_dirty_one_is_repaired_and_what_was_lost_is_named() {
        let (path, text) = fat("dirty");
        let sector = fs::read(&path).unwrap();
        let tables = usize::from(sector[16]) * u32::from_le_bytes(sector[36..40].try_into().unwrap()) as usize;
        let root = (usize::from(u16::from_le_bytes([sector[14], sector[15]])) + tables) * 512;
        let entry = sector[root..root + 512].windows(11).position(|name| name == b"FILE    TXT").expect("its entry");
        // The entry is gone and its clusters are not, as after a cut; and nobody unmounted it.
        poke(&path, (root + entry) as u64, &[0xe5]);
        poke(&path, 65, &[1]);
        let (report, status) = Reporter::new();
        repair(&path, "p1", &report).unwrap();
        assert!(!Fat::read(&File::open(&path).unwrap()).unwrap().unwrap().dirty);
        let notes = &status.borrow().notes;
        assert!(notes[0].contains("power cut?") && notes[0].contains("FSCK0000.REC"), "{notes:?}");
        let salvaged = run("mtype", &["-i", &text, "::/FSCK0000.REC"]);
        assert!(salvaged.starts_with(include_str!("../../Cargo.toml")), "nothing is lost");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_that_cannot_be_repaired_is_a_problem() {
        let (path, _) = fat("ruined");
        // More sectors than there are clusters for in the table.
        poke(&path, 32, &[0xff; 4]);
        poke(&path, 65, &[1]);
        let (report, status) = Reporter::new();
        let problem = repair(&path, "p1", &report).unwrap_err();
        assert_eq!(problem.facts().code, "E-CARD-FILESYSTEM");
        assert!(status.borrow().notes.is_empty(), "nothing was repaired");
        fs::remove_file(path).unwrap();
    }
}
