//! `[frontend.<name>.claim.<name>]`, and when the `UserInfo` endpoint is asked.

use super::resolver::Resolver;
use crate::compose::Pointer;
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::{ClaimFrom, ClaimRules, ClaimSource, UseUserInfo};

/// Claims that every session has without being configured.
const FIXED: [&str; 4] = ["auth_time", "iss", "sid", "sub"];

/// Where claims come from. Which of them are wanted is not known yet.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Option<ClaimRules> {
    let userinfo = resolver.choice(
        &at.child("oidc").child("userinfo"),
        &frontend.oidc.userinfo,
        &[
            ("never", UseUserInfo::Never),
            ("missing", UseUserInfo::Missing),
            ("always", UseUserInfo::Always),
        ],
    );
    let at = at.child("claim");
    let sources: Vec<_> = frontend
        .claim
        .iter()
        .map(|(name, claim)| one(resolver, &at.child(name), name, claim, userinfo))
        .collect();
    Some(ClaimRules {
        sources: sources.into_iter().collect::<Option<_>>()?,
        wanted: Vec::new(),
        userinfo: userinfo?,
    })
}

fn one(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    name: &str,
    claim: &settings::Claim,
    userinfo: Option<UseUserInfo>,
) -> Option<ClaimSource> {
    let is_free = resolver.ensure(
        !FIXED.contains(&name),
        at,
        "every session has this claim from the ID token itself",
        "choose another name",
    );
    let is_plain = resolver.ensure(
        !name.is_empty()
            && !name.contains([':', '{', '}', '%', '/'])
            && !name.chars().any(char::is_control),
        at,
        "the name could not stand in a path",
        "choose a name of letters, digits and '_'",
    );
    let from = resolver.choice(
        &at.child("from"),
        &claim.from,
        &[
            ("id_token", ClaimFrom::IdToken),
            ("userinfo", ClaimFrom::UserInfo),
            ("access_token", ClaimFrom::AccessToken),
        ],
    );
    let is_asked = resolver.ensure(
        from != Some(ClaimFrom::UserInfo) || userinfo != Some(UseUserInfo::Never),
        &at.child("from"),
        "with oidc.userinfo = \"never\" nobody asks for it",
        "write oidc.userinfo = \"missing\", or another source",
    );
    let path_at = at.child("path");
    let path = match &claim.path {
        None => Some(Pointer::of_name(name)),
        Some(text) => {
            let pointer = Pointer::parse(text)
                .ok()
                .filter(|pointer| !pointer.is_whole());
            resolver.ensure(
                pointer.is_some(),
                &path_at,
                &format!("{text:?} is not a JSON pointer to a claim"),
                "write a pointer such as \"/realm_access/roles\" (RFC 6901)",
            );
            pointer
        }
    };
    let is_fine = is_free && is_plain && is_asked;
    Some(ClaimSource {
        name: name.to_owned(),
        from: from.filter(|_| is_fine)?,
        path: path?,
    })
}
