use super::*;
use crate::names::ReturnTo;
use crate::session::samples::{after, jar, session, settings};
use crate::session::{LogoutHint, OpenResult, SessionId};

const OUT: &str = "__Host-Http-shop-out";

fn end(
    browser: &mut Browser,
    jar: &Jar,
    session: &Session,
    keys: &Arc<KeyRing>,
    at: UnixTime,
) -> String {
    let header = browser.header();
    let out = sets(jar, &header, keys, at, |wallet| wallet.end(Some(session)));
    browser.take(&out);
    assert_eq!(browser.names(), [OUT], "B58");
    out.lines()
        .find(|line| line.starts_with(OUT))
        .unwrap()
        .to_owned()
}

#[test]
fn a_late_answer_does_not_bring_an_ended_session_back() {
    // G10
    let (jar, keys) = (jar(), ring());
    let ended = session_of(len_of_chunks(3), now());
    let mut browser = holding(&jar, &ended, &keys);
    end(&mut browser, &jar, &ended, &keys, now());

    let late = sets(&jar, "", &keys, now(), |wallet| {
        wallet.store(&ended).unwrap()
    });
    browser.take(&late);
    let (loaded, out) = load(&jar, &browser.header(), &keys, after(60));
    assert_eq!(loaded.result, OpenResult::Ended);
    assert!(loaded.session.is_none());
    browser.take(&out);
    assert_eq!(browser.names(), [OUT], "the mark stays");
}

#[test]
fn a_new_login_is_not_affected_by_the_mark_of_the_old_one() {
    // G10, B24
    let (jar, keys) = (jar(), ring());
    let old = session(now());
    let mut browser = holding(&jar, &old, &keys);
    end(&mut browser, &jar, &old, &keys, now());
    let mut new = session(now());
    new.id = SessionId([8; 16]);
    let out = sets(&jar, "", &keys, now(), |wallet| wallet.store(&new).unwrap());
    browser.take(&out);
    let (loaded, out) = load(&jar, &browser.header(), &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok);
    assert!(out.is_empty() && browser.names().contains(&OUT));
}

#[test]
fn marks_of_the_latest_sessions_stand_beside_each_other() {
    // R, G10: who signs out of one session after another is put back into none of them
    let (jar, keys) = (jar(), ring());
    let mut browser = Browser::default();
    let sessions: Vec<Session> = (0..6_u8)
        .map(|n| {
            let mut session = session(now());
            session.id = SessionId([n; 16]);
            session.tokens.expires_at = after(300 + u64::from(n));
            session
        })
        .collect();
    for session in &sessions {
        browser.0.append(&mut holding(&jar, session, &keys).0);
        end(&mut browser, &jar, session, &keys, now());
    }
    let found = |session: &Session, at: u64| {
        let mut browser = Browser(browser.0.clone());
        browser.0.append(&mut holding(&jar, session, &keys).0);
        let (loaded, out) = load(&jar, &browser.header(), &keys, after(at));
        (loaded.result, deleted(&out).contains(&OUT))
    };
    for (n, session) in sessions.iter().enumerate() {
        let expected = if n < 2 {
            OpenResult::Ok
        } else {
            OpenResult::Ended
        };
        assert_eq!(found(session, 60), (expected, false), "{n}");
    }
    // Each for its own time; a cookie of marks that are all over is cleared away.
    assert_eq!(found(&sessions[3], 303), (OpenResult::Ok, false));
    assert_eq!(found(&sessions[5], 304), (OpenResult::Ended, false));
    let mut longer = sessions[5].clone();
    longer.tokens.expires_at = after(9_000);
    assert_eq!(found(&longer, 305), (OpenResult::Ok, true));
}

#[test]
fn a_refusal_is_told_by_the_browser_and_ends_no_session() {
    // V1, G7
    let (jar, keys) = (jar(), ring());
    let session = session(now());
    let mut browser = holding(&jar, &session, &keys);
    let refusal = [3; 16];
    let says = |browser: &Browser, refusal, at| {
        let header = browser.header();
        wallet(&jar, &header, &keys, after(at)).is_marked_refused(refusal)
    };
    assert!(!says(&browser, refusal, 0));
    let header = browser.header();
    let out = sets(&jar, &header, &keys, now(), |wallet| {
        wallet.mark_refused(refusal);
    });
    browser.take(&out);
    assert!(says(&browser, refusal, 3_599) && !says(&browser, refusal, 3_600));
    assert!(!says(&browser, [4; 16], 0));
    let (loaded, _) = load(&jar, &browser.header(), &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok);
}

#[test]
fn the_mark_lives_as_long_as_a_late_access_token_could() {
    // G10, C15
    let keys = ring();
    for (lifetime, used, left, max_age) in [
        (300, 0, 9_000, 300),
        (300, 200, 9_000, 300),
        (10, 0, 9_000, 60),
        (3_600, 0, 1_000, 1_000),
        (3_600, 0, 10, 60),
        (u64::MAX - 2_000_000, 0, 28_800, 28_800),
    ] {
        let mut session = session(now());
        session.tokens.expires_at = after(lifetime);
        session.ends_at = after(used + left);
        let mut browser = holding(&jar(), &session, &keys);
        let line = end(&mut browser, &jar(), &session, &keys, after(used));
        let expected = format!("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age}");
        assert!(
            line.ends_with(&expected),
            "{lifetime} {used} {left}: {line}"
        );

        // A browser that keeps it longer is not believed.
        let out = sets(&jar(), "", &keys, after(used), |wallet| {
            wallet.store(&session).unwrap()
        });
        browser.take(&out);
        let at = |secs| {
            load(&jar(), &browser.header(), &keys, after(used + secs))
                .0
                .result
        };
        assert_eq!(at(max_age - 1), OpenResult::Ended);
        assert_ne!(at(max_age), OpenResult::Ended);
    }
}

#[test]
fn a_mark_that_does_not_open_is_passed_over() {
    // E19
    let (jar, keys, other) = (jar(), ring(), ring());
    let session = session(now());
    let mut browser = holding(&jar, &session, &other);
    end(&mut browser, &jar, &session, &other, now());
    browser.0.append(&mut holding(&jar, &session, &keys).0);
    let (loaded, out) = load(&jar, &browser.header(), &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok);
    assert!(out.is_empty(), "another replica may know the key");
    browser.0.get_mut(OUT).unwrap().0.push('A');
    let (loaded, out) = load(&jar, &browser.header(), &keys, now());
    assert_eq!((loaded.result, deleted(&out)), (OpenResult::Ok, vec![OUT]));
}

#[test]
fn ending_nothing_deletes_and_leaves_no_mark() {
    let (jar, keys) = (jar(), ring());
    let out = sets(&jar, "", &keys, now(), |wallet| wallet.end(None));
    assert_eq!(deleted(&out), [BASE, "__Host-Http-shop-seen"]);
}

#[test]
fn the_hint_goes_to_logout_alone() {
    // C24, B61
    let (jar, keys) = (jar(), ring());
    let hint = |id_token: String| LogoutHint {
        session: SessionId([7; 16]),
        id_token,
    };
    let (fits, out) = answer(&jar, "", &keys, now(), |wallet| {
        wallet.store_hint(&hint("e30.e30.AQID".to_owned()))
    });
    assert!(fits.unwrap());
    let mut browser = Browser::default();
    browser.take(&out);
    let line = out.lines().next().unwrap();
    assert!(
        line.ends_with("; Path=/bff/logout; Secure; HttpOnly; SameSite=Strict"),
        "{line}"
    );
    assert_eq!(browser.header(), "", "API requests do not carry it");
    let header = browser.header_where(|_| true);
    let loaded = wallet(&jar, &header, &keys, now()).load_hint().unwrap();
    assert_eq!(
        (loaded.session, loaded.id_token.as_str()),
        (SessionId([7; 16]), "e30.e30.AQID")
    );
    assert!(wallet(&jar, &header, &ring(), now()).load_hint().is_none());

    let mut wallet = wallet(&jar, "", &keys, now());
    assert!(!wallet.store_hint(&hint("x".repeat(4000))).unwrap());
    assert!(wallet.set_cookies().is_empty(), "over 4096 bytes");
    wallet.delete_hint();
    browser.take(wallet.set_cookies());
    assert!(browser.names().is_empty());
}

#[test]
fn a_logout_state_brings_its_return_path_back_for_an_hour() {
    // B62
    let (jar, keys) = (jar(), ring());
    let path = ReturnTo::parse("/bye?x=1").unwrap();
    let at = |at| wallet(&jar, "", &keys, at);
    let state = at(now()).seal_logout_state(&path).unwrap();
    assert!(
        state
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
    assert_eq!(
        at(after(3599)).open_logout_state(&state),
        Some(path.clone())
    );
    assert_eq!(at(after(3600)).open_logout_state(&state), None);
    let mut other = settings();
    other.client_id = "other".to_owned();
    let other = Jar::new(other);
    let elsewhere = wallet(&other, "", &keys, now());
    assert_eq!(elsewhere.open_logout_state(&state), None);
    for bad in ["", "x", &state[1..], &format!("{state}A")] {
        assert_eq!(at(now()).open_logout_state(bad), None, "{bad}");
    }
    let longest = ReturnTo::parse(&format!("/{}", "r".repeat(1000))).unwrap();
    assert!(at(now()).seal_logout_state(&longest).is_ok());
}
