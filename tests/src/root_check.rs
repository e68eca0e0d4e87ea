//! The root partition as dpkg sees it from outside: what it installed, and what of it is not as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use image_skel::control;
use image_skel::skel::Skel;

use crate::agent_run::{target_folder, workspace};
use crate::boot_card::BootCard;
use crate::checks::Checks;
use crate::packages;
use crate::skel_image;
use crate::suite::Count;
use crate::tool::{self, Doing, Outcome, text};

/// Most lines of a difference that are shown.
const SHOWN: usize = 12;

/// The image's packages are those of the lock, and `dpkg -V` misses what `skel.toml` leaves out, and finds nothing else.
pub fn image_root() -> Outcome<Count> {
    packages::install_missing(packages::BOOT)?;
    let root = target_folder()?.join("booted/root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).doing(root.display())?;
    BootCard::open(&skel_image::made()?)?.debugfs(2, &format!("rdump / {}", text(&root)?))?;
    let product = workspace().join("image-skel");
    let lock = skel_image::lock_used();
    let lock = fs::read_to_string(&lock).doing(lock.display())?;
    let mut checks = Checks::default();
    installed(&mut checks, &root, &lock)?;
    verified(&mut checks, &root, &Skel::read(&product.join("skel.toml"))?)?;
    fs::remove_dir_all(&root).doing(root.display())?;
    Ok(checks.count())
}

/// `dpkg -l` of `root` is right: each package of the lock in its version, installed, and no other.
pub fn installed(checks: &mut Checks, root: &Path, lock: &str) -> Outcome<()> {
    let database = format!("--admindir={}/var/lib/dpkg", text(root)?);
    let format = "-f=${Package} ${Version} ${Status}\\n";
    let said = tool::run("dpkg-query", &[&database, "-W", format])?;
    let seen: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    let mut wanted = BTreeSet::new();
    for (line, stanza) in control::split(lock) {
        let stanza = control::stanza(stanza).doing(format_args!("Packages.lock, line {line}"))?;
        let field = |name: &str| stanza.get(name).unwrap_or_default().to_owned();
        wanted.insert(format!("{} {} install ok installed", field("Package"), field("Version")));
    }
    let differences: Vec<&String> = seen.symmetric_difference(&wanted).take(SHOWN).collect();
    checks.hold(seen == wanted && !seen.is_empty(), "dpkg -l is the lock", format!("{differences:#?}"));
    println!("{} packages", seen.len());
    Ok(())
}

/// `dpkg -V` of `root` prints what `skel` leaves out and nothing else.
pub fn verified(checks: &mut Checks, root: &Path, skel: &Skel) -> Outcome<()> {
    let said = verify(root)?;
    let missing: BTreeMap<&str, &str> = said
        .iter()
        .filter_map(|line| Some((line.strip_prefix("missing")?, line.as_str())))
        .filter_map(|(rest, line)| Some((&rest[rest.find('/')?..], line)))
        .collect();
    let other: Vec<&String> = said.iter().filter(|line| !line.starts_with("missing")).take(SHOWN).collect();
    checks.hold(other.is_empty(), "dpkg -V finds no file of a package changed", format!("{other:#?}"));

    let (leave, keep, listed) = (globs(&skel.leave_out)?, globs(&skel.keep)?, listed(root)?);
    let is_left_out = |path: &str| leave.is_match(real(path)) && !keep.is_match(real(path));
    // A folder is missed when all that packages have in it is.
    let is_emptied = |folder: &str| {
        let below = format!("{folder}/");
        let mut within = listed.range(below.clone()..).take_while(|path| path.starts_with(&below)).peekable();
        within.peek().is_some() && within.all(|path| missing.contains_key(path.as_str()))
    };
    let wrongly: Vec<&&str> =
        missing.keys().filter(|path| !is_left_out(path) && !is_emptied(path)).take(SHOWN).collect();
    checks.hold(wrongly.is_empty(), "nothing is missing that skel.toml does not leave out", format!("{wrongly:#?}"));
    let stays =
        |path: &String| is_left_out(path) && !missing.contains_key(path.as_str()) && !root.join(&path[1..]).is_dir();
    let still: Vec<&String> = listed.iter().filter(|path| stays(path)).take(SHOWN).collect();
    checks.hold(still.is_empty(), "all that skel.toml leaves out is missing", format!("{still:#?}"));
    println!("{} paths left out", missing.len());
    Ok(())
}

/// The lines of `dpkg -V`, which ends with 1 where there are any.
fn verify(root: &Path) -> Outcome<Vec<String>> {
    let output =
        tool::program("dpkg").arg(format!("--root={}", text(root)?)).arg("--verify").output().doing("dpkg -V")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code().is_some_and(|code| code < 2) && why.is_empty() {
        return Ok(said.lines().map(str::to_owned).collect());
    }
    Err(tool::Failure::new(format!("dpkg -V: {}: {why}", output.status)))
}

/// Every path that dpkg's lists name, but `/.`.
fn listed(root: &Path) -> Outcome<BTreeSet<String>> {
    let info = root.join("var/lib/dpkg/info");
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(&info).doing(info.display())?.flatten() {
        if entry.path().extension().is_some_and(|end| end == "list") {
            let list = fs::read_to_string(entry.path()).doing(entry.path().display())?;
            paths.extend(list.lines().filter(|line| *line != "/.").map(str::to_owned));
        }
    }
    Ok(paths)
}

/// Where a path lies since `/bin`, `/lib` and `/sbin` are links.
fn real(path: &str) -> String {
    let moved = ["/bin/", "/lib/", "/sbin/"].iter().any(|top| path.starts_with(top));
    if moved { format!("/usr{path}") } else { path.to_owned() }
}

fn globs(texts: &[String]) -> Outcome<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        set.add(GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build().doing("skel.toml")?);
    }
    set.build().doing("skel.toml")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const SKEL: &str = "architecture = 'arm64'\narchives = []\npackages = []\nleave_out = ['/usr/share/doc/**', '/usr/bin/b']\n\
        keep = ['/usr/share/doc/*/copyright']\n[partitions]\ndisk_id = 1\nboot_mib = 1\nroot_mib = 1\ndata_mib = 1\nroot_uuid = ''\ndata_uuid = ''\nboot_id = 1\n";
    const LOCK: &str = "Package: thing\nVersion: 1.0-1\n";

    /// A root with one package installed by dpkg itself.
    fn root(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("offspot-root-check-{name}-{}", std::process::id()));
        let (deb, root) = (folder.join("deb"), folder.join("root"));
        let control = "Package: thing\nVersion: 1.0-1\nArchitecture: all\nMaintainer: us\nDescription: a thing\n";
        let contents =
            ["usr/bin/a", "usr/bin/b", "usr/share/doc/thing/copyright", "usr/share/doc/thing/much/more", "usr/lib/x/y"];
        for (path, content) in [("DEBIAN/control", control)].into_iter().chain(contents.map(|path| (path, path))) {
            fs::create_dir_all(deb.join(path).parent().unwrap()).unwrap();
            fs::write(deb.join(path), content).unwrap();
        }
        let sums = contents.map(|path| {
            tool::run("md5sum", &[deb.join(path).to_str().unwrap()]).unwrap()[..32].to_owned() + "  " + path + "\n"
        });
        fs::write(deb.join("DEBIAN/md5sums"), sums.concat()).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let file = folder.join("thing.deb");
        tool::run("dpkg-deb", &["--root-owner-group", "-b", deb.to_str().unwrap(), file.to_str().unwrap()]).unwrap();
        let at = format!("--root={}", root.display());
        tool::run("dpkg", &[&at, "--force-not-root", "--log=/dev/null", "-i", file.to_str().unwrap()]).unwrap();
        root
    }

    fn failed(root: &Path) -> u32 {
        let mut checks = Checks::default();
        let skel = root.join("../skel.toml");
        fs::write(&skel, SKEL).unwrap();
        installed(&mut checks, root, LOCK).unwrap();
        verified(&mut checks, root, &Skel::read(&skel).unwrap()).unwrap();
        checks.count().failed
    }

    #[test]
    fn only_what_is_left_out_may_be_missing_and_all_of_it_must_be() {
        let root = root("all");
        assert_eq!(failed(&root), 1, "nothing is left out yet");
        fs::remove_file(root.join("usr/bin/b")).unwrap();
        fs::remove_dir_all(root.join("usr/share/doc/thing/much")).unwrap();
        assert_eq!(failed(&root), 0);
        fs::write(root.join("usr/bin/a"), "changed").unwrap();
        assert_eq!(failed(&root), 1, "a changed file");
        fs::remove_file(root.join("usr/bin/a")).unwrap();
        assert_eq!(failed(&root), 1, "a missing file");
        let status = root.join("var/lib/dpkg/status");
        let text = fs::read_to_string(&status).unwrap();
        fs::write(&status, text.replace("Version: 1.0-1", "Version: 1.0-2")).unwrap();
        assert_eq!(failed(&root), 2, "another version too");
        fs::remove_dir_all(root.parent().unwrap()).unwrap();
    }
}
