//! The verbs that concern images.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::body_try_stream;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use crate::images::thin::PART;
use crate::services::labels::{MAKER, VERSION};

use super::Engine;

/// Longest that an engine which has begun to unpack what it was sent may say nothing of it.
const SILENCE: Duration = Duration::from_secs(3600);

/// An image that the engine has.
#[derive(Debug, Clone)]
pub struct HeldImage {
    /// `sha256:…`.
    pub id: String,
    /// Names by tag and by digest, as the engine spells them.
    pub names: Vec<String>,
    /// Whether it is a part of an image, left behind by a load that was cut.
    pub is_part: bool,
}

/// How the engine keeps images.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// Its folder on the host (`data-root`).
    pub folder: PathBuf,
    /// Whether images are kept by containerd, and not by the engine itself.
    pub is_containerd: bool,
}

/// What the engine says of its driver where containerd keeps the images.
const CONTAINERD: &str = "io.containerd.snapshotter.v1";

impl Engine {
    /// Every image it has; those that no tag names too.
    pub(crate) async fn images(&self) -> Result<Vec<HeldImage>, Error> {
        let images = self.docker.list_images(Some(ListImagesOptionsBuilder::new().build())).await?;
        let held = images.into_iter().map(|image| HeldImage {
            id: image.id,
            is_part: image.labels.contains_key(PART),
            names: image.repo_tags.into_iter().chain(image.repo_digests).collect(),
        });
        Ok(held.collect())
    }

    /// Where it keeps everything, as it says itself.
    pub(crate) async fn store(&self) -> Result<Store, Error> {
        let about = self.docker.info().await?;
        let status = about.driver_status.unwrap_or_default();
        Ok(Store {
            folder: about.docker_root_dir.unwrap_or_default().into(),
            is_containerd: status.iter().flatten().any(|word| word == CONTAINERD),
        })
    }

    /// The digests of an image's layers (`sha256:…`, lowest first); `None` where it has no such image.
    pub(crate) async fn image_layers(&self, id: &str) -> Result<Option<Vec<String>>, Error> {
        match self.docker.inspect_image(id).await {
            Ok(image) => Ok(Some(image.root_fs.and_then(|root| root.layers).unwrap_or_default())),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Loads a docker-archive. Answers the first twelve digits of each layer that it unpacked, which are those it did not have yet.
    pub(crate) async fn load_images(
        &self,
        archive: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<BTreeSet<String>, Error> {
        let options = ImportImageOptionsBuilder::new().quiet(false).build();
        let mut answers = Docker::import_image(&self.loader, options, body_try_stream(archive), None).boxed();
        let mut unpacked = BTreeSet::new();
        // Until the first word the limit of the connection holds, which has the whole of the sending in it.
        let mut answer = answers.next().await;
        while let Some(said) = answer {
            unpacked.extend(said?.id);
            answer = timeout(SILENCE, answers.next()).await.map_err(|_| Error::RequestTimeoutError)?;
        }
        Ok(unpacked)
    }

    /// Gives an image one more name.
    pub(crate) async fn tag_image(&self, id: &str, repository: &str, tag: &str) -> Result<(), Error> {
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.docker.tag_image(id, Some(options)).await
    }

    /// The containers of ours that use an image, newest first.
    pub(crate) async fn containers_on(&self, id: &str) -> Result<Vec<ContainerSummary>, Error> {
        let filters = HashMap::from([("ancestor", vec![id]), ("label", vec![VERSION])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let mut containers = self.docker.list_containers(Some(options)).await?;
        // Another compose's container on this engine is not ours to remove.
        containers.retain(|container| {
            let made = container.labels.as_ref().and_then(|labels| labels.get(VERSION));
            made.is_some_and(|made| made.starts_with(MAKER))
        });
        Ok(containers)
    }

    /// Removes an image, and before it these containers that use it; their volumes stay. Fails where another container runs on it.
    pub(crate) async fn clear_image(&self, id: &str, containers: &[ContainerSummary]) -> Result<(), Error> {
        for name in containers.iter().filter_map(|container| container.id.as_deref()) {
            let force = RemoveContainerOptionsBuilder::new().force(true).build();
            gone(self.patient().remove_container(name, Some(force)).await)?;
        }
        let force = RemoveImageOptionsBuilder::new().force(true).build();
        gone(self.patient().remove_image(id, Some(force), None).await.map(drop))
    }
}

/// What is not there need not be removed.
fn gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        other => other,
    }
}
