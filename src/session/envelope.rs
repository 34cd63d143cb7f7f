//! A state as the text of its cookies, and back: encoded, bound to its place, sealed.
//!
//! [`Jar`](super::Jar) has the [`Place`], and makes an [`Envelope`] for each cookie; the cryptography is in `keyring`.
//!
//! # Invariants
//! - What a cookie says before it is opened decides only how many bytes are joined, within fixed bounds.
//! - Purpose, name, frontend, client, issuer, origin, version, packing, chunk count and length are authenticated. Nothing
//!   is inflated before.
//! - `open` fails in one way. An unknown key is told apart; it is no secret to the sender.

use std::marker::PhantomData;

use super::base64url;
use super::chunk::Layout;
use super::encode::{self, Plaintext, Sizes, State};
use super::pack::Packing;
use super::settings::{Compression, JarSettings};
use crate::clock::UnixTime;
use crate::keyring::{Erased, KeyRing, Kid, OpenError, SEAL_OVERHEAD, SealError};

/// The wire format's version.
const VERSION: u8 = 1;
/// What the next release may write while this one still runs beside it.
const NEXT_VERSION: u8 = VERSION + 1;
const NEXT_PACKING: u8 = 2;
/// Version, packing, chunk count, length.
const HEADER_BYTES: usize = 1 + 1 + 1 + 2;
/// As many characters of base64url as hold the header.
const HEADER_TEXT: usize = 8;

/// The unsealed front of the text. Untrusted until the rest has been opened with it as associated data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) packing: Packing,
    pub(super) chunks: u8,
    /// Of the sealed part.
    length: u16,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [high, low] = self.length.to_be_bytes();
        [VERSION, self.packing.id(), self.chunks, high, low]
    }

    /// Reads the header off the first cookie.
    ///
    /// What only the next release writes is like a key that only another replica has: not ours to judge.
    pub(super) fn peek(value: &[u8]) -> Result<Self, OpenError> {
        let front = value.get(..HEADER_TEXT).and_then(base64url::decode);
        match front.as_deref().and_then(<[u8]>::first_chunk) {
            Some([VERSION, packing, chunks, high, low]) => Ok(Self {
                packing: match packing {
                    &NEXT_PACKING => return Err(OpenError::UnknownKey),
                    id => Packing::from_id(*id).ok_or(OpenError::Rejected)?,
                },
                chunks: *chunks,
                length: u16::from_be_bytes([*high, *low]),
            }),
            Some([NEXT_VERSION, ..]) => Err(OpenError::UnknownKey),
            _ => Err(OpenError::Rejected),
        }
    }

    /// Characters of header and sealed part.
    pub(super) fn text_len(self) -> usize {
        base64url::encoded_len(HEADER_BYTES + usize::from(self.length))
    }
}

/// A state that is encoded and measured, but not sealed yet.
pub(super) struct Draft {
    plaintext: Erased,
    header: Header,
}

impl Draft {
    /// How many characters the cookies will have.
    pub(super) fn text_len(&self) -> usize {
        self.header.text_len()
    }
}

/// What does not fit its cookies, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oversize {
    pub(super) text_len: usize,
}

impl Oversize {
    fn of(plaintext_len: usize) -> Self {
        Self {
            text_len: base64url::encoded_len(HEADER_BYTES + SEAL_OVERHEAD + plaintext_len),
        }
    }
}

/// What opened.
#[derive(Debug)]
pub(super) struct Unsealed<S> {
    pub(super) state: S,
    pub(super) kid: Kid,
    pub(super) header: Header,
    pub(super) sizes: Sizes,
}

/// Why a cookie does not open: for the operator, never for a browser (E11).
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the first cookie of the session is missing")]
    NoFirst,
    #[error("it does not begin as our cookies do: it is cut short, or not base64url")]
    NoHeader,
    #[error("format version {0} is not known to this release")]
    Version(u8),
    #[error("packing {0} is not known to this release")]
    Packing(u8),
    #[error(
        "it says to be {chunks} cookies of {text_len} characters in all, but cookies of {found:?} characters came, or \
         they are not base64url"
    )]
    Incomplete {
        chunks: u8,
        text_len: usize,
        found: Vec<usize>,
    },
    #[error("the key ring has no key {0:016x}: it was dropped, or this is another ring")]
    UnknownKey(u64),
    #[error("the seal is broken")]
    Tag,
    #[error("the seal is good, but the contents are not of this release's making")]
    Malformed,
}

/// What all seals of a frontend have in common.
#[derive(Debug)]
pub(super) struct Place {
    /// The end of the associated data.
    parts: Vec<u8>,
    pad_to: usize,
    compression: Compression,
}

impl Place {
    pub(super) fn new(settings: &JarSettings) -> Self {
        let parts = [
            settings.frontend.as_str(),
            &settings.client_id,
            &settings.issuer,
            settings.origin.as_str(),
        ];
        let mut place = Vec::new();
        for part in parts {
            delimit(part, &mut place);
        }
        Self {
            parts: place,
            pad_to: settings.session.pad_to,
            compression: settings.session.compression,
        }
    }

    /// What tells this frontend's seals from those of another, or of another configuration.
    pub(super) fn parts(&self) -> &[u8] {
        &self.parts
    }

    /// The envelope of the cookie, or chunks of cookies, called `name`.
    pub(super) const fn envelope<S: State>(&self, name: String, layout: Layout) -> Envelope<'_, S> {
        Envelope {
            place: self,
            name,
            layout,
            holds: PhantomData,
        }
    }
}

/// Seals and opens the state of one cookie.
#[derive(Debug)]
pub(super) struct Envelope<'p, S> {
    place: &'p Place,
    name: String,
    layout: Layout,
    holds: PhantomData<fn(S) -> S>,
}

impl<S: State> Envelope<'_, S> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Encodes and measures.
    pub(super) fn draft(&self, state: &S) -> Result<Draft, Oversize> {
        let plaintext = encode::encode(state, self.place.pad_to, self.place.compression)
            .map_err(Oversize::of)?;
        self.measure(plaintext)
    }

    pub(super) fn measure(&self, plaintext: Plaintext) -> Result<Draft, Oversize> {
        let Plaintext { bytes, packing } = plaintext;
        let oversize = Oversize::of(bytes.len());
        let chunks = self.layout.count(oversize.text_len).ok_or(oversize)?;
        let length = u16::try_from(SEAL_OVERHEAD + bytes.len()).map_err(|_| oversize)?;
        Ok(Draft {
            plaintext: bytes,
            header: Header {
                packing,
                chunks,
                length,
            },
        })
    }

    /// Seals a draft with the primary key of `now`.
    pub(super) fn seal(
        &self,
        draft: &Draft,
        keys: &KeyRing,
        now: UnixTime,
    ) -> Result<String, SealError> {
        let header = draft.header.to_bytes();
        let aad = self.aad(header);
        let sealed = keys.seal(now, S::PURPOSE, &aad, &draft.plaintext)?;
        Ok(base64url::encode(&[&header[..], &sealed].concat()))
    }

    /// Opens what `seal` made, from its cookies.
    pub(super) fn open<'r>(
        &self,
        chunk: impl Fn(u8) -> Option<&'r [u8]>,
        keys: &KeyRing,
    ) -> Result<Unsealed<S>, OpenError> {
        let header = Header::peek(chunk(0).ok_or(OpenError::Rejected)?)?;
        let bytes = self.join(header, chunk).ok_or(OpenError::Rejected)?;
        let mut bytes = Erased::from(bytes);
        let sealed = bytes.get_mut(HEADER_BYTES..).ok_or(OpenError::Rejected)?;
        let aad = self.aad(header.to_bytes());
        let (kid, range) = keys.open_in_place(S::PURPOSE, &aad, sealed)?;
        let plaintext = sealed.get(range).ok_or(OpenError::Rejected)?;
        let decoded = encode::decode(plaintext, header.packing).map_err(|_| OpenError::Rejected)?;
        Ok(Unsealed {
            state: decoded.state,
            kid,
            header,
            sizes: decoded.sizes,
        })
    }

    /// Opens, and says why not if not.
    pub(super) fn diagnose<'r>(
        &self,
        chunk: impl Fn(u8) -> Option<&'r [u8]>,
        keys: &KeyRing,
    ) -> Result<Unsealed<S>, Failure> {
        let first = chunk(0).ok_or(Failure::NoFirst)?;
        let front = first
            .get(..HEADER_TEXT)
            .and_then(base64url::decode)
            .ok_or(Failure::NoHeader)?;
        match *front.as_slice() {
            [VERSION, packing, ..] if Packing::from_id(packing).is_none() => {
                return Err(Failure::Packing(packing));
            }
            [VERSION, ..] => {}
            [version, ..] => return Err(Failure::Version(version)),
            [] => return Err(Failure::NoHeader),
        }
        let header = Header::peek(first).map_err(|_| Failure::NoHeader)?;
        let Some(bytes) = self.join(header, &chunk) else {
            return Err(Failure::Incomplete {
                chunks: header.chunks,
                text_len: header.text_len(),
                found: (0..=u8::MAX).map_while(&chunk).map(<[u8]>::len).collect(),
            });
        };
        let kid: Option<[u8; 8]> = bytes
            .get(HEADER_BYTES + 1..)
            .and_then(|rest| rest.first_chunk().copied());
        match self.open(&chunk, keys) {
            Ok(opened) => Ok(opened),
            Err(OpenError::UnknownKey) => Err(Failure::UnknownKey(
                kid.map(u64::from_be_bytes).unwrap_or_default(),
            )),
            Err(OpenError::Rejected) => {
                let sealed = bytes.get(HEADER_BYTES..).unwrap_or_default();
                let aad = self.aad(header.to_bytes());
                Err(match keys.open(S::PURPOSE, &aad, sealed) {
                    Ok(_) => Failure::Malformed,
                    Err(_) => Failure::Tag,
                })
            }
        }
    }

    /// The bytes, if the cookies are exactly as many and as long as the header says.
    fn join<'r>(&self, header: Header, chunk: impl Fn(u8) -> Option<&'r [u8]>) -> Option<Vec<u8>> {
        if self.layout.divided(header.text_len()) != Some(header.chunks) {
            return None;
        }
        let text = self.layout.join(header.text_len(), chunk)?;
        base64url::decode(&text)
    }

    fn aad(&self, header: [u8; HEADER_BYTES]) -> Vec<u8> {
        let parts = &self.place.parts;
        let names = 8 + S::PURPOSE.len() + 8 + self.name.len();
        let mut aad = Vec::with_capacity(HEADER_BYTES + names + parts.len());
        aad.extend_from_slice(&header);
        delimit(S::PURPOSE, &mut aad);
        delimit(&self.name, &mut aad);
        aad.extend_from_slice(parts);
        aad
    }
}

/// With its length, so that no two lists of parts make the same bytes.
fn delimit(part: &str, onto: &mut Vec<u8>) {
    onto.extend_from_slice(&(part.len() as u64).to_be_bytes());
    onto.extend_from_slice(part.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::samples::settings;
    use crate::session::state::Seen;

    #[test]
    fn the_header_and_the_associated_data_are_as_specified() {
        // E2. Fixed for ever: a change ends all sessions.
        let header = Header {
            packing: Packing::Zstd1,
            chunks: 3,
            length: 0x1234,
        };
        assert_eq!(header.to_bytes(), [1, 1, 3, 0x12, 0x34]);
        let name = "__Host-Http-shop-seen";
        let place = Place::new(&settings());
        let envelope = place.envelope::<Seen>(name.to_owned(), Layout::single(name));
        let mut expected = vec![1, 1, 3, 0x12, 0x34];
        for part in [
            "seen",
            "__Host-Http-shop-seen",
            "shop",
            "shop",
            "https://id.example.com",
            "https://shop.example.com",
        ] {
            expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0]);
            expected.push(u8::try_from(part.len()).unwrap());
            expected.extend_from_slice(part.as_bytes());
        }
        assert_eq!(envelope.aad(header.to_bytes()), expected);
    }

    #[test]
    fn a_header_is_read_off_the_front_of_the_first_cookie() {
        let text = base64url::encode(&[1, 1, 3, 0x12, 0x34, 9]);
        let header = Header::peek(text.as_bytes()).unwrap();
        assert_eq!((header.chunks, header.length), (3, 0x1234));
        let starting =
            |front: [u8; 2]| base64url::encode(&[&front[..], &[3, 0x12, 0x34, 9]].concat());
        let (rejected, unknown) = (OpenError::Rejected, OpenError::UnknownKey);
        for (bad, error, why) in [
            (String::new(), rejected, "empty"),
            (text[..7].to_owned(), rejected, "short"),
            (starting([0, 1]), rejected, "no such version"),
            (starting([2, 1]), unknown, "the next version"),
            (starting([3, 1]), rejected, "a later version"),
            (starting([1, 2]), unknown, "the next packing"),
            (starting([1, 3]), rejected, "a later packing"),
            (text.replacen('A', "%", 1), rejected, "no base64url"),
        ] {
            assert_eq!(Header::peek(bad.as_bytes()), Err(error), "{why}");
        }
    }
}
