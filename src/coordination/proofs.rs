//! Proofs of possession that have come: one counts once on all replicas.
//!
//! # Spec
//! RFC 9449 §11.1.

use super::coordinator::Coordinator;
use super::store::Unreachable;
use crate::telemetry::coordination::StoreCall;

/// Seconds that a proof is remembered: longer than its nonce counts anywhere, whatever the replicas' clocks say.
const MEMORY: u32 = 10 * 60;

impl Coordinator {
    /// Whether a proof of this name has not come before. From now on it has.
    pub async fn is_first(&self, name: &str) -> Result<bool, Unreachable> {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.store.name(&format!("proof:{name}")))
            .arg(1)
            .arg("NX")
            .arg("EX")
            .arg(MEMORY);
        let (set,): (Option<String>,) = self.store.run(StoreCall::Proof, &commands).await?;
        Ok(set.is_some())
    }
}
