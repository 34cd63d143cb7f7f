//! What a rotation adds and deletes, and what it does not touch.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::NOW;
use crate::clock::UnixTime;
use crate::keyring::{
    Alg, Key, KeyRing, KeyRingError, Kid, Removal, RotateOptions, directory, file, owner, rotate,
};

const DAY: u64 = 86_400;
const OPTIONS: RotateOptions = RotateOptions {
    alg: Alg::Xaes256Gcm,
    activate_in: Duration::from_mins(5),
    retire_after: Duration::from_hours(24),
    drop: None,
    force: false,
};

fn dropping(kid: Kid) -> RotateOptions {
    RotateOptions {
        drop: Some(kid),
        ..OPTIONS
    }
}

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(NOW.as_secs() + secs)
}

/// A directory with keys that activate at these seconds from `NOW`, and their kids in this
/// order.
fn ring(activations: &[u64]) -> (tempfile::TempDir, Vec<Kid>) {
    let dir = tempfile::tempdir().unwrap();
    let kids = activations.iter().map(|secs| {
        let key = Key::generate(Alg::default(), NOW, at(*secs)).unwrap();
        file::write(dir.path(), &key).unwrap();
        key.kid()
    });
    let kids = kids.collect();
    (dir, kids)
}

fn kids(dir: &Path) -> Vec<Kid> {
    let mut keys = directory::survey(dir, owner::ourselves()).unwrap().keys;
    keys.sort_by_key(|key| (key.activates_at(), key.kid()));
    keys.iter().map(Key::kid).collect()
}

fn primary(dir: &Path, now: UnixTime) -> Kid {
    KeyRing::load(dir, now).unwrap().primary(now).kid()
}

#[test]
fn the_first_key_is_active_at_once() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("a/keys");
    for dir in [parent.path(), &missing] {
        let rotation = rotate(dir, &OPTIONS, NOW).unwrap();
        assert_eq!(rotation.added, Some(primary(dir, NOW)));
        assert_eq!((rotation.ring.len(), rotation.removed.len()), (1, 0));
    }
    assert_eq!(
        fs::metadata(&missing).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn the_next_key_waits_for_its_activation() {
    // E18
    let (dir, old) = ring(&[0]);
    let next = rotate(dir.path(), &OPTIONS, at(10)).unwrap().added.unwrap();
    assert_eq!(kids(dir.path()), [old[0], next]);
    for (secs, sealer) in [(10, old[0]), (309, old[0]), (310, next), (9 * DAY, next)] {
        assert_eq!(primary(dir.path(), at(secs)), sealer, "{secs}");
    }
}

#[test]
fn a_key_that_still_waits_gets_no_company_unless_forced() {
    // N16
    let (dir, _) = ring(&[0]);
    let next = rotate(dir.path(), &OPTIONS, at(10)).unwrap().added.unwrap();
    let error = rotate(dir.path(), &OPTIONS, at(309)).unwrap_err();
    assert!(
        matches!(error, KeyRingError::Waiting { kid, .. } if kid == next),
        "{error}"
    );
    let words = ["2026-11-21T08:05:10Z", "--force", "Nothing was changed"];
    for word in words {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(kids(dir.path()).len(), 2);
    let forced = RotateOptions {
        force: true,
        ..OPTIONS
    };
    let now = RotateOptions {
        activate_in: Duration::ZERO,
        ..OPTIONS
    };
    for (options, keys) in [(forced, 3), (now, 4), (dropping(next), 3)] {
        rotate(dir.path(), &options, at(20)).unwrap();
        assert_eq!(kids(dir.path()).len(), keys);
    }
    // All have activated.
    rotate(dir.path(), &OPTIONS, at(400)).unwrap();
}

#[test]
fn an_open_directory_is_refused_and_stops_no_emergency() {
    // J
    let (dir, old) = ring(&[0, 10]);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = |error: &KeyRingError| matches!(error, KeyRingError::OpenDirectory { .. });
    let error = rotate(dir.path(), &OPTIONS, at(3600)).unwrap_err();
    assert!(refused(&error), "{error}");
    assert!(refused(&KeyRing::load(dir.path(), at(3600)).unwrap_err()));
    assert_eq!(kids(dir.path()), old);
    let rotation = rotate(dir.path(), &dropping(old[1]), at(3600)).unwrap();
    assert!(refused(&rotation.bad[0]) && rotation.bad.len() == 1);
    assert!(!file::path(dir.path(), old[1]).exists());
}

#[test]
fn a_key_that_is_to_be_active_now_is_the_primary_even_in_the_second_of_another() {
    let (dir, _) = ring(&[0]);
    let now = RotateOptions {
        activate_in: Duration::ZERO,
        ..OPTIONS
    };
    for _ in 0..3 {
        let added = rotate(dir.path(), &now, NOW).unwrap().added;
        assert_eq!(added, Some(primary(dir.path(), NOW)));
    }
}

#[test]
fn a_key_is_retired_when_its_successor_has_been_active_long_enough() {
    // E18. Activations, and how many of the oldest are deleted at the end of the second day.
    for (activations, gone) in [
        (&[0, DAY][..], 0),
        (&[0, DAY - 1], 1),
        (&[0, 10, 20, DAY - 1], 3),
        (&[0], 0),
    ] {
        let (dir, old) = ring(activations);
        let rotation = rotate(dir.path(), &OPTIONS, at(2 * DAY)).unwrap();
        let expected: Vec<_> = old[..gone].iter().copied().map(Removal::Retired).collect();
        assert_eq!(rotation.removed, expected, "{activations:?}");
        let mut left = old[gone..].to_vec();
        left.push(rotation.added.unwrap());
        left.sort_unstable();
        let mut found = kids(dir.path());
        found.sort_unstable();
        assert_eq!(found, left, "{activations:?}");
    }
}

#[test]
fn dropping_deletes_that_key_and_adds_one_only_if_it_must() {
    // E18. A ring of an old key, the primary and the next; ten minutes in.
    for (which, adds) in [(0, false), (1, true), (2, false)] {
        let (dir, old) = ring(&[0, 300, 900]);
        let rotation = rotate(dir.path(), &dropping(old[which]), at(600)).unwrap();
        assert_eq!(rotation.removed, [Removal::Dropped(old[which])]);
        assert_eq!(rotation.added.is_some(), adds, "{which}");
        assert!(!kids(dir.path()).contains(&old[which]));
        let expected = rotation.added.unwrap_or(old[1]);
        assert_eq!(primary(dir.path(), at(600)), expected, "{which}");
    }
    let (dir, old) = ring(&[0]);
    let added = rotate(dir.path(), &dropping(old[0]), NOW).unwrap().added;
    assert_eq!(kids(dir.path()), [added.unwrap()]);
    assert_eq!(primary(dir.path(), NOW), added.unwrap());
}

#[test]
fn dropping_a_stranger_changes_nothing() {
    let (dir, old) = ring(&[0]);
    let stranger = "0011223344556677".parse().unwrap();
    let missing = dir.path().join("missing");
    for place in [dir.path(), &missing] {
        let error = rotate(place, &dropping(stranger), NOW).unwrap_err();
        assert!(
            error.to_string().contains("no key 0011223344556677"),
            "{error}"
        );
    }
    assert_eq!(kids(dir.path()), old);
    assert!(!missing.exists());
}

#[test]
fn a_ring_without_an_active_key_gets_one() {
    let (dir, old) = ring(&[500, 600]);
    let rotation = rotate(dir.path(), &dropping(old[1]), NOW).unwrap();
    assert_eq!(rotation.added, Some(primary(dir.path(), NOW)));
}

#[test]
fn a_bad_file_refuses_the_rotation_before_anything_is_written() {
    // E21
    let (dir, old) = ring(&[0, 10]);
    let bad = file::path(dir.path(), old[0]);
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o644)).unwrap();
    let error = rotate(dir.path(), &OPTIONS, at(9 * DAY)).unwrap_err();
    assert!(
        matches!(&error, KeyRingError::File { path, .. } if *path == bad),
        "{error}"
    );
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(kids(dir.path()), old);
}

#[test]
fn an_emergency_does_not_wait_for_another_file_to_be_mended() {
    // E21. Of an old key, the primary and the next, each; beside a file that is no key.
    for (which, adds) in [(0, false), (1, true), (2, false)] {
        let (dir, old) = ring(&[0, 10, 7200]);
        let bad = dir.path().join("00112233445566ff.toml");
        fs::write(&bad, "version = 1").unwrap();
        let rotation = rotate(dir.path(), &dropping(old[which]), at(3600)).unwrap();
        assert!(!file::path(dir.path(), old[which]).exists(), "{which}");
        assert_eq!(rotation.added.is_some(), adds, "{which}");
        assert!(
            matches!(&rotation.bad[..], [KeyRingError::File { path, .. }] if *path == bad),
            "{:?}",
            rotation.bad
        );
        fs::remove_file(&bad).unwrap();
        let expected = rotation.added.unwrap_or(old[1]);
        assert_eq!(primary(dir.path(), at(3600)), expected, "{which}");
    }
}

#[test]
fn a_key_whose_file_is_bad_can_be_dropped_and_is_taken_for_the_primary() {
    for spoil in [
        |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)),
        |path: &Path| fs::write(path, "version = 1"),
    ] {
        for which in [0, 1] {
            let (dir, old) = ring(&[0, 10]);
            let path = file::path(dir.path(), old[which]);
            spoil(&path).unwrap();
            let rotation = rotate(dir.path(), &dropping(old[which]), at(3600)).unwrap();
            assert_eq!((path.exists(), rotation.bad.len()), (false, 0));
            assert_eq!(rotation.added, Some(primary(dir.path(), at(3600))));
            let kept = old[1 - which];
            assert_eq!(kids(dir.path()), [kept, rotation.added.unwrap()]);
        }
    }
    // The only one.
    let (dir, old) = ring(&[0]);
    fs::write(file::path(dir.path(), old[0]), "").unwrap();
    let rotation = rotate(dir.path(), &dropping(old[0]), at(3600)).unwrap();
    assert_eq!(kids(dir.path()), [rotation.added.unwrap()]);
}

#[test]
fn nothing_is_deleted_if_the_new_key_cannot_be_written() {
    let (dir, old) = ring(&[0, 10]);
    let endless = RotateOptions {
        activate_in: Duration::MAX,
        ..OPTIONS
    };
    assert!(matches!(
        rotate(dir.path(), &endless, at(9 * DAY)),
        Err(KeyRingError::FarFuture)
    ));
    assert_eq!(kids(dir.path()), old);
}

#[test]
fn rotations_at_once_leave_a_whole_ring() {
    let (dir, old) = ring(&[0, 10]);
    let mut added: Vec<Kid> = std::thread::scope(|scope| {
        let one = || {
            let forced = RotateOptions {
                force: true,
                ..OPTIONS
            };
            rotate(dir.path(), &forced, at(9 * DAY))
                .unwrap()
                .added
                .unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    added.push(old[1]);
    added.sort_unstable();
    let mut found = kids(dir.path());
    found.sort_unstable();
    assert_eq!(found, added);
}

#[test]
fn the_operator_reads_the_ring_and_no_secret() {
    // E22
    let (dir, old) = ring(&[0, 10, DAY]);
    let rotation = rotate(dir.path(), &OPTIONS, at(DAY + 11)).unwrap();
    let added = rotation.added.unwrap();
    let expected = format!(
        "kid               alg                 created               \
         activates             state\n\
         {}  XAES-256-GCM        2026-11-21T08:00:00Z  2026-11-21T08:00:10Z  opens only\n\
         {}  XAES-256-GCM        2026-11-21T08:00:00Z  2026-11-22T08:00:00Z  primary\n\
         {added}  XAES-256-GCM        2026-11-22T08:00:11Z  2026-11-22T08:05:11Z  next\n\
         added {added}\n\
         removed {}: no session needs it any more",
        old[1], old[2], old[0]
    );
    assert_eq!(rotation.to_string(), expected);
}
