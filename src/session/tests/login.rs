use super::*;
use crate::session::samples::{after, attempt, jar, settings};
use crate::session::{LoginAttempt, StoreError};

/// A state that differs from others in the part that names the cookie.
fn state(n: usize) -> String {
    format!("{n:08}-and-the-rest-of-it")
}

fn begin(browser: &mut Browser, jar: &Jar, keys: &KeyRing, n: usize, at: UnixTime) {
    let header = browser.cross_site_header();
    let mut out = SetCookies::none();
    jar.store_login(
        attempt(&state(n), at),
        &read(jar, &header),
        keys,
        at,
        &mut out,
    )
    .unwrap();
    browser.take(&out);
}

fn take(
    browser: &mut Browser,
    jar: &Jar,
    keys: &KeyRing,
    state: &str,
    at: UnixTime,
) -> Option<LoginAttempt> {
    let header = browser.cross_site_header();
    let mut out = SetCookies::none();
    let attempt = jar.take_login(state, &read(jar, &header), keys, at, &mut out);
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
        assert_eq!(taken.return_to.as_str(), "/orders/7?x=1");
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
        assert!(browser.names().len() <= 5);
    }
    let kept: Vec<String> = (45..50).map(|n| format!("{BASE}-login.{n:08}")).collect();
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
    for n in 0..4 {
        begin(&mut browser, &jar, &keys, n, after(n as u64));
    }
    let mut foreign = Browser::default();
    begin(&mut foreign, &jar, &other, 9, after(9));
    browser.0.append(&mut foreign.0);
    let attributes = "Path=/; SameSite=Lax".to_owned();
    browser.0.insert(
        format!("{BASE}-login.junk"),
        ("junk".to_owned(), attributes),
    );
    begin(&mut browser, &jar, &keys, 10, after(10));
    let kept: Vec<String> = [0, 1, 2, 3, 10]
        .map(|n| format!("{BASE}-login.{n:08}"))
        .to_vec();
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
    let mut out = SetCookies::none();
    jar.store_login(elsewhere, &Received::none(), &keys, now(), &mut out)
        .unwrap();
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
    long.return_to = crate::names::ReturnTo::parse(&format!("/{}", "r".repeat(1000))).unwrap();
    let mut out = SetCookies::none();
    jar.store_login(long, &Received::none(), &keys, now(), &mut out)
        .unwrap();
    let line = out.lines().next().unwrap();
    assert!(
        line.ends_with("; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=600"),
        "{line}"
    );
    let mut long = attempt(&state(1), now());
    long.acr_values = Some("a".repeat(3000));
    let mut out = SetCookies::none();
    let refused = jar.store_login(long, &Received::none(), &keys, now(), &mut out);
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
        let mut out = SetCookies::none();
        let taken = jar.take_login(&asked, &read(&jar, &header), &keys, now(), &mut out);
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
