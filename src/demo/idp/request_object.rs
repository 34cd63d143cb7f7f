//! Authorization requests that the client has signed (JAR, RFC 9101; FAPI 2.0 Message Signing §5.3.1).

use serde_json::Value;

use super::Shared;
use super::assertion::{Jws, text};
use super::params::Params;
use super::store::Proof;

/// FAPI 2.0 Message Signing: the longest life, in seconds.
const LIFETIME: u64 = 3600;

/// Claims that are not parameters.
const OF_THE_JWT: [&str; 6] = ["iss", "aud", "exp", "iat", "nbf", "jti"];

/// The parameters that count: those in the request object, if there is one. A client without keys cannot send any.
pub(super) fn unwrap(params: Params, idp: &Shared) -> Result<Params, &'static str> {
    let Some(object) = params.one("request") else {
        return Ok(params);
    };
    let client_id = params.one("client_id").unwrap_or_default();
    let jwks = match idp
        .store()
        .clients
        .get(client_id)
        .map(|client| &client.proof)
    {
        Some(Proof::Keys(jwks)) => jwks.clone(),
        _ => return Ok(params),
    };
    let signed = Jws::read(object).ok_or("The request object is no JWS.")?;
    signed.check(&jwks)?;
    let claims = &signed.claims;
    let is_from_client = ["iss", "client_id"]
        .iter()
        .all(|name| text(claims, name) == Some(client_id));
    if text(&signed.header, "typ") != Some("oauth-authz-req+jwt")
        || !is_from_client
        || text(claims, "aud") != Some(&idp.issuer)
        || claims.get("sub").is_some()
    {
        return Err("The request object is not this client's, or not for us.");
    }
    let second = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (nbf, exp, now) = (second("nbf"), second("exp"), idp.now().as_secs());
    if nbf > now || exp <= now || exp.saturating_sub(nbf) > LIFETIME {
        return Err("The request object is not of this hour.");
    }
    idp.observed()
        .request_objects
        .push((signed.header.clone(), claims.clone()));
    Ok(Params::of(
        claims
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !OF_THE_JWT.contains(&name.as_str())),
    ))
}
