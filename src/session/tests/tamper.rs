use proptest::prelude::*;

use super::*;
use crate::keyring::{Alg, Key};
use crate::session::samples::{jar, session, settings};
use crate::session::{Compression, OpenResult};

fn three_chunks() -> (Jar, Arc<KeyRing>, Vec<(String, String)>) {
    let (jar, keys) = (jar(), ring());
    let browser = holding(&jar, &session_of(len_of_chunks(3), now()), &keys);
    let cookies = browser
        .0
        .into_iter()
        .map(|(name, (value, _))| (name, value))
        .collect();
    (jar, keys, cookies)
}

fn header(cookies: &[(String, String)]) -> String {
    let pairs: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

/// Loads, and checks what holds for everything that does not open.
fn refused(jar: &Jar, keys: &Arc<KeyRing>, header: &str) -> OpenResult {
    let (loaded, out) = load(jar, header, keys, now());
    assert!(loaded.session.is_none() && loaded.kid.is_none());
    match loaded.result {
        // E19
        OpenResult::UnknownKey => assert!(out.is_empty()),
        OpenResult::Rejected => assert!(!deleted(&out).is_empty(), "C9"),
        other => panic!("{other:?}"),
    }
    loaded.result
}

#[test]
fn every_other_arrangement_of_the_chunks_is_rejected() {
    // C5, C9, C10
    let (jar, keys, cookies) = three_chunks();
    let [a, b, c] = [0, 1, 2].map(|at| cookies[at].clone());
    let named =
        |name: &(String, String), value: &(String, String)| (name.0.clone(), value.1.clone());
    let cut = |chunk: &(String, String)| (chunk.0.clone(), chunk.1[1..].to_owned());
    let longer = |chunk: &(String, String)| (chunk.0.clone(), format!("{}A", chunk.1));
    let quoted = |chunk: &(String, String)| (chunk.0.clone(), format!("\"{}\"", chunk.1));
    for (name, cookies) in [
        ("first dropped", vec![b.clone(), c.clone()]),
        ("middle dropped", vec![a.clone(), c.clone()]),
        ("last dropped", vec![a.clone(), b.clone()]),
        ("two swapped", vec![a.clone(), named(&b, &c), named(&c, &b)]),
        (
            "first swapped",
            vec![named(&a, &b), named(&b, &a), c.clone()],
        ),
        (
            "one duplicated as another",
            vec![a.clone(), b.clone(), named(&c, &b)],
        ),
        (
            "repeated, good first",
            vec![a.clone(), b.clone(), c.clone(), named(&a, &c)],
        ),
        (
            "repeated, good last",
            vec![named(&a, &c), a.clone(), b.clone(), c.clone()],
        ),
        (
            "repeated, equal",
            vec![a.clone(), b.clone(), c.clone(), c.clone()],
        ),
        ("first cut", vec![cut(&a), b.clone(), c.clone()]),
        ("last cut", vec![a.clone(), b.clone(), cut(&c)]),
        ("last longer", vec![a.clone(), b.clone(), longer(&c)]),
        (
            "last empty",
            vec![a.clone(), b.clone(), (c.0.clone(), String::new())],
        ),
        ("quoted", vec![a.clone(), b.clone(), quoted(&c)]),
        (
            "padded",
            vec![a.clone(), b.clone(), (c.0.clone(), format!("{}=", c.1))],
        ),
    ] {
        assert_eq!(
            refused(&jar, &keys, &header(&cookies)),
            OpenResult::Rejected,
            "{name}"
        );
    }
    let reordered = header(&[c, a, b]);
    assert_eq!(
        load(&jar, &reordered, &keys, now()).0.result,
        OpenResult::Ok,
        "C10"
    );
}

#[test]
fn chunks_of_two_sessions_do_not_mix() {
    // C5, E1
    let (jar, keys, cookies) = three_chunks();
    let other = holding(&jar, &session_of(len_of_chunks(3), now()), &keys);
    for at in 0..3 {
        let mut mixed = cookies.clone();
        mixed[at].1 = other.value(&cookies[at].0).to_owned();
        assert_eq!(
            refused(&jar, &keys, &header(&mixed)),
            OpenResult::Rejected,
            "chunk {at}"
        );
    }
}

#[test]
fn every_bit_flip_of_a_character_is_refused() {
    // C5, E1, E2, E11
    let keys = ring();
    for compression in [Compression::Zstd, Compression::None] {
        let mut settings = settings();
        settings.session.compression = compression;
        let jar = Jar::new(settings);
        let browser = holding(&jar, &session(now()), &keys);
        let value = browser.value(BASE);
        for at in 0..value.len() {
            for bit in 0..7 {
                let mut line = format!("{BASE}={value}").into_bytes();
                line[BASE.len() + 1 + at] ^= 1 << bit;
                let lines = std::iter::once(line.as_slice());
                let mut wallet = jar.wallet(lines, Arc::clone(&keys), now());
                let loaded = wallet.load();
                let out = wallet.set_cookies();
                // Bytes 0 and 1 are version and packing, in characters 0 to 2; bytes 6 to 13 the kid, in characters 8 to 18.
                let of_others = matches!(at, 0..=2 | 8..=18);
                let unknown = of_others && loaded.result == OpenResult::UnknownKey;
                assert!(
                    unknown || loaded.result == OpenResult::Rejected,
                    "{at} {bit}: {loaded:?}"
                );
                assert_eq!(out.is_empty(), unknown, "E19");
            }
        }
    }
}

#[test]
fn one_kind_of_cookie_does_not_open_as_another() {
    // E2, E3
    let (jar, keys) = (jar(), ring());
    let mut browser = holding(&jar, &session(now()), &keys);
    let out = sets(
        &jar,
        "",
        &keys,
        crate::session::samples::after(900),
        |wallet| wallet.touch(&session(now())),
    );
    browser.take(&out);
    let seen = browser.value("__Host-Http-shop-seen").to_owned();
    assert_eq!(
        refused(&jar, &keys, &format!("{BASE}={seen}")),
        OpenResult::Rejected
    );
    let swapped = format!(
        "{BASE}={0}; {BASE}-seen={0}; {BASE}-out={0}",
        browser.value(BASE)
    );
    let (loaded, out) = load(&jar, &swapped, &keys, now());
    assert_eq!(loaded.result, OpenResult::Ok, "the others do not count");
    assert_eq!(
        deleted(&out),
        ["__Host-Http-shop-seen", "__Host-Http-shop-out"]
    );
}

#[test]
fn what_is_sealed_with_an_unknown_key_is_left_alone() {
    // E19
    let (jar, keys, mut cookies) = three_chunks();
    let at = UnixTime::from_secs(0);
    let newer = Key::generate(Alg::XChaCha20Poly1305, at, at).unwrap();
    let lagging = ring_of(vec![newer]);
    cookies.push((format!("{BASE}.7"), "surplus".to_owned()));
    assert_eq!(
        load(&jar, &header(&cookies), &keys, now()).0.result,
        OpenResult::Ok
    );
    assert_eq!(
        refused(&jar, &lagging, &header(&cookies)),
        OpenResult::UnknownKey
    );
}

#[test]
fn junk_under_our_names_is_rejected_and_cleared() {
    // C9, C22
    let (jar, keys) = (jar(), ring());
    let long = "A".repeat(100_000);
    for value in [
        "",
        "x",
        "AQEAAA",
        "AQH__w",
        "AAAAAAAAAAAAAAAAAAAA",
        "%41",
        &long,
    ] {
        for line in [
            format!("{BASE}={value}"),
            format!("{BASE}.1={value}"),
            format!("{BASE}={value}; {BASE}.1={value}; {BASE}.255={value}"),
        ] {
            assert_eq!(
                refused(&jar, &keys, &line),
                OpenResult::Rejected,
                "{value:.20}"
            );
        }
    }
    let (loaded, out) = load(&jar, "a=b; __host-http-shop=x", &keys, now());
    assert_eq!(loaded.result, OpenResult::Anonymous, "C12");
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// C5: a change anywhere, of any length, in any chunk.
    #[test]
    fn any_change_of_a_chunk_is_refused(chunk in 0..3_usize, at: prop::sample::Index, cut in 0..40_usize, insert in "[A-Za-z0-9_-]{0,40}") {
        let (jar, keys, mut cookies) = three_chunks();
        let value = &mut cookies[chunk].1;
        let at = at.index(value.len());
        let end = (at + cut).min(value.len());
        prop_assume!(value[at..end] != *insert);
        value.replace_range(at..end, &insert);
        refused(&jar, &keys, &header(&cookies));
    }

    #[test]
    fn any_header_is_read_without_panic(lines in prop::collection::vec(any::<Vec<u8>>(), 0..4), text in "(__Host-Http-shop[-.a-z0-9]{0,9}=[A-Za-z0-9_%\"-]{0,90};? ?){0,9}") {
        let (jar, keys) = (jar(), ring());
        let lines = lines.iter().map(Vec::as_slice).chain([text.as_bytes()]);
        let mut wallet = jar.wallet(lines, keys, now());
        prop_assert!(wallet.load().session.is_none());
        wallet.delete_all();
        deleted(wallet.set_cookies());
    }
}
