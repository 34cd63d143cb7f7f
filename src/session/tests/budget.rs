use super::*;
use crate::session::samples::{after, attempt, jar, session, settings};
use crate::session::{StoreError, TooLarge};

fn jar_of(max_bytes: usize) -> Jar {
    let mut settings = settings();
    settings.session.max_bytes = max_bytes;
    Jar::new(settings)
}

fn refused(jar: &Jar, session: &Session, header: &str, keys: &KeyRing) -> TooLarge {
    let mut out = SetCookies::none();
    match jar.store(session, &read(jar, header), keys, now(), &mut out) {
        Err(StoreError::TooLarge(too_large)) => {
            assert!(out.is_empty(), "nothing is written");
            too_large
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_budget_is_the_length_of_the_cookie_header_to_the_byte() {
    // C2, C3
    let keys = ring();
    for chunks in 1..=3 {
        let session = session_of(len_of_chunks(chunks), now());
        let mut browser = holding(&jar(), &session, &keys);
        let mut out = SetCookies::none();
        jar().touch(
            &session,
            &keys,
            now().plus(std::time::Duration::from_mins(10)),
            &mut out,
        );
        jar()
            .store_login(
                &attempt("one-abcdef", now()),
                &Received::none(),
                &keys,
                now(),
                &mut out,
            )
            .unwrap();
        browser.take(&out);
        let header = browser.header();
        let mut out = SetCookies::none();
        let exact = jar_of(header.len());
        exact
            .store(&session, &read(&exact, &header), &keys, now(), &mut out)
            .unwrap();
        let tight = jar_of(header.len() - 1);
        let too_large = refused(&tight, &session, &header, &keys);
        assert_eq!(
            (too_large.needed, too_large.budget),
            (header.len(), header.len() - 1)
        );
    }
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
    assert_eq!(names[..3], ["access_token", "claims.groups", "claims.sub"]);
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
fn logins_count_while_they_live_and_are_cleared_when_they_do_not() {
    // C3, B8
    let (loose, keys, none) = (jar(), ring(), Received::none());
    let later = after(601);
    let session = session(later);
    let mut browser = holding(&loose, &session, &keys);
    let mut out = SetCookies::none();
    loose.touch(&session, &keys, after(9_000), &mut out);
    let (old, new) = (attempt("old-abcdef", now()), attempt("new-abcdef", later));
    loose
        .store_login(&new, &none, &keys, later, &mut out)
        .unwrap();
    browser.take(&out);
    let live = browser.header();
    let mut out = SetCookies::none();
    loose
        .store_login(&old, &none, &keys, now(), &mut out)
        .unwrap();
    browser.take(&out);
    let header = format!("{}; {BASE}-login.junk=x", browser.header());

    let exact = jar_of(live.len());
    let mut out = SetCookies::none();
    let received = read(&exact, &header);
    exact
        .store(&session, &received, &keys, later, &mut out)
        .unwrap();
    let mut names: Vec<&str> = out.names().collect();
    names.sort_unstable();
    let dead = ["junk", "old-abcd"].map(|id| format!("{BASE}-login.{id}"));
    assert_eq!(names, [BASE, &dead[0], &dead[1]]);

    let tight = jar_of(live.len() - 1);
    let refused = tight.store(&session, &received, &keys, later, &mut SetCookies::none());
    assert!(matches!(refused, Err(StoreError::TooLarge(t)) if t.needed == live.len()));
    // A callback takes its login first, which makes room.
    let mut out = SetCookies::none();
    assert!(
        tight
            .take_login("new-abcdef", &received, &keys, later, &mut out)
            .is_some()
    );
    tight
        .store(&session, &received, &keys, later, &mut out)
        .unwrap();
}
