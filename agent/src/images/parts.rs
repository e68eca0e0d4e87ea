//! Parts of an image: its lowest layers as an image of their own.
//!
//! Those of a tarball are of use within one load. Those of a registry's image are synced and recorded as images are: a boot that is cut goes
//! on from the last of them, and what was fetched is not fetched again. They go when the image is there.

use std::collections::BTreeSet;

use bollard::errors::Error;

use super::archive::chain;
use super::bring::not_recorded;
use super::durable;
use super::load::{Loading, Stop};
use super::survey::{Tarball, TarballState};
use super::thin::Load;
use crate::ground::blocking;
use crate::problem::Problem;
use crate::receipts::Record;

/// Bytes of a registry's layers that come in one load, packed, unless a single one has more: what a cut may cost.
const STEP: u64 = 32 << 20;

/// Most bytes of one load.
pub(super) fn at_once(item: &Tarball) -> u64 {
    if item.pull().is_some() { STEP } else { u64::MAX }
}

impl Loading<'_> {
    /// A part that comes again is not to be believed for an older one's receipt.
    pub(super) async fn forget_parts(&self, load: &Load) -> Result<(), Stop> {
        let ids: Vec<_> = load.images.iter().filter(|_| load.is_part).map(|part| part.id.clone()).collect();
        self.forget_ids(ids).await.map_err(not_recorded)
    }

    async fn forget_ids(&self, mut ids: Vec<String>) -> std::io::Result<()> {
        ids.retain(|id| self.receipts.has_image(id));
        if ids.is_empty() {
            return Ok(());
        }
        let receipts = self.receipts.clone();
        blocking(move || receipts.append(&Record::Forget { ids })).await
    }

    /// Makes a part of a registry's image last, so that a later boot goes on from it.
    pub(super) async fn keep_part(&mut self, item: &Tarball, load: &Load) -> Result<(), Stop> {
        if !load.is_part || item.pull().is_none() {
            return Ok(());
        }
        let record = |id: String| Record::Image { id, names: Vec::new(), from: item.stamp.clone() };
        let records: Vec<_> = load.images.iter().map(|part| record(part.id.clone())).collect();
        let (data, receipts) = (self.data.to_owned(), self.receipts.clone());
        blocking(move || durable::record(&data, &receipts, &records)).await.map_err(not_recorded)?;
        // Whatever becomes of the rest: another image may stand on it.
        let layers = load.images.iter().flat_map(|part| &part.layers);
        self.trusted.extend(layers.map(|layer| layer.chain_id.clone()));
        Ok(())
    }

    /// Removes the parts that a load left behind which was cut, before anything is taken for what stands.
    pub(super) async fn clear_torn_parts(&mut self) -> Result<(), Error> {
        self.clear_parts(|loading, id| !loading.receipts.has_image(id)).await
    }

    /// Removes the others, once there is more of the image, or all that they could be of use for is there.
    pub(super) async fn clear_done_parts(&mut self, remote: &[Tarball]) -> Result<(), Error> {
        let lacking = remote.iter().any(|item| self.is_lacking(item));
        let needed = if lacking { self.foremost_parts().await? } else { BTreeSet::new() };
        self.clear_parts(|_, id| !needed.contains(id)).await
    }

    fn is_lacking(&self, item: &Tarball) -> bool {
        match &item.state {
            TarballState::Archive(index) => index.images.iter().any(|image| !self.is_present(&self.id(image))),
            _ => !self.is_settled(item),
        }
    }

    /// Removes those of an image that does not fit: they would take the room of all others. What another of these items may go on from stays.
    pub(super) async fn clear_parts_of(&mut self, item: &Tarball, items: &[Tarball]) -> Result<(), Error> {
        let too_large =
            |other: &Tarball| other.names().iter().any(|name| matches!(self.failed.get(name), Some(Problem::Space(_))));
        let others =
            items.iter().filter(|other| other.path != item.path && self.is_lacking(other) && !too_large(other));
        let others: Vec<_> = others.collect();
        let needed: BTreeSet<&str> = others.iter().flat_map(|other| chain_ids(other)).collect();
        let (own, all_known) = (chain_ids(item).collect::<BTreeSet<_>>(), others.iter().all(|other| is_known(other)));
        let mut unneeded = BTreeSet::new();
        for part in self.held.iter().filter(|image| image.is_part) {
            let top = chain(&self.engine.image_layers(&part.id).await?.unwrap_or_default()).pop().unwrap_or_default();
            // One that is of neither may be of an image whose registry did not answer.
            if !needed.contains(top.as_str()) && (all_known || own.contains(top.as_str())) {
                unneeded.insert(part.id.clone());
            }
        }
        self.clear_parts(|_, id| unneeded.contains(id)).await?;
        // Nothing is to be sent without layers that went with them.
        self.trusted.clear();
        self.trust().await
    }

    /// Those on which no other image stands that is recorded: each is all that there is of something.
    async fn foremost_parts(&self) -> Result<BTreeSet<String>, Error> {
        let (mut tops, mut below) = (Vec::new(), BTreeSet::new());
        if !self.held.iter().any(|image| image.is_part) {
            return Ok(BTreeSet::new());
        }
        for image in self.held.iter().filter(|image| self.receipts.has_image(&image.id)) {
            let mut layers = chain(&self.engine.image_layers(&image.id).await?.unwrap_or_default());
            if image.is_part {
                tops.extend(layers.pop().map(|top| (image.id.clone(), top)));
            }
            below.extend(layers);
        }
        Ok(tops.into_iter().filter(|(_, top)| !below.contains(top)).map(|(id, _)| id).collect())
    }

    async fn clear_parts(&mut self, which: impl Fn(&Self, &str) -> bool) -> Result<(), Error> {
        let parts = self.held.iter().filter(|image| image.is_part && which(self, &image.id));
        let parts: Vec<_> = parts.map(|part| part.id.clone()).collect();
        if let Err(error) = self.forget_ids(parts.clone()).await {
            self.report.note(format!("that parts of images are removed could not be recorded: {error}"));
            return Ok(());
        }
        for part in &parts {
            self.clear_image(part).await?;
        }
        self.held.retain(|image| !parts.contains(&image.id));
        Ok(())
    }
}

/// Chain ids of the layers of an item whose images are known.
fn chain_ids(item: &Tarball) -> impl Iterator<Item = &str> {
    let images = match &item.state {
        TarballState::Archive(index) => index.images.as_slice(),
        _ => &[],
    };
    images.iter().flat_map(|image| &image.layers).map(|layer| layer.chain_id.as_str())
}

fn is_known(item: &Tarball) -> bool {
    matches!(item.state, TarballState::Archive(_))
}
