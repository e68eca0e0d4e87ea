//! TLS for the fetcher: certificates are judged by [`Clock`], and a school's own authority may be added.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::clock::Clock;

/// Names a file of further authorities, as for other programs of the field; PEM.
const AUTHORITIES: &str = "SSL_CERT_FILE";

/// Puts TLS on connections for https.
#[derive(Debug)]
pub struct Tls {
    clock: Arc<Clock>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Judges certificates by this clock.
    pub fn new(clock: Arc<Clock>) -> Tls {
        Tls { clock, config: OnceLock::new() }
    }

    fn config(&self) -> Arc<ClientConfig> {
        let make = || {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let clock: Arc<Clock> = self.clock.clone();
            let builder = ClientConfig::builder_with_details(provider, clock);
            let versions = builder.with_protocol_versions(rustls::DEFAULT_VERSIONS);
            versions.map(|builder| Arc::new(builder.with_root_certificates(authorities()).with_no_client_auth()))
        };
        match self.config.get() {
            Some(config) => config.clone(),
            None => match make() {
                Ok(config) => self.config.get_or_init(|| config).clone(),
                // The provider we name knows the versions we name.
                Err(error) => unreachable!("{error}"),
            },
        }
    }
}

/// Those that browsers know, and those of this box.
fn authorities() -> RootCertStore {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = std::env::var_os(AUTHORITIES).map(PathBuf::from) {
        let own = CertificateDer::pem_file_iter(&file).into_iter().flatten().flatten();
        let (added, _) = store.add_parsable_certificates(own);
        tracing::debug!("{added} authorities of {}", file.display());
    }
    store
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|_| Error::Tls("the name of the server is none"))?;
        let mut connection = ClientConnection::new(self.config(), name).map_err(std::io::Error::other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { buffers, stream: StreamOwned { conn: connection, sock: socket } })))
    }
}

/// A connection that is encrypted.
pub struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// What TLS says of a failure, where it was TLS that failed.
pub fn failure(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Whether a certificate was refused for being too old.
pub fn is_expired(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext};
    matches!(failure(error), Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })))
}

/// When the certificate that was refused for being too young begins to be valid, since 1970.
pub fn not_before(error: &Error) -> Option<std::time::Duration> {
    match failure(error)? {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(std::time::Duration::from_secs(not_before.as_secs()))
        }
        _ => None,
    }
}
