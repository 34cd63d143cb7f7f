//! `[frontend.<name>.oidc]`: how authorization requests and their answers travel.

use std::sync::Arc;

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::names::Origin;
use crate::oidc::{AuthorizationSettings, ClientKeys, Par, ResponseMode};

/// What `par`, `request_object` and `response_mode` say.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
    keys: &Result<Option<Arc<ClientKeys>>, Noted>,
) -> Option<AuthorizationSettings> {
    let par = resolver.choice(
        &at.child("par"),
        &oidc.par,
        &[
            ("auto", Par::Auto),
            ("always", Par::Always),
            ("never", Par::Never),
        ],
    );
    let response_mode = response_mode(resolver, at, oidc);
    let request_object = request_object(resolver, &at.child("request_object"), oidc, keys);
    Some(AuthorizationSettings {
        par: par?,
        response_mode: response_mode?,
        request_object: request_object.ok()?,
    })
}

/// What signs requests, if they are signed.
fn request_object(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
    keys: &Result<Option<Arc<ClientKeys>>, Noted>,
) -> Result<Option<Arc<ClientKeys>>, Noted> {
    if !oidc.request_object.0 {
        return Ok(None);
    }
    let keys = keys.as_ref().map_err(|_| Noted)?;
    if keys.is_none() {
        resolver.wrong(
            at,
            "the client's own key signs request objects, and there is none",
            "set client_key = { file = \"client.pem\" }, or remove request_object",
        );
        return Err(Noted);
    }
    Ok(keys.clone())
}

/// Among `extra_params` the mode may stand, too.
fn response_mode(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
) -> Option<ResponseMode> {
    let here = at.child("response_mode");
    let mode = resolver.choice(
        &here,
        &oidc.response_mode,
        &[
            ("query", ResponseMode::Query),
            ("form_post", ResponseMode::FormPost),
            ("jwt", ResponseMode::Jwt),
        ],
    );
    let Some(extra) = oidc.extra_params.get("response_mode") else {
        return mode;
    };
    let agrees = !resolver.is_set(&here) || *extra == oidc.response_mode;
    let fine = resolver.ensure(
        agrees,
        &at.child("extra_params").child("response_mode"),
        "oidc.response_mode says otherwise",
        "remove one of the two",
    );
    let posts = posts_its_answer(oidc);
    let of_extra = if posts {
        ResponseMode::FormPost
    } else {
        ResponseMode::Query
    };
    mode.filter(|_| fine).map(|_| of_extra)
}

/// Whether the identity provider answers with a cross-site `POST`, for which the login cookie needs `SameSite=None`.
pub(super) fn posts_its_answer(oidc: &settings::Oidc) -> bool {
    let extra = oidc.extra_params.get("response_mode");
    extra.unwrap_or(&oidc.response_mode) == "form_post"
}

/// Warns that a plain-HTTP origin cannot have cookies with `SameSite=None`.
pub(super) fn warn_of_form_post(resolver: &mut Resolver<'_>, at: &KeyPath, origin: &Origin) {
    if origin.is_secure() {
        return;
    }
    let extra = at.child("extra_params").child("response_mode");
    let here = at.child("response_mode");
    let at = if resolver.is_set(&here) { here } else { extra };
    resolver.warn(
        &at,
        "without https:// a browser sends the login cookie with form_post only if the identity provider is on the same site",
    );
}
