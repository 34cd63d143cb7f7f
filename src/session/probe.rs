//! A way behind the AEAD for the fuzzer: sections of its choice, sealed as a real cookie is.

use super::encode::{self, Front, Plaintext, State};
use super::envelope::Envelope;
use super::jar::Jar;
use super::kind::{Kind, Visitor};
use super::native::{NativeAccess, NativeCode, NativeLogin, NativeRefresh};
use super::pack::{self, Packing};
use super::settings::Compression;
use super::state::{LoginState, LogoutState, Session};
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
        let probe = Probe {
            jar: self,
            keys,
            chosen,
        };
        match kind % 12 {
            0 => probe.cookie(Kind::Session(0)),
            1 => probe.cookie(Kind::Login("login")),
            2 => probe.cookie(Kind::Hint),
            3 => probe.cookie(Kind::Seen),
            4 => probe.cookie(Kind::Ended),
            5 => probe.seal(&self.parameter::<LogoutState>("logout-state".to_owned())),
            6 => probe.seal(&self.parameter::<LoginState>("login-state.r".to_owned())),
            7 => probe.cookie(Kind::Device),
            8 => probe.seal(&self.token::<NativeAccess>()),
            9 => probe.seal(&self.token::<NativeRefresh>()),
            10 => probe.seal(&self.token::<NativeCode>()),
            _ => probe.seal(&self.parameter::<NativeLogin>("native-login.r".to_owned())),
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

struct Probe<'p> {
    jar: &'p Jar,
    keys: &'p KeyRing,
    chosen: Chosen<'p>,
}

/// A probe of what a cookie holds.
struct OfCookie<'p> {
    probe: &'p Probe<'p>,
    kind: Kind<'p>,
}

impl Visitor for OfCookie<'_> {
    type Output = Probed;

    fn visit<S: State>(self) -> Probed {
        self.probe.seal(&self.probe.jar.envelope::<S>(self.kind))
    }
}

impl Probe<'_> {
    fn cookie(&self, kind: Kind<'_>) -> Probed {
        kind.visit(OfCookie { probe: self, kind })
    }

    fn seal<S: State>(&self, envelope: &Envelope<'_, S>) -> Probed {
        let Some(plaintext) = plaintext_of(self.chosen) else {
            return Probed::Refused;
        };
        let Plaintext { bytes, packing } = plaintext.clone();
        let Ok(draft) = envelope.measure(plaintext) else {
            return Probed::Refused;
        };
        let Ok(text) = envelope.seal(&draft, self.keys, UnixTime::from_secs(0)) else {
            return Probed::Refused;
        };
        let chunks: Vec<&[u8]> = envelope
            .layout()
            .split(&text)
            .map(|(_, chunk)| chunk.as_bytes())
            .collect();
        let opened = envelope.open(|index| chunks.get(usize::from(index)).copied(), self.keys);
        let decoded = encode::decode::<S>(&bytes, packing);
        match (opened, decoded) {
            (Err(_), Err(_)) => Probed::Refused,
            (Ok(opened), Ok(_)) if is_written_as(&opened.state, &bytes, packing) => {
                Probed::Canonical
            }
            _ => Probed::Ambiguous,
        }
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
