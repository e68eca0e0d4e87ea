//! What the demo could leave on a machine, as text: to compare before and after.

use std::fs;
use std::path::Path;

use crate::tool::{self, Doing, Outcome};
use crate::{agent_run, card};

/// Mounts, loop devices of our target folder, network links, routes, control groups of engines, firewall. What other programs mount
/// below the folder for temporary files is theirs.
#[derive(Debug, Clone)]
pub struct Snapshot {
    lines: Vec<String>,
}

/// Looks at the machine.
pub fn take() -> Outcome<Snapshot> {
    let mut lines = section("mount", &mounts());
    lines.extend(section("loop", &card::attached_below(&agent_run::target_folder()?).join("\n")));
    lines.extend(section("network", &links()));
    lines.extend(section("route", &tool::run("ip", &["-4", "route", "show", "table", "all"])?));
    lines.extend(section("control group", &control_groups().join("\n")));
    lines.extend(section("firewall", &firewall()));
    Ok(Snapshot { lines })
}

impl Snapshot {
    /// Writes it to a file.
    pub fn keep(&self, file: &Path) -> Outcome<()> {
        fs::write(file, self.lines.join("\n")).doing(file.display())
    }

    /// What is here and was not there: `+`; what was there and is no more: `-`.
    pub fn differences(&self, before: &str) -> Vec<String> {
        let before: Vec<&str> = before.lines().collect();
        let came = self.lines.iter().filter(|line| !before.contains(&line.as_str()));
        let went = before.iter().filter(|line| !self.lines.iter().any(|now| now == *line));
        came.map(|line| format!("+ {line}")).chain(went.map(|line| format!("- {line}"))).collect()
    }
}

fn section(name: &str, text: &str) -> Vec<String> {
    text.lines().map(|line| format!("{name}: {}", line.trim())).collect()
}

fn links() -> String {
    let folder = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = folder.filter_map(|link| link.file_name().into_string().ok());
    names.collect::<Vec<_>>().join("\n")
}

fn mounts() -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let others = std::env::temp_dir();
    points.filter(|point| !Path::new(point).starts_with(&others)).collect::<Vec<_>>().join("\n")
}

/// Those of engines, two levels deep: other programs of the machine come and go.
fn control_groups() -> Vec<String> {
    let top = Path::new("/sys/fs/cgroup");
    let folders =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    let below = folders(top).into_iter().flat_map(|path| folders(&path));
    let all = folders(top).into_iter().chain(below).filter(|path| path.is_dir());
    let names = all.map(|path| path.display().to_string());
    names.filter(|name| name.contains("offspot") || name.contains("docker")).collect()
}

fn firewall() -> String {
    let rules = tool::run("iptables-save", &[]).unwrap_or_default();
    let lines = rules.lines().filter(|line| !line.starts_with('#') && !line.starts_with(':'));
    lines.collect::<Vec<_>>().join("\n")
}
