//! A login that a third party initiates: a portal of the identity provider, say, whose tile leads here.
//!
//! It is the login endpoint with other parameters: `iss` names the provider, and must be ours; `target_link_uri` says where the
//! person wants to be; `login_hint` is passed on.
//!
//! # Spec
//! OpenID Connect Core §4: by GET and by POST. `target_link_uri` must not make an open redirector of us.

use super::form::{Params, single};
use crate::names::{Origin, ReturnTo};
use crate::problem::Problem;
use crate::request::Ctx;

/// Where an initiated login ends; `None` if the parameters are of an ordinary one.
pub(super) fn target(ctx: &Ctx<'_>, params: &Params) -> Result<Option<ReturnTo>, Problem> {
    if !ctx.frontend.invitations.initiated {
        return Ok(None);
    }
    let Some(iss) = single(params, "iss")? else {
        return Ok(None);
    };
    let settings = ctx.frontend.provider.settings();
    if !settings.is_issuer(&iss) {
        return Err(Problem::BadRequest(
            "iss is not the identity provider of this application",
        ));
    }
    let target = single(params, "target_link_uri")?;
    let target = target.and_then(|target| local(&target, &ctx.frontend.origin));
    Ok(Some(target.unwrap_or_else(ReturnTo::root)))
}

/// A path here, or an address at our origin.
fn local(target: &str, origin: &Origin) -> Option<ReturnTo> {
    match target.strip_prefix(origin.as_str()) {
        Some("") => Some(ReturnTo::root()),
        Some(path) => ReturnTo::parse(path),
        None => ReturnTo::parse(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_here_or_nowhere() {
        let origin = Origin::parse("https://shop.test").unwrap();
        for (target, expected) in [
            ("https://shop.test/orders?x=1#y", Some("/orders?x=1#y")),
            ("https://shop.test", Some("/")),
            ("/orders", Some("/orders")),
            ("https://shop.test.evil.test/", None),
            ("https://shop.test:8443/", None),
            ("https://shop.test@evil.test/", None),
            ("https://shop.test//evil.test/", None),
            ("//evil.test/", None),
            ("https://evil.test/", None),
            ("javascript:alert(1)", None),
        ] {
            let got = local(target, &origin);
            assert_eq!(got.as_ref().map(ReturnTo::as_str), expected, "{target}");
        }
    }
}
