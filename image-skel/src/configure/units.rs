//! What `systemctl enable` and `mask` would do (systemd.unit(5), `[Install]`): links, from an explicit list and never from presets.

use std::collections::BTreeSet;

use crate::skel::Units;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

const OURS: &str = "/etc/systemd/system";
const THEIRS: &str = "/usr/lib/systemd/system";

/// Links what is enabled and masked; returns how many units start, with those that they bring.
pub(super) fn link(tree: &mut Tree, units: &Units) -> Outcome<usize> {
    let mut left: Vec<String> = units.enable.iter().rev().cloned().collect();
    let mut enabled = BTreeSet::new();
    while let Some(name) = left.pop() {
        if units.mask.contains(&name) || !enabled.insert(name.clone()) {
            continue;
        }
        left.extend(enable(tree, &name)?);
    }
    if let Some(both) = units.enable.iter().find(|name| units.mask.contains(name)) {
        return Err(Failure::new(format!("skel.toml, units: {both} is to be enabled and masked")));
    }
    for name in &units.mask {
        find(tree, name)?;
        let link = format!("{OURS}/{name}");
        if tree.get(&link).is_some() {
            return Err(Failure::new(format!("skel.toml, units: {name} is to be masked, but the overlay has it")));
        }
        tree.symlink(link, "/dev/null");
    }
    let default = find(tree, &units.default)?;
    tree.symlink(format!("{OURS}/default.target"), default);
    Ok(enabled.len())
}

/// Makes the links of one unit; returns the units that it enables with it.
fn enable(tree: &mut Tree, name: &str) -> Outcome<Vec<String>> {
    let path = find(tree, name)?;
    let text = String::from_utf8(tree.read(&path).doing(&path)?).doing(&path)?;
    let mut any = false;
    let mut also = Vec::new();
    for (key, values) in install(&text) {
        let folder = match key {
            "WantedBy" => "wants",
            "RequiredBy" => "requires",
            "UpheldBy" => "upholds",
            "Alias" | "Also" => "",
            _ => continue,
        };
        any = true;
        for value in values.split_whitespace() {
            match key {
                "Also" => also.push(value.to_owned()),
                "Alias" => tree.symlink(format!("{OURS}/{value}"), path.clone()),
                _ => tree.symlink(format!("{OURS}/{value}.{folder}/{name}"), path.clone()),
            }
        }
    }
    if !any {
        return Err(Failure::new(format!("skel.toml, units: {name} cannot be enabled: {path} has no [Install]")));
    }
    Ok(also)
}

/// Keys and values of `[Install]`.
fn install(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut inside = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[Install]";
        }
        let (key, value) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))?;
        Some((key.trim(), value.trim()))
    })
}

fn find(tree: &Tree, name: &str) -> Outcome<String> {
    let places = [OURS, THEIRS].map(|folder| format!("{folder}/{name}"));
    let found = places.into_iter().find(|path| tree.get(path).is_some());
    found.ok_or_else(|| Failure::new(format!("skel.toml, units: there is no {name} in the image")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    fn target(tree: &Tree, path: &str) -> Option<String> {
        match &tree.get(path)?.kind {
            Kind::Symlink(target) => Some(target.clone()),
            _ => None,
        }
    }

    fn units(enable: &[&str], mask: &[&str]) -> Units {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Units { enable: own(enable), mask: own(mask), default: "m.target".into() }
    }

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.file("/usr/lib/systemd/system/m.target", 0o644, "");
        tree.file("/usr/lib/systemd/system/w.service", 0o644, "[Install]\nWantedBy=m.target\n");
        let text = "[Unit]\nWantedBy=no\n[Install]\n# WantedBy=neither\nWantedBy=m.target x.target\nAlias=b.service\nAlso=w.service s.socket\n";
        tree.file("/usr/lib/systemd/system/a.service", 0o644, text);
        tree.file("/etc/systemd/system/s.socket", 0o644, "[Install]\nRequiredBy=m.target\n");
        tree
    }

    #[test]
    fn install_sections_are_honoured_and_masks_win_over_also() {
        let mut tree = tree();
        assert_eq!(link(&mut tree, &units(&["a.service"], &["w.service"])).unwrap(), 2);
        let unit = Some("/usr/lib/systemd/system/a.service".to_owned());
        assert_eq!(target(&tree, "/etc/systemd/system/m.target.wants/a.service"), unit);
        assert_eq!(target(&tree, "/etc/systemd/system/x.target.wants/a.service"), unit);
        assert_eq!(target(&tree, "/etc/systemd/system/b.service"), unit);
        let socket = target(&tree, "/etc/systemd/system/m.target.requires/s.socket");
        assert_eq!(socket.as_deref(), Some("/etc/systemd/system/s.socket"));
        assert_eq!(target(&tree, "/etc/systemd/system/w.service").as_deref(), Some("/dev/null"));
        assert!(target(&tree, "/etc/systemd/system/m.target.wants/w.service").is_none());
    }

    #[test]
    fn units_that_are_not_there_or_cannot_be_enabled_are_errors() {
        assert!(link(&mut tree(), &units(&["z.service"], &[])).unwrap_err().to_string().contains("no z.service"));
        assert!(link(&mut tree(), &units(&[], &["z.service"])).is_err());
        assert!(link(&mut tree(), &units(&["m.target"], &[])).unwrap_err().to_string().contains("no [Install]"));
        assert!(link(&mut tree(), &units(&["a.service"], &["a.service"])).is_err());
    }
}
