//! `cargo boot`: the image on an emulated board.

use std::process::ExitCode;

use lexopt::prelude::*;
use offspot_tests::boot::{self, Options};
use offspot_tests::qemu::Machine;
use offspot_tests::tool::{self, Doing, Failure, Outcome};

const HELP: &str = "\
cargo boot                     build the image where it is out of date, and boot it on an emulated arm64 board
     --machine virt|raspi3b    QEMU's own board (the default, about a minute), or a Raspberry Pi 3B (two to three minutes)
     --card-size 8G            size of the card; raspi3b wants a power of two
     --config offspot.yaml     lay this file on the boot partition
     --lay FOLDER              lay its image tarballs and its other files on the card
     --port 8080               port of this host that leads to the card's port 80
     --memory 1024             MiB
     --headless                console into a file; tells what the LED shows
     --keep CARD               boot this card again, or make it, and keep it
     --no-network              the card reaches nothing; the port leads to it all the same
     --image FILE              another image than the one that is built here";

fn main() -> ExitCode {
    match parse().and_then(|options| options.map_or(Ok(0), |options| boot::run(&options))) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(failure) => {
            eprintln!("boot: {failure}");
            ExitCode::from(1)
        }
    }
}

fn parse() -> Outcome<Option<Options>> {
    let mut options = Options::default();
    let mut arguments = tool::arguments();
    while let Some(argument) = arguments.next().doing("arguments")? {
        let name = match argument {
            Long(name) => name.to_owned(),
            Short('h') => "help".to_owned(),
            other => return Err(Failure::new(other.unexpected().to_string())),
        };
        let mut value = || arguments.value().doing(format!("--{name}"));
        match name.as_str() {
            "machine" => options.machine = machine(&value()?.to_string_lossy())?,
            "card-size" => options.card_size = boot::size(&value()?.to_string_lossy())?,
            "config" => options.config = Some(value()?.into()),
            "lay" => options.lay = Some(value()?.into()),
            "port" => options.port = value()?.parse().doing("--port")?,
            "memory" => options.memory = value()?.parse().doing("--memory")?,
            "headless" => options.headless = true,
            "keep" => options.keep = Some(value()?.into()),
            "no-network" => options.network = false,
            "image" => options.image = Some(value()?.into()),
            "help" => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(Failure::new(format!("--{name} is unknown: see --help"))),
        }
    }
    Ok(Some(options))
}

fn machine(name: &str) -> Outcome<Machine> {
    match name {
        "virt" => Ok(Machine::Virt),
        "raspi3b" => Ok(Machine::Raspi3b),
        _ => Err(Failure::new(format!("{name} is no machine: virt or raspi3b"))),
    }
}
