//! One tarball that the engine has: its images named, synced, recorded, and the file removed.

use std::collections::BTreeSet;

use bollard::errors::Error;

use super::archive::{Image, Index};
use super::claims::Claims;
use super::durable;
use super::fault::Fault;
use super::load::{Loading, Stop};
use super::loaded;
use super::name::ImageName;
use super::send::Lost;
use super::survey::{Tarball, TarballState};
use crate::ground::blocking;
use crate::problem::{CardProblem, ImageProblem, Problem, SpaceProblem};
use crate::receipts::Record;
use crate::report::{Kind, State};

impl Loading<'_> {
    /// Gives every image of the tarball the names it lacks.
    pub(super) async fn tag(&mut self, item: &Tarball, index: &Index, claims: &Claims) -> Result<(), Error> {
        for image in index.images.iter().filter(|image| !claims.lost(&item.path, &self.id(image))).collect::<Vec<_>>() {
            self.name(&self.id(image), item.names_of(index, image)).await?;
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
            id: self.id(image),
            names: item.names_of(index, image).iter().map(ImageName::to_string).collect(),
            from: item.stamp.clone(),
        };
        let mut records: Vec<_> = new.iter().map(record).collect();
        let whole = index.foreign.is_none() && !claims.has_loser(&item.path);
        if whole {
            records.push(Record::Tarball {
                from: item.stamp.clone(),
                ids: index.images.iter().map(|image| self.id(image)).collect(),
            });
        }
        self.finish(item, claims, records).await?;
        for image in new {
            self.report.item(Kind::Image, &title(item, image), State::Done, format!("loaded from {}", item.place));
        }
        if let Some((name, other)) = claims.loser(&item.path) {
            let (item, name) = (item.path.clone(), name.familiar());
            return Err(ImageProblem::NameTwice { item, name, other }.into());
        }
        match &index.foreign {
            Some(is) => Err(item.problem(Fault::WrongArch { is: is.clone(), wants: self.engine.arch.clone() }).into()),
            None => Ok(()),
        }
    }

    pub(super) async fn finish(&self, item: &Tarball, claims: &Claims, records: Vec<Record>) -> Result<(), Stop> {
        let (data, receipts, tarball) = (self.data.to_owned(), self.receipts.clone(), item.clone());
        let known = matches!(item.state, TarballState::Known(_))
            || records.iter().any(|record| matches!(record, Record::Tarball { .. }));
        let remove = known && item.removable && !self.keep_tarballs && !claims.is_contested(&item.path);
        blocking(move || {
            if !records.is_empty() {
                durable::record(&data, &receipts, &records)?;
            }
            // Another that was put in its place meanwhile is not loaded yet.
            if remove && tarball.is_unchanged() { durable::remove(&tarball.file) } else { Ok(()) }
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

/// Why this tarball did not arrive.
pub(super) fn stop(item: &Tarball, lost: Lost) -> Stop {
    match lost {
        Lost::Tarball(fault) => Stop::Item(item.problem(fault)),
        Lost::Engine(error) => refused(item, error).map_or_else(Stop::Engine, Stop::Item),
    }
}

/// A receipt that could not be written speaks of the card.
pub(super) fn not_recorded(error: std::io::Error) -> Stop {
    CardProblem::Receipts { why: error.to_string() }.into()
}
