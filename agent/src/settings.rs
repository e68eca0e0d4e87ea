//! The settings room: `offspot.yaml` from the boot partition, merged over the last good ones, and kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use offspot_config::settings::Algorithm;
use offspot_config::{InForce, Settings, Severity};

use crate::host::Host;
use crate::problem::SettingsProblem;
use crate::report::{Context, Reporter};
use crate::stream::digest::Digest;
use crate::stream::place::replace;

/// Largest settings file read; the rules refuse it with a clear sentence from here on.
const LARGEST: u64 = offspot_config::yaml::MAX_BYTES as u64 + 1;
const HEADER: &str =
    "# The settings in force, written by offspot-agent from offspot.yaml; edit that file, not this one. crc32 ";

/// Reads, merges and keeps. Whatever is wrong goes to the report; what comes back is in force.
pub fn read(host: &Host, context: &Context, report: &Reporter) -> Settings {
    let kept = last_good(host);
    if let Some(why) = &kept.damaged {
        report.problem(SettingsProblem::LastGoodDamaged { why: why.clone() });
    }
    let given = given(host, report);
    if let Some((name, bytes)) = &given {
        context.set_settings(name, &Digest::of(Algorithm::Sha256, bytes));
    }
    let in_force = offspot_config::in_force(kept.text.as_deref(), given.as_ref().map(|(_, bytes)| bytes.as_slice()));
    tell(&in_force, report);
    if let Err(error) = keep(host, &in_force, &kept) {
        report.problem(SettingsProblem::NotKept { why: error.to_string() });
    }
    in_force.settings
}

/// Reads without keeping, for `plan`; what is wrong with the file as a whole goes to the report.
pub fn peek(host: &Host, report: &Reporter) -> InForce {
    let given = given(host, report);
    offspot_config::in_force(last_good(host).text.as_deref(), given.as_ref().map(|(_, bytes)| bytes.as_slice()))
}

/// The settings that the last `run` put in force, for what lives on after it: what the user has changed since is not in them.
pub fn kept(host: &Host) -> Settings {
    offspot_config::in_force(last_good(host).text.as_deref(), None).settings
}

/// Keys whose effect on the host is a later version's: they are checked and kept, and that is said.
pub fn tell_what_waits(settings: &Settings, report: &Reporter) {
    let waiting = waiting(settings);
    if !waiting.is_empty() {
        report.note(format!("checked and kept, not yet put into effect by this version: {}", waiting.join(", ")));
    }
}

/// The keys in force whose effect is a later version's.
pub fn waiting(settings: &Settings) -> Vec<&'static str> {
    [
        ("firmware", !settings.firmware.is_empty()),
        ("timezone", settings.timezone.is_some()),
        ("hostname", settings.hostname.is_some()),
        ("ethernet", settings.ethernet.is_some()),
        ("ap", settings.ap.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect()
}

fn tell(in_force: &InForce, report: &Reporter) {
    for finding in &in_force.findings {
        let problem = SettingsProblem::Found(Box::new(finding.clone()));
        match finding.severity {
            Severity::Error => report.problem(problem),
            Severity::Warning => report.note(problem.facts().sentence),
        }
    }
    if !in_force.changed.is_empty() {
        report.note(format!("changed since the last boot: {}", in_force.changed.join(", ")));
    }
}

/// Name and bytes of the user's file; `None` where there is none, which is reported.
fn given(host: &Host, report: &Reporter) -> Option<(String, Vec<u8>)> {
    let names = match names_in(&host.boot()) {
        Ok(names) => names,
        Err(error) => {
            report.problem(SettingsProblem::Unreadable { file: "the boot partition".into(), why: error.to_string() });
            return None;
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (chosen, warning) = offspot_config::choose_file(&names);
    if let Some(warning) = warning {
        report.note(warning.message);
    }
    let Some(name) = chosen.map(str::to_owned) else {
        report.problem(SettingsProblem::Missing);
        return None;
    };
    if name != "offspot.yaml" {
        report.note(format!("the settings were read from {name}"));
    }
    match bounded(&host.boot().join(&name)) {
        Ok(bytes) => Some((name, bytes)),
        Err(error) => {
            report.problem(SettingsProblem::Unreadable { file: name, why: error.to_string() });
            None
        }
    }
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 << 10);
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What earlier boots kept.
struct Kept {
    /// The newest copy that is whole.
    text: Option<Vec<u8>>,
    /// Why an older copy had to serve, or none could.
    damaged: Option<String>,
}

fn previous(host: &Host) -> PathBuf {
    host.latest().with_file_name("latest.previous.yaml")
}

fn last_good(host: &Host) -> Kept {
    let mut damaged = None;
    for path in [host.latest(), previous(host)] {
        match bounded(&path).map(|bytes| whole(&bytes).then_some(bytes)) {
            Ok(Some(bytes)) => return Kept { text: Some(bytes), damaged },
            Ok(None) => damaged = damaged.or(Some(format!("{} does not match its checksum", file_name(&path)))),
            // A copy that never was is no damage, but the older one still counts: a cut can come between the two.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => damaged = damaged.or(Some(format!("{}: {error}", file_name(&path)))),
        }
    }
    Kept { text: None, damaged }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Our header names the checksum of what follows; a file without it (made by hand or by another system) is taken as it is.
fn whole(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(HEADER.as_bytes()) else { return !bytes.is_empty() };
    let Some((sum, body)) = rest.split_at_checked(9) else { return false };
    sum == format!("{:08x}\n", crc32fast::hash(body)).as_bytes()
}

/// Writes `latest.yaml` (the one before stays beside it) and `compose.yml` where they differ from what is there.
fn keep(host: &Host, in_force: &InForce, kept: &Kept) -> io::Result<()> {
    let body = offspot_config::to_yaml(&in_force.tree.0);
    let text = format!("{HEADER}{:08x}\n{body}", crc32fast::hash(body.as_bytes()));
    if kept.text.as_deref() != Some(text.as_bytes()) || kept.damaged.is_some() {
        if let Some(old) = &kept.text {
            replace(&previous(host), old)?;
        }
        replace(&host.latest(), text.as_bytes())?;
    }
    let Some(containers) = &in_force.settings.containers else { return Ok(()) };
    let compose = offspot_config::to_compose_yaml(&containers.given);
    if std::fs::read(host.compose()).ok().as_deref() == Some(compose.as_bytes()) {
        return Ok(());
    }
    replace(&host.compose(), compose.as_bytes())
}
