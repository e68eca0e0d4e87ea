//! Two tarballs with one name for different images: the first keeps it, the second is told, and neither is removed while both are here.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Image;
use super::name::ImageName;
use super::survey::{Tarball, TarballState};

/// Which tarball has which name.
#[derive(Debug, Default)]
pub struct Claims {
    owners: BTreeMap<ImageName, (String, String)>,
    /// Tarball and image id, with the name and the tarball that has it already.
    losers: BTreeMap<(String, String), (ImageName, String)>,
    contested: BTreeSet<String>,
}

impl Claims {
    /// Settles the names. Tarballs that are loaded go first, with the names the engine gives (`known`): so a dispute ends the same way at
    /// every boot until the user ends it. `id`: what the engine calls an image.
    pub fn of(items: &[Tarball], known: &BTreeMap<ImageName, String>, id: impl Fn(&Image) -> String) -> Claims {
        let mut claims = Claims::default();
        for item in items {
            if let TarballState::Known(ids) = &item.state {
                let own = known.iter().filter(|(_, id)| ids.contains(id));
                own.for_each(|(name, id)| claims.claim(item, id, name.clone()));
            }
        }
        for item in items {
            if let TarballState::Archive(index) = &item.state {
                for image in &index.images {
                    item.names_of(index, image).into_iter().for_each(|name| claims.claim(item, &id(image), name));
                }
            }
        }
        claims
    }

    fn claim(&mut self, item: &Tarball, id: &str, name: ImageName) {
        let (path, own) = (item.path.clone(), id.to_owned());
        match self.owners.get(&name) {
            None => drop(self.owners.insert(name, (path, own))),
            Some((_, held)) if *held == own => {}
            Some((other, _)) => {
                self.contested.extend([path.clone(), other.clone()]);
                self.losers.insert((path, own), (name, other.clone()));
            }
        }
    }

    /// Whether this image of this tarball is left out because its name is taken.
    pub fn lost(&self, path: &str, id: &str) -> bool {
        self.losers.contains_key(&(path.to_owned(), id.to_owned()))
    }

    /// A name that this tarball wanted, and the tarball that has it.
    pub fn loser(&self, path: &str) -> Option<(ImageName, String)> {
        self.losers.iter().find(|((own, _), _)| own == path).map(|(_, taken)| taken.clone())
    }

    /// Whether an image of this tarball is left out.
    pub fn has_loser(&self, path: &str) -> bool {
        self.losers.keys().any(|(own, _)| own == path)
    }

    /// Whether this tarball is part of a dispute.
    pub fn is_contested(&self, path: &str) -> bool {
        self.contested.contains(path)
    }
}
