//! Requests to the token, revocation and PAR endpoints: a form, with client authentication.
//!
//! # Invariants
//! - Each request carries client authentication. Secrets are in a header or in a body, never in a URL.
//! - Each request that a key authenticates has an assertion of its own, so that the provider can refuse a repeated one.
//!
//! # Spec
//! RFC 6749 §2.3.1; RFC 7523 §2.2, §3; RFC 8705 §2; RFC 8707 §2.2; OpenID Connect Core §9; FAPI 2.0 Security Profile §5.3.3.
//!
//! # Why the audience is the issuer
//! An assertion for an address could be presented elsewhere by whoever made us believe in that address. The issuer is
//! configured. FAPI 2.0 asks for it, as one string.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use openidconnect::{ClientSecret, HttpRequest};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::http::Channel;
use super::metadata::Metadata;
use super::{ClientAuth, ClientKeys, IdpClient, OidcError, Provider};
use crate::telemetry::metrics::ProviderCall;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good, in seconds.
const ASSERTION_LIFETIME: u64 = 60;

impl Provider {
    /// The way to the provider's endpoints for what the client asks in its own name: with its certificate, if it has one.
    pub(super) fn channel<'h>(
        &self,
        http: &'h IdpClient,
        call: ProviderCall,
        metadata: &Metadata,
    ) -> Channel<'h> {
        let certificate = self.settings().certificate.clone();
        http.channel(call, metadata.plain_http).showing(certificate)
    }

    /// A request with these parameters, and one `resource` for each of `resources`.
    pub(super) fn client_request(
        &self,
        endpoint: &Url,
        params: &[(&str, &str)],
        resources: &[Url],
    ) -> Result<HttpRequest, OidcError> {
        let client_id = self.settings().client_id.as_str();
        let mut form = Serializer::new(String::new());
        form.extend_pairs(params)
            .extend_pairs(resources.iter().map(|uri| ("resource", uri)));
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let client_auth = &self.settings().client_auth;
        // A pushed request has it among its own parameters (RFC 9126 §2.1), and each comes once (RFC 6749 §3.1).
        let is_named = params.iter().any(|(name, _)| *name == "client_id");
        if !is_named && !matches!(client_auth, ClientAuth::ClientSecretBasic(_)) {
            form.append_pair("client_id", client_id);
        }
        match client_auth {
            ClientAuth::ClientSecretBasic(secret) => {
                request = request.header(AUTHORIZATION, basic(client_id, secret)?);
            }
            ClientAuth::ClientSecretPost(secret) => {
                form.append_pair("client_secret", secret.secret());
            }
            // RFC 8705 §2: the connection proves it.
            ClientAuth::SelfSignedTls | ClientAuth::Tls => {}
            ClientAuth::PrivateKeyJwt(keys) => {
                let assertion = self
                    .assertion(keys)
                    .map_err(|Unspecified| invalid("the client's key cannot sign"))?;
                form.append_pair("client_assertion_type", JWT_BEARER)
                    .append_pair("client_assertion", &assertion);
            }
        }
        request
            .body(form.finish().into_bytes())
            .map_err(|_| invalid("no request can be made for the endpoint"))
    }

    /// RFC 7523 §3: what the client signs to say who it is.
    fn assertion(&self, keys: &ClientKeys) -> Result<Zeroizing<String>, Unspecified> {
        let settings = self.settings();
        let now = self.now().as_secs();
        let claims = json!({
            "iss": settings.client_id,
            "sub": settings.client_id,
            "aud": settings.issuer_address(),
            "jti": fresh_jti()?,
            "iat": now,
            "exp": now.saturating_add(ASSERTION_LIFETIME),
        });
        keys.sign(None, &claims)
    }
}

/// 128 random bits, so that no JWT of ours is taken for another.
pub(super) fn fresh_jti() -> Result<String, Unspecified> {
    let mut jti = [0; 16];
    SystemRandom::new().fill(&mut jti)?;
    Ok(URL_SAFE_NO_PAD.encode(jti))
}

/// RFC 6749 §2.3.1: identifier and secret are form-urlencoded, each by itself, before Basic joins them.
fn basic(client_id: &str, secret: &ClientSecret) -> Result<HeaderValue, OidcError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let id = encode(client_id);
    let secret = Zeroizing::new(encode(secret.secret()));
    let pair = Zeroizing::new(format!("{id}:{}", *secret));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| invalid("no header can be made of the credentials"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn invalid(text: &str) -> OidcError {
    OidcError::Invalid(text.to_owned())
}
