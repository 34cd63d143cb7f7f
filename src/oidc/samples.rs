//! A client for tests and for the fuzzer.

use std::collections::BTreeMap;
use std::time::Duration;

use openidconnect::ClientSecret;

use super::{
    AuthorizationSettings, ClientAuth, ClientSettings, Dpop, Endpoints, ProviderLogout,
    RepeatRefresh, Tenants, WithoutExp,
};

/// A client of this issuer, with a secret and what the configuration has as defaults.
pub(super) fn settings(issuer: &str, client_id: &str, secret: &str) -> ClientSettings {
    ClientSettings {
        issuer: issuer.to_owned(),
        tenants: Tenants::OneIssuer,
        client_id: client_id.to_owned(),
        client_auth: ClientAuth::ClientSecretBasic(ClientSecret::new(secret.to_owned())),
        certificate: None,
        client_keys: None,
        trusted_audiences: Vec::new(),
        discovery_url: None,
        endpoints: Endpoints::default(),
        allow_http: false,
        login_params: Vec::new(),
        logout: ProviderLogout::default(),
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        resources: Vec::new(),
        extra_params: BTreeMap::new(),
        clock_skew: Duration::from_secs(30),
        expires_in: Duration::from_mins(5),
        login_timeout: Duration::from_mins(10),
        profile: None,
        authorization: AuthorizationSettings::default(),
        id_token_signed_response_alg: None,
        logout_token_without_exp: WithoutExp::Refuse,
        dpop: Dpop::Never,
        repeat_refresh: RepeatRefresh::Auto,
        redirect_uri: "https://shop.example.com/bff/callback".to_owned(),
    }
}
