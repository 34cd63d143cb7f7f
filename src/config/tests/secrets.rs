//! Secrets, and settings to warn about.

use super::*;

#[test]
fn a_secret_is_shown_nowhere() {
    // F19: referenced, inline by mistake, in a variable by mistake, in a URL.
    let inline = format!("frontend.shop.oidc.client_secret = \"{CANARY}\"");
    let in_url = format!("upstream.orders.url = \"https://u:{CANARY}@x\"");
    let misplaced = format!("frontend.shop.oidc.scopes = \"{CANARY}\"");
    let variable = "SEALGATE__FRONTEND__SHOP__OIDC__CLIENT_SECRET";
    for (change, variables) in [
        ("", &[][..]),
        (inline.as_str(), &[]),
        (in_url.as_str(), &[]),
        (misplaced.as_str(), &[]),
        ("", &[(variable, CANARY)]),
    ] {
        let (written, _dir) = layered(&[SHOP, change], variables);
        let written = written.unwrap();
        let printed = written
            .print()
            .unwrap_or_else(|errors| format!("{errors} {errors:?}"));
        assert!(!printed.contains(CANARY), "{printed}");
        let resolved = match resolve(&written) {
            Ok(config) => format!("{:?} {:?}", config.warnings, client(&config)),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        assert!(!resolved.contains(CANARY), "{resolved}");
    }
}

#[test]
fn doubtful_settings_are_warned_about() {
    let client = "oidc = { issuer = \"https://i\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } }";
    for (change, word) in [
        // C19
        (
            "frontend.shop.origin = \"http://localhost:8080\"".to_owned(),
            "development only",
        ),
        // A29
        (
            format!("frontend.b = {{ origin = \"https://shop.example.com:8443\", {client} }}"),
            "cookies ignore ports",
        ),
        ("upstream.spare.url = \"http://x\"".to_owned(), "no route"),
        (
            "keys.activation_delay = \"1s\"".to_owned(),
            "reload_interval",
        ),
        (
            "keys.retire_after = \"1h\"".to_owned(),
            "end sessions early",
        ),
        (
            "server.trusted_proxies = [\"0.0.0.0/0\"]".to_owned(),
            "any address",
        ),
    ] {
        let config = resolved(&[SHOP, &change], &[]).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(config.warnings.len(), 1, "{change}: {:?}", config.warnings);
        assert!(config.warnings[0].contains(word), "{:?}", config.warnings);
    }
}
