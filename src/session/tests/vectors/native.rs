//! What apps hold instead of cookies.

use std::fs;
use std::io::Write as _;

use openidconnect::{Nonce, PkceCodeVerifier};
use serde_json::{Value, json};

use super::described::Described;
use super::write::{Place, vector_session};
use super::{dir, hex};
use crate::clock::UnixTime;
use crate::session::encode;
use crate::session::encode::Plaintext;
use crate::session::native::{NativeAccess, NativeCode, NativeLogin, NativeRefresh};
use crate::session::pack::Packing;
use crate::session::samples::{after, now};
use crate::session::{Compression, Session};

const RANDOM: &str = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDE";

fn common(session: &Session, key: Option<[u8; 32]>) -> Value {
    json!({
        "id": hex(&session.id.0), "sealed_at": session.last_seen.as_secs(), "started_at": session.started_at.as_secs(),
        "ends_at": session.ends_at.as_secs(), "auth_time": session.auth_time.map(UnixTime::as_secs),
        "issuer": session.issuer, "subject": session.subject, "sid": session.idp_sid,
        "scope": session.tokens.scope, "claims": session.claims, "key": key.map(|key| hex(&key)),
    })
}

impl Described for NativeAccess {
    fn described(&self) -> Value {
        let mut described = common(&self.session, self.key);
        let tokens = &self.session.tokens;
        described["access_token"] = json!(tokens.access_token.secret());
        described["received_at"] = json!(tokens.issued_at.as_secs());
        described["expires_at"] = json!(tokens.expires_at.as_secs());
        described["lasts_until"] = json!(self.lasts_until.map(UnixTime::as_secs));
        described
    }
}

impl Described for NativeRefresh {
    fn described(&self) -> Value {
        let mut described = common(&self.session, self.key);
        let tokens = &self.session.tokens;
        let refresh_token = tokens.refresh_token.as_ref();
        described["refresh_token"] = json!(refresh_token.map(|token| token.secret().clone()));
        described["refresh_ends_at"] = json!(tokens.refresh_ends_at.map(UnixTime::as_secs));
        described["access_token_sha256"] = json!(tokens.access_token.secret());
        described
    }
}

impl Described for NativeLogin {
    fn described(&self) -> Value {
        json!({
            "redirect_uri": self.redirect_uri, "state": self.state, "challenge": hex(&self.challenge),
            "key": self.key.map(|key| hex(&key)), "begun_at": self.begun_at.as_secs(),
        })
    }
}

impl Described for NativeCode {
    fn described(&self) -> Value {
        json!({
            "login": self.login.described(), "code": self.code, "state": self.random, "nonce": self.nonce.secret(),
            "verifier": self.verifier.secret(), "max_age": self.max_age, "acr_values": self.acr_values,
            "issued_at": self.issued_at.as_secs(),
        })
    }
}

#[test]
fn the_file_of_apps_is_there_and_is_never_written_again() {
    let is_missing = !dir().join("native.json").exists();
    if is_missing {
        write();
    }
    assert!(!is_missing, "it was missing: it is written anew now");
}

fn login(is_full: bool) -> NativeLogin {
    NativeLogin {
        redirect_uri: "com.example.shop:/cb".to_owned(),
        state: is_full.then(|| "state of the app".to_owned()),
        challenge: [8; 32],
        key: is_full.then_some([9; 32]),
        begun_at: now(),
    }
}

fn write() {
    let secret = "KW2rcBuNOD9N2xjVTdW936YhcjlgB-YKVJC2OwluLSE";
    let place = |alg, compression| Place::new(alg, secret, "c71c73a79f9ff946", compression);
    let mut session = vector_session();
    session.tokens.refresh_ends_at = Some(after(1_800));
    let mut least = vector_session();
    (least.auth_time, least.idp_sid) = (None, None);
    least.claims.clear();
    let mut cases = Vec::new();
    for alg in ["XAES-256-GCM", "XChaCha20-Poly1305"] {
        for compression in [Compression::None, Compression::Zstd] {
            let place = place(alg, compression);
            for (about, session, key) in [
                ("bound to a key", &session, Some([9; 32])),
                ("without anything that can be left out", &least, None),
            ] {
                let access = NativeAccess::of(session, key);
                let about_access = format!("an access token {about}");
                cases.push(place.case(&about_access, None, &place.jar.token(), &access));
                let refresh = NativeRefresh::of(session, key).unwrap();
                let about_refresh = format!("a refresh token {about}");
                cases.push(place.case(&about_refresh, None, &place.jar.token(), &refresh));
            }
        }
        let place = place(alg, Compression::None);
        let envelope = place.jar.parameter(format!("native-login.{RANDOM}"));
        for is_full in [true, false] {
            cases.push(place.case("a login of an app", None, &envelope, &login(is_full)));
            let code = NativeCode {
                login: login(is_full),
                code: "code of the provider".to_owned(),
                random: RANDOM.to_owned(),
                nonce: Nonce::new("nonce".to_owned()),
                verifier: PkceCodeVerifier::new("verifier".to_owned()),
                max_age: is_full.then_some(60),
                acr_values: is_full.then(|| "gold".to_owned()),
                issued_at: now(),
                proof_key: None,
            };
            cases.push(place.case("a code", None, &place.jar.token(), &code));
        }
    }
    let place = place("XAES-256-GCM", Compression::None);
    let access = NativeAccess::of(&least, Some([9; 32]));
    let mut fails = |about: &str, mut case: Value| {
        case["about"] = json!(about);
        case["fails"] = json!("rejected");
        case.as_object_mut().unwrap().remove("state");
        cases.push(case);
    };
    let good = place.case("", None, &place.jar.token(), &access);
    for purpose in ["native-refresh", "native-code"] {
        let mut case = good.clone();
        case["purpose"] = json!(purpose);
        fails(&format!("an access token as {purpose}"), case);
    }
    let mut cookie = good.clone();
    cookie["purpose"] = json!("session");
    cookie["cookies"][0][0] = json!("__Host-Http-shop");
    fails("an access token as a session", cookie);
    let sections = encode::sections(&access).unwrap();
    let sealed = |packed: &[u8], loose: &[u8]| {
        // Padding would stand in for what is missing.
        let bytes = encode::assemble(packed, loose, 1);
        let packing = Packing::Plain;
        let plaintext = Plaintext { bytes, packing };
        place.sealed("", None, &place.jar.token::<NativeAccess>(), plaintext)
    };
    let more = [&sections.packed[..], &[0]].concat();
    fails("a byte too many", sealed(&more, &sections.loose));
    let short = &sections.loose[..sections.loose.len() - 1];
    fails("a key that is too short", sealed(&sections.packed, short));
    let mut file = fs::File::create_new(dir().join("native.json")).unwrap();
    writeln!(file, "{}", serde_json::to_string_pretty(&cases).unwrap()).unwrap();
}
