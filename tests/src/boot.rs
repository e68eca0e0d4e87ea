//! `cargo boot`: the image on an emulated board, its console on this terminal, its pages in this machine's browser.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::agent_run::target_folder;
use crate::boot_card::BootCard;
use crate::led_watch::{Watch, decode};
use crate::packages;
use crate::qemu::{self, Console, Machine, Setup};
use crate::skel_image;
use crate::tool::{Doing, Failure, Outcome};

/// What `cargo boot` was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The board.
    pub machine: Machine,
    /// Bytes of the card.
    pub card_size: u64,
    /// An offspot.yaml to lay on the card.
    pub config: Option<PathBuf>,
    /// A folder of image tarballs and content to lay on the card.
    pub lay: Option<PathBuf>,
    /// Port of this host.
    pub port: u16,
    /// Memory in MiB.
    pub memory: u32,
    /// The console goes into a file, and the LED is told instead.
    pub headless: bool,
    /// The card to use and to keep; made where it is not there.
    pub keep: Option<PathBuf>,
    /// Whether the machine reaches the world.
    pub network: bool,
    /// Another image than the one that is built.
    pub image: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            machine: Machine::Virt,
            card_size: 8 << 30,
            config: None,
            lay: None,
            port: 8080,
            memory: 1024,
            headless: false,
            keep: None,
            network: true,
            image: None,
        }
    }
}

/// Boots, and stays until the machine ends; gives the exit code.
pub fn run(options: &Options) -> Outcome<i32> {
    check(options)?;
    packages::install_missing(packages::BOOT)?;
    let folder = target_folder()?.join("boot");
    fs::create_dir_all(&folder).doing(folder.display())?;
    let card = card(options, &folder)?;
    let log = folder.join("console.log");
    let setup = Setup {
        machine: options.machine,
        memory: options.memory,
        port: options.port,
        network: options.network,
        console: if options.headless { Console::Log(log.clone()) } else { Console::Terminal },
        words: Vec::new(),
        probe: None,
        stick: None,
        write_log: None,
        folder,
    };
    let mut guest = qemu::power_on(&card, &setup)?;
    println!("card {}, its page at http://127.0.0.1:{}/", card.path().display(), options.port);
    if options.headless {
        println!("console in {}; Ctrl-C ends the machine", log.display());
        tell_led(&mut guest)?;
    } else {
        println!("Ctrl-A X ends the machine");
    }
    let status = guest.wait()?;
    if options.keep.is_none() {
        fs::remove_file(card.path()).doing(card.path().display())?;
    }
    Ok(status.code().unwrap_or(1))
}

/// What cannot work is refused before anything is made.
fn check(options: &Options) -> Outcome<()> {
    if options.machine == Machine::Raspi3b && !options.card_size.is_power_of_two() {
        return Err(Failure::new("the SD card of raspi3b must be a power of two in size: --card-size 4G, 8G, 16G"));
    }
    if options.memory < 256 {
        return Err(Failure::new("--memory is in MiB: 512 is a Pi Zero 2, 1024 a Pi 3"));
    }
    port_is_free(options.port)
}

fn port_is_free(port: u16) -> Outcome<()> {
    let bound = TcpListener::bind(("127.0.0.1", port));
    bound.map(drop).doing(format!("port {port} cannot be had, choose another with --port"))
}

/// A port of this host that nothing uses.
pub fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("a free port")?;
    Ok(listener.local_addr().doing("a free port")?.port())
}

fn card(options: &Options, folder: &Path) -> Outcome<BootCard> {
    let path = options.keep.clone().unwrap_or_else(|| folder.join("card.img"));
    let kept = options.keep.is_some() && path.exists();
    let card = if kept {
        println!("booting {} again as it is", path.display());
        BootCard::open(&path)?
    } else {
        let image = options.image.clone().map_or_else(skel_image::up_to_date, Ok)?;
        BootCard::flash(&image, &path, options.card_size)?
    };
    if let Some(config) = &options.config {
        card.lay_settings(config)?;
    }
    if let Some(lay) = &options.lay {
        card.lay_folder(lay)?.iter().for_each(|line| println!("{line}"));
    }
    Ok(card)
}

/// Says what the LED shows, until the machine ends.
fn tell_led(guest: &mut qemu::Guest) -> Outcome<()> {
    let (watch, mut told) = (Watch::start(&guest.socket(), guest.wire)?, 0);
    while !guest.has_ended()? {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let shown = decode(&watch.samples());
        shown.iter().skip(told).for_each(|shown| println!("LED: {shown}"));
        told = shown.len().max(told);
        std::io::stdout().flush().doing("standard output")?;
    }
    Ok(())
}

/// A size such as `8G` or `4096M`, in bytes.
pub fn size(text: &str) -> Outcome<u64> {
    let (digits, shift) = match text.trim_end_matches(|c: char| !c.is_ascii_digit()) {
        digits if digits.len() == text.len() => (digits, 0),
        digits => match &text[digits.len()..] {
            "M" | "MiB" => (digits, 20),
            "G" | "GiB" => (digits, 30),
            "T" | "TiB" => (digits, 40),
            _ => ("", 0),
        },
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    size.ok_or_else(|| Failure::new(format!("{text} is no size: write 8G or 4096M")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("8G").unwrap(), 8 << 30);
        assert_eq!(size("512MiB").unwrap(), 512 << 20);
        assert_eq!(size("1048576").unwrap(), 1 << 20);
        for wrong in ["", "G", "8X", "-1G", "8.5G", "99999999999T"] {
            assert!(size(wrong).unwrap_err().to_string().contains("8G"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options { port: taken.local_addr().unwrap().port(), ..Options::default() };
        assert!(check(&options).unwrap_err().to_string().contains("--port"));
        let odd = Options { machine: Machine::Raspi3b, card_size: 3 << 30, ..Options::default() };
        assert!(check(&odd).unwrap_err().to_string().contains("--card-size"));
    }
}
