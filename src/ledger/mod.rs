//! The tables of the process: what requests of one session, or of one user, must know of one another.
//!
//! Every process has them, and no request asks more. With `[coordination]`, a [`Coordinator`](crate::coordination)
//! also carries refreshes and revocations from replica to replica; without it, the key ring is all that replicas share.
//!
//! - `redemptions`: one token call for each login · `refreshes`: one token call for each refresh token
//! - `revocations`: which sessions were ended · `ends`: where the end of a session moves while a stream is open
//! - `news`: what happens to a session while somebody listens
//! - `failed_renewals`: where a forced refresh did not help · `replicas`: whether this process is the only one
//! - `digest`: names that do not reveal whom they are about · `bounded`: how a full table makes room
//!
//! # Invariants
//! - This process makes one token call at a time for a session's tokens, however many requests wait for it.
//! - A result is found only by the session and the refresh token it belongs to, never by another session.
//! - Memory is bounded. Whatever a table forgets costs a token call, and never correctness.

mod bounded;
mod digest;
mod ends;
mod failed_renewals;
mod news;
mod redemptions;
mod refreshes;
mod replicas;
mod revocations;

pub(crate) use digest::digest_text;
pub use ends::{Ends, Watched};
pub use failed_renewals::FailedRenewals;
pub use news::{Listener, News, State as NewsState};
pub use redemptions::{Landing, REDEMPTION_MEMORY, Redeemed, Redemption, Redemptions, Ticket};
pub(crate) use refreshes::SPENT_MEMORY;
pub use refreshes::{Begin, Fingerprint, Flight, Join, Landed, Outcome, Refreshes, Renewal, Why};
pub use replicas::Replicas;
pub(crate) use revocations::RevocationKey;
pub use revocations::{Revocation, Revocations};
