//! `DPoP`: a token that only the holder of a key can use, and the proofs that we hold that key.
//!
//! A [`Prover`] belongs to one provider. Token requests carry a proof of its primary key (`key::ProofKey`); the access token
//! that comes of them is bound to that key. From then on the token goes along as a [`Possession`], with a proof for each
//! request, to the provider's `UserInfo` and to the APIs.
//!
//! - `key`: a key, and what it signs · `nonces`: what servers want to see in the next proof · `prover`: which key, which nonce
//! - `possession`: a token with its proofs · `call`: requests to the provider
//!
//! # Invariants
//! - A private key is derived from a key of the ring, and is never stored. Who has the ring can use what was bound before.
//! - Each proof is good for one request: its method, its URL, a new `jti`. A repeated request gets another one.
//! - A request is sent a second time for a nonce once at the most, and only if the server has said that it wants another one.
//!
//! # Spec
//! RFC 9449; RFC 7638 (`dpop_jkt`).
//!
//! # Why one key for each key of the ring and issuer
//! A key of each session's own would make every cookie larger. One of the ring alone would be the same at all providers, so that
//! a provider could pass on a token of another one, and we would prove that it is ours ("Cuckoo's token attack", FAPI 2.0
//! Security Profile §6).

mod call;
mod key;
mod nonces;
mod possession;
mod prover;

pub(super) use self::key::ProofKey;
pub use self::possession::{Authorization, Possession, TokenType};
pub use self::prover::Prover;
