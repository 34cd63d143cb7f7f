//! Tokens in fewer bytes. Their parts are mostly base64url, which the cookie would encode a second time.
//!
//! A JWT's header and claims become JSON text, which is compressed. Signatures, ciphertexts and opaque tokens are not
//! compressed. They would not shrink, and they are the secret part of a token: it must not share a stream with claims, some
//! of which people choose themselves (E15).
//!
//! # Invariants
//! - Every token comes back byte for byte. A part that does not decode, or that would encode to something else, stays as it
//!   is (RFC 4648 §3.5).
//! - A token has one encoding.
//!
//! # Why
//! A token becomes a quarter shorter before it is compressed. This file parses and believes no part of it.

use super::base64url;
use super::codec::{Malformed, Reader, Writer};
use crate::keyring::Erased;

/// Longest token, and longest part of one.
const LIMIT: usize = 64 * 1024;
/// Most parts: those of a JWE (RFC 7516 §7.1).
const MOST_PARTS: usize = 5;

/// Room for most tokens. A `String` that had to grow would leave pieces of the token in memory.
const ROOM: usize = 2048;

/// A token of more parts.
const WHOLE: u8 = 0;

/// A part that is not base64url, as it is.
const VERBATIM: u8 = 0;
/// A part that decodes to what may be JSON.
const TEXT: u8 = 1;
/// A part that decodes to anything else.
const BINARY: u8 = 2;
/// A part that decodes except for its last characters, as most random letters do.
const REMAINDER: u8 = 3;

pub(super) fn write(writer: &mut Writer, token: &str) {
    let count = memchr::memchr_iter(b'.', token.as_bytes()).count() + 1;
    let Some(count) = u8::try_from(count).ok().filter(|_| count <= MOST_PARTS) else {
        writer.byte(WHOLE);
        loose(writer, token.as_bytes());
        return;
    };
    writer.require(token.len() <= LIMIT);
    writer.byte(count);
    for part in token.split('.') {
        match base64url::decode(part.as_bytes()).map(Erased::from) {
            None => {
                if let Some((front, rest)) = front(part) {
                    writer.byte(REMAINDER);
                    loose(writer, &front);
                    loose(writer, rest.as_bytes());
                } else {
                    writer.byte(VERBATIM);
                    loose(writer, part.as_bytes());
                }
            }
            Some(bytes) if is_text(&bytes) => {
                writer.byte(TEXT);
                writer.bytes(LIMIT, &bytes);
            }
            Some(bytes) => {
                writer.byte(BINARY);
                loose(writer, &bytes);
            }
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let count = reader.byte()?;
    if count == WHOLE {
        let token = loose_text(reader)?;
        let dots = memchr::memchr_iter(b'.', token.as_bytes()).count();
        return if dots < MOST_PARTS {
            Err(Malformed)
        } else {
            Ok(token.to_owned())
        };
    }
    if usize::from(count) > MOST_PARTS {
        return Err(Malformed);
    }
    let mut token = String::with_capacity(ROOM);
    for at in 0..count {
        if at > 0 {
            token.push('.');
        }
        match reader.byte()? {
            VERBATIM => {
                let part = loose_text(reader)?;
                if part.contains('.') || is_base64url(part) || front(part).is_some() {
                    return Err(Malformed);
                }
                token.push_str(part);
            }
            REMAINDER => {
                let len = reader.length(LIMIT)?;
                let bytes = reader.loose(len)?;
                let rest = loose_text(reader)?;
                let start = token.len();
                base64url::encode_onto(bytes, &mut token);
                token.push_str(rest);
                let part = token.get(start..).ok_or(Malformed)?;
                let is_written_so = front(part).is_some_and(|(_, other)| other == rest);
                if rest.contains('.') || is_base64url(part) || !is_written_so {
                    return Err(Malformed);
                }
            }
            TEXT => {
                let bytes = reader.bytes(LIMIT)?;
                if !is_text(bytes) {
                    return Err(Malformed);
                }
                base64url::encode_onto(bytes, &mut token);
            }
            BINARY => {
                let len = reader.length(LIMIT)?;
                let bytes = reader.loose(len)?;
                if is_text(bytes) {
                    return Err(Malformed);
                }
                base64url::encode_onto(bytes, &mut token);
            }
            _ => return Err(Malformed),
        }
    }
    if token.len() > LIMIT {
        return Err(Malformed);
    }
    Ok(token)
}

fn is_base64url(part: &str) -> bool {
    base64url::decode(part.as_bytes()).is_some()
}

/// What the whole groups of four characters decode to, and the one to three characters behind them.
fn front(part: &str) -> Option<(Erased, &str)> {
    let (front, rest) = part.split_at_checked(part.len() / 4 * 4)?;
    let bytes = base64url::decode(front.as_bytes()).map(Erased::from)?;
    (!front.is_empty() && !rest.is_empty()).then_some((bytes, rest))
}

/// The length, then loose bytes.
fn loose(writer: &mut Writer, bytes: &[u8]) {
    writer.length(LIMIT, bytes.len());
    writer.loose(bytes);
}

fn loose_text<'b>(reader: &mut Reader<'b>) -> Result<&'b str, Malformed> {
    let len = reader.length(LIMIT)?;
    std::str::from_utf8(reader.loose(len)?).map_err(|_| Malformed)
}

/// Whether it may be a JSON object.
fn is_text(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(token: &str) -> (Vec<u8>, Vec<u8>) {
        let mut writer = Writer::new();
        write(&mut writer, token);
        let sections = writer.finish().unwrap();
        (sections.packed.to_vec(), sections.loose.to_vec())
    }

    fn decoded(packed: &[u8], loose: &[u8]) -> Result<String, Malformed> {
        let mut reader = Reader::new(packed, loose);
        let token = read(&mut reader)?;
        let rest = reader.finish()?;
        rest.is_empty().then_some(token).ok_or(Malformed)
    }

    #[test]
    fn a_token_is_stored_as_the_bytes_it_spells() {
        for (token, packed, loose) in [
            ("", &b"\x01\x02\x00"[..], &b""[..]),
            // Four bits too many: base64url never ends so.
            ("opaque", b"\x01\x03\x03\x02", b"\xa2\x96\xaaue"),
            ("opaq~", b"\x01\x03\x03\x01", b"\xa2\x96\xaa~"),
            ("opa~", b"\x01\x00\x04", b"opa~"),
            ("u~e", b"\x01\x00\x03", b"u~e"),
            ("AQID", b"\x01\x02\x03", b"\x01\x02\x03"),
            ("a.b", b"\x02\x00\x01\x00\x01", b"ab"),
            (
                "e30.eyAifQ.AQID",
                b"\x03\x01\x02{}\x01\x04{ \"}\x02\x03",
                b"\x01\x02\x03",
            ),
            // Unsecured, and with the payload detached (RFC 7515 Appendix F).
            ("e30..", b"\x03\x01\x02{}\x02\x00\x02\x00", b""),
            (
                "e30..AQID.BA.BQ",
                b"\x05\x01\x02{}\x02\x00\x02\x03\x02\x01\x02\x01",
                b"\x01\x02\x03\x04\x05",
            ),
            // Spare bits that are not zero, padding, another alphabet.
            ("e30.AR.AQ==", b"\x03\x01\x02{}\x00\x02\x00\x04", b"ARAQ=="),
            ("a+/b.e30", b"\x02\x00\x04\x01\x02{}", b"a+/b"),
            ("a.b.c.d.e.f", b"\x00\x0b", b"a.b.c.d.e.f"),
            // A part that is JSON, but not base64url.
            ("{}", b"\x01\x00\x02", b"{}"),
        ] {
            assert_eq!(encoded(token), (packed.to_vec(), loose.to_vec()), "{token}");
            assert_eq!(decoded(packed, loose).as_deref(), Ok(token), "{token}");
        }
    }

    #[test]
    fn every_other_encoding_of_a_token_is_malformed() {
        // E17
        for (packed, loose) in [
            (&b"\x01\x00\x04"[..], &b"AQID"[..]),
            (b"\x01\x00\x00", b""),
            (b"\x01\x00\x03", b"a.b"),
            (b"\x01\x00\x02", b"\xff\xfe"),
            (b"\x01\x00\x06", b"opaque"),
            (b"\x01\x03\x03\x00", b"\xa2\x96\xaa"),
            (b"\x01\x03\x03\x02", b"\xa2\x96\xaaAQ"),
            (b"\x01\x03\x03\x04", b"\xa2\x96\xaaAQID"),
            (b"\x01\x03\x02\x02", b"\xa2\x96ue"),
            (b"\x01\x03\x00\x02", b"ue"),
            (b"\x01\x03\x03\x02", b"\xa2\x96\xaau."),
            (b"\x01\x01\x02AB", b""),
            (b"\x01\x01\x00", b""),
            (b"\x01\x02\x02", b"{}"),
            (b"\x01\x04\x02", b"ab"),
            (b"\x00\x03", b"a.b"),
            (b"\x06\x02\x00\x02\x00\x02\x00\x02\x00\x02\x00\x02\x00", b""),
            (b"\x01\x02\x02", b"a"),
            (b"\x01\x02\x01", b"ab"),
        ] {
            assert_eq!(decoded(packed, loose), Err(Malformed), "{packed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_token_is_read_as_it_was_written(token in "[ -~]{0,40}|[A-Za-z0-9_-]{0,50}|([A-Za-z0-9_-]{0,9}[.]){1,6}[A-Za-z=+]{0,4}|\\PC{0,20}") {
            let (packed, loose) = encoded(&token);
            prop_assert_eq!(decoded(&packed, &loose), Ok(token));
        }

        /// JSON with spaces that a serialiser would not write, in two to five parts. The text must come back as it was.
        #[test]
        fn any_jwt_is_read_as_it_was_written(jsons in prop::collection::vec(r#"\{[ \t\n]{0,3}"[a-z]{0,4}" ?: ?("\PC{0,9}"|[0-9.eE+-]{1,5})\s?\}"#, 1..4), binary: Vec<u8>, odd in "|[.]|[.]e30=|[.]A") {
            let parts: Vec<String> = jsons.iter().map(|json| base64url::encode(json.as_bytes())).collect();
            let token = format!("{}.{}{odd}", parts.join("."), base64url::encode(&binary));
            let (packed, loose) = encoded(&token);
            prop_assert!(jsons.iter().all(|json| packed.windows(json.len()).any(|at| at == json.as_bytes())));
            prop_assert_eq!(decoded(&packed, &loose), Ok(token));
        }
    }
}
