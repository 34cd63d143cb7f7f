//! PEM files: certificates, trust anchors, and what a TLS listener or client shows.
//!
//! `config` checks files with the functions that later read them, so that a file that passes the check also works.
//!
//! # Invariants
//! - No error quotes a file. Each names it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

/// All the trust anchors of an operating system take a quarter of a mebibyte.
const MAX_FILE: u64 = 4 << 20;

/// Why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The operating system does not let us read it.
    #[error("{} cannot be read: {error}", shown(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It is too long to be meant.
    #[error("{} is longer than 4 MiB", shown(.0))]
    TooLong(PathBuf),
    /// It begins a block of PEM and does not end it, or the block is not base64.
    #[error("{} is not in PEM", shown(.0))]
    NotPem(PathBuf),
    /// It has no block of the kind that is looked for.
    #[error("{} holds no certificate in PEM", shown(.0))]
    NoCertificate(PathBuf),
    /// Likewise.
    #[error("{} holds no private key in PEM", shown(.0))]
    NoKey(PathBuf),
    /// A certificate in it cannot be a trust anchor.
    #[error("a certificate in {} is unusable: {error}", shown(.path))]
    UnusableAnchor {
        /// The file.
        path: PathBuf,
        /// What is wrong with the certificate.
        error: rustls::Error,
    },
    /// Certificate and key do not fit each other, or no algorithm of ours.
    #[error("{} and {} are not a usable pair: {error}", shown(.cert), shown(.key))]
    UnusablePair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        error: rustls::Error,
    },
}

/// All certificates of a file, in order; at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| PemError::NotPem(path.to_owned()))?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// Certificates that vouch for others. Clones share them.
#[derive(Clone, Debug)]
pub struct TrustAnchors(pub Arc<RootCertStore>);

impl PartialEq for TrustAnchors {
    fn eq(&self, other: &Self) -> bool {
        self.0.roots == other.0.roots
    }
}

/// The certificates of a file as trust anchors; at least one, and none that cannot be used.
pub fn trust_anchors(path: &Path) -> Result<TrustAnchors, PemError> {
    let mut anchors = RootCertStore::empty();
    for certificate in certificates(path)? {
        anchors
            .add(certificate)
            .map_err(|error| PemError::UnusableAnchor {
                path: path.to_owned(),
                error,
            })?;
    }
    Ok(TrustAnchors(Arc::new(anchors)))
}

/// The file that the environment variable `SSL_CERT_FILE` names. That is OpenSSL's name for it, so that what runs beside
/// sealgate understands it, too.
pub fn further_roots() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE").map(PathBuf::from)
}

/// The Mozilla roots, which are compiled in, and those of a file, as private certificate authorities need them. What is
/// wrong with the file goes to the log: a server that the other roots vouch for can be reached all the same.
pub fn public_roots(further: Option<&Path>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = further {
        match certificates(file) {
            Ok(certificates) => {
                let (_, ignored) = roots.add_parsable_certificates(certificates);
                if ignored > 0 {
                    log::warn!("SSL_CERT_FILE: {ignored} certificates cannot be used as roots");
                }
            }
            Err(error) => log::error!("SSL_CERT_FILE: {error}; going on without it"),
        }
    }
    roots
}

/// What a listener shows: the certificate chain of one file, proved with the private key of another.
pub fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, PemError> {
    let unusable = |error| PemError::UnusablePair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        error,
    };
    let chain = certificates(cert)?;
    let private = private_key(key)?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map_err(unusable)
}

/// What we show to servers that ask for a certificate (RFC 8446 §4.3.2), and what proves it. Clones share them.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Reads the certificate chain of one file, and its private key from another or from the same.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, PemError> {
        Ok(Self(Arc::new(certified(cert, key)?)))
    }

    /// It, for a TLS client.
    pub fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.0)))
    }

    /// It, and then those that vouch for it.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// Its key, a `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.key.public_key()
    }
}

impl PartialEq for ClientCertificate {
    /// A certificate names its key.
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(..)")
    }
}

/// Whether a file holds a private key.
pub fn has_private_key(path: &Path) -> bool {
    private_key(path).is_ok()
}

/// The first private key of a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let pem = Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| PemError::NoKey(path.to_owned()))
}

/// A listener that asks at each handshake what to show.
pub fn listener(shows: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(shows))
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    let mut text = Vec::new();
    let unreadable = |error| PemError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut limited = File::open(path).map_err(unreadable)?.take(MAX_FILE + 1);
    limited.read_to_end(&mut text).map_err(unreadable)?;
    if limited.limit() == 0 {
        return Err(PemError::TooLong(path.to_owned()));
    }
    Ok(text)
}

/// A path may hold what moves a terminal's cursor.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_read_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let good = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let good = good.cert.pem();
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, says) in [
            (good.clone(), None),
            (format!("{good}{good}"), None),
            (String::new(), Some("holds no certificate")),
            ("no PEM at all".to_owned(), Some("holds no certificate")),
            (
                "-----BEGIN CERTIFICATE-----\n".to_owned(),
                Some("is not in PEM"),
            ),
            (bad.to_owned(), Some("is unusable")),
            ("x".repeat(5 << 20), Some("is longer than 4 MiB")),
        ] {
            std::fs::write(&path, &pem).unwrap();
            let error = trust_anchors(&path).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), says.is_some(), "{error:?}");
            if let (Some(error), Some(says)) = (error, says) {
                assert!(error.contains(says) && error.contains("ca.pem"), "{error}");
            }
        }
        std::fs::remove_file(&path).unwrap();
        let error = certificates(&path).unwrap_err().to_string();
        assert!(error.contains("ca.pem cannot be read"), "{error}");
    }
}
