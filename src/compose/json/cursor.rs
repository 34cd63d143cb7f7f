//! The words of JSON: white space, strings, numbers, and what they stand for.
//!
//! [`Cursor`] reads one after the other and keeps none. Where they stand in objects and arrays is the walk's business.
//!
//! # Spec
//! RFC 8259 §2, §6, §7; RFC 7493 §2.1 (surrogates).

use std::borrow::Cow;

/// Deepest nesting that is accepted.
pub const MAX_DEPTH: usize = 128;

/// Why the bytes are not a JSON document that has one meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotJson {
    /// Broken grammar.
    #[error("the grammar is broken at byte {0}")]
    Grammar(usize),
    /// An object has one name twice.
    #[error("a name is there twice before byte {0}")]
    DuplicateName(usize),
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair before byte {0}")]
    Surrogate(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("it is nested over {MAX_DEPTH} levels deep at byte {0}")]
    TooDeep(usize),
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// A place in a document.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) const fn wrong<T>(&self) -> Result<T, NotJson> {
        Err(NotJson::Grammar(self.at))
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.takes(byte) {
            Ok(())
        } else {
            self.wrong()
        }
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), NotJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > begin {
            Ok(())
        } else {
            self.wrong()
        }
    }

    pub(super) fn number(&mut self) -> Result<(), NotJson> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            if !self.takes(b'+') {
                self.takes(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    pub(super) fn string(&mut self) -> Result<Text<'t>, NotJson> {
        self.expect(b'"')?;
        let begin = self.at;
        let mut has_escapes = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.wrong(),
            }
        }
        let written = self.text.get(begin..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text {
            written,
            has_escapes,
        })
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                match self.unit()? {
                    0xdc00..=0xdfff => return Err(NotJson::Surrogate(self.at)),
                    0xd800..=0xdbff => {
                        let has_partner = self.takes(b'\\') && self.takes(b'u');
                        if !has_partner || !matches!(self.unit()?, 0xdc00..=0xdfff) {
                            return Err(NotJson::Surrogate(self.at));
                        }
                    }
                    _ => {}
                }
            }
            _ => return self.wrong(),
        }
        Ok(())
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, NotJson> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .unwrap_or_default();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let is_hex = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let unit = u16::from_str_radix(text, 16).ok().filter(|_| is_hex);
        let unit = unit.ok_or(NotJson::Grammar(self.at))?;
        self.at += 4;
        Ok(unit)
    }
}

/// A string as it is written, between its quotes. Its escapes are good.
pub(super) struct Text<'t> {
    written: &'t str,
    has_escapes: bool,
}

impl<'t> Text<'t> {
    pub(super) fn decoded(&self) -> Cow<'t, str> {
        if self.has_escapes {
            Cow::Owned(unescaped(self.written))
        } else {
            Cow::Borrowed(self.written)
        }
    }
}

/// What the escapes of a string stand for. They have been checked.
fn unescaped(written: &str) -> String {
    let quoted = format!("\"{written}\"");
    serde_json::from_str(&quoted).unwrap_or_default()
}

/// The text of a string, number or boolean that stands in a checked document: a string without its escapes, a number with
/// the digits it was sent with. `None` for everything else.
pub fn scalar(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => {
            let written = value.strip_prefix('"')?.strip_suffix('"')?;
            Some(
                Text {
                    written,
                    has_escapes: written.contains('\\'),
                }
                .decoded(),
            )
        }
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}
