//! The id of a request: the one that a trusted proxy gave it, else one of our own.

/// The longest id that is taken over, in bytes.
const LONGEST: usize = 128;

/// What a client is told, and asks for help with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(Text);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Text {
    /// Sixteen hexadecimal digits.
    Made([u8; 16]),
    Received(Box<str>),
}

impl RequestId {
    /// An id of our own, out of a random number.
    pub fn made(number: u64) -> Self {
        let mut digits = [0; 16];
        super::trace_context::write_hex(&number.to_be_bytes(), &mut digits);
        Self(Text::Made(digits))
    }

    /// An id that another program gave: 1 to 128 of `A-Za-z0-9._:/=+-`. Anything else is none.
    pub fn received(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/=+-".contains(&byte);
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| Self(Text::Received(text.into())))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Made(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            Text::Received(text) => text,
        }
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
