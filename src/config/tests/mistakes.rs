//! Mistakes, and the words for them.

use super::*;

#[test]
fn all_mistakes_are_reported_at_once_with_place_origin_and_remedy() {
    let bad = r#"
        [server]
        bind = "localhost"
        wrokers = 2
        shutdown_delay = 5

        [keys]
        reload_interval = "soon"

        [upstream.Orders]
        url = "https://user:pw@orders.internal"

        [frontend.shop]
        origin = "http://shop.example.com"
        base_path = "/"
        csrf_header = "Content-Type"
        error_page = "//evil.example.com"
        assets = { dir = "nowhere" }

        [frontend.shop.oidc]
        issuer = "http://id.example.com"
        client_secret = { file = "no-such-file" }
        client_auth = "private_key"
        scopes = ["profile"]
        extra_params = { nonce = "1" }
        clock_skew = "5m"
        expires_in = "0s"
        login_timeout = "2h"
        id_token_signed_response_alg = "HS256"
        logout_token_without_exp = "never"
        parr = "auto"
        par = "sometimes"
        response_mode = "fragment"
        request_object = true

        [frontend.shop.session]
        absolute_timeout = "500d"
        idle_timeout = "501d"
        max_bytes = "1MiB"
        pad_to = 0
        compression = "gzip"
        same_site = "none"

        [frontend.shop.route.orders]
        path = "/api/{sub"
        upstream = "orders"
        token = "admin"
        methods = ["get"]
        require_scopes = ["a b"]
        require_claims = { role = [] }
        rate_limit = { per_second = 0, by = "user" }
        audiences = ["https://orders.internal"]

        [coordination]
        url = "redis://x"
    "#;
    let Err(errors) = resolved(&[bad], &[("SEALGATE__FRONTEND__SHOP__NAME", "x")]) else {
        panic!("no mistakes found");
    };
    let text = errors.to_string();
    for (path, word) in [
        ("server.bind", "0.toml:3"),
        ("server.wrokers", "did you mean `workers`?"),
        ("server.shutdown_delay", "a number stands where a duration"),
        ("keys.reload_interval", "\"soon\" is not a duration"),
        ("upstream.Orders", "choose another name"),
        ("upstream.Orders.url", "user name or password"),
        ("frontend.shop.origin", "loopback"),
        ("frontend.shop.base_path", "other than /"),
        ("frontend.shop.csrf_header", "proves nothing"),
        ("frontend.shop.error_page", "own origin"),
        ("frontend.shop.assets.dir", "there is no directory"),
        ("frontend.shop.name", "SEALGATE__FRONTEND__SHOP__NAME"),
        ("frontend.shop.oidc.issuer", "use https://"),
        ("frontend.shop.oidc.client_id", "not set"),
        ("frontend.shop.oidc.client_secret.file", "no-such-file"),
        ("frontend.shop.oidc.client_auth", "private_key_jwt"),
        ("frontend.shop.oidc.scopes", "openid"),
        ("frontend.shop.oidc.extra_params.nonce", "sealgate sets"),
        ("frontend.shop.oidc.clock_skew", "from 0s to 1m"),
        ("frontend.shop.oidc.expires_in", "from 5s to 1d"),
        ("frontend.shop.oidc.login_timeout", "to 1h"),
        ("frontend.shop.oidc.id_token_signed_response_alg", "256"),
        ("frontend.shop.oidc.logout_token_without_exp", "by-iat"),
        ("frontend.shop.oidc.parr", "no such key"),
        ("frontend.shop.oidc.par", "write one of"),
        ("frontend.shop.oidc.response_mode", "form_post"),
        ("frontend.shop.oidc.request_object", "client_key"),
        ("frontend.shop.session.absolute_timeout", "to 400d"),
        ("frontend.shop.session.idle_timeout", "absolute_timeout"),
        ("frontend.shop.session.max_bytes", "32KiB"),
        ("frontend.shop.session.pad_to", "4096"),
        ("frontend.shop.session.compression", "zstd"),
        ("frontend.shop.session.same_site", "strict"),
        ("frontend.shop.route.orders.path", "name a claim"),
        (
            "frontend.shop.route.orders.upstream",
            "there is no upstream",
        ),
        ("frontend.shop.route.orders.token", "user_or_none"),
        ("frontend.shop.route.orders.methods", "upper case"),
        ("coordination.url", "never the secret itself"),
        ("frontend.shop.route.orders.require_scopes", "spaces"),
        (
            "frontend.shop.route.orders.require_claims.role",
            "values is empty",
        ),
        ("frontend.shop.route.orders.rate_limit.per_second", "0.001"),
        ("frontend.shop.route.orders.rate_limit.by", "address"),
        ("frontend.shop.route.orders.audiences", "no such key"),
    ] {
        let found = errors
            .iter()
            .any(|mistake| mistake.path.to_string() == path && mistake.to_string().contains(word));
        assert!(found, "{path}: {word}\n\n{text}");
    }
    assert!(errors.iter().all(|mistake| !mistake.remedy.is_empty()));
    assert!(!text.contains("user:pw"), "{text}");
}

#[test]
fn one_mistake_is_one_mistake() {
    one_mistake_each(&[
        ("frontend.shop.origin = \"http://localhost\"", "", ""),
        (
            "frontend.shop.oidc.issuer = \"http://127.0.0.1:9/x\"",
            "",
            "",
        ),
        (
            "frontend.shop.oidc.issuer = 7",
            "frontend.shop.oidc.issuer",
            "a number",
        ),
        (
            "frontend.shop.oidc.issuer = \"https://id.example.com?x=1\"",
            "frontend.shop.oidc.issuer",
            "query",
        ),
        ("frontend.shop.oidc = 3", "frontend.shop.oidc", "a table"),
        (
            "frontend.shop.session.max_bytes = 9223372036854775807",
            "frontend.shop.session.max_bytes",
            "out of bounds",
        ),
        (
            "frontend.shop.oidc.scopes = \"openid\"",
            "frontend.shop.oidc.scopes",
            "a list",
        ),
        (
            "frontend.shop.oidc.scopes = [\"openid\", 1]",
            "frontend.shop.oidc.scopes.1",
            "a number",
        ),
        (
            "frontend.shop.oidc.extra_params.response_mode = \"fragment\"",
            "frontend.shop.oidc.extra_params.response_mode",
            "form_post",
        ),
        (
            "frontend.shop.oidc = { response_mode = \"jwt\", extra_params = { response_mode = \"form_post\" } }",
            "frontend.shop.oidc.extra_params.response_mode",
            "says otherwise",
        ),
        (
            "frontend.shop.oidc = { response_mode = \"form_post\", extra_params = { response_mode = \"form_post\" } }",
            "",
            "",
        ),
        (
            "frontend.shop.oidc.request_object = true",
            "frontend.shop.oidc.request_object",
            "set client_key",
        ),
        (
            "frontend.shop.oidc.extra_params.max_age = \"60\"",
            "frontend.shop.oidc.extra_params.max_age",
            "single login",
        ),
        (
            "frontend.shop.oidc.extra_params.prompt = \"consent\"",
            "",
            "",
        ),
        (
            "frontend.shop.oidc.client_secret.env = \"UNSET_VARIABLE\"",
            "frontend.shop.oidc.client_secret.env",
            "UNSET_VARIABLE is not set",
        ),
        (
            "frontend.shop.route.orders.path = \"/bff/x\"",
            "frontend.shop.route.orders.path",
            "base_path",
        ),
        ("frontend.shop.route.orders.path = \"/\"", "", ""),
        (
            "frontend.shop.route.orders.path = \"/a/../b\"",
            "frontend.shop.route.orders.path",
            "plainest form",
        ),
        (
            "frontend.shop.route.again = { path = \"/api/orders/\", upstream = \"orders\" }",
            "frontend.shop.route.orders.path",
            "same path",
        ),
        (
            "frontend.shop.route.orders.methods = []",
            "frontend.shop.route.orders.methods",
            "methods is empty",
        ),
        (
            "frontend.shop.route.orders.methods = [\"TRACE\"]",
            "frontend.shop.route.orders.methods",
            "never forwards TRACE",
        ),
        (
            "frontend.shop.route.orders.cookies = [\"__host-http-shop\"]",
            "frontend.shop.route.orders.cookies",
            "never pass",
        ),
        (
            "frontend.shop.route.orders.upstream = \"order\"",
            "frontend.shop.route.orders.upstream",
            "did you mean \"orders\"?",
        ),
        (
            "frontend.shop.route.orders.timeout = \"0s\"",
            "frontend.shop.route.orders.timeout",
            "out of bounds",
        ),
        (
            "frontend.shop.route.Bad = { path = \"/x\", upstream = \"orders\" }",
            "frontend.shop.route.Bad",
            "1 to 32",
        ),
        (
            "frontend.shop-seen = { origin = \"https://b.example.com\", oidc = { issuer = \"https://i\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop-seen",
            "-seen",
        ),
        (
            "frontend.b = { origin = \"https://shop.example.com:443\", oidc = { issuer = \"https://i\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop.origin",
            "same host and port",
        ),
        (
            "upstream.orders.ca = \"/nonexistent.pem\"\nupstream.orders.url = \"https://x\"",
            "upstream.orders.ca",
            "/nonexistent.pem",
        ),
        (
            "server.tls = { cert = \"c\" }",
            "server.tls.key",
            "required",
        ),
        (
            "server.admin_bind = \"127.0.0.1:8080\"",
            "server.admin_bind",
            "public listener",
        ),
        (
            "server.trusted_proxies = [\"10.0.0.0/33\"]",
            "server.trusted_proxies",
            "not a network",
        ),
        ("frontend = []", "frontend", "a list"),
    ]);
}

#[test]
fn an_answer_of_several_calls_has_parts_and_no_other_spelling() {
    let said = mistakes("frontend.shop.route.orders.aggregate = \"x\"");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("no such key"), "{said:?}");
}

#[test]
fn the_store_is_named_by_a_secret_and_the_section_needs_its_feature() {
    let section = |lines: &str| format!("[coordination]\nurl = {{ env = \"STORE\" }}\n{lines}");
    for (url, lines, word) in [
        ("redis://store:6379/0", "", ""),
        (
            "rediss://:p4ss@store",
            "on_failure = \"closed\"\nprefix = \"a:b\"",
            "",
        ),
        ("unix:///run/store.sock", "", ""),
        ("http://:p4ss@store", "", "not the URL of a store"),
        ("redis://:p4ss@store/first", "", "not the URL of a store"),
        ("p4ss", "", "not the URL of a store"),
        ("redis://store", "on_failure = \"opne\"", "did you mean"),
        ("redis://store", "prefix = \"\"", "1 to 64"),
    ] {
        let resolved = resolved(&[SHOP, &section(lines)], &[("STORE", url)]);
        let said = resolved.err().map(|errors| errors.to_string());
        let said = said.unwrap_or_default();
        assert_eq!(said.is_empty(), word.is_empty(), "{url}: {said}");
        assert!(said.contains(word), "{url}: {said}");
        assert!(!said.contains("p4ss"), "{said}");
    }
    let missing = mistakes("coordination.on_failure = \"open\"");
    assert!(
        missing
            .iter()
            .any(|said| said.contains("coordination.url.file")),
        "{missing:?}"
    );
}

#[test]
fn tls_files_must_fit_each_other() {
    let pair = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (one, other) = (pair(), pair());
    let tls = "server.tls = { cert = \"cert.pem\", key = \"key.pem\" }";
    for (key, is_ok) in [
        (one.signing_key.serialize_pem(), true),
        (other.signing_key.serialize_pem(), false),
        ("no key".to_owned(), false),
    ] {
        let (written, dir) = layered(&[SHOP, tls], &[]);
        fs::write(dir.path().join("cert.pem"), one.cert.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), key).unwrap();
        let config = resolve(&written.unwrap());
        assert_eq!(config.is_ok(), is_ok);
        if let Err(errors) = config {
            assert!(errors.to_string().contains("key.pem"), "{errors}");
        }
    }
}
