//! One tarball on its way: packed, sent, checked, named, synced, recorded, removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bollard::errors::Error;

use super::archive::{Image, Index};
use super::claims::Claims;
use super::durable;
use super::fault::Fault;
use super::load::{Loading, Stop};
use super::loaded;
use super::name::ImageName;
use super::parcel::Parcel;
use super::send::{Lost, send};
use super::survey::{Tarball, TarballState};
use crate::ground::blocking;
use crate::problem::{CardProblem, ImageProblem, Problem, SpaceProblem};
use crate::receipts::Record;
use crate::report::{Kind, State};

/// First major version of the engine that unpacks zstd.
const ZSTD_SINCE: u32 = 23;

impl Loading<'_> {
    pub(super) async fn load_all(&mut self, item: &Tarball, images: &[&Image]) -> Result<(), Stop> {
        let known: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
        if known.iter().any(|id| self.receipts.has_image(id)) {
            let receipts = self.receipts.clone();
            let forget = Record::Forget { ids: known };
            blocking(move || receipts.append(&forget)).await.map_err(not_recorded)?;
        }
        for image in images {
            self.report.item(Kind::Image, &title(item, image), State::Working, &item.path);
        }
        let parcel = Arc::new(self.pack(item, images).await?);
        let fresh = self.send(item, &parcel).await?;
        if !self.stands_on_old(images, &fresh) {
            return self.check(item, images).await;
        }
        // A load that was cut leaves layers that no image names; the engine would use them, torn as they are. They go with their last image.
        self.report.note(format!("{} stood on layers of a load that was cut and is loaded again", item.path));
        for image in images {
            self.engine.clear_image(&image.id).await?;
        }
        self.send(item, &parcel).await?;
        self.check(item, images).await
    }

    pub(super) async fn pack(&self, item: &Tarball, images: &[&Image]) -> Result<Parcel, Problem> {
        let TarballState::Archive(index) = &item.state else {
            return Err(Fault::not_archive("it was not read").of(&item.path));
        };
        let names = |image: &Image| item.names_of(index, image).iter().map(ImageName::engine_name).collect();
        let images: Vec<(Image, Vec<String>)> = images.iter().map(|image| ((*image).clone(), names(image))).collect();
        let most = durable::available(self.data);
        let (zstd, tarball) = (takes_zstd(&self.engine.version), item.clone());
        let packed = blocking(move || {
            let images: Vec<_> = images.iter().map(|(image, names)| (image, names.clone())).collect();
            durable::verify(&tarball)?;
            Parcel::pack(&tarball.file, &images, zstd, most).map_err(|fault| fault.of(&tarball.path))
        });
        packed.await
    }

    async fn send(&self, item: &Tarball, parcel: &Arc<Parcel>) -> Result<BTreeSet<String>, Stop> {
        match send(self.engine, parcel, self.report).await {
            Ok(fresh) => Ok(fresh),
            Err(Lost::Tarball(fault)) => Err(fault.of(&item.path).into()),
            Err(Lost::Engine(error)) => Err(refused(item, error)?.into()),
        }
    }

    /// Whether the engine took for granted a layer that no receipted image stands on.
    fn stands_on_old(&self, images: &[&Image], fresh: &BTreeSet<String>) -> bool {
        let layers = images.iter().flat_map(|image| &image.layers);
        let mut doubtful = layers.filter(|layer| !self.trusted.contains(&layer.chain_id));
        doubtful.any(|layer| !fresh.contains(layer.diff_id.get(..12).unwrap_or_default()))
    }

    /// The engine must know each by the digest of its configuration, with these very layers.
    async fn check(&mut self, item: &Tarball, images: &[&Image]) -> Result<(), Stop> {
        for image in images {
            let layers = self.engine.image_layers(&image.id).await?;
            let right = image.layers.iter().map(|layer| format!("sha256:{}", layer.diff_id));
            if layers.as_deref() != Some(&right.collect::<Vec<_>>()) {
                let why = format!("it did not record {} as it is", title(item, image));
                return Err(ImageProblem::Refused { item: item.path.clone(), why }.into());
            }
            self.trusted.extend(image.layers.iter().map(|layer| layer.chain_id.clone()));
        }
        self.held = self.engine.images().await?;
        Ok(())
    }

    /// Gives every image of the tarball the names it lacks.
    pub(super) async fn tag(&mut self, item: &Tarball, index: &Index, claims: &Claims) -> Result<(), Error> {
        for image in index.images.iter().filter(|image| !claims.lost(&item.path, &image.id)) {
            self.name(&image.id, item.names_of(index, image)).await?;
        }
        Ok(())
    }

    pub(super) async fn tag_known(&mut self, item: &Tarball, ids: &[String]) -> Result<(), Error> {
        match ids {
            [id] => self.name(id, item.names()).await,
            _ => Ok(()),
        }
    }

    async fn name(&mut self, id: &str, names: BTreeSet<ImageName>) -> Result<(), Error> {
        let known = loaded::names(&self.held);
        let lacking: Vec<_> = names.iter().filter(|name| known.get(*name).is_none_or(|owner| owner != id)).collect();
        for name in &lacking {
            self.engine.tag_image(id, &name.familiar_repository(), &name.engine_tag()).await?;
        }
        if !lacking.is_empty() {
            self.held = self.engine.images().await?;
        }
        Ok(())
    }

    /// Synced, recorded, and the tarball removed where it may be.
    pub(super) async fn lasting(
        &self,
        item: &Tarball,
        index: &Index,
        claims: &Claims,
        new: &[&Image],
    ) -> Result<(), Stop> {
        let record = |image: &&Image| Record::Image {
            id: image.id.clone(),
            names: item.names_of(index, image).iter().map(ImageName::to_string).collect(),
            from: item.stamp.clone(),
        };
        let mut records: Vec<_> = new.iter().map(record).collect();
        let whole = index.foreign.is_none() && !claims.has_loser(&item.path);
        if whole {
            records.push(Record::Tarball {
                from: item.stamp.clone(),
                ids: index.images.iter().map(|image| image.id.clone()).collect(),
            });
        }
        self.finish(item, claims, records).await?;
        for image in new {
            self.report.item(Kind::Image, &title(item, image), State::Done, "loaded");
        }
        if let Some((name, other)) = claims.loser(&item.path) {
            let (item, name) = (item.path.clone(), name.familiar());
            return Err(ImageProblem::NameTwice { item, name, other }.into());
        }
        match &index.foreign {
            Some(is) => Err(Fault::WrongArch { is: is.clone(), wants: self.engine.arch.clone() }.of(&item.path).into()),
            None => Ok(()),
        }
    }

    pub(super) async fn finish(&self, item: &Tarball, claims: &Claims, records: Vec<Record>) -> Result<(), Stop> {
        let (data, receipts, file) = (self.data.to_owned(), self.receipts.clone(), item.file.clone());
        let known = matches!(item.state, TarballState::Known(_))
            || records.iter().any(|record| matches!(record, Record::Tarball { .. }));
        let remove = known && item.removable && !self.keep_tarballs && !claims.is_contested(&item.path);
        blocking(move || {
            if !records.is_empty() {
                durable::record(&data, &receipts, &records)?;
            }
            if remove { durable::remove(&file) } else { Ok(()) }
        })
        .await
        .map_err(not_recorded)
    }
}

/// What to call an image in the report.
pub(super) fn title(item: &Tarball, image: &Image) -> String {
    match item.names().first().filter(|_| image.names.is_empty()) {
        Some(name) => name.familiar(),
        None => image.title(),
    }
}

fn takes_zstd(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= ZSTD_SINCE)
}

/// What the engine answers is of this tarball, or of the card; anything else is of the engine itself.
pub(super) fn refused(item: &Tarball, error: Error) -> Result<Problem, Error> {
    let why = match &error {
        Error::DockerStreamError { error } => error.clone(),
        Error::DockerResponseServerError { message, .. } => message.clone(),
        _ => return Err(error),
    };
    let item = item.path.clone();
    if why.contains("no space left on device") {
        return Ok(SpaceProblem::Full { item }.into());
    }
    Ok(ImageProblem::Refused { item, why }.into())
}

/// A receipt that could not be written speaks of the card.
fn not_recorded(error: std::io::Error) -> Stop {
    CardProblem::Receipts { why: error.to_string() }.into()
}
