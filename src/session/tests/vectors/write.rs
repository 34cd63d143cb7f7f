//! How the files were written: each by its first test run, and never again.

use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};

use super::described::Described;
use super::must_fail::must_fail;
use super::{dir, hex, ring_of};
use crate::keyring::KeyRing;
use crate::oidc::TokenType;
use crate::proof::PublicKey;
use crate::session::binding::{Binding, Proved};
use crate::session::encode::{self, Plaintext, State};
use crate::session::envelope::Envelope;
use crate::session::kind::Kind;
use crate::session::pack::{self, Packing};
use crate::session::samples::now;
use crate::session::state::{EndedMark, EndedMarks, LogoutState, Seen};
use crate::session::{
    Compression, Jar, JarSettings, LoginAttempt, LoginState, LogoutHint, Manner, Session,
    SessionId, base64url, samples,
};

/// A frontend and its key.
pub(super) struct Place {
    key: Value,
    keys: KeyRing,
    settings: JarSettings,
    pub(super) jar: Jar,
}

impl Place {
    pub(super) fn new(alg: &str, secret: &str, kid: &str, compression: Compression) -> Self {
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
    pub(super) fn case<S: Described>(
        &self,
        about: &str,
        kind: Option<Kind<'_>>,
        envelope: &Envelope<'_, S>,
        state: &S,
    ) -> Value {
        let settings = &self.settings.session;
        let plaintext = encode::encode(state, settings.pad_to, settings.compression).unwrap();
        let mut case = self.sealed(about, kind, envelope, plaintext);
        case["state"] = state.described();
        case
    }

    /// A case of these bytes, which may be no state.
    pub(super) fn sealed<S: State>(
        &self,
        about: &str,
        kind: Option<Kind<'_>>,
        envelope: &Envelope<'_, S>,
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
            None => vec![[envelope.name().to_owned(), text]],
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
            "purpose": S::PURPOSE,
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

pub(super) fn vector_session() -> Session {
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
        write_all();
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

fn write_all() {
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
                place.case(about, base, &place.jar.envelope(Kind::Session(0)), session)
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
            others.push(place.case(
                "an ID token",
                Some(Kind::Hint),
                &place.jar.envelope(Kind::Hint),
                &hint,
            ));
            if compression == Compression::None {
                let seen = Seen {
                    session: SessionId([7; 16]),
                    at: now(),
                };
                others.push(place.case(
                    "activity",
                    Some(Kind::Seen),
                    &place.jar.envelope(Kind::Seen),
                    &seen,
                ));
                let mark = EndedMarks(vec![EndedMark {
                    session: SessionId([7; 16]),
                    until: now(),
                }]);
                others.push(place.case(
                    "a session that was ended",
                    Some(Kind::Ended),
                    &place.jar.envelope(Kind::Ended),
                    &mark,
                ));
                let attempt = samples::attempt("a-state-of-43-characters", now());
                others.push(place.case(
                    "a login",
                    Some(Kind::Login("a-state-")),
                    &place.jar.envelope(Kind::Login("a-state-")),
                    &attempt,
                ));
                let state = LogoutState {
                    return_to: crate::names::ReturnTo::parse("/bye?x=1").unwrap(),
                    issued_at: now(),
                };
                others.push(place.case(
                    "no cookie, but a parameter",
                    None,
                    &place.jar.parameter("logout-state".to_owned()),
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
fn the_file_of_marks_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("marks.json").exists();
    if is_missing {
        write_marks();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

/// `-out` with more marks than one, which came later.
fn write_marks() {
    let (alg, secret) = (
        "XAES-256-GCM",
        "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE",
    );
    let place = Place::new(alg, secret, "c71c73a79f9ff946", Compression::None);
    let marks = |count: u8| {
        let mark = |n| EndedMark {
            session: SessionId([n; 16]),
            until: samples::after(60 * u64::from(n)),
        };
        EndedMarks((1..=count).map(mark).collect())
    };
    let kind = Some(Kind::Ended);
    let mut cases = Vec::new();
    for count in [2, 4] {
        let about = format!("{count} marks");
        cases.push(place.case(
            &about,
            kind,
            &place.jar.envelope(Kind::Ended),
            &marks(count),
        ));
    }
    let one = encode::sections(&marks(1)).unwrap();
    for (about, count, written) in [
        ("one mark with a number", 1, 1),
        ("five marks", 5, 5),
        ("fewer marks than there should be", 2, 1),
        ("more marks than there should be", 2, 3),
    ] {
        let loose = one.loose.repeat(written);
        let bytes = encode::assemble(&[count], &loose, 1);
        let packing = Packing::Plain;
        let plaintext = Plaintext { bytes, packing };
        let mut case = place.sealed(
            about,
            kind,
            &place.jar.envelope::<EndedMarks>(Kind::Ended),
            plaintext,
        );
        case["fails"] = json!("rejected");
        cases.push(case);
    }
    let mut file = fs::File::create_new(dir().join("marks.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
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
        cases.push(place.case(about, base, &place.jar.envelope(Kind::Session(0)), &session));
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
        let mut case = place.sealed(
            about,
            base,
            &place.jar.envelope::<Session>(Kind::Session(0)),
            plaintext,
        );
        case["fails"] = json!("rejected");
        cases.push(case);
    }
    let mut file = fs::File::create_new(dir().join("further.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}

#[test]
fn the_file_of_login_states_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("login-state.json").exists();
    if is_missing {
        write_login_states();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

/// What travels through the identity provider as a part of `state`.
fn write_login_states() {
    let random = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDE";
    let secret = "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE";
    let mut cases = Vec::new();
    for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
        let place = Place::new(alg, secret, "c71c73a79f9ff946", Compression::None);
        let envelope = place.jar.parameter(format!("login-state.{random}"));
        for (about, manner, to) in [
            (
                "a login that may ask anything",
                Manner::Asking,
                "/orders/7?x=1".to_owned(),
            ),
            ("one that asks nothing", Manner::Quiet, "/".to_owned()),
            ("one in a frame", Manner::Silent, "/".to_owned()),
            (
                "one that leads far",
                Manner::Asking,
                format!("/{}", "r".repeat(1000)),
            ),
        ] {
            let to = crate::names::ReturnTo::parse(&to).unwrap();
            let (mut state, _) = LoginState::new(&to, false, now());
            state.manner = manner;
            state.is_demanding = manner == Manner::Quiet;
            state.is_second = manner == Manner::Silent;
            cases.push(place.case(about, None, &envelope, &state));
        }
    }
    let place = Place::new(
        "XAES-256-GCM",
        secret,
        "c71c73a79f9ff946",
        Compression::None,
    );
    let envelope = place
        .jar
        .parameter::<LoginState>(format!("login-state.{random}"));
    let mut fails = |about: &str, mut case: Value| {
        case["about"] = json!(about);
        case["fails"] = json!("rejected");
        case.as_object_mut().unwrap().remove("state");
        cases.push(case);
    };
    let (state, _) = LoginState::new(&crate::names::ReturnTo::root(), false, now());
    let good = place.case("", None, &envelope, &state);
    let mut moved = good.clone();
    moved["cookies"][0][0] = json!(format!("login-state.1{}", &random[1..]));
    fails("beside another random part", moved);
    let mut purpose = good;
    purpose["purpose"] = json!("logout-state");
    fails("a login-state as a logout-state", purpose);
    let sections = encode::sections(&state).unwrap();
    let (packed, loose) = (sections.packed.to_vec(), sections.loose.to_vec());
    let sealed = |packed: &[u8], packing| {
        let bytes = encode::assemble(packed, &loose, 64);
        place.sealed("", None, &envelope, Plaintext { bytes, packing })
    };
    fails(
        "a byte too many",
        sealed(&[&packed[..], &[0]].concat(), Packing::Plain),
    );
    let mut flag = packed.clone();
    *flag.last_mut().unwrap() = 2;
    fails("a flag that is 2", sealed(&flag, Packing::Plain));
    let frame = pack::pack(&b"/orders".repeat(20), Compression::Zstd).unwrap();
    fails("compressed", sealed(&frame, Packing::Zstd1));
    let mut file = fs::File::create_new(dir().join("login-state.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}

#[test]
fn the_file_of_devices_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("device.json").exists();
    if is_missing {
        write_devices();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

/// Sessions that are bound to a device, and the cookie that tells of its proof.
fn write_devices() {
    let secret = "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE";
    let key = PublicKey::from_bytes(std::array::from_fn(|at| u8::try_from(at).unwrap()));
    let mut session = vector_session();
    session.device = Some(key);
    let mut with_end = session.clone();
    with_end.tokens.refresh_ends_at = Some(samples::after(1_800));
    let proved = Proved {
        binding: Binding::of(session.id, &key),
        at: now(),
        until: samples::after(300),
    };
    let base = Some(Kind::Session(0));
    let mut cases = Vec::new();
    for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
        for compression in [Compression::None, Compression::Zstd] {
            let place = Place::new(alg, secret, "c71c73a79f9ff946", compression);
            let envelope = place.jar.envelope(Kind::Session(0));
            cases.push(place.case("a bound session", base, &envelope, &session));
        }
        let place = Place::new(alg, secret, "c71c73a79f9ff946", Compression::None);
        let envelope = place.jar.envelope(Kind::Session(0));
        let about = "a bound session, whose refresh token ends";
        cases.push(place.case(about, base, &envelope, &with_end));
        let kind = Some(Kind::Device);
        let envelope = place.jar.envelope(Kind::Device);
        cases.push(place.case("a device's proof", kind, &envelope, &proved));
    }
    let place = Place::new(
        "XAES-256-GCM",
        secret,
        "c71c73a79f9ff946",
        Compression::None,
    );
    let mut fails = |about: &str, mut case: Value| {
        case["about"] = json!(about);
        case["fails"] = json!("rejected");
        case.as_object_mut().unwrap().remove("state");
        cases.push(case);
    };
    let sections = encode::sections(&session).unwrap();
    let envelope = place.jar.envelope::<Session>(Kind::Session(0));
    let sealed = |packed: &[u8], loose: &[u8]| {
        let plaintext = Plaintext {
            bytes: encode::assemble(packed, loose, 64),
            packing: Packing::Plain,
        };
        place.sealed("", base, &envelope, plaintext)
    };
    let (packed, loose) = (&sections.packed[..], &sections.loose[..]);
    let twice = [packed, &[2]].concat();
    fails(
        "a device that comes twice",
        sealed(&twice, &[loose, key.as_bytes()].concat()),
    );
    let late = [packed, &[1]].concat();
    fails(
        "the end of a refresh token behind a device",
        sealed(&late, &[loose, &[0x80, 0xa4, 0xa8, 0xda, 6]].concat()),
    );
    // Without padding that could be taken for the rest of the key.
    let short = Plaintext {
        bytes: encode::assemble(packed, &loose[..loose.len() - 1], 1),
        packing: Packing::Plain,
    };
    fails("half a key", place.sealed("", base, &envelope, short));
    let mut file = fs::File::create_new(dir().join("device.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}

#[test]
fn the_file_of_proof_keys_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("proof-keys.json").exists();
    if is_missing {
        write_proof_keys();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

/// Access tokens and codes that are bound to a key (RFC 9449).
fn write_proof_keys() {
    let secret = "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE";
    let kid = "c71c73a79f9ff946";
    let mut bound = vector_session();
    bound.tokens.token_type = TokenType::Dpop(kid.parse().unwrap());
    let mut ends = bound.clone();
    ends.tokens.refresh_ends_at = Some(samples::after(1_800));
    let mut login = samples::attempt("a-state-of-a-login", now());
    let base = Some(Kind::Session(0));
    let login_kind = Some(Kind::Login("a-state-"));
    let mut cases = Vec::new();
    for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
        let place = Place::new(alg, secret, kid, Compression::Zstd);
        for (about, session) in [
            ("an access token that is bound to a key", &bound),
            ("the same, and a refresh token that ends", &ends),
        ] {
            cases.push(place.case(about, base, &place.jar.envelope(Kind::Session(0)), session));
        }
        login.proof_key = Some(kid.parse().unwrap());
        let envelope = place.jar.envelope(Kind::Login("a-state-"));
        cases.push(place.case(
            "a code that is bound to a key",
            login_kind,
            &envelope,
            &login,
        ));
    }
    let place = Place::new("XAES-256-GCM", secret, kid, Compression::None);
    login.proof_key = None;
    let of_session = encode::sections(&vector_session()).unwrap();
    let of_login = encode::sections(&login).unwrap();
    let time = [0x80, 0xa4, 0xa8, 0xda, 6];
    let key = [0xc7, 0x1c, 0x73, 0xa7, 0x9f, 0x9f, 0xf9, 0x46];
    for (about, is_login, fields, more) in [
        (
            "further fields out of order",
            false,
            &[3, 1][..],
            [&key[..], &time].concat(),
        ),
        (
            "a key that comes twice",
            false,
            &[3, 3],
            [key, key].concat(),
        ),
        (
            "an unknown further field of a login",
            true,
            &[2],
            key.to_vec(),
        ),
        (
            "a key of a login that comes twice",
            true,
            &[1, 1],
            [key, key].concat(),
        ),
    ] {
        let sections = if is_login { &of_login } else { &of_session };
        let packed = [&sections.packed[..], fields].concat();
        let loose = [&sections.loose[..], &more].concat();
        let bytes = encode::assemble(&packed, &loose, 64);
        let packing = Packing::Plain;
        let plaintext = Plaintext { bytes, packing };
        let mut case = if is_login {
            let envelope = place.jar.envelope::<LoginAttempt>(Kind::Login("a-state-"));
            place.sealed(about, login_kind, &envelope, plaintext)
        } else {
            let envelope = place.jar.envelope::<Session>(Kind::Session(0));
            place.sealed(about, base, &envelope, plaintext)
        };
        case["fails"] = json!("rejected");
        cases.push(case);
    }
    let mut file = fs::File::create_new(dir().join("proof-keys.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}
