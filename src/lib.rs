//! sealgate: a Backend-for-Frontend without a session store.
//!
//! A single-page app's browser code must hold no OAuth token. sealgate stands between browser and APIs: it signs the
//! user in through OpenID Connect, keeps the tokens sealed in cookies that no script can read, and calls the APIs
//! with them. The session is in the cookie. Processes share a directory of keys and, with `[coordination]`, short-lived
//! facts.
//!
//! # The map
//! The modules below are declared in layer order: each uses only those further down. This is the one list of layers;
//! `tests/it/architecture.rs` reads it and holds every import to it.
//!
//! | to read about | go to |
//! |---|---|
//! | the path of every request, in nine steps | `server::pipeline` |
//! | what each management endpoint is, in one table | [`frontend::Endpoint::rules`] |
//! | an endpoint's flow; an API route's flow | [`endpoint`], a file for each; [`api`], a file for each action |
//! | how a login begins | [`login`] |
//! | what is known of one request | [`request`] |
//! | what the log says of one request | [`telemetry::RequestScope`] |
//! | a connection: TLS, versions of HTTP, time limits | `server::connection` |
//! | a request and its answer, as the server has them | [`message`] |
//! | the cookie, byte by byte | [`session`] |
//! | apps without a cookie jar | `endpoint::native`, `request::native` |
//! | who may use a route, and with which token | [`frontend::Policy`], [`token`] |
//! | when and how tokens are refreshed | `token::refresh` |
//! | what requests of one session must know of one another | [`ledger`] |
//! | what replicas share | [`coordination`] |
//! | proofs that a client has a key | [`proof`] |
//! | key files and rotation | [`keyring`], `keys/README.md` |
//! | what the configuration means | [`config`] |
//! | the whole story as tests | `tests/it/login.rs` |
//!
//! # Life of a request, in types
//! `Request → Arrival → Ctx (a Frontend) → Target → Admitted → Caller → Permit → Answer`. An arrow
//! that can fail ends in a [`problem::Problem`]. `server::response` turns either into the answer.
//!
//! # Seams
//! Three: time ([`clock::Clock`]), what replicas share ([`coordination`]), and the addresses of provider, APIs and store, which
//! a test gives its own. Everything else is concrete.

// One block for each module: inside a block rustfmt would sort them.
//
// `cargo fuzz` sets `fuzzing`. What no fuzz target calls is left out then, because it would take half of the build.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(not(fuzzing))]
pub mod cli;

#[cfg(all(feature = "demo", not(fuzzing)))]
pub mod demo;

#[cfg(not(fuzzing))]
pub mod app;

#[cfg(not(fuzzing))]
pub mod config;

#[cfg(not(fuzzing))]
pub mod server;

#[cfg(not(fuzzing))]
pub mod endpoint;

#[cfg(not(fuzzing))]
pub mod api;

#[cfg(not(fuzzing))]
pub mod proxy;

#[cfg(not(fuzzing))]
pub mod assets;

#[cfg(not(fuzzing))]
pub mod token;

#[cfg(not(fuzzing))]
pub mod login;

#[cfg(not(fuzzing))]
pub mod request;

#[cfg(not(fuzzing))]
pub mod guard;

#[cfg(not(fuzzing))]
pub mod bff;

pub mod frontend;

pub mod compose;

#[cfg(not(fuzzing))]
pub mod coordination;

#[cfg(not(fuzzing))]
pub mod ledger;

pub mod session;

pub mod oidc;

pub mod proof;

pub mod keyring;

#[cfg(not(fuzzing))]
mod page;

pub mod problem;

#[cfg(not(fuzzing))]
pub mod message;

pub mod telemetry;

pub mod tls;

pub mod clock;

pub mod names;
