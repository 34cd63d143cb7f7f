//! A way behind the AEAD for the fuzzer: chosen sections, sealed as a real cookie is.

use super::chunk::Layout;
use super::encode::{self, Front, Plaintext, State};
use super::envelope::Envelope;
use super::jar::Jar;
use super::pack::{self, Packing};
use super::settings::Compression;
use super::state::{EndedMarks, LoginAttempt, LogoutHint, LogoutState, Seen, Session};
use crate::clock::UnixTime;
use crate::keyring::KeyRing;

/// What becomes of a sealed plaintext.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Probed {
    /// It opens, and what it says encodes to other bytes. Never right.
    Ambiguous,
    /// It opens, and what it says encodes to the same bytes.
    Canonical,
    /// It is refused, or does not fit.
    Refused,
}

/// What is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'d> {
    /// A plaintext, all of it.
    Plaintext { packing: u8, bytes: &'d [u8] },
    /// Two sections, of which the first is compressed as a session's is.
    Sections { packed: &'d [u8], loose: &'d [u8] },
}

impl Jar {
    /// Seals what was chosen as the state that `kind` chooses, and opens it.
    pub(crate) fn probe(&self, keys: &KeyRing, kind: u8, chosen: Chosen<'_>) -> Probed {
        match kind % 6 {
            0 => probe(&self.session, keys, chosen),
            1 => {
                let envelope = Envelope::new("login", Layout::single("login"), &self.settings);
                probe::<LoginAttempt>(&envelope, keys, chosen)
            }
            2 => probe::<LogoutHint>(&self.hint, keys, chosen),
            3 => probe::<Seen>(&self.seen, keys, chosen),
            4 => probe::<EndedMarks>(&self.ended, keys, chosen),
            _ => probe::<LogoutState>(&self.logout_state, keys, chosen),
        }
    }
}

/// Packed section, the same compressed, loose section.
pub(crate) fn sections(session: &Session) -> Option<[Vec<u8>; 3]> {
    let sections = encode::sections(session).ok()?;
    let frame = pack::pack(&sections.packed, Compression::Zstd)?;
    Some([
        sections.packed.to_vec(),
        frame.to_vec(),
        sections.loose.to_vec(),
    ])
}

fn probe<S: State>(envelope: &Envelope<S>, keys: &KeyRing, chosen: Chosen<'_>) -> Probed {
    let Some(plaintext) = plaintext_of(chosen) else {
        return Probed::Refused;
    };
    let Plaintext { bytes, packing } = plaintext.clone();
    let Ok(draft) = envelope.measure(plaintext) else {
        return Probed::Refused;
    };
    let Ok(text) = envelope.seal(&draft, keys, UnixTime::from_secs(0)) else {
        return Probed::Refused;
    };
    let chunks: Vec<&[u8]> = envelope
        .layout()
        .split(&text)
        .map(|(_, chunk)| chunk.as_bytes())
        .collect();
    let opened = envelope.open(|index| chunks.get(usize::from(index)).copied(), keys);
    let decoded = encode::decode::<S>(&bytes, packing);
    match (opened, decoded) {
        (Err(_), Err(_)) => Probed::Refused,
        (Ok(opened), Ok(_)) if is_written_as(&opened.state, &bytes, packing) => Probed::Canonical,
        _ => Probed::Ambiguous,
    }
}

/// Whether the state's sections are those of the plaintext. A frame may differ: zstd has many for one section.
fn is_written_as<S: State>(state: &S, plaintext: &[u8], packing: Packing) -> bool {
    let (Ok(front), Ok(sections)) = (Front::read(plaintext), encode::sections(state)) else {
        return false;
    };
    let assembled = encode::assemble(front.packed, &sections.loose, front.pad_to);
    let inflated = match packing {
        Packing::Plain => Ok(front.packed.to_vec().into()),
        Packing::Zstd1 => pack::unpack(front.packed),
    };
    inflated.is_ok_and(|inflated| inflated == sections.packed) && *assembled == *plaintext
}

fn plaintext_of(chosen: Chosen<'_>) -> Option<Plaintext> {
    match chosen {
        Chosen::Plaintext { packing, bytes } => Some(Plaintext {
            bytes: bytes.to_vec().into(),
            packing: Packing::from_id(packing)?,
        }),
        Chosen::Sections { packed, loose } => {
            let frame = pack::pack(packed, Compression::Zstd)?;
            Some(Plaintext {
                bytes: encode::assemble(&frame, loose, 64),
                packing: Packing::Zstd1,
            })
        }
    }
}
