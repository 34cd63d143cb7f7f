//! base64url without padding (RFC 4648 §5), in its one canonical spelling.
//!
//! With the processor's vector instructions where it has them: decoding with the plain engine would cost more than
//! the AEAD.

use std::sync::LazyLock;

use base64::engine::Engine;
use base64::engine::general_purpose::NO_PAD;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));

/// How many characters `len` bytes become.
pub(super) const fn encoded_len(len: usize) -> usize {
    len.saturating_mul(4).div_ceil(3)
}

/// Encodes.
pub(super) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Encodes to the end of `text`.
pub(super) fn encode_onto(bytes: &[u8], text: &mut String) {
    ENGINE.encode_string(bytes, text);
}

/// Decodes; `None` for foreign characters, padding, and bits that encode nothing.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_spelling_is_decoded() {
        // C13
        assert_eq!(decode(b"AQ"), Some(vec![1]));
        for bad in [
            "AR", "AQ==", "AQ=", "A", "AQ\n", "A+", "%41Q", "\"AQ\"", "A Q",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }
    }
}
