//! Certificates of an authority that nobody knows but the tests.

use std::path::PathBuf;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority, with a folder for what it has signed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
    /// Its own certificate (PEM).
    pub certificate: PathBuf,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no place for its folder.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-pki-").tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = folder.path().join("ca.pem");
        std::fs::write(&certificate, params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), folder, certificate })
    }

    /// A file with a certificate for a name or address, and its key (PEM): both of them in one, as some want it.
    ///
    /// # Errors
    /// When it cannot be written, or the name is none.
    pub fn vouch(&self, name: &str) -> Result<PathBuf> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        let file = self.folder.path().join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem() + &key.serialize_pem())?;
        Ok(file)
    }
}
