//! What browsers and we say to each other about a session's device: headers, challenges, and the session as they keep it.
//!
//! # Spec
//! Device Bound Session Credentials (W3C). `Secure-Session-Response` is a structured string there (RFC 9651 §3.3.3); Chromium
//! sends it without quotes.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::problem::Problem;
use crate::proof::{Age, SealedTime};
use crate::request::{Caller, Ctx};
use crate::session::{Binding, Session};

/// The `typ` of a proof.
pub(super) const TYP: &str = "dbsc+jwt";

const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");
const REGISTRATION: HeaderName = HeaderName::from_static("secure-session-registration");
const RESPONSE: &str = "secure-session-response";

/// Browsers sign six times in nine minutes at the most, so a proof counts for five minutes at the least.
const SHORTEST: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_mins(10);

const NO_CHALLENGE: Problem = Problem::BadRequest("the proof names no challenge");

/// What a challenge is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// To register a key for this session.
    Registration([u8; 16]),
    /// To prove that the key of this binding is there.
    Proof(Binding),
}

impl Purpose {
    fn of_session(session: &Session) -> Self {
        Self::Registration(session.id.0)
    }

    const fn sealed(&self) -> (SealedTime, &[u8; 16]) {
        match self {
            Self::Registration(session) => (SealedTime::new("device registration 1"), session),
            Self::Proof(binding) => (SealedTime::new("device proof 1"), binding.as_bytes()),
        }
    }

    fn challenge(&self, ctx: &Ctx<'_>) -> Result<String, Problem> {
        let (sealed, context) = self.sealed();
        sealed
            .seal(context, ctx.wallet.keys(), ctx.now)
            .map_err(|error| {
                log::error!(code = Problem::Internal.code(); "no challenge: {error}");
                Problem::Internal
            })
    }

    /// Whether the proof answers a challenge of ours for the same, of the last minutes.
    pub(super) fn is_answered(
        &self,
        claims: &Map<String, Value>,
        ctx: &Ctx<'_>,
    ) -> Result<bool, Problem> {
        let given = claims.get("jti").and_then(Value::as_str);
        let given = given.ok_or(NO_CHALLENGE)?;
        let (sealed, context) = self.sealed();
        let age = sealed.age(given, context, ctx.wallet.keys(), ctx.now);
        Ok(matches!(age, Age::Fresh(_)))
    }

    /// The answer that asks for a proof over a new challenge.
    pub(super) fn ask(&self, ctx: &Ctx<'_>) -> Result<HttpResponse, Problem> {
        let mut answer = HttpResponse::Forbidden().finish();
        self.put(&mut answer, ctx)?;
        Ok(answer)
    }

    fn put(&self, answer: &mut HttpResponse, ctx: &Ctx<'_>) -> Result<(), Problem> {
        let challenge = self.challenge(ctx)?;
        let value = match self {
            Self::Registration(_) => format!("\"{challenge}\""),
            Self::Proof(binding) => format!("\"{challenge}\";id=\"{}\"", binding.to_text()),
        };
        put(answer, CHALLENGE, &value);
        Ok(())
    }
}

/// Offers a browser to bind the session, while it is not. A browser that cannot passes over it.
pub(super) fn offer(answer: &mut HttpResponse, ctx: &Ctx<'_>) {
    use crate::session::DeviceBinding::Off;
    let frontend = ctx.frontend;
    // Browsers register nothing without TLS, not even on loopback.
    let offers = frontend.session.device_binding != Off && frontend.origin.is_secure();
    let Caller::Browser(session) = &ctx.caller else {
        return;
    };
    if !offers || session.device.is_some() {
        return;
    }
    if let Ok(challenge) = Purpose::of_session(session).challenge(ctx) {
        let path = format!("{}/device", frontend.base_path);
        put(
            answer,
            REGISTRATION,
            &format!("(ES256);path=\"{path}\";challenge=\"{challenge}\""),
        );
    }
}

/// A registration is for this session.
pub(super) fn registration_of(session: &Session) -> Purpose {
    Purpose::of_session(session)
}

/// The proof that came, if there is one.
pub(super) fn proof<'c>(ctx: &'c Ctx<'_>) -> Result<Option<&'c str>, Problem> {
    text(ctx, RESPONSE).map_err(|()| Problem::BadRequest("Secure-Session-Response is malformed"))
}

/// A header that is one string, with or without quotes.
pub(super) fn text<'c>(ctx: &'c Ctx<'_>, name: &str) -> Result<Option<&'c str>, ()> {
    let mut lines = ctx.request.headers().get_all(name).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(());
    }
    let text = line.to_str().map_err(drop)?.trim();
    let inner = text.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(Some(text)).map(Some).ok_or(())
}

/// Refuses a proof that was made for another address. Browsers may leave it out.
pub(super) fn check_audience(claims: &Map<String, Value>, ctx: &Ctx<'_>) -> Result<(), Problem> {
    let own = || format!("{}{}", ctx.frontend.origin, ctx.request.uri().path());
    match claims.get("aud") {
        None => Ok(()),
        Some(Value::String(audience)) if *audience == own() => Ok(()),
        Some(_) => Err(Problem::BadRequest("the proof is for another address")),
    }
}

/// For how long a proof of now counts: as long as the access token, within bounds.
pub(super) fn life(session: &Session, ctx: &Ctx<'_>) -> Duration {
    let left = session.tokens.expires_at.since(ctx.now);
    left.clamp(SHORTEST, LONGEST)
}

/// The answer to a proof: its cookie, the session as the browser keeps it, and the challenge for the next proof.
pub(super) fn granted(binding: Binding, ctx: &mut Ctx<'_>) -> Result<HttpResponse, Problem> {
    let Some(session) = ctx.caller.session().cloned() else {
        return Err(ctx.frontend.login_required());
    };
    let life = life(&session, ctx);
    ctx.wallet.store_device_proof(binding, life);
    let frontend = ctx.frontend;
    let (name, attributes) = frontend.jar.device_cookie();
    let mut answer = HttpResponse::Ok().json(json!({
        "session_identifier": binding.to_text(),
        "refresh_url": format!("{}/device/refresh", frontend.base_path),
        "continue": true,
        "scope": {
            "origin": frontend.origin.as_str(),
            "include_site": false,
            "scope_specification": frontend.device_scope(),
        },
        "credentials": [{"type": "cookie", "name": name, "attributes": attributes}],
        "allowed_refresh_initiators": [],
    }));
    Purpose::Proof(binding).put(&mut answer, ctx)?;
    Ok(answer)
}

/// The answer to a session that the browser keeps and we do not: it ends.
pub(super) fn over(id: &str) -> HttpResponse {
    HttpResponse::Ok().json(json!({"session_identifier": id, "continue": false}))
}

fn put(answer: &mut HttpResponse, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
}
