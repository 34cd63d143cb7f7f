use std::time::Duration;

use super::*;
use crate::session::samples::{after, attempt, jar, session, settings};
use crate::session::{OpenResult, SessionId, StoreError, TooLarge};

fn jar_of(max_bytes: usize) -> Jar {
    let mut settings = settings();
    settings.session.max_bytes = max_bytes;
    Jar::new(settings)
}

fn refused(jar: &Jar, session: &Session, header: &str, keys: &Arc<KeyRing>) -> TooLarge {
    let (stored, out) = answer(jar, header, keys, now(), |wallet| wallet.store(session));
    match stored {
        Err(StoreError::TooLarge(too_large)) => {
            assert!(out.is_empty(), "nothing is written");
            too_large
        }
        other => panic!("{other:?}"),
    }
}

/// The largest session that the budget allows.
fn largest(jar: &Jar, keys: &Arc<KeyRing>) -> Session {
    let fits = |len: &usize| {
        let session = session_of(*len, now());
        wallet(jar, "", keys, now()).store(&session).is_ok()
    };
    let len = (1..100).map(|n| n * 64).take_while(fits).last().unwrap();
    session_of(len, now())
}

/// A login as browsers begin them when somebody opens many tabs at long addresses.
fn begin(browser: &mut Browser, jar: &Jar, keys: &Arc<KeyRing>, n: usize, rest: usize) {
    let mut attempt = attempt(
        &format!("{n:08}-state"),
        now().plus(Duration::from_secs(n as u64)),
    );
    attempt.rest = "x".repeat(rest);
    let header = browser.header();
    let out = sets(jar, &header, keys, now(), |wallet| {
        wallet.store_login(&attempt).unwrap();
    });
    browser.take(&out);
}

#[test]
fn the_largest_session_with_all_that_may_stand_beside_it_is_within_the_budget() {
    // C2, C3: the cookies of interface and specification, and the `-out` mark of a session that this one replaced.
    let keys = ring();
    for max_bytes in [4096, 8192, 16 * 1024] {
        let jar = jar_of(max_bytes);
        let session = largest(&jar, &keys);
        let mut browser = holding(&jar, &session, &keys);
        for n in 0..9 {
            let header = browser.header();
            let out = sets(&jar, &header, &keys, now(), |wallet| {
                wallet.mark_replaced(SessionId([n; 16]), &session);
            });
            browser.take(&out);
        }
        let out = sets(&jar, "", &keys, after(900), |wallet| wallet.touch(&session));
        browser.take(&out);
        for n in 0..7 {
            begin(&mut browser, &jar, &keys, n, 0);
            let len = browser.header().len();
            assert!(len <= max_bytes, "{len} of {max_bytes}");
            let last = format!("{BASE}-login.{n:08}");
            assert!(
                browser.names().contains(&last.as_str()),
                "the last one lives"
            );
        }
        let (loaded, _) = load(&jar, &browser.header(), &keys, after(901));
        assert_eq!(loaded.result, OpenResult::Ok);
    }
}

#[test]
fn a_session_is_said_to_take_up_what_a_browser_sends_with_its_activity() {
    // C3
    let (jar, keys) = (jar(), ring());
    for len in [10, 2000, 5000] {
        let session = session_of(len, now());
        let mut browser = Browser::default();
        let (said, out) = answer(&jar, "", &keys, now(), |wallet| wallet.store(&session));
        browser.take(&out);
        let out = sets(&jar, "", &keys, after(900), |wallet| wallet.touch(&session));
        browser.take(&out);
        assert_eq!(said.unwrap(), browser.header().len(), "{len}");
    }
}

#[test]
fn logins_under_way_cost_no_session_its_refresh() {
    // C3, B8
    let (jar, keys) = (jar_of(8192), ring());
    let mut browser = holding(&jar, &session_of(400, now()), &keys);
    for n in 0..4 {
        begin(&mut browser, &jar, &keys, n, 1000);
    }
    assert_eq!(browser.names().len(), 5, "all live, there is room");
    let header = browser.header();
    let grown = largest(&jar, &keys);
    let out = sets(&jar, &header, &keys, now(), |wallet| {
        wallet.store(&grown).unwrap()
    });
    browser.take(&out);
    assert!(browser.header().len() <= 8192);
    let (loaded, _) = load(&jar, &browser.header(), &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok);
}

#[test]
fn a_login_that_takes_up_too_much_is_refused_and_nothing_is_lost_in_silence() {
    // P13
    let (jar, keys) = (jar_of(8192), ring());
    let browser = holding(&jar, &largest(&jar, &keys), &keys);
    let header = browser.header();
    let mut attempt = attempt("00000001-state", now());
    attempt.rest = "x".repeat(1000);
    let (refused, out) = answer(&jar, &header, &keys, now(), |wallet| {
        wallet.store_login(&attempt)
    });
    let Err(StoreError::TooLarge(too_large)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(too_large.parts[0], ("return_to".to_owned(), 1000));
    assert!(out.is_empty());
    attempt.rest.clear();
    let mut wallet = wallet(&jar, &header, &keys, now());
    wallet.store_login(&attempt).unwrap();
}

#[test]
fn what_is_too_large_names_its_biggest_parts() {
    // C2
    let (jar, keys) = (jar_of(8192), ring());
    let mut session = session_of(40 * 1024, now());
    session
        .claims
        .insert("groups".to_owned(), vec!["group"; 500].into());
    let too_large = refused(&jar, &session, "", &keys);
    assert!(too_large.needed > 41_000, "{too_large}");
    let names: Vec<&str> = too_large
        .parts
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names[..3],
        ["access_token", "claims.groups", "other cookies"]
    );
    assert_eq!(names.len(), 5);
    assert!(too_large.parts[0].1 >= 30 * 1024 && too_large.parts[1].1 > 3000);
    let shown = too_large.to_string();
    assert!(
        shown.contains("8192 are allowed") && shown.contains("access_token"),
        "{shown}"
    );
    assert!(!shown.contains("aaaa"), "F14");
}

#[test]
fn a_field_that_no_decoder_takes_is_not_written() {
    // E17
    let (jar, keys) = (jar(), ring());
    let mut long = session(now());
    long.subject = "s".repeat(5000);
    assert_eq!(refused(&jar, &long, "", &keys).parts[0].0, "subject");
    let longer = session_of(70_000, now());
    assert_eq!(refused(&jar, &longer, "", &keys).parts[0].0, "access_token");
}

#[test]
fn dead_logins_are_cleared_when_a_session_is_written() {
    // B8
    let (jar, keys) = (jar(), ring());
    let later = after(601);
    let mut browser = holding(&jar, &session(later), &keys);
    for (state, at) in [("old-abcdef", now()), ("new-abcdef", later)] {
        let out = sets(&jar, "", &keys, at, |wallet| {
            wallet.store_login(&attempt(state, at)).unwrap();
        });
        browser.take(&out);
    }
    let header = format!("{}; {BASE}-login.junk=x", browser.header());
    let out = sets(&jar, &header, &keys, later, |wallet| {
        wallet.store(&session(later)).unwrap()
    });
    let mut names: Vec<&str> = out.names().collect();
    names.sort_unstable();
    let dead = ["junk", "old-abcd"].map(|id| format!("{BASE}-login.{id}"));
    assert_eq!(names, [BASE, &dead[0], &dead[1]]);
}
