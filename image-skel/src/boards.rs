//! The table of boards: for every part of a Pi the driver and the firmware, each shown to be in the image.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::modules::Modules;
use crate::skel::{Board, Part, Skel};
use crate::tool::{Failure, Outcome};
use crate::tree::Tree;

const BOOT: &str = "/boot/firmware";

/// One row: a part of a board, and what drives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `Raspberry Pi 4 Model B`.
    pub board: String,
    /// `ethernet`.
    pub part: String,
    /// Modules by name, ` (built in)` added where it is; then files.
    pub driven_by: Vec<String>,
    /// Why it does not work yet, where it does not.
    pub not_yet: Option<String>,
}

/// Checks `skel.toml`'s boards against root and boot partition, and gives the rows in order of boards, then of parts. Whatever is not in
/// the image is an error; all are named at once.
pub fn table(tree: &Tree, boot: &Tree, skel: &Skel) -> Outcome<Vec<Row>> {
    let modules = Modules::find(tree)?;
    let parts: BTreeSet<&String> = skel.boards.iter().flat_map(|board| board.parts.keys()).collect();
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    for board in &skel.boards {
        let Board { name, device_tree, .. } = board;
        if boot.get(format!("/{device_tree}")).is_none() {
            wrong.push(format!("{name}: no device tree {device_tree} on the boot partition"));
        }
        for part in &parts {
            match board.parts.get(*part) {
                Some(what) => rows.push(row(name, part, what, (tree, boot), &modules, &mut wrong)),
                None => wrong.push(format!("{name}: nothing is said of {part}")),
            }
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(Failure::new(format!("skel.toml, boards: {}", wrong.join("; ")))) }
}

fn row(
    board: &str,
    part: &str,
    what: &Part,
    (tree, boot): (&Tree, &Tree),
    modules: &Modules,
    wrong: &mut Vec<String>,
) -> Row {
    let mut driven_by = Vec::new();
    for name in &what.modules {
        if modules.built_in.contains(&name.replace('-', "_")) {
            driven_by.push(format!("{name} (built in)"));
        } else {
            driven_by.push(name.clone());
        }
        if !modules.has(name) {
            wrong.push(format!("{board}, {part}: no module {name}"));
        }
    }
    for file in &what.files {
        let there = match file.strip_prefix(BOOT) {
            Some(below) => boot.read(below).is_ok(),
            None => tree.read(file).is_ok(),
        };
        driven_by.push(file.clone());
        if !there {
            wrong.push(format!("{board}, {part}: no file {file}"));
        }
    }
    if driven_by.is_empty() && what.not_yet.is_none() {
        wrong.push(format!("{board}, {part}: neither a driver nor why not yet"));
    }
    Row { board: board.to_owned(), part: part.to_owned(), driven_by, not_yet: what.not_yet.clone() }
}

/// The rows as text for a terminal, boards apart.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut board = "";
    for row in rows {
        if row.board != board {
            out.push_str(&format!("{}{}\n", if board.is_empty() { "" } else { "\n" }, row.board));
            board = &row.board;
        }
        let files = row.driven_by.iter().map(|by| by.strip_prefix("/usr/lib/firmware/").unwrap_or(by));
        let by = files.collect::<Vec<_>>().join(", ");
        let said = match &row.not_yet {
            Some(why) if by.is_empty() => format!("not yet: {why}"),
            Some(why) => format!("{by}; not yet: {why}"),
            None => by,
        };
        out.push_str(&format!("  {:<9} {said}\n", row.part));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.file("/usr/lib/modules/1/modules.builtin", 0o644, "kernel/mmc-x.ko\n");
        tree.file("/usr/lib/modules/1/kernel/genet.ko.xz", 0o644, "");
        tree.file("/usr/lib/firmware/brcm/a.bin", 0o644, "");
        tree.symlink("/usr/lib/firmware/brcm/b.bin", "a.bin");
        tree.symlink("/usr/lib/firmware/brcm/gone.bin", "nowhere");
        tree
    }

    fn skel(parts: &str) -> Skel {
        crate::configure::tests::skel(&format!(
            "[[boards]]\nname = 'Pi'\ndevice_tree = 'pi.dtb'\n[boards.parts]\n{parts}"
        ))
    }

    #[test]
    fn every_module_and_file_is_shown_to_be_there() {
        let mut boot = Tree::default();
        boot.file("/pi.dtb", 0o644, "");
        let good = skel(
            "sd = { modules = ['mmc-x'] }\nethernet = { modules = ['genet'], files = ['/usr/lib/firmware/brcm/b.bin'] }\nusb = { not_yet = 'no driver' }",
        );
        let rows = table(&tree(), &boot, &good).unwrap();
        let text = text(&rows);
        assert_eq!(
            text,
            "Pi\n  ethernet  genet, brcm/b.bin\n  sd        mmc-x (built in)\n  usb       not yet: no driver\n"
        );
        let bad = skel("sd = { modules = ['x'] }\nled = { files = ['/usr/lib/firmware/brcm/gone.bin'] }\nusb = {}");
        let why = table(&tree(), &Tree::default(), &bad).unwrap_err().to_string();
        for part in
            ["no device tree pi.dtb", "sd: no module x", "led: no file /usr/lib/firmware/brcm/gone.bin", "usb: neither"]
        {
            assert!(why.contains(part), "{why}");
        }
    }
}
