//! `[frontend.<name>.oidc] client_cert`: what the client shows to the provider.

use std::path::{Path, PathBuf};

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::tls::{self, ClientCertificate};

const REMEDY: &str = "write { cert = \"client.crt\", key = \"client.key\" }, two PEM files, or { file = \"client.pem\" } with both";

/// The certificate with its key, if there is one.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Result<Option<ClientCertificate>, Noted> {
    let at_cert = at.child("client_cert");
    let Some(written) = &oidc.client_cert else {
        let is_needed = matches!(
            oidc.client_auth.as_str(),
            "tls_client_auth" | "self_signed_tls_client_auth"
        );
        if is_needed {
            resolver.required::<()>(&at_cert, None, REMEDY);
            return Err(Noted);
        }
        return Ok(None);
    };
    let (cert, key) = match written {
        settings::ClientCert {
            cert: Some(cert),
            key: Some(key),
            file: None,
        } => (
            resolver.path(&at_cert.child("cert"), cert),
            resolver.private_path(&at_cert.child("key"), key),
        ),
        settings::ClientCert {
            cert: None,
            key: None,
            file: Some(file),
        } => {
            let file = resolver.private_path(&at_cert.child("file"), file);
            let key = key_beside(resolver, at, oidc, &file);
            (file, key)
        }
        _ => {
            resolver.wrong(
                &at_cert,
                "it does not say where certificate and key are",
                REMEDY,
            );
            return Err(Noted);
        }
    };
    ClientCertificate::read(&cert, &key)
        .map(Some)
        .map_err(|error| {
            resolver.wrong(&at_cert, error.to_string(), REMEDY);
            Noted
        })
}

/// The file with the key of a certificate: its own, or else that of `client_key`.
fn key_beside(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
    file: &Path,
) -> PathBuf {
    let client_key = oidc.client_key.as_ref();
    match client_key.and_then(|reference| reference.file.as_ref()) {
        Some(other) if !tls::has_private_key(file) => {
            resolver.path(&at.child("client_key").child("file"), other)
        }
        _ => file.to_path_buf(),
    }
}
