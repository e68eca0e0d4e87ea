//! The root partition's tree from the debs of a lock, as `dpkg --unpack` would leave it, with dpkg's database; nothing of a package is run.
//!
//! Maintainer scripts are kept in the database although they were never run: a technician who installs a newer version later needs them.

mod database;
mod leave_out;
mod placing;
mod stanza;

pub use self::leave_out::leave_out;

use crate::control;
use crate::deb::index::Unpacked;
use crate::lock::{Lock, Locked};
use crate::store::Debs;
use crate::tool::{Doing, Failure, Outcome};
use crate::tree::Tree;

/// A package about to be unpacked.
struct Package<'a> {
    locked: &'a Locked,
    deb: &'a Unpacked,
    control: String,
    conffiles: Vec<String>,
    replaces: Vec<stanza::Relation>,
}

/// Everything the debs bring, in configure order, and `/var/lib/dpkg` with every package installed. Links at the top (`/lib`) are there from
/// the start; of a folder that several packages bring the first one's owner and mode count; a file that two bring is an error that names
/// both, unless one of them `Replaces` the other.
pub fn unpack(lock: &Lock, debs: &Debs) -> Outcome<Tree> {
    let packages = debs.of(lock).map(|(locked, deb)| Package::new(locked, deb)).collect::<Outcome<Vec<_>>>()?;
    let mut ordered: Vec<&Package> = packages.iter().collect();
    ordered.sort_by_key(|package| (package.locked.order, package.name()));
    let (mut tree, lost) = placing::place(&ordered)?;
    database::write(&mut tree, &ordered, &lost)?;
    Ok(tree)
}

impl<'a> Package<'a> {
    fn new(locked: &'a Locked, deb: &'a Unpacked) -> Outcome<Package<'a>> {
        let name = &locked.package;
        let control =
            deb.control("control")?.ok_or_else(|| Failure::new(format!("{name}: its deb has no control file")))?;
        let fields = control::stanza(&control).doing(name)?;
        for (field, locked) in
            [("Package", &locked.package), ("Version", &locked.version), ("Architecture", &locked.architecture)]
        {
            let own = fields.get(field).unwrap_or("none");
            if own != locked {
                return Err(Failure::new(format!(
                    "{name}: its deb says {field}: {own}, the lock {locked}: run `image-skel lock --update {name}`"
                )));
            }
        }
        let replaces = stanza::relations(fields.get("Replaces").unwrap_or_default());
        let conffiles = deb.control("conffiles")?.unwrap_or_default();
        // `remove-on-upgrade /path` names what the deb does not have.
        let conffiles =
            conffiles.lines().map(str::trim_end).filter(|line| line.starts_with('/')).map(str::to_owned).collect();
        Ok(Package { locked, deb, conffiles, replaces, control })
    }

    fn name(&self) -> &'a str {
        &self.locked.package
    }

    /// Its name in the database: with the architecture where several may be installed at once.
    fn full_name(&self) -> String {
        let same = control::stanza(&self.control).is_ok_and(|fields| fields.get("Multi-Arch") == Some("same"));
        if same { format!("{}:{}", self.name(), self.locked.architecture) } else { self.name().to_owned() }
    }

    fn replaces(&self, other: &Package<'_>) -> bool {
        self.replaces.iter().any(|relation| relation.holds(other.name(), &other.locked.version))
    }
}
