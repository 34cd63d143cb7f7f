//! What replicas share through Valkey or Redis: the optional section `[coordination]`.
//!
//! A [`Coordinator`] carries refreshes and revocations between the tables in [`ledger`](crate::ledger) of several
//! processes. A process without it is complete: the key ring is then all that replicas share.
//!
//! - `coordinator`: this replica's part · `lease`: one refresh for all replicas · `feed`: which sessions were ended ·
//!   `unopened`: entries of the feed that wait for a key
//! - `proofs`: those of apps that have come
//! - `store`: the connection, and when not to wait for it · `reach`: how it is made · `narrow`: what keeps long answers
//!   out · `sealed`: what is written to the store · `entries`: what is read from it
//!
//! # Invariants
//! - The store holds no session. It holds only short-lived facts, sealed with the key ring.

mod coordinator;
mod entries;
mod feed;
mod lease;
mod narrow;
mod proofs;
mod reach;
mod sealed;
mod settings;
mod store;
mod unopened;

pub use coordinator::{BadUrl, Coordinator};
pub use settings::{CoordinationSettings, OnFailure, is_store_url};
pub use store::Unreachable;
