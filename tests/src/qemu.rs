//! Emulated boards: QEMU's command line for each, their device trees with an ACT LED, and a machine that runs.
//!
//! What the Pi's firmware does before the kernel starts is done by QEMU: kernel, initial RAM disk, device tree and command line are
//! taken from the card's boot partition, but the console, which is another one on every machine.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::boot_card::{BootCard, loaded_by_firmware};
use crate::led_watch::Wire;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// QEMU's emulator of a 64 bit Arm machine.
const EMULATOR: &str = "qemu-system-aarch64";
/// Line of the PL061 that the LED of `virt` hangs on; line 3 is the machine's power button.
const LED_LINE: u32 = 5;
/// GPIO of the Pi 3's header that is free in QEMU, where its own LED hangs on a chip that QEMU lacks.
const LED_GPIO: u32 = 47;
/// Names that the Pi 3's device tree has on boot partitions.
const PI3_TREES: [&str; 3] = ["bcm2710-rpi-3-b.dtb", "bcm2837-rpi-3-b.dtb", "bcm2710-rpi-3-b-plus.dtb"];

/// Which board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// QEMU's own, with virtio devices: quick.
    Virt,
    /// A Raspberry Pi 3B with its own device tree, SD controller and USB network: slow.
    Raspi3b,
}

/// Where the serial console goes.
#[derive(Debug, Clone)]
pub enum Console {
    /// This terminal; Ctrl-A X ends the machine.
    Terminal,
    /// A file.
    Log(PathBuf),
}

/// What is wanted of a machine.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The board.
    pub machine: Machine,
    /// Memory of `virt` in MiB; the Pi 3 always has 1024.
    pub memory: u32,
    /// Port of this host, on 127.0.0.1, that leads to the card's port 80.
    pub port: u16,
    /// Whether the machine reaches this host and the world; the port leads to it either way.
    pub network: bool,
    /// The serial console.
    pub console: Console,
    /// Words for the kernel, beside those of the card's cmdline.txt.
    pub words: Vec<String>,
    /// A second disk, a raw file, whose serial number is `probe`; `virt` only.
    pub probe: Option<PathBuf>,
    /// A USB stick, a raw file; `virt` only.
    pub stick: Option<PathBuf>,
    /// A file for every write to the card, as dm-log-writes has them; `virt` only.
    pub write_log: Option<PathBuf>,
    /// Folder of its own for what QEMU needs besides.
    pub folder: PathBuf,
}

/// A machine that runs; it ends with this value.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    folder: PathBuf,
    /// Where its LED hangs.
    pub wire: Wire,
    console: Console,
    begun: Instant,
}

/// Switches a machine on with this card in it.
pub fn power_on(card: &BootCard, setup: &Setup) -> Outcome<Guest> {
    let folder = &setup.folder;
    fs::create_dir_all(folder).doing(folder.display())?;
    let (kernel, initramfs) = loaded_by_firmware(&card.boot_text("config.txt")?)?;
    for (name, file) in [(kernel, "kernel"), (initramfs, "initramfs")] {
        let path = folder.join(file);
        fs::write(&path, card.boot_file(&name)?).doing(path.display())?;
    }
    // The machine ends with this process, whatever ends that.
    let mut command = tool::program("setpriv");
    command.args(["--pdeathsig", "KILL", EMULATOR]);
    let wire = match setup.machine {
        Machine::Virt => virt(&mut command, card, setup)?,
        Machine::Raspi3b => raspi3b(&mut command, card, setup)?,
    };
    let (files, socket) = (["kernel", "initramfs", "tree.dtb"].map(|name| folder.join(name)), folder.join("qmp"));
    let _ = fs::remove_file(&socket);
    command.args(["-kernel", text(&files[0])?, "-initrd", text(&files[1])?, "-dtb", text(&files[2])?]);
    command.args(["-append", &kernel_words(&card.boot_text("cmdline.txt")?, setup)]);
    command.args(["-netdev", &forward(setup), "-accel", "tcg,thread=multi", "-display", "none", "-no-reboot"]);
    command.args(["-qmp", &format!("unix:{},server=on,wait=off", text(&socket)?)]);
    attach(&mut command, setup)?;
    let child = command.spawn().doing(EMULATOR)?;
    Ok(Guest { child, folder: folder.clone(), wire, console: setup.console.clone(), begun: Instant::now() })
}

fn attach(command: &mut Command, setup: &Setup) -> Outcome<()> {
    match &setup.console {
        Console::Terminal => {
            command.args(["-serial", "mon:stdio"]);
        }
        Console::Log(path) => {
            let _ = fs::remove_file(path);
            let said = setup.folder.join("qemu.log");
            let said = File::create(&said).doing(said.display())?;
            command.args(["-monitor", "none", "-serial", &format!("file:{}", text(path)?)]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        }
    }
    Ok(())
}

fn forward(setup: &Setup) -> String {
    let restrict = if setup.network { "off" } else { "on" };
    format!("user,id=net,restrict={restrict},hostfwd=tcp:127.0.0.1:{}-:80", setup.port)
}

/// The card's own words for the kernel, but for the console; the Pi's watchdog, which QEMU takes for a reset as soon as it is armed, stays off.
fn kernel_words(cmdline: &str, setup: &Setup) -> String {
    let console: &[&str] = match setup.machine {
        Machine::Virt => &["console=ttyAMA0"],
        Machine::Raspi3b => &["console=ttyS1,115200", "systemd.watchdog_sec=off"],
    };
    let own = cmdline.split_whitespace().filter(|word| !word.starts_with("console="));
    let words = console.iter().copied().chain(own).chain(setup.words.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

fn virt(command: &mut Command, card: &BootCard, setup: &Setup) -> Outcome<Wire> {
    let memory = setup.memory.to_string();
    let board = ["-cpu", "cortex-a72", "-smp", "2", "-m", &memory];
    let tree = setup.folder.join("tree.dtb");
    let dump = format!("virt,dumpdtb={}", text(&tree)?);
    tool::run(EMULATOR, &[&["-M", &dump, "-nic", "none", "-display", "none"], board.as_slice()].concat())?;
    let chip = tool::run("fdtget", &["-t", "x", text(&tree)?, "/pl061@9030000", "phandle"])?;
    for arguments in [
        ["-p", "-t", "s", text(&tree)?, "/leds", "compatible", "gpio-leds"].as_slice(),
        &["-p", "-t", "s", text(&tree)?, "/leds/led-act", "label", "ACT"],
        &["-t", "x", text(&tree)?, "/leds/led-act", "gpios", chip.trim(), &format!("{LED_LINE:x}"), "0"],
    ] {
        tool::run("fdtput", arguments)?;
    }
    command.args(["-M", "virt"]).args(board);
    disk(command, "card", card.path(), setup.write_log.as_deref())?;
    if let Some(probe) = &setup.probe {
        disk(command, "probe", probe, None)?;
    }
    if let Some(stick) = &setup.stick {
        let drive = format!("if=none,id=stick,format=raw,readonly=on,file={}", text(stick)?);
        command.args(["-drive", &drive, "-device", "qemu-xhci", "-device", "usb-storage,drive=stick,removable=on"]);
    }
    command.args(["-device", "virtio-net-device,netdev=net"]);
    // The chip's data register, read through all eight lines of its address mask.
    Ok(Wire { address: 0x0903_03fc, bit: LED_LINE })
}

fn disk(command: &mut Command, name: &str, file: &Path, log: Option<&Path>) -> Outcome<()> {
    let file = format!("driver=file,node-name={name}-file,filename={}", text(file)?);
    command.args(["-blockdev", &file, "-blockdev", &format!("driver=raw,node-name={name}-raw,file={name}-file")]);
    let mut node = format!("{name}-raw");
    if let Some(log) = log {
        File::create(log).doing(log.display())?;
        let kept = format!("driver=file,node-name={name}-log,filename={}", text(log)?);
        let logged = format!(
            "driver=blklogwrites,node-name={name}-logged,file={node},log={name}-log,log-sector-size=512,log-super-update-interval=1"
        );
        command.args(["-blockdev", &kept, "-blockdev", &logged]);
        node = format!("{name}-logged");
    }
    command.args(["-device", &format!("virtio-blk-device,drive={node},serial={name}")]);
    Ok(())
}

fn raspi3b(command: &mut Command, card: &BootCard, setup: &Setup) -> Outcome<Wire> {
    if setup.probe.is_some() || setup.stick.is_some() || setup.write_log.is_some() {
        return Err(Failure::new(
            "a Pi 3 has one disk here, its SD card, and QEMU keeps no log of it: take the machine virt",
        ));
    }
    let names = card.boot_names()?;
    let Some(name) = PI3_TREES.iter().find(|name| names.iter().any(|own| own == *name)) else {
        return Err(Failure::new(format!(
            "no device tree of a Pi 3 on the boot partition: none of {}",
            PI3_TREES.join(", ")
        )));
    };
    let tree = setup.folder.join("tree.dtb");
    fs::write(&tree, card.boot_file(name)?).doing(tree.display())?;
    let gpio = tool::run("fdtget", &["-t", "x", text(&tree)?, "/soc/gpio@7e200000", "phandle"])?;
    let led = tool::run("fdtget", &["-l", text(&tree)?, "/leds"])?;
    let led = format!("/leds/{}", led.lines().next().unwrap_or("led-act"));
    let line = format!("{LED_GPIO:x}");
    tool::run("fdtput", &["-t", "x", text(&tree)?, &led, "gpios", gpio.trim(), &line, "0"])?;
    command.args(["-M", "raspi3b", "-smp", "4", "-m", "1G"]);
    command.args(["-drive", &format!("if=sd,format=raw,file={}", text(card.path())?)]);
    command.args(["-device", "usb-net,netdev=net"]);
    // The kernel's console is the second serial port.
    command.args(["-serial", "null"]);
    // GPLEV1: lines 32 to 53.
    Ok(Wire { address: 0x3f20_0038, bit: LED_GPIO - 32 })
}

impl Guest {
    /// QEMU's control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("qmp")
    }

    /// What the serial console said so far; empty where it is a terminal.
    pub fn said(&self) -> String {
        match &self.console {
            Console::Terminal => String::new(),
            Console::Log(path) => String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned(),
        }
    }

    /// Time since the power came on.
    pub fn up(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits until the console says `word`; a machine that ends first, or takes longer than `limit`, is a failure with the console's end.
    pub fn wait_for(&mut self, word: &str, limit: Duration) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            if self.said().contains(word) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().doing(EMULATOR)? {
                return Err(self.failure(&format!("the machine ended ({status}) before it said {word:?}")));
            }
            if begun.elapsed() > limit {
                return Err(self.failure(&format!("the machine did not say {word:?} within {} s", limit.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Whether the machine has ended.
    pub fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait().doing(EMULATOR)?.is_some())
    }

    /// Waits for the machine's end.
    pub fn wait(&mut self) -> Outcome<ExitStatus> {
        self.child.wait().doing(EMULATOR)
    }

    /// Waits until the machine has switched itself off.
    pub fn wait_off(&mut self, limit: Duration) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait().doing(EMULATOR)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failure(&format!("{EMULATOR}: {status}"))),
                None if begun.elapsed() > limit => {
                    return Err(self.failure(&format!("the machine did not switch off within {} s", limit.as_secs())));
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// A failure with the ends of what QEMU and the console said.
    pub fn failure(&self, why: &str) -> Failure {
        let own = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        Failure::new(format!("{why}\n--- end of the serial console\n{}\n--- QEMU\n{own}", tail(&self.said(), 60)))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A raw disk over which host and machine talk: what is put here the machine can read, and the other way round.
#[derive(Debug)]
pub struct Mailbox {
    file: File,
}

impl Mailbox {
    /// A fresh one of `size` bytes, all zeros.
    pub fn new(path: &Path, size: u64) -> Outcome<Mailbox> {
        let _ = fs::remove_file(path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).doing(path.display())?;
        file.set_len(size).doing(path.display())?;
        Ok(Mailbox { file })
    }

    /// Puts bytes at an offset.
    pub fn put(&self, at: u64, bytes: &[u8]) -> Outcome<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at).doing("mailbox")
    }

    /// What lies at an offset, up to the first zero byte.
    pub fn get(&mut self, at: u64) -> Outcome<String> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(at)).doing("mailbox")?;
        self.file.read_to_end(&mut bytes).doing("mailbox")?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(machine: Machine) -> Setup {
        Setup {
            machine,
            memory: 1024,
            port: 8080,
            network: false,
            console: Console::Terminal,
            words: vec!["one=1".into()],
            probe: None,
            stick: None,
            write_log: None,
            folder: PathBuf::new(),
        }
    }

    #[test]
    fn only_the_console_of_cmdline_txt_is_another() {
        let cmdline = "console=serial0,115200 console=tty1 root=LABEL=rootfs rw\n";
        let (virt, pi) = (setup(Machine::Virt), setup(Machine::Raspi3b));
        assert_eq!(kernel_words(cmdline, &virt), "console=ttyAMA0 root=LABEL=rootfs rw one=1");
        assert_eq!(
            kernel_words(cmdline, &pi),
            "console=ttyS1,115200 systemd.watchdog_sec=off root=LABEL=rootfs rw one=1"
        );
        assert_eq!(forward(&virt), "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80");
    }
}
