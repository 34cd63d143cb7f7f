//! A way to the verification of ID and logout tokens for the fuzzer: a provider with one key, made anew in each process.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{AccessToken, JsonWebKeyId, Nonce, PrivateSigningKey};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Map, Value};
use url::Url;

use super::algorithm::SigningAlgorithm;
use super::http::PlainHttp;
use super::keys::KeySet;
use super::metadata::{Known, Metadata};
use super::{ClientSettings, Expectation, LogoutToken, id_token, logout_token, samples};
use crate::clock::UnixTime;

/// The issuer of the probe's tokens.
pub(crate) const ISSUER: &str = "https://id.example";
/// The client that they must be for.
pub(crate) const CLIENT: &str = "fuzz";
/// The nonce that they must have.
pub(crate) const NONCE: &str = "n-1";
/// How much clocks may differ, in seconds.
pub(crate) const SKEW: u32 = 30;

const ALGORITHMS: [SigningAlgorithm; 3] = [
    SigningAlgorithm::EdDsa,
    SigningAlgorithm::Es256,
    SigningAlgorithm::Rs256,
];

/// RFC 8410 §7: what stands before an Ed25519 seed in PKCS #8.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// A client and its provider.
pub(crate) struct Probe {
    settings: ClientSettings,
    known: Known,
    key: CoreEdDsaPrivateSigningKey,
    nonce: Nonce,
}

impl Probe {
    /// With a new key.
    pub(crate) fn new(now: UnixTime) -> Option<Self> {
        let mut seed = [0; 32];
        SysRng.try_fill_bytes(&mut seed).ok()?;
        let pkcs8 = STANDARD.encode([PKCS8_HEAD.as_slice(), seed.as_slice()].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pkcs8}\n-----END PRIVATE KEY-----\n");
        let kid = JsonWebKeyId::new("k1".to_owned());
        let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(kid)).ok()?;
        let url = Url::parse(ISSUER).ok()?;
        let metadata = Metadata {
            authorization_endpoint: url.clone(),
            token_endpoint: url.clone(),
            jwks_uri: url,
            end_session_endpoint: None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            par_endpoint: None,
            iss_parameter: false,
            algorithms: ALGORITHMS.to_vec(),
            listed: crate::oidc::metadata::Listed::default(),
            gaps: Vec::new(),
            response_algorithms: Vec::new(),
            takes_dpop: false,
            plain_http: PlainHttp::Never,
        };
        Some(Self {
            settings: ClientSettings {
                clock_skew: Duration::from_secs(SKEW.into()),
                ..samples::settings(ISSUER, CLIENT, "")
            },
            known: Known {
                metadata: Arc::new(metadata),
                keys: KeySet::read(&[serde_json::to_value(key.as_verification_key()).ok()?]),
                origins: Arc::default(),
                since: now,
            },
            key,
            nonce: Nonce::new(NONCE.to_owned()),
        })
    }

    /// A token with this payload, signed as the provider signs.
    pub(crate) fn sign(&self, payload: &[u8]) -> Option<String> {
        let input = signing_input(payload);
        let algorithm = CoreJwsSigningAlgorithm::EdDsa;
        let signature = self.key.sign(&algorithm, input.as_bytes()).ok()?;
        Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims, if every rule is kept.
    pub(crate) fn verify(&self, now: UnixTime, raw: &str) -> Option<Map<String, Value>> {
        let expect = Expectation {
            nonce: Some(&self.nonce),
            access_token: &AccessToken::new("at-1".to_owned()),
            max_age: None,
            acr_values: None,
        };
        let verdict = id_token::verify(&self.settings, &self.known, now, raw, &expect);
        verdict.ok().map(|(claims, _)| claims.all)
    }

    /// What a logout token says, if every rule is kept.
    pub(crate) fn verify_logout(&self, now: UnixTime, raw: &str) -> Option<LogoutToken> {
        logout_token::verify(&self.settings, &self.known, &ALGORITHMS, now, raw).ok()
    }
}

/// A token with this payload and a signature of zeros.
pub(crate) fn unsigned(payload: &[u8]) -> String {
    format!("{}.{}", signing_input(payload), "A".repeat(86))
}

fn signing_input(payload: &[u8]) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k1"}"#);
    format!("{head}.{}", URL_SAFE_NO_PAD.encode(payload))
}
