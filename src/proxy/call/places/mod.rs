//! Who may use a connection to an upstream.
//!
//! Each connection that may be in use is a *place*. [`Call`](super::Call) takes one when it has something to send, and
//! the answer holds it until it is over. A request that finds none waits in the queue. Connections that last
//! ([`Tunnels`]) are counted apart, and nobody waits for one. Places belong to one worker, as connections do.
//!
//! - `asker`: who asks · `counts`: how many places each address holds, and which request may take a further one. Pure.
//! - `queue`: who waits, and who is next · `tunnels`: places nobody waits for
//! - `holder`: who holds a place, and how fast it is. Pure · `watch`: when a slow or greedy client gives its place up
//!
//! # Invariants
//! - An address that holds more than a quarter of the places does not get one of the last quarter, or of the last three sixteenths
//!   for a user. So one address cannot take the last place, by however many answers that it reads slowly, event streams or WebSocket
//!   connections.
//! - The last eighth is for users whose address holds at most a quarter. So clients without a session cannot take the last place,
//!   from however many addresses they come.
//! - Requests of addresses that hold at most a quarter come first, and of each half those of users. While others wait that come
//!   first, an address that holds more gets no further place at all, and gives up those for whose request body it keeps the
//!   upstream waiting.
//! - While a request waits, a client that sends or reads less than 1 KiB a second gives its place up after five seconds:
//!   for its own requests and for those of clients with at most a quarter.
//! - A place for a request that has left the queue goes to the next.
//!
//! # Why users count apart
//! A user may share an address with a crowd: in a company, or behind a proxy that `trusted_proxies` does not name. A session costs a
//! login, and who began it is known. Only the user's token counts as one, because it shows that the session was opened. Sessions are
//! not counted one by one: one user can begin many.
//!
//! # Why a quarter
//! Many people may share an address: a company's, or that of a proxy that `trusted_proxies` does not name. They may use
//! three quarters of the places while nobody else needs them, and what they have they keep. Below four places there is
//! no quarter to keep free, and each client may take all; below eight there is no eighth, below sixteen no sixteenth.
//!
//! # Why the last quarter is kept free, and not taken back
//! A request in a queue says that others need a place. An answer that lasts, such as an event stream, cannot be taken
//! from a client that reads it without harm to the client. So places must be free before others come.

mod asker;
mod counts;
mod holder;
mod queue;
mod tunnels;
mod watch;

pub(super) use asker::Asker;
pub(in crate::proxy) use holder::Awaited;
pub(super) use queue::{NoPlace, Place, Places};
pub(in crate::proxy) use tunnels::TunnelPlace;
pub(super) use tunnels::{NoTunnel, Tunnels};
pub(in crate::proxy) use watch::Watch;

/// After how many seconds a client that was refused a place may ask again.
pub(super) const RETRY_AFTER: u64 = 1;
