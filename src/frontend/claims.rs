//! Where the claims of a session come from.
//!
//! `endpoint` gathers them at a login, `token` reads them again at each refresh.
//!
//! # Invariants
//! - A session keeps the claims that the app may see or that a route looks at, and no others of the provider's.
//! - At a refresh a claim changes only if its source was read again. A source that is silent takes nothing away.
//!
//! # Spec
//! OpenID Connect Core §5.1, §5.3, §5.4 (which scope asks for which claim), §12.2 (refreshed ID tokens).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::compose::Pointer;

/// Claims of the protocol itself. They are in ID tokens only, and no scope asks for them.
const PROTOCOL: [&str; 15] = [
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "c_hash",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "sid",
    "sub",
];

/// OpenID Connect Core §5.4.
const PROFILE: [&str; 14] = [
    "birthdate",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

/// `[frontend.<name>.claim.<name>]`, resolved.
#[derive(Clone, Debug)]
pub struct ClaimSource {
    /// The name in sessions, policies and paths.
    pub name: String,
    /// What it is read from.
    pub from: ClaimFrom,
    /// Where it stands there.
    pub path: Pointer,
}

/// What claims are read from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimFrom {
    /// The access token, if it is a JWT. It came from the token endpoint over TLS, and is verified no further.
    AccessToken,
    /// The verified ID token.
    IdToken,
    /// The `UserInfo` endpoint (OpenID Connect Core §5.3).
    UserInfo,
}

/// When the `UserInfo` endpoint is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UseUserInfo {
    /// At each login and refresh.
    Always,
    /// At a login whose ID token lacks a claim that is wanted.
    #[default]
    Missing,
    /// Never.
    Never,
}

/// All that a session keeps of what a provider says.
#[derive(Clone, Debug, Default)]
pub struct ClaimRules {
    /// Those with a source of their own.
    pub sources: Vec<ClaimSource>,
    /// The names that are kept.
    pub wanted: Vec<String>,
    /// When the `UserInfo` endpoint is asked.
    pub userinfo: UseUserInfo,
}

/// What the provider has said this time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// The ID token's claims.
    pub id_token: Option<&'a Map<String, Value>>,
    /// The access token's, if it is a JWT.
    pub access_token: Option<&'a Map<String, Value>>,
    /// `UserInfo`'s.
    pub userinfo: Option<&'a Map<String, Value>>,
}

impl ClaimRules {
    /// The same, for sessions that keep these claims.
    #[must_use]
    pub fn wanting(self, shown: &[String], required: &[String]) -> Self {
        let mut wanted = shown.to_vec();
        wanted.extend(
            required
                .iter()
                .filter(|name| !shown.contains(name))
                .cloned(),
        );
        Self { wanted, ..self }
    }

    /// Whether a login must ask the `UserInfo` endpoint.
    pub fn need_userinfo(&self, id_token: &Map<String, Value>) -> bool {
        let is_missing = |name: &String| match self.source(name) {
            Some(source) => source.from == ClaimFrom::UserInfo,
            None => !PROTOCOL.contains(&name.as_str()) && !id_token.contains_key(name),
        };
        match self.userinfo {
            UseUserInfo::Always => true,
            UseUserInfo::Missing => self.wanted.iter().any(is_missing),
            UseUserInfo::Never => false,
        }
    }

    /// The claims of a new session.
    pub fn gather(&self, said: Said<'_>) -> Map<String, Value> {
        self.read_again(&Map::new(), said)
    }

    /// The claims of a session that was refreshed; `held` are those that it had.
    pub fn read_again(&self, held: &Map<String, Value>, said: Said<'_>) -> Map<String, Value> {
        let mut claims = held.clone();
        for name in &self.wanted {
            match self.find(name, said) {
                Found::Value(value) => {
                    claims.insert(name.clone(), value.clone());
                }
                Found::Gone => {
                    claims.remove(name);
                }
                Found::Unsaid => {}
            }
        }
        claims
    }

    fn source(&self, name: &str) -> Option<&ClaimSource> {
        self.sources.iter().find(|source| source.name == name)
    }

    fn find<'a>(&self, name: &str, said: Said<'a>) -> Found<'a> {
        let own = Pointer::of_name(name);
        let (from, path, is_declared) = match self.source(name) {
            Some(source) => (source.from, Cow::Borrowed(&source.path), true),
            None => (ClaimFrom::IdToken, Cow::Owned(own), false),
        };
        let read = |claims: Option<&'a Map<String, Value>>| match claims {
            None => Found::Unsaid,
            Some(claims) => path.find(claims).map_or(Found::Gone, Found::Value),
        };
        match from {
            ClaimFrom::AccessToken => read(said.access_token),
            ClaimFrom::UserInfo => read(said.userinfo),
            ClaimFrom::IdToken => match read(said.id_token) {
                Found::Gone if !is_declared && said.userinfo.is_some() => read(said.userinfo),
                // A refreshed ID token may be thinner than the first (§12.2).
                Found::Gone if !said.id_token.is_some_and(|claims| speaks_of(claims, &path)) => {
                    Found::Unsaid
                }
                found => found,
            },
        }
    }
}

/// What a source says of one claim.
enum Found<'a> {
    Value(&'a Value),
    Gone,
    Unsaid,
}

/// Whether a token carries another claim of the scope that asks for this one.
fn speaks_of(claims: &Map<String, Value>, path: &Pointer) -> bool {
    let wanted = path.names().next().unwrap_or_default();
    let group = group(wanted);
    claims
        .keys()
        .any(|name| name != wanted && self::group(name) == group && group != "protocol")
}

/// The scope that asks for a claim. Those that no specification names are one group.
fn group(name: &str) -> &'static str {
    match name {
        "address" => "address",
        "email" | "email_verified" => "email",
        "phone_number" | "phone_number_verified" => "phone",
        _ if PROFILE.contains(&name) => "profile",
        _ if PROTOCOL.contains(&name) => "protocol",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn rules() -> ClaimRules {
        let source = |name: &str, from, path: &str| ClaimSource {
            name: name.to_owned(),
            from,
            path: Pointer::parse(path).unwrap(),
        };
        ClaimRules {
            sources: vec![
                source("roles", ClaimFrom::AccessToken, "/realm_access/roles"),
                source("groups", ClaimFrom::UserInfo, "/groups"),
                source("tenant", ClaimFrom::IdToken, "/https:~1~1shop~1tenant"),
            ],
            wanted: ["roles", "groups", "tenant", "email", "sub"]
                .map(str::to_owned)
                .into(),
            userinfo: UseUserInfo::Missing,
        }
    }

    #[test]
    fn each_claim_comes_from_its_source() {
        let id_token =
            map(json!({"sub": "a", "https://shop/tenant": 7, "roles": ["wrong"], "x": 1}));
        let access_token = map(json!({"realm_access": {"roles": ["buyer"]}, "email": "wrong"}));
        let userinfo = map(json!({"groups": ["g"], "email": "a@b", "tenant": 8}));
        let said = Said {
            id_token: Some(&id_token),
            access_token: Some(&access_token),
            userinfo: Some(&userinfo),
        };
        let expect =
            json!({"sub": "a", "tenant": 7, "roles": ["buyer"], "groups": ["g"], "email": "a@b"});
        assert_eq!(rules().gather(said), map(expect));
        let said = Said {
            userinfo: None,
            access_token: None,
            ..said
        };
        assert_eq!(rules().gather(said), map(json!({"sub": "a", "tenant": 7})));
    }

    #[test]
    fn userinfo_is_asked_for_what_the_id_token_lacks() {
        let mut rules = rules();
        assert!(
            rules.need_userinfo(&Map::new()),
            "groups come from nowhere else"
        );
        rules.wanted = vec!["email".to_owned(), "sid".to_owned(), "roles".to_owned()];
        assert!(rules.need_userinfo(&map(json!({"name": "A"}))));
        assert!(!rules.need_userinfo(&map(json!({"email": "a@b"}))));
        rules.userinfo = UseUserInfo::Never;
        assert!(!rules.need_userinfo(&Map::new()));
        rules.userinfo = UseUserInfo::Always;
        assert!(rules.need_userinfo(&map(json!({"email": "a@b"}))));
    }

    #[test]
    fn a_refresh_takes_away_only_what_its_source_no_longer_says() {
        let rules = rules();
        let held = map(
            json!({"roles": ["buyer"], "groups": ["g"], "tenant": 7, "email": "a@b", "acr": "kept"}),
        );
        let again = |id_token: Value, access_token: Value| {
            let (id_token, access_token) = (map(id_token), map(access_token));
            let said = Said {
                id_token: Some(&id_token),
                access_token: Some(&access_token),
                userinfo: None,
            };
            Value::from(rules.read_again(&held, said))
        };
        let thin = again(
            json!({"sub": "a", "exp": 1}),
            json!({"realm_access": {"roles": ["buyer", "admin"]}}),
        );
        assert_eq!(
            thin,
            json!({"roles": ["buyer", "admin"], "groups": ["g"], "tenant": 7, "email": "a@b", "acr": "kept", "sub": "a"})
        );
        let full = again(json!({"email_verified": true, "other": 1}), json!({}));
        assert_eq!(full, json!({"groups": ["g"], "acr": "kept"}));
        let nothing = Said::default();
        assert_eq!(rules.read_again(&held, nothing), held);
    }
}
