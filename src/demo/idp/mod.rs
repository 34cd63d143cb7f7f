//! A small but real OpenID Provider for development and tests: loopback only, all state in memory.
//!
//! The demo signs people in with it, and the integration tests drive it and its faults. It speaks the code flow with PKCE,
//! refresh with or without rotation, revocation, userinfo and RP-initiated logout. Each endpoint is one file.
//!
//! # Invariants
//! - The Rust API sets faults, adds clients and lists secrets; requests cannot.
//! - A request with an unknown client or redirect URI is never answered by a redirect (RFC 9700 §4.11.2).
//!
//! # Spec
//! OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0; RFC 6749, 7009, 7636, 9068, 9101, 9126, 9207, 9449.
//!
//! # Why we have our own
//! The quick start and the tests need no download, start in milliseconds, and can misbehave on request. Other tests run against a
//! real provider.

mod answer;
mod assertion;
mod authorize;
mod client_auth;
mod faults;
mod forge;
mod keys;
mod login;
mod logout;
mod metadata;
mod mint;
mod observed;
mod options;
mod pages;
mod params;
mod proof;
mod pushed;
mod request;
mod request_object;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod users;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Value, json};

use self::keys::{KeyFailure, KeySet};
use self::mint::Minted;
use self::store::{Client, Proof, Store};
use super::dpop::Proofs;
use super::loopback::Loopback;
use crate::clock::UnixTime;

pub use self::faults::{
    AuthorizationFault, DiscoveryFault, EndpointFault, Fault, Faults, IdTokenFault, PushedFault,
    TokenFault,
};
pub use self::keys::KeyAlgorithm;
pub use self::mint::Secret;
pub use self::observed::Observed;
pub use self::options::{IdpOptions, PushedRequests, Rotation, TokenFormat};
pub(super) use self::users::USERS;

/// A running provider; it stops when it is dropped.
pub struct Idp {
    shared: Arc<Shared>,
    server: Loopback,
}

impl Idp {
    /// Binds 127.0.0.1 and serves, in a thread of its own.
    pub fn start(options: IdpOptions) -> io::Result<Self> {
        let listener = Loopback::bind(options.port)?;
        let shared = Arc::new(Shared {
            issuer: format!("http://{}", listener.local_addr()?),
            options,
            faults: Faults::default(),
            proofs: Proofs::default(),
            keys: Mutex::new(KeySet::new().map_err(io::Error::other)?),
            minted: Minted::default(),
            observed: Mutex::default(),
            store: Mutex::default(),
        });
        let data = Data::from(Arc::clone(&shared));
        let server = Loopback::serve("demo-idp", listener, move |services| {
            services.app_data(data.clone());
            endpoints(services);
        })?;
        Ok(Self { shared, server })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Registers a confidential client, or replaces it. URIs are compared as exact strings (RFC 9700 §2.1).
    pub fn add_client(
        &self,
        client_id: &str,
        secret: &str,
        redirect_uris: &[&str],
        post_logout_redirect_uris: &[&str],
    ) {
        let owned = |uris: &[&str]| uris.iter().map(|&uri| uri.to_owned()).collect();
        let client = Client {
            proof: Proof::Secret(secret.to_owned()),
            redirect_uris: owned(redirect_uris),
            post_logout_redirect_uris: owned(post_logout_redirect_uris),
        };
        self.shared.minted.record(Secret::ClientSecret, secret);
        self.shared
            .store()
            .clients
            .insert(client_id.to_owned(), client);
    }

    /// From now on a client authenticates by what it signs with one of these keys (`private_key_jwt`), and by no secret.
    pub fn set_client_keys(&self, client_id: &str, jwks: Value) {
        if let Some(client) = self.shared.store().clients.get_mut(client_id) {
            client.proof = Proof::Keys(jwks);
        }
    }

    /// From now on a client authenticates by its certificate, which somebody verifies who terminates TLS in front.
    pub fn trust_certificate(&self, client_id: &str) {
        if let Some(client) = self.shared.store().clients.get_mut(client_id) {
            client.proof = Proof::Certificate;
        }
    }

    /// A new client secret, which is already among [`Idp::minted`].
    pub fn random_client_secret(&self) -> String {
        self.shared.minted.random(Secret::ClientSecret)
    }

    /// What it does wrong. The handle is shared, and may be changed at any time.
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// What it wants to see of `DPoP`, and has seen.
    pub fn proofs(&self) -> Proofs {
        self.shared.proofs.clone()
    }

    /// What it has been asked so far.
    pub fn observed(&self) -> Observed {
        self.shared.observed().clone()
    }

    /// Every secret it has given out: codes, access, refresh and ID tokens, client secrets.
    pub fn minted(&self) -> Vec<String> {
        self.shared.minted.list(|_| true)
    }

    /// The secrets of one kind, oldest first.
    pub fn minted_of(&self, kind: Secret) -> Vec<String> {
        self.shared.minted.list(|known| known == kind)
    }

    /// A new key signs; the old ones leave the JWKS.
    pub fn rotate_keys(&self) -> io::Result<()> {
        self.shared.keys().rotate().map_err(io::Error::other)
    }

    /// A new key signs; the old ones stay in the JWKS.
    pub fn add_key(&self, algorithm: KeyAlgorithm) -> io::Result<()> {
        self.shared.keys().add(algorithm).map_err(io::Error::other)
    }

    /// A JWT with these claims, signed as ID tokens are: a logout token, for instance. `iss` is added if it is not there.
    pub fn sign(&self, mut claims: Value) -> io::Result<String> {
        if let Some(claims) = claims.as_object_mut() {
            claims
                .entry("iss")
                .or_insert_with(|| json!(self.shared.issuer));
        }
        let keys = self.shared.keys();
        let header = json!({ "alg": keys.algorithm().as_str(), "kid": keys.kid() });
        let token = keys.sign(&header, &claims).map_err(io::Error::other)?;
        self.shared.minted.record(Secret::IdToken, &token);
        Ok(token)
    }

    /// Ends all sessions and revokes all tokens.
    pub fn sign_off_all(&self) {
        self.shared.store().sign_off_all();
    }

    /// The API's view of access tokens.
    pub fn introspection(&self) -> Introspection {
        Introspection(Arc::clone(&self.shared))
    }

    /// Closes the port; takes less than a second.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}

/// Tells an API, within the process, whether an access token is live (the answer is RFC 7662's).
#[derive(Clone)]
pub struct Introspection(Arc<Shared>);

impl Introspection {
    /// `{"active": true, …}` or `{"active": false}`.
    pub fn check(&self, access_token: &str) -> Value {
        let idp = &self.0;
        match idp.store().access_token(access_token, idp.now()) {
            Some((grant, until)) => json!({
                "active": true,
                "client_id": grant.client_id,
                "exp": until.as_secs(),
                "scope": grant.scope,
                "sub": grant.sign_on.user.sub,
            }),
            None => json!({ "active": false }),
        }
    }
}

/// What the endpoints share.
struct Shared {
    issuer: String,
    options: IdpOptions,
    faults: Faults,
    proofs: Proofs,
    keys: Mutex<KeySet>,
    minted: Minted,
    observed: Mutex<Observed>,
    store: Mutex<Store>,
}

impl Shared {
    fn now(&self) -> UnixTime {
        self.options.clock.now()
    }

    fn keys(&self) -> MutexGuard<'_, KeySet> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn endpoints(services: &mut ServiceConfig) {
    services
        .route(metadata::PATH, web::get().to(metadata::discovery))
        .route(metadata::COMMON_PATH, web::get().to(metadata::discovery))
        .route("/jwks", web::get().to(metadata::jwks))
        .route("/authorize", web::get().to(authorize::by_query))
        .route("/authorize", web::post().to(authorize::by_form))
        .route("/par", web::post().to(pushed::push))
        .route("/login", web::post().to(login::login))
        .route("/token", web::post().to(token::token))
        .route("/revoke", web::post().to(token::revoke::revoke))
        .route("/userinfo", web::get().to(metadata::userinfo))
        .route("/userinfo", web::post().to(metadata::userinfo))
        .route("/end_session", web::get().to(logout::by_query))
        .route("/end_session", web::post().to(logout::by_form))
        .route("/idp.css", web::get().to(pages::stylesheet))
        .route("/submit.js", web::get().to(pages::submit_script))
        .route("/", web::get().to(pages::welcome));
}
