//! Coordination and back-channel logout as far as they go without a store. With one: `tests/node/coordination.test.mjs`.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealgate::demo::idp::{
    DiscoveryFault, EndpointFault, Faults, IdTokenFault, Idp, KeyAlgorithm, Secret,
};
use serde_json::{Value, json};

use crate::support::process::{Place, eventually};
use crate::support::{Browser, Request, Response, Site, TestBff, logs};

/// Nobody listens on the port for TCP port multiplexing.
const NOBODY: &str = "redis://:canary-password@127.0.0.1:1/";

fn backchannel(addr: std::net::SocketAddr, body: &str) -> Response {
    Request::new("POST", "/bff/backchannel")
        .header("host", "shop.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send(addr)
}

fn site(on_failure: &str) -> Site {
    site_with("", on_failure)
}

fn site_with(server: &str, on_failure: &str) -> Site {
    let section = "[coordination]\nurl = { file = \"store.url\" }\n";
    let section = format!("{section}on_failure = \"{on_failure}\"");
    let site = Site::with(crate::support::ORIGIN, server, &section);
    site.place.write("store.url", NOBODY);
    site
}

#[test]
fn without_coordination_there_is_no_such_endpoint() {
    // B63
    let bff = TestBff::spawn();
    let mut browser = bff.signed_in();
    let answer = backchannel(bff.addr, "logout_token=x");
    assert_eq!((answer.status, &*answer.problem()), (404, "not-found"));
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}

#[test]
fn a_store_that_was_never_there_stops_nobody_when_on_failure_is_open() {
    // G14
    let site = site("open");
    let server = site.serve();
    let mut browser = site.signed_in(&server);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits");
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert_eq!(browser.fetch("GET", "/api/x").problem(), "login-required");
    assert_eq!(server.metric("sealgate_coordination_up"), 0);
    let said = "the store for coordination is not reached";
    let log = eventually("the log", || {
        let log = server.process.stderr.text();
        log.contains(said).then_some(log)
    });
    assert_eq!(log.matches(said).count(), 1, "once, not for each request");
    assert!(!log.contains("canary-password"));
}

#[test]
fn a_store_that_was_never_there_stops_sessions_when_on_failure_is_closed() {
    // G14
    let site = site("closed");
    let server = site.serve();
    let mut browser = site.browser(&server);
    assert_eq!(browser.fetch("GET", "/api/x").problem(), "login-required");
    browser.log_in("/bff/login");
    for path in ["/api/x", "/bff/user", "/bff/session"] {
        let answer = browser.fetch("GET", path);
        assert_eq!(answer.problem(), "identity-provider-unavailable", "{path}");
        let said = answer.json();
        let says = |member: &str, words: &str| said[member].as_str().unwrap().contains(words);
        assert!(says("title", "session cannot be checked"), "{said}");
        assert!(says("detail", "store for coordination"), "{said}");
        assert!(answer.header("retry-after").is_some());
        let id = answer.header("x-request-id").unwrap();
        let line = eventually("its line", || {
            let log = server.process.stderr.text();
            let mut lines = log.lines().filter(|line| line.contains(id));
            lines
                .find(|line| line.contains(" WARN "))
                .map(str::to_owned)
        });
        assert!(line.contains("store for coordination"), "{line}");
        assert!(answer.headers("set-cookie").is_empty(), "cookies are kept");
    }
    assert!(browser.cookie("__Host-Http-shop").is_some());
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
}

#[test]
fn a_provider_is_never_told_of_a_success_that_was_none() {
    // B63, B65
    let site = site("open");
    let server = site.serve();
    let too_long = format!("logout_token={}", "x".repeat(1024 * 1024));
    for body in [
        "",
        "logout_token=",
        "logout_token=a.b.c",
        "logout_token=x&logout_token=x",
        &too_long,
    ] {
        let answer = backchannel(server.addr, body);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["error"].is_string());
    }
    let refused = "sealgate_coordination_backchannel_total{result=\"refused\"}";
    assert_eq!(server.metric(refused), 5);
    let got = Request::new("GET", "/bff/backchannel").header("host", "shop.test");
    assert_eq!(got.send(server.addr).status, 405);
}

/// A token that this provider signed for this client, as a logout token is: an ID token in which all is so.
fn logout_token(idp: &Idp, mut browser: Browser) -> String {
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let faults = idp.faults();
    faults.inject(1, IdTokenFault::WithoutClaim("nonce"));
    faults.inject(1, IdTokenFault::Claim("jti", json!("of-the-token")));
    faults.inject(1, IdTokenFault::Claim("events", json!({ event: {} })));
    browser.log_in("/bff/login");
    let tokens = idp.minted_of(Secret::IdToken);
    tokens.last().expect("one was minted").clone()
}

/// Well-formed, and signed by nobody.
fn unknown_key() -> String {
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let head = part(json!({"alg": "ES256", "kid": "of-nobody"}));
    format!("logout_token={head}.{}.{}", part(json!({})), "A".repeat(86))
}

#[test]
fn junk_of_one_address_is_limited_and_a_good_token_never_is() {
    // B65, F17
    let site = site_with("trusted_proxies = [\"127.0.0.0/8\"]", "open");
    let server = site.serve();
    let good = logout_token(&site.idp, site.browser(&server));
    let from = |address: &str, token: &str| {
        Request::new("POST", "/bff/backchannel")
            .header("host", "shop.test")
            .header("x-forwarded-for", address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"))
            .send(server.addr)
    };
    let is_taken = |address: &str| {
        let answer = from(address, &good);
        // There is no store here, and that it would be asked says that the token is good.
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    };
    // A provider that logs everybody out.
    for _ in 0..150 {
        is_taken("192.0.2.1");
    }
    for _ in 0..100 {
        assert_eq!(from("192.0.2.1", "a.b.c").status, 400);
    }
    // One a second comes back while this goes on.
    let limited = (0..100)
        .map(|_| from("192.0.2.1", "a.b.c"))
        .find(|answer| answer.status != 400)
        .expect("a limit");
    assert_eq!(limited.status, 429);
    assert_eq!(limited.problem(), "rate-limited");
    assert!(limited.header("retry-after").is_some());
    assert_eq!(limited.header("cache-control"), Some("no-store"));
    is_taken("192.0.2.1");
    assert_eq!(from("192.0.2.2", "a.b.c").status, 400, "another address");
}

/// With a store that is never there: a token that is good gets as far as that.
struct Listening {
    bff: TestBff,
    begun: logs::Mark,
    _place: Place,
}

impl Listening {
    fn with(oidc: &str) -> Self {
        let begun = logs::install();
        let place = Place::new();
        let url = place.write("store.url", NOBODY);
        let store = format!("[coordination]\nurl = {{ file = \"{}\" }}\n", url.display());
        let bff = TestBff::with(|setup| {
            setup.tables = store;
            setup.oidc = oidc.to_owned();
            setup.server = "trusted_proxies = [\"127.0.0.0/8\"]".to_owned();
        });
        Self {
            bff,
            begun,
            _place: place,
        }
    }

    /// The claims of a logout token, but for `iss`.
    fn claims(&self) -> Value {
        let now = self.bff.clock.now().as_secs();
        let event = "http://schemas.openid.net/event/backchannel-logout";
        json!({
            "aud": "shop", "sub": "alice", "jti": "j-1", "iat": now, "exp": now + 120, "events": {event: {}},
        })
    }

    fn token(&self) -> String {
        self.bff.idp.sign(self.claims()).unwrap()
    }

    /// A token that only a signature tells from a good one.
    fn forged(&self, kid: &str) -> String {
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let mut claims = self.claims();
        claims["iss"] = json!(self.bff.idp.issuer());
        let head = part(json!({"alg": "ES256", "kid": kid}));
        format!("{head}.{}.{}", part(claims), "A".repeat(86))
    }

    /// What is said of a token from an address.
    fn said(&self, address: &str, token: &str) -> String {
        let answer = Request::new("POST", "/bff/backchannel")
            .header("host", "shop.test")
            .header("x-forwarded-for", address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={token}"))
            .send(self.bff.addr);
        assert_eq!(answer.status, 400);
        answer.json()["error_description"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Whether a token is as good as it can be without a store.
    fn is_good(&self, address: &str, token: &str) -> bool {
        self.said(address, token).contains("the store")
    }

    /// The lines of the audit that hold this text.
    fn audit(&self, text: &str) -> Vec<String> {
        logs::search(self.begun, |lines| {
            lines
                .lines()
                .filter(|line| line.contains("sealgate::audit back-channel logout"))
                .filter(|line| line.contains(text))
                .map(str::to_owned)
                .collect()
        })
    }
}

#[test]
fn junk_keeps_nobody_from_being_heard_who_comes_with_a_new_key() {
    // B28, B65, row R
    let listening = Listening::with("");
    let bff = &listening.bff;
    drop(bff.signed_in());
    let asked = || bff.idp.observed().jwks;
    let before = asked();
    let (attacker, provider) = ("192.0.2.1", "192.0.2.2");
    // What breaks a rule makes nobody ask for keys, whatever key it names.
    for n in 0..20 {
        let mut claims = listening.claims();
        claims["aud"] = json!(["shop", n]);
        let token = bff.idp.sign(claims).unwrap();
        let (_, rest) = token.split_once('.').unwrap();
        let head =
            URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "kid": n.to_string()}).to_string());
        let said = listening.said(attacker, &format!("{head}.{rest}"));
        assert_eq!(said, "the logout token breaks a rule");
    }
    assert_eq!(asked(), before);
    // A name that is not there is looked for once, two names in a window by one address.
    for n in 0..20 {
        listening.said(attacker, &listening.forged(["a", "b", "c"][n % 3]));
    }
    assert_eq!(asked(), before + 2);
    bff.idp.rotate_keys().unwrap();
    let good = listening.token();
    let said = listening.said(attacker, &good);
    assert!(said.contains("no keys"), "it is not called junk: {said}");
    assert!(listening.is_good(provider, &good));
    assert_eq!(asked(), before + 3);
    // V9: and a login finds the next key at once.
    bff.idp.rotate_keys().unwrap();
    drop(bff.signed_in());
    bff.idp.rotate_keys().unwrap();
    drop(bff.signed_in());
    bff.idp.rotate_keys().unwrap();
    let good = listening.token();
    assert!(listening.is_good(provider, &good));
    bff.clock.advance(Duration::from_secs(31));
    bff.idp.rotate_keys().unwrap();
    assert!(listening.is_good(attacker, &listening.token()));
}

#[test]
fn a_logout_token_is_signed_as_id_tokens_are() {
    // V3, oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg
    let address = "192.0.2.1";
    let listening = Listening::with("");
    let bff = &listening.bff;
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    let es384 = listening.token();
    // Before any ID token came nobody knows better.
    assert!(listening.is_good(address, &es384));
    bff.idp.add_key(KeyAlgorithm::Es256).unwrap();
    drop(bff.signed_in());
    assert!(listening.is_good(address, &listening.token()));
    let said = listening.said(address, &es384);
    assert_eq!(said, "the logout token breaks a rule");
    let named = listening.audit("not that of this provider's ID tokens");
    assert!(!named.is_empty());
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    drop(bff.signed_in());
    assert!(listening.is_good(address, &es384), "the last ID token is");
}

#[test]
fn a_logout_token_may_have_an_algorithm_that_the_provider_lists_since_lately() {
    let (attacker, address) = ("192.0.2.1", "192.0.2.2");
    let listening = Listening::with("");
    let bff = &listening.bff;
    let listed = DiscoveryFault::With("id_token_signing_alg_values_supported", json!(["ES256"]));
    bff.idp.faults().inject(Faults::ALWAYS, listed);
    // What the process learned at its start is too old by then.
    bff.clock.advance(Duration::from_secs(3_601));
    drop(bff.signed_in());
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    let asked = || bff.idp.observed().discovery;
    let before = asked();
    // While it is not listed, few of these cause a look, and none is believed.
    let token = listening.token();
    assert_eq!(
        listening.said(attacker, &token),
        "the logout token breaks a rule"
    );
    for _ in 0..5 {
        assert!(!listening.is_good(attacker, &token));
    }
    assert_eq!(asked(), before + 2);
    // ES256, with which the last ID token was signed, is not listed any more.
    bff.idp.faults().clear();
    let listed = DiscoveryFault::With("id_token_signing_alg_values_supported", json!(["ES384"]));
    bff.idp.faults().inject(Faults::ALWAYS, listed);
    assert!(listening.is_good(address, &token));
    assert_eq!(asked(), before + 3);
}

#[test]
fn the_configuration_may_name_the_one_algorithm() {
    // V3
    let address = "192.0.2.1";
    let listening = Listening::with("id_token_signed_response_alg = \"ES384\"");
    let bff = &listening.bff;
    assert!(!listening.is_good(address, &listening.token()), "ES256");
    let visit = bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(visit.response.status, 400);
    bff.idp.add_key(KeyAlgorithm::Es384).unwrap();
    drop(bff.signed_in());
    assert!(listening.is_good(address, &listening.token()));
}

#[test]
fn a_logout_token_without_an_end_is_good_for_two_minutes_if_the_configuration_says_so() {
    // V7: as Ory Hydra sends it
    let address = "192.0.2.1";
    for (oidc, is_taken) in [("", false), ("logout_token_without_exp = \"by-iat\"", true)] {
        let listening = Listening::with(oidc);
        let mut claims = listening.claims();
        claims.as_object_mut().unwrap().remove("exp");
        let token = listening.bff.idp.sign(claims).unwrap();
        assert_eq!(listening.is_good(address, &token), is_taken, "{oidc}");
        listening.bff.clock.advance(Duration::from_secs(150));
        assert!(!listening.is_good(address, &token), "{oidc}");
        let reason = if is_taken {
            "it has expired"
        } else {
            "exp is missing"
        };
        assert!(!listening.audit(reason).is_empty(), "{reason}");
    }
}

#[test]
fn a_flood_is_not_logged_beyond_the_limit_while_there_are_no_keys_to_tell_it_by() {
    // F17
    let site = site("open");
    let down = DiscoveryFault::Endpoint(EndpointFault::Down);
    site.idp.faults().inject(Faults::ALWAYS, down);
    let server = site.serve();
    let junk = unknown_key();
    for _ in 0..400 {
        let answer = backchannel(server.addr, &junk);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    }
    let log = server.process.stderr.text();
    let lines = log.lines().filter(|line| line.contains("logout")).count();
    // A hundred are let through to the log, which counts what repeats itself.
    assert!((1..20).contains(&lines), "{lines} lines");
}

#[test]
fn a_check_reaches_for_the_store() {
    let site = site("open");
    let check =
        |args: &[&str]| crate::support::process::Process::spawn(site.sealgate(args)).outcome();
    assert_eq!(check(&["--check"]).code, Some(0));
    let online = check(&["--check", "--online"]);
    assert_ne!(online.code, Some(0), "{online:?}");
    let said = format!("{}{}", online.stdout, online.stderr);
    assert!(said.contains("coordination.url"), "{said}");
    assert!(!said.contains("canary-password"), "{said}");
}
