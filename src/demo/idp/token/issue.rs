//! Makes the tokens of a grant.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::{Value, json};

use super::super::client_auth::OAuthError;
use super::super::forge;
use super::super::params::Params;
use super::super::store::Grant;
use super::super::{KeyAlgorithm, KeyFailure, Rotation, Secret, Shared, TokenFormat, mint};
use super::Tokens;

impl From<KeyFailure> for OAuthError {
    fn from(_: KeyFailure) -> Self {
        Self("server_error", "no signature could be made")
    }
}

/// The first tokens of a grant.
pub(super) fn for_code(
    idp: &Shared,
    mut grant: Grant,
    params: &Params,
    key: Option<String>,
) -> Result<Tokens, OAuthError> {
    grant.thumbprint = key;
    let refresh_token = new_refresh_token(idp, &grant);
    let nonce = grant.nonce.clone();
    tokens(idp, narrowed(grant, params)?, &refresh_token, nonce)
}

/// The next tokens of a grant.
pub(super) fn for_refresh_token(
    idp: &Shared,
    token: &str,
    client_id: &str,
    params: &Params,
    key: Option<String>,
) -> Result<Tokens, OAuthError> {
    let rotation = idp.options.rotation;
    let mut grant = idp
        .store()
        .redeem_refresh_token(token, client_id, rotation, idp.now())
        .map_err(|refusal| OAuthError("invalid_grant", refusal))?;
    grant.thumbprint = key;
    let refresh_token = match rotation {
        Rotation::Reuse => token.to_owned(),
        Rotation::Rotate | Rotation::RotateWithLeeway(_) => new_refresh_token(idp, &grant),
    };
    // OpenID Connect Core §12.2: a refreshed ID token should have no nonce.
    tokens(idp, narrowed(grant, params)?, &refresh_token, None)
}

/// A token for one API, in exchange for a user's access token that is still good (RFC 8693). An audience, resource or scope that
/// begins with `unknown` is none of ours; `forbidden` is an API that no user may reach.
pub(super) fn in_exchange(
    idp: &Shared,
    subject: &str,
    client_id: &str,
    params: &Params,
    key: Option<String>,
) -> Result<Tokens, OAuthError> {
    let grant = {
        let store = idp.store();
        let known = store.access_token(subject, idp.now());
        let (grant, _) = known.ok_or(OAuthError("invalid_grant", "the token is not good"))?;
        grant
    };
    if grant.client_id != client_id {
        return Err(OAuthError("invalid_grant", "it is another client's"));
    }
    let mut grant = grant;
    grant.nonce = None;
    grant.thumbprint = key;
    let wanted = params.all("audience").chain(params.all("resource"));
    grant.resources = wanted.map(str::to_owned).collect();
    if grant.resources.iter().any(|one| one == "forbidden") {
        return Err(OAuthError("invalid_grant", "not for this user"));
    }
    if grant.resources.iter().any(|one| one.starts_with("unknown")) {
        return Err(OAuthError("invalid_target", "there is no such API"));
    }
    if let Some(scope) = params.one("scope") {
        scope.clone_into(&mut grant.scope);
    }
    if grant.scope.split(' ').any(|one| one.starts_with("unknown")) {
        return Err(OAuthError("invalid_scope", "there is no such scope"));
    }
    let lifetime = idp.options.access_token_lifetime;
    let mut tokens = Tokens::new();
    tokens.insert(
        "access_token".to_owned(),
        access_token(idp, &grant, lifetime)?.into(),
    );
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    tokens.insert("issued_token_type".to_owned(), kind.into());
    let token_type = token_type(grant.thumbprint.as_deref());
    tokens.insert("token_type".to_owned(), token_type.into());
    tokens.insert("expires_in".to_owned(), lifetime.as_secs().into());
    tokens.insert("scope".to_owned(), grant.scope.into());
    Ok(tokens)
}

/// RFC 9449 §5.
const fn token_type(key: Option<&str>) -> &'static str {
    if key.is_some() { "DPoP" } else { "Bearer" }
}

/// RFC 9449 §6.1: names the key in a JWT.
fn bind(claims: &mut Value, key: Option<&str>) {
    if let (Some(key), Some(claims)) = (key, claims.as_object_mut()) {
        claims.insert("cnf".to_owned(), json!({ "jkt": key }));
    }
}

/// A token of the client's own (RFC 6749 §4.4): no user, no refresh token, the scope that was asked for. It lives as long
/// as its signature says; nothing here could revoke it.
pub(super) fn for_client(
    idp: &Shared,
    client_id: &str,
    params: &Params,
    key: Option<&str>,
) -> Result<Tokens, OAuthError> {
    let lifetime = idp.options.access_token_lifetime;
    let scope = params.one("scope").unwrap_or_default();
    let resources: Vec<_> = params.all("resource").collect();
    let now = idp.now();
    let token = match idp.options.access_token_format {
        TokenFormat::Opaque => idp.minted.random(Secret::AccessToken),
        TokenFormat::Jwt => {
            let mut claims = json!({
                "iss": idp.issuer,
                "sub": client_id,
                "aud": if resources.is_empty() { json!("demo-api") } else { json!(resources) },
                "client_id": client_id,
                "scope": scope,
                "iat": now.as_secs(),
                "exp": now.plus(lifetime).as_secs(),
                "jti": mint::random_text(16),
            });
            bind(&mut claims, key);
            let keys = idp.keys();
            let header =
                json!({ "alg": keys.algorithm().as_str(), "kid": keys.kid(), "typ": "at+jwt" });
            let token = keys.sign(&header, &claims)?;
            idp.minted.record(Secret::AccessToken, &token);
            token
        }
    };
    let mut tokens = Tokens::new();
    tokens.insert("access_token".to_owned(), token.into());
    tokens.insert("token_type".to_owned(), token_type(key).into());
    tokens.insert("expires_in".to_owned(), lifetime.as_secs().into());
    tokens.insert("scope".to_owned(), scope.into());
    Ok(tokens)
}

/// RFC 6749 §6 and RFC 8707 §2.2: this time with less scope, for these resources.
fn narrowed(mut grant: Grant, params: &Params) -> Result<Grant, OAuthError> {
    if let Some(scope) = params.one("scope") {
        if !scope
            .split(' ')
            .all(|one| grant.scope.split(' ').any(|granted| granted == one))
        {
            return Err(OAuthError("invalid_scope", "more than was granted"));
        }
        scope.clone_into(&mut grant.scope);
    }
    let resources: Vec<_> = params.all("resource").map(str::to_owned).collect();
    if !resources.is_empty() {
        if !resources.iter().all(|one| grant.resources.contains(one)) {
            return Err(OAuthError("invalid_target", "not what was granted"));
        }
        grant.resources = resources;
    }
    Ok(grant)
}

fn new_refresh_token(idp: &Shared, grant: &Grant) -> String {
    let token = idp.minted.random(Secret::RefreshToken);
    let until = idp.now().plus(idp.options.refresh_token_lifetime);
    idp.store().add_refresh_token(&token, grant, until);
    token
}

fn tokens(
    idp: &Shared,
    grant: Grant,
    refresh_token: &str,
    nonce: Option<String>,
) -> Result<Tokens, OAuthError> {
    let lifetime = idp.options.access_token_lifetime;
    let access_token = access_token(idp, &grant, lifetime)?;
    let id_token = id_token(idp, &grant, &access_token, lifetime, nonce)?;
    let mut tokens = Tokens::new();
    tokens.insert("access_token".to_owned(), access_token.into());
    let token_type = token_type(grant.thumbprint.as_deref());
    tokens.insert("token_type".to_owned(), token_type.into());
    tokens.insert("expires_in".to_owned(), lifetime.as_secs().into());
    tokens.insert("refresh_token".to_owned(), refresh_token.into());
    tokens.insert("id_token".to_owned(), id_token.into());
    tokens.insert("scope".to_owned(), grant.scope.into());
    Ok(tokens)
}

fn access_token(idp: &Shared, grant: &Grant, lifetime: Duration) -> Result<String, KeyFailure> {
    let now = idp.now();
    let token = match idp.options.access_token_format {
        TokenFormat::Opaque => idp.minted.random(Secret::AccessToken),
        TokenFormat::Jwt => {
            let user = grant.sign_on.user;
            let mut claims = json!({
                "iss": idp.issuer,
                "sub": user.sub,
                "aud": audience(grant),
                "client_id": grant.client_id,
                "scope": grant.scope,
                "roles": user.roles,
                "iat": now.as_secs(),
                "exp": now.plus(lifetime).as_secs(),
                "auth_time": grant.sign_on.auth_time.as_secs(),
                "acr": grant.sign_on.acr,
                "jti": mint::random_text(16),
            });
            bind(&mut claims, grant.thumbprint.as_deref());
            pad(idp, &mut claims);
            let keys = idp.keys();
            let header =
                json!({ "alg": keys.algorithm().as_str(), "kid": keys.kid(), "typ": "at+jwt" });
            let token = keys.sign(&header, &claims)?;
            idp.minted.record(Secret::AccessToken, &token);
            token
        }
    };
    idp.store()
        .add_access_token(&token, grant, now.plus(lifetime));
    Ok(token)
}

fn audience(grant: &Grant) -> Value {
    match grant.resources.as_slice() {
        [] => json!("demo-api"),
        [one] => json!(one),
        several => json!(several),
    }
}

fn id_token(
    idp: &Shared,
    grant: &Grant,
    access_token: &str,
    lifetime: Duration,
    nonce: Option<String>,
) -> Result<String, KeyFailure> {
    let user = grant.sign_on.user;
    let now = idp.now();
    let mut claims = json!({
        "iss": idp.issuer,
        "sub": user.sub,
        "aud": grant.client_id,
        "iat": now.as_secs(),
        "exp": now.plus(lifetime).as_secs(),
        "auth_time": grant.sign_on.auth_time.as_secs(),
        "acr": grant.sign_on.acr,
        "sid": grant.sign_on.sid,
        "at_hash": at_hash(idp.keys().algorithm(), access_token),
        "name": user.name,
        "email": user.email,
        "roles": user.roles,
    });
    if let (Some(nonce), Some(claims)) = (nonce, claims.as_object_mut()) {
        claims.insert("nonce".to_owned(), nonce.into());
    }
    pad(idp, &mut claims);
    let token = forge::id_token(idp, &grant.client_id, claims)?;
    idp.minted.record(Secret::IdToken, &token);
    Ok(token)
}

/// OpenID Connect Core §3.1.3.6: the left half of the hash that the signature uses.
fn at_hash(algorithm: KeyAlgorithm, access_token: &str) -> String {
    let hash = digest::digest(algorithm.hash(), access_token.as_bytes());
    let half = hash.as_ref().len() / 2;
    let (left, _) = hash.as_ref().split_at_checked(half).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(left)
}

/// Makes a token longer by a claim that no compression shortens.
fn pad(idp: &Shared, claims: &mut Value) {
    let wanted = idp.faults.padding();
    if let (1.., Some(claims)) = (wanted, claims.as_object_mut()) {
        let mut padding = mint::random_text(wanted);
        padding.truncate(wanted);
        claims.insert("padding".to_owned(), padding.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_hash_is_that_of_openid_connect_core_appendix_a() {
        // The example of §A.3 is of this access token.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(
            at_hash(KeyAlgorithm::Es256, token),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }
}
