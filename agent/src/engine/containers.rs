//! Containers, networks and volumes.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, EndpointSettings, Network, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest, NetworkInspect, Volume, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, InspectNetworkOptions, ListContainersOptions, ListNetworksOptions,
    RemoveContainerOptions, RenameContainerOptions, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions, UploadToContainerOptions,
};

use super::Engine;

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status; 0 where it gave no answer.
    pub status: u16,
    /// Its own words.
    pub why: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Refusal { status: status_code, why: message.trim().to_owned() }
            }
            other => Refusal { status: 0, why: other.to_string() },
        }
    }
}

impl Refusal {
    /// The engine gave no answer.
    pub fn is_silence(&self) -> bool {
        self.status == 0
    }

    /// What was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        self.status == 404
    }
}

/// Absence is an answer, not a failure.
fn or_absent<T>(answer: Result<T, Error>) -> Result<Option<T>, Refusal> {
    match answer.map_err(Refusal::from) {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.is_absent() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

impl Engine {
    /// Every container with this label, whatever its state; `label` may be `NAME` or `NAME=VALUE`.
    pub async fn labelled(&self, label: &str) -> Result<Vec<ContainerSummary>, Refusal> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label.to_owned()])])),
            ..Default::default()
        };
        Ok(self.docker.list_containers(Some(options)).await?)
    }

    /// Id of the image that the engine finds under a name; none where it finds none.
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, Refusal> {
        let found = or_absent(self.docker.inspect_image(name).await)?;
        Ok(found.and_then(|image| image.id))
    }

    /// The folders that an image declares as volumes.
    pub async fn image_volumes(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let found = or_absent(self.docker.inspect_image(name).await)?;
        let config = found.and_then(|image| image.config);
        Ok(config.and_then(|config| config.volumes).unwrap_or_default())
    }

    /// A container by name or id.
    pub async fn container(&self, name: &str) -> Result<Option<ContainerInspectResponse>, Refusal> {
        let _turn = self.turns.acquire().await;
        or_absent(self.docker.inspect_container(name, None::<InspectContainerOptions>).await)
    }

    /// Makes a container; gives its id.
    pub async fn create(
        &self,
        name: &str,
        platform: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<String, Refusal> {
        let _turn = self.turns.acquire().await;
        let options =
            CreateContainerOptions { name: Some(name.to_owned()), platform: platform.unwrap_or_default().to_owned() };
        Ok(self.patient().create_container(Some(options), body).await?.id)
    }

    /// Unpacks a tar in the root of a container, running or not. Owners and rights are those in the tar.
    pub async fn put(&self, id: &str, tar: Vec<u8>) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        Ok(self.docker.upload_to_container(id, Some(options), bollard::body_full(tar.into())).await?)
    }

    /// Starts a container; one that runs already is left as it is.
    pub async fn start(&self, id: &str) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        Ok(self.patient().start_container(id, None::<StartContainerOptions>).await?)
    }

    /// Stops a container within `grace` (its own period where none), after which the engine kills it.
    pub async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<(), Refusal> {
        let _turn = self.long_turns.acquire().await;
        let options = StopContainerOptions { t: grace.map(|grace| grace.as_secs() as i32), ..Default::default() };
        or_absent(self.patient().stop_container(id, Some(options)).await)?;
        Ok(())
    }

    /// Stops and starts a container.
    pub async fn restart(&self, id: &str) -> Result<(), Refusal> {
        let _turn = self.long_turns.acquire().await;
        Ok(self.patient().restart_container(id, None::<RestartContainerOptions>).await?)
    }

    /// For verbs that wait for a program to end, whose own grace period may be long, or that move files on a slow card: a named volume is
    /// filled from its image while the container is made.
    pub(super) fn patient(&self) -> bollard::Docker {
        self.docker.clone().with_timeout(Duration::from_secs(600))
    }

    /// Removes a container, killing it first if need be; its volumes stay.
    pub async fn remove(&self, id: &str) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let options = RemoveContainerOptions { force: true, ..Default::default() };
        or_absent(self.patient().remove_container(id, Some(options)).await)?;
        Ok(())
    }

    /// Gives a container another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let options = RenameContainerOptions { name: name.to_owned() };
        Ok(self.docker.rename_container(id, options).await?)
    }

    /// A network by name.
    pub async fn network(&self, name: &str) -> Result<Option<NetworkInspect>, Refusal> {
        or_absent(self.docker.inspect_network(name, None::<InspectNetworkOptions>).await)
    }

    /// Makes a network.
    pub async fn create_network(&self, body: NetworkCreateRequest) -> Result<(), Refusal> {
        self.docker.create_network(body).await?;
        Ok(())
    }

    /// All networks.
    pub async fn networks(&self) -> Result<Vec<Network>, Refusal> {
        Ok(self.docker.list_networks(None::<ListNetworksOptions>).await?)
    }

    /// Removes a network that no container is in.
    pub async fn remove_network(&self, name: &str) -> Result<(), Refusal> {
        or_absent(self.docker.remove_network(name).await)?;
        Ok(())
    }

    /// Takes a container out of a network; neither need be there.
    pub async fn disconnect(&self, network: &str, container: &str) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        or_absent(self.docker.disconnect_network(network, request).await)?;
        Ok(())
    }

    /// Puts a container into one more network.
    pub async fn connect(&self, network: &str, container: &str, as_what: EndpointSettings) -> Result<(), Refusal> {
        let _turn = self.turns.acquire().await;
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(as_what) };
        Ok(self.docker.connect_network(network, request).await?)
    }

    /// A volume by name.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, Refusal> {
        or_absent(self.docker.inspect_volume(name).await)
    }

    /// Makes a volume; one of that name that exists is left as it is.
    pub async fn create_volume(&self, body: VolumeCreateRequest) -> Result<(), Refusal> {
        self.docker.create_volume(body).await?;
        Ok(())
    }
}
