//! The test vectors in `tests/vectors`: what was sealed once must open for ever, and what never opened never may (E17).
//!
//! Files are added to and never changed. Those of version 1 were written by [`write`], which does not overwrite any.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use zstd::zstd_safe::CParameter;

use super::*;
use crate::keyring::{Erased, OpenError};
use crate::names::{FrontendName, Origin};
use crate::session::codec::put_number;
use crate::session::encode::{self, Plaintext, State};
use crate::session::envelope::Envelope;
use crate::session::names::Kind;
use crate::session::pack::{self, Packing};
use crate::session::state::{EndedMark, LogoutState, Seen};
use crate::session::{
    Compression, JarSettings, LoginAttempt, LogoutHint, SessionId, base64url, samples,
};

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

/// A state in words.
trait Described: State {
    fn described(&self) -> Value;
}

impl Described for Session {
    fn described(&self) -> Value {
        let tokens = &self.tokens;
        let mut described = json!({
            "id": hex(&self.id.0), "sealed_at": self.last_seen.as_secs(), "started_at": self.started_at.as_secs(),
            "ends_at": self.ends_at.as_secs(), "auth_time": self.auth_time.map(UnixTime::as_secs),
            "access_token": tokens.access_token.secret(),
            "refresh_token": tokens.refresh_token.as_ref().map(|token| token.secret().clone()),
            "received_at": tokens.issued_at.as_secs(), "expires_at": tokens.expires_at.as_secs(),
            "issuer": self.issuer, "subject": self.subject, "sid": self.idp_sid, "scope": tokens.scope,
            "claims": self.claims,
        });
        // A further field is in the files where it is in the cookie.
        if let Some(ends) = tokens.refresh_ends_at {
            described["refresh_ends_at"] = json!(ends.as_secs());
        }
        described
    }
}

impl Described for LoginAttempt {
    fn described(&self) -> Value {
        json!({
            "state": self.state, "nonce": self.nonce.secret(), "verifier": self.verifier.secret(),
            "issuer": self.issuer, "return_to": self.return_to.as_str(), "begun_at": self.started_at.as_secs(),
            "silent": self.silent, "max_age": self.max_age, "acr_values": self.acr_values,
            "replaces": self.replaces.map(|session| hex(&session.0)),
        })
    }
}

impl Described for LogoutHint {
    fn described(&self) -> Value {
        json!({ "session": hex(&self.session.0), "id_token": self.id_token })
    }
}

impl Described for Seen {
    fn described(&self) -> Value {
        json!({ "session": hex(&self.session.0), "activity": self.at.as_secs() })
    }
}

impl Described for EndedMark {
    fn described(&self) -> Value {
        json!({ "session": hex(&self.session.0), "until": self.until.as_secs() })
    }
}

impl Described for LogoutState {
    fn described(&self) -> Value {
        json!({ "return_to": self.return_to.as_str(), "begun_at": self.issued_at.as_secs() })
    }
}

/// Opens a case's cookies; gives the state and the plaintext's packing in words.
fn open(case: &Value) -> Result<(Value, u8), OpenError> {
    fn through<S: Described>(
        envelope: &Envelope<S>,
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
    match case["purpose"].as_str().unwrap() {
        "session" => through(&jar.session, case, &keys),
        "seen" => through(&jar.seen, case, &keys),
        "out" => through(&jar.ended, case, &keys),
        "hint" => through(&jar.hint, case, &keys),
        "logout-state" => through(&jar.logout_state, case, &keys),
        "login" => through(
            &jar.login.named(case["cookies"][0][0].as_str().unwrap()),
            case,
            &keys,
        ),
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
    for purpose in ["session", "seen", "out", "login", "hint", "logout-state"] {
        for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
            for packing in 0..=1 {
                let exists = opened.contains(&(json!(purpose), json!(alg), packing));
                let possible = packing == 0 || matches!(purpose, "session" | "hint");
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

// ---- How the files were written.

struct Place {
    key: Value,
    keys: KeyRing,
    settings: JarSettings,
    jar: Jar,
}

impl Place {
    fn new(alg: &str, secret: &str, kid: &str, compression: Compression) -> Self {
        let key = json!({ "alg": alg, "secret": secret, "kid": kid });
        let mut settings = samples::settings();
        settings.session.compression = compression;
        Self {
            keys: ring_of(&key),
            key,
            jar: Jar::new(settings.clone()),
            settings,
        }
    }

    /// A case of this state.
    fn case<S: Described>(
        &self,
        about: &str,
        kind: Option<Kind<'_>>,
        envelope: &Envelope<S>,
        state: &S,
    ) -> Value {
        let settings = &self.settings.session;
        let plaintext = encode::encode(state, settings.pad_to, settings.compression).unwrap();
        let mut case = self.sealed(about, kind, envelope, plaintext);
        case["state"] = state.described();
        case
    }

    /// A case of these bytes, which may be no state.
    fn sealed<S: State>(
        &self,
        about: &str,
        kind: Option<Kind<'_>>,
        envelope: &Envelope<S>,
        plaintext: Plaintext,
    ) -> Value {
        let front = encode::Front::read(&plaintext.bytes).ok();
        let section = front.as_ref().map(|front| match plaintext.packing {
            Packing::Plain => front.packed.to_vec(),
            Packing::Zstd1 => {
                pack::unpack(front.packed).map_or(Vec::new(), |section| section.to_vec())
            }
        });
        let (packing, hexed) = (plaintext.packing, hex(&plaintext.bytes));
        let draft = envelope.measure(plaintext).unwrap();
        let text = envelope.seal(&draft, &self.keys, now()).unwrap();
        let cookies: Vec<[String; 2]> = match kind {
            None => vec![[S::PURPOSE.label().to_owned(), text]],
            Some(kind) => envelope
                .layout()
                .split(&text)
                .map(|(index, chunk)| {
                    let kind = if index == 0 {
                        kind
                    } else {
                        Kind::Session(index)
                    };
                    [self.jar.names.name(kind), chunk.to_owned()]
                })
                .collect(),
        };
        let settings = &self.settings;
        json!({
            "about": about,
            "key": self.key,
            "purpose": S::PURPOSE.label(),
            "place": {
                "frontend": settings.frontend.as_str(), "client_id": settings.client_id,
                "issuer": settings.issuer, "origin": settings.origin.as_str(),
            },
            "packing": packing.id(),
            "section": section.map(|section| hex(&section)),
            "plaintext": hexed,
            "cookies": cookies,
        })
    }
}

/// A token of Keycloak's shape.
fn jwt(claims: &str, signature: usize) -> String {
    let noise = samples::session_of(signature * 4 / 3 + 2, now());
    let noise = noise.tokens.access_token.secret().clone();
    let header = base64url::encode(br#"{"alg":"RS256","typ" : "JWT","kid" : "vector"}"#);
    let noise = noise.get(..(signature * 4).div_ceil(3)).unwrap();
    let end = &noise[..noise.len() - 1];
    format!("{header}.{}.{end}A", base64url::encode(claims.as_bytes()))
}

fn vector_session() -> Session {
    let mut session = samples::session(now());
    session.auth_time = Some(now());
    let claims = r#"{"exp":1800000300,"iat":1800000000,"iss":"https://id.example.com","aud":"account","sub":"subject-of-alice","typ":"Bearer","azp":"shop","realm_access":{"roles":["offline_access","buyer"]},"scope":"openid profile","name":"Alice"}"#;
    session.tokens.access_token = openidconnect::AccessToken::new(jwt(claims, 256));
    session.claims = json!({
        "sub": "subject-of-alice", "name": "Älice", "n": [null, true, false, 7, -7, 1.5], "o": { "a": "", "b": {} },
    })
    .as_object()
    .unwrap()
    .clone();
    session
}

#[test]
fn the_files_of_version_1_are_there_and_are_never_written_again() {
    let is_missing = !dir().join("session.json").exists();
    if is_missing {
        write();
    }
    assert!(
        !is_missing,
        "they were missing: they are written anew now, for a version that is not released yet"
    );
}

/// `null` in so many lists.
fn deep(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |value, _| json!([value]))
}

fn write() {
    let keys = [
        (
            "XAES-256-GCM",
            "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE",
            "c71c73a79f9ff946",
        ),
        (
            "XChaCha20-Poly1305",
            "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE",
            "c71c73a79f9ff946",
        ),
    ];
    let (mut sessions, mut others) = (Vec::new(), Vec::new());
    for (alg, secret, kid) in keys {
        for compression in [Compression::None, Compression::Zstd] {
            let place = Place::new(alg, secret, kid, compression);
            let base = Some(Kind::Session(0));
            let session = |about: &str, session: &Session| {
                place.case(about, base, &place.jar.session, session)
            };
            sessions.push(session("a JWT, every kind of claim", &vector_session()));
            let mut least = vector_session();
            (least.auth_time, least.idp_sid, least.tokens.refresh_token) = (None, None, None);
            least.claims.clear();
            sessions.push(session("without anything that can be left out", &least));
            let mut odd = vector_session();
            odd.tokens.refresh_token =
                Some(openidconnect::RefreshToken::new("a.b.c.d.e.f".to_owned()));
            odd.claims.insert("deep".to_owned(), deep(100));
            odd.claims.insert("low".to_owned(), i64::MIN.into());
            sessions.push(session("a token of six parts, a value in 100 others", &odd));
            let mut three = samples::session_of(8200, now());
            three.tokens.refresh_token = Some(openidconnect::RefreshToken::new(
                "not.base64url=.at+all".to_owned(),
            ));
            sessions.push(session(
                "three chunks, an opaque token, one of odd parts",
                &three,
            ));
            let mut more = sessions.last().unwrap().clone();
            more["about"] = json!("three chunks, and one left behind by a longer session");
            let name = format!("{}.3", more["cookies"][0][0].as_str().unwrap());
            more["cookies"]
                .as_array_mut()
                .unwrap()
                .push(json!([name, "AAAA"]));
            sessions.push(more);

            let hint = LogoutHint {
                session: SessionId([7; 16]),
                id_token: jwt(
                    r#"{"iss":"https://id.example.com","sub":"subject-of-alice","aud":"shop","exp":1800000300,"iat":1800000000}"#,
                    256,
                ),
            };
            others.push(place.case("an ID token", Some(Kind::Hint), &place.jar.hint, &hint));
            if compression == Compression::None {
                let seen = Seen {
                    session: SessionId([7; 16]),
                    at: now(),
                };
                others.push(place.case("activity", Some(Kind::Seen), &place.jar.seen, &seen));
                let mark = EndedMark {
                    session: SessionId([7; 16]),
                    until: now(),
                };
                others.push(place.case(
                    "a session that was ended",
                    Some(Kind::Ended),
                    &place.jar.ended,
                    &mark,
                ));
                let attempt = samples::attempt("a-state-of-43-characters", now());
                let name = place.jar.names.name(Kind::Login("a-state-"));
                others.push(place.case(
                    "a login",
                    Some(Kind::Login("a-state-")),
                    &place.jar.login.named(&name),
                    &attempt,
                ));
                let state = LogoutState {
                    return_to: crate::names::ReturnTo::parse("/bye?x=1").unwrap(),
                    issued_at: now(),
                };
                others.push(place.case(
                    "no cookie, but a parameter",
                    None,
                    &place.jar.logout_state,
                    &state,
                ));
            }
        }
    }
    let (alg, secret, kid) = keys[0];
    let place = Place::new(alg, secret, kid, Compression::Zstd);
    let must_fail = must_fail(&place, &sessions, &others);
    fs::create_dir_all(dir()).unwrap();
    for (name, cases) in [
        ("session.json", sessions),
        ("others.json", others),
        ("must-fail.json", must_fail),
    ] {
        let mut file = fs::File::create_new(dir().join(name)).unwrap();
        writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
    }
}

#[test]
fn the_file_of_further_fields_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("further.json").exists();
    if is_missing {
        write_further();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

/// Sessions with fields that came later, which a session may lack.
fn write_further() {
    let (alg, secret) = (
        "XAES-256-GCM",
        "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE",
    );
    let mut session = vector_session();
    session.tokens.refresh_ends_at = Some(samples::after(1_800));
    let base = Some(Kind::Session(0));
    let mut cases = Vec::new();
    for compression in [Compression::None, Compression::Zstd] {
        let place = Place::new(alg, secret, "c71c73a79f9ff946", compression);
        let about = "a refresh token that ends";
        cases.push(place.case(about, base, &place.jar.session, &session));
    }
    let place = Place::new(alg, secret, "c71c73a79f9ff946", Compression::None);
    let sections = encode::sections(&vector_session()).unwrap();
    for (about, fields, times) in [
        ("an unknown further field", &[2_u8][..], 0),
        ("a further field that comes twice", &[1, 1], 2),
        (
            "a further field whose number is not as short as it could be",
            &[0x81, 0],
            1,
        ),
    ] {
        let packed = [&sections.packed[..], fields].concat();
        let times = [0x80, 0xa4, 0xa8, 0xda, 6].repeat(times);
        let loose = [&sections.loose[..], &times].concat();
        let bytes = encode::assemble(&packed, &loose, 64);
        let packing = Packing::Plain;
        let plaintext = Plaintext { bytes, packing };
        let mut case = place.sealed(about, base, &place.jar.session, plaintext);
        case["fails"] = json!("rejected");
        cases.push(case);
    }
    let mut file = fs::File::create_new(dir().join("further.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn must_fail(place: &Place, sessions: &[Value], others: &[Value]) -> Vec<Value> {
    let good = sessions[5].clone();
    let three = sessions[3].clone();
    let of = |purpose: &str| {
        others
            .iter()
            .find(|case| case["purpose"] == purpose)
            .unwrap()
            .clone()
    };
    let mut cases = Vec::new();
    let mut fails = |about: &str, mut case: Value, error: OpenError| {
        case["about"] = json!(about);
        case["fails"] = json!(error.to_string());
        case.as_object_mut().unwrap().remove("state");
        cases.push(case);
    };
    let rejected = OpenError::Rejected;
    let changed = |case: &Value, change: &dyn Fn(&mut Vec<u8>)| {
        let mut case = case.clone();
        let mut bytes =
            base64url::decode(case["cookies"][0][1].as_str().unwrap().as_bytes()).unwrap();
        change(&mut bytes);
        case["cookies"][0][1] = json!(base64url::encode(&bytes));
        case
    };
    let of_text = |case: &Value, change: &dyn Fn(&str) -> String| {
        let mut case = case.clone();
        case["cookies"][0][1] = json!(change(case["cookies"][0][1].as_str().unwrap()));
        case
    };
    fails("version 0", changed(&good, &|b| b[0] = 0), rejected);
    let unknown = OpenError::UnknownKey;
    fails("the next version", changed(&good, &|b| b[0] = 2), unknown);
    fails(
        "a packing that is not the sealed one",
        changed(&good, &|b| b[1] = 0),
        rejected,
    );
    fails("a later version", changed(&good, &|b| b[0] = 3), rejected);
    fails("a later packing", changed(&good, &|b| b[1] = 3), rejected);
    fails("the next packing", changed(&good, &|b| b[1] = 2), unknown);
    fails(
        "another number of chunks",
        changed(&good, &|b| b[2] = 2),
        rejected,
    );
    fails("no chunks", changed(&good, &|b| b[2] = 0), rejected);
    fails(
        "a length too small",
        changed(&good, &|b| b[4] -= 1),
        rejected,
    );
    fails("another cipher", changed(&good, &|b| b[5] = 2), rejected);
    fails("an unknown key", changed(&good, &|b| b[6] ^= 1), unknown);
    fails(
        "a bit of the nonce",
        changed(&good, &|b| b[14] ^= 1),
        rejected,
    );
    fails(
        "a bit of the ciphertext",
        changed(&good, &|b| b[60] ^= 0x80),
        rejected,
    );
    fails(
        "a bit of the tag",
        changed(&good, &|b| *b.last_mut().unwrap() ^= 1),
        rejected,
    );
    fails(
        "cut short",
        of_text(&good, &|text| text[..text.len() - 4].to_owned()),
        rejected,
    );
    fails(
        "longer",
        of_text(&good, &|text| format!("{text}AAAA")),
        rejected,
    );
    fails(
        "padding of base64",
        of_text(&good, &|text| format!("{text}=")),
        rejected,
    );
    fails(
        "percent-encoded",
        of_text(&good, &|text| text.replacen('A', "%41", 1)),
        rejected,
    );
    fails("nothing", of_text(&good, &|_| String::new()), rejected);
    let mut swapped = three.clone();
    let second = swapped["cookies"][1][1].take();
    swapped["cookies"][1][1] = three["cookies"][0][1].clone();
    swapped["cookies"][0][1] = second;
    fails("two chunks swapped", swapped, rejected);
    let mut missing = three.clone();
    missing["cookies"].as_array_mut().unwrap().pop();
    fails("the last chunk missing", missing, rejected);
    let mut spliced = three.clone();
    spliced["cookies"][1][1] = sessions[8]["cookies"][1][1].clone();
    fails("a chunk of another session", spliced, rejected);
    for (part, value) in [
        ("frontend", "shop2"),
        ("client_id", "other"),
        ("issuer", "https://id.example.com/"),
        ("origin", "https://shop.example.com:8443"),
    ] {
        let mut moved = good.clone();
        moved["place"][part] = json!(value);
        fails(&format!("of another {part}"), moved, rejected);
    }
    let mut purpose = of("seen");
    purpose["purpose"] = json!("out");
    fails("a seen cookie as an out cookie", purpose, rejected);
    let mut name = of("login");
    name["cookies"][0][0] = json!("__Host-Http-shop-login.b-state-");
    fails("under another name", name, rejected);

    // What only the holder of a key can seal, and still does not open.
    let session = |about: &str, packing: Packing, bytes: Vec<u8>| {
        place.sealed(
            about,
            Some(Kind::Session(0)),
            &place.jar.session,
            Plaintext {
                bytes: bytes.into(),
                packing,
            },
        )
    };
    let sections = encode::sections(&vector_session()).unwrap();
    let (packed, loose) = (sections.packed.to_vec(), sections.loose.to_vec());
    let plain = |packed: &[u8], loose: &[u8]| encode::assemble(packed, loose, 64).to_vec();
    let framed = |frame: &[u8]| plain(frame, &loose);
    let mut good_plain = plain(&packed, &loose);
    fails(
        "a byte too many in the packed section",
        session(
            "",
            Packing::Plain,
            plain(&[&packed[..], &[0]].concat(), &loose),
        ),
        rejected,
    );
    fails(
        "a byte too few in the loose section",
        session(
            "",
            Packing::Plain,
            plain(&packed, &loose[..loose.len() - 1]),
        ),
        rejected,
    );
    *good_plain.last_mut().unwrap() = 1;
    fails(
        "padding that is not zero",
        session("", Packing::Plain, good_plain),
        rejected,
    );
    let mut longer = plain(&packed, &loose);
    longer.extend([0; 64]);
    fails(
        "more padding than needed",
        session("", Packing::Plain, longer),
        rejected,
    );
    let mut unpadded = Erased::default();
    put_number(&mut unpadded, 0);
    put_number(&mut unpadded, packed.len() as u64);
    unpadded.push(&packed);
    unpadded.push(&loose);
    fails(
        "padded to nothing",
        session("", Packing::Plain, unpadded.to_vec()),
        rejected,
    );
    let mut compressor = zstd::bulk::Compressor::with_dictionary(9, pack::DICTIONARY_1).unwrap();
    let bomb = compressor.compress(&vec![0; 64 * 1024 + 1]).unwrap();
    fails(
        "a frame of 65537 zeros",
        session("", Packing::Zstd1, framed(&bomb)),
        rejected,
    );
    let frame = pack::pack(&packed, Compression::Zstd).unwrap();
    fails(
        "two frames",
        session("", Packing::Zstd1, framed(&[&frame[..], &frame].concat())),
        rejected,
    );
    fails(
        "no frame",
        session("", Packing::Zstd1, framed(&packed)),
        rejected,
    );
    for (about, flag) in [
        ("a frame with a checksum", CParameter::ChecksumFlag(true)),
        ("a frame with a dictionary id", CParameter::DictIdFlag(true)),
    ] {
        let mut compressor =
            zstd::bulk::Compressor::with_dictionary(6, pack::DICTIONARY_1).unwrap();
        for flag in [CParameter::DictIdFlag(false), flag] {
            compressor.set_parameter(flag).unwrap();
        }
        let frame = compressor.compress(&packed).unwrap();
        fails(about, session("", Packing::Zstd1, framed(&frame)), rejected);
    }
    // In place of the last field, the claims.
    let mut bare = vector_session();
    bare.claims.clear();
    let bare = encode::sections(&bare).unwrap();
    let (end, bare) = (bare.packed.len() - 1, bare);
    for (about, value) in [
        (
            "a number that is none",
            &[&[5][..], &f64::NAN.to_be_bytes()].concat()[..],
        ),
        (
            "an infinite number",
            &[&[5][..], &f64::INFINITY.to_be_bytes()].concat(),
        ),
        (
            "a number below -2^63",
            &[4, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1],
        ),
        (
            "a value in 128 others",
            &[&[7, 1].repeat(128)[..], &[0]].concat(),
        ),
    ] {
        let packed = [&bare.packed[..end], &[1, 1, b'a'], value].concat();
        fails(
            about,
            session("", Packing::Plain, plain(&packed, &bare.loose)),
            rejected,
        );
    }
    let login = samples::attempt("a-state-of-43-characters", now());
    let login = encode::sections(&login).unwrap();
    let login_frame = compressor.compress(&login.packed).unwrap();
    compressor
        .set_parameter(CParameter::ContentSizeFlag(false))
        .unwrap();
    let silent = compressor.compress(&packed).unwrap();
    fails(
        "a frame that does not say its size",
        session("", Packing::Zstd1, framed(&silent)),
        rejected,
    );
    let name = place.jar.names.name(Kind::Login("a-state-"));
    let compressed = Plaintext {
        bytes: encode::assemble(&login_frame, &login.loose, 64),
        packing: Packing::Zstd1,
    };
    fails(
        "a login that is compressed",
        place.sealed(
            "",
            Some(Kind::Login("a-state-")),
            &place.jar.login.named(&name),
            compressed,
        ),
        rejected,
    );
    cases
}
