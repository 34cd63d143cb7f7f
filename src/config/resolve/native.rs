//! `[frontend.<name>.native]`.

use super::resolver::{DAY, Noted, Resolver, SECOND};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::{Dpop, NativeSettings, RedirectUri};

/// What apps may do; `None` where the frontend has none.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    native: Option<&settings::Native>,
) -> Result<Option<NativeSettings>, Noted> {
    let Some(native) = native else {
        return Ok(None);
    };
    let uris_at = at.child("redirect_uris");
    let remedy = "list where the app's users come back to, such as \"com.example.shop:/cb\"";
    let uris = resolver.required(&uris_at, native.redirect_uris.as_ref(), remedy);
    let mut redirect_uris = Vec::new();
    for uri in uris.into_iter().flatten() {
        match RedirectUri::parse(uri) {
            Ok(uri) => redirect_uris.push(uri),
            Err(what) => resolver.wrong(
                &uris_at,
                format!("{uri:?}: {what}"),
                "write https://…, com.example.shop:/…, or http://127.0.0.1/… for an app on the same machine",
            ),
        }
    }
    if uris.is_some_and(Vec::is_empty) {
        resolver.wrong(&uris_at, "no app can sign in without one", remedy);
    }
    let dpop = resolver.choice(
        &at.child("dpop"),
        &native.dpop,
        &[("required", Dpop::Required), ("optional", Dpop::Optional)],
    );
    let absolute_timeout = native.absolute_timeout.0;
    let idle_timeout = native.idle_timeout.0;
    let longest = DAY.saturating_mul(400);
    resolver.within(
        &at.child("absolute_timeout"),
        absolute_timeout,
        SECOND,
        longest,
    );
    resolver.within(&at.child("idle_timeout"), idle_timeout, SECOND, longest);
    resolver.ensure(
        idle_timeout <= absolute_timeout,
        &at.child("idle_timeout"),
        "this is longer than absolute_timeout, which ends the session first",
        "write at most absolute_timeout",
    );
    Ok(Some(NativeSettings {
        redirect_uris,
        dpop: dpop.ok_or(Noted)?,
        absolute_timeout,
        idle_timeout,
    }))
}
