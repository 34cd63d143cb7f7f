//! The management endpoints below `base_path`, and what each of them is: [`Endpoint::rules`] is the one table.
//!
//! `guard` reads from it what a request must prove and whether it counts as a login, `server` whether the session cookie is
//! opened and who reads the answer. `endpoint::serve` answers.
//!
//! # Invariants
//! - Every endpoint has a row: the table is a `match`, so that the compiler asks for the row of a new endpoint.

use crate::problem::Problem;

/// A management endpoint. One that does different things by method is several endpoints of one name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// The identity provider says here that sessions are over.
    Backchannel,
    /// The identity provider's answer to a login arrives here.
    Callback,
    /// A browser binds the session to its device here.
    Device,
    /// A browser proves here that the session is still on its device.
    DeviceRefresh,
    /// The module for scripts of the app.
    ClientModule,
    /// Its types.
    ClientTypes,
    /// What becomes of the session, as server-sent events.
    Events,
    /// The client's public keys.
    Jwks,
    /// The identity provider's logout ends here.
    LoggedOut,
    /// Begins a login.
    Login,
    /// Begins one that somebody else asks for by a form.
    LoginInitiation,
    /// Ends the session, and goes on to the identity provider.
    Logout,
    /// Ends the session, and answers with the address to go on to.
    LogoutByScript,
    /// Begins the login of an app without a cookie jar, in the system browser.
    NativeAuthorize,
    /// What an OAuth library must know of the endpoints for apps. It is the one that is not below `base_path`.
    NativeMetadata,
    /// Ends the session of an app.
    NativeRevoke,
    /// Gives an app its tokens.
    NativeToken,
    /// Times and claims, for scripts that count down.
    Session,
    /// A login in an iframe, without any page.
    SilentLogin,
    /// The claims, as Duende BFF answers them.
    User,
}

/// What an endpoint is.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Its path below `base_path`, and its name in logs and metrics.
    pub name: &'static str,
    /// As `Allow` lists them (RFC 9110 §10.2.1).
    pub methods: &'static str,
    /// What shows that somebody meant the request.
    pub proof: Proof,
    /// What becomes of a load that nobody has asked for yet.
    pub ahead: Ahead,
    /// What it wants with the session cookie.
    pub session: SessionUse,
    /// Who reads the answer.
    pub reader: Reader,
    /// Which limit by client address it counts against.
    pub limit: Limit,
}

/// What shows that somebody meant a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// Nothing: the answer is public, and the request changes nothing.
    Nothing,
    /// The anti-forgery header, or metadata that say the same: the rule of API routes.
    CsrfHeader,
    /// A navigation that the application or the person began. The text says so to anybody else.
    Navigation(&'static str),
    /// The same, or one that somebody else may begin ([`Invitations`](super::Invitations)).
    InvitedNavigation(&'static str),
    /// The signature of the token in the body.
    Signature,
    /// Metadata of a browser that sends a request of its own for a page of the application: no script could add a header.
    Browser,
    /// A sealed code or token in the body, with the proof that goes with it.
    Sealed,
    /// The sealed `state` that comes back from the identity provider.
    State,
    /// An address of the app that the configuration has, and a challenge: only the app can use the answer. A browser must
    /// show it to the person, so it comes in no frame.
    RedirectUri,
}

/// What becomes of a speculative load: a prefetch, a prerender, a preview.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ahead {
    /// It is refused: the endpoint begins or ends something.
    Refused,
    /// The endpoint answers, and changes nothing for it.
    Served,
}

/// What an endpoint wants with the session cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionUse {
    /// Nothing: the cookie stays closed.
    Ignores,
    /// To know whether there is a session, or to end it. That works even while revocations cannot be looked up.
    Opens,
    /// To answer what it says. With `on_failure = "closed"` that needs revocations that are up to date.
    ReliesOn,
}

/// Who reads an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reader {
    /// A person: a problem is a page.
    Person,
    /// The identity provider.
    Provider,
    /// A script: a problem is JSON.
    Script,
}

/// A limit by client address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// `login_rate_limit`: the endpoint may cost a call to the identity provider.
    Logins,
    /// None. The back channel counts invalid tokens itself, and `native/revoke` what it asks the provider. `device/refresh` looks at a proof only if the session that comes
    /// with it opens and is bound; a limit by address would shut out people who share one.
    Unlimited,
}

impl Endpoint {
    /// Every one.
    pub const ALL: [Self; 20] = [
        Self::Backchannel,
        Self::Callback,
        Self::Device,
        Self::DeviceRefresh,
        Self::ClientModule,
        Self::ClientTypes,
        Self::Events,
        Self::Jwks,
        Self::LoggedOut,
        Self::Login,
        Self::LoginInitiation,
        Self::Logout,
        Self::LogoutByScript,
        Self::NativeAuthorize,
        Self::NativeMetadata,
        Self::NativeRevoke,
        Self::NativeToken,
        Self::Session,
        Self::SilentLogin,
        Self::User,
    ];

    /// The table.
    ///
    /// `callback` takes the one method that the configured response mode has. The navigation to `logout` proves the
    /// session's `sid` as well. A speculative silent login is answered "not signed in".
    #[rustfmt::skip]
    pub const fn rules(self) -> Rules {
        use self::Ahead::{Refused, Served};
        use self::Limit::{Logins, Unlimited};
        use self::Proof::{
            Browser, CsrfHeader, InvitedNavigation, Navigation, Nothing, RedirectUri, Sealed,
            Signature, State,
        };
        use self::Reader::{Person, Provider, Script};
        use self::SessionUse::{Ignores, Opens, ReliesOn};
        const OWN_LOGIN: &str = "a login is begun by the application itself";
        const LOGIN: Proof = InvitedNavigation(OWN_LOGIN);
        const SILENT: Proof = Navigation(OWN_LOGIN);
        const LOGOUT: Proof = Navigation("a logout is begun by the application itself");
        match self {
            //                            name, methods                  proof       ahead    session   reader    limit
            Self::Backchannel    => row(("backchannel",  "POST"),      Signature,  Served,  Ignores,  Provider, Unlimited),
            Self::Callback       => row(("callback",     "GET, POST"), State,      Refused, Opens,    Person,   Logins),
            Self::Device         => row(("device",       "POST"),      Browser,    Refused, Opens,    Script,   Unlimited),
            Self::DeviceRefresh  => row(("device/refresh", "POST"),    Browser,    Refused, Opens,    Script,   Unlimited),
            Self::ClientModule   => row(("client.js",    "GET, HEAD"),       Nothing,    Served,  Ignores,  Script,   Unlimited),
            Self::ClientTypes    => row(("client.d.ts",  "GET, HEAD"),       Nothing,    Served,  Ignores,  Script,   Unlimited),
            Self::Events         => row(("events",       "GET"),       CsrfHeader, Refused, ReliesOn, Script,   Unlimited),
            Self::Jwks           => row(("jwks",         "GET, HEAD"),       Nothing,    Served,  Ignores,  Provider, Unlimited),
            Self::LoggedOut      => row(("logged-out",   "GET"),       State,      Refused, Opens,    Person,   Unlimited),
            Self::Login          => row(("login",        "GET"),       LOGIN,      Refused, Opens,    Person,   Logins),
            Self::LoginInitiation=> row(("login",        "POST"),      LOGIN,      Refused, Opens,    Person,   Logins),
            Self::Logout         => row(("logout",       "GET"),       LOGOUT,     Refused, Opens,    Person,   Unlimited),
            Self::LogoutByScript => row(("logout",       "POST"),      CsrfHeader, Refused, Opens,    Script,   Unlimited),
            Self::NativeAuthorize => row(("native/authorize", "GET"),  RedirectUri, Refused, Ignores, Person,  Logins),
            Self::NativeMetadata => row(("native/metadata", "GET, HEAD"),   Nothing,    Served,  Ignores,  Script,   Unlimited),
            Self::NativeRevoke   => row(("native/revoke", "POST"),     Sealed,     Refused, Ignores,  Script,   Unlimited),
            Self::NativeToken    => row(("native/token", "POST"),      Sealed,     Refused, Ignores,  Script,   Logins),
            Self::Session        => row(("session",      "GET, HEAD"),       CsrfHeader, Served,  ReliesOn, Script,   Unlimited),
            Self::SilentLogin    => row(("silent-login", "GET"),       SILENT,     Served,  Opens,    Person,   Logins),
            Self::User           => row(("user",         "GET, HEAD"),       CsrfHeader, Served,  ReliesOn, Script,   Unlimited),
        }
    }

    /// Whether a session that is bound to a device must come with the device's proof, as on API routes.
    pub const fn asks_for_device(self) -> bool {
        matches!(self, Self::Session | Self::User)
    }

    /// Whether an app may ask it with a token, as it asks an API route.
    pub const fn takes_token(self) -> bool {
        matches!(self, Self::Session | Self::User)
    }

    /// Whether it is there only where the frontend has apps.
    const fn is_for_apps(self) -> bool {
        matches!(
            self,
            Self::NativeAuthorize | Self::NativeMetadata | Self::NativeRevoke | Self::NativeToken
        )
    }

    /// The endpoint at `<base_path>/<name>` for a method: 404 if there is none, 405 if it has other methods.
    pub(super) fn find(name: &str, method: &str, has_apps: bool) -> Result<Self, Problem> {
        let below = Self::ALL.into_iter().filter(|endpoint| {
            let is_there = has_apps || !endpoint.is_for_apps();
            is_there && *endpoint != Self::NativeMetadata && endpoint.rules().name == name
        });
        Self::with_method(below, method)
    }

    /// The metadata for apps, which are not below `base_path` (RFC 8414 §3).
    pub(super) fn find_metadata(method: &str) -> Result<Self, Problem> {
        Self::with_method(std::iter::once(Self::NativeMetadata), method)
    }

    /// The first that takes the method.
    fn with_method(found: impl Iterator<Item = Self>, method: &str) -> Result<Self, Problem> {
        let mut allow = Vec::new();
        for endpoint in found {
            let rules = endpoint.rules();
            if rules.methods.split(", ").any(|allowed| allowed == method) {
                return Ok(endpoint);
            }
            allow.push(rules.methods);
        }
        if allow.is_empty() {
            return Err(Problem::NotFound);
        }
        Err(Problem::MethodNotAllowed {
            allow: allow.join(", "),
        })
    }
}

/// One line of the table.
const fn row(
    (name, methods): (&'static str, &'static str),
    proof: Proof,
    ahead: Ahead,
    session: SessionUse,
    reader: Reader,
    limit: Limit,
) -> Rules {
    Rules {
        name,
        methods,
        proof,
        ahead,
        session,
        reader,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_found_by_name_and_method() {
        for endpoint in Endpoint::ALL {
            let rules = endpoint.rules();
            for method in rules.methods.split(", ") {
                let found = if endpoint == Endpoint::NativeMetadata {
                    Endpoint::find_metadata(method)
                } else {
                    Endpoint::find(rules.name, method, true)
                };
                assert_eq!(found, Ok(endpoint));
                let without = Endpoint::find(rules.name, method, false);
                assert_eq!(without.is_ok(), !endpoint.is_for_apps());
            }
        }
        let not_allowed = |allow: &str| {
            Err(Problem::MethodNotAllowed {
                allow: allow.to_owned(),
            })
        };
        assert_eq!(
            Endpoint::find("logout", "PUT", true),
            not_allowed("GET, POST")
        );
        assert_eq!(Endpoint::find("events", "HEAD", true), not_allowed("GET"));
        assert_eq!(Endpoint::find("logi", "GET", true), Err(Problem::NotFound));
        assert_eq!(Endpoint::find("", "GET", true), Err(Problem::NotFound));
        let metadata = Endpoint::find("native/metadata", "GET", true);
        assert_eq!(metadata, Err(Problem::NotFound), "it is elsewhere");
    }
}
