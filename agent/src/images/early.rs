//! The layers of the next tarball, sent while the engine still unpacks those of the one before: neither card nor engine waits for the other.
//!
//! Its end, without which the engine records nothing, waits for its turn: by then all that it stands on is loaded, synced and recorded. Where
//! it would stand on other layers than was foreseen it is taken back, and sent as if nothing had been. Only memory is taken for it, what the
//! engine has to unpack in; never the card.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::archive::{Image, Layer};
use super::claims::Claims;
use super::durable;
use super::freight::Freight;
use super::load::{Loading, Stop};
use super::parcel::Form;
use super::send::Sending;
use super::staging::Staging;
use super::survey::{Tarball, TarballState};
use super::thin;
use crate::ground::{blocking, joined};
use crate::problem::Problem;

/// Longest that the engine may take to clear away what was taken back, and how often that is looked at.
const CLEARED: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// The load that comes next, if the one before succeeds.
pub(super) struct Next {
    item: Tarball,
    load: Foreseen,
    images: Vec<(Image, Vec<String>)>,
    layers: Vec<Layer>,
}

/// What makes it the same load: its tarball, its images, and the layers that are sent.
#[derive(PartialEq, Eq)]
struct Foreseen {
    path: String,
    images: Vec<String>,
    layers: Vec<String>,
}

/// A load that was begun early.
pub(super) struct Early {
    load: Foreseen,
    task: JoinHandle<Option<(Freight, Sending)>>,
}

impl Foreseen {
    fn of(item: &Tarball, images: &[&Image], layers: &[&Layer]) -> Foreseen {
        Foreseen {
            path: item.path.clone(),
            images: images.iter().map(|image| image.id.clone()).collect(),
            layers: layers.iter().map(|layer| layer.chain_id.clone()).collect(),
        }
    }
}

impl Loading<'_> {
    /// The load after that of these images, among the tarballs that follow; none where the engine unpacks on the card.
    pub(super) fn foresee(&self, images: &[&Image], after: &[Tarball], claims: &Claims) -> Option<Next> {
        // Through a pipe it comes as the engine reads it.
        if self.pipes.offered || self.store.is_containerd || self.staging == Staging::Card {
            return None;
        }
        let mut standing = self.trusted.clone();
        standing.extend(images.iter().flat_map(|image| &image.layers).map(|layer| layer.chain_id.clone()));
        let with_images = after.iter().map(|item| (item, self.missing(item, claims)));
        let here = |(item, images): &(&Tarball, Vec<&Image>)| item.pull().is_none() && !images.is_empty();
        let (item, images) = with_images.into_iter().find(here)?;
        let TarballState::Archive(index) = &item.state else { return None };
        let layers = thin::lacking(&images, &standing);
        let names = |image: &Image| item.engine_names(index, image);
        Some(Next {
            item: item.clone(),
            load: Foreseen::of(item, &images, &layers),
            images: images.iter().map(|image| ((*image).clone(), names(image))).collect(),
            layers: layers.into_iter().cloned().collect(),
        })
    }

    /// Begins it, as far as there is memory for all of it.
    pub(super) fn begin(&self, next: Next) -> Early {
        let Next { item, load, images, layers } = next;
        let (engine, staging, report) = (self.engine.clone(), self.staging.clone(), self.report.clone());
        let (zstd, most, network) = (self.takes_zstd(), durable::available(self.data), self.network(&item.host));
        let task = async move {
            let sent: BTreeSet<String> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
            // Whatever is wrong with it is found again, and said, in its turn.
            let weigh = move || {
                durable::verify(network.fetcher(), &item).ok()?;
                Freight::weigh(&item.file, &layers, zstd, most)
                    .ok()
                    .filter(|freight| freight.total() <= staging.room(0))
            };
            let freight = blocking(weigh).await?;
            let parcel = Arc::new(freight.pack(Form::Archive, &images, &sent).ok()?);
            Some((freight, Sending::begin(&engine, &parcel, &report)))
        };
        Early { load, task: tokio::spawn(task) }
    }

    /// What was begun early of this load, if it is as it was foreseen.
    pub(super) async fn take_early(
        &mut self,
        item: &Tarball,
        images: &[&Image],
        standing: &BTreeSet<String>,
    ) -> Option<(Freight, Sending)> {
        let load = Foreseen::of(item, images, &thin::lacking(images, standing));
        if self.early.as_ref().is_some_and(|early| early.load == load) {
            return joined(self.early.take()?.task).await;
        }
        self.take_back_early().await;
        None
    }

    /// Takes back what was begun early, so that its memory is there for another load.
    pub(super) async fn take_back_early(&mut self) {
        if let Some(early) = self.early.take()
            && let Some((_, sending)) = joined(early.task).await
        {
            self.cut_off(sending).await;
        }
    }

    /// The same of one that had come to its turn, and cannot be completed for this problem.
    pub(super) async fn take_back(&self, sending: Option<Sending>, problem: Problem) -> Stop {
        if let Some(sending) = sending {
            self.cut_off(sending).await;
        }
        problem.into()
    }

    async fn cut_off(&self, sending: Sending) {
        sending.take_back().await;
        // The engine answers before it has cleared away what it was sent.
        let begun = Instant::now();
        while self.staging.is_in_use() && begun.elapsed() < CLEARED {
            tokio::time::sleep(LOOK).await;
        }
    }
}
