//! An app's proof of possession: RFC 9449 §4.3, §7, §8, §10, §11.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::native::{App, NATIVE, Tokens, challenge, oauth_error, sha256};
use crate::support::process::{Place, eventually};
use crate::support::store::Store;
use crate::support::{NOON, Request, Response, TestBff};

const SECOND: Duration = Duration::from_secs(1);

/// Calls `/api/echo` with a token and a proof that was changed.
fn call(app: &mut App, token: &str, change: impl FnOnce(&mut Value, &mut Value)) -> Response {
    let (mut header, mut claims) = app.proof_parts("GET", "/api/echo", Some(token));
    change(&mut header, &mut claims);
    let proof = app.sign(&header, &claims);
    let request = Request::new("GET", "/api/echo")
        .header("authorization", &format!("DPoP {token}"))
        .header("dpop", &proof);
    app.send(request)
}

#[track_caller]
fn assert_refused(answer: &Response, error: &str, about: &str) {
    assert_eq!(answer.problem(), "invalid-token", "{about}");
    let (status, challenge) = challenge(answer);
    let expected = format!("DPoP error=\"{error}\"");
    assert_eq!(status, 401, "{about}");
    assert!(challenge.starts_with(&expected), "{about}: {challenge}");
}

#[test]
fn a_proof_is_for_this_request_and_token_alone() {
    // RFC 9449 §4.3
    let bff = TestBff::with_apps("");
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let token = &tokens.access;
    for (name, value) in [
        ("htm", json!("POST")),
        ("htm", json!("get")),
        ("htu", json!("https://shop.test/api/other")),
        ("htu", json!("http://shop.test/api/echo")),
        ("htu", json!("https://shop.test:8443/api/echo")),
        ("htu", json!("https://other.test/api/echo")),
        ("ath", json!(sha256("another token"))),
        ("ath", Value::Null),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("iat", Value::Null),
        ("iat", json!("now")),
    ] {
        let answer = call(&mut app, token, |_, claims| claims[name] = value.clone());
        assert_refused(&answer, "invalid_dpop_proof", &format!("{name} {value}"));
    }
    let mut private = app.jwk();
    private["d"] = json!("AAAA");
    for (name, value) in [
        ("typ", json!("jwt")),
        ("typ", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("crit", json!(["exp"])),
        ("jwk", private),
        ("jwk", Value::Null),
    ] {
        let answer = call(&mut app, token, |header, _| header[name] = value.clone());
        assert_refused(&answer, "invalid_dpop_proof", &format!("{name} {value}"));
    }
    for htu in [
        "https://shop.test/api/echo?x=1#y",
        "https://SHOP.test:443/api/echo",
    ] {
        let answer = call(&mut app, token, |_, claims| claims["htu"] = json!(htu));
        assert_eq!(answer.status, 200, "{htu}");
    }
}

#[test]
fn a_proof_comes_once_and_is_of_the_key_that_the_token_is_bound_to() {
    let bff = TestBff::with_apps("");
    let (mut app, mut thief) = (bff.app(), bff.app());
    let tokens = app.sign_in(&bff);
    let bare = Request::new("GET", "/api/echo")
        .header("authorization", &format!("DPoP {}", tokens.access));
    assert_refused(&app.send(bare.clone()), "invalid_dpop_proof", "none");
    let two = bare
        .clone()
        .header("dpop", &app.proof("GET", "/api/echo", Some(&tokens.access)))
        .header("dpop", &app.proof("GET", "/api/echo", Some(&tokens.access)));
    assert_refused(&app.send(two), "invalid_dpop_proof", "two");
    let bearer = Request::new("GET", "/api/echo")
        .header("authorization", &format!("Bearer {}", tokens.access));
    assert_refused(&app.send(bearer), "invalid_token", "as a bearer token");
    thief.nonce.clone_from(&app.nonce);
    let stolen = thief.call("GET", "/api/echo", &tokens.access);
    assert_refused(&stolen, "invalid_token", "another key");
    assert_eq!(
        oauth_error(&thief.refresh(&tokens.refresh)),
        (400, "invalid_grant".to_owned()),
        "the refresh token is bound too"
    );
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 0);
}

#[test]
fn a_nonce_is_ours_and_five_minutes_old_at_the_most() {
    // RFC 9449 §8, §9, §11.1
    let bff = TestBff::with(|setup| {
        setup.access_token_lifetime = Duration::from_hours(1);
        setup.tables = NATIVE.to_owned();
    });
    let mut app = bff.app();
    let first = app.post_with("junk", "grant_type=refresh_token");
    assert_eq!(oauth_error(&first), (400, "invalid_dpop_proof".to_owned()));
    app.nonce = None;
    let proof = app.proof("POST", "/bff/native/token", None);
    let body = "grant_type=refresh_token&refresh_token=x&client_id=shop";
    let answer = app.post_with(&proof, body);
    assert_eq!(oauth_error(&answer), (400, "use_dpop_nonce".to_owned()));
    assert!(answer.header("dpop-nonce").is_some());
    let tokens = app.sign_in(&bff);
    let token = &tokens.access;
    let own = app.nonce.clone().unwrap();
    for (about, nonce) in [
        ("none", None),
        ("empty", Some(String::new())),
        ("foreign", Some("foreign".to_owned())),
        ("cut", Some(own[1..].to_owned())),
    ] {
        let answer = call(&mut app, token, |_, claims| {
            claims.as_object_mut().unwrap().remove("nonce");
            if let Some(nonce) = nonce {
                claims["nonce"] = json!(nonce);
            }
        });
        assert_refused(&answer, "use_dpop_nonce", about);
        assert!(answer.header("dpop-nonce").is_some(), "{about}");
    }
    bff.clock.advance(SECOND * 300);
    let old = call(&mut app, token, |_, claims| {
        claims["nonce"] = json!(own);
        claims["iat"] = json!(NOON - 86_400);
    });
    assert_eq!(old.status, 200, "iat may be old if the nonce is fresh");
    assert!(
        old.header("dpop-nonce").is_some(),
        "every answer has the next one"
    );
    bff.clock.advance(SECOND);
    let late = call(&mut app, token, |_, claims| claims["nonce"] = json!(own));
    assert_refused(&late, "use_dpop_nonce", "after five minutes");
}

#[test]
fn a_code_may_be_bound_to_the_key_before() {
    // RFC 9449 §10
    let bff = TestBff::with_apps("");
    let (mut app, mut thief) = (bff.app(), bff.app());
    let code = App::code(&bff, &[("dpop_jkt", &app.thumbprint())]);
    assert_eq!(
        oauth_error(&thief.redeem(&code)),
        (400, "invalid_grant".to_owned())
    );
    Tokens::of(&app.redeem(&code));
}

#[test]
fn where_dpop_is_optional_a_bound_token_stays_bound() {
    let bff = TestBff::with(|setup| setup.tables = format!("{NATIVE}dpop = \"optional\"\n"));
    let mut app = bff.app();
    let bound = app.sign_in(&bff);
    let code = App::code(&bff, &[]);
    let body = crate::support::native::form(&[
        ("grant_type", "authorization_code"),
        ("client_id", "shop"),
        ("code", &code),
        ("redirect_uri", crate::support::native::REDIRECT_URI),
        (
            "code_verifier",
            "a-verifier-of-the-app-that-is-43-letters-long",
        ),
    ]);
    let answer = app.post("token", &body);
    assert_eq!(answer.json()["token_type"], "Bearer");
    let loose = Tokens::of(&answer);
    let bearer = |app: &mut App, token: &str| {
        let authorization = format!("Bearer {token}");
        app.send(Request::new("GET", "/api/echo").header("authorization", &authorization))
    };
    assert_eq!(bearer(&mut app, &loose.access).status, 200);
    let refused = bearer(&mut app, &bound.access);
    assert!(
        challenge(&refused)
            .1
            .starts_with("Bearer error=\"invalid_token\"")
    );
    let refused = app.call("GET", "/api/echo", &loose.access);
    assert_refused(&refused, "invalid_token", "a token without a key");
    let without = form_of_refresh(&bound.refresh);
    assert_eq!(
        oauth_error(&app.post("token", &without)),
        (400, "invalid_grant".to_owned())
    );
    let again = app.post("token", &form_of_refresh(&loose.refresh));
    assert_eq!(again.json()["token_type"], "Bearer");
}

fn form_of_refresh(token: &str) -> String {
    crate::support::native::form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

#[test]
fn a_stranger_writes_nothing_into_the_shared_store() {
    let Some(store) = Store::start() else {
        return;
    };
    let place = Place::new();
    let url = place.write("store.url", &store.url());
    let section = format!("[coordination]\nurl = {{ file = \"{}\" }}\n", url.display());
    let bff = TestBff::with_apps(&section);
    eventually("the store", || {
        let request = Request::new("GET", "/metrics").header("host", "localhost");
        let metrics = request.send(bff.admin).text();
        metrics.contains("sealgate_coordination_up 1").then_some(())
    });
    let proofs = || store.everything().matches("proof:").count();
    let (mut app, mut stranger) = (bff.app(), bff.app());
    let code = App::code(&bff, &[("dpop_jkt", &app.thumbprint())]);
    for _ in 0..3 {
        assert_eq!(oauth_error(&stranger.refresh("x")).1, "invalid_grant");
        assert_eq!(oauth_error(&stranger.redeem("x")).1, "invalid_grant");
        assert_eq!(oauth_error(&stranger.redeem(&code)).1, "invalid_grant");
    }
    assert_eq!(proofs(), 0);
    let tokens = Tokens::of(&app.redeem(&code));
    assert_eq!(proofs(), 1);
    for _ in 0..3 {
        let stolen = stranger.call("GET", "/api/echo", &tokens.access);
        assert_refused(&stolen, "invalid_token", "another key");
        let stolen = stranger.refresh(&tokens.refresh);
        assert_eq!(oauth_error(&stolen).1, "invalid_grant");
    }
    assert_eq!(proofs(), 1);
    // What counts is spent, at `token` too.
    let proof = app.proof("POST", "/bff/native/token", None);
    let body = form_of_refresh(&tokens.refresh);
    Tokens::of(&app.post_with(&proof, &body));
    assert_eq!(
        oauth_error(&app.post_with(&proof, &body)),
        (400, "invalid_dpop_proof".to_owned())
    );
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
}

#[test]
fn with_coordination_a_proof_counts_once_and_a_session_ends_everywhere() {
    // RFC 9449 §11.1
    let Some(store) = Store::start() else {
        return;
    };
    let place = Place::new();
    let url = place.write("store.url", &store.url());
    let section = format!("[coordination]\nurl = {{ file = \"{}\" }}\n", url.display());
    let bff = TestBff::with_apps(&section);
    let other = bff.replica();
    let is_up = |admin| {
        let request = Request::new("GET", "/metrics").header("host", "localhost");
        request
            .send(admin)
            .text()
            .contains("sealgate_coordination_up 1")
    };
    eventually("the store", || {
        (is_up(bff.admin) && is_up(other.admin)).then_some(())
    });
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let proof = app.proof("GET", "/api/echo", Some(&tokens.access));
    let request = Request::new("GET", "/api/echo")
        .header("authorization", &format!("DPoP {}", tokens.access))
        .header("dpop", &proof);
    assert_eq!(app.send(request.clone()).status, 200);
    assert_refused(&app.send(request.clone()), "invalid_dpop_proof", "again");
    app.use_replica(other.addr);
    assert_refused(
        &app.send(request),
        "invalid_dpop_proof",
        "at another replica",
    );
    assert_eq!(app.call("GET", "/api/echo", &tokens.access).status, 200);
    let newer = Tokens::of(&app.refresh(&tokens.refresh));
    app.use_replica(bff.addr);
    let again = Tokens::of(&app.refresh(&tokens.refresh));
    assert_eq!(
        bff.token_calls("refresh_token"),
        1,
        "one call for both replicas"
    );
    let body = crate::support::native::form(&[("token", &again.refresh)]);
    assert_eq!(app.post("revoke", &body).status, 200);
    app.use_replica(other.addr);
    eventually("the revocation", || {
        (app.call("GET", "/api/echo", &newer.access).status == 401).then_some(())
    });
    // The provider says that the person is signed out.
    let next = app.sign_in(&bff);
    let subject = app.call("GET", "/bff/session", &next.access).json();
    bff.clock.advance(SECOND * 2);
    let now = bff.clock.now().as_secs();
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let token = bff.idp.sign(json!({
        "aud": "shop", "sub": subject["claims"]["sub"], "jti": "j-1", "iat": now, "exp": now + 120, "events": {event: {}},
    }));
    let logout = Request::new("POST", "/bff/backchannel")
        .header("host", "shop.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={}", token.unwrap()));
    assert_eq!(logout.send(bff.addr).status, 200);
    eventually("the logout", || {
        (app.call("GET", "/api/echo", &next.access).status == 401).then_some(())
    });
    assert_eq!(
        oauth_error(&app.refresh(&next.refresh)),
        (400, "invalid_grant".to_owned())
    );
}
