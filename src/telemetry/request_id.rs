//! The id of a request: the one that a trusted proxy gave it, else one of our own.

use http::HeaderValue;

/// The longest id that is taken over, in bytes.
const LONGEST: usize = 128;

/// What a client is told, and asks for help with. The upstream gets it, too: it is a header's value from the beginning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// An id of our own, out of a random number: sixteen hexadecimal digits.
    pub fn made(number: u64) -> Self {
        let mut digits = [0; 16];
        super::trace_context::write_hex(&number.to_be_bytes(), &mut digits);
        // Digits are fit for a header.
        Self(HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("none")))
    }

    /// An id that another program gave: 1 to 128 of `A-Za-z0-9._:/=+-`. Anything else is none.
    pub fn received(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/=+-".contains(&byte);
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| HeaderValue::from_str(text).ok().map(Self))
            .flatten()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As `X-Request-Id` has it.
    pub const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_our_own_is_sixteen_digits() {
        assert_eq!(RequestId::made(0x1f).as_str(), "000000000000001f");
        assert_eq!(RequestId::made(u64::MAX - 5).as_str(), "fffffffffffffffa");
    }

    #[test]
    fn only_what_cannot_be_mistaken_is_taken_over() {
        let longest = "x".repeat(LONGEST);
        for id in ["a", "Root=1-67891233-abc/+:_.", &longest] {
            assert_eq!(RequestId::received(id).unwrap().as_str(), id);
        }
        let too_long = "x".repeat(LONGEST + 1);
        for id in ["", " ", "a b", "a\"", "a,b", "é", "a\n", "<a>", &too_long] {
            assert_eq!(RequestId::received(id), None, "{id}");
        }
    }
}
