//! Short-lived facts that requests of one session share, so that they do not work against each other.
//!
//! Today these live in the process ([`Refreshes`]). The key ring is all that replicas share; a store that
//! carries the same facts between them has its seam here: whoever refreshes asks [`Refreshes::begin`] first.
//!
//! # Invariants
//! - A refresh token is presented at most once by this process, however many requests wait (G4, G8).
//! - A result is found only by the session and refresh token that it belongs to, never by another session.
//! - Memory is bounded; what is forgotten costs a token call, never correctness.

mod refreshes;

pub use refreshes::{Begin, Fingerprint, Flight, Join, Landed, Outcome, Refreshes};
