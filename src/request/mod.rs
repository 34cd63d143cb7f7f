//! One request: what is known of it when it arrives ([`Arrival`]), and what is found out from its frontend on ([`Ctx`]).
//!
//! `server::pipeline` makes both. `endpoint`, `api` and `token` work with a [`Ctx`], and `server::response` answers with what
//! they leave in it.
//!
//! - `caller`: who calls · `opening`: the session behind the request's cookies · `device`: whether it comes from its device ·
//!   `session`: writes and ends it · `native`: an app's token and its proof of possession

mod caller;
mod ctx;
mod device;
mod native;
mod opening;
mod session;

pub use caller::{App, Caller};
pub use ctx::{Arrival, Ctx};
pub use native::NoProof;
