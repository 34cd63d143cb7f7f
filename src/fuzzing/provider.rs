//! The provider whose tokens the fuzzer changes, and signs.

use std::sync::LazyLock;

use super::NOW;
use crate::oidc::probe::Probe;

pub(super) static PROBE: LazyLock<Option<Probe>> = LazyLock::new(|| Probe::new(NOW));

/// What the signature of a token covers.
pub(super) fn covered(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(input, _)| input)
}
