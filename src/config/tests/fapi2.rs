//! `profile = "fapi2"`: what it sets, and what it refuses.

use super::*;
use crate::oidc::{ClientAuth, Par, Profile};

const P256: &str = include_str!("../../../tests/client-keys/p-256.pem");

const CERTIFICATE: &str = "client_cert = { file = \"{dir}/both.pem\" }\n";
const KEY: &str = "client_key = { env = \"CLIENT_KEY\" }\n";

/// [`SHOP`] with the profile and these lines, without a client secret.
fn resolved_with(lines: &str) -> Result<Config, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["shop".to_owned()]).unwrap();
    let both = certified.cert.pem() + &certified.signing_key.serialize_pem();
    fs::write(dir.path().join("both.pem"), both).unwrap();
    let shop = SHOP.replace("client_secret = { env = \"SHOP_CLIENT_SECRET\" }\n", "");
    let lines = lines.replace("{dir}", &dir.path().display().to_string());
    let profile = format!("[frontend.shop.oidc]\nprofile = \"fapi2\"\n{lines}");
    resolved(&[&shop, &profile], &[("CLIENT_KEY", P256)])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn it_sets_what_nobody_has_set() {
    let config = resolved_with(&format!("{KEY}{CERTIFICATE}")).unwrap();
    let settings = client(&config);
    assert_eq!(settings.profile, Some(Profile::Fapi2));
    assert_eq!(settings.authorization.par, Par::Always);
    assert!(matches!(settings.client_auth, ClientAuth::PrivateKeyJwt(_)));
    let config = resolved_with(CERTIFICATE).unwrap();
    assert!(matches!(client(&config).client_auth, ClientAuth::Tls));
}

#[test]
fn a_key_that_contradicts_it_is_a_mistake_at_its_place() {
    for (line, says) in [
        ("par = \"always\"", ""),
        ("client_auth = \"private_key_jwt\"", ""),
        ("client_auth = \"self_signed_tls_client_auth\"", ""),
        ("id_token_signed_response_alg = \"PS256\"", ""),
        ("response_mode = \"jwt\"\nrequest_object = true", ""),
        ("par = \"auto\"", "frontend.shop.oidc.par"),
        ("par = \"never\"", "frontend.shop.oidc.par"),
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
        let said = resolved_with(&format!("{KEY}{CERTIFICATE}{line}"));
        let said = said.err().unwrap_or_default();
        assert_eq!(said.is_empty(), says.is_empty(), "{line}: {said:?}");
        assert!(
            said.iter().all(|one| one.starts_with(says)),
            "{line}: {said:?}"
        );
        assert!(said.len() <= 1, "{line}: {said:?}");
    }
    let unbound = resolved_with(KEY).err().unwrap();
    assert!(
        unbound[0].starts_with("frontend.shop.oidc.client_cert"),
        "{unbound:?}"
    );
    let other = mistakes("frontend.shop.oidc.profile = \"fapi1\"");
    assert!(other[0].contains("fapi2"), "{other:?}");
}

#[test]
fn a_provider_without_tls_is_for_development() {
    let plain = "issuer = \"http://localhost:9000\"\n";
    let config = resolved_with(&format!("{KEY}{CERTIFICATE}{plain}")).unwrap();
    let warned = config.warnings.iter();
    assert!(
        warned.clone().any(|one| one.contains("development only")),
        "{:?}",
        config.warnings
    );
}
