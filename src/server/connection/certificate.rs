//! What a TLS handshake shows: the certificate of the configuration at that moment.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::bff::Bff;

/// Follows reloads. Connections that stand keep what they were shown.
pub(super) struct OfConfiguration(pub(super) Arc<Bff>);

impl fmt::Debug for OfConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfConfiguration")
    }
}

impl ResolvesServerCert for OfConfiguration {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.configured.load().certificate.clone()
    }
}
