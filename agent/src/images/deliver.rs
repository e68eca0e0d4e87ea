//! The loads of one tarball: without the layers that the engine has, in full where it will not have it so, each looked at when it is done.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bollard::errors::Error;

use super::archive::{Image, Layer};
use super::bring::{not_recorded, stop, title};
use super::durable;
use super::early::Next;
use super::freight::Freight;
use super::layout::Blob;
use super::load::{Loading, Stop};
use super::parcel::{Form, Parcel};
use super::parts::at_once;
use super::price::Price;
use super::send::{Lost, Sending, send};
use super::staging::Staging;
use super::survey::{Tarball, TarballState};
use super::thin::{self, Load};
use crate::ground::blocking;
use crate::host::Host;
use crate::problem::{ImageProblem, Problem, SpaceProblem};
use crate::receipts::Record;
use crate::report::{Kind, State};

/// Times that a load is sent before an engine is given up that uses older layers for it.
const AGAIN: u32 = 3;
/// Bytes on the card that a load leaves free, if it can.
const SPARED: u64 = 16 << 20;
/// First major version of the engine that unpacks zstd.
const ZSTD_SINCE: u32 = 23;

impl Loading<'_> {
    pub(super) async fn load_all(&mut self, item: &Tarball, images: &[&Image]) -> Result<(), Stop> {
        self.forget(images).await?;
        for image in images {
            self.report.item(Kind::Image, &title(item, image), State::Working, &item.path);
        }
        let all = thin::lacking(images, &BTreeSet::new()).len();
        let mut standing = self.standing(images);
        let (mut thin, mut whole) = (thin::lacking(images, &standing).len() < all, item.pull().is_none());
        loop {
            if let Some(pull) = item.pull() {
                pull.expect(thin::lacking(images, &standing).iter().map(|layer| layer.size).sum());
            }
            match self.ship(item, images, standing.clone(), whole).await {
                Err(Stop::Item(Problem::Image(ImageProblem::Refused { why, .. }))) if thin => {
                    let path = &item.path;
                    self.report.note(format!(
                        "the engine did not take {path} without the layers it has ({why}); all {all} were sent"
                    ));
                    self.take_back_early().await;
                    (thin, standing) = (false, BTreeSet::new());
                }
                Err(Stop::Item(Problem::Space(SpaceProblem::Full { .. })))
                    if whole && !self.fits_pipes(item, images, &standing) =>
                {
                    self.report
                        .note(format!("there was no room for {} at once: it is loaded layer by layer", item.path));
                    self.take_back_early().await;
                    self.move_to_card(item).await;
                    whole = false;
                }
                shipped => return shipped,
            }
        }
    }

    /// The layers of these images that need not be sent. Containerd would take an image too whose layers it has unpacked from other blobs, and
    /// then not be able to give it away whole: there it is by blobs, and those of this run.
    pub(super) fn standing(&self, images: &[&Image]) -> BTreeSet<String> {
        if !self.store.is_containerd {
            return self.trusted.clone();
        }
        let layers = images.iter().flat_map(|image| &image.layers);
        let there = layers.filter(|layer| self.blobs.contains(&Blob::as_it_lies(layer).digest));
        there.map(|layer| layer.chain_id.clone()).collect()
    }

    /// What earlier receipts say of these images no longer holds.
    async fn forget(&self, images: &[&Image]) -> Result<(), Stop> {
        let ids: Vec<_> = images.iter().map(|image| self.id(image)).collect();
        if ids.iter().any(|id| self.receipts.has_image(id)) {
            let receipts = self.receipts.clone();
            let forget = Record::Forget { ids };
            blocking(move || receipts.append(&forget)).await.map_err(not_recorded)?;
        }
        Ok(())
    }

    async fn verify(&self, item: &Tarball) -> Result<(), Problem> {
        if item.pull().is_some() {
            return Ok(());
        }
        if item.wanted.iter().all(|entry| entry.checksum.is_none()) {
            return Ok(());
        }
        let (tarball, network) = (item.clone(), self.network(&item.host));
        blocking(move || durable::verify(network.fetcher(), &tarball)).await
    }

    /// From now on the engine unpacks on the card, where that is ours to say.
    pub(super) async fn move_to_card(&mut self, item: &Tarball) {
        if let Err(error) = self.stage_anew(item, Staging::move_to_card).await {
            self.report.note(format!("the memory in which the engine unpacks could not be given back: {error}"));
        }
    }

    async fn stage_anew(
        &mut self,
        item: &Tarball,
        change: impl FnOnce(&mut Staging, &Host) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (mut staging, host) = (self.staging.clone(), item.host.clone());
        let (staging, changed) = blocking(move || {
            let changed = change(&mut staging, &host);
            (staging, changed)
        })
        .await;
        self.staging = staging;
        changed
    }

    /// Brings the images to where those chain ids stand, through pipes where the engine takes that.
    async fn ship(
        &mut self,
        item: &Tarball,
        images: &[&Image],
        standing: BTreeSet<String>,
        whole: bool,
    ) -> Result<(), Stop> {
        if !self.fits_pipes(item, images, &standing) {
            return self.ship_unpacked(item, images, standing, whole).await;
        }
        match self.ship_piped(item, images, standing.clone()).await {
            Err(Stop::Item(Problem::Image(ImageProblem::Refused { why, .. }))) if !self.pipes.taken => {
                self.pipes.offered = false;
                let shipped = self.ship_unpacked(item, images, standing, whole).await;
                // What it refuses either way says nothing of pipes.
                self.pipes.offered = shipped.is_err();
                if shipped.is_ok() {
                    self.report.note(format!(
                        "the engine does not read layers from pipes ({why}): it unpacks them before, as others do"
                    ));
                }
                shipped
            }
            shipped => shipped,
        }
    }

    /// Whether the layers can go through pipes, each of which the engine reads once: each is wanted once, and a packed tarball has them in the
    /// order of its images.
    fn fits_pipes(&self, item: &Tarball, images: &[&Image], standing: &BTreeSet<String>) -> bool {
        let TarballState::Archive(index) = &item.state else { return false };
        if item.pull().is_some() {
            return self.pipes.offered;
        }
        let mut seen = BTreeSet::new();
        let layers = images.iter().flat_map(|image| &image.layers);
        let new = |layer: &&Layer| !standing.contains(&layer.chain_id) && seen.insert(layer.chain_id.clone());
        let wanted: Vec<&Layer> = layers.filter(new).collect();
        let files: BTreeSet<_> = wanted.iter().map(|layer| &layer.diff_id).collect();
        let once = files.len() == wanted.len();
        self.pipes.offered && once && (!index.is_packed() || wanted.is_sorted_by_key(|layer| layer.at))
    }

    /// One load whose layers are pipes: nothing is unpacked before the engine reads it.
    async fn ship_piped(
        &mut self,
        item: &Tarball,
        images: &[&Image],
        mut standing: BTreeSet<String>,
    ) -> Result<(), Stop> {
        self.verify(item).await?;
        let freight = self.weigh(item, images, &standing).await?;
        for load in thin::loads(images, &standing, at_once(item), |layer| freight.length(layer)) {
            self.fits(item, &self.price(item, images, &standing), 0)?;
            self.forget_parts(&load).await?;
            // Names come once all of them are there: those of older images would be gone where one of the new ones turns out to be bad.
            let nameless: Vec<_> = load.images.iter().map(|image| (image.clone(), Vec::new())).collect();
            loop {
                let packed = freight.pack_pipes(&nameless, &load.sent, self.folders.clone());
                let parcel = packed.map_err(|fault| item.problem(fault))?;
                let Err(stop) = self.load_once(item, &Arc::new(parcel), &load, &mut standing, (None, None)).await
                else {
                    break;
                };
                // It may have recorded what we then found to be wrong.
                self.clear_images(&load.images).await?;
                if !item.pull().is_some_and(|pull| pull.has_another()) {
                    return Err(stop);
                }
            }
            self.pipes.taken = true;
            self.keep_part(item, &load).await?;
        }
        self.stand(standing, &freight).await
    }

    /// What stands now.
    async fn stand(&mut self, standing: BTreeSet<String>, freight: &Freight) -> Result<(), Stop> {
        self.trusted.extend(standing);
        self.blobs.extend(freight.blobs());
        self.held = self.engine.images().await?;
        Ok(())
    }

    /// Where the engine unpacks all that it is sent: at once where there is room, layer by layer if not `whole`.
    async fn ship_unpacked(
        &mut self,
        item: &Tarball,
        images: &[&Image],
        mut standing: BTreeSet<String>,
        whole: bool,
    ) -> Result<(), Stop> {
        let (freight, mut early) = match self.take_early(item, images, &standing).await {
            // Verified before it was begun.
            Some((freight, sending)) => (freight, Some(sending)),
            None => {
                self.verify(item).await?;
                (self.weigh(item, images, &standing).await?, None)
            }
        };
        if self.store.is_containerd {
            let ids = images.iter().map(|image| (image.id.clone(), freight.id(Form::Layout, image)));
            self.ids.extend(ids);
        }
        let room = match &early {
            // It lies in memory already.
            Some(_) => match self.fits(item, &self.price(item, images, &standing), 0) {
                Ok(_) => u64::MAX,
                Err(problem) => return Err(self.take_back(early.take(), problem).await),
            },
            None => self.room(item, images, &freight, &standing).await?,
        };
        let room = match item.pull() {
            _ if self.store.is_containerd && item.pull().is_some() => room,
            Some(_) => room.min(at_once(item)),
            None if whole => room,
            None => 0,
        };
        let loads = thin::loads(images, &standing, room, |layer| freight.length(layer));
        let mut shipped = Ok(());
        let mut parts = Vec::new();
        for (at, load) in loads.iter().enumerate() {
            let next = if at + 1 == loads.len() { self.next.take() } else { None };
            let passing = load.is_part && item.pull().is_none();
            parts.extend(load.images.iter().filter(|_| passing).map(|part| part.id.clone()));
            self.forget_parts(load).await?;
            let parcel = match self.pack(item, &freight, load) {
                Ok(parcel) => Arc::new(parcel),
                Err(problem) => return Err(self.take_back(early.take(), problem).await),
            };
            shipped = self.load_once(item, &parcel, load, &mut standing, (early.take(), next)).await;
            while shipped.is_err() && item.pull().is_some_and(|pull| pull.has_another()) {
                self.clear_images(&load.images).await?;
                shipped = self.load_once(item, &parcel, load, &mut standing, (None, None)).await;
            }
            if shipped.is_err() {
                break;
            }
            self.keep_part(item, load).await?;
        }
        // They have done their work, or are of no use. One that stays is found at the next boot.
        for part in parts {
            if let Err(error) = self.clear_image(&part).await {
                self.report.note(format!("a part of {} could not be removed from the engine: {error}", item.path));
            }
        }
        shipped?;
        self.stand(standing, &freight).await
    }

    /// The most bytes of one load. Refuses what cannot fit, before anything of it is touched.
    async fn room(
        &mut self,
        item: &Tarball,
        images: &[&Image],
        freight: &Freight,
        standing: &BTreeSet<String>,
    ) -> Result<u64, Problem> {
        let price = self.price(item, images, standing);
        let largest = freight.largest();
        if largest > self.staging.room(u64::MAX)
            && let Err(error) = self.stage_anew(item, move |staging, host| staging.make_room(largest, host)).await
        {
            self.report.note(format!("the engine could not be given room for {} to unpack in: {error}", item.path));
        }
        let beside = match &self.staging {
            // It unpacks at once what it is sent, and keeps both.
            _ if self.store.is_containerd => price.need.load,
            Staging::Card => largest,
            Staging::Memory { .. } => 0,
        };
        let left = self.fits(item, &price, beside)?;
        // The services of earlier boots run, and write.
        let left = left.saturating_sub(SPARED).max(beside);
        if self.store.is_containerd {
            return Ok(u64::MAX);
        }
        match self.staging.room(left) {
            have if self.staging != Staging::Card && largest > have => {
                Err(ImageProblem::NoMemory { item: item.path.clone(), need: largest, have }.into())
            }
            room => Ok(room),
        }
    }

    /// What sending them takes. Where the engine did not take a pull without the layers that it has, they are sent, and take little once more.
    fn price(&self, item: &Tarball, images: &[&Image], standing: &BTreeSet<String>) -> Price {
        match item.pull() {
            Some(_) if !self.store.is_containerd => item.price_of(images, &(standing | &self.trusted)),
            _ => item.price_of(images, standing),
        }
    }

    /// Bytes that are left on the card; what does not fit there, with so many bytes beside it for a while, is refused.
    fn fits(&self, item: &Tarball, price: &Price, beside: u64) -> Result<u64, Problem> {
        let (need, have) = (price.bytes.saturating_add(beside), durable::available(self.data));
        match need > have {
            true => Err(SpaceProblem::Bytes { item: item.path.clone(), need, have }.into()),
            false => Ok(have - price.bytes),
        }
    }

    /// One load, which then stands: its layers are those that were sent and verified, and no older ones.
    async fn load_once(
        &mut self,
        item: &Tarball,
        parcel: &Arc<Parcel>,
        load: &Load,
        standing: &mut BTreeSet<String>,
        (early, next): (Option<Sending>, Option<Next>),
    ) -> Result<(), Stop> {
        let sent = match early {
            Some(sending) => self.complete_early(item, sending, parcel, next).await,
            None => self.complete(Sending::begin(self.engine, parcel, self.report), next).await,
        };
        let mut fresh = sent.map_err(|lost| stop(item, lost))?;
        for left in (0..AGAIN).rev() {
            if !self.stands_on_old(load, standing, &fresh) {
                break;
            }
            self.take_back_early().await;
            self.clear_images(&load.images).await?;
            if left == 0 {
                let why = "it holds on to layers of a load that was cut".to_owned();
                return Err(ImageProblem::Refused { item: item.path.clone(), why }.into());
            }
            // A load that was cut leaves layers; the engine would use them, torn as they may be.
            self.report.note(format!("{} stood on layers of a load that was cut and is loaded again", item.path));
            self.clear_late(standing).await?;
            fresh = send(self.engine, parcel, self.report).await.map_err(|lost| stop(item, lost))?;
        }
        for image in &load.images {
            if let Err(wrong) = self.check(item, image).await {
                self.clear_images(&load.images).await?;
                return Err(wrong);
            }
            standing.extend(image.layers.iter().map(|layer| layer.chain_id.clone()));
        }
        Ok(())
    }

    async fn clear_images(&mut self, images: &[Image]) -> Result<(), Error> {
        for image in images {
            self.clear_image(&self.id(image)).await?;
        }
        Ok(())
    }

    /// Reads a tarball through as a load does, whatever the engine has.
    pub(super) async fn prove(&self, item: &Tarball, images: &[&Image]) -> Result<(), Problem> {
        self.verify(item).await?;
        let freight = self.weigh(item, images, &BTreeSet::new()).await?;
        for load in thin::loads(images, &BTreeSet::new(), u64::MAX, |layer| freight.length(layer)) {
            let parcel = self.pack(item, &freight, &load)?;
            blocking(move || parcel.send(&mut std::io::sink())).await.map_err(|fault| item.problem(fault))?;
        }
        Ok(())
    }

    async fn weigh(&self, item: &Tarball, images: &[&Image], standing: &BTreeSet<String>) -> Result<Freight, Problem> {
        // A layout says the length of each layer, sent or not.
        let nothing = BTreeSet::new();
        let standing = if self.store.is_containerd { &nothing } else { standing };
        let layers: Vec<_> = thin::lacking(images, standing).into_iter().cloned().collect();
        let (zstd, most) = (self.takes_zstd(), durable::available(self.data));
        if let Some(pull) = item.pull() {
            return Ok(Freight::pulled(pull, &layers, zstd));
        }
        let file = item.file.clone();
        let weighed = blocking(move || Freight::weigh(&file, &layers, zstd, most)).await;
        weighed.map_err(|fault| item.problem(fault))
    }

    fn pack(&self, item: &Tarball, freight: &Freight, load: &Load) -> Result<Parcel, Problem> {
        freight.pack(self.form(), &self.named(item, load), &load.sent).map_err(|fault| item.problem(fault))
    }

    /// The images of a load, each with what the engine is to call it.
    fn named(&self, item: &Tarball, load: &Load) -> Vec<(Image, Vec<String>)> {
        let names = |image: &Image| match &item.state {
            TarballState::Archive(index) if !load.is_part => item.engine_names(index, image),
            _ => Vec::new(),
        };
        load.images.iter().map(|image| (image.clone(), names(image))).collect()
    }

    /// Sends it to its end, and begins the next while the engine unpacks.
    async fn complete(&mut self, sending: Sending, next: Option<Next>) -> Result<BTreeSet<String>, Lost> {
        let mut begun = None;
        let sent = sending.finish(|| begun = next.map(|next| self.begin(next))).await;
        self.early = begun;
        sent
    }

    /// The same of one whose layers were sent early. One that the engine did not keep them of is sent as any other.
    async fn complete_early(
        &mut self,
        item: &Tarball,
        sending: Sending,
        parcel: &Arc<Parcel>,
        next: Option<Next>,
    ) -> Result<BTreeSet<String>, Lost> {
        match self.complete(sending, next).await {
            Err(Lost::Engine(error)) => {
                self.take_back_early().await;
                let path = &item.path;
                self.report.note(format!(
                    "the engine did not keep what it was sent early of {path} ({error}); it was sent again"
                ));
                send(self.engine, parcel, self.report).await
            }
            sent => sent,
        }
    }

    /// Whether the engine took for granted a layer on which neither a receipted image stands, nor an earlier load of this run, nor an image of
    /// another hand, which is used as it is.
    fn stands_on_old(&self, load: &Load, standing: &BTreeSet<String>, fresh: &BTreeSet<String>) -> bool {
        // Containerd does not say which layers it unpacked.
        if self.store.is_containerd {
            return false;
        }
        let layers = load.images.iter().flat_map(|image| &image.layers);
        let believed = [standing, &self.trusted, &self.foreign];
        let known = |chain_id| believed.iter().any(|some| some.contains(chain_id));
        let mut doubtful = layers.filter(|layer| !known(&layer.chain_id));
        doubtful.any(|layer| !fresh.contains(layer.diff_id.get(..12).unwrap_or_default()))
    }

    /// The engine must know it by the digest of its configuration, with these very layers.
    async fn check(&self, item: &Tarball, image: &Image) -> Result<(), Stop> {
        let layers = self.engine.image_layers(&self.id(image)).await?;
        let right = image.layers.iter().map(|layer| format!("sha256:{}", layer.diff_id));
        if layers.as_deref() == Some(&right.collect::<Vec<_>>()) {
            return Ok(());
        }
        let why = format!("it did not record {} as it is", title(item, image));
        Err(ImageProblem::Refused { item: item.path.clone(), why }.into())
    }

    /// Whether the engine unpacks zstd itself.
    pub(super) fn takes_zstd(&self) -> bool {
        let major = self.engine.version.split('.').next().and_then(|major| major.parse().ok());
        major.is_some_and(|major: u32| major >= ZSTD_SINCE)
    }
}
