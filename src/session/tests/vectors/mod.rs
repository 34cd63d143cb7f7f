//! The test vectors in `tests/vectors`: what was sealed once must open for ever, and what never opened never may (E17).
//!
//! Files are added to and never changed. Those of version 1 were written by [`write`], which does not overwrite any.

mod described;
mod must_fail;
mod native;
mod write;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::described::Described;
use super::*;
use crate::keyring::OpenError;
use crate::names::{FrontendName, Origin};
use crate::session::binding::Proved;
use crate::session::envelope::Envelope;
use crate::session::kind::Kind;
use crate::session::native::{NativeAccess, NativeCode, NativeLogin, NativeRefresh};
use crate::session::state::{EndedMarks, LogoutState, Seen};
use crate::session::{JarSettings, LoginAttempt, LoginState, LogoutHint, samples};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1")
}

fn cases() -> Vec<Value> {
    let mut cases = Vec::new();
    for file in [
        "session.json",
        "others.json",
        "must-fail.json",
        "further.json",
        "marks.json",
        "login-state.json",
        "device.json",
        "native.json",
        "proof-keys.json",
    ] {
        let text = fs::read_to_string(dir().join(file)).unwrap();
        let Value::Array(of_file) = serde_json::from_str(&text).unwrap() else {
            panic!("{file}: no list");
        };
        cases.extend(of_file);
    }
    cases
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The ring of one key, by way of its file.
fn ring_of(key: &Value) -> KeyRing {
    let dir = tempfile::tempdir().unwrap();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(
            dir.path()
                .join(format!("{}.toml", key["kid"].as_str().unwrap())),
        )
        .unwrap();
    let at = "1970-01-01T00:00:00Z";
    write!(
        file,
        "version = 1\nalg = {}\ncreated_at = \"{at}\"\nactivates_at = \"{at}\"\nsecret = {}\n",
        key["alg"], key["secret"]
    )
    .unwrap();
    KeyRing::load(dir.path(), now()).unwrap()
}

fn settings_of(place: &Value) -> JarSettings {
    let text = |name: &str| place[name].as_str().unwrap();
    JarSettings {
        frontend: FrontendName::parse(text("frontend")).unwrap(),
        client_id: text("client_id").to_owned(),
        issuer: text("issuer").to_owned(),
        origin: Origin::parse(text("origin")).unwrap(),
        ..samples::settings()
    }
}

/// Opens a case's cookies; gives the state and the plaintext's packing in words.
fn open(case: &Value) -> Result<(Value, u8), OpenError> {
    fn through<S: Described>(
        envelope: &Envelope<'_, S>,
        case: &Value,
        keys: &KeyRing,
    ) -> Result<(Value, u8), OpenError> {
        let chunk = |index: u8| {
            let value = case["cookies"].get(usize::from(index))?.get(1)?;
            value.as_str().map(str::as_bytes)
        };
        let opened = envelope.open(chunk, keys)?;
        Ok((opened.state.described(), opened.header.packing.id()))
    }
    let (jar, keys) = (Jar::new(settings_of(&case["place"])), ring_of(&case["key"]));
    let name = || case["cookies"][0][0].as_str().unwrap().to_owned();
    match case["purpose"].as_str().unwrap() {
        "login-state" => through(&jar.parameter::<LoginState>(name()), case, &keys),
        "native-login" => through(&jar.parameter::<NativeLogin>(name()), case, &keys),
        "native-access" => through(&jar.token::<NativeAccess>(), case, &keys),
        "native-refresh" => through(&jar.token::<NativeRefresh>(), case, &keys),
        "native-code" => through(&jar.token::<NativeCode>(), case, &keys),
        "session" => through(&jar.envelope::<Session>(Kind::Session(0)), case, &keys),
        "device" => through(&jar.envelope::<Proved>(Kind::Device), case, &keys),
        "seen" => through(&jar.envelope::<Seen>(Kind::Seen), case, &keys),
        "out" => through(&jar.envelope::<EndedMarks>(Kind::Ended), case, &keys),
        "hint" => through(&jar.envelope::<LogoutHint>(Kind::Hint), case, &keys),
        "logout-state" => through(
            &jar.parameter::<LogoutState>("logout-state".to_owned()),
            case,
            &keys,
        ),
        "login" => through(&jar.parameter::<LoginAttempt>(name()), case, &keys),
        other => panic!("{other}"),
    }
}

#[test]
fn what_version_1_sealed_opens_for_ever() {
    // E17
    let cases = cases();
    let mut opened = Vec::new();
    for case in cases.iter().filter(|case| case["fails"].is_null()) {
        let about = case["about"].as_str().unwrap();
        let (state, packing) = open(case).unwrap_or_else(|error| panic!("{about}: {error}"));
        assert_eq!(state, case["state"], "{about}");
        assert_eq!(json!(packing), case["packing"], "{about}");
        opened.push((case["purpose"].clone(), case["key"]["alg"].clone(), packing));
    }
    let purposes = [
        "session",
        "seen",
        "out",
        "login",
        "login-state",
        "hint",
        "logout-state",
        "device",
        "native-access",
        "native-refresh",
        "native-code",
        "native-login",
    ];
    for purpose in purposes {
        for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
            for packing in 0..=1 {
                let exists = opened.contains(&(json!(purpose), json!(alg), packing));
                let possible = packing == 0
                    || matches!(
                        purpose,
                        "session" | "hint" | "native-access" | "native-refresh"
                    );
                assert_eq!(exists, possible, "{purpose} {alg} {packing}");
            }
        }
    }
    let chunks = |case: &&Value| case["cookies"].as_array().unwrap().len() == 3;
    assert!(cases.iter().any(|case| chunks(&case)), "many chunks");
}

#[test]
fn what_must_fail_fails_for_ever() {
    // C5, E2, E11, E15, E17, E19
    let cases = cases();
    let must_fail: Vec<&Value> = cases
        .iter()
        .filter(|case| !case["fails"].is_null())
        .collect();
    assert!(must_fail.len() >= 25, "{}", must_fail.len());
    for case in must_fail {
        let error = open(case).map(|(state, _)| state).expect_err("it opens");
        assert_eq!(json!(error.to_string()), case["fails"], "{}", case["about"]);
    }
}
