//! What the provider remembers, in memory: clients, people who are signed in, codes, token families.
//!
//! # Invariants
//! - A code is good once. If it comes again, all that came from it is revoked (RFC 6749 §4.1.2).
//! - With rotation, a refresh token is good once, or until the leeway ends. If it comes again, its family is revoked (RFC 9700
//!   §4.14.2).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::params::Params;
use super::request::AuthorizationRequest;
use super::users::User;
use super::{Rotation, mint};
use crate::clock::UnixTime;

/// RFC 6749 §4.1.2 recommends ten minutes at most.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// As long as any client waits for its answer.
const LOGIN_LIFETIME: Duration = Duration::from_hours(1);
/// RFC 9126 §2.2 recommends 5 to 600 seconds.
pub(super) const PUSHED_LIFETIME: Duration = Duration::from_mins(1);
/// How long a second login needs no password.
const SIGN_ON_LIFETIME: Duration = Duration::from_hours(12);

/// What a client authenticates with.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A certificate. What terminates TLS in front has verified it.
    Certificate,
    /// What it signs with one of these keys, a JWK Set.
    Keys(Value),
    Secret(String),
}

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) proof: Proof,
    pub(super) redirect_uris: Vec<String>,
    pub(super) post_logout_redirect_uris: Vec<String>,
}

/// Somebody is signed in at the provider.
#[derive(Clone, Debug)]
pub(super) struct SignOn {
    pub(super) user: &'static User,
    pub(super) sid: String,
    pub(super) auth_time: UnixTime,
    pub(super) acr: String,
}

/// An authorization request that waits for a password.
#[derive(Clone, Debug)]
pub(super) struct PendingLogin {
    pub(super) request: AuthorizationRequest,
    /// The cookie of the browser that asked. Another browser may not answer (login CSRF).
    pub(super) browser: String,
    since: UnixTime,
}

/// What a person has allowed a client; the tokens of one grant are a family.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) sign_on: SignOn,
    pub(super) scope: String,
    pub(super) resources: Vec<String>,
    pub(super) nonce: Option<String>,
    /// The key that the code is bound to, and then the access token.
    pub(super) thumbprint: Option<String>,
    generation: u32,
}

impl Grant {
    pub(super) fn new(client_id: String, sign_on: SignOn, scope: String) -> Self {
        Self {
            id: mint::random_text(12),
            client_id,
            sign_on,
            scope,
            resources: Vec::new(),
            nonce: None,
            thumbprint: None,
            generation: 0,
        }
    }

    /// Outlives the session at the provider (OpenID Connect Core §11).
    pub(super) fn is_offline(&self) -> bool {
        self.scope.split(' ').any(|scope| scope == "offline_access")
    }
}

#[derive(Debug)]
struct Code {
    grant: String,
    redirect_uri: String,
    challenge: String,
    until: UnixTime,
    spent: bool,
}

#[derive(Debug)]
struct RefreshToken {
    grant: String,
    generation: u32,
    until: UnixTime,
    spent_at: Option<UnixTime>,
}

#[derive(Debug)]
struct AccessToken {
    grant: String,
    /// The key that it is bound to.
    thumbprint: Option<String>,
    until: UnixTime,
}

/// Why a code or refresh token is refused; for the log of a test, and `error_description`.
pub(super) type Refusal = &'static str;

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) clients: HashMap<String, Client>,
    sign_ons: HashMap<String, SignOn>,
    logins: HashMap<String, PendingLogin>,
    /// Requests that were pushed, by reference.
    pushed: HashMap<String, (Params, UnixTime)>,
    codes: HashMap<String, Code>,
    /// A grant that is gone has been revoked.
    grants: HashMap<String, Grant>,
    refresh_tokens: HashMap<String, RefreshToken>,
    access_tokens: HashMap<String, AccessToken>,
    /// The `jti` of every assertion that was taken, by client.
    assertions: HashSet<(String, String)>,
}

impl Store {
    /// Notes an assertion. `false` if it was there before.
    pub(super) fn take_assertion(&mut self, client_id: &str, jti: &str) -> bool {
        self.assertions
            .insert((client_id.to_owned(), jti.to_owned()))
    }

    /// Keeps a pushed request until it is used.
    pub(super) fn add_pushed(&mut self, reference: &str, params: Params, now: UnixTime) {
        let until = now.plus(PUSHED_LIFETIME);
        self.pushed.insert(reference.to_owned(), (params, until));
    }

    /// The request behind a reference, which is good once, and for the client that pushed it (RFC 9126 §4).
    pub(super) fn take_pushed(
        &mut self,
        reference: &str,
        client_id: Option<&str>,
        now: UnixTime,
    ) -> Option<Params> {
        let (params, until) = self.pushed.remove(reference)?;
        (now < until && params.one("client_id") == client_id).then_some(params)
    }

    /// Keeps a request until the person has answered it. Gives the form's handle.
    pub(super) fn begin_login(
        &mut self,
        request: AuthorizationRequest,
        browser: &str,
        now: UnixTime,
    ) -> String {
        self.logins
            .retain(|_, login| now.since(login.since) < LOGIN_LIFETIME);
        let id = mint::random_text(16);
        let login = PendingLogin {
            request,
            browser: browser.to_owned(),
            since: now,
        };
        self.logins.insert(id.clone(), login);
        id
    }

    /// The request of this browser, if it is not over.
    pub(super) fn login(
        &self,
        id: &str,
        browser: Option<&str>,
        now: UnixTime,
    ) -> Option<AuthorizationRequest> {
        self.logins
            .get(id)
            .filter(|login| Some(login.browser.as_str()) == browser)
            .filter(|login| now.since(login.since) < LOGIN_LIFETIME)
            .map(|login| login.request.clone())
    }

    /// The form has done its work.
    pub(super) fn end_login(&mut self, id: &str) {
        self.logins.remove(id);
    }

    /// Remembers somebody who has proved who they are. Gives the cookie value.
    pub(super) fn sign_on(&mut self, sign_on: SignOn) -> String {
        let cookie = mint::random_text(32);
        self.sign_ons.insert(cookie.clone(), sign_on);
        cookie
    }

    /// Who is signed in, by cookie value.
    pub(super) fn signed_on(&self, cookie: Option<&str>, now: UnixTime) -> Option<&SignOn> {
        self.sign_ons
            .get(cookie?)
            .filter(|sign_on| now.since(sign_on.auth_time) < SIGN_ON_LIFETIME)
    }

    /// Ends one session at the provider, and every grant that does not outlive it.
    pub(super) fn sign_off(&mut self, sid: &str) {
        self.sign_ons.retain(|_, sign_on| sign_on.sid != sid);
        self.grants
            .retain(|_, grant| grant.sign_on.sid != sid || grant.is_offline());
    }

    /// Ends all sessions.
    pub(super) fn sign_off_all(&mut self) {
        self.sign_ons.clear();
        self.grants.clear();
    }

    pub(super) fn add_code(
        &mut self,
        code: &str,
        grant: Grant,
        redirect_uri: String,
        challenge: String,
        now: UnixTime,
    ) {
        let code_record = Code {
            grant: grant.id.clone(),
            redirect_uri,
            challenge,
            until: now.plus(CODE_LIFETIME),
            spent: false,
        };
        self.codes.insert(code.to_owned(), code_record);
        self.grants.insert(grant.id.clone(), grant);
    }

    /// Spends a code. `challenge` is what the verifier hashes to.
    pub(super) fn redeem_code(
        &mut self,
        code: &str,
        client_id: &str,
        redirect_uri: Option<&str>,
        challenge: &str,
        now: UnixTime,
    ) -> Result<Grant, Refusal> {
        let record = self.codes.get_mut(code).ok_or("unknown code")?;
        if record.spent {
            let grant = record.grant.clone();
            self.grants.remove(&grant);
            return Err("the code was used before; its tokens are revoked");
        }
        let grant = self.grants.get(&record.grant).ok_or("revoked")?;
        if grant.client_id != client_id {
            return Err("the code belongs to another client");
        }
        // Spent whatever comes of it: a thief gets one guess (RFC 7636 §4.6 leaves it open).
        record.spent = true;
        if now >= record.until {
            Err("the code is too old")
        } else if redirect_uri != Some(record.redirect_uri.as_str()) {
            Err("redirect_uri differs from the authorization request")
        } else if challenge != record.challenge {
            Err("code_verifier does not fit code_challenge")
        } else {
            Ok(grant.clone())
        }
    }

    /// Takes a refresh token: the grant, and whether a new refresh token is due.
    pub(super) fn redeem_refresh_token(
        &mut self,
        token: &str,
        client_id: &str,
        rotation: Rotation,
        now: UnixTime,
    ) -> Result<Grant, Refusal> {
        let record = self
            .refresh_tokens
            .get_mut(token)
            .ok_or("unknown refresh token")?;
        let grant = self.grants.get_mut(&record.grant).ok_or("revoked")?;
        if grant.client_id != client_id {
            return Err("the refresh token belongs to another client");
        }
        if now >= record.until {
            return Err("the refresh token is too old");
        }
        if rotation == Rotation::Reuse {
            return Ok(grant.clone());
        }
        if let Some(spent_at) = record.spent_at {
            // As Auth0 and Okta do it: only the token just before the newest, and not for long.
            let tolerated = match rotation {
                Rotation::RotateWithLeeway(leeway) => {
                    now.since(spent_at) <= leeway && record.generation + 1 >= grant.generation
                }
                Rotation::Reuse | Rotation::Rotate => false,
            };
            if !tolerated {
                let grant = record.grant.clone();
                self.grants.remove(&grant);
                return Err("the refresh token was used before; its family is revoked");
            }
        } else {
            record.spent_at = Some(now);
        }
        grant.generation = grant.generation.max(record.generation + 1);
        Ok(grant.clone())
    }

    pub(super) fn add_refresh_token(&mut self, token: &str, grant: &Grant, until: UnixTime) {
        let record = RefreshToken {
            grant: grant.id.clone(),
            generation: grant.generation,
            until,
            spent_at: None,
        };
        self.refresh_tokens.insert(token.to_owned(), record);
    }

    pub(super) fn add_access_token(&mut self, token: &str, grant: &Grant, until: UnixTime) {
        let record = AccessToken {
            grant: grant.id.clone(),
            thumbprint: grant.thumbprint.clone(),
            until,
        };
        self.access_tokens.insert(token.to_owned(), record);
    }

    /// The grant of a live access token, with the key of that token, and the token's end.
    pub(super) fn access_token(&self, token: &str, now: UnixTime) -> Option<(Grant, UnixTime)> {
        let record = self.access_tokens.get(token)?;
        let grant = self.grants.get(&record.grant)?;
        let grant = Grant {
            thumbprint: record.thumbprint.clone(),
            ..grant.clone()
        };
        (now < record.until).then_some((grant, record.until))
    }

    /// RFC 7009 §2.1: with a refresh token goes its family, an access token goes alone. The tokens of other clients stay.
    pub(super) fn revoke(&mut self, token: &str, client_id: &str) {
        let owned = |grants: &HashMap<String, Grant>, id: &str| {
            grants
                .get(id)
                .is_some_and(|grant| grant.client_id == client_id)
        };
        if let Some(record) = self.refresh_tokens.get(token) {
            if owned(&self.grants, &record.grant) {
                self.grants.remove(&record.grant);
            }
        } else if let Some(record) = self.access_tokens.get(token)
            && owned(&self.grants, &record.grant)
        {
            self.access_tokens.remove(token);
        }
    }
}
