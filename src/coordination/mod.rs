//! Short-lived facts that requests of one session share, so that they do not work against each other.
//!
//! In the process these are [`Refreshes`], [`Revocations`], [`Ends`], [`Fruitless`] and [`Replicas`], and no request asks more. With
//! `[coordination]` a [`Coordinator`] carries refreshes and revocations between replicas, through Valkey or Redis; without
//! it the key ring is all that replicas share, and the program is complete.
//!
//! - `refreshes`, `revocations`, `ends`, `fruitless`: the tables of the process · `replicas`: whether it is the only one
//! - `digest`: names that tell nothing of whom they are about, of revocations and in the store
//! - `coordinator`: what replicas share · `lease`: one refresh for all of them · `feed`: who was signed out ·
//!   `unopened`: what of it waits for a key
//! - `store`: the connection, and when not to wait for it · `reach`: how it is made · `narrow`: and kept from what is long · `sealed`: what stands there · `entries`: and what else might
//!
//! # Invariants
//! - A refresh token is presented at most once by this process, however many requests wait (G4, G8).
//! - A result is found only by the session and refresh token that it belongs to, never by another session.
//! - Memory is bounded; what is forgotten costs a token call, never correctness.
//! - The store holds no session, only facts that pass by themselves, sealed.

#[cfg(not(feature = "redis"))]
mod alone;
#[cfg(feature = "redis")]
mod coordinator;
mod digest;
mod ends;
#[cfg(feature = "redis")]
mod entries;
#[cfg(feature = "redis")]
mod feed;
mod fruitless;
#[cfg(feature = "redis")]
mod lease;
#[cfg(feature = "redis")]
mod narrow;
#[cfg(feature = "redis")]
mod reach;
mod redemptions;
mod refreshes;
mod replicas;
mod revocations;
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
pub use ends::{Ends, Watched};
pub use fruitless::Fruitless;
pub use redemptions::{Landing, REDEMPTION_MEMORY, Redeemed, Redemption, Redemptions};
pub use refreshes::{Begin, Fingerprint, Flight, Join, Landed, Outcome, Refreshes, Renewal};
pub use replicas::Replicas;
pub use revocations::{Revocation, Revocations};
pub use settings::{CoordinationSettings, OnFailure, is_store_url};
#[cfg(feature = "redis")]
pub use store::Unreachable;
