//! Tests of the ring, of what it seals, and of its files.

mod aead;
mod file;
mod ring;
mod rotate;

use crate::clock::UnixTime;

/// 2026-11-21, eight in the morning.
const NOW: UnixTime = UnixTime::from_secs(1_795_248_000);
