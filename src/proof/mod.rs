//! Proofs that a client has a private key: small signed JWTs, and the sealed times that keep them fresh.
//!
//! Browsers prove so that a session is still on its device (DBSC), and apps that a token is theirs (`DPoP`, RFC 9449).
//!
//! - `jws`: what a proof must be before its claims count · `key`: the public keys, with their thumbprints
//! - `dpop`: proofs of apps, checked against their requests
//! - `json`: JSON that has one reading · `sealed_time`: challenges and nonces that any replica can check
//!
//! # Invariants
//! - We decide which algorithm and type are good, never the proof (RFC 8725 §3.1). The algorithm is ES256.
//! - A proof that is refused is refused in one way. Nothing of a proof is in any log or error.

mod dpop;
mod json;
mod jws;
mod key;
mod sealed_time;

#[cfg(test)]
pub(crate) mod samples;

pub use dpop::{Dpop, Proven, ath};
pub use jws::{Proof, Refused, claims_of};
pub use key::{KEY_BYTES, PublicKey};
pub use sealed_time::{Age, SealedTime};
