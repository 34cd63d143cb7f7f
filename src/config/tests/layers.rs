//! Which layer wins, and where a value comes from.

use super::*;
use crate::frontend::Action;

#[test]
fn defaults_fill_what_no_layer_sets() {
    let config = resolved(&[SHOP], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.server.bind.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.admin_bind.to_string(), "127.0.0.1:9090");
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!(config.keys.retire_after(), Duration::from_hours(8));
    assert_eq!(config.keys.dir, PathBuf::from("keys"));
    let shop = first(&config);
    assert_eq!(shop.base_path, "/bff");
    assert_eq!(shop.csrf_header, "x-csrf");
    assert_eq!(client(&config).scopes, ["openid", "profile"]);
    assert_eq!(
        client(&config).redirect_uri,
        "https://shop.example.com/bff/callback"
    );
    assert_eq!(secret(&config), CANARY);
    assert_eq!(shop.session.max_bytes, 8192);
    assert_eq!(shop.session.same_site, SameSite::Strict);
    assert_eq!(shop.session.compression, Compression::Zstd);
    let route = shop.routes.iter().next().unwrap();
    let Action::Forward(forward) = &route.action else {
        panic!("a route that forwards");
    };
    assert!(forward.strip_prefix && forward.methods.is_empty());
    assert_eq!(forward.body_limit, 1 << 20);
    let orders = config.upstreams.values().next().unwrap();
    assert_eq!(orders.url.as_str(), "http://orders.internal:8080/v1");
    assert_eq!(orders.idle_timeout, Duration::from_mins(5));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn a_hint_tells_what_nginx_in_front_needs_for_the_budget() {
    // C4
    for (size, directives) in [
        ("2KiB", None),
        (
            "8KiB",
            Some("`proxy_buffer_size 16k; proxy_buffers 4 16k; large"),
        ),
        (
            "20KiB",
            Some("`proxy_buffer_size 32k; proxy_buffers 4 32k; large"),
        ),
    ] {
        let layer = format!("frontend.shop.session.max_bytes = \"{size}\"");
        let config = resolved(&[SHOP, &layer], &[]).unwrap();
        let of_nginx = |hint: &&String| hint.contains("nginx");
        let hints: String = config.hints.iter().filter(of_nginx).cloned().collect();
        match directives {
            None => assert_eq!(hints, ""),
            Some(directives) => assert!(hints.contains(directives), "{size}: {hints}"),
        }
        assert_eq!(config.warnings, Vec::<String>::new(), "a hint is no alarm");
    }
}

#[test]
fn later_layers_win_and_every_value_knows_its_origin() {
    let second = "[frontend.shop]\norigin = \"https://second.example.com\"\nbase_path = \"/auth\"";
    let variables = [
        (
            "SEALGATE__FRONTEND__SHOP__ORIGIN",
            "https://env.example.com",
        ),
        ("SEALGATE__FRONTEND__SHOP__OIDC__CLIENT_ID", "00123"),
        (
            "SEALGATE__FRONTEND__SHOP__OIDC__SCOPES",
            "[\"openid\", \"orders\"]",
        ),
        ("SEALGATE__FRONTEND__SHOP__SESSION__PAD_TO", "32"),
        ("SEALGATE__FRONTEND__SHOP__SESSION__COMPRESSION", "none"),
        (
            "SEALGATE__FRONTEND__SHOP__ROUTE__ORDERS__STRIP_PREFIX",
            "false",
        ),
        ("SEALGATE__TELEMETRY__LOG_FORMAT", "json"),
    ];
    let (written, dir) = layered(&[SHOP, second], &variables);
    let written = written.unwrap();
    let text = written.print().unwrap();
    let origin_of = |key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_else(|| panic!("no {key} in\n{text}"));
        line.rsplit_once("# ").unwrap().1.to_owned()
    };
    let in_file = |name: &str, line: usize| format!("{}:{line}", dir.path().join(name).display());
    assert_eq!(
        origin_of("frontend.shop.origin"),
        "SEALGATE__FRONTEND__SHOP__ORIGIN"
    );
    assert_eq!(origin_of("frontend.shop.base_path"), in_file("1.toml", 3));
    assert_eq!(origin_of("frontend.shop.oidc.issuer"), in_file("0.toml", 9));
    assert_eq!(origin_of("frontend.shop.session.idle_timeout"), "default");
    assert_eq!(origin_of("server.workers"), "default");
    let again: toml::Table = toml::from_str(&text).expect("what is printed is TOML again");
    assert_eq!(
        again["frontend"]["shop"]["oidc"]["client_id"].as_str(),
        Some("00123")
    );
    let config = resolve(&written).unwrap_or_else(|errors| panic!("{errors}"));
    let shop = first(&config);
    assert_eq!(shop.origin.as_str(), "https://env.example.com");
    assert_eq!(client(&config).client_id, "00123");
    assert_eq!(client(&config).scopes, ["openid", "orders"]);
    assert_eq!(shop.session.pad_to, 32);
    assert_eq!(shop.session.compression, Compression::None);
    let Action::Forward(forward) = &shop.routes.iter().next().unwrap().action else {
        panic!("a route that forwards");
    };
    assert!(!forward.strip_prefix);
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn a_later_secret_replaces_an_earlier_one_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, "from-file\n").unwrap();
    let variable = "SEALGATE__FRONTEND__SHOP__OIDC__CLIENT_SECRET__FILE";
    let config = resolved(&[SHOP], &[(variable, path.to_str().unwrap())]);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(secret(&config), "from-file");
    let both = "frontend.shop.oidc.client_secret = { env = \"A\", file = \"b\" }";
    let said = mistakes(both).join("\n");
    assert!(said.contains("file and env are both set"), "{said}");
}

#[test]
fn relative_paths_start_at_the_directory_of_their_file() {
    let (written, dir) = layered(&[SHOP, "[frontend.shop.assets]\ndir = \"dist\""], &[]);
    fs::create_dir(dir.path().join("dist")).unwrap();
    let config = resolve(&written.unwrap()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        first(&config).assets.as_ref().unwrap().dir,
        dir.path().join("dist")
    );
}

#[test]
fn an_unreadable_layer_is_named() {
    let sources = Sources {
        files: vec!["/nonexistent/a.toml".into(), "/".into()],
        ..Sources::default()
    };
    let errors = sources.read().err().unwrap().to_string();
    assert!(errors.contains("/nonexistent/a.toml"), "{errors}");
    assert!(errors.contains("/: the file cannot be"), "{errors}");
    let nothing = Sources::default().read().unwrap();
    let errors = resolve(&nothing).err().unwrap().to_string();
    assert!(errors.contains("[frontend.<name>]"), "{errors}");
    let variables = [
        ("SEALGATE____X", "1"),
        ("SEALGATE__KEYS", "x"),
        ("SEALGATE__KEYS__DIR", "y"),
    ];
    let errors = layered(&[], &variables).0.err().unwrap().to_string();
    assert!(errors.contains("SEALGATE____X: the name"), "{errors}");
    assert!(errors.contains("SEALGATE__KEYS__DIR: another"), "{errors}");
}

#[test]
fn rotation_and_health_need_no_client_secret() {
    let unset = "frontend.shop.oidc.client_secret.env = \"UNSET_VARIABLE\"\nkeys.dir = \"ring\"";
    let (written, dir) = layered(&[SHOP, unset], &[]);
    let written = written.unwrap();
    assert_eq!(written.keys().unwrap().dir, dir.path().join("ring"));
    assert_eq!(written.admin_bind().unwrap().port(), 9090);
    assert!(resolve(&written).is_err());
    let nothing = Sources::default().read().unwrap().keys().unwrap();
    assert_eq!(nothing.retire_after(), Duration::from_hours(24));
    let (written, _dir) = layered(&["keys.dri = \"x\""], &[]);
    let written = written.unwrap();
    assert!(written.keys().is_err());
    assert!(written.admin_bind().is_ok());
}

#[test]
fn defaults_of_an_optional_table_are_shown_if_a_layer_has_the_table() {
    let printed = |change: &str| {
        let (written, _dir) = layered(&[SHOP, change], &[]);
        written.unwrap().print().unwrap()
    };
    let nothing = printed("");
    assert!(!nothing.contains("rate_limit"), "{nothing}");
    assert!(!nothing.contains("coordination"), "{nothing}");
    let text = printed(
        "coordination.url.env = \"X\"\n\
         frontend.shop.login_rate_limit.per_second = 0.5\n\
         frontend.shop.route.orders.rate_limit.per_second = \"20\"\n\
         frontend.shop.route.more = { rate_limit = { per_second = 3, burst = 7, by = \"address\" } }",
    );
    for (key, value, origin) in [
        ("coordination.on_failure", "\"open\"", "default"),
        ("coordination.prefix", "\"sealgate\"", "default"),
        ("frontend.shop.login_rate_limit.burst", "1", "default"),
        (
            "frontend.shop.route.orders.rate_limit.burst",
            "20",
            "default",
        ),
        (
            "frontend.shop.route.orders.rate_limit.by",
            "\"session\"",
            "default",
        ),
        ("frontend.shop.route.more.rate_limit.burst", "7", "1.toml:4"),
        (
            "frontend.shop.route.more.rate_limit.by",
            "\"address\"",
            "1.toml:4",
        ),
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{key} = {value} ")));
        assert!(
            line.is_some_and(|line| line.ends_with(origin)),
            "{key}: {text}"
        );
    }
    assert!(!text.contains("login_rate_limit.by"), "{text}");
}
