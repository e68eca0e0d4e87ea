//! `/var/lib/dpkg` as dpkg itself leaves it once every package is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Package;
use super::placing::Lost;
use super::stanza;
use crate::control;
use crate::deb::index::{Blob, What};
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::{Kind, Node, Owner, Tree};

/// The folder that all of it lies in.
pub const FOLDER: &str = "/var/lib/dpkg";

/// Writes the database of these packages, which are in configure order.
pub fn write(tree: &mut Tree, packages: &[&Package<'_>], lost: &Lost) -> Outcome<()> {
    for folder in ["alternatives", "info", "parts", "triggers", "updates"] {
        tree.folder(at(folder), 0o755);
    }
    for empty in ["available", "diversions", "statoverride", "triggers/Unincorp"] {
        tree.file(at(empty), 0o644, "");
    }
    tree.file(at("info/format"), 0o644, "1\n");
    for package in packages {
        let none = BTreeSet::new();
        info(tree, package, lost.get(package.name()).unwrap_or(&none))?;
    }
    for (file, lines) in triggers(packages)? {
        tree.file(at(&format!("triggers/{file}")), 0o644, lines);
    }
    let mut sorted = packages.to_vec();
    sorted.sort_by_key(|package| package.name());
    let stanzas = sorted.into_iter().map(status).collect::<Outcome<Vec<_>>>()?;
    tree.file(at("status"), 0o644, stanzas.join("\n") + if stanzas.is_empty() { "" } else { "\n" });
    Ok(())
}

fn at(path: &str) -> PathBuf {
    Path::new(FOLDER).join(path)
}

fn status(package: &Package<'_>) -> Outcome<String> {
    let line = |path: &String| match package.deb.blob(Path::new(path)) {
        Some(blob) => Ok(format!("{path} {}", blob.md5)),
        None => Err(Failure::new(format!("{}: its conffile {path} is not in it", package.name()))),
    };
    let conffiles = package.conffiles.iter().map(line).collect::<Outcome<Vec<_>>>()?;
    Ok(stanza::installed(&control::stanza(&package.control).doing(package.name())?, &conffiles))
}

/// The control files of a package, its list, and its checksums where it does not bring them.
fn info(tree: &mut Tree, package: &Package<'_>, lost: &BTreeSet<PathBuf>) -> Outcome<()> {
    let name = package.full_name();
    let place = |suffix: &str| at(&format!("info/{name}.{suffix}"));
    let owner = Owner::Package(package.name().to_owned());
    for member in &package.deb.control {
        let suffix = member.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let What::File(blob) = &member.what else { continue };
        if suffix == "list" {
            return Err(Failure::new(format!(
                "{}: it brings a control file that dpkg makes itself: list",
                package.name()
            )));
        }
        if suffix != "control" {
            let kind = Kind::File(package.deb.source(blob));
            let node = Node { mtime: member.mtime, owner: owner.clone(), ..Node::ours(kind, member.mode) };
            tree.put(place(suffix), node);
        }
    }
    let list = list(tree, package, lost);
    let mut made = vec![("list", list)];
    if tree.get(place("md5sums")).is_none() {
        made.push(("md5sums", checksums(package)));
    }
    for (suffix, text) in made {
        let node = Node::ours(Kind::File(crate::tree::Source::Bytes(text.into_bytes())), 0o644);
        tree.put(place(suffix), Node { owner: owner.clone(), ..node });
    }
    Ok(())
}

fn list(tree: &Tree, package: &Package<'_>, lost: &BTreeSet<PathBuf>) -> String {
    let kept = package.deb.data.iter().filter(|member| !lost.contains(&tree.real(&member.path)));
    kept.map(
        |member| if member.path == Path::new("/") { "/.\n".into() } else { format!("{}\n", member.path.display()) },
    )
    .collect()
}

/// dpkg's own, for packages without: files and further names of them, but no conffiles.
fn checksums(package: &Package<'_>) -> String {
    let conffiles: BTreeSet<&Path> = package.conffiles.iter().map(Path::new).collect();
    let files = package.deb.data.iter().filter(|member| !conffiles.contains(member.path.as_path()));
    let line =
        |(path, blob): (&Path, &Blob)| format!("{}  {}\n", blob.md5, path.strip_prefix("/").unwrap_or(path).display());
    files.filter_map(|member| Some((member.path.as_path(), package.deb.blob(&member.path)?))).map(line).collect()
}

/// Who is interested in what (deb-triggers(5)): paths in `File`, every other trigger in a file of its name.
fn triggers(packages: &[&Package<'_>]) -> Outcome<BTreeMap<String, String>> {
    let mut files = BTreeMap::from([("File".to_owned(), String::new())]);
    for package in packages {
        for line in package.deb.control("triggers")?.unwrap_or_default().lines() {
            let line = line.split('#').next().unwrap_or_default();
            let (directive, trigger) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
            let (trigger, name) = (trigger.trim(), package.full_name());
            let awaited = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                "activate" | "activate-await" | "activate-noawait" | "" => continue,
                _ => return Err(Failure::new(format!("{}: unknown trigger directive {directive}", package.name()))),
            };
            if trigger.starts_with('/') {
                files.entry("File".into()).or_default().push_str(&format!("{trigger} {name}{awaited}\n"));
            } else if trigger.is_empty()
                || trigger.contains('/')
                || matches!(trigger, "File" | "Unincorp" | "Lock" | "." | "..")
            {
                return Err(Failure::new(format!("{}: no name of a trigger: {trigger}", package.name())));
            } else {
                files.entry(trigger.to_owned()).or_default().push_str(&format!("{name}{awaited}\n"));
            }
        }
    }
    Ok(files)
}
