//! Cards in a file, behind a real loop device: made small like an image, then put on a larger card, as flashing does.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use offspot_agent::host::Host;

/// Kinds of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// MBR, `dos` to sfdisk.
    Mbr,
    /// GUID.
    Gpt,
}

/// How a card is made.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Kind of table.
    pub table: Table,
    /// Bytes of a logical sector.
    pub sector: u32,
    /// MiB of the image.
    pub image: u64,
    /// MiB of the card that the image is put on.
    pub card: u64,
    /// MiB of partition 3.
    pub data: u64,
    /// Bytes of a block of its filesystem.
    pub block: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe { table: Table::Mbr, sector: 512, image: 1024, card: 4096, data: 256, block: 4096 }
    }
}

/// A card, its folder, and the root of a host to run on it. Dropping it takes everything away.
#[derive(Debug)]
pub struct LoopCard {
    folder: PathBuf,
    device: Option<String>,
    sector: u32,
}

/// Runs a program and returns what it printed.
///
/// # Panics
/// It is missing (with the package to install), or failed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let (ok, said) = attempt(program, arguments);
    assert!(ok, "{program} {arguments:?} failed: {said}");
    said
}

/// Runs a program and returns whether it went well, and what it printed.
///
/// # Panics
/// It is missing.
pub fn attempt(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}; apt-get install fdisk gdisk util-linux mount e2fsprogs dosfstools")
    });
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

impl LoopCard {
    /// Makes the image with its filesystems, and puts it on the card.
    ///
    /// # Panics
    /// A tool is missing or refuses.
    pub fn new(recipe: &Recipe) -> LoopCard {
        let folder = PathBuf::from(run("mktemp", &["-d", "--tmpdir", "offspot-card-XXXXXX"]).trim());
        std::fs::create_dir(folder.join("root")).unwrap();
        let mut card = LoopCard { folder, device: None, sector: recipe.sector };
        card.resize(recipe.image);
        card.attach();
        card.partition(recipe);
        card.format(recipe.block);
        card.detach();
        card.resize(recipe.card);
        card.attach();
        card
    }

    fn partition(&mut self, recipe: &Recipe) {
        let label = match recipe.table {
            Table::Mbr => "dos",
            Table::Gpt => "gpt",
        };
        let script = self.folder.join("sfdisk");
        let id = if recipe.table == Table::Mbr { "label-id: 0xdeadbeef\n" } else { "" };
        let parts = format!("start=4MiB, size=64MiB\nstart=72MiB, size=64MiB\nstart=136MiB, size={}MiB\n", recipe.data);
        std::fs::write(&script, format!("label: {label}\n{id}\n{parts}")).unwrap();
        let command = format!("sfdisk --no-reread -q {} < {}", self.device(), script.display());
        run("sh", &["-c", &command]);
        self.detach();
        self.attach();
    }

    fn format(&self, block: u32) {
        let block = block.to_string();
        run("mkfs.vfat", &["-F", "32", "-n", "bootfs", &self.part(1)]);
        for (number, label) in [(2, "rootfs"), (3, "data")] {
            let lazy = "lazy_itable_init=0,lazy_journal_init=0";
            run("mkfs.ext4", &["-q", "-F", "-b", &block, "-i", "65536", "-E", lazy, "-L", label, &self.part(number)]);
        }
    }

    fn resize(&self, mebibytes: u64) {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.file()).unwrap();
        file.set_len(mebibytes << 20).unwrap();
    }

    /// Attaches the file to a loop device and tells the kernel of its partitions, as the kernel of a card does itself.
    ///
    /// # Panics
    /// No loop device is to be had.
    pub fn attach(&mut self) {
        let (file, sector) = (self.file(), self.sector.to_string());
        let device = run("losetup", &["--sector-size", &sector, "-f", "--show", &file.to_string_lossy()]);
        let device = device.trim().to_owned();
        attempt("partx", &["-a", &device]);
        self.device = Some(device);
    }

    /// Takes the card out of its slot, with everything that is mounted from it.
    pub fn detach(&mut self) {
        self.unmount();
        if let Some(device) = self.device.take() {
            attempt("partx", &["-d", &device]);
            attempt("losetup", &["-d", &device]);
        }
    }

    /// Unmounts the data partition, if it is mounted.
    pub fn unmount(&self) {
        let data = self.host().data();
        for _ in 0..100 {
            match nix::mount::umount(&data) {
                Ok(()) => {}
                // A program that another test is just starting holds our files until it runs.
                Err(nix::errno::Errno::EBUSY) => std::thread::sleep(std::time::Duration::from_millis(20)),
                Err(_) => return,
            }
        }
    }

    /// The image file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("card.img")
    }

    /// The disk's device file.
    ///
    /// # Panics
    /// It is detached.
    pub fn device(&self) -> &str {
        self.device.as_deref().expect("attached")
    }

    /// The device file of a partition.
    pub fn part(&self, number: u32) -> String {
        format!("{}p{number}", self.device())
    }

    /// A host whose root lies beside the card.
    pub fn host(&self) -> Host {
        Host::new(self.folder.join("root"))
    }

    /// Bytes of the card.
    ///
    /// # Panics
    /// They cannot be read.
    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        run("blockdev", &["--flushbufs", self.device()]);
        let mut bytes = vec![0; length];
        File::open(self.device()).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    /// Bytes of its size.
    pub fn size(&self) -> u64 {
        std::fs::metadata(self.file()).map_or(0, |about| about.len())
    }

    /// Sectors of 512 bytes that have been written to the card so far.
    ///
    /// # Panics
    /// The kernel does not say.
    pub fn written(&self) -> u64 {
        for held in [self.device().into(), self.host().data()] {
            if let Ok(open) = File::open(held) {
                nix::unistd::syncfs(&open).and_then(|()| nix::unistd::fsync(&open)).unwrap();
            }
        }
        let name = Path::new(self.device()).file_name().unwrap().to_owned();
        let stat = std::fs::read_to_string(Path::new("/sys/block").join(name).join("stat")).unwrap();
        let numbers: Vec<u64> = stat.split_whitespace().map(|number| number.parse().unwrap()).collect();
        numbers[6]
    }

    /// A field of the data partition's superblock, as dumpe2fs prints it.
    pub fn superblock(&self, field: &str) -> String {
        let all = run("dumpe2fs", &["-h", &self.part(3)]);
        let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for LoopCard {
    fn drop(&mut self) {
        self.detach();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
