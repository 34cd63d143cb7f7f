use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::session::samples::{jar, session, settings};
use crate::session::{Compression, JarSettings, OpenResult, StoreError, base64url};

fn same(a: &Session, b: &Session) -> bool {
    a.id == b.id
        && (&a.issuer, &a.subject, &a.idp_sid) == (&b.issuer, &b.subject, &b.idp_sid)
        && (a.started_at, a.auth_time, a.ends_at) == (b.started_at, b.auth_time, b.ends_at)
        && a.claims == b.claims
        && a.tokens.access_token.secret() == b.tokens.access_token.secret()
        && a.tokens.refresh_token.as_ref().map(|t| t.secret().clone())
            == b.tokens.refresh_token.as_ref().map(|t| t.secret().clone())
        && (a.tokens.issued_at, a.tokens.expires_at) == (b.tokens.issued_at, b.tokens.expires_at)
        && a.tokens.refresh_ends_at == b.tokens.refresh_ends_at
        && a.tokens.scope == b.tokens.scope
}

#[test]
fn a_session_comes_back_as_it_was_stored() {
    // E13
    let (jar, keys) = (jar(), ring());
    let mut stored = session(now());
    for with_options in [true, false] {
        let browser = holding(&jar, &stored, &keys);
        let (loaded, out) = load(&jar, &browser.header(), &keys, now());
        assert_eq!(loaded.result, OpenResult::Ok);
        assert_eq!(loaded.kid, Some(keys.primary(now()).kid()));
        assert!(same(&loaded.session.unwrap(), &stored), "{with_options}");
        assert!(out.is_empty());
        stored.idp_sid = None;
        stored.tokens.refresh_ends_at = Some(now().plus(std::time::Duration::from_mins(30)));
        stored.auth_time = Some(now());
        stored.tokens.refresh_token = None;
        stored.claims.clear();
    }
}

#[test]
fn the_attributes_are_those_of_the_contract() {
    // C7, C15, C16, C19, C20
    let keys = ring();
    let line = |settings: JarSettings| {
        let jar = Jar::new(settings);
        let out = sets(&jar, "", &keys, now(), |wallet| {
            wallet.store(&session(now())).unwrap()
        });
        out.lines()
            .next()
            .unwrap()
            .split_once("; ")
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(
        line(settings()),
        "Path=/; Secure; HttpOnly; SameSite=Strict"
    );
    let mut lax = settings();
    lax.session.same_site = crate::session::SameSite::Lax;
    lax.origin = crate::names::Origin::parse("http://localhost:8080").unwrap();
    assert_eq!(line(lax), "Path=/; HttpOnly; SameSite=Lax");
}

#[test]
fn what_is_sealed_under_one_setting_opens_under_the_other() {
    // E15
    let keys = ring();
    let jars = [Compression::Zstd, Compression::None].map(|compression| {
        let mut settings = settings();
        settings.session.compression = compression;
        Jar::new(settings)
    });
    let mut stored = session(now());
    stored
        .claims
        .insert("groups".to_owned(), vec!["everybody"; 50].into());
    let headers = jars
        .each_ref()
        .map(|jar| holding(jar, &stored, &keys).header());
    assert!(headers[0].len() + 400 < headers[1].len());
    for jar in &jars {
        for header in &headers {
            let (loaded, out) = load(jar, header, &keys, now());
            assert!(same(&loaded.session.unwrap(), &stored) && out.is_empty());
        }
    }
}

#[test]
fn the_length_of_a_login_does_not_tell_what_is_like_what() {
    // E15: a guess in returnUrl that equals a secret beside it shortens nothing
    let (jar, keys) = (jar(), ring());
    let lengths: HashSet<usize> = ["canary-nonce", "other-noncen", "canary-verif"]
        .iter()
        .map(|guess| {
            let mut attempt = crate::session::samples::attempt("state-abcdef", now());
            attempt.rest = format!("/?{}", guess.repeat(20));
            let out = sets(&jar, "", &keys, now(), |wallet| {
                wallet.store_login(&attempt).unwrap();
            });
            out.lines().map(str::len).sum()
        })
        .collect();
    assert_eq!(lengths.len(), 1, "{lengths:?}");
}

#[test]
fn the_length_tells_no_more_than_a_bucket() {
    // E16
    let keys = ring();
    let mut settings = settings();
    settings.session.pad_to = 256;
    let jar = Jar::new(settings);
    let lengths: HashSet<usize> = (1..100)
        .map(|len| {
            holding(&jar, &session_of(len, now()), &keys)
                .value(BASE)
                .len()
        })
        .collect();
    assert_eq!(lengths.len(), 1, "{lengths:?}");
}

#[test]
fn two_seals_of_one_session_have_nothing_in_common_but_the_header() {
    let (jar, keys) = (jar(), ring());
    let [a, b] = [(); 2].map(|()| holding(&jar, &session(now()), &keys).value(BASE).to_owned());
    let equal = a.bytes().zip(b.bytes()).filter(|(a, b)| a == b).count();
    // Header, algorithm and kid are 14 bytes; elsewhere one character in 64 is equal by chance.
    assert!(equal < 19 + a.len() / 8, "{equal} of {}", a.len());
}

#[test]
fn whatever_differs_of_the_place_does_not_open() {
    // E2
    let keys = ring();
    let header = holding(&jar(), &session(now()), &keys).header();
    let changes: [fn(&mut JarSettings); 4] = [
        |s| s.origin = crate::names::Origin::parse("https://other.example.com").unwrap(),
        |s| s.issuer.push('/'),
        |s| s.client_id = "shop2".to_owned(),
        |s| (s.client_id, s.issuer) = ("shophttps".to_owned(), "://id.example.com".to_owned()),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut settings = settings();
        change(&mut settings);
        let (loaded, out) = load(&Jar::new(settings), &header, &keys, now());
        assert_eq!(loaded.result, OpenResult::Rejected, "change {at}");
        assert_eq!(deleted(&out), [BASE]);
    }
    // Another frontend does not even look at it; under that frontend's name it does not open.
    let mut settings = settings();
    settings.frontend = crate::names::FrontendName::parse("shop2").unwrap();
    let other = Jar::new(settings);
    assert_eq!(
        load(&other, &header, &keys, now()).0.result,
        OpenResult::Anonymous
    );
    let renamed = header.replacen(BASE, "__Host-Http-shop2", 1);
    assert_eq!(
        load(&other, &renamed, &keys, now()).0.result,
        OpenResult::Rejected
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// C1, C2
    #[test]
    fn any_size_opens_again_or_is_refused_whole(len in 0..65_536_usize, pad_to in 1..5_000_usize, noisy: bool, compressed: bool) {
        let keys = ring();
        let mut settings = settings();
        settings.session.pad_to = pad_to;
        settings.session.compression = if compressed { Compression::Zstd } else { Compression::None };
        let jar = Jar::new(settings);
        let mut stored = session(now());
        stored.tokens = session_of(len, now()).tokens;
        if !noisy {
            let text: String = "{a.b~".chars().cycle().take(len * 3 / 4).collect();
            let token = format!("e30.{}", base64url::encode(text.as_bytes()));
            stored.tokens.access_token = openidconnect::AccessToken::new(token);
        }
        let (result, out) = answer(&jar, "", &keys, now(), |wallet| wallet.store(&stored));
        match result {
            Ok(_) => {
                let mut browser = Browser::default();
                browser.take(&out);
                prop_assert!(browser.0.iter().all(|(name, (value, _))| name.len() + value.len() <= 3800));
                let (loaded, out) = load(&jar, &browser.header(), &keys, now());
                prop_assert_eq!(loaded.result, OpenResult::Ok);
                prop_assert!(same(&loaded.session.unwrap(), &stored));
                prop_assert!(out.is_empty());
            }
            Err(StoreError::TooLarge(too_large)) => {
                // 16 chunks hold 45 KiB.
                prop_assert!(len > 38_000 && (noisy || !compressed), "{len}: {too_large}");
                prop_assert!(out.is_empty());
            }
            Err(StoreError::Seal(e)) => panic!("{e}"),
        }
    }
}

/// Length of a session's cookie, unpadded, with this refresh token, and a name that is `guess`.
fn len_with(refresh_token: &str, guess: &str) -> usize {
    let mut settings = settings();
    settings.session.pad_to = 1;
    let (jar, keys) = (Jar::new(settings), ring());
    let mut session = session(now());
    session.tokens.refresh_token = Some(openidconnect::RefreshToken::new(refresh_token.to_owned()));
    session.claims.insert("name".to_owned(), guess.into());
    holding(&jar, &session, &keys).value(BASE).len()
}

#[test]
fn a_claim_that_guesses_a_token_makes_no_session_shorter() {
    // E15: claims can be chosen. As random tokens come: base64url of bytes, not quite, in six parts, of other letters.
    let random = "k3Jx9_Qm2ZtV7bLw0RyPfHs8DnUaEcGi5oXv1TjK6M";
    for token in [
        format!("{random}A"),
        format!("{random}B"),
        format!("a.b.c.d.e.{random}B"),
        format!("1//{random}+/~"),
    ] {
        let right = &token[token.len() - 30..];
        let wrong: String = right.chars().rev().collect();
        assert_eq!(len_with(&token, right), len_with(&token, &wrong), "{token}");
    }
}

#[test]
fn a_session_of_a_larger_budget_opens_under_a_smaller_one() {
    let of = |max_bytes| {
        let mut settings = settings();
        settings.session.max_bytes = max_bytes;
        Jar::new(settings)
    };
    let (large, small, keys) = (of(16 * 1024), of(4096), ring());
    let browser = holding(&large, &session_of(len_of_chunks(3), now()), &keys);
    let (loaded, out) = load(&small, &browser.header(), &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok, "{:?}", deleted(&out));
}

#[test]
fn what_the_next_release_sealed_is_left_alone() {
    // E19: replicas of two releases run side by side.
    let (jar, keys) = (jar(), ring());
    let browser = holding(&jar, &session(now()), &keys);
    for front in [[2, 1], [1, 2]] {
        let mut bytes = base64url::decode(browser.value(BASE).as_bytes()).unwrap();
        bytes[..2].copy_from_slice(&front);
        let header = format!("{BASE}={}", base64url::encode(&bytes));
        let (loaded, out) = load(&jar, &header, &keys, now());
        assert_eq!(loaded.result, OpenResult::UnknownKey);
        assert!(out.is_empty(), "{front:?}: {:?}", deleted(&out));
    }
}

#[test]
fn what_is_explained_as_active_is_accepted() {
    let (jar, keys) = (jar(), ring());
    let browser = holding(&jar, &session(now()), &keys);
    let flood: Vec<String> = (0..70).map(|n| format!("; {BASE}-login.{n}=x")).collect();
    for (more, good) in [
        (String::new(), true),
        (format!("; {BASE}-seen=x; {BASE}-seen=x"), false),
        (flood.concat(), false),
    ] {
        let header = format!("{}{more}", browser.header());
        let explained = wallet(&jar, &header, &keys, now()).explain();
        let (loaded, _) = load(&jar, &header, &keys, now());
        assert_eq!(explained[0].is_good, good);
        assert_eq!(loaded.session.is_some(), good);
    }
}
