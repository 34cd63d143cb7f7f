//! `profile = "fapi2"`: what it sets, and what it refuses.

use super::*;
use crate::oidc::{ClientAuth, Dpop, Par, Profile};

const P256: &str = include_str!("../../../tests/client-keys/p-256.pem");

/// [`SHOP`] with the profile, a key and these lines, without a client secret.
fn resolved_with(lines: &str) -> Result<Config, Vec<String>> {
    let shop = SHOP.replace("client_secret = { env = \"SHOP_CLIENT_SECRET\" }\n", "");
    let profile = format!(
        "[frontend.shop.oidc]\nprofile = \"fapi2\"\nclient_key = {{ env = \"CLIENT_KEY\" }}\n{lines}"
    );
    let variables = [("CLIENT_KEY", P256), ("SHOP_CLIENT_SECRET", "s3cret")];
    resolved(&[&shop, &profile], &variables)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn it_sets_what_nobody_has_set() {
    let config = resolved_with("").unwrap();
    let client = client(&config);
    assert_eq!(client.profile, Some(Profile::Fapi2));
    assert_eq!(client.authorization.par, Par::Always);
    assert_eq!(client.dpop, Dpop::Always);
    assert!(matches!(client.client_auth, ClientAuth::PrivateKeyJwt(_)));
}

#[test]
fn a_key_that_contradicts_it_is_a_mistake_at_its_place() {
    for (line, says) in [
        ("par = \"always\"", ""),
        ("dpop = \"always\"", ""),
        ("client_auth = \"private_key_jwt\"", ""),
        ("id_token_signed_response_alg = \"PS256\"", ""),
        ("response_mode = \"jwt\"\nrequest_object = true", ""),
        ("par = \"auto\"", "frontend.shop.oidc.par"),
        ("par = \"never\"", "frontend.shop.oidc.par"),
        ("dpop = \"never\"", "frontend.shop.oidc.dpop"),
        ("dpop = \"auto\"", "frontend.shop.oidc.dpop"),
        (
            "client_auth = \"client_secret_basic\"",
            "frontend.shop.oidc.client_auth",
        ),
        (
            "id_token_signed_response_alg = \"RS256\"",
            "frontend.shop.oidc.id_token_signed_response_alg",
        ),
        ("allow_http = true", "frontend.shop.oidc.allow_http"),
        (
            "client_secret = { env = \"SHOP_CLIENT_SECRET\" }",
            "frontend.shop.oidc.client_secret",
        ),
    ] {
        let said = resolved_with(line).err().unwrap_or_default();
        assert_eq!(said.is_empty(), says.is_empty(), "{line}: {said:?}");
        assert!(
            said.iter().all(|one| one.contains(says)),
            "{line}: {said:?}"
        );
        assert!(said.len() <= 1, "{line}: {said:?}");
    }
    let other = resolved(&[SHOP, "frontend.shop.oidc.profile = \"fapi1\""], &[]);
    assert!(other.err().unwrap().to_string().contains("fapi2"));
}
