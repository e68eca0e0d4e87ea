//! `cargo card-bench`: lines 10, 11 and 14 of the performance promises, on the demo's card, beside what others use for the same work.

use std::fs;
use std::path::{Path, PathBuf};

use image_skel::card_binary;

use crate::agent_run::{self, Ran};
use crate::demo::{Demo, Ready};
use crate::figures::{self, Cost};
use crate::packages;
use crate::tool::{Doing, Failure, Outcome, text};

/// Measures and prints; the demo's card is made anew and taken away again.
pub fn run() -> Outcome<i32> {
    let demo = Demo::open()?;
    for packages in [packages::DEMO, packages::SUITE, packages::BENCH] {
        packages::install_missing(packages)?;
    }
    let binary = agent_run::build(&agent_run::workspace())?;
    let shipped = card_binary::build(&agent_run::workspace(), &agent_run::target_folder()?)?;
    demo.down()?;
    demo.make_card()?;
    let bench = Bench { demo, binary };
    let measured = bench.measure(&shipped);
    let left = bench.demo.down()?;
    measured?;
    Ok(i32::from(!left.is_empty()))
}

struct Bench {
    demo: Demo,
    binary: PathBuf,
}

impl Bench {
    fn measure(&self, shipped: &Path) -> Outcome<()> {
        let folder = self.demo.board.folder();
        let (calls, instructions) = (folder.join("strace.out"), folder.join("callgrind.out"));
        let (_, first) = self.boot(&[])?;
        let (ready, second) = self.boot(&[])?;
        let engine = self.demo.engine.start_took().unwrap_or_default();
        let again = self.demo.run_agent(&ready, &self.binary, &[])?;
        self.boot(&figures::strace(&calls)?)?;
        self.boot(&figures::callgrind(&instructions)?)?;

        println!("\nagent");
        println!("{:<46}{:>14} bytes   bar 3 500 000 with TLS", "11 binary, aarch64, static, stripped", size(shipped)?);
        print_run("10 first boot", &first);
        print_run("10 second boot, engine starting", &second);
        println!("{:<46}{engine:>14.2} s", "   of which the engine took to start");
        print_run("10 once more, everything running", &again);
        println!("{:<46}{:>14}         bar 300", "14 system calls, second boot", figures::syscalls(&calls)?);
        println!(
            "{:<46}{:>14}         bar 2 000 000",
            "14 instructions, second boot",
            figures::instructions(&instructions)?
        );
        self.peers()
    }

    /// The plug pulled, and a boot.
    fn boot(&self, wrapper: &[String]) -> Outcome<(Ready, Ran)> {
        self.demo.pull_plug()?;
        let ready = self.demo.power_on()?;
        let ran = self.demo.run_agent(&ready, &self.binary, wrapper)?;
        match ran.exit_code {
            0 => Ok((ready, ran)),
            code => {
                Err(Failure::new(format!("the agent ended with {code}, see {}", self.demo.board.folder().display())))
            }
        }
    }

    /// The loader in Python and compose, with nothing to do: the same services under other names and ports.
    fn peers(&self) -> Outcome<()> {
        let folder = self.demo.board.folder();
        let settings = self.demo.board.boot().join("offspot.yaml");
        let (root, compose) = (self.demo.board.root(), folder.join("peer.json"));
        let prepare = ["/usr/bin/python3", "-c", PREPARE, text(&settings)?, text(&root)?, text(&compose)?];
        figures::cost(&prepare.map(String::from))?;
        let load = ["/usr/bin/python3", "-c", LOAD, text(&settings)?].map(String::from);
        let docker = format!("unix://{}", self.demo.engine.socket().display());
        let up = ["docker-compose", "-H", &docker, "-p", "peer", "-f", text(&compose)?, "up", "-d"].map(String::from);
        figures::cost(&up)?;
        println!("\npeers, same run, nothing to do");
        peer("python3, yaml: reads offspot.yaml", &load, folder)?;
        peer("docker-compose up -d", &up, folder)
    }
}

fn peer(name: &str, words: &[String], folder: &Path) -> Outcome<()> {
    let cost: Cost = figures::cost(words)?;
    let out = folder.join("peer.strace");
    figures::cost(&[figures::strace(&out)?.as_slice(), words].concat())?;
    println!(
        "{name:<46}{:>14.1} MB   {:.2} s, {} system calls",
        cost.peak as f64 / 1e6,
        cost.wall.as_secs_f64(),
        figures::syscalls(&out)?
    );
    Ok(())
}

fn print_run(name: &str, ran: &Ran) {
    println!(
        "{name:<46}{:>14.1} MB   bar 6; {:.2} s in all, {:.3} s of processor time",
        ran.peak as f64 / 1e6,
        ran.wall.as_secs_f64(),
        ran.processor.as_secs_f64()
    );
}

fn size(file: &Path) -> Outcome<u64> {
    Ok(fs::metadata(file).doing(file.display())?.len())
}

const LOAD: &str = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))";

/// JSON is YAML to compose; health conditions are left out because compose 1 refuses them in versioned files.
const PREPARE: &str = r#"
import json, sys, yaml
source, root, target = sys.argv[1:]
services = yaml.safe_load(open(source))["containers"]["services"]
for name, service in services.items():
    service["container_name"] = "peer-" + name
    service["ports"] = ["1" + port for port in map(str, service.pop("ports", []))]
    service.pop("depends_on", None)
    service.pop("pull_policy", None)
    for volume in service["volumes"]:
        volume["source"] = root + volume["source"]
json.dump({"version": "3.7", "services": services}, open(target, "w"))
"#;
