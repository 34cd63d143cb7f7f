//! `WWW-Authenticate`: how an app is told what its token lacks.
//!
//! # Spec
//! RFC 6750 §3; RFC 9449 §7.1; RFC 9470 §3.

use std::fmt::Write as _;

use url::form_urlencoded;

use crate::frontend::Dpop;
use crate::problem::Problem;
use crate::request::Ctx;

/// The challenge of a problem, if the answer is for an app, or might be.
pub(super) fn of(problem: &Problem, ctx: &Ctx<'_>) -> Option<String> {
    if let Problem::TokenRefused(refusal) = problem {
        let description = [("error_description", refusal.detail)];
        return Some(with_error(refusal.scheme, refusal.error, &description));
    }
    let Some(app) = ctx.caller.app() else {
        // Nobody is signed in, and an app may have asked.
        let native = ctx.frontend.native.as_ref()?;
        let may_be_app = matches!(problem, Problem::LoginRequired { .. });
        return may_be_app.then(|| match native.dpop {
            Dpop::Required => "DPoP algs=\"ES256\"".to_owned(),
            Dpop::Optional => "DPoP algs=\"ES256\", Bearer".to_owned(),
        });
    };
    match problem {
        Problem::StepUpRequired { login_url } => {
            let query = login_url.split_once('?').map_or("", |(_, query)| query);
            let wishes: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            let wishes = wishes.iter().filter(|(name, _)| name != "prompt");
            let params: Vec<_> = wishes.map(|(name, value)| (&**name, &**value)).collect();
            let error = "insufficient_user_authentication";
            Some(with_error(app.scheme, error, &params))
        }
        Problem::InsufficientScope { .. } => {
            Some(with_error(app.scheme, "insufficient_scope", &[]))
        }
        problem if problem.status() == 401 => Some(with_error(app.scheme, "invalid_token", &[])),
        _ => None,
    }
}

fn with_error(scheme: &str, error: &str, params: &[(&str, &str)]) -> String {
    let mut challenge = format!("{scheme} error=\"{error}\"");
    for (name, value) in params {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a String cannot fail.
        let _ = write!(challenge, ", {name}=\"{quoted}\"");
    }
    if scheme == "DPoP" {
        challenge.push_str(", algs=\"ES256\"");
    }
    challenge
}
