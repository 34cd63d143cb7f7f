//! Signed request objects: the parameters of an authorization request in a JWT that the client's key has signed.
//!
//! # Invariants
//! - There is no `sub` in it, so it is never taken for what authenticates the client (RFC 9101 §10.8).
//! - No parameter can take the place of a claim that says whom it is from, whom it is for and when it is good.
//!
//! # Spec
//! RFC 9101; OpenID Connect Core §6.1; FAPI 2.0 Message Signing §5.3.2.

use ring::error::Unspecified;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::client_auth::fresh_jti;
use super::{ClientKeys, OidcError, Provider};

/// RFC 9101 §10.8, §5.
const TYP: &str = "oauth-authz-req+jwt";

/// How long it is good, in seconds. FAPI 2.0 Message Signing allows an hour; it is sent at once.
const LIFETIME: u64 = 300;

impl Provider {
    /// The request object with these parameters.
    pub(super) fn request_object(
        &self,
        keys: &ClientKeys,
        params: &[(&str, &str)],
    ) -> Result<Zeroizing<String>, OidcError> {
        let sign = || {
            let settings = self.settings();
            let now = self.now().as_secs();
            let mut claims = parameters(params);
            claims.remove("sub");
            for (name, value) in [
                ("iss", Value::from(settings.client_id.as_str())),
                ("aud", settings.issuer_address().into()),
                ("jti", fresh_jti()?.into()),
                ("iat", now.into()),
                ("nbf", now.into()),
                ("exp", now.saturating_add(LIFETIME).into()),
            ] {
                claims.insert(name.to_owned(), value);
            }
            keys.sign(Some(TYP), &Value::Object(claims))
        };
        sign().map_err(|Unspecified| {
            OidcError::Invalid("the client's key cannot sign the request".to_owned())
        })
    }
}

/// RFC 9101 §4: what is a number or JSON in itself is not wrapped in a text. A parameter that comes again becomes a list.
fn parameters(params: &[(&str, &str)]) -> Map<String, Value> {
    let mut claims = Map::new();
    for (name, text) in params {
        let bare = matches!(*name, "authorization_details" | "claims" | "max_age");
        let value = serde_json::from_str(text).ok().filter(|_| bare);
        let value = value.unwrap_or_else(|| Value::from(*text));
        match claims.get_mut(*name) {
            None => {
                claims.insert((*name).to_owned(), value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_json_stand_as_they_are_and_repeated_parameters_in_a_list() {
        let claims = parameters(&[
            ("state", "7"),
            ("max_age", "60"),
            ("claims", r#"{"id_token":{"acr":null}}"#),
            ("resource", "https://a.test/"),
            ("resource", "https://b.test/"),
            ("resource", "https://c.test/"),
        ]);
        let expected = json!({
            "state": "7",
            "max_age": 60,
            "claims": { "id_token": { "acr": null } },
            "resource": ["https://a.test/", "https://b.test/", "https://c.test/"],
        });
        assert_eq!(Value::Object(claims), expected);
    }
}
