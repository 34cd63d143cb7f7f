//! One client at a provider of many tenants, each of which is an issuer: `oidc.tenants`, as Entra ID has it.

use std::time::Duration;

use sealgate::demo::idp::{AuthorizationFault, DiscoveryFault, Fault, Faults, IdTokenFault};
use serde_json::{Value, json};

use crate::support::process::{Place, eventually};
use crate::support::store::Store;
use crate::support::{Browser, Initiator, Request, Setup, TestBff, logs};

const OURS: &str = "5b1f3f3c-0b4e-4a57-9f0e-2f4f3f5d9a11";
const OTHER: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn issuer(bff: &TestBff, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", bff.idp.issuer())
}

/// A provider whose metadata has the template as issuer, as Entra ID's has.
fn bff(tenants: &str) -> TestBff {
    bff_with(tenants, |_| {})
}

fn bff_with(tenants: &str, change: impl FnOnce(&mut Setup)) -> TestBff {
    let bff = TestBff::with(|setup| {
        setup.issuer_path = "/{tenantid}/v2.0";
        setup.oidc = format!("tenants = {tenants}");
        // Until its metadata is as it should be.
        setup.provider_is_down = true;
        change(setup);
    });
    as_entra(&bff, OURS);
    bff.clock.advance(Duration::from_secs(60));
    bff
}

/// From now on ID tokens are of this tenant.
fn as_entra(bff: &TestBff, tenant: &'static str) {
    let faults = bff.idp.faults();
    faults.clear();
    let template = json!(issuer(bff, "{tenantid}"));
    faults.inject(Faults::ALWAYS, DiscoveryFault::With("issuer", template));
    let advertised = "authorization_response_iss_parameter_supported";
    faults.inject(Faults::ALWAYS, DiscoveryFault::Without(advertised));
    faults.inject(Faults::ALWAYS, AuthorizationFault::NoIss);
    let claims = [("iss", json!(issuer(bff, tenant))), ("tid", json!(tenant))];
    for (name, value) in claims {
        faults.inject(Faults::ALWAYS, IdTokenFault::Claim(name, value));
    }
}

fn listed() -> String {
    format!("[\"{OURS}\"]")
}

/// The status of a login, and that there is a session only if it is a success.
fn sign_in(bff: &TestBff) -> u16 {
    let mut browser = bff.browser();
    let visit = browser.log_in("/bff/login?returnUrl=/welcome");
    let is_signed_in = browser.fetch("GET", "/bff/user").status == 200;
    assert_eq!(visit.url.path() == "/welcome", is_signed_in);
    visit.response.status
}

fn call(browser: &mut Browser) -> u16 {
    browser.fetch("GET", "/api/echo/x").status
}

#[test]
fn metadata_is_asked_for_at_organizations_and_the_session_is_of_the_tokens_issuer() {
    let bff = bff_with(&listed(), |setup| {
        setup.session = "claims = [\"iss\", \"tid\"]".to_owned();
    });
    let mut browser = bff.signed_in();
    assert_eq!(call(&mut browser), 200);
    let claims = browser.fetch("GET", "/bff/session").json()["claims"].clone();
    assert_eq!(claims["iss"], issuer(&bff, OURS));
    assert_eq!(claims["tid"], OURS);
    bff.clock.advance(Duration::from_secs(400));
    assert_eq!(call(&mut browser), 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
    // Below another path there is none.
    let plain = TestBff::with(|setup| setup.issuer_path = "/common/v2.0");
    let visit = plain
        .browser()
        .navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(visit.response.status, 503);
}

#[test]
fn metadata_of_another_tenant_may_be_asked_for() {
    let bff = bff_with("[\"*\"]", |setup| {
        setup.oidc += "\ndiscovery_url = \"{issuer}/.well-known/openid-configuration\"";
    });
    assert_eq!(call(&mut bff.signed_in()), 200);
}

#[test]
fn a_token_of_a_tenant_that_is_not_listed_begins_no_session() {
    let begun = logs::install();
    let bff = bff(&listed());
    as_entra(&bff, OTHER);
    assert_eq!(sign_in(&bff), 400);
    let said = logs::search(begun, |lines| {
        lines.contains("its tenant (tid) is not in oidc.tenants")
    });
    assert!(said);
    let open = self::bff("[\"*\"]");
    as_entra(&open, OTHER);
    assert_ne!(sign_in(&open), 400);
}

#[test]
fn the_issuer_is_the_template_with_the_tokens_own_tenant_in_it() {
    for tenants in [format!("[\"{OURS}\", \"{OTHER}\"]"), "[\"*\"]".to_owned()] {
        let bff = bff(&tenants);
        let iss = |tenant: &str| json!(issuer(&bff, tenant));
        for (name, value) in [
            ("iss", iss(OTHER)),
            ("tid", json!(OTHER)),
            ("iss", iss("{tenantid}")),
            ("iss", iss("organizations")),
            ("iss", iss("")),
            ("iss", json!(format!("{}/", issuer(&bff, OURS)))),
            ("iss", json!(issuer(&bff, OURS).to_uppercase())),
            ("iss", json!(bff.idp.issuer())),
            ("iss", Value::Null),
            ("tid", json!([OURS])),
            ("tid", Value::Null),
        ] {
            as_entra(&bff, OURS);
            let fault = IdTokenFault::Claim(name, value.clone());
            bff.idp.faults().inject(1, fault);
            assert_eq!(sign_in(&bff), 400, "{name} {value}");
        }
        as_entra(&bff, OURS);
        let fault = IdTokenFault::WithoutClaim("tid");
        bff.idp.faults().inject(1, fault);
        assert_eq!(sign_in(&bff), 400, "without tid");
        for tenant in ["{tenantid}", "../x", "a/b"] {
            as_entra(&bff, OURS);
            let faults = bff.idp.faults();
            faults.inject(1, IdTokenFault::Claim("iss", iss(tenant)));
            faults.inject(1, IdTokenFault::Claim("tid", json!(tenant)));
            assert_eq!(sign_in(&bff), 400, "{tenant}");
        }
        as_entra(&bff, OURS);
        assert_ne!(sign_in(&bff), 400);
    }
}

#[test]
fn the_answer_of_a_login_names_a_tenant_that_may_sign_in_or_none() {
    // RFC 9207
    let bff = bff(&listed());
    for (tenant, is_fine) in [(OURS, true), (OTHER, false), ("organizations", false)] {
        as_entra(&bff, OURS);
        let iss = AuthorizationFault::With("iss", issuer(&bff, tenant));
        bff.idp.faults().inject(1, iss);
        assert_eq!(sign_in(&bff) != 400, is_fine, "{tenant}");
    }
}

#[test]
fn a_session_stays_with_its_issuer() {
    let bff = bff("[\"*\"]");
    let mut browser = bff.signed_in();
    assert_eq!(call(&mut browser), 200);
    as_entra(&bff, OTHER);
    bff.clock.advance(Duration::from_secs(400));
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(answer.problem(), "login-required");
}

#[test]
fn a_key_that_names_its_issuer_signs_for_no_other() {
    let bff = bff("[\"*\"]");
    for (named, is_fine) in [
        ("{tenantid}", true),
        (OURS, true),
        (OTHER, false),
        ("organizations", false),
    ] {
        as_entra(&bff, OURS);
        let faults = bff.idp.faults();
        let of_key = json!(issuer(&bff, named));
        faults.inject(Faults::ALWAYS, Fault::KeyMember("issuer", of_key));
        // What was fetched for the last one is too old by then.
        bff.clock.advance(Duration::from_secs(3_601));
        assert_eq!(sign_in(&bff) != 400, is_fine, "{named}");
    }
}

#[test]
fn a_logout_token_ends_the_sessions_of_its_own_tenant() {
    let Some(store) = Store::start() else {
        return;
    };
    let place = Place::new();
    let url = place.write("store.url", &store.url());
    let bff = bff_with("[\"*\"]", |setup| {
        setup.tables = format!(
            "[coordination]\nurl = {{ file = \"{}\" }}\nprefix = \"tenants\"\n",
            url.display()
        );
    });
    eventually("the store", || {
        (bff.metric("sealgate_coordination_up") == 1).then_some(())
    });
    let mut ours = bff.signed_in();
    as_entra(&bff, OTHER);
    let mut other = bff.signed_in();
    assert_eq!((call(&mut ours), call(&mut other)), (200, 200));
    let log_out = |iss: &str, jti: &str| {
        let now = bff.clock.now().as_secs();
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let token = bff.idp.sign(json!({
            "iss": iss, "aud": "shop", "sub": "8f2c1d7e-alice", "jti": jti, "iat": now, "exp": now + 120,
            "events": {event: {}},
        }));
        Request::new("POST", "/bff/backchannel")
            .header("host", "shop.test")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={}", token.unwrap()))
            .send(bff.addr)
            .status
    };
    for iss in [bff.idp.issuer().to_owned(), issuer(&bff, "{tenantid}")] {
        assert_eq!(log_out(&iss, "j-1"), 400, "{iss}");
    }
    assert_eq!((call(&mut ours), call(&mut other)), (200, 200));
    assert_eq!(log_out(&issuer(&bff, OTHER), "j-2"), 200);
    assert_eq!((call(&mut ours), call(&mut other)), (200, 401));
}

#[test]
fn a_tenant_that_was_taken_out_of_the_list_keeps_no_session_beyond_its_token() {
    let bff = bff(&listed());
    let mut browser = bff.signed_in();
    bff.reconfigure(OURS, OTHER);
    let changed = bff.replica();
    browser.resolve("shop.test", changed.addr);
    assert_eq!(call(&mut browser), 200, "its token is still good");
    bff.clock.advance(Duration::from_secs(400));
    let answer = browser.fetch("GET", "/api/echo/x");
    assert_eq!(answer.problem(), "login-required");
    assert_eq!(bff.token_calls("refresh_token"), 0);
    assert_eq!(browser.fetch("GET", "/bff/session").json()["active"], false);
}
