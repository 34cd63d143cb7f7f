//! What a request does about its tokens: two decisions, and no act.
//!
//! `refresh` asks [`start`] before the token call and [`decide`] after it, and carries out what they say.
//!
//! # Invariants
//! - While the access token lives, a failed refresh costs nothing: the request goes on.
//! - A browser is told at most once to try again. Then it must sign in.
//! - A session that somebody ended during the call is over, whatever the call brought.
//!
//! # Spec
//! RFC 6749 §6; OpenID Connect Core §12.2.

use std::sync::Arc;
use std::time::Instant;

use openidconnect::RefreshToken;

use crate::clock::UnixTime;
use crate::ledger::{Landed, Outcome, Renewal, Why};
use crate::session::TokenSet;

/// Whether to ask the provider for new tokens.
#[derive(Debug)]
pub(super) enum Start<'s> {
    /// Spend this refresh token.
    Call(&'s RefreshToken),
    /// Go on with the tokens that there are.
    Keep,
    /// The access token has ended, and there is no refresh token that is good.
    SignIn,
    /// The access token has ended, but the browser may throw away the answer to a speculative load, and the new tokens
    /// with it.
    Speculative,
}

/// The decision before the call. `has_ended`: the access token is of no use any more.
pub(super) fn start(
    tokens: &TokenSet,
    has_ended: bool,
    now: UnixTime,
    is_speculative: bool,
) -> Start<'_> {
    match tokens.usable_refresh_token(now) {
        Some(refresh_token) if !is_speculative => Start::Call(refresh_token),
        _ if !has_ended => Start::Keep,
        Some(_) => Start::Speculative,
        None => Start::SignIn,
    }
}

/// What is true of the request, now that the call is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The access token has ended, or the key that it is bound to has, so the request cannot go on without a new one.
    pub(super) has_ended: bool,
    /// Somebody ended the session during the call.
    pub(super) is_revoked: bool,
    /// A cookie says that another replica has told this browser to try again.
    pub(super) was_told: bool,
    /// When the request came in.
    pub(super) arrived_at: Instant,
}

impl Situation {
    /// Whether the browser was told to try again before it sent this request.
    fn is_second_try(&self, told_at: Option<Instant>) -> bool {
        self.was_told || told_at.is_some_and(|told_at| self.arrived_at > told_at)
    }
}

/// What the request does.
#[derive(Debug)]
pub(super) enum Next {
    /// Go on with these tokens, and store them in the browser.
    Adopt(Arc<Renewal>),
    /// Go on with the tokens that there are.
    Keep(Why),
    /// Tell the browser to try again: the cookies of another replica may be on their way to it.
    TryAgain(Why),
    /// Say that the provider is out of reach.
    Unavailable(Why),
    /// The session is over.
    End(Ended),
}

/// Why a session is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// The user has signed out, or the provider or an administrator has signed the user out.
    SignedOut,
    /// The new tokens belong to another login.
    AnotherLogin(Why),
    /// The provider refuses the refresh token.
    Refused(Why),
}

/// The decision after the call.
pub(super) fn decide(landed: Landed, situation: &Situation) -> Next {
    if situation.is_revoked {
        return Next::End(Ended::SignedOut);
    }
    match landed.outcome {
        Outcome::Refreshed(renewal) => Next::Adopt(renewal),
        Outcome::Mismatch(why) => Next::End(Ended::AnotherLogin(why)),
        Outcome::Contested(why) | Outcome::Refused(why) | Outcome::Unavailable(why)
            if !situation.has_ended =>
        {
            Next::Keep(why)
        }
        Outcome::Refused(why) => Next::End(Ended::Refused(why)),
        Outcome::Contested(why) if situation.is_second_try(landed.told_at) => {
            Next::End(Ended::Refused(why))
        }
        Outcome::Contested(why) => Next::TryAgain(why),
        Outcome::Unavailable(why) => Next::Unavailable(why),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::samples;

    #[test]
    fn a_token_call_needs_a_refresh_token_and_a_load_that_counts() {
        let now = samples::now();
        let tokens = |has_ended: bool, has_refresh_token: bool| {
            let mut tokens = samples::session(now).tokens;
            if has_ended {
                tokens.expires_at = now;
            }
            // The provider has said when the refresh token ends: now.
            tokens.refresh_ends_at = (!has_refresh_token).then_some(now);
            tokens
        };
        for (has_ended, has_refresh_token, is_speculative, expected) in [
            (false, true, false, "Call"),
            (true, true, false, "Call"),
            (false, true, true, "Keep"),
            (true, true, true, "Speculative"),
            (false, false, false, "Keep"),
            (false, false, true, "Keep"),
            (true, false, false, "SignIn"),
            (true, false, true, "SignIn"),
        ] {
            let tokens = tokens(has_ended, has_refresh_token);
            let decision = format!("{:?}", start(&tokens, has_ended, now, is_speculative));
            let case = format!("{has_ended} {has_refresh_token} {is_speculative}");
            assert!(decision.starts_with(expected), "{case}: {decision}");
        }
    }

    fn outcome(name: &str) -> Outcome {
        match name {
            "refreshed" => Outcome::Refreshed(Arc::new(Renewal {
                userinfo: None,
                tokens: samples::session(samples::now()).tokens,
                id_token: None,
                session_ends_by: None,
            })),
            "refused" => Outcome::Refused("why".into()),
            "contested" => Outcome::Contested("why".into()),
            "mismatch" => Outcome::Mismatch("why".into()),
            _ => Outcome::given_up(),
        }
    }

    fn name(next: &Next) -> &'static str {
        match next {
            Next::Adopt(_) => "adopt",
            Next::Keep(_) => "keep",
            Next::TryAgain(_) => "try again",
            Next::Unavailable(_) => "unavailable",
            Next::End(Ended::SignedOut) => "signed out",
            Next::End(Ended::AnotherLogin(_)) => "another login",
            Next::End(Ended::Refused(_)) => "refused",
        }
    }

    #[test]
    fn every_outcome_has_one_consequence() {
        // G6, G7, G10, B35, V1
        let arrived_at = Instant::now();
        let [before, after] = [
            arrived_at.checked_sub(Duration::from_secs(1)),
            arrived_at.checked_add(Duration::from_secs(1)),
        ];
        // Never told; told by another replica; told before this request was sent; told while it was under way.
        let told = [(false, None), (true, None), (false, before), (false, after)];
        for (landed, has_ended, expected) in [
            ("refreshed", false, ["adopt"; 4]),
            ("refreshed", true, ["adopt"; 4]),
            ("mismatch", false, ["another login"; 4]),
            ("mismatch", true, ["another login"; 4]),
            ("refused", false, ["keep"; 4]),
            ("refused", true, ["refused"; 4]),
            ("unavailable", false, ["keep"; 4]),
            ("unavailable", true, ["unavailable"; 4]),
            ("contested", false, ["keep"; 4]),
            (
                "contested",
                true,
                ["try again", "refused", "refused", "try again"],
            ),
        ] {
            for ((was_told, told_at), expected) in told.into_iter().zip(expected) {
                for is_revoked in [false, true] {
                    let situation = Situation {
                        has_ended,
                        is_revoked,
                        was_told,
                        arrived_at,
                    };
                    let outcome = outcome(landed);
                    let next = decide(Landed { outcome, told_at }, &situation);
                    let expected = if is_revoked { "signed out" } else { expected };
                    assert_eq!(name(&next), expected, "{landed} {situation:?} {told_at:?}");
                }
            }
        }
    }
}
