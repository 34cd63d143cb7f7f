//! Plaintext bytes, erased when dropped.
//!
//! `aead` decrypts into them. `session` writes and unpacks states in them.
//!
//! # Invariants
//! - They leave no copy behind when they are dropped or grow, nor in room beyond their length.
//!
//! # Why not `Zeroizing<Vec<u8>>`
//! It erases byte by byte, which took a tenth of the time to open a session. When it grows, it leaves its old buffer behind
//! unerased.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// Bytes that are erased when dropped.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Erased(Vec<u8>);

impl Erased {
    /// No bytes, with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut wider = Self::with_capacity(needed.saturating_mul(2).max(1024));
            wider.0.extend_from_slice(&self.0);
            *self = wider;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The buffer, for a writer that fills the room there is. The writer must not make more room.
    pub fn as_vec(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Erased {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Borrow<[u8]> for Erased {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Erased {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Erased {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Erased {
    fn drop(&mut self) {
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        optimization_barrier(self.0.as_slice());
    }
}

impl std::fmt::Debug for Erased {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Erased({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_appended_and_not_shown() {
        let mut bytes = Erased::default();
        for _ in 0..1000 {
            bytes.push(b"secret");
        }
        assert_eq!(&*bytes, b"secret".repeat(1000));
        assert_eq!(format!("{bytes:?}"), "Erased(6000 bytes)");
    }
}
