//! What is accepted as a key file is the same key once written and read again.

use crate::keyring::probe::{self, Probed};

/// Reads `data` as a key file. Whether it was accepted.
///
/// # Panics
/// If the key is another one once it is written and read again, or if its kid is not that of its secret.
pub fn key_file(data: &[u8]) -> bool {
    let probed = probe::key_file(data);
    assert_ne!(probed, Probed::Ambiguous);
    probed == Probed::Key
}
