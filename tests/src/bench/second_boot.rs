//! Lines 10, 11 and 14 on the demo's card: what a boot costs that has nothing to do, beside what others use for the same work.

use std::fs;
use std::path::Path;

use image_skel::card_binary;

use super::options::Options;
use super::results::Row;
use crate::agent_run::{self, Ran};
use crate::demo::{Demo, Ready};
use crate::figures::{self, Cost};
use crate::other_release::{Programs, Release};
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Measures on the demo's card, which is made anew and taken away again.
pub fn measure(demo: &Demo, agent: &Path, options: &Options) -> Outcome<Vec<Row>> {
    demo.down()?;
    demo.make_card()?;
    let measured = SecondBoot { demo, agent }.rows(options);
    let left = demo.down()?;
    match left.as_slice() {
        [] => measured,
        left => Err(Failure::new(format!("still there: {}", left.join(", ")))),
    }
}

struct SecondBoot<'a> {
    demo: &'a Demo,
    agent: &'a Path,
}

impl SecondBoot<'_> {
    fn rows(&self, options: &Options) -> Outcome<Vec<Row>> {
        let folder = self.demo.board.folder();
        let (calls, instructions) = (folder.join("strace.out"), folder.join("callgrind.out"));
        let peak = |ran: &Ran| ran.peak as f64 / 1e6;
        let size =
            |what: &str, ran: &Ran| Row::new(10, what).at_most(6.0, peak(ran)).say("-", &format!("{:.1}", peak(ran)));
        let (_, first) = self.boot(&[])?;
        let (ready, second) = self.boot(&[])?;
        let (again, written) = self.again(&ready)?;
        let mut rows = vec![
            size("first boot of the demo, MB", &first),
            size("second boot, engine starting, MB", &second),
            size("once more, engine up, MB", &again),
            Row::new(14, "card: written once more, KB").say("-", &format!("{:.1}", written as f64 / 1e3)),
        ];
        for (what, most) in [("system calls", 300.0), ("instructions", 2e6)] {
            let (wrapper, out) = match what {
                "system calls" => (figures::strace(&calls)?, &calls),
                _ => (figures::callgrind(&instructions)?, &instructions),
            };
            let counted =
                |out: &Path| if what == "system calls" { figures::syscalls(out) } else { figures::instructions(out) };
            let (ready, _) = self.boot(&wrapper)?;
            let starting = counted(out)?;
            self.demo.run_agent(&ready, self.agent, &wrapper)?;
            let up = counted(out)?;
            keep(out)?;
            let row = |when: &str, found: u64| {
                Row::new(14, &format!("{what}, {when}")).at_most(most, found as f64).say("-", &found.to_string())
            };
            rows.extend([row("second boot, engine starting", starting), row("once more, engine up", up)]);
        }
        rows.extend(self.peers()?);
        if options.wants(&[11]) && options.agent.is_none() {
            let shipped = card_binary::build(&agent_run::workspace(), &agent_run::target_folder()?)?;
            let bytes = fs::metadata(&shipped).doing(shipped.display())?.len();
            let row = Row::new(11, "binary, aarch64, static, stripped, bytes").at_most(3_500_000.0, bytes as f64);
            rows.push(row.say("95 million", &bytes.to_string()));
        }
        Ok(rows)
    }

    /// The agent once more while everything runs: nothing else writes to the data partition then.
    fn again(&self, ready: &Ready) -> Outcome<(Ran, u64)> {
        tool::run("sync", &[])?;
        let before = written(&ready.powered.device)?;
        let ran = self.demo.run_agent(ready, self.agent, &[])?;
        tool::run("sync", &[])?;
        Ok((ran, written(&ready.powered.device)? - before))
    }

    /// The plug pulled, and a boot.
    fn boot(&self, wrapper: &[String]) -> Outcome<(Ready, Ran)> {
        self.demo.pull_plug()?;
        let ready = self.demo.power_on()?;
        let ran = self.demo.run_agent(&ready, self.agent, wrapper)?;
        match ran.exit_code {
            0 => Ok((ready, ran)),
            code => {
                Err(Failure::new(format!("the agent ended with {code}, see {}", self.demo.board.folder().display())))
            }
        }
    }

    /// The loader in Python and compose, with nothing to do: the same services under other names and ports.
    fn peers(&self) -> Outcome<Vec<Row>> {
        let folder = self.demo.board.folder();
        let settings = self.demo.board.boot().join("offspot.yaml");
        let (root, compose) = (self.demo.board.root(), folder.join("peer.json"));
        let prepare = ["/usr/bin/python3", "-c", PREPARE, text(&settings)?, text(&root)?, text(&compose)?];
        figures::cost(&prepare.map(String::from))?;
        let load = ["/usr/bin/python3", "-c", LOAD, text(&settings)?].map(String::from);
        let docker = format!("DOCKER_HOST=unix://{}", self.demo.engine.socket().display());
        let program = Programs::of(Release::Trixie)?.program("docker-compose");
        let up = ["env", &docker, text(&program)?, "-p", "peer", "-f", text(&compose)?, "up", "-d"].map(String::from);
        figures::cost(&up)?;
        Ok([
            peer("python3 reads offspot.yaml", &load, folder)?,
            peer("docker compose up -d, nothing to do", &up, folder)?,
        ]
        .concat())
    }
}

/// What was counted stays in `target/bench`, for whoever wants to know where it goes: `callgrind_annotate` reads the profile.
fn keep(out: &Path) -> Outcome<()> {
    let folder = agent_run::target_folder()?.join("bench");
    fs::create_dir_all(&folder).doing(folder.display())?;
    for file in [out.to_owned(), out.with_extension("out.profile")].iter().filter(|file| file.exists()) {
        let kept = folder.join(file.file_name().unwrap_or_default());
        fs::copy(file, &kept).doing(kept.display())?;
    }
    Ok(())
}

fn peer(name: &str, words: &[String], folder: &Path) -> Outcome<Vec<Row>> {
    let cost: Cost = figures::cost(words)?;
    let out = folder.join("peer.strace");
    figures::cost(&[figures::strace(&out)?.as_slice(), words].concat())?;
    let (peak, calls) = (cost.peak as f64 / 1e6, figures::syscalls(&out)?);
    Ok(vec![
        Row::new(10, &format!("{name}, MB")).say(&format!("{peak:.1}"), "-"),
        Row::new(14, &format!("{name}, system calls")).say(&calls.to_string(), "-"),
    ])
}

/// Bytes written to root and data partition so far. (The boot partition is written by copy where the kernel has no FAT.)
fn written(device: &str) -> Outcome<u64> {
    let name = device.trim_start_matches("/dev/");
    let parts = ["p2", "p3"].iter().map(|part| {
        let file = format!("/sys/block/{name}/{name}{part}/stat");
        let stat = fs::read_to_string(&file).doing(&file)?;
        let sectors = stat.split_whitespace().nth(6).and_then(|field| field.parse::<u64>().ok());
        sectors.map(|sectors| sectors * 512).ok_or_else(|| Failure::new(format!("{file} has too few fields")))
    });
    parts.sum()
}

const LOAD: &str = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))";

/// JSON is YAML to compose; health conditions are left out because peers need not wait for them.
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
json.dump({"services": services}, open(target, "w"))
"#;
