use super::*;
use crate::keyring::KeyRing;
use crate::session::samples::{jar, session};
use crate::session::{OpenResult, SessionId};

/// A refresh whose tokens make this many chunks.
fn refresh(browser: &mut Browser, jar: &Jar, keys: &Arc<KeyRing>, chunks: usize) {
    let header = browser.header();
    let mut wallet = wallet(jar, &header, keys, now());
    let mut session = Session::clone(&wallet.load().session.unwrap());
    session.tokens = session_of(len_of_chunks(chunks), now()).tokens;
    wallet.store(&session).unwrap();
    browser.take(wallet.set_cookies());
    assert_eq!(
        browser.names().len(),
        chunks,
        "nothing stale is left behind"
    );
    let (loaded, out) = load(jar, &browser.header(), keys, now());
    assert_eq!(loaded.result, OpenResult::Ok);
    assert_eq!(
        loaded.session.unwrap().tokens.access_token.secret().len(),
        len_of_chunks(chunks)
    );
    assert!(out.is_empty());
}

#[test]
fn a_session_that_shrinks_and_grows_never_loses_itself() {
    // C6
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session_of(len_of_chunks(3), now()), &keys);
    for chunks in [3, 2, 1, 3, 1, 4, 2] {
        refresh(&mut browser, &jar, &keys, chunks);
    }
}

#[test]
fn a_login_over_a_longer_session_is_not_torn_by_chunks_the_callback_could_not_see() {
    // C4, C6, B24
    let (jar, keys) = (jar(), ring());
    for (old, new) in [(3, 1), (3, 2), (1, 3), (2, 2)] {
        let mut browser = holding(&jar, &session_of(len_of_chunks(old), now()), &keys);
        assert_eq!(
            browser.cross_site_header(),
            "",
            "Strict cookies stay at home"
        );
        let mut fresh = session_of(len_of_chunks(new), now());
        fresh.id = SessionId([8; 16]);
        let out = sets(&jar, "", &keys, now(), |wallet| {
            wallet.store(&fresh).unwrap()
        });
        browser.take(&out);

        let (loaded, out) = load(&jar, &browser.header(), &keys, now());
        assert_eq!(loaded.result, OpenResult::Ok);
        assert_eq!(loaded.session.unwrap().id, fresh.id);
        assert_eq!(deleted(&out).len(), old.saturating_sub(new), "{old} {new}");
        browser.take(&out);
        assert_eq!(browser.names().len(), new);
        assert!(load(&jar, &browser.header(), &keys, now()).1.is_empty());
    }
}

#[test]
fn a_session_over_another_key_is_sealed_with_the_primary_one() {
    // E8
    let (jar, keys) = (jar(), ring());
    let old = holding(&jar, &session(now()), &keys);
    let at = UnixTime::from_secs(0);
    let [first, second] = [at, now()].map(|activates| {
        crate::keyring::Key::generate(crate::keyring::Alg::XChaCha20Poly1305, at, activates)
            .unwrap()
    });
    let (first_kid, second_kid) = (first.kid(), second.kid());
    let rotated = ring_of(vec![first, second]);
    let before = UnixTime::from_secs(now().as_secs() - 1);
    let out = sets(&jar, "", &rotated, before, |wallet| {
        wallet.store(&session(now())).unwrap()
    });
    let mut browser = old;
    browser.take(&out);
    assert_eq!(
        load(&jar, &browser.header(), &rotated, now()).0.kid,
        Some(first_kid)
    );
    refresh(&mut browser, &jar, &rotated, 1);
    assert_eq!(
        load(&jar, &browser.header(), &rotated, now()).0.kid,
        Some(second_kid)
    );
}

#[test]
fn an_answer_that_both_stores_and_ends_only_deletes() {
    // C8
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let header = browser.header();
    let grown = session_of(len_of_chunks(3), now());
    let out = sets(&jar, &header, &keys, now(), |wallet| {
        wallet.store(&grown).unwrap();
        wallet.end(None);
    });
    browser.take(&out);
    assert!(browser.names().is_empty(), "{:?}", browser.names());
    assert_eq!(deleted(&out).len(), 4, "three chunks and -seen");
}

#[test]
fn everything_of_ours_can_be_deleted_at_once() {
    // C22
    let jar = jar();
    let header = "a=b; __Host-Http-shop=x; __Host-Http-shop.3=x; __Host-Http-shop-login.abc=x; \
                  __Host-Http-shop-out=x; __Http-shop-hint=x; __Host-Http-other=x";
    let mut wallet = wallet(&jar, header, &ring(), now());
    wallet.delete_all();
    let out = wallet.into_set_cookies();
    assert_eq!(deleted(&out).len(), 5, "{out:?}");
    assert!(out.lines().any(|line| {
        line.starts_with("__Http-shop-hint=; Path=/bff/logout; Secure; HttpOnly; SameSite=Strict;")
    }));
}
