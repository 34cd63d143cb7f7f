//! Metadata and keys: found lazily, matched exactly, kept while they cannot be had anew.

use std::time::Duration;

use futures_util::future::join_all;
use openidconnect::AccessToken;
use serde_json::{Value, json};

use super::super::{Expectation, IdpClient, LoginParams, OidcError, Provider};
use super::hostile::{Hostile, Reply, SigningKey};
use super::{NOW, assert_invalid, assert_unavailable, client, provider, run, settings};
use crate::clock::Clock;

const MINUTE: Duration = Duration::from_mins(1);

fn down() -> Reply {
    Reply::text(503, "text/html", "<h1>maintenance</h1>")
}

fn metadata_path() -> &'static str {
    "/.well-known/openid-configuration"
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": "shop", "sub": "ada", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 9999})
}

/// A provider that was found, with one key.
struct Known {
    idp: Hostile,
    key: SigningKey,
    provider: Provider,
    clock: Clock,
    http: IdpClient,
}

impl Known {
    async fn new() -> Self {
        let key = SigningKey::new("k1");
        let idp = Hostile::start(&[&key]).await;
        let (provider, clock) = provider(&idp);
        let http = client();
        provider.discover(&http).await.unwrap();
        Self {
            idp,
            key,
            provider,
            clock,
            http,
        }
    }

    /// An ID token signed by this key.
    fn signed_by(&self, key: &SigningKey) -> String {
        key.sign(&claims(&self.idp.issuer))
    }

    /// Verifies as after a refresh.
    async fn verify(&self, raw: &str) -> Result<(), OidcError> {
        let access_token = AccessToken::new("at".to_owned());
        let expect = Expectation {
            nonce: None,
            access_token: &access_token,
            max_age: None,
            acr_values: None,
        };
        let outcome = self.provider.verify_id_token(&self.http, raw, &expect);
        outcome.await.map(drop)
    }

    /// The key that was found serves.
    async fn assert_good(&self) {
        self.verify(&self.signed_by(&self.key)).await.unwrap();
    }
}

/// What it says of itself now is not taken, by whoever asks for the first time.
async fn assert_refused(idp: &Hostile, what: &str) {
    let (provider, _) = provider(idp);
    assert_invalid(provider.discover(&client()).await, what);
    assert!(!provider.is_known(), "{what}");
}

#[test]
fn nothing_is_fetched_before_it_is_needed_and_then_once() {
    // B40
    run(async {
        let key = SigningKey::new("k1");
        let idp = Hostile::start(&[&key]).await;
        let (provider, _) = provider(&idp);
        assert!(!provider.is_known());
        assert_eq!(idp.discoveries(), 0);
        let (http, other_worker) = (client(), client());
        let params = LoginParams::default();
        let logins = (0..20).map(|n| {
            let http = if n % 2 == 0 { &http } else { &other_worker };
            provider.authorize(http, &params, "s")
        });
        for login in join_all(logins).await {
            login.unwrap();
        }
        assert!(provider.is_known());
        assert_eq!(idp.discoveries(), 1);
    });
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    // B39
    run(async {
        let idp = Hostile::start(&[&SigningKey::new("k1")]).await;
        let port = idp.issuer.rsplit_once(':').unwrap().1.to_owned();
        for other in [
            format!("{}/", idp.issuer),
            format!("HTTP://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
            format!("http://127.0.0.1:{port}/a/.."),
            format!(" http://127.0.0.1:{port}"),
            "https://id.example.com".to_owned(),
            String::new(),
        ] {
            idp.metadata(|document| document["issuer"] = json!(other));
            assert_refused(&idp, &other).await;
        }
        // The other way round: what is configured is not normalised either.
        idp.metadata(|_| {});
        let configured = settings(&format!("{}/", idp.issuer));
        let provider = Provider::new(configured, Clock::fixed(NOW));
        assert_invalid(
            provider.discover(&client()).await,
            "configured with a slash",
        );
    });
}

#[test]
fn an_issuer_is_https_or_loopback_without_query_and_fragment() {
    // B39. None of these is ever asked: the client would have to be told another address.
    run(async {
        for issuer in [
            "http://id.example.com",
            "ftp://127.0.0.1",
            "https://id.example.com?tenant=1",
            "https://id.example.com#a",
            "https://user@id.example.com",
            "id.example.com",
            "",
        ] {
            let provider = Provider::new(settings(issuer), Clock::fixed(NOW));
            assert_invalid(provider.discover(&client()).await, issuer);
        }
    });
}

#[test]
fn metadata_without_what_a_login_needs_is_refused() {
    // B39, B26
    run(async {
        let idp = Hostile::start(&[&SigningKey::new("k1")]).await;
        for (member, value) in [
            ("authorization_endpoint", json!("javascript:alert(1)")),
            (
                "authorization_endpoint",
                json!("http://id.example.com/authorize"),
            ),
            ("token_endpoint", Value::Null),
            ("token_endpoint", json!("http://id.example.com/token")),
            ("jwks_uri", json!("http://id.example.com/jwks")),
            ("jwks_uri", json!("file:///etc/passwd")),
            ("revocation_endpoint", json!("http://id.example.com/revoke")),
            ("end_session_endpoint", json!("javascript:alert(1)")),
            (
                "id_token_signing_alg_values_supported",
                json!(["none", "HS256", "ES256K"]),
            ),
            ("id_token_signing_alg_values_supported", json!("ES256")),
            ("issuer", json!(7)),
            ("issuer", Value::Null),
            ("authorization_endpoint", json!("")),
            ("jwks_uri", json!([])),
            ("revocation_endpoint", json!(7)),
            ("end_session_endpoint", json!("/logout")),
            ("authorization_response_iss_parameter_supported", json!(1)),
        ] {
            idp.metadata(|document| document[member] = value.clone());
            assert_refused(&idp, &format!("{member} {value}")).await;
            // P31: the member is named.
            let (provider, _) = provider(&idp);
            let said = provider.discover(&client()).await.unwrap_err().to_string();
            assert!(said.contains(member), "{member} {value}: {said}");
        }
        for (what, body) in [("no JSON", "<html>"), ("an array", "[]"), ("nothing", "")] {
            idp.reply(metadata_path(), Reply::text(200, "application/json", body));
            assert_refused(&idp, what).await;
        }
    });
}

#[test]
fn metadata_is_judged_by_what_a_login_needs_alone() {
    // P31, react-native-app-auth#880
    run(async {
        let key = SigningKey::new("k1");
        let idp = Hostile::start(&[&key]).await;
        for (member, value) in [
            ("response_types_supported", Value::Null),
            ("subject_types_supported", Value::Null),
            ("subject_types_supported", json!("public")),
            ("id_token_signing_alg_values_supported", Value::Null),
            (
                "id_token_signing_alg_values_supported",
                json!(["ES256", 7, {}]),
            ),
            ("end_session_endpoint", json!("")),
            ("revocation_endpoint", json!("")),
            ("revocation_endpoint", Value::Null),
            ("userinfo_endpoint", json!("")),
            ("registration_endpoint", json!("not a URL")),
            ("op_policy_uri", json!(false)),
            ("scopes_supported", json!("openid")),
            ("claims_parameter_supported", json!("perhaps")),
            ("acr_values_supported", json!({"a": 1})),
            ("code_challenge_methods_supported", json!("S256")),
            ("token_endpoint_auth_methods_supported", json!(7)),
            ("display_values_supported", json!(["hologram", 7])),
            (
                "authorization_response_iss_parameter_supported",
                json!("true"),
            ),
        ] {
            idp.metadata(|document| document[member] = value.clone());
            let (provider, _) = provider(&idp);
            let found = provider.discover(&client()).await;
            assert_eq!(found, Ok(()), "{member} {value}");
        }
        let document = json!({
            "issuer": idp.issuer, "authorization_endpoint": format!("{}/authorize", idp.issuer),
            "token_endpoint": format!("{}/token", idp.issuer), "jwks_uri": format!("{}/jwks", idp.issuer),
        });
        let marked = format!("\u{feff}{document}");
        idp.reply(
            metadata_path(),
            Reply::text(200, "binary/octet-stream", &marked),
        );
        idp.reply(
            "/jwks",
            Reply::text(
                200,
                "text/plain",
                &json!({"keys": [7, {}, key.jwk()], "x": 1}).to_string(),
            ),
        );
        let (provider, _) = provider(&idp);
        provider.discover(&client()).await.unwrap();
        let access_token = AccessToken::new("at".to_owned());
        let expect = Expectation {
            nonce: None,
            access_token: &access_token,
            max_age: None,
            acr_values: None,
        };
        let raw = key.sign(&claims(&idp.issuer));
        let verdict = provider.verify_id_token(&client(), &raw, &expect).await;
        verdict.unwrap();
    });
}

#[test]
fn a_provider_that_is_down_is_asked_again_after_some_seconds_only() {
    // B40
    run(async {
        let idp = Hostile::start(&[&SigningKey::new("k1")]).await;
        idp.reply(metadata_path(), down());
        let (provider, clock) = provider(&idp);
        let http = client();
        for _ in 0..50 {
            assert_unavailable(provider.discover(&http).await, "down");
        }
        assert_eq!(idp.discoveries(), 1);
        idp.metadata(|_| {});
        assert_unavailable(provider.discover(&http).await, "still within the wait");
        clock.advance(Duration::from_secs(4));
        provider.discover(&http).await.unwrap();
        assert_eq!(idp.discoveries(), 2);
    });
}

#[test]
fn what_was_good_last_serves_while_the_provider_is_down() {
    // B40
    run(async {
        let known = Known::new().await;
        let Known { idp, provider, .. } = &known;
        let (clock, http) = (&known.clock, &known.http);
        idp.reply(metadata_path(), down());
        clock.advance(61 * MINUTE);
        for _ in 0..10 {
            known.assert_good().await;
        }
        assert_eq!(idp.discoveries(), 2);
        // A document of another issuer does not displace it either.
        idp.metadata(|document| document["issuer"] = json!("https://evil.test"));
        clock.advance(MINUTE);
        provider.discover(http).await.unwrap();
        assert_eq!(idp.discoveries(), 3);
        idp.metadata(|document| {
            document["authorization_endpoint"] = json!("https://id.example.com/new");
        });
        clock.advance(MINUTE);
        let params = LoginParams::default();
        let request = provider.authorize(http, &params, "s").await.unwrap();
        assert_eq!(request.url.host_str(), Some("id.example.com"));
        provider.discover(http).await.unwrap();
        assert_eq!(idp.discoveries(), 4);
    });
}

#[test]
fn somebody_who_leaves_does_not_take_the_others_discovery_along() {
    // B40
    run(async {
        let idp = Hostile::start(&[&SigningKey::new("k1")]).await;
        let sound = Reply::json(200, &json!({}));
        idp.reply(metadata_path(), sound.after(Duration::from_mins(1)));
        let (provider, _) = provider(&idp);
        let http = client();
        let leaves = tokio::time::timeout(Duration::from_millis(200), provider.discover(&http));
        let stays = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            idp.metadata(|_| {});
            provider.discover(&http).await
        };
        let (left, stayed) = tokio::join!(leaves, stays);
        assert!(left.is_err());
        stayed.unwrap();
    });
}

#[test]
fn a_rotated_key_is_found_at_once() {
    // B28
    run(async {
        let known = Known::new().await;
        let new = SigningKey::new("k2");
        known.idp.keys(&[&new]);
        let raw = known.signed_by(&new);
        let (a, b) = tokio::join!(known.verify(&raw), known.verify(&raw));
        assert_eq!((a, b), (Ok(()), Ok(())));
        assert_eq!(known.idp.heard("/jwks").len(), 2);
        // V9: once more, at once. New key, old name: the signature tells.
        let renewed = SigningKey::new("k2");
        known.idp.keys(&[&renewed]);
        known.verify(&known.signed_by(&renewed)).await.unwrap();
        assert_eq!(known.idp.discoveries(), 1);
    });
}

#[test]
fn a_thousand_unknown_keys_cause_two_fetches_at_once_and_then_one_in_each_window() {
    // B28, V9
    run(async {
        let known = Known::new().await;
        let unknown = SigningKey::new("k1");
        for fetches in 1..=3 {
            for n in 0..350 {
                let header = json!({"alg": "ES256", "kid": format!("k{n}")});
                let raw = unknown.sign_as(&header, &claims(&known.idp.issuer));
                assert_invalid(known.verify(&raw).await, "unknown key");
            }
            assert_eq!(known.idp.heard("/jwks").len(), 2 + fetches);
            known.clock.advance(Duration::from_secs(30));
        }
        known.assert_good().await;
    });
}

#[test]
fn the_last_good_keys_outlive_a_failed_fetch() {
    // B28, B40
    run(async {
        let known = Known::new().await;
        let unknown = known.signed_by(&SigningKey::new("k9"));
        known.idp.reply("/jwks", down());
        for what in ["503", "503 again", "within the window"] {
            assert_unavailable(known.verify(&unknown).await, what);
        }
        assert_eq!(known.idp.heard("/jwks").len(), 3);
        known.assert_good().await;
        for keys in [
            "{\"keys\":[]}",
            "{\"keys\":[{\"kty\":\"NEW\"}]}",
            "{}",
            "no",
        ] {
            known.clock.advance(MINUTE);
            let reply = Reply::text(200, "application/json", keys);
            known.idp.reply("/jwks", reply);
            assert_invalid(known.verify(&unknown).await, keys);
            known.assert_good().await;
        }
    });
}
