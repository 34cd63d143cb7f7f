//! What a session weighs: the whole `Cookie` header of an API request, for tokens of real shape.

use std::sync::Arc;

use sealgate::clock::UnixTime;
use sealgate::keyring::{Alg, Key, KeyRing};
use sealgate::session::{Compression, Jar, LogoutHint, NativeAccess, NativeRefresh, SetCookies};

use crate::token_sets::{self, NOW, Tokens};

/// Header line of a fresh session; with the `-seen` cookie; cookies of the session; characters of the logout hint.
fn weigh(tokens: &Tokens, compression: Compression) -> [usize; 4] {
    let epoch = UnixTime::from_secs(0);
    let key = Key::generate(Alg::default(), epoch, epoch).unwrap();
    let keys = Arc::new(KeyRing::from_keys(vec![key], NOW).unwrap());
    let jar = Jar::new(tokens.settings(compression));
    let session = tokens.session();
    let wallet = |at| jar.wallet(std::iter::empty(), Arc::clone(&keys), at);
    let mut answer = wallet(NOW);
    answer.store(&session).unwrap();
    let out = answer.set_cookies();
    let chunks = out.names().count();
    assert!(out.lines().all(|line| line.len() <= 4096));
    let line = |out: &SetCookies| {
        let pairs: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split(';').next())
            .collect();
        format!("Cookie: {}", pairs.join("; ")).len()
    };
    let fresh = line(out);
    let later = NOW.plus(std::time::Duration::from_mins(10));
    let mut touched = wallet(later);
    touched.touch(&session);
    let seen = fresh + line(touched.set_cookies()) - "Cookie: ".len() + "; ".len();
    let hint = LogoutHint {
        session: session.id,
        id_token: tokens.id_token.clone(),
    };
    let mut logout = wallet(NOW);
    let fits = logout.store_hint(&hint).unwrap();
    let hint = if fits { line(logout.set_cookies()) } else { 0 };
    [fresh, seen, chunks, hint]
}

/// Characters of an app's access token and refresh token.
fn tokens_of_app(tokens: &Tokens) -> [usize; 2] {
    let epoch = UnixTime::from_secs(0);
    let key = Key::generate(Alg::default(), epoch, epoch).unwrap();
    let keys = Arc::new(KeyRing::from_keys(vec![key], NOW).unwrap());
    let jar = Jar::new(tokens.settings(Compression::Zstd));
    let wallet = jar.wallet(std::iter::empty(), keys, NOW);
    let session = tokens.session();
    let access = NativeAccess::of(&session, Some([7; 32]));
    let refresh = NativeRefresh::of(&session, Some([7; 32])).unwrap();
    [
        wallet.seal_native_access(&access).unwrap().len(),
        wallet.seal_native_refresh(&refresh).unwrap().len(),
    ]
}

#[test]
fn tokens_of_apps_are_small() {
    for tokens in token_sets::all() {
        let [access, refresh] = tokens_of_app(&tokens);
        println!("{:20} {access:8} {refresh:8}", tokens.name);
        let most = match tokens.name {
            "plain" | "keycloak" => 1300,
            "8 roles, 150 groups" => 7600,
            _ => 3500,
        };
        assert!(access <= most, "{}: {access}", tokens.name);
        assert!(refresh <= most, "{}: {refresh}", tokens.name);
    }
}

#[test]
fn sessions_of_real_shape_are_small() {
    // C23. Peers need 2802 and more for the first.
    println!(
        "{:20} {:>18} {:>8} {:>8} {:>8} {:>8}",
        "", "tokens AT+RT+ID", "fresh", "+ seen", "cookies", "hint"
    );
    for tokens in token_sets::all() {
        let lengths = [
            &tokens.access_token,
            &tokens.refresh_token,
            &tokens.id_token,
        ]
        .map(String::len);
        for compression in [Compression::Zstd, Compression::None] {
            let [fresh, seen, chunks, hint] = weigh(&tokens, compression);
            println!(
                "{:20} {lengths:?} {compression:?} {fresh:8} {seen:8} {chunks:8} {hint:8}",
                tokens.name
            );
            if compression == Compression::None {
                continue;
            }
            let (most, cookies) = match tokens.name {
                "plain" | "keycloak" => (1450, 1),
                "entra" => (3300, 1),
                "8 roles, 150 groups" => (7600, 2),
                _ => (3900, 1),
            };
            assert!(
                seen <= most && chunks <= cookies,
                "{}: {seen} in {chunks}",
                tokens.name
            );
        }
    }
}
