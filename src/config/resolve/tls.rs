//! Certificates and keys in PEM files.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};

use crate::config::TlsFiles;

/// Reads certificate and key for the public listener. The error names the file.
pub fn tls_config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let certs = certificates(&files.cert)?;
    let key = std::fs::read(&files.key)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| format!("{} cannot be read: {error}", files.key.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| format!("{} holds no private key in PEM", files.key.display()))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(|error| {
            let (cert, key) = (files.cert.display(), files.key.display());
            format!("{cert} and {key} are no usable pair: {error}")
        })
}

/// Whether a file holds trust anchors that can be used.
pub(super) fn check_trust_anchors(path: &Path) -> Result<(), String> {
    let mut anchors = RootCertStore::empty();
    for certificate in certificates(path)? {
        anchors
            .add(certificate)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    const MOST: u64 = 4 << 20;
    let shown = path.display();
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut text))
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{shown} is not in PEM"))?;
    if certificates.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM"));
    }
    Ok(certificates)
}
