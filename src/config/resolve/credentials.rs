//! What a client proves itself with: `client_auth`, `client_secret`, `client_key`. Its certificate is in `client_certificate`.

use std::sync::Arc;

use openidconnect::ClientSecret;

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::oidc::{ClientAuth, ClientKeys};

const A_SECRET: &str = "write { file = \"/run/secrets/shop\" } or { env = \"SHOP_CLIENT_SECRET\" }";
const A_KEY: &str = "write { file = \"client.pem\" }: a private key in PKCS#8";

#[derive(Clone, Copy)]
enum Method {
    Basic,
    Post,
    PrivateKeyJwt,
    SelfSignedTls,
    Tls,
}

/// The client's own keys, if it has any.
pub(super) fn client_keys(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Result<Option<Arc<ClientKeys>>, Noted> {
    let Some(reference) = &oidc.client_key else {
        return Ok(None);
    };
    let at = at.child("client_key");
    let pem = resolver
        .private_keys(&at, Some(reference), A_KEY)
        .ok_or(Noted)?;
    let at = at.child(if reference.file.is_some() {
        "file"
    } else {
        "env"
    });
    let keys = ClientKeys::from_pem(&pem);
    keys.map(|keys| Some(Arc::new(keys))).map_err(|error| {
        resolver.wrong(&at, error.to_string(), error.remedy());
        Noted
    })
}

/// How the client authenticates, with what it needs for that.
pub(super) fn client_auth(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
    keys: &Result<Option<Arc<ClientKeys>>, Noted>,
) -> Option<ClientAuth> {
    let method = resolver.choice(
        &at.child("client_auth"),
        &oidc.client_auth,
        &[
            ("client_secret_basic", Method::Basic),
            ("client_secret_post", Method::Post),
            ("private_key_jwt", Method::PrivateKeyJwt),
            ("self_signed_tls_client_auth", Method::SelfSignedTls),
            ("tls_client_auth", Method::Tls),
        ],
    );
    let at_secret = at.child("client_secret");
    let mut secret = || {
        let text = resolver.secret(&at_secret, oidc.client_secret.as_ref(), A_SECRET)?;
        Some(ClientSecret::new(text.as_str().to_owned()))
    };
    match method {
        Some(Method::Basic) => secret().map(ClientAuth::ClientSecretBasic),
        Some(Method::Post) => secret().map(ClientAuth::ClientSecretPost),
        Some(Method::PrivateKeyJwt) => {
            let fine = resolver.ensure(
                oidc.client_secret.is_none(),
                &at_secret,
                "a client that signs with its own key (client_auth = \"private_key_jwt\") uses no secret",
                "remove the secret, or write client_auth = \"client_secret_basic\"",
            );
            let keys = keys.as_ref().ok()?;
            let at = at.child("client_key").child("file");
            let keys = resolver.required(&at, keys.as_ref(), A_KEY)?;
            fine.then(|| ClientAuth::PrivateKeyJwt(Arc::clone(keys)))
        }
        Some(tls @ (Method::SelfSignedTls | Method::Tls)) => {
            let method = match tls {
                Method::Tls => ClientAuth::Tls,
                _ => ClientAuth::SelfSignedTls,
            };
            let fine = resolver.ensure(
                oidc.client_secret.is_none(),
                &at_secret,
                "a client that shows a certificate uses no secret",
                "remove the secret, or write client_auth = \"client_secret_basic\"",
            );
            fine.then_some(method)
        }
        None => {
            // A mistake in the method does not hide one in the secret.
            if oidc.client_secret.is_some() {
                secret();
            }
            None
        }
    }
}
