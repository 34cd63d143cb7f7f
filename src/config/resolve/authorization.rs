//! `[frontend.<name>.oidc]`: how authorization requests and their answers travel.

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::oidc::{AuthorizationSettings, Par};

/// What `par` says.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &settings::Oidc,
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
    Some(AuthorizationSettings { par: par? })
}
