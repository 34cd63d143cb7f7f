//! What an app may call with its token: composed routes, WebSocket, streams, exchanged tokens; and what it hears from APIs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::json_api::{Canned, JsonApi};
use crate::support::native::{App, NATIVE, REDIRECT_URI, VERIFIER, challenge, form};
use crate::support::upstream::RawUpstream;
use crate::support::{Request, TestBff};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn policies_rates_and_parts_are_those_of_browsers() {
    let api = JsonApi::start();
    api.at("/me", Canned::ok(r#"{"id":7}"#));
    let tables = format!(
        r#"
{}
[frontend.shop.route.home]
path = "/api/home"
token = "user"
part.me = {{ upstream = "json", path = "/me" }}
[frontend.shop.route.scoped]
path = "/api/scoped"
upstream = "api"
require_scopes = ["nobody.has.this"]
[frontend.shop.route.own]
path = "/api/of/{{sub}}"
upstream = "api"
[frontend.shop.route.rated]
path = "/api/rated"
upstream = "api"
rate_limit = {{ per_second = 0.001, burst = 1 }}
[frontend.shop.route.exchanged]
path = "/api/exchanged"
upstream = "api"
exchange = {{ audience = "https://orders.internal" }}
"#,
        api.table("json", "")
    );
    let bff = TestBff::with_apps(&tables);
    let (mut app, mut other) = (bff.app(), bff.app());
    let (tokens, others) = (app.sign_in(&bff), other.sign_in(&bff));
    let home = app.call("GET", "/api/home", &tokens.access);
    assert_eq!(home.json()["me"]["id"], 7, "{}", home.text());
    let scoped = app.call("GET", "/api/scoped", &tokens.access);
    assert_eq!(scoped.problem(), "insufficient-scope");
    assert!(
        challenge(&scoped)
            .1
            .starts_with("DPoP error=\"insufficient_scope\"")
    );
    assert_eq!(
        app.call("GET", "/api/of/bob", &tokens.access).problem(),
        "forbidden"
    );
    assert_eq!(
        app.call("GET", "/api/of/8f2c1d7e-alice", &tokens.access)
            .status,
        200
    );
    assert_eq!(app.call("GET", "/api/rated", &tokens.access).status, 200);
    assert_eq!(
        app.call("GET", "/api/rated", &tokens.access).problem(),
        "rate-limited"
    );
    assert_eq!(
        other.call("GET", "/api/rated", &others.access).status,
        200,
        "another session has a rate of its own"
    );
    let exchanged = app.call("GET", "/api/exchanged", &tokens.access).json();
    assert_eq!(
        exchanged["authorization"]["token_claims"]["aud"],
        "https://orders.internal"
    );
    // What is open to anybody stays open, and gets no token.
    let open = app.call("GET", "/api/public", &tokens.access).json();
    assert!(open["authorization"].is_null(), "{open}");
    let anonymous = Request::new("GET", "/api/echo").header("x-csrf", "1");
    let anonymous = app.send(anonymous);
    assert_eq!(anonymous.problem(), "login-required");
    assert_eq!(
        challenge(&anonymous),
        (401, "DPoP algs=\"ES256\"".to_owned())
    );
}

#[test]
fn an_app_hears_what_an_api_does_not_take() {
    // RFC 6750 §3.1, RFC 9470 §3
    let said = Arc::new(Mutex::new(""));
    let shared = Arc::clone(&said);
    let upstream = RawUpstream::start(move |mut talk| {
        while talk.head().is_some() {
            let challenge = *shared.lock().unwrap();
            talk.say(&format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let tables = upstream.route("");
    let bff = TestBff::with(|setup| setup.tables = format!("{NATIVE}{tables}"));
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    *said.lock().unwrap() = "Bearer error=\"invalid_token\"";
    let refused = app.call("GET", "/raw", &tokens.access);
    let expected = "DPoP error=\"invalid_token\"".to_owned();
    assert_eq!(challenge(&refused), (401, expected));
    assert_eq!(
        bff.token_calls("refresh_token"),
        0,
        "the app refreshes, not the route"
    );
    *said.lock().unwrap() =
        "Bearer error=\"insufficient_user_authentication\", acr_values=\"gold\", max_age=5";
    bff.clock.advance(SECOND * 60);
    let refused = app.call("GET", "/raw", &tokens.access);
    assert_eq!(refused.problem(), "step-up-required");
    let expected = "DPoP error=\"insufficient_user_authentication\", acr_values=\"gold\", max_age=\"5\", algs=\"ES256\"";
    assert_eq!(challenge(&refused), (401, expected.to_owned()));
}

#[test]
fn a_web_socket_opens_with_a_proof_and_ends_with_the_session() {
    let tables = r#"
[frontend.shop.route.ws]
path = "/ws"
upstream = "root"
token = "user"
strip_prefix = false
websocket = true
"#;
    let bff = TestBff::with_apps(tables);
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    let open = |app: &mut App, proof: bool| {
        let proof = if proof {
            format!(
                "dpop: {}\r\n",
                app.proof("GET", "/ws", Some(&tokens.access))
            )
        } else {
            String::new()
        };
        let mut stream = TcpStream::connect(bff.addr).unwrap();
        stream.set_read_timeout(Some(SECOND * 10)).unwrap();
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nhost: shop.test\r\nauthorization: DPoP {}\r\n{proof}connection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            tokens.access
        );
        stream.write_all(handshake.as_bytes()).unwrap();
        let mut heard = Vec::new();
        let mut byte = [0];
        while !heard.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
        (String::from_utf8(heard).unwrap(), stream)
    };
    let (refused, _) = open(&mut app, false);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let (opened, mut stream) = open(&mut app, true);
    assert!(opened.starts_with("HTTP/1.1 101"), "{opened}");
    // It outlives the access token, since the app can refresh its session.
    bff.clock.advance(SECOND * 301);
    stream.write_all(b"\x81\x82\x00\x00\x00\x00hi").unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"\x81\x02hi");
    let body = form(&[("token", &tokens.refresh)]);
    assert_eq!(app.post("revoke", &body).status, 200);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(
        rest.get(2..4),
        Some(&1008_u16.to_be_bytes()[..]),
        "{rest:?}"
    );
}

#[test]
fn a_route_that_asks_for_a_fresh_proof_takes_an_apps_with_a_nonce_of_the_last_minute() {
    let route = "[frontend.shop.route.pay]\npath = \"/api/pay\"\nupstream = \"api\"\nrequire_fresh_device = true\n";
    let bff = TestBff::with(|setup| {
        setup.tables = format!("{NATIVE}dpop = \"optional\"\n{route}");
        setup.session = "device_binding = \"preferred\"".to_owned();
    });
    let mut app = bff.app();
    let tokens = app.sign_in(&bff);
    assert_eq!(app.call("GET", "/api/pay", &tokens.access).status, 200);
    let nonce = app.nonce.clone();
    bff.clock.advance(SECOND * 60);
    assert_eq!(app.call("POST", "/api/pay", &tokens.access).status, 200);
    bff.clock.advance(SECOND);
    app.nonce = nonce;
    let late = app.call("GET", "/api/pay", &tokens.access);
    let (status, asks) = challenge(&late);
    assert_eq!(status, 401);
    assert!(asks.starts_with("DPoP error=\"use_dpop_nonce\""), "{asks}");
    assert_eq!(app.call("GET", "/api/pay", &tokens.access).status, 200);
    // A token that is bound to no key proves nothing.
    let code = App::code(&bff, &[]);
    let bearer = app.post(
        "token",
        &form(&[
            ("client_id", "shop"),
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ]),
    );
    let bearer = bearer.json()["access_token"].as_str().unwrap().to_owned();
    let call = |path: &str| {
        let request = Request::new("GET", path);
        request.header("authorization", &format!("Bearer {bearer}"))
    };
    assert_eq!(app.send(call("/api/echo")).status, 200);
    let refused = app.send(call("/api/pay"));
    assert_eq!(refused.problem(), "invalid-token");
}
