//! A worker that remembers what it opened judges every request as one that does not.

use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::keyring::{Alg, Key, OpenError};
use crate::names::FrontendName;
use crate::proof::{KEY_BYTES, PublicKey};
use crate::session::samples::{after, jar, session, settings};
use crate::session::{OpenResult, OpenSession, OpenedSessions};

fn again(
    known: &mut OpenedSessions,
    jar: &Jar,
    header: &str,
    keys: &Arc<KeyRing>,
    at: UnixTime,
) -> (Loaded, SetCookies) {
    answer(jar, header, keys, at, |wallet| wallet.load_cached(known))
}

#[test]
fn the_same_cookies_are_opened_once() {
    let (jar, keys) = (jar(), ring());
    let mut known = OpenedSessions::default();
    let mut browser = holding(&jar, &session_of(len_of_chunks(2), now()), &keys);
    let first = again(&mut known, &jar, &browser.header(), &keys, now()).0;
    let second = again(&mut known, &jar, &browser.header(), &keys, now()).0;
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert!(Rc::ptr_eq(&first, &second));
    assert_eq!(
        *first.authorization().unwrap().bearer().unwrap(),
        format!("Bearer {}", first.tokens.access_token.secret())
    );
    assert!(
        first
            .authorization()
            .unwrap()
            .bearer()
            .unwrap()
            .is_sensitive()
    );

    // Activity has its own cookie, and is part of what is remembered.
    let out = sets(&jar, "", &keys, after(600), |wallet| wallet.touch(&first));
    browser.take(&out);
    let (third, _) = again(&mut known, &jar, &browser.header(), &keys, after(601));
    assert_eq!(third.session.unwrap().last_seen, after(600));
}

#[test]
fn time_and_marks_are_judged_again() {
    // F1, F2, C14, G10
    let (jar, keys) = (jar(), ring());
    let mut known = OpenedSessions::default();
    let browser = holding(&jar, &session(now()), &keys);
    let header = browser.header();
    for (at, result) in [
        (0, OpenResult::Ok),
        (30 * 60, OpenResult::Ok),
        (30 * 60 + 1, OpenResult::Idle),
        (8 * 3600, OpenResult::Expired),
    ] {
        // Asked twice, so that the second is surely remembered.
        for _ in 0..2 {
            let (loaded, out) = again(&mut known, &jar, &header, &keys, after(at));
            assert_eq!(loaded.result, result, "{at}");
            assert_eq!(loaded.session.is_some(), out.is_empty());
        }
    }
    let live = again(&mut known, &jar, &header, &keys, now()).0.session;
    let out = sets(&jar, &header, &keys, now(), |wallet| {
        wallet.end(live.as_deref().map(|s| &**s));
    });
    let mut after_logout = browser.clone();
    after_logout.take(&out);
    let late = format!("{}; {header}", after_logout.header());
    let (loaded, _) = again(&mut known, &jar, &late, &keys, now());
    assert_eq!(loaded.result, OpenResult::Ended);
}

#[test]
fn a_key_that_is_dropped_takes_its_sessions_with_it() {
    // G17, E19
    let (jar, keys) = (jar(), ring());
    let mut known = OpenedSessions::default();
    let header = holding(&jar, &session(now()), &keys).header();
    assert_eq!(
        again(&mut known, &jar, &header, &keys, now()).0.result,
        OpenResult::Ok
    );
    let (loaded, out) = again(&mut known, &jar, &header, &ring(), now());
    assert_eq!(loaded.result, OpenResult::UnknownKey);
    assert!(loaded.session.is_none() && out.is_empty());
}

#[test]
fn a_key_that_is_dropped_takes_the_activity_it_told_of_with_it() {
    // G17, E19, F1
    let jar = jar();
    let at = UnixTime::from_secs(0);
    let [one, other] = [(); 2].map(|()| Key::generate(Alg::default(), at, at).unwrap());
    let ring = |keys: &[&Key]| {
        let keys = keys.iter().map(|key| key.twin());
        ring_of(keys.collect())
    };
    let (early, both, late) = (ring(&[&one]), ring(&[&one, &other]), ring(&[&other]));
    let mut known = OpenedSessions::default();
    let mut browser = holding(&jar, &session(now()), &early);
    let (loaded, _) = again(&mut known, &jar, &browser.header(), &both, now());
    let out = sets(&jar, "", &late, after(20 * 60), |wallet| {
        wallet.touch(&loaded.session.unwrap());
    });
    browser.take(&out);
    let header = browser.header();
    for (keys, result) in [
        (&both, OpenResult::Ok),
        (&early, OpenResult::UnknownKey),
        (&both, OpenResult::Ok),
    ] {
        let (loaded, _) = again(&mut known, &jar, &header, keys, after(40 * 60));
        assert_eq!(loaded.result, result);
    }
}

#[test]
fn nothing_but_the_very_same_text_is_found() {
    // C5, E2
    let (jar, keys) = (jar(), ring());
    let mut known = OpenedSessions::default();
    let header = holding(&jar, &session(now()), &keys).header();
    assert_eq!(
        again(&mut known, &jar, &header, &keys, now()).0.result,
        OpenResult::Ok
    );
    let start = header.find('=').unwrap() + 1;
    for at in (start..header.len()).step_by(17).chain([header.len() - 1]) {
        let mut flipped = header.clone().into_bytes();
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        let (loaded, _) = again(&mut known, &jar, &flipped, &keys, now());
        assert!(loaded.session.is_none(), "{at}");
    }
    // Divided otherwise, so that the values follow each other as those that opened.
    let value = header.split_once('=').unwrap().1.to_owned();
    for other in [
        format!("{BASE}={value}; {BASE}-seen="),
        format!("{BASE}={value}; {BASE}.1=; {BASE}.2=x"),
    ] {
        let (loaded, out) = again(&mut known, &jar, &other, &keys, now());
        assert_eq!(loaded.result, OpenResult::Ok);
        assert!(
            !deleted(&out).is_empty(),
            "what does not belong is cleared away each time"
        );
        let (_, out) = again(&mut known, &jar, &other, &keys, now());
        assert!(!deleted(&out).is_empty());
    }
    // Another frontend's jar, the same value under its name.
    let mut other = settings();
    other.frontend = FrontendName::parse("other").unwrap();
    let moved = header.replace(BASE, "__Host-Http-other");
    let (loaded, _) = again(&mut known, &Jar::new(other), &moved, &keys, now());
    assert_eq!(loaded.result, OpenResult::Rejected);
}

#[test]
fn memory_is_bounded_and_forgets() {
    let (jar, keys) = (jar(), ring());
    let mut known = OpenedSessions::default();
    let headers: Vec<String> = (0..600)
        .map(|_| holding(&jar, &session(now()), &keys).header())
        .collect();
    for header in &headers {
        assert_eq!(
            again(&mut known, &jar, header, &keys, now()).0.result,
            OpenResult::Ok
        );
    }
    assert_eq!(format!("{known:?}"), "OpenedSessions(344)");
    for minutes in 1..=2 {
        again(&mut known, &jar, &headers[0], &keys, after(60 * minutes));
    }
    assert_eq!(format!("{known:?}"), "OpenedSessions(1)");
}

/// A session that is bound, and a browser that holds it and a proof of five minutes.
fn bound(jar: &Jar, keys: &Arc<KeyRing>) -> (OpenSession, Browser) {
    let mut bound = session(now());
    bound.device = Some(PublicKey::from_bytes([9; KEY_BYTES]));
    let mut browser = holding(jar, &bound, keys);
    browser.take(&proof_of(jar, &bound, keys, now()));
    (OpenSession::from(bound), browser)
}

fn proof_of(jar: &Jar, session: &Session, keys: &Arc<KeyRing>, at: UnixTime) -> SetCookies {
    let binding = session.binding().unwrap();
    sets(jar, "", keys, at, |wallet| {
        wallet.store_device_proof(binding, Duration::from_mins(5));
    })
}

#[test]
fn a_proof_that_is_remembered_is_judged_as_one_that_is_opened() {
    let (jar, keys) = (jar(), ring());
    let (session, mut browser) = bound(&jar, &keys);
    let proved = |header: &str, keys: &Arc<KeyRing>, at| {
        wallet(&jar, header, keys, at).device_proof(&session)
    };
    let header = browser.header();
    for _ in 0..2 {
        assert_eq!(proved(&header, &keys, after(299)), Ok(now()));
        assert_eq!(
            proved(&header, &keys, after(300)),
            Err(OpenError::Rejected),
            "it counts for five minutes"
        );
    }

    // Another cookie is opened, and takes its place.
    browser.take(&proof_of(&jar, &session, &keys, after(60)));
    let newer = browser.header();
    for (header, at) in [(&newer, after(60)), (&header, now()), (&newer, after(60))] {
        assert_eq!(proved(header, &keys, after(61)), Ok(at));
    }

    // A copy of the session without it, or with a part of it.
    let text = browser.value("__Host-shop-device").to_owned();
    let without = newer.replace(&text, "");
    let cut = newer.replace(&text, &text[..text.len() - 1]);
    let longer = newer.replace(&text, &format!("{text}A"));
    let last = if text.ends_with('A') { "B" } else { "A" };
    let changed = newer.replace(&text, &format!("{}{last}", &text[..text.len() - 1]));
    for header in [&without, &cut, &longer, &changed, ""] {
        assert_eq!(
            proved(header, &keys, after(61)),
            Err(OpenError::Rejected),
            "{header}"
        );
    }

    // G17: a key that has left the ring opens nothing, remembered or not.
    let other = ring_of(vec![Key::generate(Alg::default(), now(), now()).unwrap()]);
    assert_eq!(
        proved(&newer, &other, after(61)),
        Err(OpenError::UnknownKey)
    );
    assert_eq!(proved(&newer, &keys, after(61)), Ok(after(60)));
}
