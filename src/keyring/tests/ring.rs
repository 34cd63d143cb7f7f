//! Which key seals, and when a ring is none.

use proptest::prelude::*;

use crate::clock::UnixTime;
use crate::keyring::{Alg, Key, KeyRing, KeyRingError};

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn key(activates_at: u64) -> Key {
    Key::generate(Alg::default(), at(0), at(activates_at)).unwrap()
}

#[test]
fn a_ring_needs_an_active_key_and_names_the_command_otherwise() {
    let rows = [
        (vec![], "there is no key: run `sealgate --rotate-keys`"),
        (vec![key(311)], "activates at 1970-01-01T00:05:11Z"),
    ];
    for (keys, expected) in rows {
        let error = KeyRing::from_keys(keys, at(10)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn where_the_clock_is_a_little_behind_the_earliest_key_seals() {
    for activates_at in [10, 13, 310] {
        let ring = KeyRing::from_keys(vec![key(activates_at), key(400)], at(10)).unwrap();
        assert_eq!(ring.primary(at(10)).activates_at(), at(activates_at));
    }
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let first = key(0);
    let twin = Key::from_secret(
        zeroize::Zeroizing::new(*first.secret()),
        Alg::XChaCha20Poly1305,
        at(0),
        at(5),
    );
    let error = KeyRing::from_keys(vec![first, key(3), twin.unwrap()], at(10)).unwrap_err();
    assert!(matches!(error, KeyRingError::Duplicate(_)), "{error}");
}

#[test]
fn a_clock_that_steps_back_leaves_a_primary() {
    let ring = KeyRing::from_keys(vec![key(20), key(10)], at(30)).unwrap();
    assert_eq!(ring.primary(at(30)).activates_at(), at(20));
    assert_eq!(ring.primary(at(0)).activates_at(), at(10));
    assert!(ring.seal(at(0), "session", b"", b"x").is_ok());
}

#[test]
fn a_fingerprint_depends_on_all_that_a_key_does() {
    // E27
    let secret = *key(1).secret();
    let of = |alg, created_at, activates_at| {
        let secret = zeroize::Zeroizing::new(secret);
        let key = Key::from_secret(secret, alg, at(created_at), at(activates_at)).unwrap();
        KeyRing::from_keys(vec![key], at(10)).unwrap().fingerprint()
    };
    let [one, other] = Alg::ALL;
    assert_eq!(of(one, 1, 5), of(one, 2, 5));
    assert_ne!(of(one, 1, 5), of(other, 1, 5));
    assert_ne!(of(one, 1, 5), of(one, 1, 6));
}

#[test]
fn a_fingerprint_depends_on_the_keys_and_not_on_their_order() {
    // E27
    let secrets = [key(1), key(2), key(3)].map(|key| *key.secret());
    let ring = |order: &[usize]| {
        let keys = order.iter().map(|which| {
            let secret = zeroize::Zeroizing::new(secrets[*which]);
            let activates_at = at(10 - u64::try_from(order.len()).unwrap());
            Key::from_secret(secret, Alg::default(), at(0), activates_at).unwrap()
        });
        KeyRing::from_keys(keys.collect(), at(10)).unwrap()
    };
    let fingerprint = ring(&[0, 1, 2]).fingerprint();
    assert_eq!(fingerprint.len(), 16);
    assert_eq!(fingerprint, ring(&[2, 0, 1]).fingerprint());
    assert_ne!(fingerprint, ring(&[0, 1]).fingerprint());
}

proptest! {
    #[test]
    fn at_every_instant_there_is_one_primary(
        activations in prop::collection::vec(0..50_u64, 1..8),
        now in 0..60_u64,
        reverse: bool,
    ) {
        // E18: the same one whatever the order of the files, and the newest of those that are
        // active.
        let mut keys: Vec<Key> = activations.iter().copied().map(key).collect();
        let best = keys
            .iter()
            .filter(|key| key.activates_at() <= at(now))
            .map(|key| (key.activates_at(), key.kid()))
            .max();
        let first = keys.iter().map(|key| (key.activates_at(), key.kid())).min();
        if reverse {
            keys.reverse();
        }
        let count = keys.len();
        let ring = KeyRing::from_keys(keys, at(50)).unwrap();
        prop_assert_eq!(ring.len(), count);
        let primary = ring.primary(at(now));
        prop_assert_eq!(Some((primary.activates_at(), primary.kid())), best.or(first));
        // Everything but the primary opens too.
        let sealed = ring.seal(at(now), "session", b"", b"x").unwrap();
        prop_assert_eq!(ring.open("session", b"", &sealed).unwrap().kid, primary.kid());
    }
}
