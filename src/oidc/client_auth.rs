//! Requests to the token and revocation endpoints: a form, with client authentication.
//!
//! # Invariants
//! - Each request carries client authentication. Secrets are in a header or in a body, never in a URL.
//!
//! # Spec
//! RFC 6749 §2.3.1; RFC 8707 §2.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use openidconnect::HttpRequest;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::{ClientAuth, ClientSettings, OidcError};

/// A request with these parameters, and one `resource` for each of `resources`.
pub(super) fn request(
    settings: &ClientSettings,
    endpoint: &Url,
    params: &[(&str, &str)],
    resources: &[Url],
) -> Result<HttpRequest, OidcError> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(params)
        .extend_pairs(resources.iter().map(|uri| ("resource", uri)));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    match settings.client_auth {
        ClientAuth::ClientSecretBasic => request = request.header(AUTHORIZATION, basic(settings)?),
        ClientAuth::ClientSecretPost => {
            form.append_pair("client_id", &settings.client_id)
                .append_pair("client_secret", settings.client_secret.secret());
        }
    }
    request
        .body(form.finish().into_bytes())
        .map_err(|_| OidcError::Invalid("no request can be made for the endpoint".to_owned()))
}

/// RFC 6749 §2.3.1: identifier and secret are form-urlencoded, each by itself, before Basic joins them.
fn basic(settings: &ClientSettings) -> Result<HeaderValue, OidcError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let id = encode(&settings.client_id);
    let secret = Zeroizing::new(encode(settings.client_secret.secret()));
    let pair = Zeroizing::new(format!("{id}:{}", *secret));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| OidcError::Invalid("no header can be made of the credentials".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
