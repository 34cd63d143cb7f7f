//! Any text gives settings or mistakes, never a panic.

use super::super::variable;
use super::*;

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn any_value_at_any_key_is_answered_with_settings_or_mistakes(
        lines in proptest::collection::vec((
            proptest::sample::select(KEYS),
            proptest::sample::select(VALUES),
        ), 1..5)
    ) {
        let variables: Vec<_> = lines
            .iter()
            .map(|(key, value)| {
                let path = KeyPath::of(key.split('.'));
                (variable::name_of(&path), *value)
            })
            .collect();
        let variables: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let mut said = vec![
            resolved(&[SHOP], &variables).map(|_| ()),
            resolved(&[], &variables).map(|_| ()),
        ];
        for (key, value) in lines {
            said.push(resolved(&[SHOP, &format!("{key} = {value}")], &[]).map(|_| ()));
        }
        for errors in said.into_iter().filter_map(Result::err) {
            proptest::prop_assert!(errors.iter().count() > 0);
            proptest::prop_assert!(!errors.to_string().contains("this is a bug"));
        }
    }
}

const KEYS: &[&str] = &[
    "server",
    "server.bind",
    "server.workers",
    "server.trusted_proxies",
    "server.tls",
    "server.tls.cert",
    "keys",
    "keys.dir",
    "keys.retire_after",
    "upstream",
    "upstream.orders",
    "upstream.orders.url",
    "upstream.*",
    "upstream.x.ca",
    "frontend",
    "frontend.*",
    "frontend.shop",
    "frontend.shop.origin",
    "frontend.shop.assets",
    "frontend.shop.oidc",
    "frontend.shop.oidc.client_auth",
    "frontend.shop.oidc.client_key",
    "frontend.shop.oidc.client_key.file",
    "frontend.shop.oidc.client_secret",
    "frontend.shop.oidc.client_secret.file",
    "frontend.shop.oidc.scopes",
    "frontend.shop.oidc.extra_params",
    "frontend.shop.session.max_bytes",
    "frontend.shop.session.pad_to",
    "frontend.shop.session.compression",
    "frontend.shop.session.not_before",
    "frontend.shop.route",
    "frontend.shop.route.orders",
    "frontend.shop.route.orders.path",
    "frontend.shop.route.*.path",
    "frontend.shop.route.orders.strip_prefix",
    "frontend.shop.route.orders.timeout",
    "coordination",
    "coordination.url",
    "coordination.on_failure",
    "frontend.shop.route.orders.token",
    "frontend.shop.route.orders.require_scopes",
    "frontend.shop.route.orders.require_claims",
    "frontend.shop.route.orders.require_claims.role",
    "frontend.shop.route.orders.rate_limit",
    "frontend.shop.route.orders.rate_limit.per_second",
    "frontend.shop.route.orders.rate_limit.burst",
    "frontend.shop.login_rate_limit",
    "telemetry",
    "x.y.z",
];

const VALUES: &[&str] = &[
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "1e300",
    "nan",
    "true",
    "\"\"",
    "\"x\"",
    "\"/\"",
    "\"/dev/null\"",
    "\"8KiB\"",
    "\"99999999999999999999h\"",
    "\"\\u0000\"",
    "\"https://[::1\"",
    "[]",
    "[[]]",
    "[\"a\", 1]",
    "{}",
    "{ a = 1 }",
    "{ file = \"/\" }",
    "{ file = 1, env = [] }",
    "1979-05-27T07:32:00Z",
    "[{ a = 1 }]",
];
