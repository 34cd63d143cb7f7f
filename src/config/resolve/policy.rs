//! What a route requires of a session, and its rate limit: `require_scopes`, `require_claims`, `rate_limit`.

use std::num::NonZeroU32;

use super::check::is_scope;
use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::config::units::{Count, RATES, Rate};
use crate::frontend::{CountedBy, Policy, RateLimit, RequiredClaim, Route, TokenRequirement};

const MOST_AT_ONCE: usize = 1_000_000;

/// The requirements of a route.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    route: &settings::Route,
) -> Policy {
    resolver.ensure(
        route.require_scopes.iter().all(|scope| is_scope(scope)),
        &at.child("require_scopes"),
        "a scope is printable ASCII without spaces, quotes and backslashes",
        "write each scope as a string of its own: [\"orders.read\", \"orders.write\"]",
    );
    let claims_at = at.child("require_claims");
    for (name, any_of) in &route.require_claims {
        resolver.ensure(
            !name.is_empty() && !name.chars().any(char::is_control),
            &claims_at,
            "a claim's name is empty or has control characters",
            "name claims as the ID token does",
        );
        resolver.ensure(
            !any_of.is_empty(),
            &claims_at.child(name),
            "the list of allowed values is empty",
            "name at least one value, or remove the key",
        );
    }
    let required = |(name, any_of): (&String, &Vec<String>)| RequiredClaim {
        name: name.clone(),
        any_of: any_of.clone(),
    };
    Policy {
        scopes: route.require_scopes.clone(),
        claims: route.require_claims.iter().map(required).collect(),
    }
}

/// The rate limit of a route.
pub(super) fn rate_limit(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    route: &settings::Route,
) -> Result<Option<RateLimit>, Noted> {
    let Some(limit) = &route.rate_limit else {
        return Ok(None);
    };
    let by = resolver.choice(
        &at.child("by"),
        &limit.by,
        &[
            ("session", CountedBy::Session),
            ("address", CountedBy::Address),
        ],
    );
    let limit = buckets(resolver, at, limit.per_second, limit.burst, by)?;
    Ok(Some(limit))
}

/// The rate limit of logins, which do not have a session yet.
pub(super) fn login_rate_limit(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Result<Option<RateLimit>, Noted> {
    let Some(limit) = &frontend.login_rate_limit else {
        return Ok(None);
    };
    let by = Some(CountedBy::Address);
    let limit = buckets(resolver, at, limit.per_second, limit.burst, by)?;
    Ok(Some(limit))
}

fn buckets(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    per_second: Option<Rate>,
    burst: Option<Count>,
    by: Option<CountedBy>,
) -> Result<RateLimit, Noted> {
    let rate_at = at.child("per_second");
    let rate = resolver.required(&rate_at, per_second.as_ref(), "write a number such as 20");
    let Some(Rate(rate)) = rate.copied() else {
        return Err(Noted);
    };
    let is_rate = resolver.ensure(
        RATES.contains(&rate),
        &rate_at,
        "out of bounds",
        "write a number from 0.001 (one in 1000 seconds) to 1000000",
    );
    // Without a usable rate there is no default for the burst. The mistake about the rate is enough.
    let is_burst = resolver.ensure(
        burst.is_none_or(|Count(burst)| (1..=MOST_AT_ONCE).contains(&burst)),
        &at.child("burst"),
        "out of bounds",
        "write a number from 1 to 1000000",
    );
    if by == Some(CountedBy::Address) && resolver.written.settings.server.trusted_proxies.is_empty()
    {
        resolver.hint(
            at,
            "if a proxy is in front, name it in server.trusted_proxies; otherwise all clients count as one address",
        );
    }
    let burst = burst.and_then(|Count(burst)| NonZeroU32::new(u32::try_from(burst).ok()?));
    burst
        .zip(by)
        .filter(|_| is_rate && is_burst)
        .and_then(|(burst, by)| RateLimit::new(rate, burst, by))
        .map(|limit| limit.timed_by(resolver.clock))
        .ok_or(Noted)
}

/// Refuses requirements that no request can meet, and limits that would count nothing.
pub(super) fn check_token(resolver: &mut Resolver<'_>, at: &KeyPath, route: &Route) {
    resolver.ensure(
        route.token != TokenRequirement::None || route.policy.scopes.is_empty(),
        &at.child("require_scopes"),
        "with token = \"none\" there is no token that could have a scope",
        "remove it, or choose another token",
    );
    let by_session = |limit: &RateLimit| limit.by == CountedBy::Session;
    resolver.ensure(
        route.opens_session() || !route.rate_limit.as_ref().is_some_and(by_session),
        &at.child("rate_limit").child("by"),
        "this route does not open the session",
        "write by = \"address\"",
    );
}
