//! Behind the AEAD: any plaintext that decodes encodes to the same bytes.

use super::scene::SCENE;
use crate::session::Session;
use crate::session::probe::{self, Chosen, Probed};

/// Seals the bytes after the first two as a state, and opens it. Whether it was accepted.
///
/// The first byte chooses the kind of state. If the second is under 128, it is the packing of the plaintext that follows.
/// Otherwise two sections follow, which are compressed here, to get behind the decompressor: two bytes of length,
/// big-endian, the packed section, and the loose one.
///
/// # Panics
/// If what opened does not encode to the same sections.
pub fn envelope_body(data: &[u8]) -> bool {
    let Some(([kind, packing], rest)) = data.split_first_chunk() else {
        return false;
    };
    let chosen = if *packing > 127 {
        let Some((len, sections)) = rest.split_first_chunk() else {
            return false;
        };
        let len = usize::from(u16::from_be_bytes(*len)).min(sections.len());
        let (packed, loose) = sections.split_at(len);
        Chosen::Sections { packed, loose }
    } else {
        Chosen::Plaintext {
            packing: *packing,
            bytes: rest,
        }
    };
    let probed = SCENE.jar.probe(&SCENE.keys, *kind, chosen);
    assert_ne!(probed, Probed::Ambiguous, "two spellings of one state");
    probed == Probed::Canonical
}

/// The bytes of a session: its packed section, the same compressed, and its loose section.
///
/// Empty if a field is over its limit.
pub fn sections(session: &Session) -> [Vec<u8>; 3] {
    probe::sections(session).unwrap_or_default()
}
