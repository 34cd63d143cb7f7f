//! `require_scopes`, `require_claims`, `rate_limit`, and paths with claims.

use super::*;

#[test]
fn a_requirement_that_no_request_meets_is_a_mistake() {
    one_mistake_each(&[
        ("frontend.shop.route.orders.path = \"/u/{sub}/x\"", "", ""),
        (
            "frontend.shop.route.orders.path = \"/u/{sub}x\"",
            "frontend.shop.route.orders.path",
            "whole segment",
        ),
        (
            "frontend.shop.route = { a = { path = \"/u/{sub}\", upstream = \"orders\" }, b = { path = \"/u/{sid}/\", upstream = \"orders\" } }",
            "frontend.shop.route.b.path",
            "same path",
        ),
        (
            "frontend.shop.route.orders.path = \"/bff/{sub}\"",
            "frontend.shop.route.orders.path",
            "base_path",
        ),
        (
            "frontend.shop.base_path = \"/{sub}\"",
            "frontend.shop.base_path",
            "plain letters",
        ),
        (
            "frontend.shop.route.orders = { token = \"none\", require_scopes = [\"a\"] }",
            "frontend.shop.route.orders.require_scopes",
            "no token",
        ),
        (
            "frontend.shop.route.orders = { token = \"client\", require_scopes = [\"a\"] }",
            "",
            "",
        ),
        (
            "frontend.shop.route.orders = { token = \"client\", rate_limit = { per_second = 1 } }",
            "frontend.shop.route.orders.rate_limit.by",
            "does not open the session",
        ),
        (
            "frontend.shop.route.orders.rate_limit = { per_second = 0.2, burst = 1, by = \"address\" }",
            "",
            "",
        ),
        (
            "frontend.shop.route.orders.rate_limit = { burst = 1 }",
            "frontend.shop.route.orders.rate_limit.per_second",
            "required",
        ),
        (
            "frontend.shop.route.orders.rate_limit = { per_second = 1, burst = 0 }",
            "frontend.shop.route.orders.rate_limit.burst",
            "from 1",
        ),
        (
            "frontend.shop.login_rate_limit = { per_second = 1, by = \"session\" }",
            "frontend.shop.login_rate_limit.by",
            "no such key",
        ),
        (
            "frontend.shop.route.orders.require_claims.role = \"admin\"",
            "frontend.shop.route.orders.require_claims.role",
            "a list",
        ),
    ]);
}

#[test]
fn numbers_may_come_from_the_environment_and_are_printed() {
    let variables = [
        (
            "SEALGATE__FRONTEND__SHOP__ROUTE__ORDERS__RATE_LIMIT__PER_SECOND",
            "0.5",
        ),
        (
            "SEALGATE__FRONTEND__SHOP__ROUTE__ORDERS__RATE_LIMIT__BURST",
            "7",
        ),
        (
            "SEALGATE__FRONTEND__SHOP__ROUTE__ORDERS__REQUIRE_CLAIMS__ROLE",
            "[\"admin\"]",
        ),
    ];
    let (written, _dir) = layered(&[SHOP], &variables);
    let written = written.unwrap();
    let config = resolve(&written).unwrap_or_else(|errors| panic!("{errors}"));
    let route = first(&config).routes.iter().next().unwrap();
    assert!(route.rate_limit.is_some());
    assert_eq!(route.policy.claims[0].any_of, ["admin"]);
    let printed: toml::Table = toml::from_str(&written.print().unwrap()).unwrap();
    let orders = &printed["frontend"]["shop"]["route"]["orders"];
    assert_eq!(orders["rate_limit"]["per_second"].as_str(), Some("0.5"));
    assert_eq!(orders["require_claims"]["role"][0].as_str(), Some("admin"));
}

#[test]
fn a_template_as_issuer_and_its_tenants_belong_together() {
    let at = "frontend.shop.oidc";
    let oidc = |issuer: &str, tenants: &str| {
        format!("{at} = {{ issuer = \"https://login.example/{issuer}\", tenants = {tenants} }}")
    };
    let issuer = format!("{at}.issuer");
    let tenants = format!("{at}.tenants");
    for (text, path, word) in [
        (oidc("{tenantid}/v2.0", "[\"*\"]"), "", ""),
        (oidc("{tenantid}/v2.0", "[\"5b1f\", \"9188\"]"), "", ""),
        (oidc("{tenantid}/v2.0", "[]"), &*tenants, "whose users"),
        (
            oidc("{tenantid}/v2.0", "[\"*\", \"5b1f\"]"),
            &tenants,
            "alone",
        ),
        (oidc("{tenantid}/v2.0", "[\"\"]"), &tenants, "not an id"),
        (oidc("{tenantid}/v2.0", "[\"a/b\"]"), &tenants, "not an id"),
        (oidc("{tenantid}/{tenantid}", "[\"*\"]"), &issuer, "once"),
        (oidc("5b1f/v2.0", "[\"*\"]"), &tenants, "one tenant"),
    ] {
        one_mistake_each(&[(&text, path, word)]);
    }
    let host = format!("{at} = {{ issuer = \"https://{{tenantid}}.example\", tenants = [\"*\"] }}");
    one_mistake_each(&[(&host, &issuer, "host")]);
}

#[test]
fn a_provider_is_described_in_ways_that_can_work() {
    one_mistake_each(&[
        (
            "frontend.shop.oidc = { allow_http = true, issuer = \"http://keycloak:8080/realms/a\" }",
            "",
            "",
        ),
        (
            "frontend.shop.oidc.issuer = \"http://keycloak:8080/realms/a\"",
            "frontend.shop.oidc.issuer",
            "allow_http",
        ),
        (
            "frontend.shop.oidc.discovery_url = \"http://keycloak:8080/x\"",
            "frontend.shop.oidc.discovery_url",
            "allow_http",
        ),
        (
            "frontend.shop.oidc.endpoints = { token = \"ftp://x\" }",
            "frontend.shop.oidc.endpoints.token",
            "http or https",
        ),
        (
            "frontend.shop.oidc.endpoints = { tokens = \"https://x\" }",
            "frontend.shop.oidc.endpoints.tokens",
            "did you mean",
        ),
        (
            "frontend.shop.oidc.login_params = [\"state\"]",
            "frontend.shop.oidc.login_params",
            "itself",
        ),
        (
            "frontend.shop.oidc.login_params = [\"prompt\"]",
            "frontend.shop.oidc.login_params",
            "already",
        ),
        (
            "frontend.shop.oidc.logout.params = { x = \"{sub}\" }",
            "frontend.shop.oidc.logout.params.x",
            "placeholder",
        ),
        (
            "frontend.shop.oidc.logout.id_token_hint = \"sometimes\"",
            "frontend.shop.oidc.logout.id_token_hint",
            "not supported",
        ),
        (
            "frontend.shop.oidc.trusted_audiences = [\"*\"]",
            "frontend.shop.oidc.trusted_audiences",
            "star",
        ),
    ]);
}

#[test]
fn a_claim_has_a_source_that_is_read() {
    one_mistake_each(&[
        (
            "frontend.shop.claim.roles = { from = \"access_token\", path = \"/a/b\" }",
            "",
            "",
        ),
        (
            "frontend.shop.claim.roles.from = \"jwt\"",
            "frontend.shop.claim.roles.from",
            "not supported",
        ),
        (
            "frontend.shop.claim.roles.path = \"roles\"",
            "frontend.shop.claim.roles.path",
            "JSON pointer",
        ),
        (
            "frontend.shop.claim.sub.from = \"userinfo\"",
            "frontend.shop.claim.sub",
            "every session",
        ),
        (
            "frontend.shop = { oidc = { userinfo = \"never\" }, claim = { roles = { from = \"userinfo\" } } }",
            "frontend.shop.claim.roles.from",
            "nobody asks",
        ),
    ]);
}
