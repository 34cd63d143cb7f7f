use super::*;
use crate::keyring::{Alg, Key};
use crate::session::samples::{after, jar, session};
use crate::session::{OpenResult, SessionId};

const SEEN: &str = "__Host-Http-shop-seen";
const IDLE: u64 = 30 * 60;

/// A request at `at`, as the pipeline treats it.
fn visit(
    browser: &mut Browser,
    jar: &Jar,
    keys: &Arc<KeyRing>,
    at: UnixTime,
) -> (OpenResult, bool) {
    let header = browser.header();
    let (loaded, out) = answer(jar, &header, keys, at, |wallet| {
        let loaded = wallet.load();
        if let Some(session) = &loaded.session {
            wallet.touch(session);
        }
        loaded
    });
    browser.take(&out);
    let wrote = out
        .lines()
        .any(|line| line.starts_with(SEEN) && !line.contains("Max-Age=0"));
    (loaded.result, wrote)
}

#[test]
fn a_session_ends_at_its_absolute_end_however_active_it_is() {
    // F1, C14
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let end = 8 * 3600;
    for at in (0..end).step_by(600) {
        assert_eq!(
            visit(&mut browser, &jar, &keys, after(at)).0,
            OpenResult::Ok,
            "{at}"
        );
    }
    let kept = browser.clone();
    assert_eq!(
        visit(&mut browser, &jar, &keys, after(end)).0,
        OpenResult::Expired
    );
    assert!(browser.names().is_empty());
    assert_eq!(
        load(&jar, &kept.header(), &keys, after(end)).0.result,
        OpenResult::Expired,
        "restored"
    );
}

#[test]
fn replicas_whose_clocks_are_a_minute_apart_serve_the_same_session() {
    // G18: sealed by one that is ahead, or behind
    let (jar, keys) = (jar(), ring());
    for (sealed_at, read_at) in [(60, 0), (0, 60)] {
        let mut browser = holding(&jar, &session(after(sealed_at)), &keys);
        let (result, wrote) = visit(&mut browser, &jar, &keys, after(read_at));
        assert_eq!((result, wrote), (OpenResult::Ok, false));
        let (loaded, _) = load(&jar, &browser.header(), &keys, after(read_at));
        let loaded = loaded.session.unwrap();
        assert!(!loaded.refresh_due(after(read_at), std::time::Duration::from_mins(1)));
        assert_eq!(loaded.ends_at, after(sealed_at + 8 * 3600));
    }
}

#[test]
fn a_session_that_rests_too_long_is_over() {
    // F2
    let (jar, keys) = (jar(), ring());
    let browser = holding(&jar, &session(now()), &keys);
    for (rest, result) in [(IDLE, OpenResult::Ok), (IDLE + 1, OpenResult::Idle)] {
        let mut browser = browser.clone();
        assert_eq!(visit(&mut browser, &jar, &keys, after(rest)).0, result);
        assert_eq!(browser.names().is_empty(), result == OpenResult::Idle);
    }
}

#[test]
fn activity_is_written_every_tenth_of_the_idle_timeout() {
    // F2, G9
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let mut writes = Vec::new();
    for at in (0..3600).step_by(20) {
        let before = browser.value(BASE).to_owned();
        let (result, wrote) = visit(&mut browser, &jar, &keys, after(at));
        assert_eq!(result, OpenResult::Ok);
        assert_eq!(
            browser.value(BASE),
            before,
            "activity does not write tokens"
        );
        writes.extend(wrote.then_some(at));
    }
    assert_eq!(writes, (180..3600).step_by(180).collect::<Vec<_>>());
    assert_eq!(
        visit(&mut browser, &jar, &keys, after(3420 + IDLE)).0,
        OpenResult::Ok
    );
}

#[test]
fn activity_counts_for_its_own_session_only() {
    // F2
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let mut other = session(now());
    other.id = SessionId([8; 16]);
    let out = sets(&jar, "", &keys, after(IDLE), |wallet| wallet.touch(&other));
    browser.take(&out);
    let mut early = browser.clone();
    assert_eq!(visit(&mut early, &jar, &keys, after(60)).0, OpenResult::Ok);
    assert_eq!(
        early.names(),
        [BASE],
        "the other session's activity is cleared away"
    );
    assert_eq!(
        visit(&mut browser, &jar, &keys, after(IDLE + 60)).0,
        OpenResult::Idle
    );
}

#[test]
fn a_refresh_starts_the_idle_time_again() {
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let header = browser.header();
    let mut wallet = wallet(&jar, &header, &keys, after(1000));
    let loaded = wallet.load().session.unwrap();
    assert_eq!(loaded.last_seen, now());
    wallet.store(&loaded).unwrap();
    browser.take(wallet.set_cookies());
    let (loaded, _) = load(&jar, &browser.header(), &keys, after(1000 + IDLE));
    let session = loaded.session.unwrap();
    assert_eq!(
        (session.last_seen, session.started_at),
        (after(1000), now())
    );
}

#[test]
fn activity_of_which_only_a_newer_key_tells_ends_nothing() {
    // E19
    let jar = jar();
    let at = UnixTime::from_secs(0);
    let [old, new] = [(); 2].map(|()| Key::generate(Alg::default(), at, at).unwrap());
    let newer = ring_of(vec![new]);
    let lagging = ring_of(vec![old]);
    let mut browser = holding(&jar, &session(now()), &lagging);
    let out = sets(&jar, "", &newer, after(IDLE), |wallet| {
        wallet.touch(&session(now()));
    });
    browser.take(&out);
    let junk = ("junk".to_owned(), "Path=/; SameSite=Strict".to_owned());
    browser.0.insert(format!("{BASE}-out"), junk);
    let kept = browser.names().len();
    assert_eq!(
        visit(&mut browser, &jar, &lagging, after(IDLE + 1)).0,
        OpenResult::UnknownKey
    );
    assert_eq!(browser.names().len(), kept);
}
