//! TLS (RFC 3261 section 26.2): who we are to those who connect, and whom we believe when we connect.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rsipstack::sip::Host;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::SipError;
use crate::config::TlsConfig;

/// How often renewed files are looked for, at most.
const LOOK: Duration = Duration::from_secs(5);

/// Our certificate and its key, taken up again when the files have been renewed.
pub(crate) struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// When the two files were written.
    written: [Option<SystemTime>; 2],
    looked_at: Instant,
    /// Why the newest files cannot be used.
    problem: Option<String>,
}

impl Identity {
    /// Reads the files.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self, SipError> {
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Err(SipError::Tls("to listen, it wants a `certificate` and its `key`".to_owned()));
        };
        let written = [written(certificate), written(key)];
        let config = server(certificate, key)?;
        let current = Current { config, written, looked_at: Instant::now(), problem: None };
        Ok(Self { certificate: certificate.clone(), key: key.clone(), current: Mutex::new(current) })
    }

    /// For the next connection: the newest that can be used.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked_at.elapsed() >= LOOK {
            current.looked_at = Instant::now();
            self.renew(&mut current);
        }
        TlsAcceptor::from(current.config.clone())
    }

    fn renew(&self, current: &mut Current) {
        let written = [written(&self.certificate), written(&self.key)];
        if written == current.written && current.problem.is_none() {
            return;
        }
        current.written = written;
        match server(&self.certificate, &self.key) {
            Ok(config) => {
                tracing::info!(certificate = %self.certificate.display(), "the renewed certificate is used");
                (current.config, current.problem) = (config, None);
            }
            // Tried again each time, for what is wrong may be mended by other means than writing; told once.
            Err(error) => {
                let problem = Some(error.to_string());
                if current.problem != problem {
                    tracing::warn!(%error, "the old certificate stays in use");
                    current.problem = problem;
                }
            }
        }
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, SipError> {
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| {
            SipError::Tls(format!("{} with {}: {error}", certificate.display(), key.display()))
        })?;
    Ok(Arc::new(config))
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SipError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(all) if all.is_empty() => Err(unusable(file, &pem::Error::NoItemsFound)),
        read => read.map_err(|error| unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &pem::Error) -> SipError {
    SipError::Tls(format!("{}: {error}", file.display()))
}

/// Whom we believe when we connect: who has a certificate of an authority's, for the name that we went to.
pub(crate) struct Trust {
    /// A file with the authorities; absent: those of the system.
    authorities: Option<PathBuf>,
    /// Read when it is wanted first.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Trust {
    /// Reads the file, if there is one: what is wrong with it should be known at once.
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, SipError> {
        let trust = Self { authorities: config.ca.clone(), config: OnceLock::new() };
        if trust.authorities.is_some() {
            trust.connector()?;
        }
        Ok(trust)
    }

    pub(crate) fn connector(&self) -> Result<TlsConnector, SipError> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone().into());
        }
        let mut roots = RootCertStore::empty();
        let authorities = match &self.authorities {
            Some(file) => certificates(file)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        // A system may have some that nobody can read.
        if let (0, _) = roots.add_parsable_certificates(authorities) {
            return Err(SipError::Tls(
                "there is no authority whose certificates could be believed".to_owned(),
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SipError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.config.get_or_init(|| Arc::new(config)).clone().into())
    }
}

/// The name that a peer's certificate must be for (RFC 5922 section 4).
pub(crate) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::IpAddr(ip) => Some(ServerName::from(*ip)),
        Host::Domain(name) => ServerName::try_from(name.to_string()).ok(),
    }
}
