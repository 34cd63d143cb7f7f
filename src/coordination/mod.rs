//! What replicas share through Valkey or Redis: the optional section `[coordination]`.
//!
//! A [`Coordinator`] carries refreshes and revocations between the tables in [`ledger`](crate::ledger) of several
//! processes. A process without it is complete: the key ring is then all that replicas share.
//!
//! - `coordinator`: this replica's part · `lease`: one refresh for all replicas · `feed`: which sessions were ended ·
//!   `unopened`: entries of the feed that wait for a key
//! - `store`: the connection, and when not to wait for it · `reach`: how it is made · `narrow`: what keeps long answers
//!   out · `sealed`: what is written to the store · `entries`: what is read from it
//!
//! # Invariants
//! - The store holds no session. It holds only short-lived facts, sealed with the key ring.

#[cfg(not(feature = "redis"))]
mod alone;
#[cfg(feature = "redis")]
mod coordinator;
#[cfg(feature = "redis")]
mod entries;
#[cfg(feature = "redis")]
mod feed;
#[cfg(feature = "redis")]
mod lease;
#[cfg(feature = "redis")]
mod narrow;
#[cfg(feature = "redis")]
mod reach;
#[cfg(feature = "redis")]
mod sealed;
mod settings;
#[cfg(feature = "redis")]
mod store;
#[cfg(feature = "redis")]
mod unopened;

#[cfg(not(feature = "redis"))]
pub use alone::{BadUrl, Coordinator, Unreachable};
#[cfg(feature = "redis")]
pub use coordinator::{BadUrl, Coordinator};
pub use settings::{CoordinationSettings, OnFailure, is_store_url};
#[cfg(feature = "redis")]
pub use store::Unreachable;
