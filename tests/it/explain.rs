//! `--explain-cookie`: the program as an operator runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sealgate::clock::Clock;
use sealgate::keyring::{self, Alg, KeyRing, RotateOptions};
use sealgate::proof::{KEY_BYTES, PublicKey};
use sealgate::session::{Compression, Jar, LogoutHint};

use crate::support::ConfigText;
use crate::token_sets;

struct Desk {
    dir: tempfile::TempDir,
    header: String,
    secrets: Vec<String>,
}

/// A configuration, a key ring, and the cookies of a session that began a minute ago.
fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::system().now();
    let options = RotateOptions {
        alg: Alg::XChaCha20Poly1305,
        activate_in: Duration::ZERO,
        retire_after: Duration::from_hours(24),
        drop: None,
        force: false,
    };
    keyring::rotate(&dir.path().join("keys"), &options, now).unwrap();
    let keys = Arc::new(KeyRing::load(&dir.path().join("keys"), now).unwrap());
    let tokens = token_sets::keycloak();
    std::fs::write(dir.path().join("secret"), "client-secret").unwrap();
    let origin = "https://shop.example.com";
    let config = ConfigText::shop_as("storefront", origin, tokens.issuer, "secret").to_string();
    std::fs::write(dir.path().join("sealgate.toml"), config).unwrap();

    let jar = Jar::new(tokens.settings(Compression::Zstd));
    let begun = now.minus(Duration::from_mins(61));
    let mut session = tokens.session();
    session.started_at = begun;
    session.device = Some(PublicKey::from_bytes([9; KEY_BYTES]));
    session.ends_at = begun.plus(Duration::from_hours(8));
    session.tokens.issued_at = begun;
    session.tokens.expires_at = begun.plus(Duration::from_mins(5));
    let wallet = |at| jar.wallet(std::iter::empty(), Arc::clone(&keys), at);
    let mut first = wallet(begun);
    first.store(&session).unwrap();
    let mut later = wallet(now.minus(Duration::from_mins(1)));
    later.touch(&session);
    let hint = LogoutHint {
        session: session.id,
        id_token: tokens.id_token.clone(),
    };
    first.store_hint(&hint).unwrap();
    let binding = session.binding().unwrap();
    later.store_device_proof(binding, Duration::from_mins(5));
    let answers = [first.set_cookies(), later.set_cookies()];
    let pairs: Vec<&str> = answers
        .iter()
        .flat_map(|cookies| cookies.lines())
        .filter_map(|line| line.split(';').next())
        .collect();
    let claims = session.claims.values().filter_map(|claim| claim.as_str());
    let mut secrets: Vec<String> = claims.map(str::to_owned).collect();
    secrets.push("client-secret".to_owned());
    for token in [
        &tokens.access_token,
        &tokens.refresh_token,
        &tokens.id_token,
    ] {
        secrets.extend(token.split('.').map(|part| part[..20].to_owned()));
    }
    Desk {
        header: pairs.join("; "),
        dir,
        secrets,
    }
}

fn explain(dir: &Path, stdin: &[u8]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealgate"))
        .args(["--explain-cookie", "-c", "sealgate.toml"])
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may exit before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_session_is_described_by_ages_and_sizes_and_never_by_tokens() {
    // E22
    let desk = desk();
    let line = format!("cookie: theme=dark; {}\r\n", desk.header);
    let (code, text) = explain(desk.dir.path(), line.as_bytes());
    println!("{text}");
    assert_eq!(code, 0, "{text}");
    for fact in [
        "__Host-Http-shop: session of frontend shop",
        "__Host-Http-shop-seen: seen of frontend shop",
        "__Http-shop-hint: hint of frontend shop",
        "version 1",
        "XChaCha20-Poly1305",
        "(the primary)",
        "zstd, dictionary 1",
        "active",
        "bound to the key ",
        "__Host-shop-device: device of frontend shop",
        "counts until     20",
        "1h01m ago",
        "1m0",
        "in 6h5",
        " characters in 3 parts, SHA-256 ",
        "claims.email ",
        "access_token ",
    ] {
        assert!(text.contains(fact), "{fact}");
    }
    for secret in &desk.secrets {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_cookie_that_does_not_open_is_explained_and_exits_with_1() {
    let desk = desk();
    let name = "__Host-Http-shop";
    let value = desk.header.split("; ").next().unwrap();
    let value = value.split_once('=').unwrap().1;
    let mut other_key = value.to_owned();
    other_key.replace_range(10..11, if &value[10..11] == "A" { "B" } else { "A" });
    let broken = format!("{}AAAA", &value[..value.len() - 4]);
    for (cookies, why) in [
        (format!("{name}={broken}"), "the seal is broken"),
        (format!("{name}={value}; {name}={value}"), "more than once"),
        (format!("{name}.1={value}"), "the first cookie"),
        (format!("{name}=%41%41%41%41%41"), "not base64url"),
        (format!("{name}=x"), "cut short"),
        (format!("{name}=B{}", &value[1..]), "format version 5"),
        (format!("{name}=AQc{}", &value[3..]), "packing"),
        (format!("{name}={}", &value[..900]), "cookies of [900]"),
        (format!("{name}={other_key}"), "has no key"),
        (format!("{name}-login.x={value}"), "the seal is broken"),
    ] {
        let (code, text) = explain(desk.dir.path(), cookies.as_bytes());
        assert_eq!(code, 1, "{cookies:.60}: {text}");
        assert!(text.contains(why), "{why}: {text}");
        assert!(text.contains("would not accept 1 of 1 cookies"), "{text}");
    }
}

#[test]
fn stdin_without_our_cookies_or_too_long_and_a_missing_key_ring_have_their_own_messages() {
    let desk = desk();
    for (stdin, why) in [
        (b"".to_vec(), "no cookie of sealgate"),
        (b"Cookie: a=b; __Host-Http-other=x".to_vec(), "shop"),
        (vec![b'a'; 300_000], "bytes, and a Cookie header"),
        (
            [&[0xff, 0, b';'][..], b"=;;=="].concat(),
            "no cookie of sealgate",
        ),
    ] {
        let (code, text) = explain(desk.dir.path(), &stdin);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(why), "{why}: {text}");
    }
    std::fs::remove_dir_all(desk.dir.path().join("keys")).unwrap();
    let (code, text) = explain(desk.dir.path(), b"");
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("--rotate-keys"), "{text}");
}
