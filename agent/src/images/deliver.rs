//! The loads of one tarball: without the layers that the engine has, in full where it will not have it so, each looked at when it is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::archive::Image;
use super::bring::{not_recorded, refused, title};
use super::durable;
use super::load::{Loading, Stop};
use super::name::ImageName;
use super::parcel::{Freight, Parcel};
use super::send::{Lost, send};
use super::survey::{Tarball, TarballState};
use super::thin::{self, Load};
use crate::ground::blocking;
use crate::problem::{ImageProblem, Problem};
use crate::receipts::Record;
use crate::report::{Kind, State};

/// First major version of the engine that unpacks zstd.
const ZSTD_SINCE: u32 = 23;

impl Loading<'_> {
    pub(super) async fn load_all(&mut self, item: &Tarball, images: &[&Image]) -> Result<(), Stop> {
        self.forget(images).await?;
        for image in images {
            self.report.item(Kind::Image, &title(item, image), State::Working, &item.path);
        }
        self.verify(item).await?;
        let all = thin::lacking(images, &BTreeSet::new()).len();
        let thin = thin::lacking(images, &self.trusted).len() < all;
        match self.ship(item, images, self.trusted.clone()).await {
            Err(Stop::Item(Problem::Image(ImageProblem::Refused { why, .. }))) if thin => {
                let item_ = &item.path;
                self.report.note(format!(
                    "the engine did not take {item_} without the layers it has ({why}); all {all} were sent"
                ));
                self.ship(item, images, BTreeSet::new()).await
            }
            shipped => shipped,
        }
    }

    /// What earlier receipts say of these images no longer holds.
    async fn forget(&self, images: &[&Image]) -> Result<(), Stop> {
        let ids: Vec<_> = images.iter().map(|image| image.id.clone()).collect();
        if ids.iter().any(|id| self.receipts.has_image(id)) {
            let receipts = self.receipts.clone();
            let forget = Record::Forget { ids };
            blocking(move || receipts.append(&forget)).await.map_err(not_recorded)?;
        }
        Ok(())
    }

    async fn verify(&self, item: &Tarball) -> Result<(), Problem> {
        let tarball = item.clone();
        blocking(move || durable::verify(&tarball)).await
    }

    /// Brings the images to where those chain ids stand.
    async fn ship(&mut self, item: &Tarball, images: &[&Image], mut standing: BTreeSet<String>) -> Result<(), Stop> {
        let freight = self.weigh(item, images, &standing).await?;
        let loads = thin::loads(images, &standing, u64::MAX, |layer| freight.length(layer));
        let mut shipped = Ok(());
        let mut parts = Vec::new();
        for load in &loads {
            parts.extend(load.images.iter().filter(|_| load.is_part).map(|part| part.id.clone()));
            shipped = self.load_once(item, &freight, load, &mut standing).await;
            if shipped.is_err() {
                break;
            }
        }
        // They have done their work, or are of no use. One that stays is found at the next boot.
        for part in parts {
            if let Err(error) = self.engine.clear_image(&part).await {
                self.report.note(format!("a part of {} could not be removed from the engine: {error}", item.path));
            }
        }
        shipped?;
        self.trusted.extend(standing);
        self.held = self.engine.images().await?;
        Ok(())
    }

    /// One load, which then stands: its layers are those that were sent and verified, and no older ones.
    async fn load_once(
        &mut self,
        item: &Tarball,
        freight: &Freight,
        load: &Load,
        standing: &mut BTreeSet<String>,
    ) -> Result<(), Stop> {
        let parcel = Arc::new(self.pack(item, freight, load)?);
        let fresh = self.send(item, &parcel).await?;
        if stands_on_old(load, standing, &fresh) {
            // A load that was cut leaves layers that no image names; the engine would use them, torn as they are. They go with their last image.
            self.report.note(format!("{} stood on layers of a load that was cut and is loaded again", item.path));
            for image in &load.images {
                self.engine.clear_image(&image.id).await?;
            }
            self.send(item, &parcel).await?;
        }
        for image in &load.images {
            self.check(item, image).await?;
            standing.extend(image.layers.iter().map(|layer| layer.chain_id.clone()));
        }
        Ok(())
    }

    /// Reads a tarball through as a load does, whatever the engine has.
    pub(super) async fn prove(&self, item: &Tarball, images: &[&Image]) -> Result<(), Problem> {
        self.verify(item).await?;
        let freight = self.weigh(item, images, &BTreeSet::new()).await?;
        for load in thin::loads(images, &BTreeSet::new(), u64::MAX, |layer| freight.length(layer)) {
            let parcel = self.pack(item, &freight, &load)?;
            blocking(move || parcel.send(&mut std::io::sink())).await.map_err(|fault| fault.of(&item.path))?;
        }
        Ok(())
    }

    async fn weigh(&self, item: &Tarball, images: &[&Image], standing: &BTreeSet<String>) -> Result<Freight, Problem> {
        let layers: Vec<_> = thin::lacking(images, standing).into_iter().cloned().collect();
        let (zstd, most) = (takes_zstd(&self.engine.version), durable::available(self.data));
        let file = item.file.clone();
        let weighed = blocking(move || Freight::weigh(&file, &layers, zstd, most)).await;
        weighed.map_err(|fault| fault.of(&item.path))
    }

    fn pack(&self, item: &Tarball, freight: &Freight, load: &Load) -> Result<Parcel, Problem> {
        let names = |image: &Image| match &item.state {
            TarballState::Archive(index) if !load.is_part => {
                item.names_of(index, image).iter().map(ImageName::engine_name).collect()
            }
            _ => Vec::new(),
        };
        let images: Vec<_> = load.images.iter().map(|image| (image.clone(), names(image))).collect();
        freight.pack(&images, &load.sent).map_err(|fault| fault.of(&item.path))
    }

    async fn send(&self, item: &Tarball, parcel: &Arc<Parcel>) -> Result<BTreeSet<String>, Stop> {
        match send(self.engine, parcel, self.report).await {
            Ok(fresh) => Ok(fresh),
            Err(Lost::Tarball(fault)) => Err(fault.of(&item.path).into()),
            Err(Lost::Engine(error)) => Err(refused(item, error)?.into()),
        }
    }

    /// The engine must know it by the digest of its configuration, with these very layers.
    async fn check(&self, item: &Tarball, image: &Image) -> Result<(), Stop> {
        let layers = self.engine.image_layers(&image.id).await?;
        let right = image.layers.iter().map(|layer| format!("sha256:{}", layer.diff_id));
        if layers.as_deref() == Some(&right.collect::<Vec<_>>()) {
            return Ok(());
        }
        let why = format!("it did not record {} as it is", title(item, image));
        Err(ImageProblem::Refused { item: item.path.clone(), why }.into())
    }
}

/// Whether the engine took for granted a layer that neither a receipted image nor an earlier load of this run stands on.
fn stands_on_old(load: &Load, standing: &BTreeSet<String>, fresh: &BTreeSet<String>) -> bool {
    let layers = load.images.iter().flat_map(|image| &image.layers);
    let mut doubtful = layers.filter(|layer| !standing.contains(&layer.chain_id));
    doubtful.any(|layer| !fresh.contains(layer.diff_id.get(..12).unwrap_or_default()))
}

fn takes_zstd(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| major >= ZSTD_SINCE)
}
