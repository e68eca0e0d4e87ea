//! Two engines that hold the same images, networks, volumes and containers of another hand: one for docker-compose, one for us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use offspot_config::{Severity, compose, yaml};

use super::Side;
use super::case::PLACEHOLDER;
use super::snapshot::{Snapshot, is_id};
use super::stock::Stock;
use crate::engine::PrivateEngine;
use crate::other_release::Programs;
use crate::rig;

/// Where the compose file lies on a box.
pub const FILE: &str = "etc/docker/compose.yml";
/// Networks of an engine without a subnet of their own get one of these.
pub const POOL: &str = "10.201.";
/// Longest wait for the health of our services.
const LIMIT: Duration = Duration::from_secs(30);
/// What the development machine may lack, no container has: without it `privileged` works there too.
const RUNC: &str = r#"#!/bin/sh
before=
for word; do
    case $before in
    --bundle | -b) file=$word/config.json ;;
    --process | -p) file=$word ;;
    esac
    before=$word
done
[ -f "$file" ] && sed -i 's/"CAP_SYS_RESOURCE",//g; s/,"CAP_SYS_RESOURCE"//g' "$file"
exec runc "$@"
"#;

/// Two engines.
#[derive(Debug)]
pub struct Pair {
    folder: PathBuf,
    programs: Programs,
    theirs: PrivateEngine,
    ours: PrivateEngine,
}

/// An engine of another release in a folder of its own.
pub(super) fn engine(programs: &Programs, folder: &Path) -> PrivateEngine {
    fs::create_dir_all(folder).unwrap();
    let runc = folder.join("runc");
    fs::write(&runc, RUNC).unwrap();
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = format!("plain={}", runc.display());
    let pool = format!("base={POOL}0.0/16,size=24");
    let arguments = ["--add-runtime", &runtime, "--default-runtime", "plain", "--default-address-pool", &pool];
    let engine = PrivateEngine::start_of(Some(programs.clone()), &folder.join("e"), &folder.join("d"), &arguments);
    // As systemd leaves it: mounts with a propagation need that.
    let pid = engine.pid().to_string();
    let shared = Command::new("nsenter").args(["-t", &pid, "-m", "mount", "--make-rshared", "/"]).status();
    assert!(shared.is_ok_and(|status| status.success()), "mount --make-rshared /");
    engine
}

impl Pair {
    /// Starts both in `folder`, with all images, and with what belongs to others: the network, the volume and the container `outside`.
    pub fn start(folder: &Path, programs: &Programs, stock: &Stock) -> Pair {
        let start = |name: &str| {
            let engine = engine(programs, &folder.join(name));
            engine.docker(&["load", "-qi", stock.tarball.to_str().unwrap()]);
            engine.docker(&["network", "create", "--subnet", "10.88.0.0/24", "outside"]);
            engine.docker(&["volume", "create", "outside"]);
            engine.docker(&["run", "-d", "--name", "outside", "--network", "outside", "-v", "outside:/out", "tiny:1"]);
            engine
        };
        let (theirs, ours) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| start("t"));
            let ours = start("o");
            (theirs.join().unwrap(), ours)
        });
        Pair { folder: folder.to_owned(), programs: programs.clone(), theirs, ours }
    }

    /// The engine of a side.
    pub fn engine(&self, side: Side) -> &PrivateEngine {
        match side {
            Side::Theirs => &self.theirs,
            Side::Ours => &self.ours,
        }
    }

    /// The box of a side for one case.
    pub fn root(&self, side: Side, case: &str) -> PathBuf {
        let name = match side {
            Side::Theirs => "boxes-t",
            Side::Ours => "boxes-o",
        };
        self.folder.join(name).join(case)
    }

    /// Brings a compose file up; gives what went wrong, in words.
    pub fn up(&self, side: Side, case: &str, text: &str) -> Vec<String> {
        let root = self.root(side, case);
        match side {
            Side::Theirs => {
                let text = text.replace(PLACEHOLDER, root.to_str().unwrap());
                fs::create_dir_all(root.join("etc/docker")).unwrap();
                fs::write(root.join(FILE), &text).unwrap();
                let file = root.join(FILE);
                let named = text.lines().any(|line| line.starts_with("name:"));
                let project: &[&str] = if named { &[] } else { &["-p", compose::NAME] };
                let arguments = ["--progress", "quiet", "-f", file.to_str().unwrap(), "up", "-d", "--remove-orphans"];
                self.compose(side, &root, &[project, &arguments].concat()).err().into_iter().collect()
            }
            Side::Ours => self.ours_up(root, &text.replace(&format!("{PLACEHOLDER}/"), "/").replace(PLACEHOLDER, "/")),
        }
    }

    fn ours_up(&self, root: PathBuf, text: &str) -> Vec<String> {
        let reading = yaml::read(text.as_bytes());
        let (project, findings) = compose::read(&reading.root.expect("a document"));
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let mut wrong: Vec<String> = errors.map(|found| format!("{}: {}", found.key, found.message)).collect();
        let run = rig::bring_up(&self.ours.socket(), root, project, LIMIT, &[]);
        wrong.extend(run.problems.iter().map(ToString::to_string));
        wrong
    }

    /// Runs docker-compose against one of the engines, with an empty environment; gives what it printed, or its complaint.
    pub fn compose(&self, side: Side, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(self.programs.program("docker-compose"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", folder)
            .env("DOCKER_HOST", format!("unix://{}", self.engine(side).socket().display()))
            .current_dir(folder)
            .args(arguments)
            .output()
            .expect("docker-compose");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(said(&output.stdout)),
            false => Err(format!("docker-compose {}: {}", arguments.join(" "), said(&output.stderr))),
        }
    }

    /// All that an engine holds.
    pub fn snapshot(&self, side: Side, case: &str) -> Snapshot {
        Snapshot::take(self.engine(side), &self.root(side, case))
    }

    /// What is left besides what belongs to others; removes it.
    pub fn clear(&self, side: Side) -> Vec<String> {
        let engine = self.engine(side);
        let mut left = Vec::new();
        for (kind, list, remove) in [
            ("container", &["ps", "-a", "--format", "{{.Names}}"][..], &["rm", "-fv"][..]),
            ("network", &["network", "ls", "--format", "{{.Name}}"], &["network", "rm"]),
            ("volume", &["volume", "ls", "--format", "{{.Name}}"], &["volume", "rm"]),
        ] {
            let listed = engine.docker(list);
            for name in listed.lines().filter(|name| !["outside", "bridge", "host", "none"].contains(name)) {
                engine.docker(&[remove, &[name]].concat());
                left.push(if is_id(name) { format!("a nameless {kind}") } else { format!("{kind} {name}") });
            }
        }
        left
    }
}
