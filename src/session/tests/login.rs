use super::*;
use crate::names::ReturnTo;
use crate::session::samples::{after, attempt, jar, settings};
use crate::session::{LoginAttempt, LoginState, Manner, StoreError};

/// A state that differs from others in the part that names the cookie.
fn state(n: usize) -> String {
    format!("{n:08}-and-the-rest-of-it")
}

fn begin(browser: &mut Browser, jar: &Jar, keys: &Arc<KeyRing>, n: usize, at: UnixTime) {
    let header = browser.cross_site_header();
    let out = sets(jar, &header, keys, at, |wallet| {
        wallet.store_login(&attempt(&state(n), at)).unwrap();
    });
    browser.take(&out);
}

fn take(
    browser: &mut Browser,
    jar: &Jar,
    keys: &Arc<KeyRing>,
    state: &str,
    at: UnixTime,
) -> Option<LoginAttempt> {
    let header = browser.cross_site_header();
    let (attempt, out) = answer(jar, &header, keys, at, |wallet| wallet.take_login(state));
    browser.take(&out);
    attempt
}

#[test]
fn logins_in_several_tabs_finish_in_any_order() {
    // B8
    let (jar, keys) = (jar(), ring());
    let mut browser = Browser::default();
    for n in 0..3 {
        begin(&mut browser, &jar, &keys, n, after(n as u64));
    }
    for n in [1, 2, 0] {
        let taken = take(&mut browser, &jar, &keys, &state(n), after(600)).unwrap();
        assert_eq!(taken.state, state(n));
        assert_eq!(taken.started_at, after(n as u64));
        assert_eq!(taken.rest, "/orders/7?x=1");
        assert_eq!(
            (taken.silent, taken.max_age, taken.acr_values),
            (false, Some(600), None)
        );
        assert_eq!(taken.nonce.secret(), "canary-nonce");
        assert_eq!(taken.verifier.secret(), "canary-verifier");
        assert!(
            take(&mut browser, &jar, &keys, &state(n), after(600)).is_none(),
            "once only"
        );
    }
    assert!(browser.names().is_empty());
}

#[test]
fn abandoned_logins_stay_few() {
    // B8
    let (jar, keys) = (jar(), ring());
    let mut browser = Browser::default();
    for n in 0..50 {
        begin(&mut browser, &jar, &keys, n, after(n as u64));
        assert!(browser.names().len() <= 20);
    }
    let kept: Vec<String> = (30..50).map(|n| format!("{BASE}-login.{n:08}")).collect();
    assert_eq!(browser.names(), kept, "the newest");
    begin(&mut browser, &jar, &keys, 50, after(10_000));
    assert_eq!(
        browser.names(),
        [format!("{BASE}-login.{:08}", 50)],
        "none that is too old"
    );
}

#[test]
fn logins_that_do_not_open_go_first() {
    // B8, E19
    let (jar, keys, other) = (jar(), ring(), ring());
    let mut browser = Browser::default();
    for n in 0..19 {
        begin(&mut browser, &jar, &keys, n, after(n as u64));
    }
    let mut foreign = Browser::default();
    begin(&mut foreign, &jar, &other, 99, after(99));
    browser.0.append(&mut foreign.0);
    let attributes = "Path=/; SameSite=Lax".to_owned();
    browser.0.insert(
        format!("{BASE}-login.junk"),
        ("junk".to_owned(), attributes),
    );
    begin(&mut browser, &jar, &keys, 20, after(20));
    let kept: Vec<String> = (0..19)
        .chain([20])
        .map(|n| format!("{BASE}-login.{n:08}"))
        .collect();
    assert_eq!(browser.names(), kept);
}

#[test]
fn a_login_is_taken_for_its_whole_state_in_time_and_for_its_issuer() {
    // B4, B8
    let (jar, keys) = (jar(), ring());
    let rows: [(&str, String, u64, bool); 6] = [
        ("right", state(1), 600, true),
        ("too late", state(1), 601, false),
        (
            "another end",
            format!("{:08}-and-another-end-now", 1),
            0,
            false,
        ),
        ("shorter", format!("{:08}", 1), 0, false),
        ("longer", format!("{}x", state(1)), 0, false),
        ("with noise", format!("{}%", state(1)), 0, false),
    ];
    for (name, asked, at, good) in rows {
        let mut browser = Browser::default();
        begin(&mut browser, &jar, &keys, 1, now());
        assert_eq!(
            take(&mut browser, &jar, &keys, &asked, after(at)).is_some(),
            good,
            "{name}"
        );
        assert!(
            browser.names().is_empty(),
            "{name}: deleted whatever came of it"
        );
    }
    let mut browser = Browser::default();
    let mut elsewhere = attempt(&state(1), now());
    elsewhere.issuer = "https://other.example.com".to_owned();
    let out = sets(&jar, "", &keys, now(), |wallet| {
        wallet.store_login(&elsewhere).unwrap();
    });
    browser.take(&out);
    assert!(take(&mut browser, &jar, &keys, &state(1), now()).is_none());
}

#[test]
fn other_logins_are_not_touched_by_a_callback() {
    let (jar, keys) = (jar(), ring());
    let mut browser = Browser::default();
    begin(&mut browser, &jar, &keys, 1, now());
    for state in ["", "x", &state(2), "00000001"] {
        let mut browser = browser.clone();
        let none = take(&mut browser, &jar, &keys, state, now()).is_none();
        assert!(
            none && browser.names().len() == usize::from(state != "00000001"),
            "{state}"
        );
    }
}

#[test]
fn a_login_cookie_fits_its_cookie_or_is_refused() {
    // C1, C16
    let (keys, mut form_post) = (ring(), settings());
    form_post.login_same_site = crate::session::SameSite::None;
    let jar = Jar::new(form_post);
    let mut long = attempt(&state(1), now());
    long.rest = "r".repeat(2400);
    let out = sets(&jar, "", &keys, now(), |wallet| {
        wallet.store_login(&long).unwrap();
    });
    let line = out.lines().next().unwrap();
    assert!(
        line.ends_with("; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=600"),
        "{line}"
    );
    let mut long = attempt(&state(1), now());
    long.acr_values = Some("a".repeat(3000));
    let (refused, out) = answer(&jar, "", &keys, now(), |wallet| wallet.store_login(&long));
    let Err(StoreError::TooLarge(too_large)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(too_large.parts[0], ("acr_values".to_owned(), 3000));
    assert!(out.is_empty());
}

#[test]
fn a_login_cookie_under_another_name_does_not_open() {
    // E2
    let (jar, keys) = (jar(), ring());
    let mut browser = Browser::default();
    begin(&mut browser, &jar, &keys, 1, now());
    let value = browser.value("__Host-Http-shop-login.00000001").to_owned();
    for (header, asked) in [
        (format!("{BASE}-login.00000002={value}"), state(2)),
        (
            format!("{BASE}-login.00000001={value}; {BASE}-login.00000001={value}"),
            state(1),
        ),
    ] {
        let (taken, out) = answer(&jar, &header, &keys, now(), |wallet| {
            wallet.take_login(&asked)
        });
        assert!(taken.is_none());
        assert_eq!(deleted(&out).len(), 1, "{header}");
    }
}

#[test]
fn a_login_of_an_unknown_key_is_left_for_another_replica() {
    // E19
    let (jar, keys, other) = (jar(), ring(), ring());
    let mut browser = Browser::default();
    begin(&mut browser, &jar, &keys, 1, now());
    assert!(take(&mut browser, &jar, &other, &state(1), now()).is_none());
    assert!(take(&mut browser, &jar, &keys, &state(1), now()).is_some());
}

/// What the browser and the provider bring back, of a login that was to end at `return_to`.
fn there_and_back(
    jar: &Jar,
    keys: &Arc<KeyRing>,
    return_to: &ReturnTo,
) -> (LoginState, LoginAttempt) {
    let (said, rest) = LoginState::new(return_to, false, now());
    let random = "r".repeat(43);
    let state = wallet(jar, "", keys, now())
        .seal_login_state(&random, &said)
        .unwrap();
    assert!(state.len() < 2500, "{}", state.len());
    let mut begun = attempt(&random, now());
    begun.rest = rest;
    let mut browser = Browser::default();
    let out = sets(jar, "", keys, now(), |wallet| {
        wallet.store_login(&begun).unwrap();
    });
    browser.take(&out);
    let reader = wallet(jar, "", keys, now());
    let (random, said) = reader.open_login_state(&state).unwrap();
    let taken = take(&mut browser, jar, keys, random, now()).unwrap();
    (said, taken)
}

#[test]
fn a_login_ends_where_it_was_to_end_however_long_that_is() {
    // P13
    let (jar, keys) = (jar(), ring());
    for (len, rest) in [
        (1, 0),
        (640, 0),
        (641, 1),
        (3040, 2400),
        (3041, 2400),
        (4096, 2400),
    ] {
        // Nothing in it repeats itself.
        let noise = session_of(len, now()).tokens.access_token;
        let return_to = format!("/{}", &noise.secret()[..len - 1]);
        let return_to = ReturnTo::parse(&return_to).unwrap();
        let (said, taken) = there_and_back(&jar, &keys, &return_to);
        assert_eq!(taken.rest.len(), rest, "{len}");
        assert_eq!(said.return_to(Some(&taken)), return_to, "{len}");
        let without = said.return_to(None);
        let expect = if rest == 0 { return_to.as_str() } else { "/" };
        assert_eq!(without.as_str(), expect, "{len}");
        let (_, rest) = LoginState::new(&return_to, true, now());
        assert_eq!(
            rest.len(),
            len.saturating_sub(2000),
            "{len} beside a session"
        );
    }
}

#[test]
fn without_its_cookie_a_login_ends_at_the_page_if_not_at_the_query() {
    let (jar, keys) = (jar(), ring());
    for joint in ["?", "#"] {
        let long = format!("/orders/7{joint}{}", "q".repeat(3000));
        let (said, taken) = there_and_back(&jar, &keys, &ReturnTo::parse(&long).unwrap());
        assert_eq!(said.return_to(Some(&taken)).as_str(), long);
        assert_eq!(said.return_to(None).as_str(), "/orders/7");
    }
}

#[test]
fn a_state_opens_as_it_was_sealed_and_for_its_own_random_part() {
    // B2, E2
    let (jar, keys) = (jar(), ring());
    let (mut said, _) = LoginState::new(&ReturnTo::parse("/x").unwrap(), false, now());
    said.manner = Manner::Quiet;
    said.is_demanding = true;
    let random = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEF";
    let random = &random[..43];
    let wallet_of = |keys| wallet(&jar, "", keys, now());
    let wallet = wallet_of(&keys);
    let state = wallet.seal_login_state(random, &said).unwrap();
    assert!(state.len() < 250, "{state}");
    let (found, opened) = wallet.open_login_state(&state).unwrap();
    assert_eq!(found, random);
    assert_eq!(format!("{opened:?}"), format!("{said:?}"));
    let sealed = &state[43..];
    for bad in [
        String::new(),
        random.to_owned(),
        sealed.to_owned(),
        format!("{}{sealed}", random.replace('0', "1")),
        format!("{}{sealed}", &random[1..]),
        format!("{random}.{sealed}"),
        format!("{random}{}", &sealed[1..]),
        format!("{state}{sealed}"),
        format!("ü{}", &state[2..]),
        format!("{state}="),
        state.replacen('0', "%", 1),
    ] {
        assert!(wallet.open_login_state(&bad).is_none(), "{bad}");
    }
    assert!(wallet_of(&ring()).open_login_state(&state).is_none());
}
