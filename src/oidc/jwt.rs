//! Signed JWTs of a provider: taken apart, verified, and what their claims say.
//!
//! ID tokens and logout tokens have rules of their own (`id_token`, `logout_token`). The rules for both are here.
//!
//! # Invariants
//! - Keys come from the provider's `jwks_uri` alone. `jku`, `jwk` and `x5u` in a header are not even read (RFC 8725 §3.10).
//! - We decide which algorithms are good, never the token (RFC 8725 §3.1).
//! - A claim is judged only when it is used. A claim that is not used may have any form.
//! - Every time is read by [`numeric_date`].
//!
//! # Spec
//! RFC 7515 §5.2; RFC 7519 §2, §4.1; RFC 8725.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::OidcError;
use super::algorithm::SigningAlgorithm;
use super::keys::KeySet;
use crate::clock::UnixTime;

/// The most characters of an audience that an error quotes, and the most audiences.
const QUOTED: (usize, usize) = (120, 4);

/// Why a token is not believed. Quotes nothing of it but whom it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// It is for somebody else, or for somebody else too. The text names who it is for, and who it should be for.
    Audience(String),
    /// The provider's metadata does not list its signature algorithm; newer metadata may.
    Algorithm,
    /// No key at hand fits; a newer key set may have one.
    Key,
    /// The key that fits does not verify it; a newer key set may have another key of that name.
    Signature,
    /// This claim, which is used, has another form than it must have.
    NotUnderstood(&'static str),
    /// It breaks this rule.
    Rule(&'static str),
    /// It breaks this rule, if the clock here is right.
    Time(&'static str),
    /// The refusal stands, for this is why nothing newer came that might have explained the token.
    WithoutNewer(Box<Refusal>, String),
}

impl Refusal {
    /// The same, and why there is nothing newer.
    pub(super) fn without_newer(self, why: &OidcError) -> Self {
        Self::WithoutNewer(Box::new(self), why.to_string())
    }

    /// Whether something newer could have explained the token, as far as could be seen without it.
    pub(super) fn is_for_want_of_a_key(&self) -> bool {
        match self {
            Self::Algorithm | Self::Key => true,
            Self::WithoutNewer(refusal, _) => refusal.is_for_want_of_a_key(),
            _ => false,
        }
    }

    /// The same, without anything of the token: for a token that anybody may have sent.
    pub(super) fn unquoted(self) -> Self {
        match self {
            Self::Audience(_) => {
                Self::Rule("aud is not this client, or names another audience that is not trusted")
            }
            refusal => refusal,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audience(who) => f.write_str(who),
            Self::WithoutNewer(refusal, why) => write!(f, "{refusal}; nothing newer came: {why}"),
            Self::Algorithm => f.write_str("the provider does not list its signature algorithm"),
            Self::Key => f.write_str("no key of the provider fits it"),
            Self::Signature => f.write_str("no key of the provider verifies its signature"),
            Self::NotUnderstood(name) => write!(f, "{name} is not understood"),
            Self::Rule(rule) => f.write_str(rule),
            Self::Time(rule) => write!(
                f,
                "{rule}, by the clock here: see that NTP sets this clock and the provider's"
            ),
        }
    }
}

impl From<Refusal> for OidcError {
    fn from(refusal: Refusal) -> Self {
        Self::Invalid(format!("ID token: {refusal}"))
    }
}

/// A signed JWT (RFC 7519 §7.2), not verified yet.
pub(super) struct Jwt<'r> {
    header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    signed: &'r str,
    signature: Vec<u8>,
}

impl<'r> Jwt<'r> {
    /// Takes the compact serialisation apart.
    pub(super) fn read(raw: &'r str) -> Result<Self, Refusal> {
        let read = || {
            let (signed, signature) = raw.rsplit_once('.')?;
            let (header, claims) = signed.split_once('.')?;
            Some(Self {
                header: object(header)?,
                claims: object(claims)?,
                signed,
                signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            })
        };
        read().ok_or(Refusal::Rule("it is not a readable JWT"))
    }

    /// The name of the key that signed it, as it says.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The algorithm, if the header is that of a signed token of one of these `types`. They are values of `typ`, in lower case and
    /// without `application/`.
    pub(super) fn check_header(&self, types: &[&str]) -> Result<SigningAlgorithm, Refusal> {
        // RFC 7515 §4.1.11: an extension that must be understood is not.
        if self.header.contains_key("crit") {
            return Err(Refusal::Rule("its header has a crit"));
        }
        // RFC 7519 §5.2: it holds another JWT, or something else than claims.
        if self.header.contains_key("cty") {
            return Err(Refusal::Rule("its header has a cty"));
        }
        let is_type = |text: &str| {
            let text = text.to_ascii_lowercase();
            let text = text.strip_prefix("application/").unwrap_or(&text);
            types.contains(&text)
        };
        match self.header.get("typ") {
            None => {}
            Some(Value::String(text)) if is_type(text) => {}
            Some(_) => return Err(Refusal::Rule("its typ is that of another token")),
        }
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.and_then(SigningAlgorithm::parse);
        algorithm.ok_or(Refusal::Rule("its signature algorithm is not accepted"))
    }

    /// Whether one of the keys made the signature.
    pub(super) fn check_signature(
        &self,
        algorithm: SigningAlgorithm,
        keys: &KeySet,
    ) -> Result<(), Refusal> {
        let fitting = keys.fitting(self.kid(), algorithm);
        let verifies = |key: &&super::keys::Key| {
            key.verifies(algorithm, self.signed.as_bytes(), &self.signature)
        };
        match fitting.len() {
            0 => Err(Refusal::Key),
            _ if fitting.iter().any(verifies) => Ok(()),
            _ => Err(Refusal::Signature),
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let unique: Unique = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    Some(unique.0)
}

/// Members with different names (RFC 7515 §4, RFC 7519 §4). If a name came twice, another reader might take the other member and
/// see another token.
struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut read: A) -> Result<Unique, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = read.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                }
                Ok(Unique(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Whether `aud` names this client, once or several times, and no other audience than those that are trusted.
pub(super) fn is_for(claims: &Map<String, Value>, client_id: &str, trusted: &[String]) -> bool {
    let is_us = |value: &Value| value.as_str() == Some(client_id);
    let is_trusted = |value: &Value| {
        value
            .as_str()
            .is_some_and(|one| trusted.iter().any(|known| known == one))
    };
    match claims.get("aud") {
        Some(Value::Array(all)) => {
            all.iter().any(is_us) && all.iter().all(|one| is_us(one) || is_trusted(one))
        }
        Some(one) => is_us(one),
        None => false,
    }
}

/// Whom a token is for that is not for this client, and whom it should be for.
pub(super) fn not_for(claims: &Map<String, Value>, client_id: &str, trusted: &[String]) -> Refusal {
    let (longest, most) = QUOTED;
    let quoted = |text: &str| -> String { text.chars().take(longest).collect() };
    let one = |value: &Value| match value {
        Value::String(text) => format!("{:?}", quoted(text)),
        _ => "a value that is not a text".to_owned(),
    };
    let stated = match claims.get("aud") {
        None | Some(Value::Null) => "missing".to_owned(),
        Some(Value::Array(all)) => {
            let some: Vec<String> = all.iter().take(most).map(one).collect();
            let more = if all.len() > most { ", …" } else { "" };
            format!("[{}{more}]", some.join(", "))
        }
        Some(value) => one(value),
    };
    let besides = match trusted {
        [] => "and no other is in oidc.trusted_audiences".to_owned(),
        trusted => format!("and besides it only {trusted:?} (oidc.trusted_audiences)"),
    };
    Refusal::Audience(format!(
        "aud is {stated}, and should be {client_id:?} (oidc.client_id), {besides}"
    ))
}

/// A claim that is a text.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// A claim that is a time.
pub(super) fn time(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<UnixTime>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => numeric_date(value)
            .map(Some)
            .ok_or(Refusal::NotUnderstood(name)),
    }
}

/// RFC 7519 §2, `NumericDate`: a number of seconds, perhaps with a fraction, which is dropped. A time before the epoch becomes the
/// epoch. A number beyond any clock is not a time.
fn numeric_date(value: &Value) -> Option<UnixTime> {
    let fraction = || Duration::try_from_secs_f64(value.as_f64()?.max(0.0)).ok();
    let whole = value.as_u64();
    whole
        .or_else(|| fraction().map(|since| since.as_secs()))
        .map(UnixTime::from_secs)
}

/// What an ID token says, once it has kept every rule.
#[derive(Clone)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `sid`: the provider's session.
    pub sid: Option<String>,
    /// `auth_time`: when the user last proved who they are.
    pub auth_time: Option<UnixTime>,
    /// `acr`: how strong that proof was.
    pub acr: Option<String>,
    /// `session_expiry`: when the provider wants the session to be over.
    pub session_expiry: Option<UnixTime>,
    /// All claims, these among them, as they are written.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Reads the claims that sessions use. If a session can do without one that is not understood, the log names it.
    pub(super) fn read(all: Map<String, Value>) -> Result<Self, Refusal> {
        let issuer = text(&all, "iss").unwrap_or_default();
        let subject = match all.get("sub") {
            None | Some(Value::Null) => return Err(Refusal::Rule("sub is missing")),
            Some(Value::String(text)) if text.is_empty() => {
                return Err(Refusal::Rule("sub is empty"));
            }
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err(Refusal::NotUnderstood("sub")),
        };
        let pass_over = |name: &str| {
            log::warn!("{issuer:?}: ID token: {name} is not understood, and passed over");
        };
        let time = |name| {
            let time = time(&all, name);
            time.inspect_err(|_| pass_over(name)).ok().flatten()
        };
        let (auth_time, session_expiry) = (time("auth_time"), time("session_expiry"));
        let text = |name| match all.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            None | Some(Value::Null) => None,
            Some(_) => {
                pass_over(name);
                None
            }
        };
        let sid = text("sid");
        // Only a login that asked for it uses `acr`, and such a login is refused without one that fits.
        let acr = all.get("acr").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            issuer: issuer.to_owned(),
            subject,
            sid,
            auth_time,
            acr,
            session_expiry,
            all,
        })
    }
}

impl fmt::Debug for Claims {
    // SECURITY: it holds names and addresses of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_member_is_there_twice() {
        // RFC 7519 §4
        let read = |text: &str| object(&URL_SAFE_NO_PAD.encode(text)).is_some();
        assert!(read("{\"a\":1,\"b\":{}}"));
        for text in ["{\"a\":1,\"a\":1}", "[]", "7", "", "{\"a\":1}x"] {
            assert!(!read(text), "{text}");
        }
    }

    #[test]
    fn what_a_session_can_do_without_is_passed_over_and_the_subject_is_not() {
        let read = |claims: Value| Claims::read(claims.as_object().unwrap().clone());
        let claims = read(json!({
            "sub": "ada", "sid": "s-1", "acr": "gold", "auth_time": 7.5, "session_expiry": 9, "x": [1],
        }));
        let claims = claims.unwrap();
        assert_eq!(claims.subject, "ada");
        let texts = (claims.sid.as_deref(), claims.acr.as_deref());
        assert_eq!(texts, (Some("s-1"), Some("gold")));
        let at = |secs| Some(UnixTime::from_secs(secs));
        assert_eq!((claims.auth_time, claims.session_expiry), (at(7), at(9)));
        assert_eq!(claims.all.len(), 6);

        let claims = read(json!({
            "sub": "ada", "sid": 1, "acr": ["gold"], "auth_time": "7", "session_expiry": null,
        }));
        let claims = claims.unwrap();
        assert_eq!((claims.sid, claims.acr), (None, None));
        assert_eq!((claims.auth_time, claims.session_expiry), (None, None));

        for subject in [json!(null), json!(""), json!(7)] {
            assert!(read(json!({ "sub": subject })).is_err());
        }
    }

    #[test]
    fn a_time_may_have_a_fraction() {
        // F1, RFC 7519 §2
        for (written, read) in [
            (json!(1_795_262_400), Some(1_795_262_400)),
            (json!(1_795_262_400.25), Some(1_795_262_400)),
            (json!(1_795_262_400.99), Some(1_795_262_400)),
            (json!(1.795_262_4e9), Some(1_795_262_400)),
            (json!(-1), Some(0)),
            (json!(-0.5), Some(0)),
            (json!(1e300), None),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!("1795262400"), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            let secs = numeric_date(&written).map(UnixTime::as_secs);
            assert_eq!(secs, read, "{written}");
        }
    }
}
