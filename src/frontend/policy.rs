//! What a route requires of a session, beyond that there is one.
//!
//! `token::permit` checks it before anything is sent: first claims and path, which costs no call; then scopes, once it is
//! clear which token goes along. The requirements are worked out when the configuration is read.
//!
//! # Invariants
//! - A missing claim does not fulfil a requirement, nor does another frontend's session.
//! - A refusal names the claim or scope that is missing, never a value.
//!
//! # Why
//! The claims are those that the provider stated at the login or at the last refresh, sealed into the session. If it changes a
//! person's role, that counts from the next refresh on. The API itself decides what must count at once.

use std::borrow::Cow;

use serde_json::Value;

use super::path::RoutePath;
use crate::names::{RequestPath, decodes_to};
use crate::problem::Problem;
use crate::session::Session;

/// Claims that a session always has in a field of its own.
const FIELDS: [&str; 3] = ["iss", "sid", "sub"];

/// The requirements of a route.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// All of these must be in the granted scope of the token that goes along.
    pub scopes: Vec<String>,
    /// Each claim must have one of its values.
    pub claims: Vec<RequiredClaim>,
}

/// One entry of `require_claims`.
#[derive(Clone, Debug)]
pub struct RequiredClaim {
    /// The claim.
    pub name: String,
    /// What it may be.
    pub any_of: Vec<String>,
}

impl Policy {
    /// Whether the session has every required claim, and the request's path is its own.
    pub fn check_claims(
        &self,
        session: &Session,
        route: &RoutePath,
        path: RequestPath<'_>,
    ) -> Result<(), Problem> {
        for required in &self.claims {
            let fits = |value: &str| required.any_of.iter().any(|wanted| wanted == value);
            if !has(session, &required.name, fits) {
                let name = &required.name;
                let detail = if has(session, name, |_| true) {
                    format!("the session's claim {name:?} has no value that is allowed here")
                } else {
                    format!("the session has no claim {name:?}, which is needed here")
                };
                return Err(Problem::Forbidden(detail));
            }
        }
        for (name, segment) in route.claims(path) {
            if !has(session, name, |value| decodes_to(segment, value.bytes())) {
                return Err(Problem::Forbidden(format!(
                    "the path is not that of the session's own {name:?}"
                )));
            }
        }
        Ok(())
    }

    /// Whether a granted scope (RFC 6749 §3.3) has all that is required.
    pub fn check_scopes(&self, granted: &str) -> Result<(), Problem> {
        let is_missing = |scope: &&String| !granted.split(' ').any(|one| one == **scope);
        let missing: Vec<_> = self.scopes.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Problem::InsufficientScope {
            detail: format!("missing scope: {}", missing.join(" ")),
            part: None,
        })
    }

    /// The required claims for which a session has no value at all.
    pub fn missing<'p>(
        &'p self,
        route: &'p RoutePath,
        session: &'p Session,
    ) -> impl Iterator<Item = &'p str> {
        let required = self.claims.iter().map(|claim| claim.name.as_str());
        let all = required.chain(route.claim_names());
        all.filter(|name| !has(session, name, |_| true))
    }

    /// The claims that sessions keep for a route, although the app may not be shown them.
    pub fn claims_to_keep<'p>(
        &'p self,
        route: &'p RoutePath,
    ) -> impl Iterator<Item = &'p str> + use<'p> {
        let required = self.claims.iter().map(|claim| claim.name.as_str());
        required
            .chain(route.claim_names())
            .filter(|name| !FIELDS.contains(name))
    }
}

/// The one value of a session's claim, as text. `None` if there is none, or if it is a list or an object.
pub fn claim_text<'s>(session: &'s Session, name: &str) -> Option<Cow<'s, str>> {
    match name {
        "iss" => Some(Cow::Borrowed(&session.issuer)),
        "sid" => session.idp_sid.as_deref().map(Cow::Borrowed),
        "sub" => Some(Cow::Borrowed(&session.subject)),
        _ => match session.claims.get(name)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Cow::Owned(value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
    }
}

/// Whether a claim has a value that fits. A number or truth value is compared as text. Of several values one is enough.
fn has(session: &Session, name: &str, fits: impl Fn(&str) -> bool) -> bool {
    match name {
        "iss" => fits(&session.issuer),
        "sid" => session.idp_sid.as_deref().is_some_and(fits),
        "sub" => fits(&session.subject),
        _ => match session.claims.get(name) {
            Some(Value::Array(values)) => values.iter().any(|value| is(value, &fits)),
            Some(value) => is(value, &fits),
            None => false,
        },
    }
}

fn is(value: &Value, fits: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Number(number) => fits(&number.to_string()),
        Value::Bool(truth) => fits(if *truth { "true" } else { "false" }),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}
